"""Which outputs are stale: made of inputs that have changed since, and in which order to make them again."""

from __future__ import annotations

__all__: list[str] = []

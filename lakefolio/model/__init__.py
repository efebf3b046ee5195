"""The state of a lake at a version, and the effect of a commit on it. Pure: no I/O."""

from __future__ import annotations

__all__: list[str] = []

"""The log of commits, the history of an item, and the difference of two versions (pure: no I/O)."""

from __future__ import annotations

__all__: list[str] = []

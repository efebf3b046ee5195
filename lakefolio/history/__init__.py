"""What happened: the log, the history of an item, and the difference of two versions. Pure: no I/O."""

from __future__ import annotations

__all__: list[str] = []

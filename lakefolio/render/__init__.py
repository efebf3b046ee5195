"""Plain values as text, HTML and curves. No I/O, and no knowledge of lakes."""

from __future__ import annotations

__all__: list[str] = []

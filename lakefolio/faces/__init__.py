"""How things look: HTML for notebooks and pages, curves in a terminal, as SVG and as PNG."""

from __future__ import annotations

__all__: list[str] = []

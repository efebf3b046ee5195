"""One open lake for one author: reading, writing, and tracking of what code reads."""

from __future__ import annotations

__all__: list[str] = []

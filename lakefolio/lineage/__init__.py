"""Lineage graphs: walks over them, pictures of them, and their export. Pure: no I/O."""

from __future__ import annotations

__all__: list[str] = []

"""Differences inside an item between two versions: rows, cells, values, lines, parameters, files."""

from __future__ import annotations

__all__: list[str] = []

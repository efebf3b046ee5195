"""The provenance of an item as one file, which is verified without the lake."""

from __future__ import annotations

__all__: list[str] = []

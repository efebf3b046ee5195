"""Finding items by their facts, and collections of items: conditions, their SQL, and results."""

from __future__ import annotations

__all__: list[str] = []

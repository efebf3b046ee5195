"""Finding items by what is known about them, and collections of items: conditions, their SQL, and what is found."""

from __future__ import annotations

__all__: list[str] = []

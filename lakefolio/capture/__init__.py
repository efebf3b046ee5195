"""``@capture``: runs recorded from function calls, and their memo."""

from __future__ import annotations

__all__: list[str] = []

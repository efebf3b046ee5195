"""Runs recorded from function calls (``@capture``), and the memo of their answers."""

from __future__ import annotations

__all__: list[str] = []

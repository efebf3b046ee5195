"""Exact-version and group commit: the one place that decides what happened (FORMAT.md, "Journal protocol")."""

from __future__ import annotations

__all__: list[str] = []

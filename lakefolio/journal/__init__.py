"""Exact-version and group commit: the one place that decides the outcome of commits (FORMAT.md, "Journal protocol")."""

from __future__ import annotations

__all__: list[str] = []

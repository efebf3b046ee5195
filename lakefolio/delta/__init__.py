"""The Delta protocol in its plainest form: log entries, checkpoints, data files (FORMAT.md, "Journal protocol")."""

from __future__ import annotations

__all__: list[str] = []

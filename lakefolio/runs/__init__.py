"""Runs: who made what from what (FORMAT.md, "Runs", "Metrics", "Events")."""

__all__: list[str] = []

"""Names and texts as SQL writes them, for DuckDB and SQLite alike (pure: no I/O)."""

from __future__ import annotations

__all__ = ["sql_id", "sql_text"]


def sql_id(name: str) -> str:
    """Return the name of a table, view or column as a quoted SQL identifier, whatever characters it has."""
    return '"' + name.replace('"', '""') + '"'


def sql_text(text: str) -> str:
    """Return a text as a SQL literal."""
    return "'" + text.replace("'", "''") + "'"

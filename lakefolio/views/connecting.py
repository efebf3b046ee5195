"""Connections to DuckDB in memory, opened one at a time, and none while the process forks.

DuckDB holds locks of the whole process while it opens a database. A child that was forked meanwhile would wait for them
for ever at its own first connection: the thread that holds them exists in its parent alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lakefolio.process.fork import ForkLock

if TYPE_CHECKING:
    import duckdb

__all__ = ["connect_in_memory"]


_connecting = ForkLock(waits=True)


def connect_in_memory(config: Mapping[str, Any]) -> duckdb.DuckDBPyConnection:
    """Return a connection to a new, empty database in memory. Safe in threads, and in forked children."""
    import duckdb

    with _connecting:
        return duckdb.connect(":memory:", config=dict(config))

"""Connections to DuckDB in memory, opened one at a time, and none while the process forks.

DuckDB holds locks of the whole process while it opens a database. A child that was forked meanwhile would wait for them
for ever at its own first connection: the thread that holds them exists in its parent alone.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lakefolio.process.fork import at_forks

if TYPE_CHECKING:
    import duckdb

__all__ = ["connect_in_memory"]


class _Gate:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        at_forks(self)

    def before_fork(self) -> None:
        """Wait until no thread is connecting."""
        self.lock.acquire()

    def after_fork(self, *, child: bool) -> None:
        """Let threads connect again."""
        self.lock.release()


_gate = _Gate()


def connect_in_memory(config: Mapping[str, Any]) -> duckdb.DuckDBPyConnection:
    """Return a connection to a new, empty database in memory. Safe in threads, and in forked children."""
    import duckdb

    with _gate.lock:
        return duckdb.connect(":memory:", config=dict(config))

"""Connections to DuckDB in memory, opened one at a time, and none while the process forks.

DuckDB holds locks of the whole process while it opens a database. A child that was forked meanwhile would wait for them
for ever at its own first connection: the thread that holds them exists in its parent alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from lakefolio.process.fork import at_forks

if TYPE_CHECKING:
    import duckdb

__all__ = ["KeptConnection", "connect_in_memory"]


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


class KeptConnection:
    """A connection that the library's own statements take in turns, as opening one takes eight milliseconds.

    Safe in threads, and in forked children: who finds it taken gets another one.
    """

    def __init__(self, make: Callable[[], duckdb.DuckDBPyConnection]) -> None:
        """Open nothing yet; ``make`` opens one."""
        self._make = make
        self._idle: list[duckdb.DuckDBPyConnection] = []
        at_forks(self)

    def before_fork(self) -> None:
        """Nothing has to come to an end: a child begins anew."""

    def after_fork(self, *, child: bool) -> None:
        """Let a child begin without a connection: the threads that answer on it are its parent's."""
        if child:
            _inherited.extend(self._idle)
            self._idle = []

    def take(self) -> duckdb.DuckDBPyConnection:
        """Return a connection that nobody else uses."""
        try:
            return self._idle.pop()
        except IndexError:
            return self._make()

    def give_back(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Keep a connection for the next who takes one, after all went well."""
        if not self._idle:
            self._idle.append(connection)


_inherited: list[duckdb.DuckDBPyConnection] = []
"""Those that a forked child inherits; never closed, as closing waits for threads that the child lacks."""

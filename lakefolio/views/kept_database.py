"""A DuckDB database that is kept for the next caller: to open one takes 11 ms, to begin anew in one that is open 1 ms.

A caller has it alone, and works in a database of its own that is attached to it, so nothing of one caller is left for
the next. One at most is kept, of those that were opened alike.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Final

from lakefolio.process.fork import at_forks

if TYPE_CHECKING:
    import duckdb

__all__ = ["EmptyDatabase"]

_NAME: Final = "own"


class EmptyDatabase:
    """An empty database of one caller, who closes it.

    Attributes:
        connection: To it. What it was opened with, settings included, is that of all callers, and not to be changed.
    """

    def __init__(self, alike: Hashable, opened: Callable[[], duckdb.DuckDBPyConnection]) -> None:
        """Begin.

        Args:
            alike: What tells databases that were opened in different ways apart.
            opened: Opens one, if none is kept.
        """
        import duckdb

        self._alike = alike
        self._database: duckdb.DuckDBPyConnection | None = _kept.take(alike) or opened()
        try:
            self.connection = _attached(self._database)
        except duckdb.Error:  # a fatal error of the former caller invalidated it
            self._database = opened()
            self.connection = _attached(self._database)

    def close(self) -> None:
        """Forget all that is in it. Idempotent."""
        import duckdb

        database, self._database = self._database, None
        if database is None:
            return
        self.connection.close()  # with its temporary tables, and its transaction if one is open
        try:
            database.execute(f"detach {_NAME}")
        except duckdb.Error:
            database.close()
        else:
            _kept.put(self._alike, database)


def _attached(database: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    connection = database.cursor()
    connection.execute(f"attach ':memory:' as {_NAME}")
    connection.execute(f"use {_NAME}")
    return connection


class _Kept:
    """The database that is kept, if any; safe in threads, in handlers of signals and at forks."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._found: list[tuple[Hashable, duckdb.DuckDBPyConnection]] = []
        at_forks(self)

    def take(self, alike: Hashable) -> duckdb.DuckDBPyConnection | None:
        """Return the database, which is kept no longer, if it was opened so."""
        with self._lock:
            return self._found.pop()[1] if self._found and self._found[0][0] == alike else None

    def put(self, alike: Hashable, database: duckdb.DuckDBPyConnection) -> None:
        """Keep a database, in place of another."""
        with self._lock:
            self._found = [(alike, database)]

    def before_fork(self) -> None:
        """Wait for nothing."""

    def after_fork(self, *, child: bool) -> None:
        """Let a child begin without one."""
        if child:
            self._lock = threading.RLock()
            _inherited.extend(self._found)
            self._found = []


_kept = _Kept()
_inherited: list[tuple[Hashable, object]] = []
"""What a forked child inherits; never closed, as closing waits for threads that the child lacks."""

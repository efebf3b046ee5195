"""The audits of a small lake, on a connection that is kept for the next time.

An audit of a few rows takes less than a millisecond, but opening a connection takes eight, and planning the audits over
the views that they read takes sixty. So the connection is used again, and what the audits read is made into tables.
Rows that equal those of the last time are not audited again: a check looks three times at a lake with a problem.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pyarrow as pa

from lakefolio.format.schema import SCHEMAS
from lakefolio.views.binding import lock, open_tables
from lakefolio.views.connecting import KeptConnection
from lakefolio.views.relations import bind
from lakefolio.views.view_files import AUDITS, View, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb

    from lakefolio.views.relations import Rows

__all__ = ["SmallAudits"]

_SMALL_BYTES: Final = 4 << 20
"""The rows of a small lake: the connection holds them until the next audits, as rows and as tables."""


class SmallAudits:
    """Audits small lakes, with the library's own SQL alone. Safe in threads."""

    def __init__(self, files: Sequence[View]) -> None:
        """Take the views of the library, in the order they build on one another; nothing is opened."""
        self._audits = [view for view in files if view.folder == AUDITS]
        read = {name for view in self._audits for name in view.reads}
        for view in reversed(files):
            if view.name in read:
                read |= view.reads
        self._staged = [view for view in files if view.name in read]
        self._tables = sorted(SCHEMAS.keys() & read)
        self._kept = KeptConnection(_opened)
        self._last: tuple[list[pa.Table], list[tuple[str, str, str]]] = ([], [])

    def are_for(self, tables: Mapping[str, Rows]) -> bool:
        """Say whether the tables that the audits read are small, and in memory."""
        sizes = [rows.nbytes if isinstance(rows, pa.Table) else None for rows in map(tables.get, self._tables)]
        return None not in sizes and sum(filter(None, sizes)) <= _SMALL_BYTES

    def problems(self, tables: Mapping[str, Rows]) -> list[tuple[str, str, str]]:
        """Return the problems that the audits find as (audit, object, message), in tables that they are for."""
        rows = [one for one in map(tables.get, self._tables) if isinstance(one, pa.Table)]
        audited, found = self._last
        if audited and all(one.equals(other) for one, other in zip(rows, audited, strict=True)):
            return list(found)
        connection = self._kept.take()
        for name, table in zip(self._tables, rows, strict=True):
            bind(connection, name, table)
        for view in self._staged:
            connection.execute(f"create or replace temp table {quoted(view.name)} as\n{view.sql}")
        found = [
            (view.name.removeprefix("audit_"), *row)
            for view in self._audits
            for row in connection.execute(f"select object, message from (\n{view.sql}\n) order by all").fetchall()
        ]
        self._kept.give_back(connection)
        self._last = rows, found
        return list(found)


def _opened() -> duckdb.DuckDBPyConnection:
    connection = open_tables({}, ())
    connection.execute("set threads = 1")  # a second one costs more than it helps
    lock(connection)
    return connection

"""Hashes of the rows of Arrow tables, nested columns included, made by DuckDB.

Two tables hold the same rows, in whatever order, if their counts and the sums of their rows' hashes are equal: so they
are compared part by part, without either being sorted or held. Hashes have 64 bits and are the same for equal values of
equal types. They tell damage and bugs, not an attack.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from lakefolio.views.binding import open_tables
from lakefolio.views.connecting import KeptConnection
from lakefolio.views.view_files import quoted

__all__ = ["RowHashes"]

_kept: Final = KeptConnection(lambda: open_tables({}, ()))


class RowHashes:
    """Makes hashes on a connection that nobody else uses meanwhile. Not thread-safe."""

    def __init__(self, *, few: bool = False) -> None:
        """Take the connection.

        Args:
            few: Whether there are few rows: then further threads would cost more than they help.
        """
        self._connection = _kept.take()
        self._connection.execute("set threads = 1" if few else "reset threads")

    def of(self, rows: pa.Table, *columns: Sequence[str]) -> list[pa.Array]:
        """Return, for each list of columns, one hash for each row, in order (uint64)."""
        hashes = ", ".join(f"{_hash_of(rows, names)} as h{at}" for at, names in enumerate(columns))
        table = self._connection.from_arrow(rows).project(hashes).to_arrow_table().combine_chunks()
        return [pa.concat_arrays([pa.array([], pa.uint64()), *column.chunks]) for column in table.columns]

    def total(self, rows: pa.Table, columns: Sequence[str], *, first: Sequence[str] = ()) -> tuple[int, int]:
        """Return the number of rows, and the sum of their hashes.

        Args:
            rows: The rows.
            columns: What of them is hashed.
            first: The hash of these columns is hashed as if it were the first of the others.
        """
        if not rows.num_rows:
            return 0, 0
        hashed = _hash_of(rows, columns, *([_hash_of(rows, first)] if first else []))
        sums = self._connection.from_arrow(rows).aggregate(f"count(*), coalesce(sum({hashed}), 0)")
        count, total = sums.fetchall()[0]
        return int(count), int(total)

    def close(self) -> None:
        """Give the connection back; no more hashes are made."""
        _kept.give_back(self._connection)


def _hash_of(rows: pa.Table, columns: Sequence[str], *first: str) -> str:
    """Return the expression of a hash; to DuckDB's, no list and an empty one are the same."""
    lists = [name for name in columns if pa.types.is_list(rows.schema.field(name).type)]
    return f"hash({', '.join([*first, *map(quoted, columns), *(f'{quoted(name)} is null' for name in lists)])})"

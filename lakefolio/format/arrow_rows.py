"""Rows as Arrow: made of Python values, and kept in an append-only run that stays cheap to extend and to read.

A journal grows by one row at a time; Arrow wants large chunks. Rows are therefore kept in segments that are merged
64 to 1, level by level, so that appending costs amortised O(log n) and the table view has few chunks. Pure: no I/O.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pyarrow as pa

__all__ = ["RowLog", "from_micros", "rows_of", "to_micros"]

_FANOUT = 64
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def from_micros(micros: int) -> datetime:
    """Return the time so many microseconds after 1970 began."""
    return _EPOCH + timedelta(microseconds=micros)


def to_micros(when: datetime) -> int:
    """Return the whole microseconds from the beginning of 1970 until a time with a zone."""
    return (when - _EPOCH) // _MICROSECOND


@cache
def _struct(schema: pa.Schema) -> pa.StructType:
    return pa.struct(list(schema))


def rows_of(schema: pa.Schema, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return dicts of Python values as Arrow rows; what a dict lacks is null.

    All columns in one conversion: measured on one row of 35 columns, 69 microseconds instead of 167 one by one.
    """
    return pa.Table.from_arrays(pa.array(rows, _struct(schema)).flatten(), schema=schema)


class RowLog:
    """Rows in the order they were appended; row numbers never change."""

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self._segments: list[pa.Table] = []
        self._levels: list[int] = []
        self._starts: list[int] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, rows: pa.Table) -> int:
        """Append rows and return the number of the first."""
        first = self._count
        if rows.num_rows == 0:
            return first
        self._push(rows, 0 if rows.num_rows < _FANOUT else 1)
        self._count += rows.num_rows
        while len(self._levels) >= _FANOUT and len(set(self._levels[-_FANOUT:])) == 1:
            level = self._levels[-1]
            merged = pa.concat_tables(self._segments[-_FANOUT:]).combine_chunks()
            start = self._starts[-_FANOUT]
            del self._segments[-_FANOUT:], self._levels[-_FANOUT:], self._starts[-_FANOUT:]
            self._segments.append(merged)
            self._levels.append(level + 1)
            self._starts.append(start)
        return first

    def _push(self, rows: pa.Table, level: int) -> None:
        self._segments.append(rows)
        self._levels.append(level)
        self._starts.append(self._count)

    def row(self, number: int) -> dict[str, Any]:
        """Return one row as a dict of Python values."""
        where = bisect_right(self._starts, number) - 1
        segment = self._segments[where]
        inside = number - self._starts[where]
        return {name: segment.column(i)[inside].as_py() for i, name in enumerate(self.schema.names)}

    def value(self, number: int, column: str) -> Any:
        """Return one cell."""
        where = bisect_right(self._starts, number) - 1
        return self._segments[where].column(column)[number - self._starts[where]].as_py()

    def table(self, first_count: int | None = None) -> pa.Table:
        """Return the rows as one table, without copying; only the first ``first_count`` of them if given."""
        if not self._segments:
            return self.schema.empty_table()
        whole = pa.concat_tables(self._segments)
        return whole if first_count is None else whole.slice(0, first_count)

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

__all__ = [
    "VERSIONS_END",
    "RowLog",
    "bounds_of",
    "cells",
    "check_rows",
    "dicts_of",
    "from_micros",
    "integers",
    "no_rows",
    "rows_of",
    "to_micros",
    "values_of",
]

VERSIONS_END = 2**31
_FANOUT = 64
_MOST_NULL_ROWS = 64
_FEW_ROWS = 8_192
_NullRow = tuple[dict[str, pa.Array], dict[tuple[str, ...], pa.StructType]]
_NULL_ROWS: dict[int, tuple[pa.Schema, _NullRow]] = {}
"""By the ids of schemas, which are kept, so that no other gets the id."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIRST_MICROS = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
_LAST_MICROS = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """Return the time ``micros`` microseconds after 1970 began."""
    return _EPOCH + timedelta(microseconds=micros)


def to_micros(when: datetime) -> int:
    """Return the whole microseconds from the beginning of 1970 until a time with a zone."""
    return (when - _EPOCH) // _MICROSECOND


def no_rows(schema: pa.Schema) -> pa.Table:
    """Return a table without rows. PyArrow's own imports pandas for one, which takes as long as opening a lake."""
    return pa.Table.from_batches([], schema)


def check_rows(rows: pa.Table) -> pa.Table:
    """Return rows if they are valid rows of a lake.

    Raises:
        ValueError: A required value is missing, a version can't be, or a time lies outside of the years 1 to 9999,
            which is all that Python can tell.
    """
    for field, column in zip(rows.schema, rows.columns, strict=True):
        if not field.nullable and column.null_count:
            raise ValueError(f"column {field.name!r} lacks values")
        if field.name == "version" and not _all_between(column, 0, VERSIONS_END - 1):
            raise ValueError("a row is of a version that can't be")
        if pa.types.is_timestamp(field.type) and not _all_between(column, _FIRST_MICROS, _LAST_MICROS):
            raise ValueError(f"column {field.name!r} holds a time outside of the years 1 to 9999")
    return rows


def _all_between(column: pa.ChunkedArray, least: int, most: int) -> bool:
    """Say whether all values of a column of integers, or of times in microseconds, lie between two bounds."""
    bounds = bounds_of(column)
    return bounds is None or least <= bounds[0] <= bounds[1] <= most


def bounds_of(column: pa.ChunkedArray) -> tuple[int, int] | None:
    """Return the least and the largest value of a column of integers, or of times as microseconds since 1970.

    None if it has no value. Up to the rows of a row group Python looks: to import Arrow's functions takes 50 ms.
    """
    if len(column) <= _FEW_ROWS:
        numbers = [one for chunk in column.chunks for one in integers(chunk) if one is not None]
        return (min(numbers), max(numbers)) if numbers else None
    import pyarrow.compute as pc

    found = pc.min_max(column.cast(pa.int64())).as_py()
    return None if found["min"] is None else (found["min"], found["max"])


def integers(values: pa.Array) -> list[int | None]:
    """Return integers, or times as microseconds since 1970, as Python's; no time lies beyond what an int can say."""
    found: list[int | None] = (values.view(pa.int64()) if pa.types.is_timestamp(values.type) else values).to_pylist()
    return found


def cells(column: pa.ChunkedArray) -> list[Any]:
    """Return a column as Python values; times as microseconds, which Arrow takes back in a hundredth of the time."""
    if pa.types.is_timestamp(column.type):
        return [one for chunk in column.chunks for one in integers(chunk)]
    found: list[Any] = column.to_pylist()
    return found


def values_of(column: pa.Array | pa.ChunkedArray) -> list[Any]:
    """Return a column as Python values, times in UTC. For a time Arrow's own imports pandas: 0.2 s and 30 MiB."""
    if pa.types.is_timestamp(column.type):
        chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]  # a cast imports pyarrow.compute
        return [None if one is None else from_micros(one) for chunk in chunks for one in integers(chunk)]
    found: list[Any] = column.to_pylist()
    return found


def _value(cell: pa.Scalar) -> Any:
    return cell.as_py() if not isinstance(cell, pa.TimestampScalar) or cell.value is None else from_micros(cell.value)


def dicts_of(rows: pa.Table) -> list[dict[str, Any]]:
    """Return rows as dicts of Python values; see :func:`values_of`."""
    names = rows.schema.names
    return [dict(zip(names, cells, strict=True)) for cells in zip(*map(values_of, rows.columns), strict=True)]


@cache
def _struct(schema: pa.Schema) -> pa.StructType:
    return pa.struct(list(schema))


def rows_of(schema: pa.Schema, rows: Sequence[Mapping[str, object]]) -> pa.Table:
    """Return dicts of Python values as Arrow rows; a key that a dict lacks is null.

    All columns in one conversion. One row, which most commits are, goes without the columns that it has no value of,
    half of them: those are there already.
    """
    if len(rows) != 1:
        return pa.Table.from_arrays(pa.array(rows, _struct(schema)).flatten(), schema=schema)
    row = rows[0]
    nulls, structs = _null_row(schema)
    names = tuple([name for name in nulls if name in row and row[name] is not None])
    if names not in structs:
        structs[names] = pa.struct([schema.field(name) for name in names])
    columns = {**nulls, **dict(zip(names, pa.array(rows, structs[names]).flatten(), strict=True))}
    return pa.Table.from_arrays(list(columns.values()), schema=schema)


def _null_row(schema: pa.Schema) -> _NullRow:
    """Return a row of nulls, by column, and the types of rows with values in some columns only."""
    kept = _NULL_ROWS.get(id(schema))  # to hash a schema takes as long as to convert ten columns
    if kept is None:
        if len(_NULL_ROWS) >= _MOST_NULL_ROWS:
            _NULL_ROWS.clear()
        kept = _NULL_ROWS[id(schema)] = (schema, ({one.name: pa.nulls(1, one.type) for one in schema}, {}))
    return kept[1]


class RowLog:
    """Rows in the order they were appended; row numbers never change. Immutable: appending makes another RowLog.

    Two RowLogs share the segments that they have in common, so that a RowLog costs a few short tuples more than its
    predecessor.
    """

    __slots__ = ("_count", "_levels", "_segments", "_starts", "schema")

    def __init__(self, schema: pa.Schema) -> None:
        """Make a log without rows."""
        self.schema = schema
        self._segments: tuple[pa.Table, ...] = ()
        self._levels: tuple[int, ...] = ()
        self._starts: tuple[int, ...] = ()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def appended(self, rows: pa.Table) -> RowLog:
        """Return the log with further rows; the first of them has the number ``len(self)``."""
        if rows.num_rows == 0:
            return self
        segments = [*self._segments, rows]
        levels = [*self._levels, 0 if rows.num_rows < _FANOUT else 1]
        starts = [*self._starts, self._count]
        while len(levels) >= _FANOUT and len(set(levels[-_FANOUT:])) == 1:
            segments[-_FANOUT:] = [pa.concat_tables(segments[-_FANOUT:]).combine_chunks()]
            levels[-_FANOUT:] = [levels[-1] + 1]
            del starts[1 - _FANOUT :]
        longer = RowLog(self.schema)
        longer._segments, longer._levels, longer._starts = tuple(segments), tuple(levels), tuple(starts)
        longer._count = self._count + rows.num_rows
        return longer

    def row(self, number: int) -> dict[str, Any]:
        """Return one row as a dict of Python values."""
        where = bisect_right(self._starts, number) - 1
        segment = self._segments[where]
        inside = number - self._starts[where]
        return {name: _value(segment.column(i)[inside]) for i, name in enumerate(self.schema.names)}

    def value(self, number: int, column: str) -> Any:
        """Return one cell."""
        where = bisect_right(self._starts, number) - 1
        return _value(self._segments[where].column(column)[number - self._starts[where]])

    def micros(self, number: int, column: str) -> int:
        """Return one cell of a column of times, as microseconds since 1970; no time lies beyond what an int can say."""
        where = bisect_right(self._starts, number) - 1
        return int(self._segments[where].column(column)[number - self._starts[where]].value)

    def table(self, first_count: int | None = None) -> pa.Table:
        """Return the rows as one table, without copying; only the first ``first_count`` of them if given."""
        if not self._segments:
            return no_rows(self.schema)
        whole = pa.concat_tables(self._segments)
        return whole if first_count is None else whole.slice(0, first_count)

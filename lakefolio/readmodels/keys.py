"""The keys of rows of a read model: reading a few without making Python values of the others (pure: no I/O)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

__all__ = ["Key", "Rows", "key_at", "whole"]

Key = tuple[Any, ...]


def whole(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as one array."""
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.array([], column.type)])


def key_at(rows: pa.Table, at: int, names: Sequence[str]) -> Key:
    """Return some cells of one row."""
    return tuple(rows.column(name)[at].as_py() for name in names)


class Rows:
    """The rows of a table in order, found by their key without being made Python values."""

    def __init__(self, rows: pa.Table, names: Sequence[str]) -> None:
        self._columns = [rows.column(name) for name in names]
        self._count: int = rows.num_rows

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, at: int) -> Key:
        return tuple(column[at].as_py() for column in self._columns)

"""Rows that are put aside in files, to be read in the order of their first column.

They are sorted some megabytes at a time, and merged as they are read. DuckDB sorts in less time, but held half a
gigabyte of a million items.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa

from lakefolio.readmodels.merge import merged, sorted_rows
from lakefolio.readmodels.model import Model

__all__ = ["RowsAside", "RowsBeside"]

_ROWS_AT_ONCE: Final = 10_000
_SORTED_BYTES: Final = 64 << 20
_ASIDE_BYTES: Final = 1 << 20
"""Of each 64 megabytes of rows, which are sorted together, so much is held while all are merged."""


class RowsAside:
    """Rows that are put aside in a file, to be read in the order of their first column."""

    def __init__(self, path: Path, columns: Mapping[str, pa.DataType]) -> None:
        schema = pa.schema(list(columns.items()))
        self._path = path
        self._model = Model("aside", schema, (schema.names[0],), ())
        self._places: list[list[int]] = []  # of the rows that were sorted together: where the batches of them begin

    def take(self, rows: pa.RecordBatchReader) -> None:
        """Put rows aside."""
        with pa.OSFile(str(self._path), "wb") as file:
            waiting: list[pa.Table] = []
            for batch in rows:
                waiting.append(pa.Table.from_batches([batch]).cast(self._model.schema))
                if sum(one.nbytes for one in waiting) >= _SORTED_BYTES:
                    self._write(file, waiting)
                    waiting = []
            if waiting:
                self._write(file, waiting)

    def _write(self, file: pa.NativeFile, tables: Sequence[pa.Table]) -> None:
        """Write some rows, sorted, in pieces that are read one by one."""
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        rows = sorted_rows(pa.concat_tables(tables), self._model)
        count = max(rows.num_rows * _ASIDE_BYTES // max(rows.nbytes, 1), 1)
        self._places.append([])
        for start in range(0, rows.num_rows, count):
            self._places[-1].append(file.tell())
            with pa.ipc.new_stream(file, rows.schema, options=options) as writer:
                writer.write_table(rows.slice(start, count))

    def __iter__(self) -> Iterator[pa.Table]:
        """Give the rows in order, some thousand at a time; they are read once."""
        with pa.OSFile(str(self._path), "rb") as file:
            waiting: list[pa.Table] = []
            for some in merged([self._sorted(file, places) for places in self._places], self._model, bottom=True):
                waiting.append(some)
                if sum(map(len, waiting)) >= _ROWS_AT_ONCE:
                    yield from _in_turns(waiting)
                    waiting = []
            yield from _in_turns(waiting)

    def _sorted(self, file: pa.NativeFile, places: Iterable[int]) -> Iterator[pa.Table]:
        for place in places:
            file.seek(place)
            yield pa.ipc.open_stream(file).read_all()


def _in_turns(tables: Sequence[pa.Table]) -> Iterator[pa.Table]:
    """Give the rows of tables some thousand at a time, however many were merged at once."""
    if not tables:
        return
    rows = pa.concat_tables(tables).combine_chunks()
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        yield rows.slice(start, _ROWS_AT_ONCE)


class RowsBeside:
    """Rows in the order of references; they are passed through once."""

    def __init__(self, tables: Iterator[pa.Table]) -> None:
        self._tables = tables
        self._rest = next(tables, None)

    def up_to(self, ref: str | None) -> list[pa.Table]:
        """Return the next rows, up to a reference; up to the end without one."""
        found = []
        while self._rest is not None:
            refs = self._rest.column("ref")
            stop = len(refs) if ref is None else bisect_right(range(len(refs)), ref, key=lambda at: refs[at].as_py())
            found += [self._rest.slice(0, stop)] if stop else []
            if stop < len(refs):
                self._rest = self._rest.slice(stop)
                break
            self._rest = next(self._tables, None)
        return found

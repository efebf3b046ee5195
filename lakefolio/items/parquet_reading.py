"""Columns of a Parquet file in memory, those of a large one read in two threads.

The threads are not pyarrow's: a process that ends right after those read a file in memory may abort (pyarrow 26:
"terminate called without an active exception", apache/arrow#34314 and #50482).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from lakefolio.process.workers import Workers

if TYPE_CHECKING:
    import pyarrow.parquet as pq

__all__ = ["read_columns"]

_THREADS_FROM_BYTES: Final = 8 << 20
_TEXT_BYTES: Final = 64
_LENGTH_BYTES: Final = 4
_LARGE: Final = (pa.large_string(), pa.large_binary())


def read_columns(source: pa.Buffer, file: pq.ParquetFile, columns: list[str] | None) -> pa.Table:
    """Return the columns of a file, all by default, in any order.

    Args:
        source: The content of the file.
        file: The same, opened.
        columns: Their names.

    Raises:
        pa.ArrowException, OSError: If the file is damaged.
    """
    import pyarrow.parquet as pq

    schema = file.schema_arrow
    halves = _halves(file.metadata, schema.names if columns is None else columns)
    if len(halves) < 2:
        return file.read(columns=columns, use_threads=False)
    repeating = _repeating(file.metadata, schema)

    def read(half: list[str]) -> dict[str, pa.ChunkedArray]:
        part = pq.ParquetFile(source, metadata=file.metadata, read_dictionary=repeating)
        found = part.read(columns=half, use_threads=False)
        return {name: _spelled_out(found.column(name), schema.field(name).type) for name in half}

    with Workers(1, "lakefolio-parquet") as worker:
        later = worker.submit(lambda: read(halves[1]))
        found = {**read(halves[0]), **later.result()}
    wanted = pa.schema([field for field in schema if field.name in found], schema.metadata)
    return pa.Table.from_arrays([found[name] for name in wanted.names], schema=wanted)


def _repeating(metadata: pq.FileMetaData, schema: pa.Schema) -> list[str]:
    """Return the columns of texts that are read faster as places in dictionaries: no nulls, few values."""
    found = {field.name for field in schema if not field.nullable and field.type in _LARGE}
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for place in range(group.num_columns):
            chunk = group.column(place)
            if chunk.path_in_schema in found and chunk.total_uncompressed_size > _LENGTH_BYTES * chunk.num_values:
                found.remove(chunk.path_in_schema)  # some lie there themselves, each with its length
    return sorted(found)


def _spelled_out(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Return a column of the file's type, also if it was read as places in dictionaries; a wild place is an error."""
    if column.type == kind:
        return column
    return pa.chunked_array([column.cast(kind).combine_chunks()], kind)


def _halves(metadata: pq.FileMetaData, names: Sequence[str]) -> list[list[str]]:
    """Divide columns into two halves that take as long to read; all into one if they are few or small."""
    if any("." in name for name in names) or len(set(names)) < max(len(names), 2):  # a.b may be a field of a
        return [list(names)]
    sizes = dict.fromkeys(names, 0)
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for place in range(group.num_columns):
            chunk = group.column(place)
            name = chunk.path_in_schema.partition(".")[0]
            if name in sizes:
                sizes[name] += chunk.total_uncompressed_size
                if chunk.physical_type == "BYTE_ARRAY":  # a short text takes as long as eight numbers
                    sizes[name] += chunk.num_values * _TEXT_BYTES
    if sum(sizes.values()) < _THREADS_FROM_BYTES:
        return [list(names)]
    halves: tuple[list[str], list[str]] = ([], [])
    for name in sorted(names, key=sizes.__getitem__, reverse=True):
        min(halves, key=lambda half: sum(map(sizes.__getitem__, half))).append(name)
    return [half for half in halves if half]

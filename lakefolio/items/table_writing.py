"""Writing tables whose memory others may change meanwhile: each batch is copied, and the copy is hashed and encoded."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import partial
from typing import Final

import pyarrow as pa

from lakefolio.format.table_digest import TableDigest
from lakefolio.items import parquet
from lakefolio.items.parquet_types import is_composite, memory_bytes
from lakefolio.process.workers import Workers

__all__ = ["filled", "slices", "write"]

_SLICE_BYTES: Final = 64 << 20


def write(
    batches: Iterable[pa.Table],
    schema: pa.Schema,
    target: object,
    extra: Mapping[bytes, bytes],
    filled: Collection[str] = (),
) -> tuple[str, int, int]:
    """Write batches as Parquet; return the digest of exactly the written rows, their number, and their memory in bytes.

    Each copy is hashed and encoded at the same time, on two threads. ``filled`` are columns without nulls.
    """
    digest, size_bytes = TableDigest(schema, threads=1), 0
    with Workers(1, "lakefolio-digest") as worker:

        def hashed() -> Iterator[pa.Table]:
            nonlocal size_bytes
            for batch in batches:
                copy = _copied(batch)
                size_bytes += memory_bytes(copy)
                running = worker.submit(partial(digest.update, copy))
                try:
                    yield copy
                finally:
                    running.result()

        rows = parquet.write_batches(hashed(), schema, target, digest.dictionaries, extra, filled)
    return digest.digest(), rows, size_bytes


def filled(table: pa.Table) -> list[str]:
    """Return the columns of plain values of which none is null."""
    plain = (name for name, kind in zip(table.schema.names, table.schema.types, strict=True) if _is_plain(kind))
    return [name for name in plain if not table.column(name).null_count]


def _is_plain(kind: pa.DataType) -> bool:
    return not (is_composite(kind) or pa.types.is_nested(kind) or pa.types.is_null(kind))


def slices(table: pa.Table) -> Iterator[pa.Table]:
    """Cut a table into pieces of about the size of a row group.

    They have a power of two of rows, so that the row groups of another version with a few more bytes or rows begin at
    the same rows, and can be compared with those as bytes.
    """
    rows = max(1, table.num_rows * _SLICE_BYTES // max(table.nbytes, 1))
    rows = min(1 << (rows.bit_length() - 1), parquet.GROUP_ROWS)
    if not table.num_columns or rows >= table.num_rows:
        yield table
        return
    for start in range(0, table.num_rows, rows):
        yield table.slice(start, rows)


def _copied(table: pa.Table) -> pa.Table:
    """Return the same table in memory of its own: by way of Arrow IPC, because pyarrow has no plain copy."""
    if not table.num_columns:  # nothing can change, and a copy would forget the number of rows
        return table
    simple = [place for place, kind in enumerate(table.schema.types) if not is_composite(kind)]
    columns = dict(zip(simple, _through_ipc(table.select(simple)).columns, strict=True)) if table.num_rows else {}
    for place, column in enumerate(table.columns):
        if place not in columns:  # by chunk: a stream of a whole table leaves out empty chunks with their dictionaries
            columns[place] = pa.chunked_array(map(_copied_array, column.chunks), column.type)
    return pa.Table.from_arrays([columns[place] for place in range(table.num_columns)], schema=table.schema)


def _copied_array(array: pa.Array) -> pa.Array:
    if isinstance(array, pa.ExtensionArray):
        return pa.ExtensionArray.from_storage(array.type, _copied_array(array.storage))
    batch = pa.record_batch([array], names=["values"])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return pa.ipc.open_stream(sink.getvalue()).read_next_batch().column(0)


def _through_ipc(table: pa.Table) -> pa.Table:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return pa.ipc.open_stream(sink.getvalue()).read_all()

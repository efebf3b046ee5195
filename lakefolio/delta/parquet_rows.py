"""Rows as the bytes of a Parquet file, and back (pure: no I/O)."""

from __future__ import annotations

import pyarrow as pa

from lakefolio.format.arrow_rows import check_rows
from lakefolio.format.parquet_columns import bounded_columns

__all__ = ["fitted", "from_parquet", "same_rows", "to_parquet"]

_SMALL_ROWS = 100
_BOOLEAN = pa.bool_()
_GROUP_ROWS = 16_384
"""So few that the content of one row is not much to read for."""


def to_parquet(rows: pa.Table) -> bytes:
    """Return rows as a Parquet file.

    A handful of rows is written plainly and without the columns that are null throughout: a footer describes each
    column, and would outweigh them (measured on one row: 290 instead of 815 microseconds). Every Delta reader takes a
    column that a file lacks as null; but Daft 0.7 fails at a filter on one of booleans, so those are always written.
    """
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    small = rows.num_rows < _SMALL_ROWS
    if small:
        known = [one.null_count < rows.num_rows or one.type == _BOOLEAN for one in rows.itercolumns()]
        rows = rows.select([at for at, there in enumerate(known) if there])
    pq.write_table(
        rows,
        sink,
        compression="none" if small else "zstd",
        use_dictionary=not small,
        write_statistics=False if small else bounded_columns(rows.schema),
        row_group_size=_GROUP_ROWS,
        store_schema=False,
    )
    return bytes(sink.getvalue())


def from_parquet(body: bytes | memoryview, schema: pa.Schema) -> pa.Table:
    """Read a Parquet file of a table; columns that the file lacks are null.

    Raises:
        pa.ArrowException: If it is damaged, or of other types than the table.
        ValueError: If a required value is missing.
    """
    import pyarrow.parquet as pq

    # without threads: pyarrow may abort the interpreter at exit after threaded reads
    file = pq.ParquetFile(pa.BufferReader(pa.py_buffer(body)))
    known = set(file.schema_arrow.names)
    return fitted(file.read([name for name in schema.names if name in known], use_threads=False), schema)


def fitted(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return rows read from a Parquet file with the columns and types of ``schema``; ValueError if they do not fit."""
    columns = []
    for field in schema:
        if field.name not in rows.schema.names:
            columns.append(pa.nulls(rows.num_rows, field.type))
            continue
        column = rows.column(field.name)  # a cast imports all of Arrow's functions
        columns.append(column if column.type == field.type else column.cast(field.type))
    return check_rows(pa.Table.from_arrays(columns, schema=schema))


def same_rows(some: pa.Table, others: pa.Table) -> bool:
    """Say whether two tables have the same rows, bit by bit, so that NaN is NaN."""

    def columns(rows: pa.Table) -> list[pa.Array]:
        whole = [pa.concat_arrays(column.chunks) if column.num_chunks else None for column in rows.columns]
        return [one.view(pa.int64()) if one is not None and pa.types.is_float64(one.type) else one for one in whole]

    return some.schema.equals(others.schema) and columns(some) == columns(others)

"""Rows of a lake that are kept for several queries: a few in memory, many in a file."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from lakefolio.format.sql_text import sql_id
from lakefolio.process.scratch import named_if_full, private_folder
from lakefolio.views.arrow_relation import relation_of
from lakefolio.views.binding import describe, make_view
from lakefolio.views.view_files import ViewFile

if TYPE_CHECKING:
    import duckdb

__all__ = ["keep_view", "kept"]

_AT_ONCE_ROWS: Final = 10_000
_MOST_BYTES: Final = 16 << 20
"""So many bytes of rows are held in memory: those of 30,000 runs with ten parameters and metrics."""


def kept(reader: pa.RecordBatchReader) -> pa.Table:
    """Return rows to be kept: a few in memory, many in a file that is mapped, whose pages the system may take back."""
    batches: list[pa.RecordBatch] = []
    size_bytes = 0
    for batch in reader:
        batches.append(batch)
        size_bytes += batch.nbytes
        if size_bytes > _MOST_BYTES:
            return _mapped(reader.schema, chain(batches, reader))
    return pa.Table.from_batches(batches, reader.schema).combine_chunks()


def _mapped(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> pa.Table:
    place = private_folder() / uuid.uuid4().hex
    try:
        with named_if_full(), pa.ipc.new_file(str(place), schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
        return pa.ipc.open_file(pa.memory_map(str(place))).read_all()
    finally:
        place.unlink(missing_ok=True)  # its bytes are there as long as they are mapped


def keep_view(connection: duckdb.DuckDBPyConnection, view: ViewFile, *, lost: bool = False) -> None:
    """Compute the rows of a view that was made, and make it anew over them; columns of JSON stay JSON.

    Args:
        connection: Where the view is.
        view: The view.
        lost: As for ``binding.make_view``.
    """
    rows = kept(connection.sql(f"from {sql_id(view.name)}").to_arrow_reader(_AT_ONCE_ROWS))
    columns, name = describe(connection, view.name), f"{view.name} as they are"
    relation_of(connection, rows).create_view(name, replace=True)
    there = dict(describe(connection, name))
    casts = [f"cast({sql_id(one)} as {kind}) as {sql_id(one)}" for one, kind in columns if there[one] != kind]
    typed = f" replace ({', '.join(casts)})" if casts else ""  # Arrow lacks the type JSON
    make_view(connection, replace(view, sql=f"select *{typed} from {sql_id(name)}"), [], lost=lost)

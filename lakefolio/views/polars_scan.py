"""Rows of a lake as Polars frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

import pyarrow as pa

if TYPE_CHECKING:
    import polars as pl

__all__ = ["scan"]

_Batches = Callable[[Sequence[str], int | None, int], Iterator[pa.RecordBatch]]
_PIECE_ROWS: Final = 65_536


def scan(batches: _Batches, schema: pa.Schema) -> pl.LazyFrame:
    """Return a Polars LazyFrame that reads only the columns and rows it is asked for, piece by piece.

    Args:
        batches: Yields some columns, up to a number of rows or all, in pieces of a number of rows.
        schema: All columns.
    """
    import polars as pl
    from polars.io.plugins import register_io_source

    def source(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        # columns that only the predicate needs are among those given
        names = schema.names if with_columns is None else with_columns
        fields = pa.schema([schema.field(name) for name in names])
        for batch in batches(names, n_rows, batch_size or _PIECE_ROWS):
            frame = pl.DataFrame(pl.from_arrow(pa.Table.from_batches([batch]).cast(fields)))
            yield frame if predicate is None else frame.filter(predicate)

    empty = pl.DataFrame(pl.from_arrow(schema.empty_table()))
    return register_io_source(source, schema=empty.schema, is_pure=True)

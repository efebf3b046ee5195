"""Rows of a lake as Polars frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

__all__ = ["scan"]


def scan(table: pa.Table) -> pl.LazyFrame:
    """Return a Polars LazyFrame of ``table`` that converts only the columns and rows it is asked for.

    Projections, filters and limits are pushed into the scan, which goes through the rows in pieces.
    """
    import polars as pl
    from polars.io.plugins import register_io_source

    piece = 65_536

    def source(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        # columns that only the predicate needs are among those given
        chosen = table if with_columns is None else table.select(with_columns)
        left = chosen.num_rows if n_rows is None else n_rows
        step = batch_size or piece
        for start in range(0, max(chosen.num_rows, 1), step):
            frame = pl.DataFrame(pl.from_arrow(chosen.slice(start, step)))
            if n_rows is not None:
                frame = frame.head(left)
                left -= frame.height
            if predicate is not None:
                frame = frame.filter(predicate)
            yield frame
            if n_rows is not None and left <= 0:
                return

    schema = pl.DataFrame(pl.from_arrow(table.schema.empty_table())).schema
    return register_io_source(source, schema=schema, is_pure=True)

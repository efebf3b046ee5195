"""The migrations of a record table: each says what becomes of its schema, and of rows that are there already (pure)."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from lakefolio.errors import InvalidInputError, one_line
from lakefolio.records.cells import cell_of
from lakefolio.records.schema import TableSchema
from lakefolio.records.types import shown_type

__all__ = ["adding", "checking", "dropping", "nulling", "renaming", "unchecking", "widening"]

Rewrite = Callable[[pa.Table], pa.Table]
Step = Callable[[TableSchema], tuple[TableSchema, Rewrite | None]]
"""Gives the schema after a migration, and what becomes of rows; None if files stay as they are."""


def adding(name: str, column: object, fill: object) -> Step:
    """Add a column, null or filled with one value."""

    def step(schema: TableSchema) -> tuple[TableSchema, Rewrite | None]:
        after = schema.with_column(name, column)
        if fill is None:
            return after, None
        one = after.arrow.field(name)
        value = cell_of(fill, one)
        if value is None:
            raise InvalidInputError(
                f"fill={one_line(repr(fill), 40)} is no {shown_type(one)}", kind="bad-schema", column=name
            )
        return after, lambda rows: rows.append_column(one, pa.repeat(value, rows.num_rows))

    return step


def dropping(name: str) -> Step:
    """Drop a column, also from the files: one of that name that is added later is another."""
    return lambda schema: (schema.without_column(name), lambda rows: rows.drop_columns([name]))


def renaming(old: str, new: str) -> Step:
    """Give a column another name."""

    def rewrite(rows: pa.Table) -> pa.Table:
        return rows.rename_columns([new if one == old else one for one in rows.schema.names])

    return lambda schema: (schema.renamed(old, new), rewrite)


def widening(name: str, type: object) -> Step:
    """Give a column a wider type."""

    def step(schema: TableSchema) -> tuple[TableSchema, Rewrite | None]:
        after = schema.widened(name, type)
        kind, at = after.arrow.field(name).type, schema.arrow.get_field_index(name)

        def rewrite(rows: pa.Table) -> pa.Table:
            column = rows.column(at)
            return rows.set_column(at, pa.field(name, kind), column.cast(kind))

        return after, rewrite

    return step


def nulling(name: str, *, null: bool) -> Step:
    """Say whether a column may miss values."""
    return lambda schema: (schema.with_null(name, null=null), None)


def checking(name: str, condition: str) -> Step:
    """Add a check."""
    return lambda schema: (schema.with_check(name, condition), None)


def unchecking(name: str) -> Step:
    """Drop a check."""
    return lambda schema: (schema.without_check(name), None)

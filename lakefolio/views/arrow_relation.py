"""Arrow tables as DuckDB's relations.

DuckDB hands conditions over to the scan of an Arrow table or dataset. There NaN is neither greater than anything nor
equal to itself, while it is the greatest number to DuckDB: ``where x > 1`` would lose the rows of NaN that
``where x + 0 > 1`` keeps. Columns that hold floating-point numbers are therefore computed, which changes no bit of a
number (also not of -0.0): conditions on them stay with DuckDB. Conditions on other columns, and the choice of columns,
are handed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakefolio.format.sql_text import sql_id

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

__all__ = ["relation_of"]


def relation_of(connection: duckdb.DuckDBPyConnection, rows: pa.Table) -> duckdb.DuckDBPyRelation:
    """Return rows as a relation; ``rows`` may also be a dataset of Arrow."""
    relation = connection.from_arrow(rows)
    known = list(zip(relation.columns, relation.types, strict=True))
    if not any(_has_number(kind) for _, kind in known):
        return relation
    columns = [
        f"{_computed(sql_id(name), kind)} as {sql_id(name)}" if _has_number(kind) else sql_id(name)
        for name, kind in known
    ]
    return relation.project(", ".join(columns))


def _has_number(kind: Any) -> bool:
    """Say whether a condition on a value of a type may compare floating-point numbers; lists are not handed over."""
    if kind.id == "struct":
        return any(_has_number(child) for _, child in kind.children)
    return kind.id in ("double", "float")


def _computed(column: str, kind: Any) -> str:
    if kind.id == "struct":
        return f"case when {column} is null then null else {column} end"
    return f"{column} - 0::{kind.id}"

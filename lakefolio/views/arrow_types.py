"""What of DuckDB's types Arrow holds, also within nested ones, and values that it would hold as others.

A HUGEINT becomes a decimal that it need not fit, a TIMETZ loses its zone, a BIT becomes bytes that only DuckDB reads,
and an infinite time a day far ahead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import duckdb
import pyarrow as pa
from duckdb.sqltypes import DuckDBPyType

from lakefolio.format.sql_text import sql_id

__all__ = ["AS_TEXT", "LOSSLESS", "arrow_type", "check_finite", "projected"]

_TEXTS: Final = {"BIGNUM": "VARCHAR", "BIT": "VARCHAR", "TIME WITH TIME ZONE": "VARCHAR"}
AS_TEXT: Final = {**_TEXTS, "HUGEINT": "VARCHAR", "JSON": "VARCHAR", "UHUGEINT": "VARCHAR", "UUID": "VARCHAR"}
"""Types that Arrow or Parquet lack or change, as text, which is cast back without loss."""
LOSSLESS: Final = {**_TEXTS, "HUGEINT": "DECIMAL(38, 0)", "UHUGEINT": "DECIMAL(38, 0)"}
"""Types that Arrow changes, as others that hold their values; DuckDB refuses integers of more than 38 digits."""
_NESTED: Final = frozenset({"array", "list", "map", "struct"})


def arrow_type(kind: object, others: Mapping[str, str]) -> str:
    """Return a type, or one like it with ``others`` in place of its own, however deep they are nested."""
    if not isinstance(kind, DuckDBPyType):
        return str(kind)
    inner = {name: arrow_type(one, others) for name, one in kind.children} if kind.id in _NESTED else {}
    match kind.id:
        case "list":
            return f"{inner['child']}[]"
        case "array":
            return f"{inner['child']}[{inner['size']}]"
        case "map":
            return f"MAP({inner['key']}, {inner['value']})"
        case "struct":
            return f"STRUCT({', '.join(f'{sql_id(name)} {one}' for name, one in inner.items())})"
    return others.get(str(kind), str(kind))


def projected(
    relation: duckdb.DuckDBPyRelation, others: Mapping[str, str]
) -> tuple[duckdb.DuckDBPyRelation, dict[str, str]]:
    """Return a relation without some types, and the columns that had them with their own types.

    Args:
        relation: The relation.
        others: Type -> what it is cast to, also within nested types.
    """
    columns = list(zip(relation.columns, relation.types, strict=True))
    plain = [arrow_type(kind, {}) for _, kind in columns]
    made = [arrow_type(kind, others) for _, kind in columns]
    if plain == made:
        return relation, {}
    chosen = [
        sql_id(name) if own == new else f"cast({sql_id(name)} as {new}) as {sql_id(name)}"
        for (name, _), own, new in zip(columns, plain, made, strict=True)
    ]
    types = {name: own for (name, _), own, new in zip(columns, plain, made, strict=True) if own != new}
    return relation.project(", ".join(chosen)), types


def check_finite(rows: pa.Table | pa.RecordBatch) -> None:
    """Raise pyarrow.ArrowInvalid if a time of DuckDB's is infinite, which Arrow does not have."""
    import pyarrow.compute as pc

    for name, column in zip(rows.schema.names, rows.columns, strict=True):
        chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
        for leaf in (leaf for chunk in chunks for leaf in _times(chunk)):
            most = 2**31 - 1 if pa.types.is_date32(leaf.type) else 2**63 - 1
            ends = pc.min_max(leaf.view(pa.int32() if most < 2**31 else pa.int64())).as_py()
            if ends["max"] == most or ends["min"] == -most:
                raise pa.ArrowInvalid(f"column {name!r} holds an infinite time, which Arrow does not have")


def _times(values: pa.Array) -> Iterator[pa.Array]:
    """Give the arrays of dates and times of which an array is made."""
    kind = values.type
    if pa.types.is_date32(kind) or pa.types.is_timestamp(kind):
        yield values
    elif pa.types.is_map(kind):
        yield from _times(values.keys)
        yield from _times(values.items)
    elif pa.types.is_struct(kind):
        for one in values.flatten():
            yield from _times(one)
    elif pa.types.is_nested(kind) and not pa.types.is_union(kind):
        yield from _times(values.flatten())

"""What of DuckDB's types Arrow and pandas hold, also within nested ones, and values that they would hold as others.

In Arrow a HUGEINT becomes a decimal that it need not fit, a TIMETZ loses its zone, a BIT becomes bytes that only DuckDB
reads, an infinite time a day far ahead, and the end of a day its beginning. In pandas a HUGEINT becomes a float.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import duckdb
import pyarrow as pa
from duckdb.sqltypes import DuckDBPyType

from lakefolio.format.sql_text import sql_id, sql_text

__all__ = ["AS_TEXT", "IN_PANDAS", "LOSSLESS", "arrow_type", "check_finite", "finite", "projected"]

_TEXTS: Final = {"BIGNUM": "VARCHAR", "BIT": "VARCHAR", "TIME WITH TIME ZONE": "VARCHAR"}
AS_TEXT: Final = {**_TEXTS, "HUGEINT": "VARCHAR", "JSON": "VARCHAR", "UHUGEINT": "VARCHAR", "UUID": "VARCHAR"}
"""Types that Arrow or Parquet lack or change, as text, which is cast back without loss."""
LOSSLESS: Final = {**_TEXTS, "HUGEINT": "DECIMAL(38, 0)", "UHUGEINT": "DECIMAL(38, 0)"}
"""Types that Arrow changes, as others that hold their values; DuckDB refuses integers of more than 38 digits."""
IN_PANDAS: Final = {**_TEXTS, "HUGEINT": "BIGINT", "UHUGEINT": "UBIGINT"}
"""Types that pandas and numpy lack or change, likewise; DuckDB refuses integers of more than 64 bits."""
_INFINITE: Final = ("DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP_S")
_DAY_US: Final = 86_400_000_000
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


def finite(relation: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """Return a relation that refuses infinite times in its columns, which Python, numpy and pandas do not have."""
    chosen, is_any = [], False
    for name, kind in zip(relation.columns, relation.types, strict=True):
        column = sql_id(name)
        if str(kind) in _INFINITE:
            is_any = True
            told = sql_text(f"column {name!r} holds an infinite time, which Python does not have")
            column = f"case when isinf({column}) then error({told}) else {column} end as {column}"
        chosen.append(column)
    return relation.project(", ".join(chosen)) if is_any else relation


def check_finite(rows: pa.Table | pa.RecordBatch) -> None:
    """Raise pyarrow.ArrowInvalid if a time of DuckDB's is infinite or 24:00, which Arrow does not have."""
    import pyarrow.compute as pc

    for name, column in zip(rows.schema.names, rows.columns, strict=True):
        chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
        for leaf in (leaf for chunk in chunks for leaf in _times(chunk)):
            if pa.types.is_time64(leaf.type):
                if pc.max(leaf.view(pa.int64())).as_py() == (_DAY_US if leaf.type.unit == "us" else 1000 * _DAY_US):
                    raise pa.ArrowInvalid(f"column {name!r} holds the time 24:00:00, which Arrow does not have")
                continue
            most = 2**31 - 1 if pa.types.is_date32(leaf.type) else 2**63 - 1
            ends = pc.min_max(leaf.view(pa.int32() if most < 2**31 else pa.int64())).as_py()
            if ends["max"] == most or ends["min"] == -most:
                raise pa.ArrowInvalid(f"column {name!r} holds an infinite time, which Arrow does not have")


def _times(values: pa.Array) -> Iterator[pa.Array]:
    """Give the arrays of dates and times of which an array is made."""
    kind = values.type
    if pa.types.is_date32(kind) or pa.types.is_timestamp(kind) or pa.types.is_time64(kind):
        yield values
    elif pa.types.is_map(kind):
        yield from _times(values.keys)
        yield from _times(values.items)
    elif pa.types.is_struct(kind):
        for one in values.flatten():
            yield from _times(one)
    elif pa.types.is_nested(kind) and not pa.types.is_union(kind):
        yield from _times(values.flatten())

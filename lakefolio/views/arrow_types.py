"""What of DuckDB's types Arrow and pandas hold, also within nested ones, and values that they would hold as others.

In Arrow a HUGEINT becomes a decimal that it need not fit, a TIMETZ loses its zone, a BIT becomes bytes that only DuckDB
reads, an infinite time a day far ahead, and the end of a day its beginning. In pandas a HUGEINT becomes a float.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import duckdb
import pyarrow as pa
from duckdb.sqltypes import DuckDBPyType

from lakefolio.format.sql_text import sql_id, sql_text

__all__ = [
    "AS_TEXT",
    "IN_PANDAS",
    "LOSSLESS",
    "arrow_type",
    "check_finite",
    "exact",
    "has_zoned_nanoseconds",
    "is_cut",
    "projected",
]

_TEXTS: Final = {"BIGNUM": "VARCHAR", "BIT": "VARCHAR", "TIME WITH TIME ZONE": "VARCHAR"}
AS_TEXT: Final = {**_TEXTS, "HUGEINT": "VARCHAR", "JSON": "VARCHAR", "UHUGEINT": "VARCHAR", "UUID": "VARCHAR"}
"""Types that Arrow or Parquet lack or change, as text, which is cast back without loss."""
LOSSLESS: Final = {**_TEXTS, "HUGEINT": "DECIMAL(38, 0)", "UHUGEINT": "DECIMAL(38, 0)"}
"""Types that Arrow changes, as others that hold their values; DuckDB refuses integers of more than 38 digits."""
IN_PANDAS: Final = {**_TEXTS, "HUGEINT": "BIGINT", "UHUGEINT": "UBIGINT"}
"""Types that pandas and numpy lack or change, likewise; DuckDB refuses integers of more than 64 bits."""
_INFINITE: Final = ("DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP_S")
_FLOAT_DIGITS: Final = 15
"""A decimal of so many digits is written as the nearest float is."""
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


def exact(relation: duckdb.DuckDBPyRelation, *, in_numpy: bool) -> duckdb.DuckDBPyRelation:
    """Return a relation that refuses values of its columns, nested ones too, that would come as others.

    Python and numpy have no infinite times and no months, Python no nanoseconds, numpy no decimals.

    Args:
        relation: The relation.
        in_numpy: Whether columns become arrays of numpy; else, and within structs and maps, objects of Python.
    """
    chosen = []
    for name, kind in zip(relation.columns, relation.types, strict=True):
        column = sql_id(name)
        cases = "".join(
            f"when {found} then error({sql_text(f'column {name!r} holds {what}')}) "
            for what, test in _CHANGED.items()
            if (found := _holds(column, kind, test, in_numpy)) is not None
        )
        chosen.append(f"case {cases}else {column} end as {column}" if cases else column)
    return relation.project(", ".join(chosen)) if any("error(" in one for one in chosen) else relation


def _infinite(value: str, kind: str, in_numpy: bool) -> str | None:
    return f"isinf({value})" if kind in _INFINITE else None


def _finer(value: str, kind: str, in_numpy: bool) -> str | None:
    is_lost = kind == "TIME_NS" or (kind == "TIMESTAMP_NS" and not in_numpy)
    return f"epoch_ns({value}) % 1000 <> 0" if is_lost else None


def _of_months(value: str, kind: str, in_numpy: bool) -> str | None:
    return f"(datepart('year', {value}) <> 0 or datepart('month', {value}) <> 0)" if kind == "INTERVAL" else None


def _of_digits(value: str, kind: str, in_numpy: bool) -> str | None:
    digits = re.fullmatch(r"DECIMAL\((\d+),\s*\d+\)", kind)
    if digits is None or not in_numpy or int(digits[1]) <= _FLOAT_DIGITS:
        return None
    return f"coalesce(try_cast(cast({value} as double) as {kind}) <> {value}, {value} is not null)"


_CHANGED: Final[Mapping[str, Callable[[str, str, bool], str | None]]] = {
    "an infinite time, which Python does not have": _infinite,
    "a time with nanoseconds, which Python does not have": _finer,
    "an interval of months or years, which Python does not have": _of_months,
    "a decimal of more digits than the float that it would become": _of_digits,
}
"""What a column may hold that would come as something else -> SQL that says so of a value of a type, if it can."""


def _holds(
    value: str, kind: object, test: Callable[[str, str, bool], str | None], in_numpy: bool, depth: int = 0
) -> str | None:
    """Return SQL that says whether a value is one that a test finds, or has one inside; None if its type has none."""
    if not isinstance(kind, DuckDBPyType) or kind.id not in (*_NESTED, "union"):
        return test(value, str(kind), in_numpy)
    inner = dict(kind.children)
    if kind.id in ("list", "array"):
        found = _holds(f"x{depth}", inner["child"], test, in_numpy, depth + 1)
        return None if found is None else f"len(list_filter({value}, lambda x{depth}: {found})) > 0"
    parts: list[tuple[str, object]]
    if kind.id == "map":
        lists = [(f"map_{one}s({value})", inner[one]) for one in ("key", "value")]
        tests = []
        for listed, of in lists:
            found = _holds(f"x{depth}", of, test, False, depth + 1)
            tests += [] if found is None else [f"len(list_filter({listed}, lambda x{depth}: {found})) > 0"]
        return " or ".join(tests) or None
    if kind.id == "union":
        parts = [(f"union_extract({value}, {sql_text(name)})", of) for name, of in kind.children]
    else:
        parts = [(f"struct_extract_at({value}, {at})", of) for at, (_, of) in enumerate(kind.children, 1)]
    tests = [found for part, of in parts if (found := _holds(part, of, test, False, depth)) is not None]
    return f"({' or '.join(tests)})" if tests else None


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


def is_cut(column: pa.ChunkedArray) -> bool:
    """Say whether DuckDB would cut off nanoseconds of a column: of times with a zone, nested ones too."""
    import pyarrow.compute as pc

    for leaf in (leaf for chunk in column.chunks for leaf in _times(chunk)):
        if pa.types.is_timestamp(leaf.type) and leaf.type.tz is not None and leaf.type.unit == "ns":
            numbers = leaf.view(pa.int64())
            if pc.any(pc.not_equal(pc.multiply(pc.divide(numbers, 1000), 1000), numbers)).as_py():
                return True
    return False


def has_zoned_nanoseconds(kind: pa.DataType) -> bool:
    """Say whether a type holds times of nanoseconds with a zone, which ``is_cut`` looks at."""
    return "timestamp[ns, tz=" in str(kind)


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

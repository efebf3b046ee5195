"""Python values as the cells of declared columns: each arrives as it is, or is refused (pure: no I/O).

Arrow converts more than it says: 1.5 for an int64 column becomes 1, 1e300 for a float32 infinity, a datetime for a date
loses its time, one without a zone is taken for UTC, a text for a binary column becomes bytes, bytes for a string column
a text, and a dict for a struct loses the fields that the struct lacks.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from lakefolio.errors import InvalidInputError
from lakefolio.records.types import is_json, shown_type

if TYPE_CHECKING:
    from lakefolio.records.problems import Problems
    from lakefolio.records.schema import TableSchema

__all__ = ["cell_of", "rows_of_mapping", "table_of_dicts"]

_NONE: Final = type(None)
_EXACT: Final[tuple[tuple[Any, frozenset[type]], ...]] = (
    (pa.types.is_integer, frozenset({int, _NONE})),
    (pa.types.is_float64, frozenset({float, int, _NONE})),
    (pa.types.is_boolean, frozenset({bool, _NONE})),
    (pa.types.is_string, frozenset({str, _NONE})),
    (pa.types.is_binary, frozenset({bytes, _NONE})),
    (pa.types.is_decimal, frozenset({Decimal, int, _NONE})),
)
"""The types of values that Arrow converts exactly or refuses, so that nobody needs to look at each of them."""


def rows_of_mapping(rows: Mapping[Any, Any], schema: TableSchema, name: str) -> list[Mapping[Any, Any]]:
    """Return the rows of a mapping: one row, or a dict of columns if its values are sequences of cells.

    Raises:
        InvalidInputError: It can be read both ways, or its columns differ in length.
    """
    if _is_one_row(rows, schema, name):
        return [rows]
    columns = [one.to_pylist() if isinstance(one, pa.Array) else list(one) for one in rows.values()]
    if len({len(one) for one in columns}) > 1:
        raise InvalidInputError(f"the columns for {name!r} differ in length", kind="invalid-rows")
    return [dict(zip(rows, one, strict=True)) for one in zip(*columns, strict=True)]


def _is_one_row(rows: Mapping[Any, Any], schema: TableSchema, name: str) -> bool:
    if not rows or not all(map(_is_sequence, rows.values())):
        return True
    declared = {key: schema.arrow.field(key) for key in rows if key in schema.arrow.names}
    if any(not (is_json(one) or pa.types.is_nested(one.type)) for one in declared.values()):
        return False  # a sequence is no number and no text
    as_row = all(_fits(rows[key], one) for key, one in declared.items())
    as_columns = all(_fits(cell, one) for key, one in declared.items() for cell in rows[key])
    if as_row and as_columns and any(len(value) for value in rows.values()):
        raise InvalidInputError(
            f"the dict for {name!r} may be one row or columns of rows",
            kind="invalid-rows",
            hint="give a list of dicts, one for each row",
        )
    return as_row


def _is_sequence(value: object) -> bool:
    """Say whether a value is a list, an array or a series; a text is one value, and sets have no order."""
    if isinstance(value, str | bytes | bytearray | memoryview | Mapping):
        return False
    return hasattr(value, "__len__") and hasattr(value, "__getitem__") and getattr(value, "ndim", 1) == 1


def table_of_dicts(rows: list[Mapping[str, Any]], schema: TableSchema, problems: Problems) -> pa.Table:
    """Return rows as a table of the columns that they name; those that the schema lacks are null.

    Raises:
        InvalidInputError: kind ``invalid-rows``: a value is none of its column's type.
    """
    columns: dict[str, pa.Array] = {}
    for key in dict.fromkeys(key for row in rows for key in row):
        values = [row.get(key) for row in rows]
        if key not in schema.arrow.names:
            columns[str(key)] = pa.nulls(len(rows))  # refused where frames' columns are
            continue
        one = schema.arrow.field(key)
        if is_json(one):
            values = [value if value is None or isinstance(value, str) else _json(value) for value in values]
        try:
            columns[key] = pa.array(values, one.type)
        except (pa.ArrowException, TypeError, ValueError, OverflowError, AttributeError):
            wrong = [number for number, value in enumerate(values) if not _fits(value, one)]
            wrong = wrong or list(range(len(values)))  # each of them fits alone
        else:
            exact = _exact(one.type, values)
            wrong = [] if exact else [number for number, value in enumerate(values) if not _same(value, one.type)]
        zone = " with a time zone" if pa.types.is_timestamp(one.type) and one.type.tz else ""
        problems.add(wrong, key, values, f"is no {shown_type(one)}{zone}")
    problems.check(len(rows))
    return pa.table(columns)


def _exact(kind: pa.DataType, values: list[Any]) -> bool:
    return any(one(kind) and types.issuperset(map(type, values)) for one, types in _EXACT)


def _json(value: object) -> object:
    """Return a value as JSON text; as it is if that would not say the same."""
    try:
        return json.dumps(value, allow_nan=False) if _has_texts_as_keys(value) else value
    except (TypeError, ValueError, RecursionError):
        return value


def _has_texts_as_keys(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _has_texts_as_keys(one) for key, one in value.items())
    return not isinstance(value, list | tuple) or all(map(_has_texts_as_keys, value))


def _fits(value: object, field: pa.Field) -> bool:
    """Say whether a value can be a cell of a column and is the same there."""
    if is_json(field) and value is not None and not isinstance(value, str):
        value = _json(value)
    try:
        pa.array([value], field.type)
    except (pa.ArrowException, TypeError, ValueError, OverflowError, AttributeError):
        return False
    return _same(value, field.type)


def cell_of(value: object, field: pa.Field) -> pa.Scalar | None:
    """Return a value as a cell of a column, or None if it can't be one, or would be another there."""
    if not _fits(value, field):
        return None
    return pa.scalar(_json(value) if is_json(field) and not isinstance(value, str) else value, field.type)


def _same(value: Any, kind: pa.DataType) -> bool:
    """Say whether a value that Arrow takes as a type loses nothing there."""
    types = pa.types
    if value is None:
        return True
    if types.is_integer(kind):
        return not isinstance(value, bool | np.bool_) and (hasattr(value, "__index__") or float(value).is_integer())
    if types.is_string(kind) or types.is_binary(kind):
        return isinstance(value, str) is bool(types.is_string(kind))
    if types.is_floating(kind):
        if isinstance(value, bool | np.bool_):
            return False
        if kind.bit_width == 64 or not math.isfinite(value):
            return True
        with np.errstate(over="ignore"):
            return math.isfinite(np.float32(value))
    if types.is_date(kind):
        return not isinstance(value, dt.datetime) and not (
            isinstance(value, np.datetime64) and value != value.astype("M8[D]")
        )
    if types.is_timestamp(kind):
        if isinstance(value, np.datetime64):
            return kind.tz is None and bool(value == value.astype("M8[us]"))
        zone = getattr(value, "tzinfo", None)
        return (zone is None) == (kind.tz is None) and not getattr(value, "nanosecond", 0)
    if types.is_struct(kind):
        known = {field.name: field.type for field in kind}
        return isinstance(value, Mapping) and all(key in known and _same(one, known[key]) for key, one in value.items())
    if types.is_map(kind):
        pairs = value.items() if isinstance(value, Mapping) else value
        return all(_same(key, kind.key_type) and _same(one, kind.item_type) for key, one in pairs)
    if not types.is_nested(kind):
        return True
    return _is_sequence(value) and all(_same(one, kind.value_type) for one in value)  # a text is no list of characters

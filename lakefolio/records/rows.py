"""Rows that are to be stored, made to fit a declared schema or refused, naming row and column (pure: no I/O)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.errors import InvalidInputError, UnsupportedTypeError, brief, nearest
from lakefolio.format.table_digest import table_digest
from lakefolio.process.imports import imported
from lakefolio.records.cells import rows_of_mapping, table_of_dicts
from lakefolio.records.expressions import computed
from lakefolio.records.problems import Problems
from lakefolio.records.types import is_json, shown_type

if TYPE_CHECKING:
    from lakefolio.records.schema import TableSchema

__all__ = ["as_tables", "check_rows", "fitted", "keys_twice"]

_PART_ROWS: Final = 250_000
_FIRST_DAY, _LAST_DAY = ((day - date(1970, 1, 1)).days for day in (date.min, date.max))
_DAY_US: Final = 86_400_000_000


def as_tables(rows: object, schema: TableSchema, name: str) -> Iterator[pa.Table]:
    """Give rows as Arrow tables of bounded size, whose columns are those of the schema as far as they are there.

    Args:
        rows: A pandas or polars frame, an Arrow table or reader of batches, a LazyFrame, a dict of columns, one dict
            or an iterable of dicts.
        schema: The declared schema.
        name: That of the table, for errors.

    Raises:
        UnsupportedTypeError: It is nothing like that.
        InvalidInputError: Values of Python are not of the type of their column.
    """
    pandas, polars = imported("pandas"), imported("polars")
    if polars is not None and isinstance(rows, polars.LazyFrame):
        rows = rows.collect()
    if pandas is not None and isinstance(rows, pandas.DataFrame):
        named = [one for one in rows.index.names if one is not None and one not in rows.columns]
        try:
            rows = pa.Table.from_pandas(rows.reset_index(level=named) if named else rows, preserve_index=False)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as exc:
            raise InvalidInputError(f"the frame for {name!r} can't be read: {brief(exc)}", kind="invalid-rows") from exc
    if isinstance(rows, pa.RecordBatch):
        rows = pa.Table.from_batches([rows])
    if isinstance(rows, Mapping):
        rows = rows_of_mapping(rows, schema, name)
    if isinstance(rows, pa.Table) or hasattr(rows, "__arrow_c_stream__"):
        yield from _of_arrow(rows, name)
    elif isinstance(rows, Iterable) and not isinstance(rows, str | bytes):
        yield from _of_dicts(rows, schema, name)
    else:
        raise UnsupportedTypeError(
            f"rows for {name!r} are of type {type(rows).__name__}",
            hint="give a frame, an Arrow table, a dict of columns or a list of dicts",
        )


def _of_arrow(rows: object, name: str) -> Iterator[pa.Table]:
    try:
        batches = [rows] if isinstance(rows, pa.Table) else map(_table, pa.RecordBatchReader.from_stream(rows))
        for batch in batches:
            batch.validate(full=True)  # text that is none would be stored, and fail whoever reads it
            yield from (batch.slice(at, _PART_ROWS) for at in range(0, max(1, batch.num_rows), _PART_ROWS))
    except pa.ArrowException as exc:
        raise InvalidInputError(f"the rows for {name!r} can't be read: {brief(exc)}", kind="invalid-rows") from exc


def _table(batch: pa.RecordBatch) -> pa.Table:
    return pa.Table.from_batches([batch])


def _of_dicts(rows: Iterable[object], schema: TableSchema, name: str) -> Iterator[pa.Table]:
    part: list[Mapping[str, Any]] = []
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise UnsupportedTypeError(
                f"row {number} for {name!r} is of type {type(row).__name__}", hint="give dicts, or a frame"
            )
        part.append(row)
        if len(part) == _PART_ROWS:
            yield table_of_dicts(part, schema, Problems(name, number + 1 - len(part)))
            part = []
    if part:
        yield table_of_dicts(part, schema, Problems(name, number + 1 - len(part)))


def fitted(rows: pa.Table, schema: TableSchema, name: str, first: int = 0) -> pa.Table:
    """Return rows in the columns and types of a schema; columns that are missing and may be are null.

    Nothing is converted that would lose anything: text is no number, 1.5 no integer, a time without zone no instant.

    Raises:
        InvalidInputError: kind ``bad-schema`` for columns that are unknown or missing, ``invalid-rows`` for values.
    """
    known = schema.arrow.names
    unknown = [one for one in rows.schema.names if one not in known]
    if unknown:
        raise InvalidInputError(
            f"table {name!r} has no column {unknown[0]!r}",
            kind="bad-schema",
            hint=nearest(str(unknown[0]), known) or "add it with migrate",
            column=str(unknown[0]),
        )
    if len(set(rows.schema.names)) < len(rows.schema.names):
        raise InvalidInputError(f"rows for {name!r} have two columns of one name", kind="bad-schema")
    missing = [one.name for one in schema.arrow if not one.nullable and one.name not in rows.schema.names]
    if missing:
        raise InvalidInputError(
            f"rows for {name!r} lack column {missing[0]!r}, which can't be missing",
            kind="bad-schema",
            column=missing[0],
        )
    problems = Problems(name, first)
    columns = []
    for one in schema.arrow:
        if one.name not in rows.schema.names:
            columns.append(pa.chunked_array([pa.nulls(rows.num_rows, one.type)]))
            continue
        column = rows.column(one.name)
        columns.append(_cast(column, one, problems))
    problems.check(rows.num_rows)
    return pa.Table.from_arrays(columns, schema=schema.arrow)


def _cast(column: pa.ChunkedArray, one: pa.Field, problems: Problems) -> pa.ChunkedArray:
    if column.type == one.type:
        return column
    if pa.types.is_dictionary(column.type):
        kind = pa.large_string() if pa.types.is_string_view(column.type.value_type) else column.type.value_type
        column = pa.chunked_array([chunk.dictionary.cast(kind).take(chunk.indices) for chunk in column.chunks], kind)
        if column.type == one.type:
            return column
    if not _may_cast(column.type, one.type):
        hint = "give its values a zone first" if pa.types.is_timestamp(column.type) else "convert it first"
        raise InvalidInputError(
            f"column {one.name!r} is of type {column.type}, expected {shown_type(one)}",
            kind="bad-schema",
            hint=hint,
            column=one.name,
        )
    try:
        made = column.cast(one.type)
        if not _comes_back(made, column):
            raise pa.ArrowInvalid("digits are lost")
    except (pa.ArrowException, OverflowError):
        wrong = [row for row in range(len(column)) if not _casts(column.slice(row, 1), one.type)] if len(column) else []
        problems.add(wrong or [0], one.name, column, f"is no {shown_type(one)}")
        return pa.chunked_array([pa.nulls(len(column), one.type)])
    return made


def _casts(value: pa.ChunkedArray, kind: pa.DataType) -> bool:
    try:
        return _comes_back(value.cast(kind), value)
    except (pa.ArrowException, OverflowError):
        return False


def _comes_back(made: pa.ChunkedArray, column: pa.ChunkedArray) -> bool:
    """Say whether a cast lost nothing; Arrow lets floats lose digits, alone, in lists and as decimals."""
    kind = made.type
    narrower = pa.types.is_decimal(kind) or (pa.types.is_floating(kind) and kind.bit_width < 64)
    if not (pa.types.is_nested(kind) or (narrower and pa.types.is_floating(column.type))):
        return True
    before = pa.table([column], names=["cells"])
    return table_digest(before) == table_digest(pa.table([made.cast(column.type)], schema=before.schema))


def _may_cast(old: pa.DataType, new: pa.DataType) -> bool:
    """Say whether values of a type may become those of another, as far as none of them loses anything."""
    numbers = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    if pa.types.is_null(old):
        return True
    if any(one(old) for one in numbers):
        return any(one(new) for one in numbers)
    if pa.types.is_date(old):
        return bool(pa.types.is_date(new))
    if pa.types.is_timestamp(old):
        return bool(pa.types.is_timestamp(new)) and (old.tz is None) == (new.tz is None)
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    if any(one(old) for one in texts):
        return bool(pa.types.is_string(new))
    if pa.types.is_binary(new):
        return bool(pa.types.is_large_binary(old) or pa.types.is_fixed_size_binary(old) or pa.types.is_binary_view(old))
    if pa.types.is_map(old) or pa.types.is_map(new):
        return bool(pa.types.is_map(old) and pa.types.is_map(new)) and (
            _may_cast(old.key_type, new.key_type) and _may_cast(old.item_type, new.item_type)
        )
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if any(one(old) for one in lists):
        return bool(pa.types.is_list(new)) and (
            old.value_type == new.value_type or _may_cast(old.value_type, new.value_type)
        )
    if pa.types.is_struct(old):
        names = {one.name for one in new} if pa.types.is_struct(new) else set()
        return {one.name for one in old} == names and all(
            one.type == new.field(one.name).type or _may_cast(one.type, new.field(one.name).type) for one in old
        )
    return bool(old == new)


def check_rows(rows: pa.Table, schema: TableSchema, name: str, first: int = 0) -> None:
    """Raise InvalidInputError (kind ``invalid-rows``) for rows that break a rule of the schema, of rows alone."""
    problems = Problems(name, first)
    for one in schema.arrow:
        column = rows.column(one.name)
        if not one.nullable and column.null_count:
            problems.add(_true(pc.is_null(column)), one.name, column, "is missing")
        if pa.types.is_timestamp(one.type) or pa.types.is_date(one.type):
            problems.add(_true(_out_of_years(column)), one.name, column, "is not in the years 1 to 9999")
        if is_json(one):
            wrong = [row for row, value in enumerate(column.to_pylist()) if value is not None and not _is_json(value)]
            problems.add(wrong, one.name, column, "is no JSON")
    conditions = schema.conditions
    if conditions and rows.num_rows:
        wanted = {check: one.expression for check, one in conditions.items()}
        try:
            holds = computed(rows, wanted)
        except pa.ArrowException as exc:
            raise InvalidInputError(
                f"the checks of {name!r} can't be computed: {brief(exc)}", kind="invalid-rows"
            ) from exc
        for check, condition in conditions.items():
            broken = pc.invert(holds.column(check)).fill_null(fill_value=True)
            if pc.any(broken).as_py():
                blamed = condition.columns[0] if condition.columns else schema.arrow.names[0]
                problems.add(_true(broken), blamed, rows.column(blamed), f"breaks {check!r}: {condition.text}")
    problems.check(rows.num_rows)


def _out_of_years(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Say of each time whether it lies in years that Python and Delta's other readers don't have."""
    days = pa.types.is_date(column.type)
    counted = column.cast(pa.int32() if days else pa.int64())
    first, last = _FIRST_DAY, _LAST_DAY + 1
    if not days:
        first, last = first * _DAY_US, last * _DAY_US
    return pc.or_(pc.less(counted, first), pc.greater_equal(counted, last)).fill_null(fill_value=False)


def _is_json(value: str) -> bool:
    try:
        json.loads(value, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(name: str) -> None:
    raise ValueError(name)


def _true(mask: pa.ChunkedArray) -> list[int]:
    found: list[int] = pc.indices_nonzero(mask).to_pylist()
    return found


def keys_twice(keys: pa.Table) -> list[int]:
    """Return the numbers of rows whose key an earlier row has."""
    numbered = keys.append_column("lakefolio row", pa.array(range(keys.num_rows), pa.int64()))
    names = keys.schema.names
    first = numbered.group_by(names).aggregate([("lakefolio row", "min")]).column("lakefolio row_min")
    if len(first) == keys.num_rows:
        return []
    return sorted(set(range(keys.num_rows)) - set(first.to_pylist()))

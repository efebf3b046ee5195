"""Rows that are to be stored, made to fit a declared schema or refused, naming row and column (pure: no I/O)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.errors import InvalidInputError, UnsupportedTypeError, nearest, one_line
from lakefolio.process.imports import imported
from lakefolio.records.expressions import computed
from lakefolio.records.types import is_json, shown_type

if TYPE_CHECKING:
    from lakefolio.records.schema import TableSchema

__all__ = ["Problems", "as_tables", "check_rows", "fitted", "keys_twice"]

_SHOWN: Final = 5
_PART_ROWS: Final = 250_000


class Problems:
    """The rows that don't fit, the first few with column and value; one error says all of them."""

    def __init__(self, name: str, first: int = 0) -> None:
        """Begin without any. ``name`` is that of the table, ``first`` the number of the first of these rows."""
        self._name = name
        self._first = first
        self._rows: set[int] = set()
        self.found: list[dict[str, Any]] = []

    def add(self, rows: Sequence[int], column: str, values: pa.ChunkedArray | Sequence[Any], problem: str) -> None:
        """Note some rows (numbers from 0) whose values of a column break a rule."""
        for row in rows[: max(0, _SHOWN - len(self.found))]:
            value = values[row]
            shown = value.as_py() if isinstance(value, pa.Scalar) else value
            self.found.append({"row": self._first + int(row), "column": column, "value": shown, "problem": problem})
        self._rows.update(map(int, rows))

    def check(self, total: int) -> None:
        """Raise InvalidInputError (kind ``invalid-rows``; its object ``rows`` has the first) if there are any."""
        if not self._rows:
            return
        said = "; ".join(
            f"row {one['row']}, column {one['column']!r}: {one_line(repr(one['value']), 40)} {one['problem']}"
            for one in self.found
        )
        raise InvalidInputError(
            f"{len(self._rows)} of {total} rows don't fit {self._name!r}: {said}",
            kind="invalid-rows",
            hint="nothing was stored; rows count from 0",
            rows=self.found,
            column=self.found[0]["column"],
        )


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
        try:
            rows = pa.Table.from_pandas(rows, preserve_index=False)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as exc:
            reason = (str(exc).splitlines() or ["?"])[0]
            raise InvalidInputError(f"the frame for {name!r} can't be read: {reason}", kind="invalid-rows") from exc
    if isinstance(rows, pa.RecordBatch):
        rows = pa.Table.from_batches([rows])
    if isinstance(rows, Mapping):
        one_row = not any(isinstance(one, Sequence) and not isinstance(one, str | bytes) for one in rows.values())
        if one_row or not all(isinstance(one, Iterable) for one in rows.values()):
            rows = [rows]
        else:
            lengths = {len(list(one)) for one in rows.values()}
            if len(lengths) > 1:
                raise InvalidInputError(f"the columns for {name!r} differ in length", kind="invalid-rows")
            names = list(rows)
            rows = [dict(zip(names, one, strict=True)) for one in zip(*rows.values(), strict=True)]
    if isinstance(rows, pa.Table):
        yield from (rows.slice(at, _PART_ROWS) for at in range(0, max(1, rows.num_rows), _PART_ROWS))
    elif hasattr(rows, "__arrow_c_stream__"):
        for batch in pa.RecordBatchReader.from_stream(rows):
            yield from (pa.Table.from_batches([batch.slice(at, _PART_ROWS)]) for at in range(0, len(batch), _PART_ROWS))
    elif isinstance(rows, Iterable) and not isinstance(rows, str | bytes):
        yield from _of_dicts(rows, schema, name)
    else:
        raise UnsupportedTypeError(
            f"rows for {name!r} are of type {type(rows).__name__}",
            hint="give a frame, an Arrow table, a dict of columns or a list of dicts",
        )


def _of_dicts(rows: Iterable[object], schema: TableSchema, name: str) -> Iterator[pa.Table]:
    part: list[Mapping[str, Any]] = []
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise UnsupportedTypeError(
                f"row {number} for {name!r} is of type {type(row).__name__}", hint="give dicts, or a frame"
            )
        part.append(row)
        if len(part) == _PART_ROWS:
            yield _table_of(part, schema, name, number + 1 - len(part))
            part = []
    if part:
        yield _table_of(part, schema, name, number + 1 - len(part))


def _table_of(rows: list[Mapping[str, Any]], schema: TableSchema, name: str, first: int) -> pa.Table:
    columns: dict[str, pa.Array] = {}
    problems = Problems(name, first)
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
            if not (pa.types.is_integer(one.type) and any(type(value) is bool for value in values)):
                continue
        except (pa.ArrowException, TypeError, ValueError, OverflowError, AttributeError):
            pass
        wrong = [number for number, value in enumerate(values) if not _fits(value, one.type)]
        problems.add(wrong, key, values, f"is no {shown_type(one)}")
    problems.check(len(rows))
    return pa.table(columns)


def _json(value: Any) -> Any:
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return value


def _fits(value: Any, kind: pa.DataType) -> bool:
    try:
        pa.array([value], kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError, AttributeError):
        return False
    return not (pa.types.is_integer(kind) and type(value) is bool)


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
        column = column.cast(column.type.value_type)
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
        if pa.types.is_floating(one.type) and one.type.bit_width < 64:
            same = pc.equal(made.cast(column.type), column).fill_null(fill_value=True)
            if not pc.all(pc.or_(same, pc.is_nan(column.cast(pa.float64())).fill_null(fill_value=False))).as_py():
                raise pa.ArrowInvalid("digits are lost")
    except (pa.ArrowException, OverflowError):
        wrong = [row for row in range(len(column)) if not _casts(column[row], one.type)] if len(column) else []
        problems.add(wrong or [0], one.name, column, f"is no {shown_type(one)}")
        return pa.chunked_array([pa.nulls(len(column), one.type)])
    return made


def _casts(value: pa.Scalar, kind: pa.DataType) -> bool:
    try:
        made = value.cast(kind)
    except (pa.ArrowException, OverflowError):
        return False
    return not (pa.types.is_floating(kind) and kind.bit_width < 64) or made.as_py() == value.as_py()


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
        if is_json(one):
            wrong = [row for row, value in enumerate(column.to_pylist()) if value is not None and not _is_json(value)]
            problems.add(wrong, one.name, column, "is no JSON")
    conditions = schema.conditions
    if conditions and rows.num_rows:
        wanted = {check: one.expression for check, one in conditions.items()}
        try:
            holds = computed(rows, wanted)
        except pa.ArrowException as exc:
            reason = (str(exc).splitlines() or ["?"])[0][:120]
            raise InvalidInputError(f"the checks of {name!r} can't be computed: {reason}", kind="invalid-rows") from exc
        for check, condition in conditions.items():
            broken = pc.invert(holds.column(check)).fill_null(fill_value=True)
            if pc.any(broken).as_py():
                blamed = condition.columns[0] if condition.columns else schema.arrow.names[0]
                problems.add(_true(broken), blamed, rows.column(blamed), f"breaks {check!r}: {condition.text}")
    problems.check(rows.num_rows)


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

"""Columns of plain Python values as Arrow columns that lose nothing of them (pure: no I/O).

Files such as JSON, Excel and SQLite have a type for each value, not for each column. A column is looked at whole
before it gets a type: integers beyond 64 bits become decimals or text, whole and other numbers together stay exact,
and values of several kinds become their texts.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa

from lakefolio.errors import InvalidInputError

__all__ = ["MOST_COLUMNS", "Guess", "checked_names", "reader_of"]

MOST_COLUMNS: Final = 100_000
_PART_BYTES: Final = 32 << 20
_CELL_BYTES: Final = 32
_PLAIN: Final = {
    bool: pa.bool_(),
    str: pa.string(),
    bytes: pa.binary(),
    dt.date: pa.date32(),
    dt.time: pa.time64("us"),
    dt.timedelta: pa.duration("us"),
}
_EXACT: Final = 2**53
_DIGITS: Final = 38


class Guess:
    """What the values of one column are; :meth:`type` is asked when all were seen."""

    def __init__(self) -> None:
        """See no value yet."""
        self._kinds: set[type] = set()
        self._largest = 0
        self._whole = self._fraction = 0
        self._zoned: set[bool] = set()
        self._nested: list[pa.DataType] = []
        self._mixed_nested = False

    def see(self, values: Iterable[Any]) -> None:
        """Look at some values."""
        nested = []
        for value in values:
            kind = type(value)
            if value is None:
                continue
            self._kinds.add(kind)
            if kind is int:
                self._largest = max(self._largest, abs(value), -value - 1 if value < 0 else 0)
            elif kind is Decimal:
                self._see_decimal(value)
            elif kind is dt.datetime:
                self._zoned.add(value.tzinfo is not None)
            elif kind in (dict, list):
                nested.append(value)
        if nested:
            self._see_nested(nested)

    def _see_decimal(self, value: Decimal) -> None:
        _, digits, exponent = value.as_tuple()
        if not isinstance(exponent, int):
            self._mixed_nested = True
            return
        self._fraction = max(self._fraction, -exponent, 0)
        self._whole = max(self._whole, len(digits) + exponent, 0)

    def _see_nested(self, values: list[Any]) -> None:
        try:
            self._nested.append(pa.array(values).type)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            self._mixed_nested = True

    def type(self) -> pa.DataType:
        """Return the type of the column."""
        kinds = self._kinds
        if not kinds:
            return pa.null()
        if kinds <= {int, float, Decimal}:
            return self._number()
        if len(kinds) > 1:
            return pa.string()
        (kind,) = kinds
        if kind is dt.datetime:
            if len(self._zoned) > 1:
                return pa.string()
            return pa.timestamp("us", "UTC") if self._zoned == {True} else pa.timestamp("us")
        if kind in (dict, list):
            return self._nested_type()
        return _PLAIN.get(kind, pa.string())

    def _number(self) -> pa.DataType:
        if self._kinds == {int}:
            if self._largest < 2**63:
                return pa.int64()
            return pa.decimal128(_DIGITS, 0) if self._largest < 10**_DIGITS else pa.string()
        if Decimal not in self._kinds:
            return pa.float64() if self._largest <= _EXACT else pa.string()
        if float in self._kinds or self._mixed_nested:
            return pa.string()
        whole = max(self._whole, len(str(self._largest)))
        return pa.decimal128(_DIGITS, self._fraction) if whole + self._fraction <= _DIGITS else pa.string()

    def _nested_type(self) -> pa.DataType:
        if self._mixed_nested:
            return pa.string()
        try:
            schemas = [pa.schema([("x", one)]) for one in self._nested]
            return pa.unify_schemas(schemas, promote_options="permissive").field("x").type
        except (pa.ArrowException, TypeError):
            return pa.string()


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool | dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, bytes):
        raise InvalidInputError("binary values and others stand in one column", kind="bad-table-file")
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _column(values: Sequence[object], kind: pa.DataType) -> pa.Array:
    if pa.types.is_string(kind):
        return pa.array([_text(value) for value in values], kind)
    return pa.array(values, kind)


def checked_names(names: Sequence[object], where: str) -> list[str]:
    """Return the names of columns as texts; InvalidInputError for one that is missing or there twice."""
    found = [str(name) if name is not None else "" for name in names]
    if len(found) > MOST_COLUMNS:
        raise InvalidInputError(
            f"{where} has {len(found):,} columns, at most {MOST_COLUMNS:,} are read", kind="too-large"
        )
    counts = Counter(found)
    for number, name in enumerate(found, 1):
        if not name.strip():
            raise InvalidInputError(f"column {number} of {where} has no name", kind="bad-table-file")
        if counts[name] > 1:
            raise InvalidInputError(f"{where} has two columns {name!r}", kind="bad-table-file", column=name)
    return found


def reader_of(names: Sequence[str], rows: Callable[[], Iterator[Sequence[Any]]]) -> pa.RecordBatchReader:
    """Return rows as a reader of batches. ``rows`` gives them from their beginning; it is asked twice."""
    guesses = [Guess() for _ in names]
    for part in _parts(rows()):
        for guess, values in zip(guesses, zip(*part, strict=True), strict=True):
            guess.see(values)
    schema = pa.schema([(name, guess.type()) for name, guess in zip(names, guesses, strict=True)])

    def batches() -> Iterator[pa.RecordBatch]:
        for part in _parts(rows()):
            columns = zip(*part, strict=True)
            yield pa.RecordBatch.from_arrays(
                [_column(values, one.type) for values, one in zip(columns, schema, strict=True)], schema=schema
            )

    return pa.RecordBatchReader.from_batches(schema, batches())


def _parts(rows: Iterator[Sequence[Any]]) -> Iterator[list[Sequence[Any]]]:
    """Give rows in parts of about as many bytes, however wide or long they are."""
    part: list[Sequence[Any]] = []
    room = _PART_BYTES
    for row in rows:
        part.append(row)
        room -= _CELL_BYTES * (len(row) + 1) + sum(len(value) for value in row if type(value) in (str, bytes))
        if room < 0:
            yield part
            part, room = [], _PART_BYTES
    if part:
        yield part

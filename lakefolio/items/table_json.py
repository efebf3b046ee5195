"""JSON files as tables (an array of objects, or an object a line) or as one value; numbers keep all of their digits."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from lakefolio.errors import InvalidInputError
from lakefolio.format.table_formats import compression_of
from lakefolio.items.csv_types import keeps_digits
from lakefolio.items.guessed_columns import checked_names, reader_of
from lakefolio.items.unpacked import unpacked
from lakefolio.render.text import counted

__all__ = ["open_json", "open_ndjson", "read_json_file"]

_LONGEST_LINE: Final = 64 << 20


def read_json_file(path: Path) -> object:
    """Return the value in a JSON file.

    A number with more digits than a float gives back becomes a Decimal, and a warning says so.

    Raises:
        InvalidInputError: If the file is no JSON, or an object has a key twice.
    """
    wide: list[str] = []

    def number(text: str) -> float | Decimal:
        if keeps_digits(text):
            return float(text)
        wide.append(text)
        return Decimal(text)

    try:
        found = json.loads(path.read_bytes(), parse_float=number, object_pairs_hook=_object)
    except (ValueError, RecursionError, OSError) as exc:
        raise InvalidInputError(
            f"{path.name!r} can't be read as JSON: {exc}",
            kind="bad-file",
            hint="keep it as it is, as an artifact",
            path=str(path),
        ) from exc
    if wide:
        warnings.warn(
            f"{path.name}: {counted(len(wide), 'number')} such as {wide[0][:60]} stored as Decimal, since a float "
            "would lose digits",
            UserWarning,
            stacklevel=3,
        )
    return found


@contextlib.contextmanager
def open_json(path: Path, table: str | None) -> Iterator[pa.RecordBatchReader]:
    """Open a JSON file that is an array of objects, or an object of columns; read whole. ``table`` is not used."""
    with _opened(path) as file:
        body = file.read()
    found = _parsed(body, path.name)
    if isinstance(found, dict) and found and all(isinstance(one, list) for one in found.values()):
        columns = list(found.values())
        if len({len(one) for one in columns}) > 1:
            raise InvalidInputError(f"the columns in {path.name!r} differ in length", kind="bad-table-file")
        rows: list[Any] = [dict(zip(found, row, strict=True)) for row in zip(*columns, strict=True)]
        names = list(found)
    elif isinstance(found, list):
        rows, names = found, []
    else:
        raise InvalidInputError(
            f"{path.name!r} is no table: a list of objects is expected", kind="bad-table-file", hint="add it as JSON"
        )
    names = _names(names, enumerate(rows, 1), path.name, "row")
    yield reader_of(names, lambda: ([row.get(name) for name in names] for row in rows))


@contextlib.contextmanager
def open_ndjson(path: Path, table: str | None) -> Iterator[pa.RecordBatchReader]:
    """Open a file of one JSON object a line; memory does not grow with it. ``table`` is not used."""
    names = _names([], _lines(path), path.name, "line")
    yield reader_of(names, lambda: ([row.get(name) for name in names] for _, row in _lines(path)))


def _names(names: list[str], rows: Any, where: str, what: str) -> list[str]:
    known = dict.fromkeys(names)
    number = 0
    for number, row in rows:
        if not isinstance(row, Mapping):
            raise InvalidInputError(
                f"{what} {number} of {where!r} is no object", kind="bad-table-file", hint="one object for each row"
            )
        known.update(dict.fromkeys(row))
    if number and not known:
        raise InvalidInputError(f"the objects in {where!r} are all empty", kind="bad-table-file")
    return checked_names(list(known), repr(where))


def _lines(path: Path) -> Iterator[tuple[int, Any]]:
    with _opened(path) as file:
        number = 0
        while line := file.readline(_LONGEST_LINE + 1):
            number += 1
            if len(line) > _LONGEST_LINE:
                raise InvalidInputError(f"line {number} of {path.name!r} is too long", kind="bad-table-file")
            if line.strip():
                yield number, _parsed(line, f"line {number} of {path.name}")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    compression = compression_of(path.name)
    with unpacked(path, compression) if compression else path.open("rb") as file:
        yield file


def _parsed(body: bytes, where: str) -> Any:
    try:
        return json.loads(body, parse_float=_number, parse_constant=_constant, object_pairs_hook=_object)
    except (ValueError, RecursionError) as exc:
        raise InvalidInputError(f"{where} is no JSON: {exc}", kind="bad-table-file") from exc


def _number(text: str) -> float | Decimal:
    return float(text) if keeps_digits(text) else Decimal(text)


def _constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"an object has the key {twice!r} more than once")
    return found

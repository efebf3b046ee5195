"""The types of columns: as people write them, as Arrow has them, and as a Delta schema says them (pure: no I/O)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import pyarrow as pa

from lakefolio.errors import FormatError, InvalidInputError, nearest
from lakefolio.format.checked_json import flag, listed, mapped, number, text

__all__ = ["JSON_NOTE", "from_delta", "is_json", "parse_type", "shown_type", "to_delta", "uses_naive_times"]

JSON_NOTE: Final = "lakefolio.json"
"""The key of a Delta field's metadata that says that its text is JSON."""

_MOST_DIGITS: Final = 38
_DEEPEST: Final = 50
_UTC: Final = pa.timestamp("us", "UTC")
_NAIVE: Final = pa.timestamp("us")

_DELTA: Final[dict[str, pa.DataType]] = {
    "byte": pa.int8(),
    "short": pa.int16(),
    "integer": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "string": pa.string(),
    "binary": pa.binary(),
    "date": pa.date32(),
    "timestamp": _UTC,
    "timestamp_ntz": _NAIVE,
}
_NAMES: Final = {kind: name for name, kind in _DELTA.items()}
_WRITTEN: Final[dict[str, pa.DataType]] = {
    "int8": pa.int8(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "int": pa.int64(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "float": pa.float64(),
    "double": pa.float64(),
    "bool": pa.bool_(),
    "boolean": pa.bool_(),
    "string": pa.string(),
    "str": pa.string(),
    "text": pa.string(),
    "bytes": pa.binary(),
    "binary": pa.binary(),
    "date": pa.date32(),
    "timestamp": _UTC,
    "datetime": _UTC,
    "timestamp_ntz": _NAIVE,
}
_WORD = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*|[<>(),:]|\d+|\"[^\"]+\")")


def parse_type(written: object) -> tuple[pa.DataType, bool]:
    """Return the type that a text, a Python type or an Arrow type names, and whether it is ``json``.

    Raises:
        InvalidInputError: kind ``bad-type``: there is no such type, or Delta tables have none like it.
    """
    if isinstance(written, pa.DataType):
        return _known(written), False
    if isinstance(written, type):
        written = written.__name__
    if not isinstance(written, str):
        raise _bad(repr(written), "expected a text such as 'int64'")
    if written.strip().lower() == "json":
        return pa.string(), True
    words = _WORD.findall(written)
    if "".join(words) != re.sub(r"\s+(?=([^\"]*\"[^\"]*\")*[^\"]*$)", "", written):
        raise _bad(written, "expected a name such as int64, decimal(10, 2), list<double> or struct<x: double>")
    stream = iter([*words, ""])
    kind, after = _parsed(written, stream, next(stream), 0)
    if after:
        raise _bad(written, f"{after!r} was not expected")
    return kind, False


def _parsed(whole: str, words: Iterator[str], word: str, depth: int) -> tuple[pa.DataType, str]:
    """Return the type that begins at ``word``, and the word after it."""
    name = word.lower()
    if depth > _DEEPEST:
        raise _bad(whole, "it is nested too deep")
    if name in _WRITTEN:
        return _WRITTEN[name], next(words)
    if name in ("decimal", "decimal128", "numeric"):
        digits, scale = _numbers(whole, words)
        return _known(pa.decimal128(digits, scale)), next(words)
    if name in ("list", "array", "map", "struct"):
        if next(words) != "<":
            raise _bad(whole, f"{name} needs its types in <>")
        if name == "struct":
            return _struct(whole, words, depth)
        inner, after = _parsed(whole, words, next(words), depth + 1)
        if name != "map":
            return _closed(whole, words, after, pa.list_(inner))
        if after != ",":
            raise _bad(whole, "a map needs two types: map<string, double>")
        value, after = _parsed(whole, words, next(words), depth + 1)
        return _closed(whole, words, after, pa.map_(inner, value))
    close = nearest(name, [*_WRITTEN, "json", "decimal", "list", "struct", "map"])
    raise _bad(whole, f"there is no type {word!r}", hint=close)


def _struct(whole: str, words: Iterator[str], depth: int) -> tuple[pa.DataType, str]:
    fields = []
    while True:
        name = next(words).strip('"')
        if not name or next(words) != ":":
            raise _bad(whole, "a struct is written struct<x: double, y: string>")
        kind, after = _parsed(whole, words, next(words), depth + 1)
        fields.append(pa.field(name, kind))
        if after != ",":
            return _closed(whole, words, after, pa.struct(fields))


def _closed(whole: str, words: Iterator[str], after: str, kind: pa.DataType) -> tuple[pa.DataType, str]:
    if after != ">":
        raise _bad(whole, "a > is missing")
    return kind, next(words)


def _numbers(whole: str, words: Iterator[str]) -> tuple[int, int]:
    found = [next(words, "") for _ in range(5)]
    if found[0] != "(" or found[2] != "," or found[4] != ")" or not (found[1].isdigit() and found[3].isdigit()):
        raise _bad(whole, "a decimal is written decimal(10, 2)")
    digits, scale = int(found[1]), int(found[3])
    if not 0 < digits <= _MOST_DIGITS or scale > digits:
        raise _bad(whole, f"a decimal has 1 to {_MOST_DIGITS} digits, no more of them after the point")
    return digits, scale


def _known(kind: pa.DataType) -> pa.DataType:
    """Return the type of a Delta table that holds all values of an Arrow type."""
    if kind in _NAMES:
        return kind
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind) or pa.types.is_fixed_size_binary(kind):
        return pa.binary()
    if pa.types.is_unsigned_integer(kind) and kind.bit_width < 64:
        return {8: pa.int16(), 16: pa.int32(), 32: pa.int64()}[kind.bit_width]
    if pa.types.is_float16(kind):
        return pa.float32()
    if pa.types.is_decimal(kind) and kind.precision <= _MOST_DIGITS and 0 <= kind.scale <= kind.precision:
        return pa.decimal128(kind.precision, kind.scale)
    if pa.types.is_date64(kind):
        return pa.date32()
    if pa.types.is_timestamp(kind):
        return _NAIVE if kind.tz is None else _UTC
    if pa.types.is_dictionary(kind):
        return _known(kind.value_type)
    if pa.types.is_null(kind):
        raise _bad("null", "a column without values says no type", hint="declare the column's type")
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(_known(kind.value_type))
    if pa.types.is_map(kind):
        return pa.map_(_known(kind.key_type), _known(kind.item_type))
    if pa.types.is_struct(kind) and kind.num_fields:
        return pa.struct([pa.field(one.name, _known(one.type), one.nullable) for one in kind])
    raise _bad(str(kind), "Delta tables have no such type", hint="store it as text, or as int64 or decimal(20, 0)")


def is_json(field: pa.Field) -> bool:
    """Say whether a column was declared as ``json``."""
    return (field.metadata or {}).get(JSON_NOTE.encode()) == b"true"


def shown_type(field: pa.Field) -> str:
    """Return a column's type as people write it."""
    return "json" if is_json(field) else _shown(field.type)


def _shown(kind: pa.DataType) -> str:
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision}, {kind.scale})"
    if pa.types.is_map(kind):
        return f"map<{_shown(kind.key_type)}, {_shown(kind.item_type)}>"
    if pa.types.is_list(kind):
        return f"list<{_shown(kind.value_type)}>"
    if pa.types.is_struct(kind):
        return "struct<" + ", ".join(f"{one.name}: {_shown(one.type)}" for one in kind) + ">"
    if kind == _UTC:
        return "timestamp"
    return "timestamp_ntz" if kind == _NAIVE else {"date32[day]": "date"}.get(str(kind), str(kind))


def uses_naive_times(kinds: Iterable[pa.DataType]) -> bool:
    """Say whether a time without zone is among types or inside of them, which Delta calls a feature."""
    return any(
        kind == _NAIVE or uses_naive_times([kind.field(n).type for n in range(kind.num_fields)]) for kind in kinds
    )


# -- Delta's words ----------------------------------------------------------------------------------------------------


def to_delta(schema: pa.Schema) -> str:
    """Return the ``schemaString`` of a Delta table."""
    return json.dumps({"type": "struct", "fields": [_delta_field(field) for field in schema]})


def _delta_field(field: pa.Field) -> dict[str, Any]:
    notes = {key.decode(): value.decode() for key, value in (field.metadata or {}).items() if key[:8] != b"PARQUET:"}
    return {"name": field.name, "type": _delta(field.type), "nullable": field.nullable, "metadata": notes}


def _delta(kind: pa.DataType) -> object:
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_map(kind):
        key, value = _delta(kind.key_type), _delta(kind.item_type)
        return {"type": "map", "keyType": key, "valueType": value, "valueContainsNull": True}
    if pa.types.is_list(kind):
        return {"type": "array", "elementType": _delta(kind.value_type), "containsNull": True}
    if pa.types.is_struct(kind):
        return {"type": "struct", "fields": [_delta_field(one) for one in kind]}
    return _NAMES[kind]


def from_delta(schema_string: str) -> pa.Schema:
    """Read a ``schemaString``; FormatError, ValueError or KeyError for one that is none."""
    return pa.schema([_arrow_field(one, 0) for one in listed(mapped(json.loads(schema_string))["fields"])])


def _arrow_field(value: object, depth: int) -> pa.Field:
    value = mapped(value)
    notes: Mapping[str, Any] = mapped(value.get("metadata") or {})
    known = {key: one if isinstance(one, str) else json.dumps(one) for key, one in notes.items()}
    return pa.field(text(value["name"]), _arrow(value["type"], depth), flag(value.get("nullable", True)), known or None)


def _arrow(said: object, depth: int) -> pa.DataType:
    if depth > _DEEPEST:
        raise FormatError("a Delta schema is nested too deep", kind="table-schema")
    if isinstance(said, str):
        if said in _DELTA:
            return _DELTA[said]
        if found := re.fullmatch(r"decimal\((\d{1,2}),\s*(\d{1,2})\)", said):
            return pa.decimal128(number(int(found[1]), 1), number(int(found[2]), 0))
        raise FormatError(f"this library reads no Delta columns of type {said[:60]!r}", kind="table-schema")
    said = mapped(said)
    match said.get("type"):
        case "array":
            return pa.list_(_arrow(said["elementType"], depth + 1))
        case "map":
            return pa.map_(_arrow(said["keyType"], depth + 1), _arrow(said["valueType"], depth + 1))
        case "struct":
            return pa.struct([_arrow_field(one, depth + 1) for one in listed(said["fields"])])
    raise FormatError(f"this library reads no Delta columns of type {str(said)[:60]!r}", kind="table-schema")


def _bad(written: str, problem: str, *, hint: str | None = None) -> InvalidInputError:
    return InvalidInputError(f"type {written[:100]!r}: {problem}", kind="bad-type", hint=hint, type=written)

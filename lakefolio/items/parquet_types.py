"""Arrow columns as the types that Parquet holds, and back (FORMAT.md, "Kind table").

A column whose type Parquet lacks is stored as one that every reader understands: a dictionary that isn't text as its
values, a view as its plain type. :func:`from_stored` gives the column back as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.errors import InvalidInputError
from lakefolio.format.column_digest import grow_dictionary
from lakefolio.items.arrow_nested import children, rebuilt, with_children

__all__ = ["check_schema", "from_stored", "is_composite", "memory_bytes", "storage_type", "to_stored"]

_DIRECT: Final = (pa.string(), pa.large_string(), pa.binary(), pa.large_binary())
"""Values of a dictionary that Parquet writes and reads as a dictionary."""
_DEEPEST: Final = 48
"""Arrow writes batches of 64 levels; from version 26 on it reads Parquet schemas of 100, and a list takes two there."""


def check_schema(schema: pa.Schema) -> None:
    """Refuse a schema that can't be stored.

    Raises:
        InvalidInputError: For two columns of one name, and for types without a counterpart in Parquet.
    """
    seen: set[str] = set()
    twice = sorted({name for name in schema.names if name in seen or seen.add(name)})  # type: ignore[func-returns-value]
    if twice:
        raise InvalidInputError(
            f"the table has more than one column named {', '.join(map(repr, twice[:5]))}",
            kind="duplicate-columns",
            hint="rename or drop the duplicates",
            columns=twice,
        )
    for field in schema:
        problem = _unsupported(field.type)
        if problem is None and _depth(field.type) > _DEEPEST:
            problem = f"types nested more than {_DEEPEST} deep, a map being two"
        if problem is not None:
            raise InvalidInputError(
                f"column {field.name!r} of the type {field.type} can't be stored: Parquet has nothing for {problem}",
                kind="unsupported-column",
                hint="cast the column first",
                column=field.name,
            )


def _depth(kind: pa.DataType) -> int:
    """Return how many types lie in one another, itself included; a map holds structs."""
    if isinstance(kind, pa.BaseExtensionType):
        return _depth(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return _depth(kind.value_type)
    return 1 + max((_depth(child.type) for child in children(kind)), default=0)


def _unsupported(kind: pa.DataType) -> str | None:
    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return _unsupported(kind.storage_type)
    if types.is_union(kind) or types.is_run_end_encoded(kind) or str(kind) == "month_day_nano_interval":
        return str(kind)
    if types.is_dictionary(kind):
        if _has_dictionary(kind.value_type):
            return "a dictionary of dictionaries"
        return _unsupported(kind.value_type)
    if types.is_struct(kind) and not kind.num_fields:
        return "a struct without fields"
    if types.is_fixed_size_list(kind) and not kind.list_size:
        return "a fixed-size list of size 0"
    if types.is_fixed_size_binary(kind) and not kind.byte_width:
        return "binary of 0 bytes"
    if types.is_decimal(kind) and not 0 <= kind.scale <= kind.precision:
        return f"a decimal with the scale {kind.scale}"
    if types.is_struct(kind) and len({field.name for field in kind}) < kind.num_fields:
        return "a struct with two fields of one name"
    return next((found for child in children(kind) if (found := _unsupported(child.type))), None)


def is_composite(kind: pa.DataType) -> bool:
    """Say whether a type holds a dictionary or is an extension, at any depth."""
    return (
        isinstance(kind, pa.BaseExtensionType)
        or pa.types.is_dictionary(kind)
        or any(is_composite(child.type) for child in children(kind))
    )


def _has_dictionary(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.BaseExtensionType):
        return _has_dictionary(kind.storage_type)
    return pa.types.is_dictionary(kind) or any(_has_dictionary(child.type) for child in children(kind))


def storage_type(kind: pa.DataType, *, top: bool = True) -> pa.DataType:
    """Return the type that a column is stored as; ``top`` is False inside of lists, structs and maps."""
    types = pa.types
    if types.is_dictionary(kind):
        return kind if top and kind.value_type in _DIRECT else storage_type(kind.value_type, top=False)
    if types.is_timestamp(kind) and (kind.tz or "")[:1] in ("+", "-"):
        return pa.timestamp(kind.unit, "UTC")  # polars 2.1 panics on a file with a zone that is an offset
    if types.is_string_view(kind):
        return pa.large_string()  # pyarrow 26 can't write slices of views inside lists and structs
    if types.is_binary_view(kind):
        return pa.large_binary()
    if types.is_list_view(kind) or types.is_large_list_view(kind):
        make = pa.list_view if types.is_list_view(kind) else pa.large_list_view
        return make(kind.value_field.with_type(storage_type(kind.value_type, top=False)))
    return with_children(kind, partial(storage_type, top=False))


def memory_bytes(table: pa.Table) -> int:
    """Return the memory of a table, and of the copies that exist for a moment while it is read."""
    size_bytes: int = table.nbytes
    for column, field in zip(table.columns, table.schema, strict=True):
        if _has_dictionary(field.type) and storage_type(field.type) != field.type:
            size_bytes += to_stored(column, storage_type(field.type)).nbytes
    return size_bytes


def to_stored(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Return a column as ``kind``, the ``storage_type`` of its type: the same values."""
    if column.type == kind:
        if pa.types.is_dictionary(kind):
            chunks = [_without_null_entries(chunk) for chunk in column.chunks]
            return pa.chunked_array(chunks, kind)
        return column
    return pa.chunked_array([_decoded(chunk, kind) for chunk in column.chunks], kind)


def _without_null_entries(array: pa.DictionaryArray) -> pa.DictionaryArray:
    if not array.dictionary.null_count:
        return array
    values, codes = grow_dictionary(pa.array([], array.type.value_type), array.dictionary)
    indices = codes.take(array.indices).cast(array.type.index_type)
    return pa.DictionaryArray.from_arrays(indices, values, ordered=array.type.ordered)


def _decoded(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return ``array`` as the type it is stored as: the same values without dictionaries."""
    if array.type == kind:
        return array
    if pa.types.is_dictionary(array.type):
        return _decoded(array.dictionary.take(array.indices), kind)
    if not pa.types.is_nested(array.type):
        return array.cast(kind)
    return rebuilt(array, kind, _decoded)


def from_stored(
    column: pa.ChunkedArray, kind: pa.DataType, place: str, known: Mapping[str, pa.Array]
) -> pa.ChunkedArray:
    """Return a stored column as the type that it had.

    Args:
        column: The column of the file.
        kind: The type that it had.
        place: Where it stands: the number of the column, and of each field below it.
        known: Place -> the values of the dictionary there.
    """
    if column.type == kind and not _has_dictionary(kind):
        return column
    chunks = column.chunks or [pa.array([], column.type)]
    return pa.chunked_array([_restored_array(chunk, kind, place, known) for chunk in chunks], kind)


def _restored_array(array: pa.Array, kind: pa.DataType, place: str, known: Mapping[str, pa.Array]) -> pa.Array:
    if pa.types.is_dictionary(kind):
        return _dictionary(array, kind, place, known)
    if not _has_dictionary(kind):
        if array.type == kind:
            return array
        if not pa.types.is_nested(kind):
            return array.cast(kind)
    if pa.types.is_struct(kind):
        places = iter([f"{place}.{position}" for position in range(kind.num_fields)])
    elif pa.types.is_map(kind):
        places = iter([f"{place}.0.0", f"{place}.0.1"])
    else:
        places = iter([f"{place}.0"])
    return rebuilt(array, kind, lambda child, to: _restored_array(child, to, next(places), known))


def _dictionary(array: pa.Array, kind: pa.DataType, place: str, known: Mapping[str, pa.Array]) -> pa.Array:
    if pa.types.is_dictionary(array.type):
        values, indices = array.dictionary, array.indices
    else:
        encoded = None if pa.types.is_nested(array.type) else pc.dictionary_encode(array)
        values = array if encoded is None else encoded.dictionary
        indices = pa.array(np.arange(len(array), dtype=np.int64)) if encoded is None else encoded.indices
    wanted = known[place]
    if values.type != wanted.type:
        values = values.cast(wanted.type)
    _, codes = grow_dictionary(wanted, values)
    indices = codes.take(indices) if len(codes) else pa.nulls(len(indices), pa.uint32())
    return pa.DictionaryArray.from_arrays(indices.cast(kind.index_type), wanted, ordered=kind.ordered)

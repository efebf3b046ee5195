"""The columns of a Parquet file below those of an Arrow schema, and which of them have statistics (pure).

The bounds of a row group leave NaN out (Parquet, "Statistics"). So a reader that skips row groups by them does not find
NaN where it should: DuckDB, for which NaN is the largest number, under ``x > 5``, Arrow under ``x != 5``, and what they
find depends on which rows lie together. Columns of floats therefore have no bounds in any file of a lake.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

__all__ = ["bounded_columns", "has_floats", "leaves"]


def leaves(kind: pa.DataType, path: str) -> Iterator[tuple[str, pa.DataType]]:
    """Give the path of each Parquet column below an Arrow column, and its type."""
    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        yield from leaves(kind.storage_type, path)
    elif types.is_struct(kind):
        for field in kind:
            yield from leaves(field.type, f"{path}.{field.name}")
    elif types.is_map(kind):
        yield from leaves(kind.key_type, f"{path}.key_value.key")
        yield from leaves(kind.item_type, f"{path}.key_value.value")
    elif types.is_nested(kind):
        yield from leaves(kind.value_type, f"{path}.list.element")
    else:
        yield path, kind


def bounded_columns(schema: pa.Schema) -> list[str]:
    """Return the paths of the columns that have bounds; of columns that share a path none, if one of them is floats."""
    below = [found for field in schema for found in leaves(field.type, field.name)]
    without = {path for path, kind in below if _is_float(kind)}
    return [path for path, _ in below if path not in without]


def has_floats(schema: pa.Schema) -> bool:
    """Say whether a column, or a part of one, is of floats."""
    return any(_is_float(kind) for field in schema for _, kind in leaves(field.type, field.name))


def _is_float(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind.value_type if pa.types.is_dictionary(kind) else kind))

"""Nested Arrow types and arrays, walked and rebuilt; pyarrow's casts don't do it for every kind of list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.format.column_digest import map_as_list

__all__ = ["children", "rebuilt", "with_children"]


def children(kind: pa.DataType) -> list[pa.Field]:
    """Return the fields of a nested type, none of any other."""
    return [kind.field(index) for index in range(kind.num_fields)] if pa.types.is_nested(kind) else []


def with_children(kind: pa.DataType, change: Callable[[pa.DataType], pa.DataType]) -> pa.DataType:
    """Return a struct, map or list with the types of its children changed; any other type as it is, list views too."""

    def changed(field: pa.Field) -> pa.Field:
        return field.with_type(change(field.type))

    types = pa.types
    if types.is_struct(kind):
        return pa.struct(list(map(changed, kind)))
    if types.is_map(kind):
        return pa.map_(changed(kind.key_field), changed(kind.item_field), keys_sorted=kind.keys_sorted)
    if types.is_fixed_size_list(kind):
        return pa.list_(changed(kind.value_field), kind.list_size)
    if types.is_large_list(kind):
        return pa.large_list(changed(kind.value_field))
    return pa.list_(changed(kind.value_field)) if types.is_list(kind) else kind


def rebuilt(array: pa.Array, kind: pa.DataType, convert: Callable[[pa.Array, pa.DataType], pa.Array]) -> pa.Array:
    """Return a nested array with its children converted to those of ``kind``."""
    types = pa.types
    if types.is_struct(kind):
        parts = [convert(child, field.type) for child, field in zip(array.flatten(), kind, strict=True)]
        return pa.StructArray.from_arrays(parts, fields=list(kind), mask=_mask(array))
    if types.is_map(kind):
        lists = map_as_list(array)
        entries = lists.flatten()
        keys, items = (
            convert(entries.field(index), field.type) for index, field in enumerate((kind.key_field, kind.item_field))
        )
        offsets = _list_offsets(lists, np.int32)
        return pa.MapArray.from_arrays(pa.array(offsets, mask=_offset_mask(lists)), keys, items, type=kind)
    if types.is_fixed_size_list(kind):
        # with the values under nulls: leaving them out would shift the items behind
        items = array.values.slice(array.offset * kind.list_size, len(array) * kind.list_size)
        return pa.FixedSizeListArray.from_arrays(convert(items, kind.value_type), type=kind, mask=_mask(array))
    items = convert(pc.list_flatten(array), kind.value_type)
    large = types.is_large_list(kind) or types.is_large_list_view(kind)
    maker: Any
    if types.is_list_view(kind) or types.is_large_list_view(kind):
        maker = pa.LargeListViewArray if large else pa.ListViewArray
        bounds = _list_offsets(array, np.int64 if large else np.int32)
        return maker.from_arrays(bounds[:-1], np.diff(bounds), items, type=kind, mask=_mask(array))
    maker = pa.LargeListArray if large else pa.ListArray
    offsets = pa.array(_list_offsets(array, np.int64 if large else np.int32), mask=_offset_mask(array))
    return maker.from_arrays(offsets, items, type=kind)


def _mask(array: pa.Array) -> pa.Array | None:
    return array.is_null() if array.null_count else None


def _list_offsets(array: pa.Array, dtype: Any) -> np.ndarray[Any, Any]:
    lengths = pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False)
    return np.concatenate([[0], np.cumsum(lengths)]).astype(dtype)


def _offset_mask(array: pa.Array) -> np.ndarray[Any, Any] | None:
    return np.append(np.asarray(array.is_null()), False) if array.null_count else None

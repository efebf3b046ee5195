"""JSON texts of a lake as SQL is given them: none nested so deep that one of DuckDB's functions ends the process.

``json_contains``, ``json_merge_patch`` and ``json_structure`` recurse once for each level (DuckDB 1.4: the stack of
8 MiB ends at about 20,000 levels). What this library writes is nested at most 200 deep; a text of anyone else that is
nested deeper than can be looked at is null, and a warning says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.process.notice import LakefolioWarning, notice
from lakefolio.render.text import counted

__all__ = ["DEPTH_LIMIT", "shallow"]

DEPTH_LIMIT: Final = 1_000
"""A tag of kind ``json`` takes up to four levels of text for one of a value; threads of other systems have 512 KiB."""


def shallow(name: str, table: pa.Table) -> pa.Table:
    """Return a table whose texts are all nested at most ``DEPTH_LIMIT`` deep; the same object if they are.

    Args:
        name: The name of the table, for the warning.
        table: The rows; texts lie in its columns, or in structs in lists.
    """
    lost = 0

    def bounded(values: pa.Array) -> pa.Array:
        nonlocal lost
        deep = _deep(values)
        lost += len(deep)
        if not deep:
            return values
        mask = pa.array([row in deep for row in range(len(values))])
        return pc.if_else(mask, pa.scalar(None, values.type), values)

    for number, field in enumerate(table.schema):
        chunks = table.column(number).chunks
        found = [_texts(chunk, bounded) for chunk in chunks]
        if any(new is not old for new, old in zip(found, chunks, strict=True)):
            column = pa.chunked_array(found, field.type)
            table = table.set_column(number, field.with_nullable(True), column)
    if lost:
        message = f"SQL is given null for {counted(lost, 'text')} of {name!r} nested more than {DEPTH_LIMIT:,} deep"
        notice(LakefolioWarning(message, kind="texts-too-deep", hint="lakefolio writes none such: another program did"))
    return table


def _texts(values: pa.Array, bounded: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """Return an array with its texts bounded, those in structs and lists too; the same object if none changed."""
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return bounded(values)
    if pa.types.is_list(kind):
        inner = values.flatten() if values.offset or values.null_count else values.values
        found = _texts(inner, bounded)
        if found is inner:
            return values
        lengths = pc.fill_null(pc.list_value_length(values), 0)
        offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths).cast(pa.int32())])
        return pa.ListArray.from_arrays(offsets, found, kind, mask=values.is_null())
    if pa.types.is_struct(kind):
        inner = values.flatten()
        found = [_texts(one, bounded) for one in inner]
        if all(new is old for new, old in zip(found, inner, strict=True)):
            return values
        return pa.StructArray.from_arrays(found, fields=list(kind), mask=values.is_null())
    return values


def _deep(values: pa.Array) -> set[int]:
    """Return the numbers of the texts that may be nested too deep: such a text is long, and has many brackets."""
    lengths = _lengths(values)
    if not lengths.size or lengths.max() <= DEPTH_LIMIT:
        return set()
    long = np.flatnonzero(lengths > DEPTH_LIMIT).tolist()
    return {row for row in long if _depth(values[row].as_py() or "") > DEPTH_LIMIT}


def _lengths(values: pa.Array) -> np.ndarray[Any, Any]:
    """Return how many bytes the texts take, straight from their offsets: half a millisecond for a million."""
    if not len(values):
        return np.zeros(0, np.int32)
    offsets = np.frombuffer(values.buffers()[1] or b"", np.int64 if pa.types.is_large_string(values.type) else np.int32)
    return np.diff(offsets[values.offset : values.offset + len(values) + 1])


def _depth(text: str) -> int:
    """Return how deep the brackets of a text nest, those in its strings left out; no more than DEPTH_LIMIT + 1."""
    if text.count("[") + text.count("{") <= DEPTH_LIMIT:
        return 0
    depth, inside, escaped = 0, False, False
    for char in text:
        if inside:
            inside, escaped = escaped or char != '"', not escaped and char == "\\"
        elif char == '"':
            inside = True
        elif char in "[{":
            depth += 1
            if depth > DEPTH_LIMIT:
                return depth
        elif char in "]}":
            depth -= 1
    return 0

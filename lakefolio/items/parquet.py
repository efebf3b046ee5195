"""Arrow tables as Parquet files that give exactly the same table back (FORMAT.md, "Kind table").

Parquet alone loses some of Arrow: dictionaries that aren't text, values of a dictionary that no row uses, time in
seconds and 64-bit dates, the number of rows of a table without columns. So the file holds what other readers
understand, and under the key ``lakefolio:table`` in its footer a JSON document that says what it was:
``{"dictionaries": {place: base64}, "rows": n, "schema": base64, "version": 1}`` with an Arrow IPC schema and
Arrow IPC streams of one column. Readers that don't know it still read every value.
"""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.errors import InvalidInputError
from lakefolio.format.digest import TableDigest, grow_dictionary
from lakefolio.items import arrow_ipc
from lakefolio.items.arrow_nested import children, leaves, rebuilt
from lakefolio.items.parquet_bounds import check_bounds, limit_bytes

if TYPE_CHECKING:
    import pyarrow.parquet as pq

__all__ = [
    "FOOTER_KEY",
    "check_file",
    "check_schema",
    "is_composite",
    "logical_digest",
    "memory_bytes",
    "read_table",
    "schema_of",
    "stored_schema",
    "write_batches",
]

FOOTER_KEY: Final = b"lakefolio:table"
_OURS: Final = (b"lakefolio:", b"ARROW:schema")
_GROUP_ROWS: Final = 1 << 20
_GROUP_BYTES: Final = 64 << 20
_SAMPLE_ROWS: Final = 1 << 14
_THREADS_FROM_BYTES: Final = 8 << 20
_DIRECT: Final = (pa.string(), pa.large_string(), pa.binary(), pa.large_binary())
"""Values of a dictionary that Parquet writes and reads as a dictionary."""


def check_schema(schema: pa.Schema) -> None:
    """Refuse what can't be stored.

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
        if problem is not None:
            raise InvalidInputError(
                f"column {field.name!r} of the type {field.type} can't be stored: Parquet has nothing for {problem}",
                kind="unsupported-column",
                hint="cast the column first",
                column=field.name,
            )


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
    if types.is_decimal(kind) and not 0 <= kind.scale <= kind.precision:
        return f"a decimal with the scale {kind.scale}"
    if types.is_struct(kind) and len({field.name for field in kind}) < kind.num_fields:
        return "a struct with two fields of one name"
    return next((found for child in children(kind) if (found := _unsupported(child.type))), None)


def write_batches(
    batches: Iterable[pa.Table],
    schema: pa.Schema,
    target: object,
    dictionaries: Callable[[], Mapping[str, pa.Array]],
    extra: Mapping[bytes, bytes] | None = None,
) -> int:
    """Write batches as one file and return the number of rows; holds one row group in memory.

    Args:
        batches: Tables of ``schema``.
        schema: What comes back.
        target: A path, or a file to write to.
        dictionaries: Called after the last batch: the values of each dictionary, by place.
        extra: Entries of the footer for other readers.

    Raises:
        InvalidInputError: kind ``unsupported-column`` if Parquet can't hold a value; ``column`` names it.
    """
    import pyarrow.parquet as pq

    stored = pa.schema(
        [field.with_type(_storage_type(field.type)) for field in schema],
        {
            **{key: value for key, value in (schema.metadata or {}).items() if not key.startswith(_OURS)},
            **(extra or {}),
        },
    )
    rows = 0
    groups = _groups(batches)
    first = next(groups, None)
    below = {path: (field.name, kind) for field in stored for path, kind in leaves(field.type, field.name)}
    dense = set() if first is None else {name for name in first.column_names if not _shrinks(first[name])}
    squeezed = {path: name not in dense for path, (name, _) in below.items()}
    with pq.ParquetWriter(
        str(target) if isinstance(target, Path) else target,
        stored,
        # level 1 is as fast as snappy here and a tenth smaller
        compression={path: "zstd" if worth else "none" for path, worth in squeezed.items()},
        compression_level={path: 1 for path, worth in squeezed.items() if worth} or None,
        use_dictionary=[path for path, (_, kind) in below.items() if _is_text(kind)] or False,
        # whole numbers and times as differences: smaller, and written and read in a third of the time
        column_encoding={path: "DELTA_BINARY_PACKED" for path, (_, kind) in below.items() if _is_whole(kind)} or None,
        store_schema=True,
    ) as writer:
        for batch in itertools.chain([] if first is None else [first], groups):
            columns = [_stored(column, field.type) for column, field in zip(batch.columns, stored, strict=True)]
            rows += batch.num_rows
            if columns:
                group = pa.Table.from_arrays(columns, schema=stored)
                try:
                    writer.write_table(group, row_group_size=_GROUP_ROWS)
                except pa.ArrowInvalid as exc:
                    raise _misfit(group, exc) from exc
        writer.add_key_value_metadata({FOOTER_KEY: _footer(schema, dictionaries(), rows)})
    return rows


def _misfit(table: pa.Table, failed: pa.ArrowInvalid) -> InvalidInputError:
    """Return the error that names the column with a value which Parquet can't hold, such as a time out of its range."""
    import pyarrow.parquet as pq

    for place, field in enumerate(table.schema):
        try:
            pq.write_table(table.select([place]), pa.BufferOutputStream())
        except pa.ArrowInvalid as exc:
            return InvalidInputError(
                f"column {field.name!r} of the type {field.type} holds a value that Parquet can't hold: {exc}",
                kind="unsupported-column",
                hint="leave it out, or cast it to int64",
                column=field.name,
            )
    return InvalidInputError(f"the table can't be written as Parquet: {failed}", kind="unsupported-column")


def _groups(batches: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Join small batches, because each call of the writer makes a row group."""
    waiting: list[pa.Table] = []
    rows = size = 0
    for batch in batches:
        if not batch.num_columns:
            yield batch  # joining such tables would lose their number of rows
            continue
        if not batch.num_rows:
            continue
        waiting.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows >= _GROUP_ROWS or size >= _GROUP_BYTES:
            yield pa.concat_tables(waiting)
            waiting, rows, size = [], 0, 0
    if waiting:
        yield pa.concat_tables(waiting)


_LISTS: Final[dict[str, Callable[[pa.Field], pa.DataType]]] = {
    "list": pa.list_,
    "large_list": pa.large_list,
    "list_view": pa.list_view,
    "large_list_view": pa.large_list_view,
}


def _storage_type(kind: pa.DataType, *, top: bool = True) -> pa.DataType:
    types = pa.types
    if types.is_dictionary(kind):
        return kind if top and kind.value_type in _DIRECT else _storage_type(kind.value_type, top=False)
    if types.is_timestamp(kind) and (kind.tz or "")[:1] in ("+", "-"):
        return pa.timestamp(kind.unit, "UTC")  # polars 2.1 panics on a file with a zone that is an offset
    if types.is_string_view(kind):
        return pa.large_string()  # pyarrow 26 can't write slices of views inside lists and structs
    if types.is_binary_view(kind):
        return pa.large_binary()
    if types.is_struct(kind):
        return pa.struct([field.with_type(_storage_type(field.type, top=False)) for field in kind])
    if types.is_map(kind):
        key, item = (
            field.with_type(_storage_type(field.type, top=False)) for field in (kind.key_field, kind.item_field)
        )
        return pa.map_(key, item, keys_sorted=kind.keys_sorted)
    if types.is_fixed_size_list(kind):
        return pa.list_(kind.value_field.with_type(_storage_type(kind.value_type, top=False)), kind.list_size)
    for name, make in _LISTS.items():
        if getattr(types, f"is_{name}")(kind):
            return make(kind.value_field.with_type(_storage_type(kind.value_type, top=False)))
    return kind


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_dictionary(kind) or any(word in str(kind) for word in ("string", "binary"))


def _is_whole(kind: pa.DataType) -> bool:
    """Say whether Parquet holds values as whole numbers of 32 or 64 bits."""
    return pa.types.is_integer(kind) or (pa.types.is_temporal(kind) and not pa.types.is_interval(kind))


def _shrinks(column: pa.ChunkedArray) -> bool:
    """Say whether zstd is worth its time: full-precision floats hardly shrink, and compressing them takes longest."""
    if not pa.types.is_floating(column.type) or not len(column):
        return True
    sample = column.slice(0, _SAMPLE_ROWS).combine_chunks().fill_null(0)
    content = sample.to_numpy(zero_copy_only=False).tobytes()
    return len(pa.compress(content, codec="zstd", asbytes=True)) < 0.9 * len(content)


def _stored(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
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


def _footer(schema: pa.Schema, dictionaries: Mapping[str, pa.Array], rows: int) -> bytes:
    document = {
        "dictionaries": {place: arrow_ipc.packed(values) for place, values in dictionaries.items()},
        "rows": rows,
        "schema": base64.b64encode(schema.serialize()).decode(),
        "version": 1,
    }
    return json.dumps(document, sort_keys=True).encode()


def check_file(source: Path | pa.Buffer, *, row_count: int | None = None, said_bytes: object = None) -> None:
    """Refuse a file that would take more memory than its row lets expect, before any of it is taken.

    Args:
        source: The file, or its content.
        row_count: The rows that its row of the journal says it has, if it says so.
        said_bytes: The memory that the table took when it was added, likewise; see ``parquet_bounds.limit_bytes``.

    Raises:
        ValueError: If it would; pa.ArrowException, OSError, struct.error, IndexError: If the file is damaged.
    """
    import pyarrow.parquet as pq

    file = pq.ParquetFile(source if isinstance(source, pa.Buffer) else str(source), memory_map=True)
    text = (file.metadata.metadata or {}).get(FOOTER_KEY)
    schema = pa.schema([]) if text is None else schema_of(json.loads(text))
    kept = frozenset(field.name for field in schema if pa.types.is_dictionary(field.type))
    size_bytes = source.size if isinstance(source, pa.Buffer) else source.stat().st_size
    most_bytes = limit_bytes(size_bytes, said_bytes)
    check_bounds(source, file, row_count=row_count, most_bytes=most_bytes, kept=kept)


def memory_bytes(table: pa.Table) -> int:
    """Return the memory that a table takes, and what it takes for a moment while it is read."""
    size_bytes: int = table.nbytes
    for column, field in zip(table.columns, table.schema, strict=True):
        if _has_dictionary(field.type) and _storage_type(field.type) != field.type:
            size_bytes += _stored(column, _storage_type(field.type)).nbytes
    return size_bytes


def read_table(
    source: Path | pa.Buffer, *, columns: Sequence[str] | None = None, filters: object = None
) -> tuple[pa.Table, int]:
    """Return the table that was written, and its number of rows.

    Args:
        source: The file, or its content.
        columns: The columns to read, in this order; all by default.
        filters: Rows to keep, as ``pyarrow.parquet.read_table`` takes them.

    Raises:
        pa.ArrowException, OSError: If the file is damaged.
    """
    import pyarrow.parquet as pq

    file = pq.ParquetFile(source if isinstance(source, pa.Buffer) else str(source), memory_map=True)
    footer = json.loads((file.metadata.metadata or {}).get(FOOTER_KEY, b"null"))
    if filters is not None:
        table = pq.read_table(
            pa.BufferReader(source) if isinstance(source, pa.Buffer) else str(source),
            columns=None if columns is None else list(columns),
            filters=filters,
            use_threads=isinstance(source, Path),
        )
    else:
        table = _read(source, file, list(columns) if columns is not None else None)
    if footer is None:
        return table, table.num_rows
    stored = _Footer(footer)
    schema = stored.schema
    if columns is not None:
        schema = pa.schema([schema.field(name) for name in columns], schema.metadata)
    restored = stored.restored(table, schema)
    return restored, table.num_rows if schema.names or filters is not None else footer["rows"]


def _read(source: Path | pa.Buffer, file: pq.ParquetFile, columns: list[str] | None) -> pa.Table:
    """Return the columns of a file, those of a large one read in two threads.

    They are not pyarrow's: a process that ends right after those read a file in memory may abort (pyarrow 26:
    "terminate called without an active exception", apache/arrow#34314 and #50482).
    """
    import pyarrow.parquet as pq

    if isinstance(source, Path):
        table = file.read(columns=columns)
    else:
        names = file.schema_arrow.names if columns is None else columns
        halves = _halves(file.metadata, names)
        if len(halves) < 2:
            table = file.read(columns=columns, use_threads=False)
        else:
            other = pq.ParquetFile(source, metadata=file.metadata)
            with ThreadPoolExecutor(1, "lakefolio-parquet") as pool:
                later = pool.submit(other.read, columns=halves[1], use_threads=False)
                parts = (file.read(columns=halves[0], use_threads=False), later.result())
            found = {name: part.column(name) for part in parts for name in part.column_names}
            schema = file.schema_arrow
            wanted = pa.schema([schema.field(name) for name in names], schema.metadata)
            table = pa.Table.from_arrays([found[name] for name in names], schema=wanted)
    return table if columns is None else table.select(columns)


def _halves(metadata: pq.FileMetaData, names: Sequence[str]) -> list[list[str]]:
    """Divide columns into two halves that take as long to read; all into one if they are few or small."""
    if any("." in name for name in names) or len(set(names)) < max(len(names), 2):  # a.b may be a field of a
        return [list(names)]
    sizes = dict.fromkeys(names, 0)
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for place in range(group.num_columns):
            chunk = group.column(place)
            name = chunk.path_in_schema.partition(".")[0]
            if name in sizes:
                sizes[name] += chunk.total_uncompressed_size
    if sum(sizes.values()) < _THREADS_FROM_BYTES:
        return [list(names)]
    halves: tuple[list[str], list[str]] = ([], [])
    for name in sorted(names, key=sizes.__getitem__, reverse=True):
        min(halves, key=lambda half: sum(map(sizes.__getitem__, half))).append(name)
    return [half for half in halves if half]


def logical_digest(source: Path | pa.Buffer) -> str:
    """Return the digest of the table in a file, row group by row group.

    Raises:
        pa.ArrowException, OSError: If the file is damaged.
    """
    import pyarrow.parquet as pq

    file = pq.ParquetFile(source if isinstance(source, pa.Buffer) else str(source), memory_map=True)
    text = (file.metadata.metadata or {}).get(FOOTER_KEY)
    stored = None if text is None else _Footer(json.loads(text))
    digest = TableDigest(file.schema_arrow if stored is None else stored.schema)
    groups = (file.read_row_group(number, use_threads=False) for number in range(file.num_row_groups))
    for table in groups if file.num_row_groups else (file.read(use_threads=False),):
        digest.update(table if stored is None else stored.restored(table, stored.schema))
    if stored is not None and not stored.schema.names:
        digest.row_count = stored.rows
    return digest.digest()


class _Footer:
    """What lies under ``FOOTER_KEY``: what Parquet loses of Arrow."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.schema = schema_of(document)
        self.rows: int = document["rows"]
        self._dictionaries = {place: arrow_ipc.unpacked(text) for place, text in document["dictionaries"].items()}

    def restored(self, table: pa.Table, schema: pa.Schema) -> pa.Table:
        """Return a table of the file, or a part of it, as the columns of ``schema`` that it was."""
        places = {name: str(position) for position, name in enumerate(self.schema.names)}
        columns = [
            _restored(column, field.type, places[field.name], self._dictionaries)
            for column, field in zip(table.select(schema.names).columns, schema, strict=True)
        ]
        return pa.Table.from_arrays(columns, schema=schema)


def stored_schema(source: Path | pa.Buffer) -> pa.Schema:
    """Return the schema of a Parquet file as other readers see it."""
    import pyarrow.parquet as pq

    return pq.read_schema(source if isinstance(source, Path) else pa.BufferReader(source))


def schema_of(footer: Mapping[str, Any]) -> pa.Schema:
    """Return the schema of the table that was written, from what lies under ``FOOTER_KEY``."""
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(footer["schema"])))


def _restored(column: pa.ChunkedArray, kind: pa.DataType, place: str, known: Mapping[str, pa.Array]) -> pa.ChunkedArray:
    if column.type == kind and not _has_dictionary(kind):
        return column
    chunks = column.chunks or [pa.array([], column.type)]
    return pa.chunked_array([_restored_array(chunk, kind, place, known) for chunk in chunks], kind)


def _has_dictionary(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.BaseExtensionType):
        return _has_dictionary(kind.storage_type)
    return pa.types.is_dictionary(kind) or any(_has_dictionary(child.type) for child in children(kind))


def is_composite(kind: pa.DataType) -> bool:
    """Say whether a type holds a dictionary or is an extension, at any depth."""
    return (
        isinstance(kind, pa.BaseExtensionType)
        or pa.types.is_dictionary(kind)
        or any(is_composite(child.type) for child in children(kind))
    )


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

"""Arrow tables as Parquet files that give exactly the same table back (FORMAT.md, "Kind table").

Parquet alone loses some of Arrow: dictionaries that aren't text, values of a dictionary that no row uses, time in
seconds and 64-bit dates, the number of rows of a table without columns. So the file holds types that other
readers understand, and under the key ``lakefolio:table`` in its footer a JSON document about the table:
``{"dictionaries": {place: base64}, "rows": n, "schema": base64, "version": 1}`` with an Arrow IPC schema and
Arrow IPC streams of one column. Readers that don't know it still read every value.
"""

from __future__ import annotations

import base64
import inspect
import itertools
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from lakefolio.errors import InvalidInputError
from lakefolio.format.parquet_columns import bounded_columns, leaves
from lakefolio.format.table_digest import TableDigest
from lakefolio.items import arrow_ipc
from lakefolio.items.arrow_nested import children
from lakefolio.items.parquet_bounds import check_bounds, limit_bytes
from lakefolio.items.parquet_reading import read_columns
from lakefolio.items.parquet_types import from_stored, storage_type, to_stored

if TYPE_CHECKING:
    import pyarrow.parquet as pq

__all__ = [
    "FOOTER_KEY",
    "GROUP_ROWS",
    "check_file",
    "logical_digest",
    "read_table",
    "schemas_of",
    "write_batches",
]

FOOTER_KEY: Final = b"lakefolio:table"
_OURS: Final = (b"lakefolio:", b"ARROW:schema")
GROUP_ROWS: Final = 1 << 18
_GROUP_BYTES: Final = 64 << 20
_SAMPLE_ROWS: Final = 1 << 14


def write_batches(
    batches: Iterable[pa.Table],
    schema: pa.Schema,
    target: object,
    dictionaries: Callable[[], Mapping[str, pa.Array]],
    extra: Mapping[bytes, bytes] | None = None,
    filled: Collection[str] = (),
) -> int:
    """Write batches as one file and return the number of rows; holds one row group in memory.

    Args:
        batches: Tables of ``schema``.
        schema: The schema of the table that comes back.
        target: A path, or a file to write to.
        dictionaries: Called after the last batch: the values of each dictionary, by place.
        extra: Entries of the footer for other readers.
        filled: Columns that hold no null in any batch: they are stored as required, and read faster.

    Raises:
        InvalidInputError: kind ``unsupported-column`` if Parquet can't hold a value; ``column`` names it.
    """
    import pyarrow.parquet as pq

    stored = pa.schema(
        [
            field.with_type(storage_type(field.type)).with_nullable(field.nullable and field.name not in filled)
            for field in schema
        ],
        {
            **{key: value for key, value in (schema.metadata or {}).items() if not key.startswith(_OURS)},
            **(extra or {}),
        },
    )
    rows = 0
    groups = _groups(batches)
    first = next(groups, None)
    below = {path: (field.name, kind) for field in stored for path, kind in leaves(field.type, field.name)}
    # a struct "" with a field "" has the path of a column ".": what is said of a path holds for both
    mixed = {path for field in stored for path, kind in leaves(field.type, field.name) if not _is_whole(kind)}
    dense = set() if first is None else {name for name in first.column_names if not _shrinks(first[name])}
    squeezed = {path: name not in dense for path, (name, _) in below.items()}
    proven = [] if _reads_missing_lists() else [field.name for field in stored if _has_fixed_lists(field.type)]
    with pq.ParquetWriter(
        str(target) if isinstance(target, Path) else target,
        stored,
        # level 1 is as fast as snappy here and a tenth smaller
        compression={path: "zstd" if worth else "none" for path, worth in squeezed.items()},
        compression_level={path: 1 for path, worth in squeezed.items() if worth} or None,
        use_dictionary=[path for path, (_, kind) in below.items() if _is_text(kind)] or False,
        # whole numbers and times as differences: smaller, and written and read in a third of the time
        column_encoding={path: "DELTA_BINARY_PACKED" for path in below if path not in mixed} or None,
        write_statistics=bounded_columns(stored),
        store_schema=True,
        **({"max_rows_per_page": GROUP_ROWS} if _ends_pages_early() else {}),
    ) as writer:
        for batch in itertools.chain([] if first is None else [first], groups):
            columns = [to_stored(column, field.type) for column, field in zip(batch.columns, stored, strict=True)]
            rows += batch.num_rows
            if columns:
                group = pa.Table.from_arrays(columns, schema=stored)
                try:
                    writer.write_table(group, row_group_size=GROUP_ROWS)
                except pa.ArrowInvalid as exc:
                    raise _misfit(group, exc) from exc
                for name in proven:
                    _prove(group.select([name]))
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


@cache
def _ends_pages_early() -> bool:
    """Say whether the installed Arrow ends a page after 20,000 values unless it is told; older versions end none so.

    Each page is looked at before any is decoded: so small ones take a sixth of the time of reading a table.
    """
    import pyarrow.parquet as pq

    return "max_rows_per_page" in inspect.signature(pq.ParquetWriter.__init__).parameters


@cache
def _reads_missing_lists() -> bool:
    """Say whether the installed Arrow reads a missing fixed-size list; version 25 and older ones write it only."""
    try:
        _prove(pa.table({"lists": pa.array([None], pa.list_(pa.int8(), 1))}))
    except InvalidInputError:
        return False
    return True


def _prove(column: pa.Table) -> None:
    """Refuse a table of one column that the installed Arrow writes but does not read."""
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(column, sink)
    try:
        pq.ParquetFile(sink.getvalue()).read(use_threads=False)
    except pa.ArrowInvalid as exc:
        field = column.schema[0]
        raise InvalidInputError(
            f"column {field.name!r} of the type {field.type} has missing lists, which pyarrow {pa.__version__} can't"
            " read",
            kind="unsupported-column",
            hint="pip install 'pyarrow>=26', or cast the column to a list without a fixed size",
            column=field.name,
        ) from exc


def _has_fixed_lists(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.BaseExtensionType):
        return _has_fixed_lists(kind.storage_type)
    return pa.types.is_fixed_size_list(kind) or any(_has_fixed_lists(child.type) for child in children(kind))


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
        if rows >= GROUP_ROWS:  # whole groups, so that they begin at the same rows whatever the batches are
            joined = pa.concat_tables(waiting)
            whole = rows - rows % GROUP_ROWS
            yield joined.slice(0, whole)
            rest = joined.slice(whole)
            waiting, rows, size = ([rest], rest.num_rows, rest.nbytes) if rest.num_rows else ([], 0, 0)
        elif size >= _GROUP_BYTES:
            yield pa.concat_tables(waiting)
            waiting, rows, size = [], 0, 0
    if waiting:
        yield pa.concat_tables(waiting)


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
    file, footer = _opened(source)
    schema = () if footer is None else footer.schema
    kept = frozenset(field.name for field in schema if pa.types.is_dictionary(field.type))
    size_bytes = source.size if isinstance(source, pa.Buffer) else source.stat().st_size
    most_bytes = limit_bytes(size_bytes, said_bytes)
    check_bounds(source, file, row_count=row_count, most_bytes=most_bytes, kept=kept)


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

    file, footer = _opened(source)
    if filters is not None:
        table = pq.read_table(
            pa.BufferReader(source) if isinstance(source, pa.Buffer) else str(source),
            columns=None if columns is None else list(columns),
            filters=filters,
            use_threads=isinstance(source, Path),
        )
    else:
        wanted = None if columns is None else list(columns)
        table = read_columns(source, file, wanted) if isinstance(source, pa.Buffer) else file.read(columns=wanted)
        table = table if wanted is None else table.select(wanted)
    if footer is None:
        return table, table.num_rows
    schema = footer.schema
    if columns is not None:
        schema = pa.schema([schema.field(name) for name in columns], schema.metadata)
    return footer.restored(table, schema), table.num_rows if schema.names or filters is not None else footer.rows


def logical_digest(source: Path | pa.Buffer) -> str:
    """Return the digest of the table in a file, row group by row group.

    Raises:
        pa.ArrowException, OSError: If the file is damaged.
    """
    file, footer = _opened(source)
    digest = TableDigest(file.schema_arrow if footer is None else footer.schema)
    groups = (file.read_row_group(number, use_threads=False) for number in range(file.num_row_groups))
    for table in groups if file.num_row_groups else (file.read(use_threads=False),):
        digest.update(table if footer is None else footer.restored(table, footer.schema))
    if footer is not None and not footer.schema.names:
        digest.row_count = footer.rows
    return digest.digest()


class _Footer:
    """The document under ``FOOTER_KEY``: the facts about an Arrow table that Parquet loses."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.schema: pa.Schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(document["schema"])))
        self.rows: int = document["rows"]
        self._packed: Mapping[str, str] = document["dictionaries"]

    @cached_property
    def _dictionaries(self) -> dict[str, pa.Array]:
        return {place: arrow_ipc.unpacked(text) for place, text in self._packed.items()}

    def restored(self, table: pa.Table, schema: pa.Schema) -> pa.Table:
        """Return a table of the file, or a part of it, as the columns of ``schema`` that it was."""
        places = {name: str(position) for position, name in enumerate(self.schema.names)}
        columns = [
            from_stored(column, field.type, places[field.name], self._dictionaries)
            for column, field in zip(table.select(schema.names).columns, schema, strict=True)
        ]
        return pa.Table.from_arrays(columns, schema=schema)


def schemas_of(source: Path | pa.Buffer) -> tuple[pa.Schema, pa.Schema]:
    """Return the schema of the table that was written, and that of the file as other readers see it."""
    file, footer = _opened(source)
    return file.schema_arrow if footer is None else footer.schema, file.schema_arrow


def _opened(source: Path | pa.Buffer) -> tuple[pq.ParquetFile, _Footer | None]:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(source if isinstance(source, pa.Buffer) else str(source), memory_map=True)
    document = json.loads((file.metadata.metadata or {}).get(FOOTER_KEY, b"null"))
    return file, None if document is None else _Footer(document)

"""Kind ``table``: pandas, polars and Arrow tables as Parquet (FORMAT.md, "Kind table").

A table is identified by its logical content (``digest.TableDigest``), so a table that the lake holds already
is not even encoded, however it was stored. Lazy frames, readers and datasets stream: one pass writes the file
and computes the digest, holding one row group.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar, Final

import pyarrow as pa

from lakefolio.errors import IntegrityError, InvalidInputError, LakefolioError, UnsupportedTypeError
from lakefolio.format.digest import TableDigest, table_digest
from lakefolio.items import pandas_frame, parquet
from lakefolio.items.conversions import is_failure, polars_scans, to_pandas, to_polars
from lakefolio.items.handler import Buffers, Encoded, FilePayload, Payload, Source, changed
from lakefolio.items.optional_imports import imported, need
from lakefolio.items.pandas_frame import with_texts
from lakefolio.items.table_export import write_table

__all__ = ["TableHandler"]

_IN_MEMORY_BYTES: Final = 8 << 20  # a larger file is written to disk rather than held beside the table
_SLICE_BYTES: Final = 64 << 20
_DAMAGE: Final = (
    pa.ArrowException,
    OSError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,
    MemoryError,
    RecursionError,
    struct.error,
)
"""What reading bytes that are no such file may raise."""
_SOURCES: Final = ("pandas", "polars", "arrow")


class TableHandler:
    """Stores tables; the library and type that was added comes back."""

    kind: ClassVar[str] = "table"

    def accepts(self, obj: object) -> bool:
        """Say whether ``obj`` is a table, a series, a lazy frame, or streams itself as Arrow batches."""
        return _library(obj) is not None or _is_stream(obj)

    def encode(self, obj: object, *, scratch: Path) -> Encoded:
        """Compute the digest of a table and say how to write it; takes no options.

        A reader, dataset or lazy frame is consumed and written to ``scratch`` at once.

        Raises:
            InvalidInputError: For duplicate columns, mixed types in a column, and types that Parquet can't
                hold.
            UnsupportedTypeError: If ``obj`` is no table.
        """
        library = _library(obj) or ("arrow" if _is_stream(obj) else None)
        if library is None:
            name = f"{type(obj).__module__}.{type(obj).__qualname__}"
            raise UnsupportedTypeError(
                f"expected a pandas, polars or pyarrow table, got a {name}",
                hint="add_data stores other objects",
                type=name,
            )
        if library == "pandas":
            table, facts = pandas_frame.to_arrow(obj)
            return self._whole(table, facts, pandas_frame.footer(obj, table), scratch)
        if library == "polars":
            return self._polars(obj, scratch)
        if isinstance(obj, pa.RecordBatch):
            obj = pa.Table.from_batches([obj])
        facts = {"source": "arrow"}
        if isinstance(obj, pa.Table):
            return self._whole(obj, facts, {}, scratch)
        reader = _reader(obj)
        return self._streamed(reader.schema, map(_as_table, reader), facts, scratch)

    def _polars(self, obj: Any, scratch: Path) -> Encoded:
        import polars as pl

        facts: dict[str, Any] = {"source": "polars"}
        if isinstance(obj, pl.Series):
            facts["series"] = True
            obj = obj.to_frame()
        if isinstance(obj, pl.LazyFrame):
            schema = _polars_to_arrow(pl.DataFrame(schema=obj.collect_schema())).schema
            batches = obj.collect_batches() if hasattr(obj, "collect_batches") else [obj.collect()]
            return self._streamed(schema, map(_polars_to_arrow, batches), facts, scratch)
        if not obj.width and obj.height:
            facts["height"] = obj.height
        return self._whole(_polars_to_arrow(obj), facts, {}, scratch)

    def _whole(self, table: pa.Table, facts: dict[str, Any], extra: Mapping[bytes, bytes], scratch: Path) -> Encoded:
        """Describe a table in memory. Its digest is taken twice: to look for equal content, and of what is written."""
        parquet.check_schema(table.schema)
        digest = table_digest(table)

        def payload() -> Payload:
            small = table.nbytes <= _IN_MEMORY_BYTES
            sink: Any = pa.BufferOutputStream() if small else scratch / "content.parquet"
            written, _, _ = _write(_slices(table), table.schema, sink, extra)
            if written != digest:
                raise changed("the table")
            return Buffers((sink.getvalue().to_pybytes(),)) if small else FilePayload(sink, temporary=True)

        facts["nbytes"] = parquet.memory_bytes(table)
        return self._encoded(table.schema, facts.pop("rows", table.num_rows), payload, digest, facts)

    def _streamed(
        self, schema: pa.Schema, batches: Iterator[pa.Table], facts: dict[str, Any], scratch: Path
    ) -> Encoded:
        parquet.check_schema(schema)
        target = scratch / "content.parquet"
        digest, rows, facts["nbytes"] = _write(batches, schema, target, {})
        return self._encoded(schema, rows, FilePayload(target, temporary=True), digest, facts)

    def _encoded(self, schema: pa.Schema, rows: int, payload: Any, digest: str, facts: dict[str, Any]) -> Encoded:
        hidden = facts.pop("hidden", ())
        shown = [field for field in schema if field.name not in hidden]
        return Encoded(
            kind=self.kind,
            format="parquet",
            media_type="application/vnd.apache.parquet",
            payload=payload,
            digest=digest,
            row_count=rows,
            details={
                "columns": [{"name": field.name, "dtype": str(field.type)} for field in shown],
                "shape": [rows, len(shown)],
                "schema": schema.remove_metadata().to_string(show_field_metadata=False),
                **facts,
            },
        )

    def decode(
        self,
        source: Source,
        details: Mapping[str, object],
        *,
        as_: str | None = None,
        columns: Sequence[object] | None = None,
        filters: object = None,
        engine: str | None = None,
    ) -> Any:
        """Return the table.

        Args:
            source: The Parquet file.
            details: Says which library it came from.
            as_: ``"pandas"``, ``"polars"``, ``"arrow"``, ``"lazy"`` for a polars scan of the local file, or
                ``"dataset"`` for one of Arrow (a table, if its types are not those of Parquet).
                By default the type that was added, or an Arrow table if its library isn't installed.
            columns: The columns to read, by name; the index of a pandas frame comes with them.
            filters: Rows to keep, as ``pyarrow.parquet.read_table`` takes them.
            engine: Accepted for code written for ``pandas.read_parquet``; there is one engine.

        Raises:
            InvalidInputError: For an unknown ``as_`` or column.
            IntegrityError: If the file can't be read.
        """
        if as_ not in (None, "pandas", "polars", "arrow", "lazy", "dataset"):
            raise InvalidInputError(
                f"as_ is {as_!r}, expected 'pandas', 'polars', 'arrow', 'lazy' or 'dataset'", kind="bad-option"
            )
        added = details.get("source")
        wanted = as_ or (added if added in _SOURCES else "arrow")
        if as_ is None and wanted != "arrow" and not _installed(wanted):
            wanted = "arrow"
        try:
            file = _checked_file(source, details, on_disk=as_ in ("lazy", "dataset"))
            if as_ == "dataset":
                return _dataset(file) or _converted(*parquet.read_table(file), "arrow", {}, None, changed=True)
            if as_ == "lazy" and polars_scans(parquet.stored_schema(file)):
                scan = need("polars", "a lazy frame").scan_parquet(file)
                return scan.select(list(columns)) if columns is not None else scan
            names, picked = _projection(file, columns)
            table, rows = parquet.read_table(file, columns=names, filters=filters)
            if wanted == "lazy":
                return _converted(table, rows, "polars", {}, picked, changed=True).lazy()
            return _converted(table, rows, wanted, details, picked, changed=filters is not None)
        except _DAMAGE as exc:
            if isinstance(exc, LakefolioError) or filters is not None:
                raise
            raise IntegrityError(f"the stored table can't be read: {exc}", kind="bad-content") from exc

    def export(
        self, source: Source, details: Mapping[str, object], target: Path, format: str, compression: str | None = None
    ) -> None:
        """Write the table in another format; see ``table_export.write_table``.

        Raises:
            IntegrityError: If the file can't be read.
        """
        try:
            table, rows = parquet.read_table(_checked_file(source, details))
            plan = pandas_frame.plan_of(table.schema)
            if plan is None:
                plain = _converted(table, rows, "arrow", {}, None, changed=False)
            else:
                plain = with_texts(table, plan)
        except _DAMAGE as exc:
            raise IntegrityError(f"the stored table can't be read: {exc}", kind="bad-content") from exc
        write_table(plain, target, format, compression)

    def check(self, source: Source, details: Mapping[str, object], digest: str) -> None:
        """Verify that the stored table is the one that a digest names, which no digest of its bytes says.

        Raises:
            IntegrityError: kind ``table-digest`` if it is another one, ``bad-content`` if it can't be read.
        """
        try:
            found = parquet.logical_digest(_checked_file(source, details))
        except _DAMAGE as exc:
            if isinstance(exc, LakefolioError):
                raise
            raise IntegrityError(f"the stored table can't be read: {exc}", kind="bad-content") from exc
        if found != digest:
            raise IntegrityError(
                f"the stored table has the logical digest {found[:23]}…, expected {digest[:23]}…",
                kind="table-digest",
                hint="it was changed while it was added, or forged; add it again from its source",
                digest=digest,
            )


def _write(
    batches: Iterable[pa.Table], schema: pa.Schema, target: object, extra: Mapping[bytes, bytes]
) -> tuple[str, int, int]:
    """Write batches as Parquet and return the digest of exactly what was written, the rows, and their memory in bytes.

    Their memory belongs to others, who may write to it at any moment. So each batch is copied, and the copy is both
    hashed and encoded, at the same time.
    """
    digest, size_bytes = TableDigest(schema, threads=1), 0
    with ThreadPoolExecutor(1, "lakefolio-digest") as pool:

        def hashed() -> Iterator[pa.Table]:
            nonlocal size_bytes
            for batch in batches:
                copy = _copied(batch)
                size_bytes += parquet.memory_bytes(copy)
                running = pool.submit(digest.update, copy)
                try:
                    yield copy
                finally:
                    running.result()

        rows = parquet.write_batches(hashed(), schema, target, digest.dictionaries, extra)
    return digest.digest(), rows, size_bytes


def _slices(table: pa.Table) -> Iterator[pa.Table]:
    """Cut a table into pieces of about the size of a row group."""
    rows = max(1, table.num_rows * _SLICE_BYTES // max(table.nbytes, 1))
    if not table.num_columns or rows >= table.num_rows:
        yield table
        return
    for start in range(0, table.num_rows, rows):
        yield table.slice(start, rows)


def _copied(table: pa.Table) -> pa.Table:
    """Return the same table in memory of its own: by way of Arrow IPC, because pyarrow has no plain copy."""
    if not table.num_columns:  # nothing can change, and a copy would forget the number of rows
        return table
    simple = [place for place, kind in enumerate(table.schema.types) if not parquet.is_composite(kind)]
    columns = dict(zip(simple, _through_ipc(table.select(simple)).columns, strict=True)) if table.num_rows else {}
    for place, column in enumerate(table.columns):
        if place not in columns:  # by chunk: a stream of a whole table leaves out empty chunks with their dictionaries
            columns[place] = pa.chunked_array(map(_copied_array, column.chunks), column.type)
    return pa.Table.from_arrays([columns[place] for place in range(table.num_columns)], schema=table.schema)


def _copied_array(array: pa.Array) -> pa.Array:
    if isinstance(array, pa.ExtensionArray):
        return pa.ExtensionArray.from_storage(array.type, _copied_array(array.storage))
    batch = pa.record_batch([array], names=["values"])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return pa.ipc.open_stream(sink.getvalue()).read_next_batch().column(0)


def _through_ipc(table: pa.Table) -> pa.Table:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return pa.ipc.open_stream(sink.getvalue()).read_all()


def _library(obj: object) -> str | None:
    if isinstance(obj, (pa.Table, pa.RecordBatch, pa.RecordBatchReader)):
        return "arrow"
    dataset = imported("pyarrow.dataset")
    if dataset is not None and isinstance(obj, (dataset.Dataset, dataset.Scanner)):
        return "arrow"
    pandas = imported("pandas")
    if pandas is not None and isinstance(obj, (pandas.DataFrame, pandas.Series)):
        return "pandas"
    polars = imported("polars")
    if polars is not None and isinstance(obj, (polars.DataFrame, polars.LazyFrame, polars.Series)):
        return "polars"
    return None


def _is_stream(obj: object) -> bool:
    return hasattr(obj, "__arrow_c_stream__") and not isinstance(obj, (type, pa.ChunkedArray, pa.Array))


def _reader(obj: object) -> Any:
    if isinstance(obj, pa.RecordBatchReader):
        return obj
    if hasattr(obj, "scanner"):
        return obj.scanner().to_reader()
    if hasattr(obj, "to_reader"):
        return obj.to_reader()
    return pa.RecordBatchReader.from_stream(obj)


def _as_table(batch: pa.RecordBatch) -> pa.Table:
    return pa.Table.from_batches([batch])


def _polars_to_arrow(frame: Any) -> pa.Table:
    import polars as pl

    for name, dtype in frame.schema.items():
        if any((isinstance(part, type) and issubclass(part, pl.Object)) or part == pl.Object for part in _parts(dtype)):
            raise InvalidInputError(
                f"column {name!r} holds Python objects (polars dtype {dtype})",
                kind="unsupported-column",
                hint="cast the column first",
                column=name,
            )
    try:
        return frame.to_arrow()
    except BaseException as exc:
        if not is_failure(exc):
            raise
        failed = exc
    for name in frame.columns:
        try:
            frame.select(name).clear().to_arrow()
        except BaseException as exc:
            if not is_failure(exc):
                raise
            raise InvalidInputError(
                f"column {name!r} of the polars dtype {frame.schema[name]} has no counterpart in Arrow: {exc}",
                kind="unsupported-column",
                hint="cast the column first",
                column=name,
            ) from exc
    raise InvalidInputError(f"the table has no counterpart in Arrow: {failed}", kind="unsupported-column") from failed


def _parts(dtype: Any) -> Iterator[Any]:
    yield dtype
    if getattr(dtype, "inner", None) is not None:
        yield from _parts(dtype.inner)
    for field in getattr(dtype, "fields", ()):
        yield from _parts(field.dtype)


def _installed(library: str) -> bool:
    try:
        need(library, "a table")
    except UnsupportedTypeError:
        return False
    return True


def _checked_file(source: Source, details: Mapping[str, object], *, on_disk: bool = False) -> Path | pa.Buffer:
    """Return the file of a table that takes no more memory than its row lets expect."""
    in_memory = source.in_memory and not on_disk
    file = pa.py_buffer(source.read()) if in_memory else source.path()
    parquet.check_file(file, row_count=getattr(source, "row_count", None), said_bytes=details.get("nbytes"))
    return file


def _dataset(file: Path | pa.Buffer) -> Any:
    """Return a dataset that scans a file as it is needed; None if the stored types are not those of the table."""
    import pyarrow.dataset
    import pyarrow.parquet as pq

    if not isinstance(file, Path):
        return None
    stored, footer = (
        parquet.stored_schema(file),
        json.loads((pq.read_metadata(file).metadata or {}).get(parquet.FOOTER_KEY, b"null")),
    )
    if not stored.names or (footer and parquet.schema_of(footer).types != stored.types):
        return None
    return pyarrow.dataset.dataset(file, schema=stored.remove_metadata(), format="parquet")


def _projection(file: Path | pa.Buffer, columns: Sequence[object] | None) -> tuple[list[str] | None, list[Any] | None]:
    """Return the stored names to read and, of a pandas frame, the labels that were asked for."""
    if columns is None:
        return None, None
    if isinstance(columns, (str, bytes)):
        raise InvalidInputError(f"columns is {columns!r}, expected a list of names", kind="bad-option")
    import pyarrow.parquet as pq

    file_metadata = pq.read_metadata(pa.BufferReader(file) if isinstance(file, pa.Buffer) else str(file))
    footer = json.loads((file_metadata.metadata or {}).get(parquet.FOOTER_KEY, b"null"))
    names = parquet.schema_of(footer) if footer else file_metadata.schema.to_arrow_schema()
    plan = pandas_frame.plan_of(names)
    known = {name: name for name in names.names} if plan is None else pandas_frame.names_by_label(plan)
    missing = [one for one in columns if one not in known]
    if missing:
        raise InvalidInputError(
            f"the table has no column {', '.join(map(repr, missing[:5]))}",
            kind="unknown-column",
            hint=f"it has {', '.join(map(repr, list(known)[:20]))}",
            columns=missing,
        )
    picked = [known[one] for one in columns]
    extra = [] if plan is None else [name for name in pandas_frame.index_names(plan) if name not in picked]
    return picked + extra, list(columns)


def _converted(
    table: pa.Table,
    rows: int,
    wanted: str,
    details: Mapping[str, object],
    picked: list[Any] | None,
    *,
    changed: bool,
) -> Any:
    plan = pandas_frame.plan_of(table.schema)
    if wanted == "pandas":
        need("pandas", "a pandas table")
        if plan is not None:
            return pandas_frame.from_arrow(table, plan, rows, picked=picked, filtered=changed)
        frame = to_pandas(table)
        return frame.iloc[:, 0] if details.get("series") and frame.shape[1] == 1 else frame
    if plan is not None:
        table = pandas_frame.without_plan(table)
    if wanted == "arrow":
        if not table.num_columns and rows:
            rowed = pa.schema([("", pa.null())], table.schema.metadata)
            return pa.Table.from_arrays([pa.nulls(rows)], schema=rowed).select([])
        return table
    if not table.num_columns and rows:
        return need("polars", "a polars table").DataFrame(height=rows)
    frame = to_polars(table)
    return frame.to_series() if details.get("series") and details.get("source") == "polars" else frame

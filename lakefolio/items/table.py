"""Kind ``table``: pandas, polars and Arrow tables as Parquet (FORMAT.md, "Kind table").

A table is identified by its logical content (``digest.TableDigest``), so a table that the lake holds already
is not even encoded, however it was stored. Lazy frames, readers and datasets stream: one pass writes the file
and computes the digest, holding one row group.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

import pyarrow as pa

from lakefolio.errors import IntegrityError, InvalidInputError, LakefolioError, UnsupportedTypeError
from lakefolio.format.table_digest import table_digest
from lakefolio.items import pandas_frame, parquet
from lakefolio.items.conversions import from_polars, polars_scans, to_pandas, to_polars
from lakefolio.items.handler import Buffers, Encoded, FilePayload, Payload, Source, changed, unexpected
from lakefolio.items.optional_imports import need
from lakefolio.items.pandas_frame import with_texts
from lakefolio.items.parquet_types import check_schema, memory_bytes
from lakefolio.items.table_writing import filled, slices, write
from lakefolio.process.imports import imported

__all__ = ["TableHandler"]

T = TypeVar("T")

_IN_MEMORY_BYTES: Final = 8 << 20  # a larger file is written to disk rather than held beside the table
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
"""The errors of reading bytes that are no such file."""
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
            raise unexpected(obj, "a pandas, polars or pyarrow table", "add_data stores other objects")
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
            schema = from_polars(pl.DataFrame(schema=obj.collect_schema())).schema
            batches = obj.collect_batches() if hasattr(obj, "collect_batches") else [obj.collect()]
            return self._streamed(schema, map(from_polars, batches), facts, scratch)
        if not obj.width and obj.height:
            facts["height"] = obj.height
        return self._whole(from_polars(obj), facts, {}, scratch)

    def _whole(self, table: pa.Table, facts: dict[str, Any], extra: Mapping[bytes, bytes], scratch: Path) -> Encoded:
        """Describe a table in memory. Its digest is taken twice: to look for equal content, and of the written rows."""
        check_schema(table.schema)
        digest = table_digest(table)

        def payload() -> Payload:
            small = table.nbytes <= _IN_MEMORY_BYTES
            sink: Any = pa.BufferOutputStream() if small else scratch / "content.parquet"
            written, _, _ = write(slices(table), table.schema, sink, extra, filled(table))
            if written != digest:
                raise changed("the table")
            return Buffers((sink.getvalue().to_pybytes(),)) if small else FilePayload(sink, temporary=True)

        facts["nbytes"] = memory_bytes(table)
        return self._encoded(table.schema, facts.pop("rows", table.num_rows), payload, digest, facts)

    def _streamed(
        self, schema: pa.Schema, batches: Iterator[pa.Table], facts: dict[str, Any], scratch: Path
    ) -> Encoded:
        check_schema(schema)
        target = scratch / "content.parquet"
        digest, rows, facts["nbytes"] = write(batches, schema, target, {})
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

        def decoded(file: Path | pa.Buffer) -> Any:
            if as_ == "dataset":
                return _dataset(file) or _converted(*parquet.read_table(file), "arrow", {}, None, changed=True)
            if as_ == "lazy" and polars_scans(parquet.schemas_of(file)[1]):
                scan = need("polars", "a lazy frame").scan_parquet(file)
                return scan.select(list(columns)) if columns is not None else scan
            names, picked = _projection(file, columns)
            table, rows = parquet.read_table(file, columns=names, filters=filters)
            if wanted == "lazy":
                return _converted(table, rows, "polars", {}, picked, changed=True).lazy()
            return _converted(table, rows, wanted, details, picked, changed=filters is not None)

        try:
            return _checked(source, details, decoded, on_disk=as_ in ("lazy", "dataset"))
        except _DAMAGE as exc:
            if isinstance(exc, LakefolioError) or filters is not None:
                raise
            raise IntegrityError(f"the stored table can't be read: {exc}", kind="bad-content") from exc

    def file(self, source: Source, details: Mapping[str, object]) -> Path | None:
        """Return the local, verified Parquet file of a table whose stored types are its own; None of other tables.

        Raises:
            IntegrityError: If the file can't be read.
        """
        try:
            return _checked(source, details, _own_file, on_disk=True)
        except _DAMAGE as exc:
            raise IntegrityError(f"the stored table can't be read: {exc}", kind="bad-content") from exc

    def plain(self, source: Source, details: Mapping[str, object]) -> pa.Table:
        """Return the table as files of other formats hold it: periods as texts, index levels as of ``reset_index``.

        Raises:
            IntegrityError: If the file can't be read.
        """
        try:
            table, rows = _checked(source, details, parquet.read_table)
            plan = pandas_frame.plan_of(table.schema)
            if plan is None:
                plain: pa.Table = _converted(table, rows, "arrow", {}, None, changed=False)
                return plain
            return with_texts(table, plan)
        except _DAMAGE as exc:
            raise IntegrityError(f"the stored table can't be read: {exc}", kind="bad-content") from exc

    def check(self, source: Source, details: Mapping[str, object], digest: str) -> None:
        """Verify that the stored table is the one that a digest names, which no digest of its bytes says.

        Raises:
            IntegrityError: kind ``table-digest`` if it is another one, ``bad-content`` if it can't be read.
        """
        try:
            found = _checked(source, details, parquet.logical_digest)
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


def _installed(library: str) -> bool:
    try:
        need(library, "a table")
    except UnsupportedTypeError:
        return False
    return True


def _checked(
    source: Source, details: Mapping[str, object], decode: Callable[[Path | pa.Buffer], T], *, on_disk: bool = False
) -> T:
    """Return what ``decode`` makes of the file of a table that takes no more memory than its row lets expect."""

    def bounded(file: Path | pa.Buffer) -> T:
        parquet.check_file(file, row_count=source.row_count, said_bytes=details.get("nbytes"))
        return decode(file)

    if source.in_memory and not on_disk:
        return source.decoded(lambda content: bounded(pa.py_buffer(content)))
    return bounded(source.path())


def _dataset(file: Path | pa.Buffer) -> Any:
    """Return a dataset that scans a file as it is needed; None if the stored types are not those of the table."""
    if _own_file(file) is None:
        return None
    import pyarrow.dataset

    schema = parquet.schemas_of(file)[0]
    return pyarrow.dataset.dataset(file, schema=schema.remove_metadata(), format="parquet")


def _own_file(file: Path | pa.Buffer) -> Path | None:
    """Return a file whose stored types are those of its table; None of another, or of no file."""
    schema, stored = parquet.schemas_of(file)
    return file if isinstance(file, Path) and stored.names and schema.types == stored.types else None


def _projection(file: Path | pa.Buffer, columns: Sequence[object] | None) -> tuple[list[str] | None, list[Any] | None]:
    """Return the stored names to read and, of a pandas frame, the labels that were asked for."""
    if columns is None:
        return None, None
    if isinstance(columns, (str, bytes)):
        raise InvalidInputError(f"columns is {columns!r}, expected a list of names", kind="bad-option")
    schema, _ = parquet.schemas_of(file)
    plan = pandas_frame.plan_of(schema)
    known = {name: name for name in schema.names} if plan is None else pandas_frame.names_by_label(plan)
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

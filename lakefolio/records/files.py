"""The data files of a record table: written with statistics, read verified, with filters pushed down to them.

A file's name begins with the version of the table that its writer knew: only the next thousand log entries may name it
first. So one that none of them names is garbage, whatever clocks say.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.content.file_cache import file_cache
from lakefolio.content.local_files import Immutable, LocalFiles
from lakefolio.errors import IntegrityError, NotFoundError, brief
from lakefolio.format.layout import data_file_path
from lakefolio.format.parquet_columns import bounded_columns
from lakefolio.process.clock import now_ms
from lakefolio.records.state import RecordFile

if TYPE_CHECKING:
    import pyarrow.dataset as ds

    from lakefolio.storage import Store

__all__ = ["REACH", "DataFiles", "encode", "reader_of"]

REACH: Final = 1_000
"""How many versions after the one in its name may name a file first."""
_LONGEST_BOUND: Final = 64
_IN_MEMORY: Final = 8 << 20
_SMALL: Final = 64 << 10
_RECENT: Final = 64
"""The rows of the last small files that this process wrote, which it merges soon."""


def encode(rows: pa.Table, base: int) -> tuple[RecordFile, bytes]:
    """Return a data file of rows and its bytes."""
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    plain = rows.cast(pa.schema([one.remove_metadata() for one in rows.schema])) if _noted(rows.schema) else rows
    pq.write_table(
        plain.replace_schema_metadata(None),
        sink,
        compression="zstd",
        row_group_size=131_072,
        write_statistics=bounded_columns(plain.schema),
    )
    body = sink.getvalue()
    path = data_file_path(base)
    bounds = json.dumps(_bounds(rows), separators=(",", ":"))
    return RecordFile(path, len(body), rows.num_rows, bounds, now_ms(), hashlib.sha256(body).hexdigest()), body


def _noted(schema: pa.Schema) -> bool:
    return any(one.metadata for one in schema)


def _bounds(rows: pa.Table) -> dict[str, Any]:
    least: dict[str, Any] = {}
    most: dict[str, Any] = {}
    nulls: dict[str, int] = {}
    for one in rows.schema:
        column = rows.column(one.name)
        if pa.types.is_nested(one.type):
            continue
        nulls[one.name] = column.null_count
        if not _bounded(one.type) or column.null_count == len(column):
            continue
        found = pc.min_max(column).as_py()
        low, high = _said(found["min"]), _said(found["max"])
        if low is not None and high is not None:
            least[one.name], most[one.name] = low, high
    return {"minValues": least, "maxValues": most, "nullCount": nulls}


def _bounded(kind: pa.DataType) -> bool:
    """Say whether bounds of a type are written and believed: floats have NaN, decimals digits that JSON loses."""
    return bool(
        pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_date(kind) or pa.types.is_timestamp(kind)
    )


def _said(value: object) -> object:
    if isinstance(value, str):
        return value if len(value) <= _LONGEST_BOUND else None
    if isinstance(value, dt.datetime):
        text = value.replace(tzinfo=None).isoformat(timespec="microseconds")
        return text + "Z" if value.tzinfo else text
    return value.isoformat() if isinstance(value, dt.date) else value


@lru_cache(4096)
def _parsed(bounds: str) -> Mapping[str, Any]:
    found = json.loads(bounds) if bounds else {}
    return found if isinstance(found, dict) else {}


def reader_of(body: bytes | memoryview) -> pa.BufferReader:
    """Return a reader of bytes in Arrow's own memory.

    A thread of Arrow may be the last to hold it, after a scan. Memory of Python needs the interpreter to be given back,
    and a thread that asks for an interpreter which is ending aborts the process.
    """
    memory = pa.allocate_buffer(len(body))
    pa.FixedSizeBufferWriter(memory).write(body)
    return pa.BufferReader(memory)


def _guarantee(file: RecordFile, schema: pa.Schema) -> pc.Expression | None:
    """Return what the bounds of a file say of all of its rows; None for nothing."""
    bounds = _parsed(file.bounds)
    least, most, nulls = (bounds.get(name) for name in ("minValues", "maxValues", "nullCount"))
    if not isinstance(least, dict) or not isinstance(most, dict):
        return None
    whole = None
    for one in schema:
        if not _bounded(one.type) or one.name not in least or one.name not in most:
            continue
        try:
            low, high = _bound(least[one.name], one.type), _bound(most[one.name], one.type, up=True)
        except (ValueError, TypeError, OverflowError, pa.ArrowException):
            continue
        column = pc.field(one.name)
        part = (column >= low) & (column <= high)
        if not isinstance(nulls, dict) or nulls.get(one.name) != 0:
            part = part | pc.is_null(column)
        whole = part if whole is None else whole & part
    return whole


def _bound(value: Any, kind: pa.DataType, *, up: bool = False) -> pa.Scalar:
    if pa.types.is_date(kind):
        return pa.scalar(dt.date.fromisoformat(value), kind)
    if pa.types.is_timestamp(kind):
        moment = dt.datetime.fromisoformat(value)
        # other engines cut bounds to milliseconds
        moment = moment + dt.timedelta(milliseconds=1) if up else moment
        moment = moment.astimezone(dt.UTC) if moment.tzinfo else moment.replace(tzinfo=dt.UTC if kind.tz else None)
        return pa.scalar(moment if kind.tz else moment.replace(tzinfo=None), kind)
    if type(value) is not (str if pa.types.is_string(kind) else int):
        raise TypeError
    return pa.scalar(value, kind)


def _read(source: object, wanted: pa.Schema, *, threads: bool) -> pa.Table:
    """Return columns of a Parquet file; those that it lacks are null, those of narrower types are widened."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(source) as opened:
        there = [one.name for one in wanted if one.name in opened.schema_arrow.names]
        count = opened.metadata.num_rows
        rows = opened.read(columns=there, use_threads=threads)
    columns = []
    for one in wanted:
        column = rows.column(one.name) if one.name in there else pa.chunked_array([pa.nulls(count, one.type)])
        columns.append(column if column.type == one.type else column.cast(one.type))
    return pa.Table.from_arrays(columns, schema=wanted)


class DataFiles:
    """Reads and writes the data files of one table. Safe to share between threads."""

    def __init__(self, store: Store, prefix: str) -> None:
        """Name the table by the folder that it lies in."""
        self.store = store
        self.prefix = prefix
        self._local = LocalFiles(store, file_cache())
        self._recent: dict[str, pa.Table] = {}

    def key(self, path: str) -> str:
        """Return the key of a data file."""
        return f"{self.prefix}/{path}"

    def read(self, file: RecordFile, schema: pa.Schema, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the rows of a file in the columns of a schema, or some of them; those that it lacks are null."""
        wanted = schema if columns is None else pa.schema([schema.field(name) for name in columns])
        known = self._recent.get(file.path)
        if known is not None and known.schema.equals(schema):
            return known if columns is None else known.select(list(columns))
        try:
            rows = _read(self._opened(file), wanted, threads=file.size_bytes > _IN_MEMORY)
        except (pa.ArrowException, OSError, ValueError, KeyError) as exc:
            raise self._damaged(file, brief(exc)) from exc
        if file.row_count is not None and rows.num_rows != file.row_count:
            raise self._damaged(file, f"has {rows.num_rows} rows, expected {file.row_count}")
        return rows

    def dataset(self, files: Iterable[RecordFile], schema: pa.Schema) -> ds.Dataset:
        """Return the rows of files as a dataset of Arrow, which reads what a query needs of them.

        Raises:
            IntegrityError: A file is missing, or is not what was written.
        """
        import pyarrow.dataset as ds
        from pyarrow.fs import LocalFileSystem

        from lakefolio.records.dataset import RecordDataset

        form = ds.ParquetFileFormat()
        fragments = []
        for file in files:
            source = self._opened(file)
            within = LocalFileSystem() if isinstance(source, str) else None
            fragments.append(form.make_fragment(source, within, partition_expression=_guarantee(file, schema)))
        plain = pa.schema([one.remove_metadata() for one in schema])
        return RecordDataset(fragments, plain, form)

    def matching(
        self, files: Iterable[RecordFile], schema: pa.Schema, wanted: pc.Expression
    ) -> list[tuple[RecordFile, ds.Dataset]]:
        """Return the files that may have rows of a condition, by their statistics, each as a dataset."""
        found = []
        for file in files:
            one = self.dataset([file], schema)
            if list(one.get_fragments(filter=wanted)):
                found.append((file, one))
        return found

    def _opened(self, file: RecordFile) -> pa.BufferReader | str:
        """Return what Arrow reads a verified file from: its bytes if it is small, else a local file."""
        key = self.key(file.path)
        damaged = partial(self._damaged, file)
        if file.size_bytes <= _IN_MEMORY:
            try:
                body = self.store.get(key)
            except NotFoundError as exc:
                raise damaged("is missing") from exc
            if not file.is_body(body):
                raise damaged("is not what was written")
            return reader_of(body)
        # of a file that another engine wrote nobody knows the digest
        proof = f"sha256:{file.sha256 or hashlib.sha256(f'{self.store.uri}/{key}'.encode()).hexdigest()}"
        one = Immutable(key, file.size_bytes, proof, lambda found: f"sha256:{found}" if file.sha256 else proof, damaged)
        self._local.ready([one])
        return str(self._local.path(one))

    def write(self, rows: pa.Table, base: int) -> RecordFile:
        """Store rows as a data file that no log entry names yet."""
        file, body = encode(rows, base)
        # nobody else uses this key: one that is there is this very file
        self.store.create_if_absent(self.key(file.path), body)
        if file.size_bytes <= _SMALL:
            self._recent[file.path] = rows
            for old in list(self._recent)[:-_RECENT]:
                self._recent.pop(old, None)
        return file

    def delete(self, files: Iterable[RecordFile]) -> None:
        """Delete files that no log entry names."""
        self.store.delete([self.key(file.path) for file in files])

    def _damaged(self, file: RecordFile, problem: str) -> IntegrityError:
        return IntegrityError(
            f"data file {file.path} of {self.prefix} {problem}",
            kind="damaged-object",
            hint="vacuum or another tool removed or changed it; older and newer versions may be whole",
            key=self.key(file.path),
        )

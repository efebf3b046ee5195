"""The words of the Delta protocol: log entries, checkpoints and data files as bytes (pure: no I/O).

Only what the plainest form of the protocol needs (reader version 1, writer version 2); see
https://github.com/delta-io/delta/blob/master/PROTOCOL.md and FORMAT.md, "Journal protocol".
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote, unquote

import pyarrow as pa

from lakefolio.errors import FormatError
from lakefolio.format.arrow_rows import check_times, rows_of, to_micros

__all__ = [
    "DataFile",
    "LogEntry",
    "Total",
    "brief",
    "fitted",
    "now_ms",
    "to_checkpoint",
    "to_pointer",
]

_LEVELS = (50, 2_500, 125_000)
_FULL_BYTES = 32 << 20
_SMALL_ROWS = 100
_GROUP_ROWS = 16_384
"""So few that the content of one row is not much to read for."""
_PLAIN_PATH = re.compile(r"[A-Za-z0-9._=/-]+")
_SEAL = "lakefolio.seal"
_VERSIONS = "lakefolio.versions"
_NOTE = "lakefolio.models"


@dataclass(frozen=True, slots=True)
class DataFile:
    """A Parquet file of a table, as its ``add`` action describes it.

    Attributes:
        path: Relative to the table.
        size_bytes: Its size.
        row_count: How many rows it has.
        stats: What is said of its rows for other readers, JSON.
        modified_ms: When it was written.
        seal: What it is and its bytes, see ``seal``; empty for files of other writers.
        versions: The first and the last version of its rows, if those carry one.
        rows: Its rows where they are known without a request.
        lacks: The columns of ``rows`` that are known from the file alone.
        copy: What a log entry says of its rows.
    """

    path: str
    size_bytes: int
    row_count: int
    stats: str
    modified_ms: int
    seal: str = ""
    versions: tuple[int, int] | None = None
    rows: pa.Table | None = field(default=None, compare=False, repr=False)
    lacks: tuple[str, ...] = field(default=(), compare=False)
    copy: list[dict[str, Any]] | None = field(default=None, compare=False, repr=False)

    @property
    def mark(self) -> int:
        """A number made of what the log says of the file; the marks of a table's files make its digest."""
        text = f"{self.path}\n{self.size_bytes}\n{self.row_count}\n{self.seal}\n"
        return int.from_bytes(hashlib.sha256(text.encode()).digest())

    @property
    def level(self) -> int:
        """The size class for compaction: 0 for the files of single small commits, 3 for those that are left alone."""
        return len(_LEVELS) if self.size_bytes >= _FULL_BYTES else sum(self.row_count >= bound for bound in _LEVELS)

    def add(self, *, data_change: bool) -> dict[str, Any]:
        """Return the ``add`` action."""
        tags = {_SEAL: self.seal} if self.seal else {}
        if self.versions is not None:
            tags[_VERSIONS] = f"{self.versions[0]}-{self.versions[1]}"
        return {
            "path": quoted_path(self.path),
            "partitionValues": {},
            "size": self.size_bytes,
            "modificationTime": self.modified_ms,
            "dataChange": data_change,
            "stats": self.stats,
        } | ({"tags": tags} if tags else {})


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A log entry that was read: the version it creates, the commits it carries, what it adds and removes.

    ``removed`` are the paths of files with when they were replaced, in milliseconds since 1970, ``refused`` the commits
    of tickets that it decided not to carry, ``total`` is what the table is from then on.
    """

    version: int
    commit_ids: tuple[str, ...]
    added: tuple[DataFile, ...]
    compacted: tuple[DataFile, ...]
    removed: Mapping[str, int]
    refused: tuple[str, ...] = ()
    total: Total | None = None


@dataclass(frozen=True, slots=True)
class Total:
    """All files of a table at one version: how many they and their rows are, and one digest over all of them.

    Every log entry holds it, so that a checkpoint is compared with one log entry instead of all of them.
    """

    files: int = 0
    rows: int = 0
    digest: int = 0

    def with_changes(self, added: Iterable[DataFile], removed: Iterable[DataFile]) -> Total:
        """Return the total after some files came and others went."""
        files, rows, digest = self.files, self.rows, self.digest
        for sign, some in ((1, added), (-1, removed)):
            for file in some:
                files, rows, digest = files + sign, rows + sign * file.row_count, digest ^ file.mark
        return Total(files, rows, digest)

    def to_plain(self) -> dict[str, Any]:
        """Return it as a log entry holds it."""
        return {"files": self.files, "rows": self.rows, "digest": f"{self.digest:064x}"}


def total_of(value: Mapping[str, Any]) -> Total:
    """Read what :meth:`Total.to_plain` wrote; ValueError, KeyError or TypeError for anything else."""
    digest = value["digest"]
    if not (type(value["files"]) is type(value["rows"]) is int and isinstance(digest, str) and len(digest) == 64):
        raise ValueError("its total is none")
    return Total(value["files"], value["rows"], int(digest, 16))


def quoted_path(path: str) -> str:
    """Return a path as actions say it. Ours need no quoting, which a checkpoint would spend half of its time on."""
    return path if _PLAIN_PATH.fullmatch(path) else quote(path, safe="/=-_.~")


def rows_to_plain(rows: Iterable[Mapping[str, Any]], without: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Make rows JSON-able: objects without nulls; bytes as base64, times as microseconds since 1970.

    Args:
        rows: The rows.
        without: Columns to leave out.
    """
    return [_plain({name: value for name, value in row.items() if name not in without}) for row in rows]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items() if one is not None}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return to_micros(value) if isinstance(value, datetime) else value


def rows_from_plain(plain: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Read what :func:`rows_to_plain` wrote."""
    values = [dict(row) for row in plain]
    for name in (column.name for column in schema if pa.types.is_binary(column.type)):
        for row in values:
            if (text := row.get(name)) is not None:
                row[name] = base64.b64decode(text, validate=True)
    return check_times(rows_of(schema, values))


def to_parquet(rows: pa.Table) -> bytes:
    """Return rows as a Parquet file.

    A handful of rows is written plainly and without the columns that are null throughout: a footer describes each
    column, and would outweigh them (measured on one row: 290 instead of 815 microseconds). Every Delta reader takes a
    column that a file lacks as null; but Daft 0.7 fails at a filter on one of booleans, so those are always written.
    """
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    small = rows.num_rows < _SMALL_ROWS
    if small:
        known = [one.null_count < rows.num_rows or pa.types.is_boolean(one.type) for one in rows.itercolumns()]
        rows = rows.select([at for at, there in enumerate(known) if there])
    pq.write_table(
        rows,
        sink,
        compression="none" if small else "zstd",
        use_dictionary=not small,
        write_statistics=not small,
        row_group_size=_GROUP_ROWS,
        store_schema=False,
    )
    return bytes(sink.getvalue())


def from_parquet(body: bytes | memoryview, schema: pa.Schema) -> pa.Table:
    """Read a Parquet file of a table; columns that it lacks are null.

    Raises:
        pa.ArrowException: If it is damaged, or of other types than the table.
        ValueError: If a required value is missing.
    """
    import pyarrow.parquet as pq

    # without threads: pyarrow may abort the interpreter at exit after threaded reads
    file = pq.ParquetFile(pa.BufferReader(pa.py_buffer(body)))
    known = set(file.schema_arrow.names)
    return fitted(file.read([name for name in schema.names if name in known], use_threads=False), schema)


def fitted(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return what was read of a Parquet file with the columns and types of ``schema``; ValueError if it can't be."""
    columns = [
        rows.column(field.name).cast(field.type)
        if field.name in rows.schema.names
        else pa.nulls(rows.num_rows, field.type)
        for field in schema
    ]
    for column, wanted in zip(columns, schema, strict=True):
        if not wanted.nullable and column.null_count:
            raise ValueError(f"column {wanted.name!r} lacks values")
    return check_times(pa.Table.from_arrays(columns, schema=schema))


def same_rows(some: pa.Table, others: pa.Table) -> bool:
    """Say whether two tables have the same rows, bit by bit, so that NaN is NaN."""

    def columns(rows: pa.Table) -> list[pa.Array]:
        whole = [pa.concat_arrays(column.chunks) if column.num_chunks else None for column in rows.columns]
        return [one.view(pa.int64()) if one is not None and pa.types.is_float64(one.type) else one for one in whole]

    return some.schema.equals(others.schema) and columns(some) == columns(others)


def stats_of(rows: pa.Table) -> str:
    """Return what other readers are told of a file's rows: how many there are, nothing else.

    With bounds of some columns and none of others deltalake's dataset finds nothing under any filter on the others.
    """
    return json.dumps({"numRecords": rows.num_rows})


def versions_of(rows: pa.Table) -> tuple[int, int] | None:
    """Return the first and the last version of rows that carry one."""
    if "version" not in rows.schema.names or not rows.num_rows:
        return None
    import pyarrow.compute as pc

    bounds = pc.min_max(rows.column("version")).as_py()
    return bounds["min"], bounds["max"]


def file_of(add: Mapping[str, Any]) -> DataFile:
    stats = add.get("stats") or ""
    count = json.loads(stats).get("numRecords", 0) if stats else 0
    tags = dict(add.get("tags") or {})
    first, _, last = (tags.get(_VERSIONS) or "").partition("-")
    return DataFile(
        unquote(add["path"]),
        add["size"],
        count,
        stats,
        add.get("modificationTime") or 0,
        tags.get(_SEAL) or "",
        (int(first), int(last)) if last else None,
    )


def check_protocol(protocol: Mapping[str, Any], table: str) -> None:
    if protocol.get("minReaderVersion", 1) > 1 or protocol.get("minWriterVersion", 2) > 2:
        raise FormatError(
            f"table {table!r} asks for Delta reader {protocol.get('minReaderVersion')} and writer "
            f"{protocol.get('minWriterVersion')}, this library knows 1 and 2",
            kind="table-protocol",
            hint="another tool upgraded the table; use a newer lakefolio",
            table=table,
        )


def plain_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the maps of a checkpoint row (lists of pairs) into dicts."""
    plain = dict(metadata)
    plain["configuration"] = dict(metadata.get("configuration") or [])
    plain["format"] = {"provider": "parquet", "options": {}}
    return plain


_STRINGS = pa.map_(pa.string(), pa.string())
_CHECKPOINT_SCHEMA = pa.schema(
    [
        pa.field("protocol", pa.struct([("minReaderVersion", pa.int32()), ("minWriterVersion", pa.int32())])),
        pa.field(
            "metaData",
            pa.struct(
                [
                    ("id", pa.string()),
                    ("name", pa.string()),
                    ("description", pa.string()),
                    ("format", pa.struct([("provider", pa.string()), ("options", _STRINGS)])),
                    ("schemaString", pa.string()),
                    ("partitionColumns", pa.list_(pa.string())),
                    ("configuration", _STRINGS),
                    ("createdTime", pa.int64()),
                ]
            ),
        ),
        pa.field(
            "add",
            pa.struct(
                [
                    ("path", pa.string()),
                    ("partitionValues", _STRINGS),
                    ("size", pa.int64()),
                    ("modificationTime", pa.int64()),
                    ("dataChange", pa.bool_()),
                    ("stats", pa.string()),
                    ("tags", _STRINGS),
                ]
            ),
        ),
        pa.field(
            "remove",
            pa.struct(
                [
                    ("path", pa.string()),
                    ("deletionTimestamp", pa.int64()),
                    ("dataChange", pa.bool_()),
                    ("extendedFileMetadata", pa.bool_()),
                    ("partitionValues", _STRINGS),
                    ("size", pa.int64()),
                ]
            ),
        ),
    ]
)


def to_checkpoint(
    metadata: Mapping[str, Any], files: Sequence[DataFile], tombstones: Sequence[tuple[DataFile, int]]
) -> bytes:
    """Return a checkpoint: the table's metadata, its files, and files that were replaced, with when that was."""
    import pyarrow.parquet as pq

    described = dict(metadata)
    described["configuration"] = list(dict(metadata.get("configuration") or {}).items())
    described["format"] = {"provider": "parquet", "options": []}
    rows: list[dict[str, Any]] = [
        {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
        {"metaData": described},
    ]
    for file in files:
        added = file.add(data_change=False)
        rows.append({"add": added | {"partitionValues": [], "tags": list(added.get("tags", {}).items())}})
    for file, deleted_ms in tombstones:
        rows.append(
            {
                "remove": {
                    "path": quoted_path(file.path),
                    "deletionTimestamp": deleted_ms,
                    "dataChange": False,
                    "extendedFileMetadata": True,
                    "partitionValues": [],
                    "size": file.size_bytes,
                }
            }
        )
    sink = io.BytesIO()
    # names are all different and it is read as a whole: dictionaries and statistics would be two fifths of it
    table = pa.Table.from_pylist(rows, schema=_CHECKPOINT_SCHEMA)
    pq.write_table(table, sink, compression="snappy", use_dictionary=False, write_statistics=False)
    return sink.getvalue()


def to_pointer(version: int, checkpoint: bytes, seal: str, files: int, size: int, note: str = "") -> bytes:
    """Return the content of ``_last_checkpoint``; the seal in it tells the checkpoint from another and from damage.

    ``note`` is what else a reader is told, see :func:`note_of`.
    """
    pointer = {"version": version, "size": size, "sizeInBytes": len(checkpoint), "numOfAddFiles": files}
    return json.dumps(pointer | {"tags": {_SEAL: seal} | ({_NOTE: note} if note else {})}).encode()


def note_of(body: bytes | None) -> str:
    """Return what a ``_last_checkpoint`` notes beside the checkpoint, empty for nothing."""
    try:
        return str((json.loads(body or b"null")["tags"] or {}).get(_NOTE) or "")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""


def parse_pointer(body: bytes | None) -> tuple[int, str] | None:
    """Return the version of the checkpoint and its seal ("" if not noted); None if there is none to be used."""
    try:
        value = json.loads(body or b"null")
        version, tags = value["version"], value.get("tags") or {}
        usable = type(version) is int and version >= 0 and not value.get("parts")
        return (version, str(tags.get(_SEAL) or "")) if usable else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None  # a damaged pointer costs time, nothing else: the log is read from its start


def brief(exc: Exception) -> str:
    """Return the first line of what an error says."""
    return (str(exc).splitlines() or [type(exc).__name__])[0][:120]


def now_ms() -> int:
    """Return the time as actions say it."""
    return int(time.time() * 1000)

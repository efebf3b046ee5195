"""The actions of the Delta protocol, and the log entries that hold them (pure: no I/O).

Only the actions of reader version 1 and writer version 2; see https://github.com/delta-io/delta/blob/master/PROTOCOL.md
and FORMAT.md, "Journal protocol".
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote, unquote

import pyarrow as pa

from lakefolio.errors import FormatError
from lakefolio.format.arrow_rows import bounds_of, check_rows, rows_of, to_micros
from lakefolio.format.checked_json import flag, listed, mapped, need, number, optional, strings, text, texts

__all__ = ["DataFile", "LogEntry", "Total", "quoted_path"]

_LEVELS = (50, 2_500, 125_000)
_FULL_BYTES = 32 << 20
_PLAIN_PATH = re.compile(r"[A-Za-z0-9._=/-]+")
_PLAIN = frozenset({str, int, float, bool})
"""The types of almost all cells, which need no look at what they are: every commit makes its rows plain."""
SEAL = "lakefolio.seal"
_VERSIONS = "lakefolio.versions"
_RUNS = "lakefolio.runs"


@dataclass(frozen=True, slots=True)
class DataFile:
    """A Parquet file of a table, as its ``add`` action describes it.

    Attributes:
        path: Relative to the table.
        size_bytes: Its size.
        row_count: How many rows it has.
        stats: Statistics of its rows for other readers, JSON.
        modified_ms: When it was written.
        seal: Its seal, see ``seal``; empty for files of other writers.
        versions: The first and the last version of its rows, if those carry one.
        runs: The first and the last run of its rows in the order of their ids, if those are of batches.
        rows: Its rows where they are known without a request.
        lacks: The columns of ``rows`` that are known from the file alone.
        copy: The copy of its rows in the log entry.
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
    runs: tuple[str, str] | None = None

    @property
    def mark(self) -> int:
        """A number made of the fields of the file in the log; the marks of a table's files make its digest."""
        text = f"{self.path}\n{self.size_bytes}\n{self.row_count}\n{self.seal}\n"
        return int.from_bytes(hashlib.sha256(text.encode()).digest())

    @property
    def level(self) -> int:
        """The size class for compaction: 0 for the files of single small commits, 3 for files never merged again."""
        return len(_LEVELS) if self.size_bytes >= _FULL_BYTES else bisect_right(_LEVELS, self.row_count)

    def without_rows(self) -> DataFile:
        """Return its description alone."""
        return DataFile(
            self.path, self.size_bytes, self.row_count, self.stats, self.modified_ms, self.seal, self.versions
        )

    def add(self, *, data_change: bool) -> dict[str, Any]:
        """Return the ``add`` action."""
        tags = {SEAL: self.seal} if self.seal else {}
        if self.versions is not None:
            tags[_VERSIONS] = f"{self.versions[0]}-{self.versions[1]}"
        if self.runs is not None:
            tags[_RUNS] = json.dumps(self.runs)
        return {
            "path": quoted_path(self.path),
            "partitionValues": {},
            "size": self.size_bytes,
            "modificationTime": self.modified_ms,
            "dataChange": data_change,
            "stats": self.stats,
        } | ({"tags": tags} if tags else {})

    def remove(self, now: int) -> dict[str, Any]:
        """Return the ``remove`` action, for a file whose rows are in other files."""
        return {
            "path": quoted_path(self.path),
            "deletionTimestamp": now,
            "dataChange": False,
            "extendedFileMetadata": True,
            "partitionValues": {},
            "size": self.size_bytes,
        }


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A parsed log entry: the version it creates, the commits it carries, the files it adds and removes.

    ``removed`` maps the paths of removed files to the time of their replacement, in milliseconds since 1970;
    ``refused`` are the commits of tickets that the entry refuses; ``total`` is the total of the table from then on;
    ``metadata`` is that of the table if the entry sets it.
    """

    version: int
    commit_ids: tuple[str, ...]
    added: tuple[DataFile, ...]
    compacted: tuple[DataFile, ...]
    removed: Mapping[str, int]
    refused: tuple[str, ...] = ()
    total: Total | None = None
    metadata: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Total:
    """All files of a table at one version: their number, the number of their rows, and one digest over all of them.

    Every log entry holds it, so that a checkpoint is compared with one log entry instead of all of them.
    """

    files: int = 0
    rows: int = 0
    digest: int = 0

    def with_changes(self, added: Iterable[DataFile], removed: Iterable[DataFile]) -> Total:
        """Return the total after files were added and removed."""
        files, rows, digest = self.files, self.rows, self.digest
        for sign, some in ((1, added), (-1, removed)):
            for file in some:
                files, rows, digest = files + sign, rows + sign * file.row_count, digest ^ file.mark
        return Total(files, rows, digest)

    def to_plain(self) -> dict[str, Any]:
        """Return it as a log entry holds it."""
        return {"files": self.files, "rows": self.rows, "digest": f"{self.digest:064x}"}


def total_of(value: object) -> Total:
    """Parse the value of :meth:`Total.to_plain`; ValueError or KeyError for anything else."""
    value = mapped(value)
    digest = text(value["digest"])
    need(len(digest) == 64, "its total is none")
    return Total(number(value["files"]), number(value["rows"]), int(digest, 16))


def quoted_path(path: str) -> str:
    """Return a path as actions write it; the library's own paths need no quoting, and get none, to save time."""
    return path if _PLAIN_PATH.fullmatch(path) else quote(path, safe="/=-_.~")


def rows_to_plain(rows: Iterable[Mapping[str, object]], without: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Make rows JSON-able: objects without nulls; bytes as base64, times as microseconds since 1970.

    Args:
        rows: The rows.
        without: Columns to leave out.
    """
    return [
        {
            name: value if type(value) in _PLAIN else _plain(value)
            for name, value in row.items()
            if value is not None and name not in without
        }
        for row in rows
    ]


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return {name: one if type(one) in _PLAIN else _plain(one) for name, one in value.items() if one is not None}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return to_micros(value) if isinstance(value, datetime) else value


def rows_from_plain(plain: object, schema: pa.Schema) -> pa.Table:
    """Parse the value of :func:`rows_to_plain`; ValueError, TypeError or an error of Arrow for anything else."""
    values = [mapped(row) for row in listed(plain)]
    for name in (column.name for column in schema if pa.types.is_binary(column.type)):
        for row in values:
            if (encoded := row.get(name)) is not None:
                row[name] = base64.b64decode(text(encoded), validate=True)
    try:
        return check_rows(rows_of(schema, values))
    except OverflowError as exc:
        raise ValueError("a number does not fit its column") from exc


def stats_of(rows: pa.Table) -> str:
    """Return the statistics of a file for other readers: the number of rows alone.

    With bounds of some columns and none of others deltalake's dataset finds nothing under any filter on the others.
    """
    return f'{{"numRecords": {rows.num_rows}}}'


def versions_of(rows: pa.Table) -> tuple[int, int] | None:
    """Return the first and the last version of rows that carry one."""
    at = rows.schema.get_field_index("version")
    if at < 0 or not rows.num_rows:
        return None
    if rows.num_rows == 1:
        version = rows.column(at)[0].as_py()
        return version, version
    return bounds_of(rows.column(at))


def runs_of(rows: pa.Table) -> tuple[str, str] | None:
    """Return the first and the last run of rows of batches, in the order of their ids; None if they name none."""
    if rows.schema.get_field_index("batch_id") < 0 or not rows.num_rows:
        return None
    import pyarrow.compute as pc

    bounds = pc.min_max(rows.column("run_id")).as_py()
    return None if bounds["min"] is None else (bounds["min"], bounds["max"])


# -- what an action says, of a log entry or a checkpoint: ValueError or KeyError if it is none ---------------------


def file_of(add: object, version: int) -> DataFile:
    """Parse an ``add`` action of a version, or of the checkpoint of a version.

    Its file can't have rows of later versions, nor can a file that only this version added have rows of other versions.
    """
    add = mapped(add)
    stats = optional(text, add.get("stats")) or ""
    count = number(mapped(json.loads(stats)).get("numRecords", 0), 0) if stats else 0
    tags = strings(add.get("tags"))
    versions = None
    if said := tags.get(_VERSIONS):
        first, _, last = said.partition("-")
        versions = int(first), int(last)
        need(0 <= versions[0] <= versions[1] <= version, f"a file can't have rows of versions {said[:50]}")
    runs = None
    if said := tags.get(_RUNS):
        first, last = texts(json.loads(said))
        need(first <= last, f"a file can't have rows of runs {said[:50]}")
        runs = first, last
    return DataFile(
        unquote(text(add["path"])),
        number(add["size"], 0),
        count,
        stats,
        optional(number, add.get("modificationTime")) or 0,
        tags.get(SEAL, ""),
        versions,
        runs=runs,
    )


def is_data_change(add: object) -> bool:
    """Say whether an ``add`` action brings new rows, and not rows of other files."""
    return flag(mapped(add).get("dataChange", True))


def removed_by(remove: object) -> tuple[str, int, int]:
    """Return the path, size and time (in milliseconds since 1970) of a ``remove`` action."""
    remove = mapped(remove)
    size, when = (optional(number, remove.get(name)) or 0 for name in ("size", "deletionTimestamp"))
    return unquote(text(remove["path"])), size, when


def metadata_of(metadata: object) -> dict[str, Any]:
    """Return the fields of a ``metaData`` action that checkpoints repeat."""
    metadata = mapped(metadata)
    found: dict[str, Any] = {
        name: optional(text, metadata.get(name)) for name in ("id", "name", "description", "schemaString")
    }
    return found | {
        "format": {"provider": "parquet", "options": {}},
        "partitionColumns": list(optional(texts, metadata.get("partitionColumns")) or ()),
        "configuration": strings(metadata.get("configuration")),
        "createdTime": optional(number, metadata.get("createdTime")),
    }


def check_protocol(protocol: object, table: str) -> None:
    """Raise FormatError for an unknown protocol version."""
    protocol = mapped(protocol)
    reader, writer = number(protocol.get("minReaderVersion", 1)), number(protocol.get("minWriterVersion", 2))
    if reader > 1 or writer > 2:
        raise FormatError(
            f"table {table!r} asks for Delta reader {reader} and writer {writer}, this library knows 1 and 2",
            kind="table-protocol",
            hint="another tool upgraded the table; use a newer lakefolio",
            table=table,
        )

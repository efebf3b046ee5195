"""What one version of a record table holds, as the actions of its Delta log say it (pure: no I/O).

Other engines write it, too, so nothing of it is taken on trust: paths must lie below the table, a protocol or a
property that this library does not know is refused by name. A state is immutable; a handle moves from state to state.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import unquote

import pyarrow as pa

from lakefolio.delta.actions import quoted_path
from lakefolio.errors import FormatError, IntegrityError, LakefolioError, brief
from lakefolio.format.checked_json import mapped, number, optional, strings, text, texts
from lakefolio.records.schema import TableSchema

__all__ = ["SHA256", "RecordFile", "TableState", "moment_of"]

_OURS: Final = "lakefolio"
SHA256: Final = "lakefolio.sha256"
_BOUNDS: Final = "lakefolio.bounds"
_READS: Final = frozenset({"timestampNtz"})
_WRITES: Final = frozenset({"timestampNtz", "appendOnly", "invariants", "checkConstraints"})
_KEPT_TOMBSTONES: Final = 500
_REFUSED_NOTES: Final = ("delta.invariants", "delta.generationExpression", "delta.identity.start")


@dataclass(frozen=True, slots=True)
class RecordFile:
    """A data file as its ``add`` says it.

    Attributes:
        path: Relative to the table.
        size_bytes: Its size.
        row_count: How many rows it has, if that is said.
        bounds: JSON: the least and greatest values of columns, as the statistics of an ``add`` say them. Those of
            other engines are these statistics; this library's lie in a tag: with bounds of some columns and none of
            others, readers such as deltalake's dataset find nothing under a filter on the others.
        modified_ms: When it was made.
        sha256: In hex; empty for files of other engines.
    """

    path: str
    size_bytes: int
    row_count: int | None
    bounds: str
    modified_ms: int
    sha256: str = ""

    def is_body(self, body: bytes | memoryview) -> bool:
        """Say whether bytes are those of the file, as far as its ``add`` tells: other engines note no digest."""
        return len(body) == self.size_bytes and self.sha256 in ("", hashlib.sha256(body).hexdigest())

    def add(self, *, data_change: bool) -> dict[str, Any]:
        """Return the ``add`` action."""
        ours = self.sha256 and self.row_count is not None
        return {
            "path": quoted_path(self.path),
            "partitionValues": {},
            "size": self.size_bytes,
            "modificationTime": self.modified_ms,
            "dataChange": data_change,
            "stats": (f'{{"numRecords":{self.row_count}}}' if ours else self.bounds) or None,
        } | ({"tags": {SHA256: self.sha256, _BOUNDS: self.bounds}} if ours else {})

    def remove(self, at_ms: int, *, data_change: bool) -> dict[str, Any]:
        """Return the ``remove`` action."""
        return {
            "path": quoted_path(self.path),
            "deletionTimestamp": at_ms,
            "dataChange": data_change,
            "extendedFileMetadata": True,
            "partitionValues": {},
            "size": self.size_bytes,
        }


@dataclass(frozen=True)
class TableState:
    """What a record table is at one version.

    Attributes:
        version: The Delta version; -1 before there is one.
        table_id: The id in its metadata.
        schema: Its declared schema.
        files: Path -> data file.
        txns: Application id -> (version, when in milliseconds), see the Delta protocol.
        at_us: When it came to be, in microseconds since 1970: rises with every version.
        protocol: Its ``protocol`` action.
        problems: Why its metadata, or its protocol, keep this library from reading it, and from writing to it.
        tombstones: Path -> when it was removed, in milliseconds since 1970; the newest 500 known.
        created_ms: When it was made.
    """

    version: int = -1
    table_id: str = ""
    schema: TableSchema = field(default_factory=lambda: TableSchema(pa.schema([])))
    files: Mapping[str, RecordFile] = field(default_factory=dict)
    txns: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    at_us: int = 0
    protocol: Mapping[str, Any] = field(default_factory=dict)
    problems: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict)
    tombstones: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    created_ms: int = 0

    @property
    def reader(self) -> str | None:
        """Why this library can't read it, or None."""
        return next((one for one, _ in self.problems.values() if one), None)

    @property
    def writer(self) -> str | None:
        """Why this library can't write to it, or None."""
        return self.reader or next((one for _, one in self.problems.values() if one), None)

    @property
    def append_only(self) -> bool:
        """Whether rows may neither be changed nor removed."""
        return self.schema.configuration.get("delta.appendOnly", "").lower() == "true"

    @property
    def row_count(self) -> int | None:
        """How many rows there are, if every file says so."""
        counts = [one.row_count for one in self.files.values()]
        return None if None in counts else sum(one or 0 for one in counts)

    @property
    def size_bytes(self) -> int:
        """The size of its data files."""
        return sum(one.size_bytes for one in self.files.values())

    def after(self, version: int, actions: Iterable[object], *, within: str) -> TableState:
        """Return the state that a log entry, or the rows of a checkpoint, lead to.

        Raises:
            IntegrityError: It is no log entry.
        """
        try:
            return self._after(version, actions)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, FormatError) as exc:
            raise IntegrityError(
                f"log entry {version} of {within} can't be read: {brief(exc)}",
                kind="bad-log",
                hint="another tool damaged it, or writes what this library does not know",
                key=within,
                version=version,
            ) from exc

    def _after(self, version: int, actions: Iterable[Any]) -> TableState:
        files, tombstones, txns = dict(self.files), dict(self.tombstones), self.txns
        found = replace(self, version=version)
        moment = self.at_us + 1
        for action in actions:
            if said := action.get("add"):
                one = _file_of(said)
                files[one.path] = one
                tombstones.pop(one.path, None)
            elif said := action.get("remove"):
                path = _plain(text(mapped(said)["path"]))
                files.pop(path, None)
                when = optional(number, said.get("deletionTimestamp")) or 0
                tombstones[path] = (when, optional(number, said.get("size")) or 0)
            elif said := action.get("metaData"):
                found = _with_metadata(found, mapped(said))
            elif said := action.get("protocol"):
                found = _with_protocol(found, mapped(said))
            elif said := action.get("txn"):
                when = optional(number, said.get("lastUpdated")) or 0
                txns = {**txns, text(said["appId"]): (number(said["version"]), when)}
            elif said := action.get("commitInfo"):
                moment = max(moment, moment_of(said))
        for path in list(tombstones)[: max(0, len(tombstones) - _KEPT_TOMBSTONES)]:
            del tombstones[path]
        return replace(found, files=files, tombstones=tombstones, txns=txns, at_us=moment)


def moment_of(info: object) -> int:
    """Return when a commit was made by its ``commitInfo``, in microseconds since 1970."""
    info = mapped(info)
    ours = info.get(_OURS)
    if isinstance(ours, dict) and type(ours.get("at")) is int:
        return number(ours["at"], 0)
    return (optional(number, info.get("timestamp")) or 0) * 1000


def _file_of(said: object) -> RecordFile:
    said = mapped(said)
    if said.get("deletionVector"):
        raise FormatError("its files have deletion vectors")
    stats = optional(text, said.get("stats")) or ""
    count = optional(number, mapped(json.loads(stats)).get("numRecords")) if stats else None
    tags = strings(said.get("tags"))
    sha256, bounds = tags.get(SHA256, ""), tags.get(_BOUNDS, stats)
    path, size = _plain(text(said["path"])), number(said["size"], 0)
    return RecordFile(path, size, count, bounds, optional(number, said.get("modificationTime")) or 0, sha256)


def _plain(path: str) -> str:
    """Return the path of a data file, which lies in the table's folder."""
    path = unquote(path)
    parts = path.split("/")
    if not path or ":" in parts[0] or any(one in ("", ".", "..") for one in parts) or parts[0] == "_delta_log":
        raise FormatError(f"its file {path[:80]!r} lies elsewhere")
    return path


def _with_metadata(state: TableState, said: Mapping[str, object]) -> TableState:
    configuration = strings(said.get("configuration"))
    schema = TableSchema.of(text(said["schemaString"]), configuration)
    reader = writer = None
    if partitions := texts(said.get("partitionColumns") or []):
        reader = f"it is partitioned by {partitions[0]!r}"
    elif configuration.get("delta.columnMapping.mode", "none") != "none":
        reader = "it maps columns to other names (delta.columnMapping.mode)"
    for one in schema.arrow:
        for note in _REFUSED_NOTES:
            if note.encode() in (one.metadata or {}):
                writer = f"column {one.name!r} has {note}"
    try:
        _ = schema.conditions
    except LakefolioError as exc:
        writer = exc.message
    created = optional(number, said.get("createdTime")) or 0
    problems = {**state.problems, "metadata": (reader, writer)}
    return replace(state, schema=schema, table_id=text(said["id"]), problems=problems, created_ms=created)


def _with_protocol(state: TableState, said: Mapping[str, object]) -> TableState:
    reads, writes = number(said.get("minReaderVersion", 1)), number(said.get("minWriterVersion", 2))
    needed = {*(optional(texts, said.get("readerFeatures")) or ())}
    written = {*(optional(texts, said.get("writerFeatures")) or ())}
    reader = writer = None
    if unknown := sorted(needed - _READS):
        reader = f"it asks for the Delta feature {unknown[0]!r}"
    elif reads not in (1, 3):
        reader = f"it asks for Delta readers of version {reads}"
    if unknown := sorted(written - _WRITES):
        writer = f"it asks writers for the Delta feature {unknown[0]!r}"
    elif writes > 3 and writes != 7:
        writer = f"it asks for Delta writers of version {writes}"
    protocol = {name: one for name, one in said.items() if one is not None}
    return replace(state, protocol=protocol, problems={**state.problems, "protocol": (reader, writer)})

"""The Delta log of a record table: what a version holds, how it is read, and how the next one is created.

Other engines write it, too, so nothing of it is taken on trust: paths must lie below the table, a protocol or a
property that this library does not know is refused by name. A state is immutable; a handle moves from state to state.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote

import pyarrow as pa

from lakefolio.delta.actions import now_ms
from lakefolio.delta.checkpoint import ADD, METADATA, REMOVE
from lakefolio.delta.seal import Seals
from lakefolio.errors import FormatError, IntegrityError, LakefolioError, NotFoundError
from lakefolio.format.layout import checkpoint_name, checkpoint_version, log_name, log_version
from lakefolio.format.plain import mapped, number, optional, strings, text, texts
from lakefolio.records.schema import TableSchema

if TYPE_CHECKING:
    from lakefolio.storage import Store

__all__ = ["RecordFile", "RecordLog", "TableState", "moment_of"]

_OURS: Final = "lakefolio"
_FOREIGN: Final = frozenset({"add", "cdc", "domainMetadata", "metaData", "protocol", "remove", "txn"})
"""The actions of which an entry of another tool consists, which may leave out ``commitInfo``."""
_AT: Final = "lakefolio.at"
_KEY: Final = "lakefolio.key"
_SHA256: Final = "lakefolio.sha256"
_READS: Final = frozenset({"timestampNtz"})
_WRITES: Final = frozenset({"timestampNtz", "appendOnly", "invariants", "checkConstraints"})
_KEPT_TOMBSTONES: Final = 500
_TXN_KEPT_MS: Final = 30 * 86_400_000
_AT_ONCE: Final = 200
_REFUSED_NOTES: Final = ("delta.invariants", "delta.generationExpression", "delta.identity.start")
_CHECKPOINT = pa.schema(
    [
        pa.field(
            "protocol",
            pa.struct(
                [
                    ("minReaderVersion", pa.int32()),
                    ("minWriterVersion", pa.int32()),
                    ("readerFeatures", pa.list_(pa.string())),
                    ("writerFeatures", pa.list_(pa.string())),
                ]
            ),
        ),
        METADATA,
        pa.field("txn", pa.struct([("appId", pa.string()), ("version", pa.int64()), ("lastUpdated", pa.int64())])),
        ADD,
        REMOVE,
    ]
)


@dataclass(frozen=True, slots=True)
class RecordFile:
    """A data file as its ``add`` says it; ``sha256`` (hex) is empty for files of other engines."""

    path: str
    size_bytes: int
    row_count: int | None
    stats: str
    modified_ms: int
    sha256: str = ""

    def add(self, *, data_change: bool) -> dict[str, Any]:
        """Return the ``add`` action."""
        return {
            "path": quote(self.path, safe="/=-_.~"),
            "partitionValues": {},
            "size": self.size_bytes,
            "modificationTime": self.modified_ms,
            "dataChange": data_change,
            "stats": self.stats or None,
        } | ({"tags": {_SHA256: self.sha256}} if self.sha256 else {})

    def remove(self, at_ms: int, *, data_change: bool) -> dict[str, Any]:
        """Return the ``remove`` action."""
        return {
            "path": quote(self.path, safe="/=-_.~"),
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

    def after(self, version: int, actions: Iterable[Any], *, within: str) -> TableState:
        """Return the state that a log entry, or the rows of a checkpoint, lead to.

        Raises:
            IntegrityError: It is no log entry.
        """
        try:
            return self._after(version, actions)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, FormatError) as exc:
            raise IntegrityError(
                f"log entry {version} of {within} can't be read: {(str(exc).splitlines() or ['?'])[0][:120]}",
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


def moment_of(info: Any) -> int:
    """Return when a commit was made by its ``commitInfo``, in microseconds since 1970."""
    info = mapped(info)
    ours = info.get(_OURS)
    if isinstance(ours, dict) and type(ours.get("at")) is int:
        return number(ours["at"], 0)
    return (optional(number, info.get("timestamp")) or 0) * 1000


def _file_of(said: Any) -> RecordFile:
    said = mapped(said)
    if said.get("deletionVector"):
        raise FormatError("its files have deletion vectors")
    stats = optional(text, said.get("stats")) or ""
    count = optional(number, mapped(json.loads(stats)).get("numRecords")) if stats else None
    sha256 = strings(said.get("tags")).get(_SHA256, "")
    path, size = _plain(text(said["path"])), number(said["size"], 0)
    return RecordFile(path, size, count, stats, optional(number, said.get("modificationTime")) or 0, sha256)


def _plain(path: str) -> str:
    """Return the path of a data file, which lies in the table's folder."""
    path = unquote(path)
    parts = path.split("/")
    if not path or ":" in parts[0] or any(one in ("", ".", "..") for one in parts) or parts[0] == "_delta_log":
        raise FormatError(f"its file {path[:80]!r} lies elsewhere")
    return path


def _with_metadata(state: TableState, said: Mapping[str, Any]) -> TableState:
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


def _with_protocol(state: TableState, said: Mapping[str, Any]) -> TableState:
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


class RecordLog:
    """The log of one table. Holds no state: safe to share between threads."""

    def __init__(self, store: Store, prefix: str) -> None:
        """Name the table by the folder that it lies in."""
        self.store = store
        self.prefix = prefix
        self.folder = f"{prefix}/_delta_log"
        self._seals = Seals(prefix, "records")

    def key(self, version: int) -> str:
        """Return the key of a log entry."""
        return f"{self.folder}/{log_name(version)}"

    def load(self, version: int | None = None) -> TableState:
        """Return the state at a version, or the newest; one before the first (version -1) if there is no log.

        Raises:
            NotFoundError: There is no such version.
            IntegrityError: A log entry is missing or damaged.
        """
        state = self._checkpoint(version)
        last = self._last(state.version) if version is None else version
        if version is not None and self.store.find(self.key(version)) is None:
            raise NotFoundError(
                f"there is no version {version} of the table at {self.prefix}",
                kind="version-not-found",
                version=version,
            )
        return self._replayed(state, last)

    def refreshed(self, state: TableState) -> TableState:
        """Return the newest state, given one that was: one request if nothing is new."""
        body = self.store.find(self.key(state.version + 1))
        if body is None:
            return state
        state = state.after(state.version + 1, self._actions(state.version + 1, body), within=self.prefix)
        body = self.store.find(self.key(state.version + 1))
        return state if body is None else self._replayed(state, self._last(state.version))

    def entries(self, first: int, last: int) -> Iterable[tuple[int, list[dict[str, Any]]]]:
        """Give log entries, by version; IntegrityError for one that is missing or can't be read."""
        for start in range(first, last + 1, _AT_ONCE):
            versions = range(start, min(last + 1, start + _AT_ONCE))
            for version, body in zip(versions, self.store.get_many([self.key(one) for one in versions]), strict=True):
                if body is None:
                    raise IntegrityError(
                        f"log entry {version} of {self.prefix} is missing", kind="bad-log", key=self.key(version)
                    )
                yield version, self._actions(version, body)

    def entry(
        self, version: int, info: Mapping[str, Any], ours: Mapping[str, Any], actions: Sequence[Mapping[str, Any]]
    ) -> bytes:
        """Return the bytes of a log entry, sealed."""
        return self._seals.entry(version, {**info, "engineInfo": "lakefolio"}, ours, actions)

    def _actions(self, version: int, body: bytes | memoryview) -> list[dict[str, Any]]:
        """Read the actions of a log entry; IntegrityError if it is not the one that was written."""
        whole = bytes(body)
        try:
            actions = [mapped(json.loads(line)) for line in whole.splitlines() if line.strip()]
            if any("commitInfo" in one for one in actions):
                self._seals.is_sealed(version, whole)
            elif not actions or not all(one.keys() & _FOREIGN for one in actions):
                raise ValueError("it is no log entry")
            return actions
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, FormatError) as exc:
            raise IntegrityError(
                f"log entry {version} of {self.prefix} can't be believed: {(str(exc).splitlines() or ['?'])[0][:120]}",
                kind="bad-log",
                hint="it was damaged, or the store gave another object's bytes: try again, or repair from a copy",
                key=self.key(version),
                version=version,
            ) from exc

    def info(self, version: int) -> dict[str, Any]:
        """Return the ``commitInfo`` of a version, empty if it has none. One request."""
        for _, actions in self.entries(version, version):
            for action in actions:
                if isinstance(said := action.get("commitInfo"), dict):
                    return said
        return {}

    def _replayed(self, state: TableState, last: int) -> TableState:
        for version, actions in self.entries(state.version + 1, last):
            state = state.after(version, actions, within=self.prefix)
        return state

    def _last(self, known: int) -> int:
        """Return the newest version, given one that is there, or -1."""
        after = self.key(known) if known >= 0 else None
        found = [
            one for entry in self.store.list(self.folder, after=after) if (one := log_version(entry.key)) is not None
        ]
        return max([known, *found])

    def _checkpoint(self, version: int | None) -> TableState:
        """Return the state of the newest checkpoint up to a version that can be read, else that before the first."""
        try:
            pointer = mapped(json.loads(self.store.find(f"{self.folder}/_last_checkpoint") or b"null"))
            newest = number(pointer["version"], 0)
            sha256 = strings(pointer.get("tags")).get(_SHA256, "") if not pointer.get("parts") else "parts"
        except (ValueError, KeyError, RecursionError):
            return TableState()
        candidates = [newest]
        if version is not None and version < newest:
            sha256 = ""
            listed_keys = (entry.key for entry in self.store.list(self.folder))
            there = [one for key in listed_keys if (one := checkpoint_version(key)) is not None]
            candidates = sorted((one for one in there if one <= version), reverse=True)
        for one in candidates[:3]:
            body = self.store.find(self._checkpoint_key(one))
            if body is None or (sha256 and hashlib.sha256(body).hexdigest() != sha256):
                continue
            try:
                return _read_checkpoint(one, body, self.prefix, self._checkpoint_key(one))
            except (pa.ArrowException, LakefolioError, KeyError, ValueError, TypeError, OSError):
                continue  # the log itself is complete: a checkpoint that can't be read costs time
        return TableState()

    def _checkpoint_key(self, version: int) -> str:
        return f"{self.folder}/{checkpoint_name(version)}"

    def write_checkpoint(self, state: TableState) -> None:
        """Write the checkpoint of a state, then point to it. Safe at any time, by any writer."""
        key = self._checkpoint_key(state.version)
        body = _checkpoint(state, key)
        self.store.put(key, body)
        size = 2 + len(state.files) + len(state.tombstones) + len(state.txns)
        pointer = {
            "version": state.version,
            "size": size,
            "sizeInBytes": len(body),
            "numOfAddFiles": len(state.files),
            "tags": {_SHA256: hashlib.sha256(body).hexdigest()},
        }
        self.store.put(f"{self.folder}/_last_checkpoint", json.dumps(pointer).encode())


def _checkpoint(state: TableState, key: str) -> bytes:
    import pyarrow.parquet as pq

    metadata = state.schema.metadata(state.table_id, state.created_ms)
    metadata["configuration"] = list(metadata["configuration"].items())
    metadata["format"] = {"provider": "parquet", "options": []}
    expired = now_ms() - _TXN_KEPT_MS
    rows: list[dict[str, Any]] = [{"protocol": dict(state.protocol)}, {"metaData": metadata}]
    rows += [
        {"txn": {"appId": name, "version": version, "lastUpdated": when}}
        for name, (version, when) in state.txns.items()
        if not when or when > expired
    ]
    for file in state.files.values():
        added = file.add(data_change=False)
        rows.append({"add": added | {"partitionValues": [], "tags": list(added.get("tags", {}).items())}})
    for path, (when, size) in state.tombstones.items():
        one = RecordFile(path, size, None, "", 0).remove(when, data_change=False)
        rows.append({"remove": one | {"partitionValues": []}})
    # the time of a version is in its log entry alone: the first of these rows notes it for who reads on from here
    notes = {_AT: str(state.at_us), _KEY: key}
    table = pa.Table.from_pylist(rows, schema=_CHECKPOINT).replace_schema_metadata(notes)
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="snappy", use_dictionary=False, write_statistics=False)
    return sink.getvalue()


def _read_checkpoint(version: int, body: bytes, within: str, key: str) -> TableState:
    import pyarrow.parquet as pq

    with pq.ParquetFile(pa.BufferReader(pa.py_buffer(body))) as opened:
        notes = opened.schema_arrow.metadata or {}
        known = [name for name in opened.schema_arrow.names if name in {*_CHECKPOINT.names, "sidecar"}]
        rows = opened.read(columns=known, use_threads=False).to_pylist()
    if _AT.encode() in notes and notes.get(_KEY.encode()) != key.encode():
        raise FormatError("it is the checkpoint of another version or table")
    if any(row.get("sidecar") for row in rows):
        raise FormatError("its checkpoint has sidecars")
    for row in rows:
        if row.get("metaData"):
            row["metaData"]["configuration"] = strings(row["metaData"].get("configuration"))
    state = TableState().after(version, rows, within=within)
    if not state.table_id:
        raise FormatError("its checkpoint has no metadata")
    return replace(state, at_us=max(state.at_us, int(notes.get(_AT.encode(), b"0"))))

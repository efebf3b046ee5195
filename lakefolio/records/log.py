"""The Delta log of a record table: how a version is read, and how the next one is created.

What a version holds is a state (``state``). Nothing that the log says is taken on trust.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from lakefolio.delta.checkpoint import ADD, METADATA, REMOVE
from lakefolio.delta.seal import Seals
from lakefolio.errors import FormatError, IntegrityError, LakefolioError, NotFoundError, brief
from lakefolio.format.checked_json import mapped, number, strings
from lakefolio.format.layout import checkpoint_name, checkpoint_version, log_name, log_version
from lakefolio.process.clock import now_ms
from lakefolio.records.state import SHA256, RecordFile, TableState

if TYPE_CHECKING:
    from lakefolio.storage import Store

__all__ = ["RecordLog"]

_FOREIGN: Final = frozenset({"add", "cdc", "domainMetadata", "metaData", "protocol", "remove", "txn"})
"""The actions of which an entry of another tool consists, which may leave out ``commitInfo``."""
_AT: Final = "lakefolio.at"
_KEY: Final = "lakefolio.key"
_TXN_KEPT_MS: Final = 30 * 86_400_000
_AT_ONCE: Final = 200
_PARTS: Final = "parts"
"""In place of a digest: the checkpoint lies in several objects, which is not read here."""
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


class RecordLog:
    """The log of one table. Holds no state: safe to share between threads.

    Attributes:
        first: The bytes of log entry 0, where they are known: a table that nobody has written to has none in the store.
    """

    def __init__(self, store: Store, prefix: str) -> None:
        """Name the table by the folder that it lies in."""
        self.store = store
        self.prefix = prefix
        self.first: bytes | None = None
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
        if version is not None and not self._is_there(version):
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
            for version, found in zip(versions, self.store.get_many([self.key(one) for one in versions]), strict=True):
                body = self.first if found is None and version == 0 and self._is_unwritten() else found
                if body is None:
                    raise IntegrityError(
                        f"log entry {version} of {self.prefix} is missing", kind="bad-log", key=self.key(version)
                    )
                yield version, self._actions(version, body)

    def entry(
        self,
        version: int,
        info: Mapping[str, object],
        ours: Mapping[str, object],
        actions: Sequence[Mapping[str, object]],
    ) -> bytes:
        """Return the bytes of a log entry, sealed."""
        return self._seals.entry(version, {**info, "engineInfo": "lakefolio"}, ours, actions)

    def problem(self, version: int, body: bytes) -> str | None:
        """Say what is wrong with the bytes of a log entry, or None."""
        try:
            self._actions(version, body)
        except IntegrityError as exc:
            return exc.message.partition(" can't be believed: ")[2] or exc.message
        return None

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
                f"log entry {version} of {self.prefix} can't be believed: {brief(exc)}",
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
        return max([known if known >= 0 or self.first is None else 0, *found])

    def _is_there(self, version: int) -> bool:
        return self.store.find(self.key(version)) is not None or (version == 0 and self._is_unwritten())

    def _is_unwritten(self) -> bool:
        """Say whether nobody has written to the table: its first log entry is known, and the store has none."""
        return self.first is not None and next(iter(self.store.list(self.folder + "/")), None) is None

    def _checkpoint(self, version: int | None) -> TableState:
        """Return the state of the newest checkpoint up to a version that can be read, else that before the first."""
        try:
            newest, sha256 = _pointed_to(self.store.find(self._pointer_key) or b"null")
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

    def checkpoint_problems(self, newest: int, *, every: bool) -> dict[str, str]:
        """Compare the last checkpoint, or every one, with the log, which is read from its beginning.

        Args:
            newest: A version that is there.
            every: Look at each checkpoint, not only at the one that ``_last_checkpoint`` names.

        Returns:
            Key -> what is wrong with the object.
        """
        problems: dict[str, str] = {}
        digests: dict[int, str] = {}
        if every:
            listed = (checkpoint_version(entry.key) for entry in self.store.list(self.folder))
            digests = dict.fromkeys((one for one in listed if one is not None and one <= newest), "")
        if (body := self.store.find(self._pointer_key)) is not None:
            try:
                version, sha256 = _pointed_to(body)
            except (ValueError, KeyError, RecursionError):
                problems[self._pointer_key] = "it can't be read"
            else:
                if sha256 == _PARTS:
                    pass  # nobody here reads it
                elif version > newest and self.store.find(self.key(version)) is None:
                    problems[self._pointer_key] = f"it names version {version}, and the newest is {newest}"
                elif version <= newest:
                    digests[version] = sha256
        state = TableState()
        for version in sorted(digests):
            state = self._replayed(state, version)
            key, sha256 = self._checkpoint_key(version), digests[version]
            body = self.store.find(key)
            if body is None:
                problems[self._pointer_key] = f"it names the checkpoint of version {version}, which is missing"
            elif sha256 and hashlib.sha256(body).hexdigest() != sha256:
                problems[self._pointer_key] = f"its digest is not that of the checkpoint of version {version}"
            else:
                try:
                    found = _read_checkpoint(version, body, self.prefix, key)
                except (pa.ArrowException, LakefolioError, KeyError, ValueError, TypeError, OSError):
                    problems[key] = "it can't be read"
                else:
                    if difference := _difference(found, state):
                        problems[key] = difference
        return problems

    @property
    def _pointer_key(self) -> str:
        return f"{self.folder}/_last_checkpoint"

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
            "tags": {SHA256: hashlib.sha256(body).hexdigest()},
        }
        self.store.put(self._pointer_key, json.dumps(pointer).encode())


def _pointed_to(body: bytes | memoryview) -> tuple[int, str]:
    """Return the version that ``_last_checkpoint`` names, and the digest of its checkpoint where it has one."""
    pointer = mapped(json.loads(bytes(body)))
    version = number(pointer["version"], 0)
    return version, _PARTS if pointer.get("parts") else strings(pointer.get("tags")).get(SHA256, "")


def _difference(found: TableState, state: TableState) -> str | None:
    """Say in what a checkpoint differs from the log up to its version, or None.

    Other engines leave out what they do not know: digests of files, and times.
    """
    if found.files.keys() != state.files.keys():
        return "it has other data files than the log"
    for path, one in found.files.items():
        logged = state.files[path]
        if one.size_bytes != logged.size_bytes or (one.sha256 and one.sha256 != logged.sha256):
            return f"it says of the data file {path} what the log does not"
    schemas = [(one.table_id, one.schema.arrow, one.schema.configuration) for one in (found, state)]
    if schemas[0] != schemas[1] or any(state.protocol.get(name) != one for name, one in found.protocol.items()):
        return "it has another schema than the log"
    expired = max(now_ms(), state.at_us // 1000) - _TXN_KEPT_MS  # it may have been made long after its version
    txns = {name: one for name, one in state.txns.items() if name in found.txns or one[1] > expired}
    if dict(found.txns) != txns:
        return "it has other transactions than the log"
    return None if found.at_us in (1, state.at_us) else "its time is not that of the log"


def _checkpoint(state: TableState, key: str) -> bytes:
    import pyarrow.parquet as pq

    metadata = state.schema.metadata(state.table_id, state.created_ms)
    metadata["configuration"] = list(metadata["configuration"].items())
    metadata["format"] = {"provider": "parquet", "options": []}
    expired = state.at_us // 1000 - _TXN_KEPT_MS
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

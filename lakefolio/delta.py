"""The Delta tables of a lake: their log entries, checkpoints and data files (FORMAT.md, "Journal protocol").

The one place that knows the Delta protocol. Tables stay on its plainest form (reader version 1, writer version 2, no
features), so that every Delta reader of today and yesterday reads a lake. Committing is two requests, PUT of a Parquet
file and create-if-absent of the next log entry, where deltalake's own append needs six; checkpoints and compactions
are written here too, because a handle already holds what deltalake would first have to read (measured: see FORMAT.md,
"Decisions"). Everything written here is read back in tests by deltalake, by DuckDB's ``delta_scan`` and by Polars.

Log entries are never deleted: a writer that slept could otherwise create an entry below the newest one.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import pyarrow as pa

from lakefolio.delta_actions import (
    DataFile,
    LogEntry,
    brief,
    check_protocol,
    check_seal,
    file_of,
    from_parquet,
    now_ms,
    parse_pointer,
    plain_metadata,
    rows_from_plain,
    rows_to_plain,
    sealed,
    stats_of,
    to_checkpoint,
    to_parquet,
    to_pointer,
)
from lakefolio.errors import AlreadyExistsError, FormatError, IntegrityError
from lakefolio.layout import check_key, log_key, log_prefix, log_version, table_prefix

if TYPE_CHECKING:
    from lakefolio.storage import Store

__all__ = ["DataFile", "DeltaTable", "LogEntry", "log_problem"]

_COPIED_ROWS = 100
_COPIED_BYTES = 32 * 1024
_CHECKPOINT_EVERY = 50
_COMPACT_FANOUT = 50
_DATA_FILE = re.compile(r"(\d{20})-[0-9a-f]{32}\.parquet")
_CONFIGURATION = {
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.deletedFileRetentionDuration": "interval 36500 days",
    "delta.checkpointInterval": "1000000",
}


def log_problem(body: bytes) -> str | None:
    """Return what is wrong with the bytes of a log entry, or None."""
    try:
        check_seal(body)
        if not all(isinstance(json.loads(line), dict) for line in body.splitlines()) or not body.strip():
            return "is truncated or damaged"
    except (ValueError, RecursionError) as exc:
        return f"is truncated or damaged: {brief(exc)}"
    return None


class DeltaTable:
    """One Delta table below a lake, as far as this handle has read it. Not thread-safe: its owner holds a lock.

    Attributes:
        name: The table's name, ``"manifests"``.
        version: The newest version read, -1 before :meth:`load`.
    """

    def __init__(
        self, store: Store, name: str, schema: pa.Schema, order: Sequence[str], *, copy_rows: bool = True
    ) -> None:
        self.store = store
        self.name = name
        self.schema = schema
        self.version = -1
        self.checkpoint_version = -1
        self._due = False
        self.order = tuple(order)
        self._copied_rows = _COPIED_ROWS if copy_rows else 0  # JSON has no NaN
        self._files: dict[str, DataFile] = {}
        self._tombstones: dict[str, tuple[DataFile, int]] = {}
        self._table_metadata: dict[str, Any] = {}

    # -- creation ------------------------------------------------------------------------------------------

    def create(self) -> None:
        """Create the table as version 0. Idempotent: a table that exists is left as it is."""
        import deltalake

        now = now_ms()
        schema = deltalake.Schema.from_arrow(self.schema).to_json()
        info = {"timestamp": now, "operation": "CREATE TABLE", "engineInfo": "lakefolio"}
        actions: list[dict[str, Any]] = [
            {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
            {
                "metaData": {
                    "id": str(uuid.uuid4()),
                    "name": self.name,
                    "format": {"provider": "parquet", "options": {}},
                    "schemaString": schema,
                    "partitionColumns": [],
                    "configuration": _CONFIGURATION,
                    "createdTime": now,
                }
            },
        ]
        try:
            self.store.create(log_key(self.name, 0), sealed(info, {}, actions))
        except AlreadyExistsError:
            return

    # -- reading -------------------------------------------------------------------------------------------

    def data_files(self) -> dict[str, int]:
        """Return the active data files: path in the table -> size in bytes."""
        return {file.path: file.size_bytes for file in self._files.values()}

    def never_named(self) -> Callable[[str], bool]:
        """Return what says of a path whether it is a data file that no log entry names, nor ever will.

        A file carries the version it was written for in its name, and only the log entry of that version may name it
        (FORMAT.md, "Upkeep"). Once that version exists without naming it, the writer has lost or died.
        """
        named = {*self._files, *self._tombstones}
        newest = self.version
        return lambda path: (
            (match := _DATA_FILE.fullmatch(path)) is not None and int(match[1]) <= newest and path not in named
        )

    def active(self) -> list[DataFile]:
        """Return the active data files as the log tells, read from its start; the files are not read."""
        self._forget()
        for entry in self._read_entries(self._list_versions(None)):
            self._replay(entry)
        return list(self._files.values())

    def load(self, *, trust_copies: bool = True) -> pa.Table:
        """Read the table from its newest checkpoint on and return all its rows, in order.

        Three requests (the checkpoint's name, the checkpoint, one LIST), then the entries since and the data files.

        Args:
            trust_copies: Take the rows of small commits from their log entries, without reading their files. False
                reads the log from its start and every file, and compares them with the copies.

        Raises:
            FormatError: If the table is missing, or asks for a newer protocol than is known here.
            IntegrityError: If a log entry, a checkpoint or a data file is missing or damaged.
        """
        pointer = self.store.find(f"{log_prefix(self.name)}/_last_checkpoint") if trust_copies else None
        try:
            if (found := parse_pointer(pointer)) is not None:
                self._load_checkpoint(*found)
            if self.version < 0:
                return self._load(trust_copies=trust_copies)
            try:
                return self._load(trust_copies=True)
            except (IntegrityError, FormatError):
                self._forget()  # a checkpoint saves time, nothing else: what is wrong is for the log to say
                return self._load(trust_copies=True)
        except BaseException:
            self._forget()  # so that the next look does not take a half-read table for a whole one
            raise

    def _forget(self) -> None:
        self.version = self.checkpoint_version = -1
        self._files.clear()
        self._tombstones.clear()

    def _load(self, *, trust_copies: bool) -> pa.Table:
        after = log_key(self.name, self.version) if self.version >= 0 else None
        entries = self._read_entries(self._list_versions(after))
        if self.version < 0 and not entries:
            raise FormatError(
                f"table {self.name!r} of {self.store.uri} has no log",
                kind="table-missing",
                hint="the lake was copied or deleted in part; restore it from a copy",
                table=self.name,
            )
        for entry in entries:
            self._replay(entry)
        files = list(self._files.values())
        if trust_copies:
            return self._ordered(self._rows_of(files))
        rows = self._rows_of([replace(file, rows=None) for file in files])
        for file in files:
            if file.rows is not None:
                self._compare(file)
        return self._ordered(rows)

    def _compare(self, file: DataFile) -> None:
        assert file.rows is not None
        if not self._rows_of([replace(file, rows=None)]).equals(file.rows):
            raise IntegrityError(
                f"data file {file.path!r} of table {self.name!r} differs from the copy of its rows in the log",
                kind="table-copy-differs",
                hint="one of the two was edited; restore both from a copy of the lake",
                key=f"{table_prefix(self.name)}/{file.path}",
                table=self.name,
            )

    def poll(self) -> tuple[list[LogEntry], pa.Table]:
        """Read what is new since the last look and return the log entries and their rows, in order.

        One GET that finds nothing when nothing is new; else two to find one more entry, and one LIST for many.
        """
        entries: list[LogEntry] = []
        key = log_key(self.name, self.version + 1)
        found = self.store.find(key)
        if found is None:
            return [], self.schema.empty_table()
        entries.append(self._parse(self.version + 1, found, key))
        key = log_key(self.name, self.version + 2)
        found = self.store.find(key)
        if found is not None:
            entries.append(self._parse(self.version + 2, found, key))
            entries += self._read_entries(self._list_versions(key), first=self.version + 3)
        rows = self._ordered(self._rows_of([file for entry in entries for file in entry.added]))
        for entry in entries:
            self._replay(entry)
        return entries, rows

    def entries(self, first: int, last: int) -> list[LogEntry]:
        """Read the log entries ``first`` to ``last`` again, one request each; changes nothing in this handle."""
        return self._read_entries(range(first, last + 1), first=first)

    def _list_versions(self, after: str | None) -> list[int]:
        listed = self.store.list(log_prefix(self.name) + "/", after=after)
        versions = [log_version(info.key) for info in listed]
        return sorted(version for version in versions if version is not None)

    def _read_entries(self, versions: Sequence[int], first: int | None = None) -> list[LogEntry]:
        expected = self.version + 1 if first is None else first
        if list(versions) != list(range(expected, expected + len(versions))):
            missing = sorted(set(range(expected, max(versions) + 1)) - set(versions))
            raise IntegrityError(
                f"log of table {self.name!r} in {self.store.uri} lacks version {missing[0]}",
                kind="log-gap",
                hint="a log entry was deleted; restore it from a copy of the lake",
                table=self.name,
                version=missing[0],
            )
        keys = [log_key(self.name, version) for version in versions]
        bodies = self.store.get_many(keys)
        return [self._parse(version, body, key) for version, body, key in zip(versions, bodies, keys, strict=True)]

    def _parse(self, version: int, body: bytes | memoryview | None, key: str) -> LogEntry:
        if body is None:
            raise IntegrityError(f"log entry {key!r} is missing", kind="log-gap", key=key, version=version)
        added: list[DataFile] = []
        compacted: list[DataFile] = []
        removed: list[str] = []
        info: Mapping[str, Any] = {}
        try:
            check_seal(bytes(body))
            for line in bytes(body).splitlines():
                action = json.loads(line)
                if "add" in action:
                    file = file_of(action["add"])
                    (added if action["add"].get("dataChange", True) else compacted).append(file)
                elif "remove" in action:
                    removed.append(unquote(action["remove"]["path"]))
                elif "protocol" in action:
                    check_protocol(action["protocol"], self.name)
                elif "metaData" in action:
                    self._table_metadata = action["metaData"]
                elif "commitInfo" in action:
                    info = action["commitInfo"].get("lakefolio") or {}
            if added and info.get("rows") is not None and len(added) == 1:
                rows = rows_from_plain(info["rows"], self.schema)
                added = [replace(added[0], rows=rows)]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, pa.ArrowException) as exc:
            raise IntegrityError(
                f"log entry {key!r} is truncated or damaged: {brief(exc)}",
                kind="log-damaged",
                hint="restore this object from a copy of the lake",
                key=key,
                version=version,
            ) from exc
        commits, refused = tuple(info.get("commits", ())), tuple(info.get("refused", ()))
        return LogEntry(version, commits, tuple(added), tuple(compacted), tuple(removed), refused)

    def _replay(self, entry: LogEntry) -> None:
        for path in entry.removed:
            gone = self._files.pop(path, None)
            if gone is not None:
                self._tombstones[path] = (gone, now_ms())
        for file in (*entry.added, *entry.compacted):
            self._files[file.path] = file
        self.version = entry.version

    def _rows_of(self, files: Sequence[DataFile]) -> pa.Table:
        wanted = [file for file in files if file.rows is None]
        keys = [check_key(f"{table_prefix(self.name)}/{file.path}", within=table_prefix(self.name)) for file in wanted]
        bodies = self.store.get_many(keys)
        tables = [file.rows for file in files if file.rows is not None]
        for file, key, body in zip(wanted, keys, bodies, strict=True):
            tables.append(self._read_parquet(file, key, body))
        return pa.concat_tables(tables) if tables else self.schema.empty_table()

    def _read_parquet(self, file: DataFile, key: str, body: bytes | None) -> pa.Table:
        problem = "is missing"
        if body is not None and len(body) != file.size_bytes:
            problem = f"has {len(body)} bytes, expected {file.size_bytes}"
        elif body is not None and file.sha256 and file.sha256 != (found := hashlib.sha256(body).hexdigest()):
            problem = f"has the digest {found[:16]}…, expected {file.sha256[:16]}…"
        elif body is not None:
            try:
                return from_parquet(body, self.schema)
            except (pa.ArrowException, KeyError, ValueError, OSError) as exc:
                problem = f"is truncated or damaged: {brief(exc)}"
        raise IntegrityError(
            f"data file {key!r} of table {self.name!r} {problem}",
            kind="table-file-damaged",
            hint="restore this object from a copy of the lake",
            key=key,
            table=self.name,
        )

    def _ordered(self, rows: pa.Table) -> pa.Table:
        return rows.sort_by([(column, "ascending") for column in self.order]) if rows.num_rows > 1 else rows

    # -- writing -------------------------------------------------------------------------------------------

    def encode(self, rows: pa.Table, *, version: int) -> tuple[DataFile, str, bytes]:
        """Make the Parquet file of a commit: its ``add`` description, its key and its bytes. No request."""
        body = to_parquet(rows)
        path = f"{version:020d}-{uuid.uuid4().hex}.parquet"
        stats = stats_of(rows)
        sha256 = hashlib.sha256(body).hexdigest()
        file = DataFile(path, len(body), rows.num_rows, stats, now_ms(), sha256, rows)
        return file, f"{table_prefix(self.name)}/{path}", body

    def commit(
        self,
        version: int,
        file: DataFile | None,
        commit_ids: Sequence[str],
        at: datetime,
        refused: Sequence[str] = (),
    ) -> None:
        """Create the log entry of ``version`` over a file that is already stored. One request, exact.

        Args:
            version: The version to create.
            file: Its rows; None if all it does is refuse.
            commit_ids: The commits it carries.
            at: When.
            refused: Commits of tickets that are decided by not being carried.

        Raises:
            AlreadyExistsError: If the version exists: somebody committed meanwhile, or this very commit landed and
                its answer was lost. The caller polls and looks for its own commit id.
        """
        ours: dict[str, Any] = {"commits": list(commit_ids)}
        if refused:
            ours["refused"] = list(refused)
        if file is not None and file.rows is not None and file.rows.num_rows <= self._copied_rows:
            ours["rows"] = rows_to_plain(file.rows)
        info = {
            "timestamp": int(at.timestamp() * 1000),
            "operation": "WRITE",
            "operationParameters": {"mode": "Append"},
            "engineInfo": "lakefolio",
            "isBlindAppend": True,
        }
        actions = [] if file is None else [{"add": file.add(data_change=True)}]
        body = sealed(info, ours, actions)
        if len(body) > _COPIED_BYTES and "rows" in ours:
            del ours["rows"]
            body = sealed(info, ours, actions)
        self.store.create(log_key(self.name, version), body)
        self._due = self._due or version % _CHECKPOINT_EVERY == 0
        self._replay(LogEntry(version, tuple(commit_ids), () if file is None else (file,), (), ()))

    # -- upkeep --------------------------------------------------------------------------------------------

    def due(self) -> bool:
        """Say whether it is on this handle to do the :meth:`upkeep`: it created a version that is a multiple of 50.

        So one writer does it however many there are; should it die, the creator of the next multiple makes up for it.
        """
        return self._due

    def upkeep(self, *, everything: bool = False) -> dict[str, int]:
        """Merge small files and write a checkpoint. Never changes a row; loses a race without harm.

        Args:
            everything: Merge all files into one instead of only those of a full size class.

        Returns:
            Counts: ``files_before``, ``files_after``, ``checkpoint_version``.
        """
        before = len(self._files)
        self._due = False
        for chosen in self._candidates(everything=everything):
            if not self._compact(chosen):
                break
        self._write_checkpoint()
        return {
            "files_before": before,
            "files_after": len(self._files),
            "checkpoint_version": self.checkpoint_version,
        }

    def _candidates(self, *, everything: bool) -> list[list[DataFile]]:
        files = list(self._files.values())
        if everything:
            return [files] if len(files) > 1 else []
        for top in (2, 1, 0):
            if sum(file.level == top for file in files) >= _COMPACT_FANOUT:
                return [[file for file in files if file.level <= top]]
        return []

    def _compact(self, files: list[DataFile]) -> bool:
        rows = self._ordered(self._rows_of(files)).combine_chunks()
        version = self.version + 1
        merged, key, body = self.encode(rows, version=version)
        self.store.create_if_absent(key, body)  # nobody else uses this key: one that is there is this very file
        now = now_ms()
        removes = [
            {
                "remove": {
                    "path": quote(file.path, safe="/=-_.~"),
                    "deletionTimestamp": now,
                    "dataChange": False,
                    "extendedFileMetadata": True,
                    "partitionValues": {},
                    "size": file.size_bytes,
                }
            }
            for file in files
        ]
        info = {
            "timestamp": now,
            "operation": "OPTIMIZE",
            "operationParameters": {},
            "engineInfo": "lakefolio",
        }
        actions = [*removes, {"add": merged.add(data_change=False)}]
        try:
            self.store.create(log_key(self.name, version), sealed(info, {}, actions))
        except AlreadyExistsError:
            return False
        self._replay(LogEntry(version, (), (), (replace(merged, rows=None),), tuple(file.path for file in files)))
        return True

    def _write_checkpoint(self) -> None:
        """Write the checkpoint of the version this handle is at, then point ``_last_checkpoint`` to it.

        Safe at any time and by anyone: what it says is a function of the log up to its version.
        """
        if self.version <= self.checkpoint_version or not self._table_metadata:
            return
        body = to_checkpoint(self._table_metadata, list(self._files.values()), list(self._tombstones.values()))
        size = 2 + len(self._files) + len(self._tombstones)
        prefix = log_prefix(self.name)
        self.store.put(f"{prefix}/{self.version:020d}.checkpoint.parquet", body)
        self.store.put(f"{prefix}/_last_checkpoint", to_pointer(self.version, body, len(self._files), size))
        self.checkpoint_version = self.version

    def _load_checkpoint(self, version: int, sha256: str) -> None:
        import pyarrow.parquet as pq

        key = f"{log_prefix(self.name)}/{version:020d}.checkpoint.parquet"
        body = self.store.find(key)
        if body is None or (sha256 and hashlib.sha256(body).hexdigest() != sha256):
            return  # the log itself is complete: a lost checkpoint costs time, nothing else
        try:
            actions = pq.ParquetFile(pa.BufferReader(pa.py_buffer(body))).read(use_threads=False).to_pylist()
            for action in actions:
                if action.get("protocol"):
                    check_protocol(action["protocol"], self.name)
                elif action.get("metaData"):
                    self._table_metadata = plain_metadata(action["metaData"])
                elif action.get("add"):
                    file = file_of(action["add"])
                    self._files[file.path] = file
                elif action.get("remove"):
                    gone = action["remove"]
                    file = DataFile(unquote(gone["path"]), gone.get("size") or 0, 0, "", 0)
                    self._tombstones[file.path] = (file, gone.get("deletionTimestamp") or 0)
        except (pa.ArrowException, FormatError, KeyError, ValueError, TypeError, AttributeError, OSError):
            self._forget()
            return
        self.version = self.checkpoint_version = version

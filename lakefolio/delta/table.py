"""The Delta tables of a lake: their log entries, checkpoints and data files (FORMAT.md, "Journal protocol").

Tables stay at reader version 1 and writer version 2 without features, so that every Delta reader reads a lake.
Committing is two requests, PUT of a Parquet file and create-if-absent of the next log entry, where deltalake's own
append needs six; checkpoints and compactions are written here too, because a handle already holds the state that
deltalake would first have to read (measured: see DESIGN.md). In tests deltalake, DuckDB's ``delta_scan`` and Polars
read everything written here.

Log entries are never deleted: a writer that slept could otherwise create an entry below the newest one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefolio.delta.actions import (
    DataFile,
    LogEntry,
    Total,
    rows_to_plain,
    runs_of,
    stats_of,
    versions_of,
)
from lakefolio.delta.checkpoint import to_checkpoint, to_pointer
from lakefolio.delta.log import DeltaLog
from lakefolio.delta.parquet_rows import from_parquet, same_rows, to_parquet
from lakefolio.delta.seal import Seals
from lakefolio.errors import AlreadyExistsError, IntegrityError
from lakefolio.format.layout import JOURNAL, checkpoint_key, data_file_path, log_key, pointer_key, table_prefix
from lakefolio.process.clock import now_ms
from lakefolio.render.text import counted

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from lakefolio.storage import Store

__all__ = ["DeltaTable", "creation", "lake_id_of", "write_checkpoint"]

_COPIED_ROWS = 100
_COPIED_BYTES = 32 * 1024
_CHECKPOINT_EVERY = 50
_COMPACT_FANOUT = 48
"""A merge takes a version for itself, so that 49 commits lie between two of them: all of those are merged."""
_FULL_LEVEL = 3
_MOST_ROWS = 250_000
_MOST_BYTES = 64 << 20
"""The limit of one merge, whose rows lie in memory, unpacked and several times: half a gigabyte of plain rows."""
_CONFIGURATION = {
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.deletedFileRetentionDuration": "interval 36500 days",
    "delta.checkpointInterval": "1000000",
}


class DeltaTable(DeltaLog):
    """A Delta table for reading and writing. Not thread-safe: its owner holds a lock."""

    # -- creation ------------------------------------------------------------------------------------------

    def create(self) -> bool:
        """Create the table as version 0; return whether this call did. Idempotent: an existing table stays."""
        info = {"timestamp": now_ms(), "operation": "CREATE TABLE", "engineInfo": "lakefolio"}
        actions = creation(self.name, self.schema, str(uuid.uuid4()))
        try:
            ours = {"lake_id": self.seals.lake_id, "total": Total().to_plain()}
            self.store.create(log_key(self.name, 0), self.seals.entry(0, info, ours, actions))
        except AlreadyExistsError:
            return False
        return True

    # -- writing -------------------------------------------------------------------------------------------

    def encode(
        self, rows: pa.Table, *, version: int, values: Sequence[Mapping[str, object]] = ()
    ) -> tuple[DataFile, str, bytes]:
        """Make the Parquet file of a commit: its ``add`` description, its key and its bytes. No request.

        Args:
            rows: The rows.
            version: The version whose log entry is to name the file.
            values: The same rows as Python values, if the caller has them: the log entry of a small commit carries a
                copy.
        """
        body = to_parquet(rows)
        copy = rows_to_plain(values, self.spec.apart) if 0 < len(values) <= _COPIED_ROWS else None
        lacks = tuple(name for name in self.spec.apart if any(row.get(name) is not None for row in values))
        file = self._described(rows, body, data_file_path(version), rows=rows, copy=copy, lacks=lacks)
        return file, f"{table_prefix(self.name)}/{file.path}", body

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
        added = () if file is None else (replace(file, copy=None, lacks=()),)
        total = self.files.total.with_changes(added, ())
        ours: dict[str, Any] = {"commits": list(commit_ids), "total": total.to_plain()}
        if refused:
            ours["refused"] = list(refused)
        if file is not None and file.copy is not None:
            ours |= ({"apart": list(file.lacks)} if file.lacks else {}) | {"rows": file.copy}
        info = {
            "timestamp": int(at.timestamp() * 1000),
            "operation": "WRITE",
            "operationParameters": {"mode": "Append"},
            "engineInfo": "lakefolio",
            "isBlindAppend": True,
        }
        actions = [] if file is None else [{"add": file.add(data_change=True)}]
        body = self.seals.entry(version, info, ours, actions)
        if len(body) > _COPIED_BYTES and "rows" in ours:
            del ours["rows"]
            body = self.seals.entry(version, info, ours, actions)
        self.store.create(log_key(self.name, version), body)
        self._due = self._due or version % _CHECKPOINT_EVERY == 0
        self.files.replay(LogEntry(version, tuple(commit_ids), added, (), {}), total)

    # -- maintenance ---------------------------------------------------------------------------------------

    def due(self) -> bool:
        """Say whether this handle shall :meth:`maintain` the table: it created a version that is a multiple of 50.

        So one writer does it, however many there are; if it dies, the creator of the next multiple does its work too.
        """
        return self._due

    def maintain(
        self,
        lock: threading.RLock,
        *,
        everything: bool = False,
        moved: Callable[[], None] = lambda: None,
        erase: Callable[[pa.Table], pa.Table] = lambda rows: rows,
        note: Callable[[], str] = lambda: "",
    ) -> dict[str, int]:
        """Merge small files and write a checkpoint. Never changes a row; loses a race without harm.

        A merge is verified before it is committed: each source by its seal, its row count and its versions, and
        the result by reading it back.

        Args:
            lock: That of this handle's owner, who does not hold it: it is taken to choose what is merged and to create
                the log entry; what takes long goes on without it. One thread at a time calls this.
            everything: Merge all files, as far as they are not large, instead of only those of a full size class.
            moved: Called when the table is at a new version, before the lock that made it is given back.
            erase: Takes the values of columns that lie apart (see TableSpec) out of rows that must not have them any
                more.
            note: Gives what ``_last_checkpoint`` is to note beside the checkpoint.

        Returns:
            Counts: ``files_before``, ``files_after``, ``checkpoint_version``.
        """
        with lock:
            before = len(self.files.active)
            self._due = False
            portions = self._candidates(everything=everything)
        for chosen in portions:
            if not self.merge(chosen, lock, erase, moved):
                break
        self._write_checkpoint(lock, note, anew=everything)
        return {
            "files_before": before,
            "files_after": len(self.files.active),
            "checkpoint_version": self.files.checkpoint_version,
        }

    def merge(
        self,
        files: Sequence[DataFile],
        lock: threading.RLock,
        erase: Callable[[pa.Table], pa.Table],
        moved: Callable[[], None] = lambda: None,
    ) -> bool:
        """Replace files by one with the same rows, see :meth:`maintain`; False if another writer was faster.

        Raises:
            IntegrityError: If a source differs from the log, or the result from its sources.
        """
        try:
            rows = self.objects.ordered(self.objects.read(files, whole=True)).combine_chunks()
        except IntegrityError as exc:
            if self.outdated(exc):
                return False
            raise
        expected = sum(file.row_count for file in files)
        key = f"{table_prefix(self.name)}/{files[0].path}"
        if rows.num_rows != expected:
            raise self.objects.damaged(key, f"and others have {counted(rows.num_rows, 'row')}")
        rows = erase(rows)
        body = to_parquet(rows)
        merged = self._described(rows, body, "")
        if rows.num_rows != expected or not same_rows(from_parquet(body, self.schema), rows):
            raise self.objects.damaged(key, "can't be merged: other rows came out")
        with lock:
            replaced = self._replace_by(merged, body, files)
            if replaced:
                moved()
            return replaced

    def _candidates(self, *, everything: bool) -> list[list[DataFile]]:
        """Return lists of files of neighbouring versions to be merged; only the first list if a writer waits."""
        files = sorted(self.files.active.values(), key=lambda file: file.path)
        if everything:
            return _portions([file for file in files if file.level < _FULL_LEVEL])
        levels = [file.level for file in files]
        for top in reversed(range(_FULL_LEVEL)):
            if levels.count(top) >= _COMPACT_FANOUT:
                return _portions([file for file, level in zip(files, levels, strict=True) if level <= top])[:1]
        return []

    def _replace_by(self, merged: DataFile, body: bytes, files: Sequence[DataFile]) -> bool:
        """Create the version at which one file replaces others with the same rows; return whether this call did."""
        if any(file.path not in self.files.active for file in files):
            return False  # another writer has merged them meanwhile
        version = self.version + 1
        path = data_file_path(version)
        merged = replace(merged, path=path, seal=self.seals.of(path, merged.seal))
        # nobody else uses this key: one that is there is this very file
        self.store.create_if_absent(f"{table_prefix(self.name)}/{merged.path}", body)
        now = now_ms()
        removes = [{"remove": file.remove(now)} for file in files]
        info = {
            "timestamp": now,
            "operation": "OPTIMIZE",
            "operationParameters": {},
            "engineInfo": "lakefolio",
        }
        actions = [*removes, {"add": merged.add(data_change=False)}]
        try:
            total = self.files.total.with_changes((merged,), [self.files.active[file.path] for file in files])
            self.store.create(
                log_key(self.name, version), self.seals.entry(version, info, {"total": total.to_plain()}, actions)
            )
        except AlreadyExistsError:
            return False
        self.files.replay(LogEntry(version, (), (), (merged,), {file.path: now for file in files}), total)
        return True

    def _described(self, table: pa.Table, body: bytes, path: str, **kept: Any) -> DataFile:
        """Return the description of a file in a log entry; without a path yet, its seal is the digest of its bytes."""
        sha256 = hashlib.sha256(body).hexdigest()
        seal = self.seals.of(path, sha256) if path else sha256
        stats, versions = stats_of(table), versions_of(table)
        return DataFile(path, len(body), table.num_rows, stats, now_ms(), seal, versions, runs=runs_of(table), **kept)

    def _write_checkpoint(self, lock: threading.RLock, note: Callable[[], str], *, anew: bool = False) -> None:
        """Write the checkpoint of the version this handle is at, then point ``_last_checkpoint`` to it.

        Safe at any time and by any writer: it is a function of the log up to its version. One that is there is written
        ``anew`` only if something else is to be noted beside it.
        """
        with lock:
            written = self.version <= self.files.checkpoint_version
            if (written and not anew) or not self.files.metadata:
                return
        noted = note()  # before the version is chosen: what is noted goes no further than the checkpoint
        if written and noted == self.note():
            return
        with lock:
            version, metadata = self.version, self.files.metadata
            files, tombstones = self.files.listed, list(self.files.tombstones.values())
        write_checkpoint(self.store, self.seals, version, metadata, files, tombstones, noted)
        self.files.checkpoint_version = version


def creation(name: str, schema: pa.Schema, table_id: str) -> list[dict[str, Any]]:
    """Return the actions that create a table: its protocol and its metadata."""
    import deltalake

    return [
        {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
        {
            "metaData": {
                "id": table_id,
                "name": name,
                "format": {"provider": "parquet", "options": {}},
                "schemaString": deltalake.Schema.from_arrow(schema).to_json(),
                "partitionColumns": [],
                "configuration": _CONFIGURATION,
                "createdTime": now_ms(),
            }
        },
    ]


def write_checkpoint(
    store: Store,
    seals: Seals,
    version: int,
    metadata: Mapping[str, Any],
    files: Sequence[DataFile],
    tombstones: Sequence[tuple[DataFile, int]] = (),
    note: str = "",
) -> None:
    """Store the checkpoint of a version of a table, then point ``_last_checkpoint`` to it."""
    body = to_checkpoint(metadata, files, tombstones)
    store.put(checkpoint_key(seals.table, version), body)
    size = 2 + len(files) + len(tombstones)
    store.put(pointer_key(seals.table), to_pointer(seals, version, body, len(files), size, note))


def lake_id_of(store: Store) -> str:
    """Return the id of a lake from the first entry of its journal, which is written before the marker.

    Raises:
        IntegrityError: If that is not what lakefolio wrote.
    """
    key = log_key(JOURNAL, 0)
    body = store.find(key) or b""
    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
        lake_id = json.loads(body.partition(b"\n")[0])["commitInfo"]["lakefolio"]["lake_id"]
        if isinstance(lake_id, str) and Seals(lake_id, JOURNAL).is_sealed(0, body):
            return lake_id
    raise IntegrityError(
        f"log entry {key!r} of {store.uri} is truncated or damaged: it names no lake",
        kind="log-damaged",
        hint="restore this object from a copy of the lake",
        key=key,
        version=0,
    )


def _portions(files: Sequence[DataFile]) -> list[list[DataFile]]:
    """Cut the files that are not large into lists that are each merged at once; no list has a single file.

    A large file has half of the limit of a portion, so that the merge of a whole portion is large, and never merged
    again.
    """
    portions: list[list[DataFile]] = [[]]
    row_count = size_bytes = 0
    for file in files:
        row_count += file.row_count
        size_bytes += file.size_bytes
        if row_count > _MOST_ROWS or size_bytes > _MOST_BYTES:
            portions.append([])
            row_count, size_bytes = file.row_count, file.size_bytes
        portions[-1].append(file)
    return [portion for portion in portions if len(portion) > 1]

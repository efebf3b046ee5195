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
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefolio.delta.actions import (
    DataFile,
    LogEntry,
    now_ms,
    quoted_path,
    rows_to_plain,
    sealed,
    stats_of,
    to_checkpoint,
    to_parquet,
    to_pointer,
)
from lakefolio.delta.log import DeltaLog, log_problem
from lakefolio.errors import AlreadyExistsError
from lakefolio.format.layout import log_key, log_prefix, table_prefix

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

__all__ = ["DataFile", "DeltaTable", "LogEntry", "log_problem"]

_COPIED_ROWS = 100
_COPIED_BYTES = 32 * 1024
_CHECKPOINT_EVERY = 50
_COMPACT_FANOUT = 50
_FULL_LEVEL = 3
_MOST_ROWS = 250_000
_MOST_BYTES = 64 << 20
"""What is merged at once lies in memory, unpacked and several times: no more than half a gigabyte of plain rows."""
_CONFIGURATION = {
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.deletedFileRetentionDuration": "interval 36500 days",
    "delta.checkpointInterval": "1000000",
}


class DeltaTable(DeltaLog):
    """A Delta table that can be written, too. Not thread-safe: its owner holds a lock."""

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

    # -- writing -------------------------------------------------------------------------------------------

    def encode(
        self, rows: pa.Table, *, version: int, values: Sequence[Mapping[str, Any]] = ()
    ) -> tuple[DataFile, str, bytes]:
        """Make the Parquet file of a commit: its ``add`` description, its key and its bytes. No request.

        Args:
            rows: The rows.
            version: The version whose log entry is to name the file.
            values: The same rows as Python values, if the caller has them: the log entry of a small commit carries a
                copy.
        """
        body = to_parquet(rows)
        copy = rows_to_plain(values) if 0 < len(values) <= _COPIED_ROWS else None
        file = replace(_described(rows, body), path=_new_path(version), rows=rows, copy=copy)
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
        ours: dict[str, Any] = {"commits": list(commit_ids)}
        if refused:
            ours["refused"] = list(refused)
        if file is not None and file.copy is not None:
            ours["rows"] = file.copy
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
        added = () if file is None else (replace(file, copy=None),)
        self._replay(LogEntry(version, tuple(commit_ids), added, (), ()))

    # -- upkeep --------------------------------------------------------------------------------------------

    def due(self) -> bool:
        """Say whether it is on this handle to do the :meth:`upkeep`: it created a version that is a multiple of 50.

        So one writer does it however many there are; should it die, the creator of the next multiple makes up for it.
        """
        return self._due

    def upkeep(
        self, lock: threading.RLock, *, everything: bool = False, moved: Callable[[], None] = lambda: None
    ) -> dict[str, int]:
        """Merge small files and write a checkpoint. Never changes a row; loses a race without harm.

        Args:
            lock: That of this handle's owner, who does not hold it: it is taken to choose what is merged and to create
                the log entry; what takes long goes on without it. One thread at a time calls this.
            everything: Merge all files, as far as they are not large, instead of only those of a full size class.
            moved: Called with the lock held when the table is at a new version.

        Returns:
            Counts: ``files_before``, ``files_after``, ``checkpoint_version``.
        """
        with lock:
            before = len(self._files)
            self._due = False
            portions = self._candidates(everything=everything)
        for chosen in portions:
            rows = self._ordered(self._rows_of(chosen)).combine_chunks()
            body = to_parquet(rows)
            merged = _described(rows, body)
            with lock:
                if not self._replace_by(merged, body, chosen):
                    break
                moved()
        self._write_checkpoint(lock)
        return {
            "files_before": before,
            "files_after": len(self._files),
            "checkpoint_version": self.checkpoint_version,
        }

    def _candidates(self, *, everything: bool) -> list[list[DataFile]]:
        """Return lists of files to be merged, of neighbouring versions; only the first if a writer waits for it."""
        files = sorted(self._files.values(), key=lambda file: file.path)
        if everything:
            return _portions([file for file in files if file.level < _FULL_LEVEL])
        levels = [file.level for file in files]
        for top in reversed(range(_FULL_LEVEL)):
            if levels.count(top) >= _COMPACT_FANOUT:
                return _portions([file for file, level in zip(files, levels, strict=True) if level <= top])[:1]
        return []

    def _replace_by(self, merged: DataFile, body: bytes, files: list[DataFile]) -> bool:
        """Create the version at which one file stands for others that have the same rows; say whether it was."""
        if any(file.path not in self._files for file in files):
            return False  # another writer has merged them meanwhile
        version = self.version + 1
        merged = replace(merged, path=_new_path(version))
        # nobody else uses this key: one that is there is this very file
        self.store.create_if_absent(f"{table_prefix(self.name)}/{merged.path}", body)
        now = now_ms()
        removes = [
            {
                "remove": {
                    "path": quoted_path(file.path),
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
        self._replay(LogEntry(version, (), (), (merged,), tuple(file.path for file in files)))
        return True

    def _write_checkpoint(self, lock: threading.RLock) -> None:
        """Write the checkpoint of the version this handle is at, then point ``_last_checkpoint`` to it.

        Safe at any time and by anyone: what it says is a function of the log up to its version.
        """
        with lock:
            version, metadata = self.version, self._table_metadata
            files, tombstones = list(self._files.values()), list(self._tombstones.values())
        if version <= self.checkpoint_version or not metadata:
            return
        body = to_checkpoint(metadata, files, tombstones)
        size = 2 + len(files) + len(tombstones)
        prefix = log_prefix(self.name)
        self.store.put(f"{prefix}/{version:020d}.checkpoint.parquet", body)
        self.store.put(f"{prefix}/_last_checkpoint", to_pointer(version, body, len(files), size))
        self.checkpoint_version = version


def _new_path(version: int) -> str:
    """Return a path that nobody else uses, for a data file that the log entry of a version is to name."""
    return f"{version:020d}-{uuid.uuid4().hex}.parquet"


def _described(rows: pa.Table, body: bytes) -> DataFile:
    """Return what a log entry says of a file with these rows and bytes, but for its path."""
    return DataFile("", len(body), rows.num_rows, stats_of(rows), now_ms(), hashlib.sha256(body).hexdigest())


def _portions(files: Sequence[DataFile]) -> list[list[DataFile]]:
    """Cut files that are not large into lists that may be merged at once; one is never left alone with nothing to do.

    A large file has half of what a portion may have, so that what a whole portion makes is large, and left alone.
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

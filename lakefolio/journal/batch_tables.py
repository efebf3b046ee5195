"""Metric points and events: rows stored in batches beside the journal (FORMAT.md, "Metrics", "Events").

A batch is stored first, under an id of its own; it counts from the version whose row names the id. So a lost race for
the journal never stores a point twice, and a batch whose commit never landed is not counted.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa

from lakefolio.delta.actions import DataFile
from lakefolio.delta.table import DeltaTable
from lakefolio.errors import AlreadyExistsError, FormatError, IntegrityError, LakefolioError
from lakefolio.format.schema import SPECS
from lakefolio.journal.table_rows import Scan, TableRows

if TYPE_CHECKING:
    from lakefolio.content.local_files import LocalFiles
    from lakefolio.readmodels.cache import Cache
    from lakefolio.storage import Store

__all__ = ["LogTable"]

T = TypeVar("T")
_FIRST_WAIT_S = 0.002
_LONGEST_WAIT_S = 0.5
_KNOWN_APPENDS = 1000


class LogTable:
    """``metric_rows`` or ``event_rows`` through one handle. Safe to share between threads."""

    def __init__(self, store: Store, lake_id: str, name: str, local: LocalFiles, cache: Cache) -> None:
        self._store = store
        self._table = DeltaTable(store, lake_id, SPECS[name])
        self._rows = TableRows(self._table, local, cache)
        self._lock = threading.RLock()
        self._busy = threading.Lock()  # held by the thread that runs maintenance
        self._tried: dict[str, int] = {}  # the first id of an append -> the version above which it is, if it is stored
        self._seen = -1  # the lake version at which the log was read last

    def append(self, batch_ids: Sequence[str], rows: pa.Table, at: datetime) -> None:
        """Store batches. They count for nothing until a commit names them.

        Exactly once, however often its log entry races others, an answer is lost or the same ids are given again: its
        log entry tells the ids. Creates the table if the lake lacks it.

        Raises:
            StorageError: If the store failed; then it is unknown whether they are stored. Give them again, same ids.
        """
        with self._lock:
            self._open(create=True)
            batch_id = batch_ids[0]
            tried = self._tried.get(batch_id)
            if tried is not None and self._landed(batch_id, tried):
                return
            self._tried[batch_id] = since = self._table.version
            for old in list(self._tried)[:-_KNOWN_APPENDS]:
                del self._tried[old]
            wait_s = _FIRST_WAIT_S
            while True:
                file, key, body = self._table.encode(rows, version=self._table.version + 1)
                with contextlib.suppress(AlreadyExistsError):  # nobody else uses this key: its answer was lost
                    self._store.create(key, body)
                try:
                    self._table.commit(self._table.version + 1, file, batch_ids, at)
                except AlreadyExistsError:
                    if self._landed(batch_id, since):
                        return
                    time.sleep(wait_s * random.random())
                    wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
                    continue
                break
        if self._table.due() and self._busy.acquire(blocking=False):
            try:
                with contextlib.suppress(LakefolioError):  # the creator of the next multiple makes up for it
                    self._table.maintain(self._lock)
            finally:
                self._busy.release()

    def matching(self, version: int, *where: tuple[str, str]) -> pa.Table:
        """Return the rows that have a text in each of some columns, in no order; their batch need not count.

        Args:
            version: The lake version that is asked for; no request if it was asked for before.
            *where: Columns, and the text that each must have.
        """
        return self._of_files(version, lambda files: self._rows.matching(files, where))

    def scan(self, version: int) -> Scan:
        """Return all rows as they lie, including rows whose batch does not count; see :meth:`matching`."""
        return self._of_files(version, self._rows.scan)

    def _of_files(self, version: int, read: Callable[[Sequence[DataFile]], T]) -> T:
        """Read the data files at a lake version or later; choose the files again if a merge replaced some meanwhile."""
        while True:
            with self._lock:
                if version > self._seen or self._seen < 0:
                    self._sync()
                    self._seen = max(version, self._seen)
                files = self._table.files.listed
            try:
                return read(files)
            except IntegrityError as exc:
                if not self._table.outdated(exc):
                    raise
                with self._lock:
                    self._sync()

    def data_files(self) -> dict[str, int]:
        """Return the active data files: path in the table -> size in bytes."""
        with self._lock:
            self._sync()
            return self._table.files.sizes

    def compact(self) -> dict[str, int] | None:
        """Merge the table's small files and write a checkpoint; None if the lake lacks the table."""
        with self._lock:
            self._open(create=False)
            if self._table.version < 0:
                return None
            self._sync()
        with self._busy:
            return self._table.maintain(self._lock, everything=True)

    def anew(self) -> DeltaTable:
        """Return a second handle on the table, which has not read the log yet."""
        return DeltaTable(self._store, self._table.seals.lake_id, self._table.spec)

    def _open(self, *, create: bool) -> None:
        """Read the log, the first time."""
        if self._table.version >= 0:
            return
        try:
            self._table.follow()
        except FormatError as exc:
            if exc.kind != "table-missing":
                raise
            if create:
                if self._table.create():
                    from lakefolio.views.views_sql import write_views

                    write_views(self._store)
                self._table.follow()

    def _sync(self) -> None:
        self._open(create=False)
        if self._table.version >= 0:
            self._table.look()

    def _landed(self, batch_id: str, since: int) -> bool:
        """Read the new log entries; say whether a version above ``since`` holds an append, whose first id this is."""
        self._table.look()
        return any(batch_id in entry.commit_ids for entry in self._table.entries(since + 1, self._table.version))

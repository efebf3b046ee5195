"""The journal: the one place that decides what happened (FORMAT.md, "Journal protocol").

A commit is planned on the newest state known, its files are stored, and the next log entry of ``manifests`` is created
if it is absent. Winning that create is the commit point *and* the proof that nothing happened since the state it was
planned on. Losing it means: read what happened, look for the own commit id (a lost answer is not a conflict), plan
again. Threads that share a journal combine: whoever holds the lock commits for all who wait.

Order of writing, which makes a writer killed anywhere invisible: blobs (before the journal is called), the Parquet
files of all three tables, the log entries of ``lineage`` and ``metadata``, the log entry of ``manifests``.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefolio.changes import Commit
from lakefolio.delta import DataFile, DeltaTable, LogEntry
from lakefolio.errors import AlreadyExistsError, ConflictError, LakefolioError, StorageError
from lakefolio.overlay import Overlay
from lakefolio.planner import Plan, plan_commit
from lakefolio.refs import new_id
from lakefolio.schema import LINEAGE_SCHEMA, MANIFESTS_SCHEMA, METADATA_SCHEMA
from lakefolio.side import LineageRows, MetadataRows
from lakefolio.state import State

if TYPE_CHECKING:
    from lakefolio.storage import Store

__all__ = ["Committed", "Journal"]

_PATIENCE_S = 60.0
_FIRST_WAIT_S = 0.002
_LONGEST_WAIT_S = 0.5
_CACHED_STATES = 8


@dataclass(frozen=True, slots=True)
class Committed:
    """An acknowledged commit: the lake version it made (shared with others that were combined) and its rows."""

    version: int
    committed_at: datetime
    rows: tuple[dict[str, Any], ...]


@dataclass(slots=True, eq=False)
class _Waiting:
    """A commit on its way: who waits for it, and which side rows it has already written under which ``txn_id``."""

    commit: Commit
    txn_id: str
    written: tuple[Any, Any] | None = None
    outcome: Committed | None = None
    error: BaseException | None = None
    done: threading.Event = field(default_factory=threading.Event)


class Journal:
    """The three tables of one lake through one handle. Safe to share between threads."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.state = State()
        self._lineage = LineageRows()
        self._metadata = MetadataRows()
        self._manifests_table = DeltaTable(store, "manifests", MANIFESTS_SCHEMA, ("version", "ordinal"))
        self._side_tables = {
            "lineage": DeltaTable(store, "lineage", LINEAGE_SCHEMA, ("txn_id", "ordinal")),
            "metadata": DeltaTable(store, "metadata", METADATA_SCHEMA, ("txn_id", "ordinal")),
        }
        self._side_seen = {"lineage": -1, "metadata": -1}
        self._lock = threading.RLock()
        self._queue: list[_Waiting] = []
        self._queue_lock = threading.Lock()
        self._past: dict[int, State] = {}

    # -- reading -------------------------------------------------------------------------------------------

    def create(self) -> None:
        """Create the three tables. Idempotent."""
        self.store.parallel([table.create for table in (self._manifests_table, *self._side_tables.values())])

    def load(self) -> State:
        """Read the journal; the side tables are read when they are first asked for."""
        with self._lock:
            rows = self._manifests_table.load()
            self.state.extend(rows, self._manifests_table.version)
            return self.state

    def refresh(self) -> State:
        """Return the newest state. One request when nothing is new."""
        with self._lock:
            self._poll()
            return self.state

    def _poll(self) -> list[LogEntry]:
        entries, rows = self._manifests_table.poll()
        if entries:
            self.state.extend(rows, self._manifests_table.version)
        return entries

    def at(self, version: int) -> State:
        """Return the state at a version that exists. A few are kept."""
        with self._lock:
            if version == self.state.version:
                return self.state
            if version not in self._past:
                while len(self._past) >= _CACHED_STATES:
                    self._past.pop(next(iter(self._past)))
                self._past[version] = self.state.at(version)
            return self._past[version]

    def metadata(self, kind: str, subject_id: str, version: int | None = None) -> dict[str, str]:
        """Return key -> JSON text of a subject as of ``version`` or the head (see Side)."""
        with self._lock:
            self._sync("metadata")
            return self._metadata.values(
                kind, subject_id, self.state.txns, self.state.version if version is None else version
            )

    def edges_of(self, output_id: str) -> list[dict[str, Any]]:
        """Return the visible lineage rows of one output (see Side)."""
        with self._lock:
            self._sync("lineage")
            return self._lineage.edges_of(output_id, self.state.txns)

    def side_table(self, name: str, version: int | None = None) -> pa.Table:
        """Return the rows of ``lineage`` or ``metadata`` that are visible at ``version`` or the head."""
        import pyarrow.compute as pc

        with self._lock:
            self._sync(name)
            rows = (self._lineage if name == "lineage" else self._metadata).rows.table()
            limit = self.state.version if version is None else version
            seen = [txn_id for txn_id, (at, _) in self.state.txns.items() if at <= limit]
            return rows.filter(pc.is_in(rows.column("txn_id"), value_set=pa.array(seen, pa.string())))

    def _sync(self, name: str) -> None:
        """Bring a side table up to the journal. No request while the journal has not moved since the last time."""
        if self._side_seen[name] >= self.state.version:
            return
        table = self._side_tables[name]
        rows = table.load() if table.version < 0 else table.poll()[1]
        (self._lineage if name == "lineage" else self._metadata).extend(rows)
        self._side_seen[name] = self.state.version

    def data_files(self, name: str) -> dict[str, int]:
        """Return the data files of a table that this handle knows: path in the table -> size in bytes."""
        with self._lock:
            if name != "manifests":
                self._sync(name)
            return self._table(name).data_files()

    def files_of(self, name: str) -> list[DataFile]:
        """Return the data files that the log of a table names as active, read anew."""
        table = self._table(name)
        return DeltaTable(self.store, name, table.schema, table.order).active()

    def dead_files(self, name: str) -> Callable[[str], bool]:
        """Return what says of a path in a table whether it is a data file that no log entry names, nor ever will."""
        with self._lock:
            if name != "manifests":
                self._sync(name)
            return self._table(name).never_named()

    def reread(self, name: str) -> pa.Table:
        """Read a table anew from its log and its files, not from what this handle knows.

        Raises:
            IntegrityError: If a log entry or a data file is missing or damaged, or a log entry's copy of rows
                differs from the file it describes.
        """
        table = self._table(name)
        return DeltaTable(self.store, name, table.schema, table.order).load(trust_copies=False)

    def _table(self, name: str) -> DeltaTable:
        return self._manifests_table if name == "manifests" else self._side_tables[name]

    # -- committing ----------------------------------------------------------------------------------------

    def commit(self, commit: Commit) -> Committed:
        """Commit, and return when the change is durable and visible to everyone.

        Atomic: all rows of all tables become visible together or not at all. Exact: every condition was checked
        against the very state it was committed on. Retry-safe: a commit whose answer was lost is recognised by its
        commit id, also when the same Commit is given again after an error.

        Raises:
            ConflictError: If other writers won for a minute on end.
            StorageError: If the store failed; the message says when it is unknown whether the commit landed.
            LakefolioError: Whatever the planner objects to, on the newest state.
        """
        waiting = _Waiting(commit, new_id())
        with self._queue_lock:
            self._queue.append(waiting)
        with self._lock:
            if not waiting.done.is_set():
                with self._queue_lock:
                    batch, self._queue = self._queue, []
                self._commit_all(batch)
        waiting.done.wait()
        if waiting.error is not None:
            raise waiting.error
        assert waiting.outcome is not None
        return waiting.outcome

    def _commit_all(self, batch: list[_Waiting]) -> None:
        try:
            self._attempts(batch)
        except BaseException as exc:
            for waiting in batch:
                if not waiting.done.is_set():
                    waiting.error = exc
            raise
        finally:
            for waiting in batch:
                waiting.done.set()

    def _attempts(self, batch: list[_Waiting]) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        wait_s = _FIRST_WAIT_S
        while True:
            plans = self._plan(batch)
            batch = [waiting for waiting, _ in plans]
            if not plans:
                return
            try:
                landed = self._write(plans)
            except StorageError as exc:
                landed = self._after_failure(plans, exc)
            if landed:
                return
            if time.monotonic() > deadline:
                raise ConflictError(
                    f"commit {plans[0][0].commit.commit_id} lost to other writers for {_PATIENCE_S:.0f} s",
                    kind="contention",
                    hint="fewer writers at once, or more changes in one batch()",
                    version=self.state.version,
                )
            time.sleep(wait_s * (0.5 + random.random()))
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)

    def _plan(self, batch: list[_Waiting]) -> list[tuple[_Waiting, Plan]]:
        """Plan all on the newest state known; an objection counts only on the newest state there is."""
        fresh = False
        while True:
            version, now = self.state.version + 1, datetime.now(UTC)
            last = self.state.committed_at
            committed_at = now if last is None or now > last else last + timedelta(microseconds=1)
            overlay = Overlay(self.state, self, version)
            plans: list[tuple[_Waiting, Plan]] = []
            objections: list[tuple[_Waiting, LakefolioError]] = []
            count = 0
            for waiting in batch:
                try:
                    plan = plan_commit(
                        waiting.commit,
                        self.state,
                        overlay,
                        overlay,
                        first_ordinal=count,
                        txn_id=waiting.txn_id,
                        version=version,
                        committed_at=committed_at,
                    )
                except StorageError:
                    raise
                except LakefolioError as exc:
                    objections.append((waiting, exc))
                    continue
                overlay.absorb(plan.overlay)
                count += len(plan.manifests)
                plans.append((waiting, plan))
            if objections and not fresh:
                fresh = True
                if self._poll():
                    continue
            for waiting, error in objections:
                waiting.error = error
                waiting.done.set()
            for waiting, plan in list(plans):
                if not plan.manifests:
                    waiting.outcome = Committed(self.state.version, committed_at, ())
                    waiting.done.set()
                    plans.remove((waiting, plan))
            return plans

    def _write(self, plans: list[tuple[_Waiting, Plan]]) -> bool:
        """Store the files and create the log entries; say whether the commit landed."""
        version = self.state.version + 1
        side_rows: dict[str, list[dict[str, Any]]] = {"lineage": [], "metadata": []}
        for waiting, plan in plans:
            new = self._unwritten(waiting, plan)
            side_rows["lineage"] += new[0]
            side_rows["metadata"] += new[1]
        rows = _rows(MANIFESTS_SCHEMA, [row for _, plan in plans for row in plan.manifests])
        file, key, body = self._manifests_table.encode(rows, version=version)
        calls: list[Callable[[], None]] = [partial(self.store.create, key, body)]
        sides: list[tuple[str, DataFile, pa.Table]] = []
        for name, wanted in side_rows.items():
            if wanted:
                table = self._side_tables[name]
                if table.version < 0:
                    self._sync(name)
                side = _rows(table.schema, wanted)
                side_file, side_key, side_body = table.encode(side, version=table.version + 1)
                calls.append(partial(self.store.create, side_key, side_body))
                sides.append((name, side_file, side))
        self.store.parallel(calls)
        commit_ids = [waiting.commit.commit_id for waiting, _ in plans]
        if sides:
            at = plans[0][1].manifests[0]["committed_at"]
            self.store.parallel([partial(self._append_side, *side, at) for side in sides])
            for waiting, plan in plans:
                waiting.written = _side_rows(plan)
        at = plans[0][1].manifests[0]["committed_at"]
        try:
            self._manifests_table.commit(version, file, commit_ids, at)
        except AlreadyExistsError:
            return self._landed(plans)
        in_step = {name for name, seen in self._side_seen.items() if seen == self.state.version}
        self.state.extend(rows, version)
        for name in in_step:
            self._side_seen[name] = version
        self._acknowledge(plans, version, at)
        self._keep_up()
        return True

    def _unwritten(self, waiting: _Waiting, plan: Plan) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return the side rows still to be written; rows of an attempt that planned otherwise are left dead."""
        if waiting.written is None:
            return plan.lineage, plan.metadata
        if waiting.written == _side_rows(plan):
            return [], []
        waiting.txn_id = new_id()
        for row in (*plan.manifests, *plan.lineage, *plan.metadata):
            row["txn_id"] = waiting.txn_id
        return plan.lineage, plan.metadata

    def _append_side(self, name: str, file: DataFile, rows: pa.Table, at: datetime) -> None:
        """Append to a side table at whatever version is next: its order among other writers means nothing."""
        table = self._side_tables[name]
        txn_ids = sorted(set(rows.column("txn_id").to_pylist()))
        log = self._lineage if name == "lineage" else self._metadata
        wait_s = _FIRST_WAIT_S
        while True:
            try:
                table.commit(table.version + 1, file, txn_ids, at)
            except AlreadyExistsError:
                entries, others = table.poll()
                log.extend(others)
                if any(set(txn_ids) & set(entry.commit_ids) for entry in entries):
                    return
                time.sleep(wait_s * random.random())
                wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
                # a file is only ever named by the version in its name, so that gc can tell which are dead
                file, key, body = table.encode(rows, version=table.version + 1)
                self.store.create(key, body)
                continue
            log.extend(rows)
            return

    def _after_failure(self, plans: list[tuple[_Waiting, Plan]], failure: StorageError) -> bool:
        """Find out whether a commit landed whose answer did not arrive; give up where the store can't be asked."""
        try:
            landed = self._landed(plans)
        except StorageError:
            landed = False
        if not landed:
            raise failure
        return True

    def _landed(self, plans: list[tuple[_Waiting, Plan]]) -> bool:
        ours = {waiting.commit.commit_id for waiting, _ in plans}
        for entry in self._poll():
            if ours & set(entry.commit_ids):
                at = self.state.time_of(entry.version)
                assert at is not None
                self._acknowledge(plans, entry.version, at)
                return True
        return False

    def _acknowledge(self, plans: list[tuple[_Waiting, Plan]], version: int, at: datetime) -> None:
        for waiting, plan in plans:
            waiting.outcome = Committed(version, at, tuple(plan.manifests))
            waiting.done.set()

    # -- upkeep --------------------------------------------------------------------------------------------

    def _keep_up(self) -> None:
        """Merge small files and write a checkpoint once enough commits have gathered; a failure waits for the next."""
        for table in (self._manifests_table, *self._side_tables.values()):
            if table.version >= 0 and table.due():
                try:
                    self._upkeep(table, everything=False)
                except LakefolioError:
                    continue

    def compact(self) -> dict[str, dict[str, int]]:
        """Merge each table's files into one and write checkpoints. Changes no row; safe beside any writer.

        Returns:
            For each table: ``files_before``, ``files_after``, ``checkpoint_version``.
        """
        with self._lock:
            self._poll()
            for name in self._side_tables:
                self._side_seen[name] = -1
                self._sync(name)
            tables = (self._manifests_table, *self._side_tables.values())
            return {table.name: self._upkeep(table, everything=True) for table in tables}

    def _upkeep(self, table: DeltaTable, *, everything: bool) -> dict[str, int]:
        counts = table.upkeep(everything=everything)
        if table is self._manifests_table and table.version > self.state.version:
            in_step = [name for name, seen in self._side_seen.items() if seen == self.state.version]
            self.state.extend(MANIFESTS_SCHEMA.empty_table(), table.version)
            for name in in_step:
                self._side_seen[name] = table.version
        return counts


def _side_rows(plan: Plan) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    def bare(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{name: value for name, value in row.items() if name != "txn_id"} for row in rows]

    return bare(plan.lineage), bare(plan.metadata)


def _rows(schema: pa.Schema, rows: list[dict[str, Any]]) -> pa.Table:
    columns = [
        pa.array([row.get(column.name) for row in rows], column.type)
        if any(column.name in row for row in rows)
        else pa.nulls(len(rows), column.type)
        for column in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)

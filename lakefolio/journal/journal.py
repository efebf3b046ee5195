"""The journal: the one place that decides what happened (FORMAT.md, "Journal protocol").

A commit is planned on the newest state known, its files are stored, and the next log entry of ``manifests`` is created
if it is absent. Winning that create is the commit point *and* the proof that nothing happened since the state it was
planned on. Losing it means: read what happened, look for the own commit id (a lost answer is not a conflict), plan
again (how: ``committing``). Threads that share a journal combine (``turns``).

Order of writing, which makes a writer killed anywhere invisible: blobs (before the journal is called), the Parquet
files of all three tables, the log entries of ``lineage`` and ``metadata``, the log entry of ``manifests``.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefolio.delta.table import DataFile, DeltaTable
from lakefolio.errors import AlreadyExistsError, FormatError
from lakefolio.format.names import new_id
from lakefolio.format.schema import LINEAGE_SCHEMA, MANIFESTS_SCHEMA, METADATA_SCHEMA
from lakefolio.journal.batch_tables import LogTables
from lakefolio.journal.commit_queue import Turns
from lakefolio.journal.committer import Committer
from lakefolio.journal.handoff_protocol import Answer, answers_of
from lakefolio.journal.host_leader import Neighbours
from lakefolio.journal.log_writer import Committed, LogWriter, Waiting
from lakefolio.journal.table_maintenance import Tidying
from lakefolio.model.changes import Commit
from lakefolio.model.side import LineageRows, MetadataRows
from lakefolio.model.state import State
from lakefolio.process.fork import at_forks

if TYPE_CHECKING:
    from lakefolio.journal.tickets import Ticket
    from lakefolio.storage import Store

__all__ = ["Committed", "Journal"]

_FIRST_WAIT_S = 0.002
_LONGEST_WAIT_S = 0.5
_CACHED_STATES = 8
_FORK_S = 10.0


class Journal:
    """The three tables of one lake through one handle. Safe to share between threads."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.known = State()
        self.logs = LogTables(store)
        self.logger: Any = None  # where what is logged gathers, see runs.buffer
        self.reads: dict[str, Any] = {}  # where the reads of the runs gather that go on here, see reads
        self.watch: Any = None  # what is known of the processes of runs, see runs.lost
        self._lineage = LineageRows()
        self._metadata = MetadataRows()
        self._manifests_table = DeltaTable(store, "manifests", MANIFESTS_SCHEMA, ("version", "ordinal"))
        self._side_tables = {
            "lineage": DeltaTable(store, "lineage", LINEAGE_SCHEMA, ("txn_id", "ordinal")),
            "metadata": DeltaTable(store, "metadata", METADATA_SCHEMA, ("txn_id", "ordinal")),
        }
        self._side_seen = {"lineage": -1, "metadata": -1}
        self.lock = threading.RLock()  # held by whoever reads or writes its tables
        self._past: dict[int, State] = {}
        self.acknowledged = -1  # the newest version that holds what neighbours committed for this handle
        self._log = LogWriter(self)
        self._committer = Committer(self, self._log)
        self._turns = Turns(self._commit_all, self._committer.leave)
        self._tidying = Tidying(self, self.settle)
        self._held = False  # by a thread that is about to fork
        at_forks(self)

    def before_fork(self) -> None:
        """Let whoever commits or reads come to an end first: a child has what is known as a whole, or not at all."""
        self._held = self.store.scheme in ("file", "memory") and self.lock.acquire(timeout=_FORK_S)

    def after_fork(self, *, child: bool) -> None:
        """Go on. A child has none of the threads that commit, nor what they had under way."""
        if self._held:
            self._held = False
            self.lock.release()
        if child:
            self.lock = threading.RLock()
            self.logs = LogTables(self.store)
            self._turns = Turns(self._commit_all, self._committer.leave)
            self._tidying = Tidying(self, self.settle)

    @property
    def manifests_table(self) -> DeltaTable:
        """The Delta table of the journal."""
        return self._manifests_table

    @property
    def state(self) -> State:
        """The newest state known, with all that this handle has committed. No request, as long as it did so itself.

        ``known`` is what has been read so far: it may lie behind what a neighbour committed for this handle.
        """
        if self.behind:
            self.refresh()
        return self.known

    # -- reading -------------------------------------------------------------------------------------------

    def create(self) -> None:
        """Create the three tables. Idempotent."""
        self.store.parallel([table.create for table in (self._manifests_table, *self._side_tables.values())])

    def load(self) -> State:
        """Read the journal; the side tables are read when they are first asked for."""
        with self.lock:
            rows = self._manifests_table.load()
            self.known.extend(rows, self._manifests_table.version)
            self._log.start(self.known.version)
            return self.known

    def refresh(self) -> State:
        """Return the newest state. One request when nothing is new."""
        with self.lock:
            self.poll(skip=True)
            return self.known

    def poll(self, *, one: bool = False, skip: bool = False) -> bool:
        """Read what is new in the journal, or the next entry only (``one``), and say whether anything was.

        The caller holds the lock. After a ``skip`` (see DeltaTable) the fates of commits are known from a later version
        on: who has any under way asks for those before it (``LogWriter.know_from``).
        """
        before = self._manifests_table.version
        entries, rows = self._manifests_table.poll(one=one, skip=skip)
        newest = self._manifests_table.version
        if newest == before:
            return False
        self.known.extend(rows, newest)
        if not entries or entries[0].version != before + 1:
            self._log.start(entries[0].version - 1 if entries else newest)
        self._log.note(entries)
        return True

    def at(self, version: int) -> State:
        """Return the state at a version that exists. A few are kept."""
        with self.lock:
            if version == self.state.version:
                return self.known
            if version not in self._past:
                while len(self._past) >= _CACHED_STATES:
                    self._past.pop(next(iter(self._past)))
                self._past[version] = self.known.at(version)
            return self._past[version]

    def metadata(self, kind: str, subject_id: str, version: int | None = None) -> dict[str, str]:
        """Return key -> JSON text of a subject as of ``version`` or the head (see Side)."""
        with self.lock:
            state = self._synced("metadata")
            return self._metadata.values(kind, subject_id, state.txns, state.version if version is None else version)

    def running(self) -> dict[str, dict[str, str]]:
        """Return the runs whose status is ``running`` at the head: run id -> key -> JSON text."""
        with self.lock:
            self._sync("metadata")
            return self._metadata.running(self.state.txns, self.state.version)

    def edges_of(self, output_id: str) -> list[dict[str, Any]]:
        """Return the visible lineage rows of one output (see Side)."""
        with self.lock:
            return self._lineage.edges_of(output_id, self._synced("lineage").txns)

    def side_table(self, name: str, version: int | None = None) -> pa.Table:
        """Return the rows of ``lineage`` or ``metadata`` that are visible at ``version`` or the head."""
        import pyarrow.compute as pc

        with self.lock:
            state = self._synced(name)
            rows = (self._lineage if name == "lineage" else self._metadata).rows.table()
            limit = state.version if version is None else version
            seen = [txn_id for txn_id, (at, _) in state.txns.items() if at <= limit]
            return rows.filter(pc.is_in(rows.column("txn_id"), value_set=pa.array(seen, pa.string())))

    def log_rows(self, name: str, version: int | None = None) -> pa.Table:
        """Return the rows of ``metric_rows`` or ``event_rows`` that count at ``version`` or the head, in no order."""
        import pyarrow.compute as pc

        state = self.state
        limit = state.version if version is None else version

        def batch_ids() -> pa.Array:
            rows = state.table().select(["version", "op", "entry_id"])
            counted = pc.and_(pc.equal(rows.column("op"), "log"), pc.less_equal(rows.column("version"), limit))
            return rows.filter(counted).column("entry_id").combine_chunks().drop_null()

        return self.logs[name].rows(limit, batch_ids)

    def _synced(self, name: str) -> State:
        """Return the newest state known (see ``state``), with a side table brought up to it."""
        state = self.state
        self._sync(name)
        return state

    def _sync(self, name: str) -> None:
        """Bring a side table up to what is known. No request while the journal has not moved since the last time."""
        if self._side_seen[name] >= self.known.version:
            return
        table = self._side_tables[name]
        rows = table.load() if table.version < 0 else table.poll()[1]
        (self._lineage if name == "lineage" else self._metadata).extend(rows)
        self._side_seen[name] = self.known.version

    def data_files(self, name: str) -> dict[str, int]:
        """Return the data files of a table that this handle knows: path in the table -> size in bytes."""
        if name in self.logs:
            return self.logs[name].data_files()
        with self.lock:
            if name != "manifests":
                self._sync(name)
            return self.table(name).data_files()

    def files_of(self, name: str) -> list[DataFile]:
        """Return the data files that the log of a table names as active, read anew."""
        return self._anew(name).active()

    def reread(self, name: str) -> pa.Table:
        """Read a table anew from its log and its files, not from what this handle knows.

        Raises:
            IntegrityError: If a log entry or a data file is missing or damaged, or a log entry's copy of rows
                differs from the file it describes.
        """
        table = self._anew(name)
        try:
            return table.load(trust_copies=False)
        except FormatError as exc:
            if name in self.logs and exc.kind == "table-missing":
                return table.schema.empty_table()  # nothing was logged yet
            raise

    def _anew(self, name: str) -> DeltaTable:
        if name in self.logs:
            return self.logs[name].anew()
        table = self.table(name)
        return DeltaTable(self.store, name, table.schema, table.order)

    def table(self, name: str) -> DeltaTable:
        """Return one of the three tables."""
        return self._manifests_table if name == "manifests" else self._side_tables[name]

    # -- committing ----------------------------------------------------------------------------------------

    def commit(self, commit: Commit) -> Committed:
        """Commit, and return when the change is durable and visible to everyone.

        Atomic: all rows of all tables become visible together or not at all. Exact: every condition was checked
        against the very state it was committed on. Retry-safe: a commit whose answer was lost is recognised by its
        commit id, also when the same Commit is given again after an error, to this or another handle.

        Raises:
            ConflictError: If other writers won for a minute on end.
            StorageError: If the store failed; the message says when it is unknown whether the commit landed.
            LakefolioError: Whatever the planner objects to, on the newest state.
        """
        tried, commit.tried = commit.tried, True
        if tried and (landed := self._landed(commit.commit_id)) is not None:
            return landed
        waiting = Waiting(commit, new_id())
        mine = self._turns.bring(waiting)
        if mine:
            self._tidying.when_due()
        if waiting.error is not None:
            raise waiting.error
        assert waiting.outcome is not None
        return waiting.outcome

    def commit_for(self, tickets: Sequence[Ticket]) -> list[Answer]:
        """Commit what neighbours handed over, in one log entry with what threads of this process wait for.

        What is not decided here (its planner objected, the store failed, other hosts were faster) is handed back.
        """
        handed = [[Waiting(commit, new_id(), base=ticket.base) for commit in ticket.commits] for ticket in tickets]
        self._turns.bring_all([waiting for some in handed for waiting in some])
        crowded, beaten = self._committer.crowd()
        return [Answer(tuple(waiting.outcome for waiting in some), crowded, beaten) for some in handed]

    def _landed(self, commit_id: str) -> Committed | None:
        """Return what came of an earlier attempt, if it is in the log."""
        with self.lock:
            self.poll()
            version = self.known.version_of(commit_id)
            at = None if version is None else self.known.time_of(version)
            return None if version is None or at is None else Committed(version, at)

    def _commit_all(self, take: Callable[[], list[Waiting]]) -> None:
        with self.lock:
            batch = take()
            try:
                self._committer.run(batch)
            except BaseException as exc:
                for waiting in batch:
                    if not waiting.done:
                        waiting.error = exc
                raise
            finally:
                for waiting in batch:
                    waiting.end()

    def has_neighbours(self, lake_id: str) -> None:
        """Let processes of this host that write to this lake here commit for one another from now on."""
        identity = self.store.identity()
        if identity is not None:
            serve = partial(answers_of, serve=self.commit_for)
            self._committer.neighbours = Neighbours(
                f"{lake_id}\n{identity}", serve, after=self._tidying.beside, waiting=lambda: self._turns.waiting
            )

    def acknowledge(self, version: int) -> None:
        """Take note that a neighbour has committed for this handle. The committer holds the lock."""
        self.acknowledged = max(self.acknowledged, version)

    @property
    def behind(self) -> bool:
        """Whether a neighbour has committed for this handle what it has not read yet."""
        return self.known.version < self.acknowledged

    def settle(self) -> int:
        """Commit, or refuse, what dead writers left as tickets; return how many tickets there were.

        One LIST when there are none. Safe beside any writer.
        """
        with self.lock:
            return self._committer.settle()

    def extend(self, rows: pa.Table, version: int, values: Sequence[Mapping[str, Any]] | None = None) -> None:
        """Take over rows that this handle has just committed itself (see State). The committer holds the lock."""
        in_step = [name for name, seen in self._side_seen.items() if seen == self.known.version]
        self.known.extend(rows, version, values)
        for name in in_step:
            self._side_seen[name] = version

    def side(self, name: str) -> DeltaTable:
        """Return a side table that has been read. The committer holds the lock."""
        table = self._side_tables[name]
        if table.version < 0:
            self._sync(name)
        return table

    def append_side(self, name: str, file: DataFile, rows: pa.Table, at: datetime) -> None:
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
                file, key, body = table.encode(rows, version=table.version + 1, values=rows.to_pylist())
                self.store.create(key, body)
                continue
            log.extend(rows)
            return

    # -- upkeep --------------------------------------------------------------------------------------------

    def compact(self, progress: Callable[[str], None] = lambda table: None) -> dict[str, dict[str, int]]:
        """Merge each table's small files and write checkpoints. Changes no row; safe beside any writer.

        Returns:
            For each table: ``files_before``, ``files_after``, ``checkpoint_version``.
        """
        with self.lock:
            self.poll()
            for name in self._side_tables:
                self._side_seen[name] = -1
                self._sync(name)
        return self._tidying.compact(progress)

    def moved(self) -> None:
        """Take note of a version of ``manifests`` without rows. The caller holds the lock."""
        version = self._manifests_table.version
        if version > self.known.version:
            self.extend(MANIFESTS_SCHEMA.empty_table(), version)

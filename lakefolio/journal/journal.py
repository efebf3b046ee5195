"""The journal: the one place that decides the outcome of commits (FORMAT.md, "Journal protocol").

A commit is planned on the newest state read, its files are stored, and the next log entry of ``manifests`` is created
if it is absent. Winning that create is the commit point *and* the proof that nothing happened since the state it was
planned on. A writer that loses it reads the new entries, looks for its own commit id (a lost answer is not a conflict)
and plans again (``committer``). Threads that share a journal combine their commits (``commit_queue``).

Order of writing, which makes a writer killed anywhere invisible: blobs (before the journal is called), the Parquet
file of the commit, its log entry.

This module is the face: ``head`` holds the state that the handle has read, ``committer`` gets commits into the log.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from lakefolio.delta.actions import DataFile
from lakefolio.delta.table import DeltaTable
from lakefolio.errors import IntegrityError
from lakefolio.format.schema import BATCH_OPS, LOG_SCHEMAS, SPECS
from lakefolio.journal.batch_tables import LogTable
from lakefolio.journal.commit_queue import CommitQueue
from lakefolio.journal.committer import Committer
from lakefolio.journal.handoff_protocol import Answer, answers_of
from lakefolio.journal.head import JournalHead
from lakefolio.journal.host_leader import HostPeers
from lakefolio.journal.log_writer import LogWriter
from lakefolio.journal.pending_commit import Committed, PendingCommit
from lakefolio.journal.table_maintenance import TableMaintenance
from lakefolio.journal.table_rows import Scan
from lakefolio.model.changes import Commit
from lakefolio.model.state import State
from lakefolio.process.clock import SYSTEM_CLOCK, Clock
from lakefolio.process.fork import at_forks
from lakefolio.process.notice import notice

if TYPE_CHECKING:
    from datetime import datetime

    from lakefolio.content.local_files import LocalFiles
    from lakefolio.journal.tickets import Ticket
    from lakefolio.model.entries import Entry
    from lakefolio.readmodels.store import ReadModels
    from lakefolio.storage import Store

__all__ = ["Committed", "Journal"]

_CACHED_STATES: Final = 8
_FORK_S: Final = 10.0


class Journal:
    """The journal of one lake through one handle. Safe to share between threads.

    Attributes:
        store: Where the lake lies.
        lake_id: The id in the lake's marker.
        logs: The tables of metric points and events, by name.
        committer: Gets commits into the log; its methods want the lock of the head.
    """

    def __init__(self, store: Store, lake_id: str, clock: Clock = SYSTEM_CLOCK) -> None:
        """Make no request; :meth:`load` reads the journal."""
        self.store = store
        self.lake_id = lake_id
        self._head = JournalHead(store, lake_id)
        self._log = LogWriter(self._head)
        self.committer = Committer(self._head, self._log, clock)
        self._past: dict[int, State] = {}
        self._forking = False  # whether a thread that is about to fork holds the lock
        self._start()
        at_forks(self)

    def _start(self) -> None:
        """Make the parts that depend on the threads of this process."""
        head = self._head
        self.logs = {name: LogTable(self.store, self.lake_id, name, head.local, head.cache) for name in LOG_SCHEMAS}
        self._queue = CommitQueue(self._commit_all, self.committer.leave_to_leader)
        self._maintenance = TableMaintenance(self._head, self.settle)

    def before_fork(self) -> None:
        """Wait for the thread that commits or reads: a child inherits a whole state, or none."""
        self._forking = self.store.scheme in ("file", "memory") and self._head.lock.acquire(timeout=_FORK_S)

    def after_fork(self, *, child: bool) -> None:
        """Go on. A child has none of the threads that commit, and drops their pending commits."""
        if self._forking:
            self._forking = False
            self._head.lock.release()
        if child:
            self._head.renew_lock()
            self._start()

    @property
    def manifests_table(self) -> DeltaTable:
        """The Delta table of the journal."""
        return self._head.table

    @property
    def models(self) -> ReadModels:
        """The read models of the lake."""
        return self._head.models

    @property
    def local(self) -> LocalFiles:
        """The data files as local files, verified."""
        return self._head.local

    @property
    def known(self) -> State:
        """The newest state read. No request; it may lie behind commits that another process made for this handle."""
        return self._head.state

    @property
    def state(self) -> State:
        """The newest state known, with all commits of this handle.

        No request, unless another process of this host made one of these commits.
        """
        if self._head.behind:
            self.refresh()
        return self._head.state

    # -- reading -------------------------------------------------------------------------------------------

    def load(self) -> State:
        """Read the journal and return its newest state."""
        return self._head.load()

    def refresh(self) -> State:
        """Return the newest state. One request when nothing is new."""
        with self._head.lock:
            self._head.poll(skip=True)
            return self._head.state

    def at(self, version: int) -> State:
        """Return the state at a version that exists. A few are kept."""
        state = self.state
        if version == state.version:
            return state
        past = self._past.get(version)
        if past is None:
            past = state.at(version)
            self._past = {**dict(list(self._past.items())[1 - _CACHED_STATES :]), version: past}
        return past

    def scan(self, upto: int) -> Scan:
        """Return the rows up to a version, and later ones, as they lie in the data files."""
        return self._head.scan(upto)

    def metadata(self, kind: str, subject_id: str, version: int | None = None) -> dict[str, str]:
        """Return key -> JSON text of the lake, a folio or a run as of ``version`` or the head (see View)."""
        return self.state.metadata(kind, subject_id, version)

    def running(self) -> dict[str, dict[str, str]]:
        """Return the runs whose status is ``running`` at the head: run id -> key -> JSON text."""
        return self.state.running()

    def content_of(self, entry: Entry) -> bytes:
        """Return the inline content of an entry. No request if this handle has read it, else one.

        Raises:
            NotFoundError: kind ``content-purged``, if it was purged.
            IntegrityError: If the data file is missing or damaged, or lacks it.
        """
        return self._head.content_of(entry)

    def with_contents(self, rows: pa.Table) -> pa.Table:
        """Return rows of ``manifests`` with their inline content.

        One request for each data file that holds content which this handle has not read yet, all at once.
        """
        return self._head.with_contents(rows)

    def without_purged_content(self, rows: pa.Table) -> pa.Table:
        """Return rows of ``manifests`` without the inline content that was purged."""
        return self._head.without_purged_content(rows)

    def outdated(self, error: IntegrityError) -> bool:
        """Say whether an error names a data file that a merge has replaced; reading again succeeds then."""
        return self._head.outdated(error)

    def event_row(self, event_id: str, version: int) -> dict[str, Any] | None:
        """Return the row of an event that counts at a version, or None.

        Read are the row groups that may hold it, and the journal from the time on at which it was logged.
        """
        rows = self.logs["event_rows"].matching(version, ("event_id", event_id))
        counts = (row for row in rows.to_pylist() if self._names(row["batch_id"], row["logged_at"], version))
        return next(counts, None)

    def _names(self, batch_id: str, since: datetime, version: int) -> bool:
        """Say whether a commit names a batch: one after a time; clocks may have gone wrong, so then any."""
        import pyarrow.compute as pc

        state = self.state
        at = state.version_at(since)
        for after in (-1,) if at is None else (at, -1):
            for rows in state.parts(["op", "entry_id"], after, version):
                named = pc.equal(rows.column("entry_id"), batch_id)
                named = pc.and_(named, pc.is_in(rows.column("op"), value_set=pa.array(BATCH_OPS)))
                if pc.any(named).as_py():
                    return True
        return False

    def points_of(self, run_id: str, version: int, name: str | None = None) -> pa.Table:
        """Return the points of a run, or of one of its metrics, that count at a version, in the order they were logged.

        Read are the part of the journal from the run's first row to its last, and the row groups that may hold these
        points.
        """
        import pyarrow.compute as pc

        state, batches = self.state, [pa.array([], pa.string())]
        for rows in state.rows_about_runs([run_id], ["op", "run_id", "entry_id"]):
            told = pc.and_(pc.equal(rows.column("op"), "metrics"), pc.equal(rows.column("run_id"), run_id))
            told = pc.and_(told, pc.less_equal(rows.column("version"), version))
            batches += rows.column("entry_id").filter(pc.fill_null(told, False)).drop_null().chunks
        ids = pa.concat_arrays(batches).unique()
        of_metric = [] if name is None else [("name", name)]
        found = self.logs["metric_rows"].matching(version, ("run_id", run_id), *of_metric)
        found = found.append_column("batch", pc.index_in(found.column("batch_id"), value_set=ids))
        found = found.drop_columns(["batch_id", "run_id"]).filter(pc.is_valid(found.column("batch")))
        return found.sort_by([("batch", "ascending"), ("ordinal", "ascending")])

    # -- reading tables anew, for check and repair ---------------------------------------------------------

    def data_files(self, name: str) -> dict[str, int]:
        """Return the data files of a table that this handle knows: path in the table -> size in bytes."""
        if name in self.logs:
            return self.logs[name].data_files()
        with self._head.lock:
            return self._head.table.files.sizes

    def files_of(self, name: str) -> list[DataFile]:
        """Return the data files that the log of a table names as active, read anew."""
        return self.anew(name).active()

    def anew(self, name: str) -> DeltaTable:
        """Return a table that has not read its log yet."""
        if name in self.logs:
            return self.logs[name].anew()
        return DeltaTable(self.store, self.lake_id, SPECS[name])

    # -- committing ----------------------------------------------------------------------------------------

    def commit(self, commit: Commit) -> Committed:
        """Commit, and return when the change is durable and visible to everyone.

        Atomic: all rows of all tables become visible together or not at all. Exact: every condition was checked
        against the very state it was committed on. Retry-safe: a commit whose answer was lost is recognised by its
        commit id, also when the same Commit is given again after an error, to this or another handle.

        Raises:
            ConflictError: If other writers won for a minute on end.
            StorageError: If the store failed; the message says when it is unknown whether the commit landed.
            LakefolioError: If the planner refuses the commit, on the newest state.
        """
        tried, commit.tried = commit.tried, True
        if tried and (landed := self._landed(commit.commit_id)) is not None:
            return landed
        pending = PendingCommit(commit)
        led = self._queue.commit(pending)
        if led:
            self._maintenance.run_if_due()
        if pending.error is not None:
            raise pending.error
        assert pending.outcome is not None
        warning = self._log.clock.take_warning()
        if warning is not None:
            notice(warning)
        return pending.outcome

    def commit_for(self, tickets: Sequence[Ticket]) -> list[Answer]:
        """Commit the tickets of other processes of this host, in one log entry with the commits of this process.

        A commit that is not decided here (refused, the store failed, other hosts were faster) is handed back.
        """
        handed = [[PendingCommit(commit, base=ticket.base) for commit in ticket.commits] for ticket in tickets]
        self._queue.commit_many([pending for some in handed for pending in some])
        contended, beaten = self.committer.contention()
        return [Answer(tuple(pending.outcome for pending in some), contended, beaten) for some in handed]

    @property
    def waiting(self) -> int:
        """How many commits of this process wait for a leader."""
        return self._queue.waiting

    def _landed(self, commit_id: str) -> Committed | None:
        """Return the outcome of an earlier attempt, if it is in the log."""
        with self._head.lock:
            self._head.poll()
            state = self._head.state
            version = state.version_of(commit_id)
            at = None if version is None else state.time_of(version)
            return None if version is None or at is None else Committed(version, at)

    def _commit_all(self, undecided: Callable[[], list[PendingCommit]]) -> None:
        with self._head.lock:
            batch = undecided()
            try:
                self.committer.run(batch)
            except Exception as exc:  # an interrupt ends this thread alone: the next leader decides the rest
                for pending in batch:
                    if not pending.done:
                        pending.fail(_own(exc))
            for pending in batch:
                if not pending.done:
                    pending.end()

    def join_host(self, peers: Callable[..., HostPeers] = HostPeers) -> None:
        """From now on let the processes of this host that write to this lake commit for one another.

        Args:
            peers: Makes the object that finds and asks them.
        """
        identity = self.store.identity()
        if identity is not None:
            self.committer.peers = peers(
                f"{self.lake_id}\n{identity}",
                partial(answers_of, serve=self.commit_for),
                after=lambda: self._maintenance.start_if_due(),
                waiting=lambda: self.waiting,
            )

    def settle(self) -> int:
        """Commit or refuse the tickets that dead writers left; return how many tickets there were.

        One LIST when there are none. Safe beside any writer.
        """
        with self._head.lock:
            return self.committer.settle()

    # -- maintenance ---------------------------------------------------------------------------------------

    def compact(self, progress: Callable[[str], None] = lambda table: None) -> dict[str, dict[str, int]]:
        """Merge each table's small files and write checkpoints. Changes no row; safe beside any writer.

        Returns:
            For each table: ``files_before``, ``files_after``, ``checkpoint_version``.
        """
        with self._head.lock:
            self._head.poll()
        return self._maintenance.compact(self.logs, progress)


def _own(error: Exception) -> Exception:
    """Return a copy of an exception for one thread to raise: a traceback belongs to one raise only."""
    try:
        copied = copy.copy(error)
    except Exception:  # of a foreign class that can't be copied
        return error
    copied.__cause__ = error
    return copied

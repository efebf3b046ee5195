"""The journal: the one place that decides what happened (FORMAT.md, "Journal protocol").

A commit is planned on the newest state known, its files are stored, and the next log entry of ``manifests`` is created
if it is absent. Winning that create is the commit point *and* the proof that nothing happened since the state it was
planned on. Losing it means: read what happened, look for the own commit id (a lost answer is not a conflict), plan
again (how: ``committer``). Threads that share a journal combine (``commit_queue``).

Readers hold a State, which is immutable; a look at the log makes another one and swaps one reference. The table moves
first, then the decided commits are noted, then the state is swapped: an exception between them leaves table and state
at different versions, and the next thread reads the journal anew.

Order of writing, which makes a writer killed anywhere invisible: blobs (before the journal is called), the Parquet
file of the commit, its log entry.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefolio.content.file_cache import file_cache
from lakefolio.content.local_files import LocalFiles
from lakefolio.delta.table import DataFile, DeltaTable
from lakefolio.errors import FormatError, IntegrityError
from lakefolio.format.layout import JOURNAL
from lakefolio.format.schema import BATCH_OPS, MANIFESTS_SCHEMA, SPECS
from lakefolio.journal.batch_tables import LogTables
from lakefolio.journal.commit_queue import CommitQueue
from lakefolio.journal.committer import Committer
from lakefolio.journal.handoff_protocol import Answer, answers_of
from lakefolio.journal.host_leader import Neighbours
from lakefolio.journal.inline_content import InlineContents, without_purged
from lakefolio.journal.log_writer import Committed, LogWriter, Waiting
from lakefolio.journal.table_maintenance import Tidying
from lakefolio.journal.table_rows import Scan, TableRows
from lakefolio.model.changes import Commit
from lakefolio.model.state import State
from lakefolio.process.clock import SYSTEM_CLOCK, Clock
from lakefolio.process.fork import at_forks
from lakefolio.process.notice import notice
from lakefolio.readmodels.store import Catalogue, ReadModels
from lakefolio.views.outside import write_views

if TYPE_CHECKING:
    from lakefolio.journal.tickets import Ticket
    from lakefolio.model.entries import Entry
    from lakefolio.storage import Store

__all__ = ["Committed", "Journal"]

_CACHED_STATES = 8
_FOLDED_ROWS = 1_000
_FOLDED_VERSIONS = 200
"""From so many rows or versions on they are folded: it takes 25 ms of a processor, whatever there is to fold."""

_MANY_ROWS = 4_000
"""So many rows make a handle look whether others have folded some."""
_FORK_S = 10.0


class Journal:
    """The journal of one lake through one handle. Safe to share between threads."""

    def __init__(self, store: Store, lake_id: str, clock: Clock = SYSTEM_CLOCK) -> None:
        self.store = store
        self.lake_id = lake_id
        self.known = State()
        self._manifests_table = DeltaTable(store, lake_id, SPECS[JOURNAL])
        self._contents = InlineContents(self._manifests_table)
        self.models = ReadModels(store, lake_id)
        self.local = LocalFiles(store, file_cache())
        self.logs = LogTables(store, lake_id, self.local, self.models.cache)
        self.rows = TableRows(self._manifests_table, self.local, self.models.cache)
        self.lock = threading.RLock()  # guards the table, the decided commits, and every swap of ``known``
        self.catalogue: Catalogue | None = None  # that of the read models that the state stands on
        self._past: dict[int, State] = {}
        self.acknowledged = -1  # the newest version that holds what neighbours committed for this handle
        self._log = LogWriter(self)
        self._committer = Committer(self, self._log, clock)
        self._queue = CommitQueue(self._commit_all, self._committer.leave)
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
            self.logs = LogTables(self.store, self.lake_id, self.local, self.models.cache)
            self._queue = CommitQueue(self._commit_all, self._committer.leave)
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

    def load(self) -> State:
        """Read the journal."""
        with self.lock:
            catalogue: Catalogue | None = None

            def after(note: str) -> int:
                nonlocal catalogue
                catalogue = Catalogue.from_json(note)
                return -1 if catalogue is None else catalogue.through

            rows = self._manifests_table.load(after=after)
            version = self._manifests_table.version
            self._log.start(version)
            self.catalogue = catalogue
            base = None if catalogue is None else self.models.folded(catalogue, self.parts)
            self.known = State(base=base).extended(rows, version)
            return self.known

    def parts(self, columns: Sequence[str], after: int, upto: int, *, newest_first: bool = False) -> Iterator[pa.Table]:
        """Yield some columns of the rows above one version and up to another, read from the data files; see State.

        Raises:
            IntegrityError: If a data file is missing or damaged.
        """
        while True:
            with self.lock:
                files = self._manifests_table.known_files
            try:
                for rows in self.rows.parts(files, columns, after, upto, newest_first=newest_first):
                    yield rows
                    versions = rows.column("version")  # files that follow one another share no version
                    after, upto = (after, versions[0].as_py() - 1) if newest_first else (versions[-1].as_py(), upto)
                return
            except IntegrityError as exc:
                if not self.outdated(exc):
                    raise

    def scan(self, upto: int) -> Scan:
        """Return the rows up to a version, and others, as they lie in the data files."""
        with self.lock:
            files = self._manifests_table.known_files
        return self.rows.scan([file for file in files if file.versions is None or file.versions[0] <= upto])

    def outdated(self, error: IntegrityError) -> bool:
        """Say whether an error is about a data file that a merge has replaced; what replaced it is known then."""
        with self.lock:
            found = self._manifests_table.outdated(error)
            if found:
                self.poll()
            return found

    def advance_models(self, *, everything: bool = False) -> None:
        """Fold what is new into the read models if it is much (or ``everything``), and let the state stand on them.

        Safe beside any reader and writer; what takes long goes on without the lock.
        """
        state = self.known
        since = state.rows_since(state.base_version)
        few = len(since) < _FOLDED_ROWS and state.version - state.base_version < _FOLDED_VERSIONS
        if everything or not few:
            made = self.models.advance(state.rows_since, state.version, wait=everything)
            if made is not None:
                if self.catalogue is None:
                    write_views(self.store)  # they are the first: there is a table more
                self._stand_on(made)

    def _stand_on(self, catalogue: Catalogue) -> None:
        """Let the state stand on read models that hold more than those it stands on."""
        with self.lock:
            if self.known.base_version < catalogue.through <= self.known.version:
                self.catalogue = catalogue
                self.known = self.known.on(self.models.folded(catalogue, self.parts))

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
        if before != self.known.version:  # an exception came between the steps below, or those of a commit
            self.load()
            return True
        entries, rows = self._manifests_table.poll(one=one, skip=skip)
        newest = self._manifests_table.version
        if newest == before:
            return False
        if not entries or entries[0].version != before + 1:
            self._log.start(entries[0].version - 1 if entries else newest)
        self._log.note(entries)
        self.known = self.known.extended(rows, newest)
        if len(self.known.rows) > _MANY_ROWS:
            self._look_for_models()
        return True

    def _look_for_models(self) -> None:
        """Stand on what others have folded meanwhile, so that the rows held stay few. One request."""
        catalogue = Catalogue.from_json(self._manifests_table.note())
        if catalogue is not None and catalogue.through - self.known.base_version >= _FOLDED_VERSIONS:
            self._stand_on(catalogue)

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
        if entry.content is not None:
            return entry.content
        with self.lock:
            return self._contents.of(entry, self.poll)

    def with_contents(self, rows: pa.Table) -> pa.Table:
        """Return rows of ``manifests`` with the inline content that this handle has not read yet, but what was purged.

        One request for each data file that holds some, all at once.
        """
        with self.lock:
            return self._contents.into(rows, self.poll)

    def log_rows(self, name: str, version: int | None = None, where: tuple[str, str] | None = None) -> pa.Table:
        """Return the rows of ``metric_rows`` or ``event_rows`` that count at ``version`` or the head, in no order.

        Args:
            name: Which.
            version: By default the newest that is known.
            where: A column and the text that it must hold.
        """
        import pyarrow.compute as pc

        state = self.state
        limit = state.version if version is None else version

        def batch_ids() -> pa.Array:
            found = [pa.array([], pa.string())]
            for rows in state.parts(["version", "op", "entry_id"]):
                counted = pc.is_in(rows.column("op"), value_set=pa.array(BATCH_OPS))
                counted = pc.and_(counted, pc.less_equal(rows.column("version"), limit))
                found += rows.column("entry_id").filter(counted).drop_null().chunks
            return pa.concat_arrays(found)

        return self.logs[name].rows(limit, batch_ids, where)

    def data_files(self, name: str) -> dict[str, int]:
        """Return the data files of a table that this handle knows: path in the table -> size in bytes."""
        if name in self.logs:
            return self.logs[name].data_files()
        with self.lock:
            return self._manifests_table.data_files()

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
        return DeltaTable(self.store, self.lake_id, SPECS[name])

    def audit_log(self, name: str) -> None:
        """Compare what the log of a table, and its checkpoint, say of it, see ``DeltaLog.audit``."""
        try:
            self._anew(name).audit()
        except FormatError as exc:
            if name not in self.logs or exc.kind != "table-missing":
                raise

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
        waiting = Waiting(commit)
        led = self._queue.commit(waiting)
        if led:
            self._tidying.when_due()
        if waiting.error is not None:
            raise waiting.error
        assert waiting.outcome is not None
        warning, self._log.warning = self._log.warning, None
        if warning is not None:
            notice(warning)
        return waiting.outcome

    def commit_for(self, tickets: Sequence[Ticket]) -> list[Answer]:
        """Commit what neighbours handed over, in one log entry with what threads of this process wait for.

        What is not decided here (its planner objected, the store failed, other hosts were faster) is handed back.
        """
        handed = [[Waiting(commit, base=ticket.base) for commit in ticket.commits] for ticket in tickets]
        self._queue.commit_many([waiting for some in handed for waiting in some])
        crowded, beaten = self._committer.crowd()
        return [Answer(tuple(waiting.outcome for waiting in some), crowded, beaten) for some in handed]

    def _landed(self, commit_id: str) -> Committed | None:
        """Return what came of an earlier attempt, if it is in the log."""
        with self.lock:
            self.poll()
            version = self.known.version_of(commit_id)
            at = None if version is None else self.known.time_of(version)
            return None if version is None or at is None else Committed(version, at)

    def _commit_all(self, undecided: Callable[[], list[Waiting]]) -> None:
        with self.lock:
            batch = undecided()
            try:
                self._committer.run(batch)
            except Exception as exc:  # an interrupt is this thread's alone: what it left undecided is the next leader's
                for waiting in batch:
                    if not waiting.done:
                        waiting.fail(_own(exc))
            for waiting in batch:
                if not waiting.done:
                    waiting.end()

    def has_neighbours(self, neighbours: Callable[..., Neighbours] = Neighbours) -> None:
        """Let processes of this host that write to this lake here commit for one another from now on.

        Args:
            neighbours: Makes what finds and asks them.
        """
        identity = self.store.identity()
        if identity is not None:
            serve = partial(answers_of, serve=self.commit_for)
            self._committer.neighbours = neighbours(
                f"{self.lake_id}\n{identity}", serve, after=self._tidying.beside, waiting=lambda: self._queue.waiting
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
        self.known = self.known.extended(rows, version, values)

    # -- upkeep --------------------------------------------------------------------------------------------

    def compact(self, progress: Callable[[str], None] = lambda table: None) -> dict[str, dict[str, int]]:
        """Merge each table's small files and write checkpoints. Changes no row; safe beside any writer.

        Returns:
            For each table: ``files_before``, ``files_after``, ``checkpoint_version``.
        """
        with self.lock:
            self.poll()
        return self._tidying.compact(progress)

    def erase(self, rows: pa.Table) -> pa.Table:
        """Return rows of ``manifests`` without the inline content that was purged."""
        return without_purged(rows, self.known.generation) if self.known.purged else rows

    def moved(self) -> None:
        """Take note of a version of ``manifests`` without rows. The caller holds the lock."""
        version = self._manifests_table.version
        if version > self.known.version:
            self.extend(MANIFESTS_SCHEMA.empty_table(), version)


def _own(error: Exception) -> Exception:
    """Return a copy for one of several threads to raise: a traceback belongs to one raise only."""
    try:
        copied = copy.copy(error)
    except Exception:  # of a class of somebody else that can't be copied
        return error
    copied.__cause__ = error
    return copied

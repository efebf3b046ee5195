"""One log entry and the commits in it: planned on the newest state known, written, and told to who waits.

Below the question of who writes for whom (``committing``), above the tables (``delta``). A writer here also keeps the
fate of every commit that the log entries it has read decided, so that a commit is never decided twice.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefolio.delta.table import LogEntry
from lakefolio.errors import AlreadyExistsError, InvalidInputError, LakefolioError, StorageError
from lakefolio.format.arrow_rows import rows_of
from lakefolio.format.names import new_id
from lakefolio.format.schema import MANIFESTS_SCHEMA
from lakefolio.model.changes import Commit
from lakefolio.model.pending_state import Overlay
from lakefolio.model.planner import Plan, plan_commit
from lakefolio.process.notice import LakefolioWarning

if TYPE_CHECKING:
    from lakefolio.journal.journal import Journal

__all__ = ["Committed", "Layout", "LogWriter", "Waiting"]

_MOST_FATES = 50_000
_VOUCHED = timedelta(hours=1)
_TOLERATED = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Committed:
    """An acknowledged commit: the lake version it made (shared with others that were combined), and when."""

    version: int
    committed_at: datetime


@dataclass(slots=True, eq=False)
class Waiting:
    """A commit on its way, and who waits for it.

    A ``foreign`` one comes from a ticket: nobody in this process waits for it. One of a neighbour has as its ``base``
    the version up to which it has not been decided, and may end with neither outcome nor error: it is handed back.

    Attributes:
        since: The version that was known when it was first tried; it is decided above that one or not at all.
    """

    commit: Commit
    foreign: bool = False
    base: int | None = None
    since: int = -1
    outcome: Committed | None = None
    error: BaseException | None = None
    done: bool = False
    _calls: SimpleQueue[None] = field(default_factory=SimpleQueue)

    def end(self) -> None:
        """Let the thread that waits go on: there is an outcome or an error."""
        self.done = True
        self.wake()

    def wake(self) -> None:
        """End the :meth:`wait` of the thread whose commit this is, or its next one."""
        self._calls.put(None)

    def wait(self, seconds: float) -> None:
        """Wait to be woken, so long at most."""
        with contextlib.suppress(Empty):
            self._calls.get(timeout=seconds)

    def fail(self, error: BaseException) -> None:
        """Let the thread that waits raise an error."""
        self.error = error
        self.end()


@dataclass(slots=True)
class Layout:
    """What a list of commits means on the newest state known, each planned on what its predecessors leave."""

    version: int
    at: datetime
    plans: list[tuple[Waiting, Plan]] = field(default_factory=list)
    refused: list[tuple[Waiting, Exception]] = field(default_factory=list)
    empty: list[Waiting] = field(default_factory=list)
    values: list[dict[str, Any]] = field(default_factory=list)
    rows: pa.Table | None = None

    def encode(self) -> None:
        """Make the rows."""
        self.values = [row for _, plan in self.plans for row in plan.manifests]
        self.rows = rows_of(MANIFESTS_SCHEMA, self.values)


class LogWriter:
    """Plans and writes log entries of one journal, whose lock its owner holds.

    Attributes:
        fates: Commit id -> the version that decided it, and whether that version carries it (or refuses it). Of every
            commit decided above a version that :meth:`know_from` can lower.
        warning: What the user of the next commit is to be warned of, once.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._known_from = 0
        self._ahead = timedelta(0)  # by which the clock of this machine is ahead of that of the store
        self._clock_checked = False
        self.warning: LakefolioWarning | None = None
        self.fates: dict[str, tuple[int, bool]] = {}

    def start(self, version: int) -> None:
        """Forget all fates; those above ``version`` will be told to :meth:`note`."""
        self.fates.clear()
        self._known_from = version

    def note(self, entries: Iterable[LogEntry]) -> None:
        """Take note of log entries, in order."""
        for entry in entries:
            for commit_id in entry.commit_ids:
                self.fates.setdefault(commit_id, (entry.version, True))
            for commit_id in entry.refused:
                self.fates.setdefault(commit_id, (entry.version, False))

    def forget_some(self) -> None:
        """Forget all fates if they are many. Only where no commit is under way."""
        if len(self.fates) > _MOST_FATES:
            self.start(self._journal.known.version)

    def know_from(self, base: int) -> bool:
        """Read what is missing for the fates of all commits decided above ``base``, which must not lie ahead."""
        table = self._journal.manifests_table
        if base > table.version:
            return False
        if base < self._known_from:
            entries = table.entries(base + 1, self._known_from)
            known, self.fates = self.fates, {}
            self.note(entries)
            self.fates |= {one: fate for one, fate in known.items() if one not in self.fates}
            self._known_from = base
        return True

    def plan(self, batch: list[Waiting]) -> Layout:
        """Plan all on the newest state known, and end those that are refused or have nothing to do.

        An objection counts only on the newest state there is.
        """
        layout = self.lay_out(batch)
        if layout.refused and self._journal.poll():
            layout = self.lay_out(self.told(batch))
        for waiting, error in layout.refused:
            waiting.fail(error)
        for waiting in layout.empty:
            waiting.outcome = Committed(self._journal.known.version, layout.at)
            waiting.end()
        return layout

    def lay_out(self, batch: Sequence[Waiting]) -> Layout:
        """Plan all on the newest state known; what is objected to is noted, not ended.

        An objection to one commit, whatever it is, is that commit's alone: the others are planned without it.
        """
        layout = self._planned(batch)
        try:
            layout.encode()
        except Exception:
            unstorable = {waiting: error for waiting, plan in layout.plans if (error := _unstorable(plan)) is not None}
            if not unstorable:
                raise
            layout = self.lay_out([waiting for waiting in batch if waiting not in unstorable])
            layout.refused += unstorable.items()
        return layout

    def _planned(self, batch: Sequence[Waiting]) -> Layout:
        state = self._journal.known
        version, now = state.version + 1, datetime.now(UTC) - self._ahead
        last = state.committed_at
        layout = Layout(version, now if last is None or now > last else last + timedelta(microseconds=1))
        overlay = Overlay(state, self._journal.content_of, version)
        count = 0
        planned = set()
        for waiting in batch:
            if waiting.commit.commit_id in planned:
                continue  # handed over again by a neighbour that had given up waiting; it finds the first in the log
            planned.add(waiting.commit.commit_id)
            try:
                plan = plan_commit(
                    waiting.commit,
                    state,
                    overlay,
                    first_ordinal=count,
                    version=version,
                    committed_at=layout.at,
                )
            except StorageError:
                raise
            except Exception as exc:
                layout.refused.append((waiting, _refusal(exc)))
                continue
            if not plan.manifests:
                layout.empty.append(waiting)
                continue
            overlay.absorb(plan.overlay)
            count += len(plan.manifests)
            layout.plans.append((waiting, plan))
        return layout

    def told(self, batch: Iterable[Waiting]) -> list[Waiting]:
        """End those whose commit is in the log; return the others. What was refused there becomes a new commit.

        A neighbour's is ended in both cases, so that it makes the new commit.
        """
        left = []
        state = self._journal.known
        for waiting in batch:
            version, carried = self.fates.get(waiting.commit.commit_id, (-1, False))
            if carried and not waiting.done:
                at = state.time_of(version)
                assert at is not None
                waiting.outcome = Committed(version, at)
                waiting.end()
            elif version >= 0 and waiting.base is not None:
                waiting.end()
            elif not waiting.done:
                if version >= 0:
                    waiting.commit = replace(waiting.commit, commit_id=new_id())
                left.append(waiting)
        return left

    def write(self, layout: Layout, refused: Sequence[str] = ()) -> None:
        """Store the file and create the log entry. What has come of it, won or lost, is noted when this returns.

        Raises:
            StorageError: If the store failed and nothing of it is known to have been decided.
        """
        try:
            self._store(layout, refused)
        except StorageError as failure:
            try:
                self._journal.poll()
            except StorageError:
                raise failure from None
            ours = {waiting.commit.commit_id for waiting, _ in layout.plans}.union(refused)
            if ours.isdisjoint(self.fates):
                raise

    def _store(self, layout: Layout, refused: Sequence[str]) -> None:
        journal, plans, version = self._journal, layout.plans, layout.version
        values, rows = layout.values, layout.rows
        assert rows is not None
        file = None
        if plans:
            file, key, body = journal.manifests_table.encode(rows, version=version, values=values)
            with contextlib.suppress(AlreadyExistsError):  # nobody else uses this key: its answer was lost
                journal.store.create(key, body)
            if not self._clock_checked and self._redated(layout, key):
                self._store(layout, refused)
                return
        commit_ids = [waiting.commit.commit_id for waiting, _ in plans]
        try:
            journal.manifests_table.commit(version, file, commit_ids, layout.at, refused)
        except AlreadyExistsError:
            journal.poll()
            return
        self.note([LogEntry(version, tuple(commit_ids), (), (), {}, tuple(refused))])
        journal.extend(rows, version, values)
        for waiting, _ in plans:
            waiting.outcome = Committed(version, layout.at)
            waiting.end()

    def _redated(self, layout: Layout, key: str) -> bool:
        """Hold the time of the first commit of this handle against the store's; say whether it was set right.

        Where the newest commit is not long ago, it vouches for the clock. Else the data file that was just stored
        does: one request more. A wrong clock would date all later commits of everybody.
        """
        self._clock_checked = True
        last = self._journal.known.committed_at
        if last is not None and layout.at - last <= _VOUCHED:
            return False
        try:
            found = self._journal.store.head(key).modified_at
        except LakefolioError:  # not everybody who may write may look
            return False
        ahead = layout.at - found
        if abs(ahead) <= _TOLERATED:
            return False
        self._ahead += ahead
        self.warning = LakefolioWarning(
            f"the clock of this machine is {_shown(abs(ahead.total_seconds()))} "
            f"{'ahead of' if ahead > timedelta(0) else 'behind'} that of {self._journal.store.uri}",
            kind="wrong-clock",
            hint="commits are dated by the store's; set the clock",
        )
        layout.at = found if last is None or found > last else last + timedelta(microseconds=1)
        for row in layout.values:
            row["committed_at"] = layout.at
        layout.rows = rows_of(MANIFESTS_SCHEMA, layout.values)
        return True


def _shown(seconds: float) -> str:
    """Return a span of time for people."""
    for size, unit in ((86_400 * 365.25, "years"), (86_400, "days"), (3_600, "hours")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 60:.0f} minutes"


def _unstorable(plan: Plan) -> Exception | None:
    """Return what stands in the way of one commit's rows, or None."""
    try:
        rows_of(MANIFESTS_SCHEMA, plan.manifests)
    except Exception as exc:
        return _refusal(exc)
    return None


def _refusal(error: Exception) -> Exception:
    """Return an error as the user of a commit is to see it: a value that can't be stored is no bug of the library."""
    if isinstance(error, LakefolioError) or not isinstance(error, (ValueError, TypeError, OverflowError)):
        return error
    refusal = InvalidInputError(
        f"a value of this commit can't be stored: {error}",
        kind="bad-value",
        hint="text must be encodable as UTF-8, integers must fit 64 bits; nothing was committed",
    )
    refusal.__cause__ = error
    return refusal

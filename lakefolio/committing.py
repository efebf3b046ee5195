"""How commits get into the log: directly, or through tickets where many writers are (FORMAT.md, "Group commit").

Directly: plan on the newest state known, store the files, create the next log entry if it is absent. Whoever loses that
create leaves a ticket; the writer of the oldest ticket folds all tickets into one log entry, the others look for it. A
writer that was beaten a moment ago goes by ticket at once, so that a crowd does not race in vain.

What makes it exact, whoever combines, however slow or dead: the fate of a ticket is the first log entry above its
``base`` that carries its commits or refuses them, and nobody takes a ticket without having read every entry above it.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefolio.changes import Commit
from lakefolio.delta import DataFile, LogEntry
from lakefolio.errors import AlreadyExistsError, ConflictError, LakefolioError, StorageError
from lakefolio.overlay import Overlay
from lakefolio.planner import Plan, plan_commit
from lakefolio.refs import new_id
from lakefolio.rows import rows_of
from lakefolio.schema import MANIFESTS_SCHEMA
from lakefolio.tickets import Ticket, Tickets

if TYPE_CHECKING:
    from lakefolio.journal import Journal
    from lakefolio.storage import Store

__all__ = ["Committed", "Committer", "Waiting"]

_PATIENCE_S = 60.0
_CROWDED_S = 1.0
"""For so long after a lost race a writer goes by ticket at once."""
_SHORTEST_LOOK_S = 0.002
_LONGEST_LOOK_S = 0.25
_SLOW_COMBINER_S = 0.5
_SLOW_COMBINER_LOOKS = 30
"""After so long without a log entry, or so many looks if that is longer, a writer takes the one before it for dead."""
_COMBINED_BYTES = 8 << 20
_MOST_FATES = 50_000


@dataclass(frozen=True, slots=True)
class Committed:
    """An acknowledged commit: the lake version it made (shared with others that were combined) and its rows."""

    version: int
    committed_at: datetime
    rows: tuple[dict[str, Any], ...]


@dataclass(slots=True, eq=False)
class Waiting:
    """A commit on its way: who waits for it, and which side rows are already written under which ``txn_id``.

    A ``foreign`` one comes from a ticket: nobody in this process waits for it.
    """

    commit: Commit
    txn_id: str
    foreign: bool = False
    written: tuple[Any, Any] | None = None
    outcome: Committed | None = None
    error: BaseException | None = None
    done: threading.Event = field(default_factory=threading.Event)


@dataclass(slots=True)
class _Layout:
    """What a list of commits means on the newest state known, each planned on what its predecessors leave."""

    version: int
    at: datetime
    plans: list[tuple[Waiting, Plan]] = field(default_factory=list)
    refused: list[tuple[Waiting, Exception]] = field(default_factory=list)
    empty: list[Waiting] = field(default_factory=list)


class Committer:
    """Commits for one journal; its owner holds the journal's lock."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._fates: dict[str, tuple[int, bool]] = {}  # commit id -> version that decided it, and whether it carries it
        self._known_from = 0  # every commit decided above this version is in _fates
        self._held: dict[str, tuple[Ticket, list[Waiting]]] = {}
        self._crowded_until = 0.0
        self._look_s = _SHORTEST_LOOK_S / 2

    @property
    def tickets(self) -> Tickets:
        """The tickets of the journal's lake."""
        return Tickets(self._journal.store)

    def start(self, version: int) -> None:
        """Forget all fates; those above ``version`` will be told to :meth:`note`."""
        self._fates.clear()
        self._known_from = version

    def note(self, entries: Iterable[LogEntry]) -> None:
        """Take note of log entries, in order."""
        for entry in entries:
            for commit_id in entry.commit_ids:
                self._fates.setdefault(commit_id, (entry.version, True))
            for commit_id in entry.refused:
                self._fates.setdefault(commit_id, (entry.version, False))

    def run(self, batch: list[Waiting]) -> None:
        """Bring commits to their end; those that are refused get their error, on the newest state there is.

        Raises:
            ConflictError: If other writers won for a minute on end.
            StorageError: If the store failed; then it is unknown whether the rest landed.
        """
        if len(self._fates) > _MOST_FATES:
            self.start(self._journal.state.version)
        batch = self._told(batch)
        if batch and time.monotonic() >= self._crowded_until:
            batch = self._directly(batch)
        deadline = time.monotonic() + _PATIENCE_S
        while batch:
            batch = self._by_ticket(batch, deadline)

    def settle(self) -> int:
        """Commit, or refuse, what dead writers left as tickets, take them away, and return how many there were."""
        listed = self.tickets.listed()
        if listed:
            self._combine([], listed)
        return len(listed)

    # -- the two ways --------------------------------------------------------------------------------------

    def _directly(self, batch: list[Waiting]) -> list[Waiting]:
        """Try once; return what has not landed because somebody else was faster."""
        layout = self._plan(batch)
        if not layout.plans:
            return []
        self._write(layout)
        left = self._told([waiting for waiting, _ in layout.plans])
        if left:
            self._crowded_until = time.monotonic() + _CROWDED_S
        return left

    def _by_ticket(self, batch: list[Waiting], deadline: float) -> list[Waiting]:
        """Leave a ticket and see it through; return what another writer refused, to be tried as new commits."""
        layout = self._plan(batch)  # what is refused now never gets a ticket
        batch = [waiting for waiting, _ in layout.plans]
        if not batch:
            return []
        ticket = Ticket(self._journal.state.version, tuple(waiting.commit for waiting in batch))
        tickets, lost = self.tickets, 0
        try:
            tickets.create(ticket)
            while True:
                listed = tickets.listed()
                before = [one for one in listed if one < ticket.ticket_id and one not in self._fates]
                if not before or not self._log_moves(len(before)):
                    if lost:
                        self._claim()
                    self._combine(batch, listed, ticket.ticket_id)
                    lost += 1
                if len(listed) > 1:
                    self._crowded_until = time.monotonic() + _CROWDED_S
                if ticket.ticket_id in self._fates:
                    return self._told(batch)
                if time.monotonic() > deadline:
                    raise ConflictError(
                        f"commit {ticket.ticket_id} lost to other writers for {_PATIENCE_S:.0f} s",
                        kind="contention",
                        hint="look whether it landed; use fewer writers at once, or more changes in one batch()",
                        version=self._journal.state.version,
                    )
        except BaseException:
            with contextlib.suppress(LakefolioError):
                tickets.remove([ticket.ticket_id])
            raise

    def _log_moves(self, rank: int) -> bool:
        """Wait for the next log entry; say whether it came before the writers ahead must be taken for dead."""
        until = time.monotonic() + max(_SLOW_COMBINER_S, _SLOW_COMBINER_LOOKS * self._look_s) * rank
        pause_s = max(_SHORTEST_LOOK_S, 2 * self._look_s)
        while time.monotonic() < until:
            time.sleep(min(pause_s, _LONGEST_LOOK_S) * random.uniform(0.75, 1.25))
            began = time.perf_counter()
            if self._journal.poll(one=True):
                return True
            self._look_s += (time.perf_counter() - began - self._look_s) / 8
            pause_s *= 1.05
        return False

    def _claim(self) -> None:
        """Create an empty log entry, so that whoever commits directly loses and comes by ticket too.

        Those who are alone in what they see are never beaten otherwise: a combiner has more to do than they. Everyone
        who knows an older version loses, so that the next one is nearly sure to go to the combiner.
        """
        journal = self._journal
        journal.poll()
        version = journal.state.version + 1
        try:
            journal.manifests_table.commit(version, None, (), datetime.now(UTC))
        except AlreadyExistsError:
            journal.poll()
            return
        journal.extend(MANIFESTS_SCHEMA.empty_table(), version)

    def _combine(self, own: list[Waiting], listed: Mapping[str, int], own_ticket: str = "") -> None:
        """Try once to commit, in one log entry, the own commits and those of all tickets, oldest first."""
        taken, gone = self._take({one: size for one, size in listed.items() if one != own_ticket})
        line: list[Waiting] = []
        ids: list[str] = []
        for ticket_id in sorted([*taken, *([own_ticket] if own else [])]):
            waiting = own if ticket_id == own_ticket else self._free(taken[ticket_id])
            if ticket_id in self._fates:
                gone.append(ticket_id)
            elif waiting:
                line += waiting
                ids.append(ticket_id)
        if line:
            layout = self._lay_out(line)
            # What makes no rows is handed back like what is refused: its writer finds out by itself.
            turned_away = [waiting for waiting, _ in layout.refused] + layout.empty
            self._write(layout, [waiting.commit.commit_id for waiting in turned_away])
            for one, error in layout.refused:
                if not one.foreign and not self._fates.get(one.commit.commit_id, (0, True))[1]:
                    one.error = error
                    one.done.set()
            gone += [ticket_id for ticket_id in ids if ticket_id in self._fates]
        if gone:
            with contextlib.suppress(LakefolioError):
                self.tickets.remove(gone)
            for ticket_id in gone:
                self._held.pop(ticket_id, None)

    def _take(self, listed: Mapping[str, int]) -> tuple[dict[str, tuple[Ticket, list[Waiting]]], list[str]]:
        """Read the tickets of other writers, oldest first, as far as one log entry takes them, and what is in the log.

        Returns:
            The tickets, and the ids of those to be taken away: decided, or not what a writer writes.
        """
        gone = [ticket_id for ticket_id in listed if ticket_id in self._fates]
        open_ids: list[str] = []
        size_bytes = 0
        for ticket_id, size in listed.items():
            if ticket_id not in self._fates and (not open_ids or size_bytes + size <= _COMBINED_BYTES):
                open_ids.append(ticket_id)
                size_bytes += size
        self._held = {ticket_id: held for ticket_id, held in self._held.items() if ticket_id in listed}
        unread = [ticket_id for ticket_id in open_ids if ticket_id not in self._held]
        read = self.tickets.read(unread, beside=self._journal.poll)
        for ticket_id, ticket in read.items():
            if ticket is None:
                gone.append(ticket_id)
            else:
                self._held[ticket_id] = (ticket, [Waiting(commit, new_id(), foreign=True) for commit in ticket.commits])
        return {ticket_id: self._held[ticket_id] for ticket_id in open_ids if ticket_id in self._held}, gone

    def _free(self, held: tuple[Ticket, list[Waiting]]) -> list[Waiting]:
        """Return a ticket's commits if every log entry above its base is known here, reading what is missing."""
        ticket, waiting = held
        table = self._journal.manifests_table
        if ticket.base > table.version:
            return []  # what no writer would write
        if ticket.base < self._known_from:
            known_from = self._known_from
            entries = table.entries(ticket.base + 1, known_from)
            known, self._fates = self._fates, {}
            self.note(entries)
            self._fates |= {one: fate for one, fate in known.items() if one not in self._fates}
            self._known_from = ticket.base
        return waiting

    # -- planning ------------------------------------------------------------------------------------------

    def _plan(self, batch: list[Waiting]) -> _Layout:
        """Plan all on the newest state known, and end those that are refused or have nothing to do.

        An objection counts only on the newest state there is.
        """
        layout = self._lay_out(batch)
        if layout.refused and self._journal.poll():
            layout = self._lay_out(self._told(batch))
        for waiting, error in layout.refused:
            waiting.error = error
            waiting.done.set()
        for waiting in layout.empty:
            waiting.outcome = Committed(self._journal.state.version, layout.at, ())
            waiting.done.set()
        return layout

    def _lay_out(self, batch: Sequence[Waiting]) -> _Layout:
        state = self._journal.state
        version, now = state.version + 1, datetime.now(UTC)
        last = state.committed_at
        layout = _Layout(version, now if last is None or now > last else last + timedelta(microseconds=1))
        overlay = Overlay(state, self._journal, version)
        count = 0
        for waiting in batch:
            try:
                plan = plan_commit(
                    waiting.commit,
                    state,
                    overlay,
                    overlay,
                    first_ordinal=count,
                    txn_id=waiting.txn_id,
                    version=version,
                    committed_at=layout.at,
                )
            except StorageError:
                raise
            except Exception as exc:
                # What a ticket of another writer runs into, whatever it is, its writer is to find out by itself.
                if not (waiting.foreign or isinstance(exc, LakefolioError)):
                    raise
                layout.refused.append((waiting, exc))
                continue
            if not plan.manifests:
                layout.empty.append(waiting)
                continue
            overlay.absorb(plan.overlay)
            count += len(plan.manifests)
            layout.plans.append((waiting, plan))
        return layout

    def _told(self, batch: Iterable[Waiting]) -> list[Waiting]:
        """End those whose commit is in the log; return the others. What was refused there becomes a new commit."""
        left = []
        state = self._journal.state
        for waiting in batch:
            version, carried = self._fates.get(waiting.commit.commit_id, (-1, False))
            if carried and not waiting.done.is_set():
                at = state.time_of(version)
                assert at is not None
                waiting.outcome = Committed(version, at, tuple(state.rows_of(version, waiting.commit.commit_id)))
                waiting.done.set()
            elif not waiting.done.is_set():
                if version >= 0:
                    waiting.commit = replace(waiting.commit, commit_id=new_id())
                left.append(waiting)
        return left

    # -- writing -------------------------------------------------------------------------------------------

    def _write(self, layout: _Layout, refused: Sequence[str] = ()) -> None:
        """Store the files and create the log entries. What has come of it, won or lost, is noted when this returns.

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
            if ours.isdisjoint(self._fates):
                raise

    def _store(self, layout: _Layout, refused: Sequence[str]) -> None:
        journal, plans, version = self._journal, layout.plans, layout.version
        calls: list[Callable[[], Any]] = []
        side_rows: dict[str, list[dict[str, Any]]] = {"lineage": [], "metadata": []}
        for waiting, plan in plans:
            new = _unwritten(waiting, plan)
            side_rows["lineage"] += new[0]
            side_rows["metadata"] += new[1]
        values = [row for _, plan in plans for row in plan.manifests]
        rows = rows_of(MANIFESTS_SCHEMA, values)
        file = None
        if plans:
            file, key, body = journal.manifests_table.encode(rows, version=version, values=values)
            calls.append(partial(_store_once, journal.store, key, body))
        sides: list[tuple[str, DataFile, pa.Table]] = []
        for name, wanted in side_rows.items():
            if wanted:
                table = journal.side(name)
                side = rows_of(table.schema, wanted)
                side_file, side_key, side_body = table.encode(side, version=table.version + 1, values=wanted)
                calls.append(partial(_store_once, journal.store, side_key, side_body))
                sides.append((name, side_file, side))
        journal.store.parallel(calls)
        if sides:
            journal.store.parallel([partial(journal.append_side, *side, layout.at) for side in sides])
            for waiting, plan in plans:
                waiting.written = _side_rows(plan)
        commit_ids = [waiting.commit.commit_id for waiting, _ in plans]
        try:
            journal.manifests_table.commit(version, file, commit_ids, layout.at, refused)
        except AlreadyExistsError:
            journal.poll()
            return
        journal.extend(rows, version, values)
        self.note([LogEntry(version, tuple(commit_ids), (), (), (), tuple(refused))])
        for waiting, plan in plans:
            waiting.outcome = Committed(version, layout.at, tuple(plan.manifests))
            waiting.done.set()


def _store_once(store: Store, key: str, body: bytes) -> None:
    """Store a file under a key that nobody else uses: one that is there is this very file, its answer was lost."""
    with contextlib.suppress(AlreadyExistsError):
        store.create(key, body)


def _unwritten(waiting: Waiting, plan: Plan) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the side rows still to be written; rows of an attempt that planned otherwise are left dead."""
    if waiting.written is None:
        return plan.lineage, plan.metadata
    if waiting.written == _side_rows(plan):
        return [], []
    waiting.txn_id = new_id()
    for row in (*plan.manifests, *plan.lineage, *plan.metadata):
        row["txn_id"] = waiting.txn_id
    return plan.lineage, plan.metadata


def _side_rows(plan: Plan) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    def bare(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{name: value for name, value in row.items() if name != "txn_id"} for row in rows]

    return bare(plan.lineage), bare(plan.metadata)

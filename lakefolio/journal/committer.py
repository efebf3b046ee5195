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
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lakefolio.errors import AlreadyExistsError, ConflictError, LakefolioError
from lakefolio.format.schema import MANIFESTS_SCHEMA
from lakefolio.journal.handoff_protocol import message_of, read_answer
from lakefolio.journal.log_writer import LogWriter, Waiting
from lakefolio.journal.tickets import Ticket, Tickets
from lakefolio.process.clock import SYSTEM_CLOCK, Clock

if TYPE_CHECKING:
    from lakefolio.journal.host_leader import Neighbours
    from lakefolio.journal.journal import Journal

__all__ = ["Committer"]

_PATIENCE_S = 60.0
_CROWDED_S = 1.0
"""For so long after a lost race a writer goes by ticket at once."""
_SHORTEST_LOOK_S = 0.002
_LONGEST_LOOK_S = 0.25
_SLOW_COMBINER_S = 0.5
_SLOW_COMBINER_LOOKS = 30
"""After so long without a log entry, or so many looks if that is longer, a writer takes the one before it for dead."""
_COMBINED_BYTES = 8 << 20
_LEADER_TRIES = 4
"""So often who commits for its host tries to be faster than others before they all go by ticket."""


class Committer:
    """Commits for one journal; its owner holds the journal's lock."""

    def __init__(self, journal: Journal, log: LogWriter, clock: Clock = SYSTEM_CLOCK) -> None:
        self._journal = journal
        self._clock = clock
        self._log = log
        self._held: dict[str, tuple[Ticket, list[Waiting]]] = {}
        self.neighbours: Neighbours | None = None
        self._crowded_until = 0.0
        self._beaten_until = 0.0
        self._own_at = -_CROWDED_S
        self._base = -1
        self._look_s = _SHORTEST_LOOK_S / 2

    @property
    def tickets(self) -> Tickets:
        """The tickets of the journal's lake."""
        return Tickets(self._journal.store)

    def run(self, batch: list[Waiting]) -> None:
        """Bring commits to their end; those that are refused get their error, on the newest state there is.

        Raises:
            ConflictError: If other writers won for a minute on end.
            StorageError: If the store failed; then it is unknown whether the rest landed.
        """
        journal = self._journal
        if journal.manifests_table.version != journal.known.version:
            journal.poll()  # an exception hit the last commit half-way
        self._log.forget_some()
        self._base = max(journal.known.version, journal.acknowledged)
        for waiting in batch:
            if waiting.since < 0:
                waiting.since = self._base
        self._log.know_from(min((waiting.since for waiting in batch), default=self._base))
        batch = self._log.told(self._known(batch))
        if any(waiting.base is None for waiting in batch):
            self._own_at = self._clock.monotonic()
        if batch and self._clock.monotonic() >= self._crowded_until:
            batch = self._directly(batch)
        if batch and self.neighbours is not None:
            batch = self._with_neighbours(batch, self.neighbours)
        batch = [waiting for waiting in batch if waiting.base is None]  # the others are handed back
        deadline = self._clock.monotonic() + _PATIENCE_S
        while batch:
            batch = self._by_ticket(batch, deadline)

    def leave(self) -> bool:
        """Leave what waits to the thread that commits for neighbours; say whether there is one, and others use it."""
        return self.neighbours is not None and self.neighbours.nudge()

    def crowd(self) -> tuple[bool, bool]:
        """Return whether more than one process of this host commits through this one, and whether others beat it."""
        now = self._clock.monotonic()
        asking = 0 if self.neighbours is None else self.neighbours.count
        return asking + (now - self._own_at < _CROWDED_S) > 1, now < self._beaten_until

    def settle(self) -> int:
        """Commit, or refuse, what dead writers left as tickets, take them away, and return how many there were."""
        listed = self.tickets.listed()
        if listed:
            self._combine([], listed)
        return len(listed)

    # -- the three ways ------------------------------------------------------------------------------------

    def _known(self, batch: list[Waiting]) -> list[Waiting]:
        """Make sure that every log entry above the base of what neighbours handed over is known; return whose are."""
        bases = [waiting.base for waiting in batch if waiting.base is not None]
        if bases and max(bases) > self._journal.known.version:
            self._journal.poll()
        return [waiting for waiting in batch if waiting.base is None or self._log.know_from(waiting.base)]

    def _caught_up(self, batch: list[Waiting]) -> list[Waiting]:
        """Read what is new, which may be much; return what is still open."""
        self._journal.poll(skip=True)
        self._log.know_from(min((self._base if one.base is None else one.base for one in batch), default=self._base))
        return self._log.told(batch)

    def _directly(self, batch: list[Waiting]) -> list[Waiting]:
        """Try once; return what has not landed because somebody else was faster."""
        if self._journal.behind:
            batch = self._caught_up(batch)
        layout = self._log.plan(batch)
        if not layout.plans:
            return []
        self._log.write(layout)
        left = self._log.told([waiting for waiting, _ in layout.plans])
        if left:
            self._crowded_until = self._clock.monotonic() + _CROWDED_S
        return left

    def _with_neighbours(self, batch: list[Waiting], neighbours: Neighbours) -> list[Waiting]:
        """Commit for all processes of this host, or let the one that does so commit; return what is still open."""
        journal = self._journal
        own = [waiting for waiting in batch if waiting.base is None]
        answer = None
        if own and not neighbours.leading:
            message = message_of(Ticket(self._base, tuple(waiting.commit for waiting in own)))
            body = neighbours.ask_or_lead(message)
            answer = None if body is None else read_answer(body, len(own))
        if neighbours.leading:
            if self._clock.monotonic() < self._beaten_until:
                return batch
            for _ in range(_LEADER_TRIES):
                batch = self._directly(batch)
                if not batch:
                    return []
            self._beaten_until = self._clock.monotonic() + _CROWDED_S
            return batch
        if answer is not None:
            for waiting, fate in zip(own, answer.fates, strict=True):
                if fate is not None:
                    journal.acknowledge(fate.version)
                    waiting.outcome = fate
                    waiting.end()
            if answer.crowded:
                self._crowded_until = self._clock.monotonic() + _CROWDED_S
        batch = [waiting for waiting in batch if not waiting.done]
        if batch:  # objected to, or nobody knows: see what there is
            batch = self._caught_up(batch)
            if batch and (answer is None or not answer.beaten):
                batch = self._directly(batch)
        return batch

    def _by_ticket(self, batch: list[Waiting], deadline: float) -> list[Waiting]:
        """Leave a ticket and see it through; return what another writer refused, to be tried as new commits."""
        layout = self._log.plan(batch)  # what is refused now never gets a ticket
        batch = [waiting for waiting, _ in layout.plans]
        if not batch:
            return []
        ticket = Ticket(self._journal.known.version, tuple(waiting.commit for waiting in batch))
        tickets, lost = self.tickets, 0
        try:
            tickets.create(ticket)
            while True:
                listed = tickets.listed()
                if len(listed) == 1 and not lost:  # in a crowd the others are about to come: let them
                    self._clock.sleep(max(_SHORTEST_LOOK_S, self._look_s))
                    listed = tickets.listed()
                before = [one for one in listed if one < ticket.ticket_id and one not in self._log.fates]
                if not before or not self._log_moves(len(before)):
                    if lost:
                        self._claim()
                    self._combine(batch, listed, ticket.ticket_id)
                    lost += 1
                if len(listed) > 1:
                    self._crowded_until = self._clock.monotonic() + _CROWDED_S
                if ticket.ticket_id in self._log.fates:
                    return self._log.told(batch)
                if self._clock.monotonic() > deadline:
                    raise ConflictError(
                        f"commit {ticket.ticket_id} lost to other writers for {_PATIENCE_S:.0f} s",
                        kind="contention",
                        hint="look whether it landed; use fewer writers at once, or more changes in one batch()",
                        version=self._journal.known.version,
                    )
        except BaseException:
            with contextlib.suppress(LakefolioError):
                tickets.remove([ticket.ticket_id])
            raise

    def _log_moves(self, rank: int) -> bool:
        """Wait for the next log entry; say whether it came before the writers ahead must be taken for dead."""
        until = self._clock.monotonic() + max(_SLOW_COMBINER_S, _SLOW_COMBINER_LOOKS * self._look_s) * rank
        pause_s = max(_SHORTEST_LOOK_S, 2 * self._look_s)
        while self._clock.monotonic() < until:
            self._clock.sleep(min(pause_s, _LONGEST_LOOK_S) * random.uniform(0.75, 1.25))
            began = self._clock.monotonic()
            if self._journal.poll(one=True):
                return True
            self._look_s += (self._clock.monotonic() - began - self._look_s) / 8
            pause_s *= 1.05
        return False

    def _claim(self) -> None:
        """Create an empty log entry, so that whoever commits directly loses and comes by ticket too.

        Those who are alone in what they see are never beaten otherwise: a combiner has more to do than they. Everyone
        who knows an older version loses, so that the next one is nearly sure to go to the combiner.
        """
        journal = self._journal
        journal.poll()
        version = journal.known.version + 1
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
            if ticket_id in self._log.fates:
                gone.append(ticket_id)
            elif waiting:
                line += waiting
                ids.append(ticket_id)
        if line:
            layout = self._log.lay_out(line)
            # What makes no rows is handed back like what is refused: its writer finds out by itself.
            turned_away = [waiting for waiting, _ in layout.refused] + layout.empty
            self._log.write(layout, [waiting.commit.commit_id for waiting in turned_away])
            for one, error in layout.refused:
                if not one.foreign and not self._log.fates.get(one.commit.commit_id, (0, True))[1]:
                    one.error = error
                    one.end()
            gone += [ticket_id for ticket_id in ids if ticket_id in self._log.fates]
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
        gone = [ticket_id for ticket_id in listed if ticket_id in self._log.fates]
        open_ids: list[str] = []
        size_bytes = 0
        for ticket_id, size in listed.items():
            if ticket_id not in self._log.fates and (not open_ids or size_bytes + size <= _COMBINED_BYTES):
                open_ids.append(ticket_id)
                size_bytes += size
        self._held = {ticket_id: held for ticket_id, held in self._held.items() if ticket_id in listed}
        unread = [ticket_id for ticket_id in open_ids if ticket_id not in self._held]
        read = self.tickets.read(unread, beside=self._journal.poll)
        for ticket_id, ticket in read.items():
            if ticket is None:
                gone.append(ticket_id)
            else:
                self._held[ticket_id] = (ticket, [Waiting(commit, foreign=True) for commit in ticket.commits])
        return {ticket_id: self._held[ticket_id] for ticket_id in open_ids if ticket_id in self._held}, gone

    def _free(self, held: tuple[Ticket, list[Waiting]]) -> list[Waiting]:
        """Return a ticket's commits if every log entry above its base is known here, reading what is missing."""
        ticket, waiting = held
        return waiting if self._log.know_from(ticket.base) else []  # no writer would write a base that lies ahead

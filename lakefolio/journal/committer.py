"""How commits get into the log: directly, or through tickets where many writers are (FORMAT.md, "Group commit").

Directly: plan on the newest state read, store the files, create the next log entry if it is absent. A writer that loses
that create leaves a ticket. The writer of the oldest ticket combines all tickets into one log entry; the others wait
for it. A writer that lost a race a moment ago goes by ticket at once, so that a crowd does not race in vain.

Why this is exact, whichever writer combines, however slow or dead: the outcome of a ticket is the first log entry above
its ``base`` that carries its commits or refuses them, and no writer takes a ticket before it has read every entry above
that base.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from lakefolio.errors import AlreadyExistsError, ConflictError, LakefolioError
from lakefolio.format.arrow_rows import no_rows
from lakefolio.format.schema import MANIFESTS_SCHEMA
from lakefolio.journal.handoff_protocol import message_of, read_answer
from lakefolio.journal.log_writer import LogWriter
from lakefolio.journal.pending_commit import PendingCommit
from lakefolio.journal.tickets import Ticket, Tickets
from lakefolio.process.clock import SYSTEM_CLOCK, Clock

if TYPE_CHECKING:
    from lakefolio.journal.head import JournalHead
    from lakefolio.journal.host_leader import HostPeers

__all__ = ["Committer"]

_PATIENCE_S: Final = 60.0
_CONTENDED_S: Final = 1.0
"""Time after a lost race in which a writer goes by ticket at once."""
_SHORTEST_LOOK_S: Final = 0.002
_LONGEST_LOOK_S: Final = 0.25
_SLOW_COMBINER_S: Final = 0.5
_SLOW_COMBINER_LOOKS: Final = 30
"""Time without a log entry, or number of looks if they take longer, after which the writer ahead counts as dead."""
_COMBINED_BYTES: Final = 8 << 20
_LEADER_TRIES: Final = 4
"""How often the leader of a host races directly before its commits go by ticket."""


class Committer:
    """Commits for one journal. The caller of each method holds the lock of the head, unless it says otherwise.

    Attributes:
        peers: The other processes of this host that write to the same lake, or None.
    """

    def __init__(self, head: JournalHead, log: LogWriter, clock: Clock = SYSTEM_CLOCK) -> None:
        self.peers: HostPeers | None = None
        self._head = head
        self._clock = clock
        self._log = log
        self._tickets = Tickets(head.store)
        self._held: dict[str, tuple[Ticket, list[PendingCommit]]] = {}  # tickets of others that were read
        self._contended_until = 0.0
        self._beaten_until = 0.0  # by other hosts
        self._own_at = -_CONTENDED_S  # when this process last had a commit of its own
        self._base = -1
        self._look_s = _SHORTEST_LOOK_S / 2  # how long a look at the log takes

    def run(self, batch: list[PendingCommit]) -> None:
        """Resolve commits; a refused commit gets its error on the newest state.

        Commits of other processes of this host that are still undecided stay so.

        Raises:
            ConflictError: If other writers won for a minute on end.
            StorageError: If the store failed; then it is unknown whether the remaining commits landed.
        """
        head = self._head
        if head.table.version != head.state.version:
            head.poll()  # an exception interrupted the last commit
        head.outcomes.forget_if_many(head.state.version)
        self._base = max(head.state.version, head.acknowledged)
        for pending in batch:
            if pending.since < 0:
                pending.since = self._base
        head.outcomes.complete_from(min((pending.since for pending in batch), default=self._base))
        batch = self._log.undecided(self._judged(batch))
        if any(pending.base is None for pending in batch):
            self._own_at = self._clock.monotonic()
        if batch and self._clock.monotonic() >= self._contended_until:
            batch = self._directly(batch)
        if batch and self.peers is not None:
            batch = self._with_peers(batch, self.peers)
        batch = [pending for pending in batch if pending.base is None]  # the others are handed back
        deadline = self._clock.monotonic() + _PATIENCE_S
        while batch:
            batch = self._by_ticket(batch, deadline)

    def leave_to_leader(self) -> bool:
        """Let this host's leader thread make the waiting commits; return whether it will. Needs no lock."""
        return self.peers is not None and self.peers.nudge()

    def contend(self, seconds: float = _CONTENDED_S) -> None:
        """Go by ticket at once for ``seconds`` seconds: other writers are active."""
        self._contended_until = self._clock.monotonic() + seconds

    def be_beaten(self, seconds: float = _CONTENDED_S) -> None:
        """As the leader of a host, do not race other hosts for ``seconds`` seconds."""
        self._beaten_until = self._clock.monotonic() + seconds

    def contention(self) -> tuple[bool, bool]:
        """Return whether several processes of this host commit through this one, and whether other hosts beat it."""
        now = self._clock.monotonic()
        asking = 0 if self.peers is None else self.peers.count
        return asking + (now - self._own_at < _CONTENDED_S) > 1, now < self._beaten_until

    def settle(self) -> int:
        """Commit or refuse the tickets of dead writers, remove them, and return how many there were."""
        listed = self._tickets.listed()
        if listed:
            self._combine([], listed)
        return len(listed)

    # -- the three ways ------------------------------------------------------------------------------------

    def _judged(self, batch: list[PendingCommit]) -> list[PendingCommit]:
        """Read the log up to the highest base of handed-over commits; return the commits whose base is fully read."""
        bases = [pending.base for pending in batch if pending.base is not None]
        if bases and max(bases) > self._head.state.version:
            self._head.poll()
        outcomes = self._head.outcomes
        return [pending for pending in batch if pending.base is None or outcomes.complete_from(pending.base)]

    def _caught_up(self, batch: list[PendingCommit]) -> list[PendingCommit]:
        """Read the new log entries, which may be many; return the commits that are still undecided."""
        self._head.poll(skip=True)
        bases = (self._base if pending.base is None else pending.base for pending in batch)
        self._head.outcomes.complete_from(min(bases, default=self._base))
        return self._log.undecided(batch)

    def _directly(self, batch: list[PendingCommit]) -> list[PendingCommit]:
        """Race once; return the commits that have not landed because another writer was faster."""
        if self._head.behind:
            batch = self._caught_up(batch)
        draft = self._log.plan(batch)
        if not draft.plans:
            return []
        self._log.write(draft)
        left = self._log.undecided(pending for pending, _ in draft.plans)
        if left:
            self.contend()
        return left

    def _with_peers(self, batch: list[PendingCommit], peers: HostPeers) -> list[PendingCommit]:
        """Commit as the leader of this host, or hand the commits to the leader; return the undecided commits."""
        own = [pending for pending in batch if pending.base is None]
        answer = None
        if own and not peers.leading:
            message = message_of(Ticket(self._base, tuple(pending.commit for pending in own)))
            body = peers.ask_or_lead(message)
            answer = None if body is None else read_answer(body, len(own))
        if peers.leading:
            if self._clock.monotonic() < self._beaten_until:
                return batch
            for _ in range(_LEADER_TRIES):
                batch = self._directly(batch)
                if not batch:
                    return []
            self.be_beaten()
            return batch
        if answer is not None:
            for pending, outcome in zip(own, answer.outcomes, strict=True):
                if outcome is not None:
                    self._head.acknowledge(outcome.version)
                    pending.succeed(outcome)
            if answer.contended:
                self.contend()
        batch = [pending for pending in batch if not pending.done]
        if batch:  # refused by the leader, or no answer came
            batch = self._caught_up(batch)
            if batch and (answer is None or not answer.beaten):
                batch = self._directly(batch)
        return batch

    def _by_ticket(self, batch: list[PendingCommit], deadline: float) -> list[PendingCommit]:
        """Leave a ticket and wait for its outcome; return the commits that another writer refused, as new commits."""
        draft = self._log.plan(batch)  # a commit that is refused now needs no ticket
        batch = [pending for pending, _ in draft.plans]
        if not batch:
            return []
        ticket = Ticket(self._head.state.version, tuple(pending.commit for pending in batch))
        tickets, outcomes, lost = self._tickets, self._head.outcomes, 0
        try:
            tickets.create(ticket)
            while True:
                listed = tickets.listed()
                if len(listed) == 1 and not lost:  # in a crowd the others are about to come: let them
                    self._clock.sleep(max(_SHORTEST_LOOK_S, self._look_s))
                    listed = tickets.listed()
                before = [one for one in listed if one < ticket.ticket_id and one not in outcomes]
                if not before or not self._log_moves(len(before)):
                    if lost:
                        self.claim()
                    self._combine(batch, listed, ticket.ticket_id)
                    lost += 1
                if len(listed) > 1:
                    self.contend()
                if ticket.ticket_id in outcomes:
                    return self._log.undecided(batch)
                if self._clock.monotonic() > deadline:
                    raise ConflictError(
                        f"commit {ticket.ticket_id} lost to other writers for {_PATIENCE_S:.0f} s",
                        kind="contention",
                        hint="look whether it landed; use fewer writers at once, or more changes in one batch()",
                        version=self._head.state.version,
                    )
        except BaseException:
            with contextlib.suppress(LakefolioError):
                tickets.remove([ticket.ticket_id])
            raise

    def _log_moves(self, rank: int) -> bool:
        """Wait for the next log entry; return False if none comes and the ``rank`` writers ahead must count as dead."""
        until = self._clock.monotonic() + max(_SLOW_COMBINER_S, _SLOW_COMBINER_LOOKS * self._look_s) * rank
        pause_s = max(_SHORTEST_LOOK_S, 2 * self._look_s)
        while self._clock.monotonic() < until:
            self._clock.sleep(min(pause_s, _LONGEST_LOOK_S) * random.uniform(0.75, 1.25))
            began = self._clock.monotonic()
            if self._head.poll(one=True):
                return True
            self._look_s += (self._clock.monotonic() - began - self._look_s) / 8
            pause_s *= 1.05
        return False

    def claim(self) -> None:
        """Create an empty log entry, so that writers which commit directly lose their race and come by ticket too.

        A combiner has more to do than a direct writer and would lose to it again and again. Every writer that knows
        only older versions loses, so the next version is nearly sure to go to the combiner.
        """
        head = self._head
        head.poll()
        version = head.state.version + 1
        try:
            head.table.commit(version, None, (), datetime.now(UTC))
        except AlreadyExistsError:
            head.poll()
            return
        head.extend(no_rows(MANIFESTS_SCHEMA), version)

    def _combine(self, own: list[PendingCommit], listed: Mapping[str, int], own_ticket: str = "") -> None:
        """Race once with one log entry of the own commits and those of all tickets, oldest first."""
        outcomes = self._head.outcomes
        taken, gone = self._take({one: size for one, size in listed.items() if one != own_ticket})
        line: list[PendingCommit] = []
        ids: list[str] = []
        for ticket_id in sorted([*taken, *([own_ticket] if own else [])]):
            some = own if ticket_id == own_ticket else self._free(taken[ticket_id])
            if ticket_id in outcomes:
                gone.append(ticket_id)
            elif some:
                line += some
                ids.append(ticket_id)
        if line:
            draft = self._log.draft(line)
            # A commit that makes no rows is handed back like one that is refused: its writer finds out by itself.
            turned_away = [pending for pending, _ in draft.refused] + draft.empty
            self._log.write(draft, [pending.commit.commit_id for pending in turned_away])
            for pending, error in draft.refused:
                outcome = outcomes.get(pending.commit.commit_id)
                if not pending.foreign and outcome is not None and not outcome.carried:
                    pending.fail(error)
            gone += [ticket_id for ticket_id in ids if ticket_id in outcomes]
        if gone:
            with contextlib.suppress(LakefolioError):
                self._tickets.remove(gone)
            for ticket_id in gone:
                self._held.pop(ticket_id, None)

    def _take(self, listed: Mapping[str, int]) -> tuple[dict[str, tuple[Ticket, list[PendingCommit]]], list[str]]:
        """Read the tickets of other writers, oldest first, as many as fit one log entry.

        Returns:
            The open tickets, and the ids of the tickets to remove: decided, or not written by a writer.
        """
        outcomes = self._head.outcomes
        gone = [ticket_id for ticket_id in listed if ticket_id in outcomes]
        open_ids: list[str] = []
        size_bytes = 0
        for ticket_id, size in listed.items():
            if ticket_id not in outcomes and (not open_ids or size_bytes + size <= _COMBINED_BYTES):
                open_ids.append(ticket_id)
                size_bytes += size
        self._held = {ticket_id: held for ticket_id, held in self._held.items() if ticket_id in listed}
        unread = [ticket_id for ticket_id in open_ids if ticket_id not in self._held]
        read = self._tickets.read(unread, beside=self._head.poll)
        for ticket_id, ticket in read.items():
            if ticket is None:
                gone.append(ticket_id)
            else:
                self._held[ticket_id] = (ticket, [PendingCommit(commit, foreign=True) for commit in ticket.commits])
        return {ticket_id: self._held[ticket_id] for ticket_id in open_ids if ticket_id in self._held}, gone

    def _free(self, held: tuple[Ticket, list[PendingCommit]]) -> list[PendingCommit]:
        """Return the commits of a ticket, after reading every log entry above its base; none if the base lies ahead."""
        ticket, commits = held
        return commits if self._head.outcomes.complete_from(ticket.base) else []

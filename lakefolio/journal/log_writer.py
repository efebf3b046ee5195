"""One log entry and the commits in it: planned on the newest state read, written, and their outcomes given out.

Which writer commits for which is decided above (``committer``); the log itself is below (``head``, ``delta``).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefolio.delta.actions import LogEntry
from lakefolio.delta.commit_clock import CommitClock
from lakefolio.errors import AlreadyExistsError, InvalidInputError, LakefolioError, StorageError
from lakefolio.format.arrow_rows import no_rows, rows_of
from lakefolio.format.names import new_id
from lakefolio.format.schema import MANIFESTS_SCHEMA
from lakefolio.journal.pending_commit import Committed, PendingCommit
from lakefolio.model.pending_state import Overlay
from lakefolio.model.plan import Plan
from lakefolio.model.planner import plan_commit

if TYPE_CHECKING:
    from lakefolio.journal.head import JournalHead

__all__ = ["Draft", "LogWriter"]


@dataclass(slots=True)
class Draft:
    """A log entry to be written: commits planned on the newest state read, each on the state its predecessors leave.

    Attributes:
        version: The version it would make.
        at: The time of its commits.
        plans: The commits it carries, with their plans.
        refused: The commits that can't be made on this state, with the reason.
        empty: The commits that change nothing.
        values: The rows as Python values.
        rows: The rows.
    """

    version: int
    at: datetime
    plans: list[tuple[PendingCommit, Plan]] = field(default_factory=list)
    refused: list[tuple[PendingCommit, Exception]] = field(default_factory=list)
    empty: list[PendingCommit] = field(default_factory=list)
    values: list[dict[str, Any]] = field(default_factory=list)
    rows: pa.Table = field(default_factory=partial(no_rows, MANIFESTS_SCHEMA))

    def encode(self) -> None:
        """Build the rows of the plans."""
        self.values = [row for _, plan in self.plans for row in plan.manifests]
        self.rows = rows_of(MANIFESTS_SCHEMA, self.values)

    def date(self, at: datetime) -> None:
        """Give the commits another time."""
        self.at = at
        for row in self.values:
            row["committed_at"] = at
        self.rows = rows_of(MANIFESTS_SCHEMA, self.values)


class LogWriter:
    """Plans and writes log entries of one journal. The caller of each method holds the lock of the head."""

    def __init__(self, head: JournalHead) -> None:
        self._head = head
        self.clock = CommitClock(head.store)

    def plan(self, batch: Sequence[PendingCommit]) -> Draft:
        """Draft a log entry, and resolve the commits that are refused or change nothing.

        A commit is refused only on the newest state: the writer reads the log to its end before.
        """
        draft = self.draft(batch)
        if draft.refused and self._head.poll():
            draft = self.draft(self.undecided(batch))
        for pending, error in draft.refused:
            pending.fail(error)
        for pending in draft.empty:
            pending.succeed(Committed(self._head.state.version, draft.at))
        return draft

    def draft(self, batch: Iterable[PendingCommit]) -> Draft:
        """Draft a log entry; collect refusals without resolving their commits.

        A commit that can't be planned or stored does not keep the others from being planned.
        """
        batch = list(batch)
        draft = self._planned(batch)
        try:
            draft.encode()
        except Exception:
            unstorable = {pending: error for pending, plan in draft.plans if (error := _unstorable(plan)) is not None}
            if not unstorable:
                raise
            draft = self.draft(pending for pending in batch if pending not in unstorable)
            draft.refused += unstorable.items()
        return draft

    def _planned(self, batch: Sequence[PendingCommit]) -> Draft:
        state = self._head.state
        draft = Draft(state.version + 1, self.clock.now(state.committed_at))
        overlay = Overlay(state, self._head.content_of, draft.version)
        count = 0
        seen = set()
        for pending in batch:
            if pending.commit.commit_id in seen:
                continue  # handed over again: its process stopped waiting, and finds the first one in the log
            seen.add(pending.commit.commit_id)
            try:
                plan = plan_commit(
                    pending.commit,
                    state,
                    overlay,
                    first_ordinal=count,
                    version=draft.version,
                    committed_at=draft.at,
                )
            except StorageError:
                raise
            except Exception as exc:
                draft.refused.append((pending, _refusal(exc)))
                continue
            if not plan.manifests:
                draft.empty.append(pending)
                continue
            overlay.absorb(plan.overlay)
            count += len(plan.manifests)
            draft.plans.append((pending, plan))
        return draft

    def undecided(self, batch: Iterable[PendingCommit]) -> list[PendingCommit]:
        """Resolve commits already in the log; return the undecided.

        A commit of this process that the log refuses gets a new id, and is returned to be tried again. A commit of
        another process ends in both cases: its own process makes the new commit.
        """
        left = []
        for pending in batch:
            outcome = self._head.outcomes.get(pending.commit.commit_id)
            if outcome is not None and outcome.carried and not pending.done:
                at = self._head.state.time_of(outcome.version)
                assert at is not None
                pending.succeed(Committed(outcome.version, at))
            elif outcome is not None and pending.base is not None:
                pending.end()
            elif not pending.done:
                if outcome is not None:
                    pending.commit = replace(pending.commit, commit_id=new_id())
                left.append(pending)
        return left

    def write(self, draft: Draft, refused: Sequence[str] = ()) -> None:
        """Store the data file and create the log entry. On return the outcomes are noted, won or lost.

        Args:
            draft: The log entry.
            refused: The ids of the commits of tickets that the entry refuses.

        Raises:
            StorageError: If the store failed and none of the commits is known to be decided.
        """
        try:
            self._store(draft, refused)
        except StorageError as failure:
            try:
                self._head.poll()
            except StorageError:
                raise failure from None
            ours = {pending.commit.commit_id for pending, _ in draft.plans}.union(refused)
            if ours.isdisjoint(self._head.outcomes):
                raise

    def _store(self, draft: Draft, refused: Sequence[str]) -> None:
        head, version = self._head, draft.version
        file = None
        if draft.plans:
            file, key, body = head.table.encode(draft.rows, version=version, values=draft.values)
            with contextlib.suppress(AlreadyExistsError):  # no other writer uses this key: the answer was lost
                head.store.create(key, body)
            corrected = self.clock.corrected(head.state.committed_at, key)
            if corrected is not None:
                draft.date(corrected)
                self._store(draft, refused)
                return
        commit_ids = tuple(pending.commit.commit_id for pending, _ in draft.plans)
        try:
            head.table.commit(version, file, commit_ids, draft.at, refused)
        except AlreadyExistsError:
            head.poll()
            return
        head.outcomes.note([LogEntry(version, commit_ids, (), (), {}, tuple(refused))])
        head.extend(draft.rows, version, draft.values)
        for pending, _ in draft.plans:
            pending.succeed(Committed(version, draft.at))


def _unstorable(plan: Plan) -> Exception | None:
    """Return why the rows of a commit can't be stored, or None."""
    try:
        rows_of(MANIFESTS_SCHEMA, plan.manifests)
    except Exception as exc:
        return _refusal(exc)
    return None


def _refusal(error: Exception) -> Exception:
    """Return the error for the user of a refused commit: a value that can't be stored is not a bug of the library."""
    if isinstance(error, LakefolioError) or not isinstance(error, (ValueError, TypeError, OverflowError)):
        return error
    refusal = InvalidInputError(
        f"a value of this commit can't be stored: {error}",
        kind="bad-value",
        hint="text must be encodable as UTF-8, integers must fit 64 bits; nothing was committed",
    )
    refusal.__cause__ = error
    return refusal

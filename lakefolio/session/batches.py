"""The changes of an open batch, the view of its own reader, and their planning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from lakefolio.content.reupload_buffer import ReuploadBuffer
from lakefolio.errors import LakefolioError
from lakefolio.model.changes import Change, Commit, LogBlob, Mark, Put
from lakefolio.model.naming import naming_of
from lakefolio.model.pending_state import Overlay
from lakefolio.model.plan import Plan
from lakefolio.model.planner import plan_commit
from lakefolio.model.state import State
from lakefolio.model.version_policy import NO_POLICY, policy_of

if TYPE_CHECKING:
    from lakefolio.session.session import Session

__all__ = [
    "BATCHES",
    "PURGED_MEANWHILE",
    "Batch",
    "known",
    "moved",
    "new_overlay",
    "open_batch",
    "pending_view",
    "planned",
    "renewed",
    "row_of",
    "view",
]

BATCHES: Final[ContextVar[Mapping[int, Batch]]] = ContextVar("lakefolio_batches", default=MappingProxyType({}))
"""The open batches of this thread or task, by the journal they commit to."""
PURGED_MEANWHILE: Final = "purged-meanwhile"
"""The kind of the error that says that gc purged a blob which is about to be referred to: it is stored again."""


class Batch:
    """The changes of an open block, already planned once, so that mistakes are told where they are made."""

    def __init__(self, session: Session, message: str | None) -> None:
        self.message = message
        self.changes: list[Change] = []
        self._overlay = new_overlay(session)
        self.kept = ReuploadBuffer(whole=False)
        self._session = session
        self._free: dict[str, bool] = {}

    @property
    def overlay(self) -> Overlay:
        """The newest state known, with the changes of the batch laid over it. Of the thread of the batch alone."""
        self._overlay.base = self._session.journal.known
        return self._overlay

    def add(self, changes: Sequence[Change]) -> None:
        """Lay changes over the batch's view; refuse a change that could not be committed now."""
        change = changes[0] if len(changes) == 1 else None
        if isinstance(change, Put) and self._is_plain(change):
            self._overlay.put_later(change, lambda: row_of(self._session, change))
            self.changes += changes
            return
        self._free.clear()
        try:
            plan = planned(self._session, changes, self.overlay)
        except LakefolioError as exc:
            if not moved(self._session) and exc.kind != PURGED_MEANWHILE:
                raise
            self.changes = renewed(self._session, self.changes, self.kept)
            changes = renewed(self._session, changes, self.kept)
            self._overlay = new_overlay(self._session)
            self._overlay.absorb(planned(self._session, self.changes, self.overlay).overlay)
            plan = planned(self._session, changes, self.overlay)
        self._overlay.absorb(plan.overlay)
        self.changes += changes

    def _is_plain(self, change: Put) -> bool:
        """Say whether all that can be objected to in a change is that its name is taken, and it is not."""
        told = change.inputs or change.metadata or change.stored.storage != "inline"
        if told or change.version or change.bump or self.overlay.live(change.folio, change.item):
            return False
        return self._is_free(change.folio)

    def _is_free(self, folio: str) -> bool:
        """Say whether a folio has no rules for its items, neither here nor as it is committed."""
        if folio not in self._free:
            views = (self.overlay, self._session.journal.state)
            free = all(policy_of(one, folio) == NO_POLICY and naming_of(one, folio) is None for one in views)
            self._free[folio] = free
        return self._free[folio]


def open_batch(session: Session) -> Batch | None:
    """Return the batch that is open in this thread (or task), if one is."""
    batches = BATCHES.get()
    return batches.get(id(session.journal)) if batches else None


def pending_view(session: Session) -> Overlay | None:
    """Return the open batch's changes laid over the newest state: the view of its own reader."""
    batch = open_batch(session)
    return None if batch is None else batch.overlay


def known(session: Session) -> State | Overlay:
    """Return the newest state known, without asking the store."""
    batch = open_batch(session)
    return session.journal.known if batch is None else batch.overlay


def view(session: Session) -> Overlay:
    """Return the state that changes are planned on: the open batch's view, or the newest known state."""
    batch = open_batch(session)
    return new_overlay(session) if batch is None else batch.overlay


def new_overlay(session: Session) -> Overlay:
    """Return the newest state known, to lay changes over."""
    return Overlay(session.journal.state, session.journal.content_of, session.journal.state.version + 1)


def planned(session: Session, changes: Sequence[Change], overlay: Overlay) -> Plan:
    """Plan changes on a view, as the commit will; raises the planner's errors."""
    state = session.journal.state
    return plan_commit(
        Commit(commit_id="", changes=changes, author=session.author),
        state,
        overlay,
        first_ordinal=0,
        version=state.version + 1,
        committed_at=state.committed_at or datetime.now().astimezone(),
    )


def row_of(session: Session, change: Put) -> dict[str, Any]:
    """Return the row that a change would make."""
    return planned(session, [replace(change, overwrite=True)], new_overlay(session)).manifests[0]


def moved(session: Session) -> bool:
    """Say whether somebody committed meanwhile."""
    before = session.journal.state.version
    return session.journal.refresh().version != before


def renewed(session: Session, changes: Sequence[Change], kept: ReuploadBuffer | None) -> list[Change]:
    """Return the changes with each blob that gc purged since stored again, under its next generation."""
    state = session.journal.state
    return [
        replace(change, stored=session.blobs.renew(change.stored, state, kept))
        if isinstance(change, Put | LogBlob | Mark) and state.is_purged(change.stored)
        else change
        for change in changes
    ]

"""The changes of an open batch, and what its own reader sees of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lakefolio.content.reupload_buffer import Kept
from lakefolio.errors import LakefolioError
from lakefolio.model.changes import Change, Put

if TYPE_CHECKING:
    from lakefolio.model.pending_state import Overlay
    from lakefolio.session.writer import Writer

__all__ = ["PURGED_MEANWHILE", "Batch"]

PURGED_MEANWHILE = "purged-meanwhile"
"""The kind of the error that says that gc gave up a blob which is about to be referred to: it is stored again."""


class Batch:
    """The changes of an open block, already planned once, so that mistakes are told where they are made."""

    def __init__(self, writer: Writer, message: str | None) -> None:
        self.message = message
        self.changes: list[Change] = []
        self._overlay = writer._overlay()
        self.kept = Kept(whole=False)
        self._writer = writer

    @property
    def overlay(self) -> Overlay:
        """The newest state known, with the changes of the batch laid over it. Of the thread of the batch alone."""
        self._overlay.base = self._writer.journal.known
        return self._overlay

    def add(self, changes: Sequence[Change]) -> None:
        """Lay changes over the batch's view; refuse what could not be committed now."""
        change = changes[0] if len(changes) == 1 else None
        if isinstance(change, Put) and self._is_plain(change):
            self._overlay.put_later(change, lambda: self._writer._row_of(change))
            self.changes += changes
            return
        try:
            plan = self._writer._planned(changes, self.overlay)
        except LakefolioError as exc:
            if not self._writer._moved() and exc.kind != PURGED_MEANWHILE:
                raise
            self.changes = self._writer._renewed(self.changes, self.kept)
            changes = self._writer._renewed(changes, self.kept)
            self._overlay = self._writer._overlay()
            self._overlay.absorb(self._writer._planned(self.changes, self.overlay).overlay)
            plan = self._writer._planned(changes, self.overlay)
        self._overlay.absorb(plan.overlay)
        self.changes += changes

    def _is_plain(self, change: Put) -> bool:
        """Say whether all that can be objected to in a change is that its name is taken, and it is not."""
        told = change.inputs or change.metadata or change.stored.storage != "inline"
        return not told and not self.overlay.live(change.folio, change.item)

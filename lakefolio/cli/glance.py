"""The folios and items of a lake as they are now: all that a listing and the completion of names look at.

A :class:`Lake` brings what writing, runs and queries import, more than half of the time that such a command takes; this
reads the head of the journal alone. Nothing on its way imports pandas, NumPy or Arrow's array functions.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from lakefolio.errors import IntegrityError, NotFoundError
from lakefolio.journal.head import JournalHead

if TYPE_CHECKING:
    from lakefolio.model.entries import Entry
    from lakefolio.model.state import State
    from lakefolio.storage import Store

__all__ = ["Glance", "Total"]

T = TypeVar("T")


class Total(NamedTuple):
    """What a folio holds.

    Attributes:
        items: The number of its items.
        size_bytes: The sum of their sizes, as far as they are known.
        version: The version of its newest entry; None without items.
        committed_at: When that was committed.
    """

    items: int
    size_bytes: int
    version: int | None
    committed_at: datetime | None


class Glance:
    """The newest state of a lake. Its methods are those of :class:`Lake`, but for ``total``."""

    def __init__(self, store: Store, lake_id: str) -> None:
        """Read the head of the journal.

        Raises:
            StorageError: If the store can't be reached.
            IntegrityError: If the journal is damaged.
        """
        self._head = JournalHead(store, lake_id)
        self._state = self._head.glance()

    def folios(self) -> list[str]:
        """Return the names of the folios that have an item, sorted."""
        return self._ask(lambda state: state.folios())

    def items(self, folio: str, *, archived: bool = True) -> list[Entry]:
        """Return the entries of a folio, in the order of first addition."""
        return [one for one in self._ask(lambda state: state.entries(folio)) if archived or not one.archived]

    def total(self, folio: str, *, archived: bool = True) -> Total:
        """Return what a folio holds, without an entry for each item."""
        columns = ("version", "item", "size_bytes", "archived")
        rows = [one for one in self._ask(lambda state: state.listing(folio, columns)) if archived or not one[3]]
        if not rows:
            return Total(0, 0, None, None)
        version, item, *_ = max(rows, key=lambda one: one[0])
        newest = self._ask(lambda state: state.entry(folio, item))
        when = None if newest is None else newest.committed_at
        return Total(len(rows), sum(one[2] or 0 for one in rows), version, when)

    def is_purged(self, entry: Entry) -> bool:
        """Say whether gc purged the content of an entry."""
        return self._ask(lambda state: state.is_purged(entry))

    def _ask(self, question: Callable[[State], T]) -> T:
        """Ask the state; where a read model is gone or damaged, one that holds the whole journal."""
        try:
            return question(self._state)
        except (NotFoundError, IntegrityError):
            self._state = self._head.glance(models=False)
            return question(self._state)

"""The folios and items of a lake as they are now: all that a listing and the completion of names look at.

A :class:`Lake` brings what writing, runs and queries import, more than half of the time that such a command takes; this
reads the head of the journal alone. Nothing on its way imports pandas, NumPy or Arrow's array functions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from lakefolio.errors import IntegrityError, NotFoundError
from lakefolio.journal.head import JournalHead

if TYPE_CHECKING:
    from lakefolio.model.entries import Entry
    from lakefolio.model.state import State
    from lakefolio.model.totals import Total
    from lakefolio.storage import Store

__all__ = ["Glance"]

T = TypeVar("T")


class Glance:
    """The newest state of a lake. Its methods are those of :class:`Lake`, but for ``totals`` and ``present``."""

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

    def present(self, folio: str) -> list[tuple[str, str]]:
        """Return the items of a folio that are not archived, each with its description or its kind."""
        rows = self._ask(lambda state: state.listing(folio, ("item", "description", "kind", "archived")))
        return [(item, description or kind) for item, description, kind, archived in rows if not archived]

    def totals(self) -> dict[str, Total]:
        """Return what each folio holds, sorted by name, without looking at each item."""
        return self._ask(lambda state: state.totals())

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

"""The folios and items of a lake as they are now: all that a listing and the completion of names look at.

A :class:`Lake` brings what writing, runs and queries import, half of the time that such a command takes; this reads the
head of the journal alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakefolio.journal.head import JournalHead

if TYPE_CHECKING:
    from lakefolio.model.entries import Entry
    from lakefolio.storage import Store

__all__ = ["Glance"]


class Glance:
    """The newest state of a lake. Its methods are those of :class:`Lake`."""

    def __init__(self, store: Store, lake_id: str) -> None:
        """Read the head of the journal.

        Raises:
            StorageError: If the store can't be reached.
            IntegrityError: If the journal is damaged.
        """
        self._state = JournalHead(store, lake_id).load()

    def folios(self) -> list[str]:
        """Return the names of the folios that have an item, sorted."""
        return self._state.folios()

    def items(self, folio: str, *, archived: bool = True) -> list[Entry]:
        """Return the entries of a folio, in the order of first addition."""
        return [one for one in self._state.entries(folio) if archived or not one.archived]

    def is_purged(self, entry: Entry) -> bool:
        """Say whether gc purged the content of an entry."""
        return self._state.is_purged(entry)

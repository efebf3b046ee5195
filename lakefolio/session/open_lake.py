"""One open lake: its store, its journal, and the caches that belong to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from lakefolio.content.external import References
    from lakefolio.format.marker import Marker
    from lakefolio.journal.journal import Journal
    from lakefolio.session.input_tracking import Reads
    from lakefolio.session.relations import LakeTables
    from lakefolio.storage import Store

__all__ = ["OpenLake"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class OpenLake:
    """The parts that all sessions of one handle share. Safe to share between threads.

    Attributes:
        store: Where it lies.
        journal: Its journal.
        marker: Its format marker.
        author: The author that commits record.
        read_only: Whether the user asked to refuse writes.
        deduplicate: Whether content that the lake holds is referred to rather than sent again.
        references: Its references, as far as this user follows them.
        reads: Where the reads of the runs that go on here gather, by run id.
        tables: The tables that were asked for last, by version, that of the read models, and whether with content.
    """

    store: Store
    journal: Journal
    marker: Marker
    author: str
    read_only: bool
    deduplicate: bool
    references: References
    reads: dict[str, Reads] = field(default_factory=dict)
    tables: dict[tuple[int, int, bool, bool], LakeTables] = field(default_factory=dict)
    _parts: dict[type, object] = field(default_factory=dict)

    def part(self, kind: type[T], make: Callable[[], T]) -> T:
        """Return the one object of a class that a package above the session keeps with this lake.

        Args:
            kind: The class.
            make: Makes the object, where there is none yet.
        """
        found = self._parts.get(kind)
        if found is None:
            found = self._parts.setdefault(kind, make())
        assert isinstance(found, kind)
        return found

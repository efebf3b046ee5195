"""A folio through one session: the state it reads, how an item is found in it, and how changes are committed.

:class:`Folio` holds an :class:`OpenFolio`; the methods of a folio are functions in the modules beside this one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from lakefolio.errors import InvalidInputError, ReadOnlyError
from lakefolio.folio.info import info_of, item_type, same_content
from lakefolio.folio.places import path_of
from lakefolio.format.names import parse_ref
from lakefolio.model.pending_state import Overlay
from lakefolio.model.resolve import At as When
from lakefolio.model.resolve import item_not_found, said_twice

if TYPE_CHECKING:
    from lakefolio.folio.folio import Folio
    from lakefolio.model.changes import Change
    from lakefolio.model.entries import Entry
    from lakefolio.session.session import Session

__all__ = ["At", "OpenFolio", "SelfT"]

SelfT = TypeVar("SelfT", bound="Folio")
"""The class of the folio that a method was called on, which it returns for chaining."""

At = When | None
"""A lake version, a time, the name of a snapshot, or a version of the item (``#3``, ``1.2.0``, ``^1.2``, an alias)."""


_PINNED: ContextVar[Mapping[int, Session]] = ContextVar("lakefolio_pinned", default=MappingProxyType({}))
"""The sessions that the pinned() blocks of this thread or task read, by folio object."""


@dataclass(frozen=True, slots=True, eq=False)
class OpenFolio:
    """One folio of a session. Safe to share between threads.

    Attributes:
        session: The session that its changes are committed through.
        name: The name of the folio in its lake.
        snapshot: The snapshot it was loaded from, or None.
        counts: How many items each version that a snapshot names holds, as far as it was counted.
    """

    session: Session
    name: str
    snapshot: str | None = None
    counts: dict[int, int] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """Where it lies: an absolute path or a URI; ``Folio(path)`` opens it again."""
        return path_of(self.session.uri, self.name)

    def exists(self) -> bool:
        """Say whether it has an item, a snapshot or metadata."""
        view = self.session.state()
        facts = self.session.metadata_texts("folio", self.name)
        return bool(view.names(self.name) or view.snapshots(self.name) or facts)

    # -- reading -------------------------------------------------------------------------------------------

    @property
    def reading(self) -> Session:
        """The session that reads are answered by: that of the pinned() block of this thread or task, if any."""
        return _PINNED.get().get(id(self), self.session)

    def steady(self) -> Session:
        """Return a session whose state does not move while many things are looked up: one request in all."""
        reader = self.reading
        state = reader.unwatched_state()
        if reader.pinned is not None or isinstance(state, Overlay):
            return reader
        return reader.fixed(state.version, newest=True)

    def find(self, name: str, at: At = None) -> tuple[Session, Entry]:
        """Return the entry that ``name`` means, and the session that reads it.

        Args:
            name: An item's name, or a reference ``[folio:]name[@version-or-snapshot]``.
            at: As of when, if the reference does not say it.

        Raises:
            NotFoundError: If there is none; the hint names the nearest.
        """
        folio = self.name
        if isinstance(name, str) and ("@" in name or ":" in name):
            ref = parse_ref(name, folio=folio)
            if ref.at is not None and at is not None:
                raise said_twice(name, at)
            folio, name, at = ref.folio or folio, ref.item, at if ref.at is None else ref.at
        if at is not None and isinstance(name, str):
            called = self.reading.entry_called(folio, name, at)
            if called is not None:
                committed = called.version <= self.reading.journal.state.version
                return self.reading.fixed(called.version) if committed else self.reading, called
        reader = self.reading if at is None else self.reading.at(at, folio, name if isinstance(name, str) else None)
        view = reader.unwatched_state()
        entry = view.entry(folio, name) if isinstance(name, str) else None
        reader.looked_up(folio, str(name), entry)
        if entry is None:
            raise item_not_found(view, folio, str(name), reader.journal.state)
        return reader, entry

    def find_kind(self, name: str, types: Iterable[str], what: str, at: At = None) -> tuple[Session, Entry]:
        """Find an item and insist on its type; InvalidInputError (kind ``wrong-kind``) if it is of another."""
        reader, entry = self.find(name, at)
        found = item_type(entry.kind, entry.storage)
        if found not in types:
            raise InvalidInputError(
                f"item {name!r} of folio {entry.folio!r} is not {what} (type: {found})",
                kind="wrong-kind",
                hint="get_data() reads items of every type",
                item=entry.item,
                item_type=found,
            )
        return reader, entry

    def inputs_of(self, reader: Session, entry: Entry) -> list[str]:
        """Return how the inputs of an entry are called here."""
        return [
            self.input_name(edge["input_id"], edge["input_folio"], edge["input_item"], edge["input_uri"])
            for edge in entry.inputs
        ]

    def input_name(self, input_id: str | None, folio: str | None, item: str | None, uri: str | None) -> str:
        """Return how an input is called here: a name of this folio, ``folio:name``, or a URI."""
        if item is None:
            return str(uri or input_id)
        return item if folio == self.name else f"{folio}:{item}"

    def info(self, reader: Session, entry: Entry, *, snapshots: bool = True) -> dict[str, Any]:
        """Return everything known about an entry (see ``info.info_of``); ``snapshots``: which of them hold it too."""
        view = reader.state()
        holding = []
        for snapshot in view.snapshots(entry.folio) if snapshots else ():
            then = view.entry_at(entry.folio, entry.item, snapshot.target_version)
            if then is not None and same_content(then, entry):
                holding.append(snapshot.name)
        return info_of(
            entry,
            inputs=self.inputs_of(reader, entry),
            metadata=reader.metadata_of(entry),
            in_snapshots=holding,
        )

    # -- writing -------------------------------------------------------------------------------------------

    def check_writable(self) -> None:
        """Raise ReadOnlyError if this folio can't be changed through this handle."""
        if self.snapshot is not None:
            raise ReadOnlyError(
                f"folio {self.name!r} is read-only: it was loaded from snapshot {self.snapshot!r}",
                kind="read-only-version",
                hint="open the folio itself to make changes",
                folio=self.name,
                snapshot=self.snapshot,
            )
        self.session.check_writable()

    def apply(self, *changes: Change, message: str | None = None) -> None:
        """Commit changes as one, or add them to the open batch; a pinned block moves on to the version made."""
        self.check_writable()
        self.session.apply(*changes, message=message)
        self.move_pin()

    @contextmanager
    def pin(self) -> Iterator[None]:
        """Let the reads of this thread or task be answered by one state in the block; inner blocks join the outer."""
        if id(self) in _PINNED.get():
            yield
            return
        token = _PINNED.set({**_PINNED.get(), id(self): self.steady()})
        try:
            yield
        finally:
            _PINNED.reset(token)

    def move_pin(self) -> None:
        """Let a pinned block read the state that a change made through this folio has led to."""
        pinned = _PINNED.get()
        if id(self) in pinned:
            others = {key: session for key, session in pinned.items() if key != id(self)}
            _PINNED.set(others)
            _PINNED.set({**others, id(self): self.steady()})

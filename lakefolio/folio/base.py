"""What every part of a folio needs: its session, the state it reads, and how an item is found in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lakefolio.errors import InvalidInputError, ReadOnlyError
from lakefolio.folio.info import info_of, item_type, same_content
from lakefolio.folio.places import path_of
from lakefolio.format.names import parse_ref
from lakefolio.model.pending_state import Overlay
from lakefolio.model.resolve import At as When
from lakefolio.model.resolve import item_not_found, said_twice

if TYPE_CHECKING:
    from lakefolio.model.changes import Change
    from lakefolio.model.entries import Entry
    from lakefolio.session.session import Session

__all__ = ["At", "FolioBase"]

At = When | None
"""A lake version, a time, or the name of a snapshot; None is now."""


_PINNED: ContextVar[Mapping[int, Session]] = ContextVar("lakefolio_pinned", default=MappingProxyType({}))
"""The sessions that the pinned() blocks of this thread or task read, by folio object."""


class FolioBase:
    """The ground that the parts of Folio stand on. Safe to share between threads."""

    _session: Session
    _name: str
    _snapshot: str | None

    def _begin(self, session: Session, name: str, snapshot: str | None) -> None:
        self._session = session
        self._name = name
        self._snapshot = snapshot
        self._counts: dict[int, int] = {}

    # -- what it is ----------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name of the folio in its lake."""
        return self._name

    @property
    def lake_uri(self) -> str:
        """The address of its lake."""
        return self._session.uri

    @property
    def path(self) -> str:
        """Where it lies: an absolute path or a URI; ``Folio(folio.path)`` opens it again."""
        return path_of(self._session.uri, self._name)

    def _exists(self) -> bool:
        view = self._session.state()
        return bool(view.names(self._name) or view.snapshots(self._name) or self._session.metadata("folio", self._name))

    # -- reading -------------------------------------------------------------------------------------------

    @property
    def _reading(self) -> Session:
        return _PINNED.get().get(id(self), self._session)

    def _reader(self, at: At = None) -> Session:
        return self._reading if at is None else self._reading.at(at, self._name)

    def _still(self) -> Session:
        """Return a session whose state does not move while many things are looked up, at one request in all."""
        reader = self._reading
        state = reader.unwatched_state()
        if reader.pinned is not None or isinstance(state, Overlay):
            return reader
        return reader.fixed(state.version, newest=True)

    def _find(self, name: str, at: At = None) -> tuple[Session, Entry]:
        """Return the entry that ``name`` means, and the session that reads it.

        Args:
            name: An item's name, or a reference ``[folio:]name[@version-or-snapshot]``.
            at: As of when, if the reference does not say it.

        Raises:
            NotFoundError: If there is none; the hint names the nearest.
        """
        folio = self._name
        if isinstance(name, str) and ("@" in name or ":" in name):
            ref = parse_ref(name, folio=folio)
            if ref.at is not None and at is not None:
                raise said_twice(name, at)
            folio, name, at = ref.folio or folio, ref.item, at if ref.at is None else ref.at
        reader = self._reading if at is None else self._reading.at(at, folio)
        view = reader.unwatched_state()
        entry = view.entry(folio, name) if isinstance(name, str) else None
        reader.looked_up(folio, str(name), entry)
        if entry is None:
            raise item_not_found(view, folio, str(name), reader.journal.state)
        return reader, entry

    def _find_kind(self, name: str, types: Iterable[str], what: str, at: At = None) -> tuple[Session, Entry]:
        """Find an item and insist on its type; InvalidInputError (kind ``wrong-kind``) if it is of another."""
        reader, entry = self._find(name, at)
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

    def require(self, name: str) -> None:
        """Raise NotFoundError, naming the nearest, unless there is an item of that name."""
        self._find(name)

    def _inputs_of(self, reader: Session, entry: Entry) -> list[str]:
        columns = ("input_id", "input_folio", "input_item", "input_uri")
        return [self._input_name(*(edge[name] for name in columns)) for edge in entry.inputs]

    def _input_name(self, input_id: str | None, folio: str | None, item: str | None, uri: str | None) -> str:
        """Return how an input is called here: a name of this folio, ``folio:name``, or a URI."""
        if item is None:
            return str(uri or input_id)
        return item if folio == self._name else f"{folio}:{item}"

    def _info(self, reader: Session, entry: Entry, *, snapshots: bool = True) -> dict[str, Any]:
        view = reader.state()
        holding = []
        for snapshot in view.snapshots(entry.folio) if snapshots else ():
            then = view.entry_at(entry.folio, entry.item, snapshot.target_version)
            if then is not None and same_content(then, entry):
                holding.append(snapshot.name)
        return info_of(
            entry,
            inputs=self._inputs_of(reader, entry),
            metadata=reader.metadata_of(entry),
            in_snapshots=holding,
        )

    # -- writing -------------------------------------------------------------------------------------------

    def _check_writable(self) -> None:
        if self._snapshot is not None:
            raise ReadOnlyError(
                f"folio {self._name!r} is read-only: it was loaded from snapshot {self._snapshot!r}",
                kind="read-only-version",
                hint="open the folio itself to make changes",
                folio=self._name,
                snapshot=self._snapshot,
            )
        self._session.check_writable()

    def _apply(self, *changes: Change, message: str | None = None) -> None:
        self._check_writable()
        self._session.apply(*changes, message=message)
        self._move_pin()

    @contextmanager
    def pinned(self) -> Iterator[Any]:
        """Read one state of the folio in the block, whatever others commit meanwhile.

        Reads in the block ask nobody for news, which saves a request each. The block belongs to its thread (or task):
        other threads that use this folio meanwhile read the newest state.

        What is written through this folio in the block is seen in it, and moves the block to the version that
        it made. Inner blocks join the outer.
        """
        if id(self) in _PINNED.get():
            yield self
            return
        token = _PINNED.set({**_PINNED.get(), id(self): self._still()})
        try:
            yield self
        finally:
            _PINNED.reset(token)

    def _move_pin(self) -> None:
        others = {key: session for key, session in _PINNED.get().items() if key != id(self)}
        if len(others) < len(_PINNED.get()):
            _PINNED.set(others)
            _PINNED.set({**others, id(self): self._still()})

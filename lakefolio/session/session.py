"""One open lake as one author sees it, at its newest version or fixed to a past one.

Lake and Folio are faces of a session and share it. Its methods are the functions of the modules beside this one, bound
in the class: ``reading`` and ``sql_tables`` read, ``putting`` and ``committing`` change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NoReturn, Protocol

from lakefolio.config.settings import default_author, setting
from lakefolio.content.blobs import Blobs
from lakefolio.content.external import References
from lakefolio.content.file_cache import file_cache
from lakefolio.content.reference_trust import trusted_prefixes
from lakefolio.format.marker import read_marker
from lakefolio.journal.journal import Journal
from lakefolio.model.state import State
from lakefolio.process.places import printable
from lakefolio.session import committing, putting, reading, sql_tables
from lakefolio.session.batches import open_batch
from lakefolio.session.create import create_lake, find_marker
from lakefolio.session.input_tracking import active_run
from lakefolio.session.open_lake import OpenLake
from lakefolio.storage import open_store

__all__ = ["HasSession", "Session", "session_of"]


class HasSession(Protocol):
    """A handle on an open lake, such as ``Lake``."""

    _session: Session


def session_of(handle: HasSession) -> Session:
    """Return the session of a lake, a folio or a run, for other packages of the library."""
    return handle._session


class Session:
    """See the module. Safe to share between threads; a batch belongs to the thread (or task) that opened it.

    Attributes:
        opened: The parts that all sessions of this handle share; ``store``, ``journal``, ``marker``, ``author`` and
            ``references`` are its.
        pinned: The past version this session is fixed to, or None.
        moves: Whether it is meant as the newest version, for read traces; else as the past, which never changes.
        read_only: Whether writes are refused: the user asked for it, or it is fixed to a version.
        lost: Runs that are recorded as running though their process died; reads call them lost.
        blobs: The content of the lake.
    """

    def __init__(
        self,
        opened: OpenLake,
        *,
        pinned: int | None = None,
        moves: bool = True,
        state: State | None = None,
        lost: frozenset[str] = frozenset(),
    ) -> None:
        self.opened = opened
        self.store = opened.store
        self.journal = opened.journal
        self.marker = opened.marker
        self.author = opened.author
        self.references = opened.references
        self.pinned = pinned
        self.moves = moves
        self.read_only = opened.read_only or pinned is not None
        self.lost = lost
        self.blobs = Blobs(
            opened.store,
            file_cache(),
            lambda entry, missing: reading.content_purged(opened.journal, entry, missing),
            opened.journal.content_of,
            deduplicate=opened.deduplicate,
        )
        self._then = state  # the state at the pinned version, once it was asked for

    @classmethod
    def open(
        cls,
        uri: str | Path,
        *,
        storage_options: Mapping[str, object] | None = None,
        create: bool = True,
        read_only: bool = False,
        author: str | None = None,
        trust_references: str | Iterable[str] | None = None,
    ) -> Session:
        """Open a lake; create it if it is absent. Creating is idempotent and safe to do from many processes.

        Raises:
            LakeNotFoundError: If there is no lake and ``create`` is False or ``read_only`` is True.
            FormatError: If the lake needs a newer library, or its marker was lost or damaged.
            StorageError: If the store can't be reached.
        """
        prefixes = trusted_prefixes(trust_references)
        store = open_store(str(uri), storage_options)
        body = find_marker(store)
        if body is None and create and not read_only:
            body = create_lake(store)
        marker = read_marker(body, store.uri, writing=not read_only)
        journal = Journal(store, marker.lake_id)
        journal.load()
        if not read_only and setting("combine"):
            journal.join_host()
        return cls(
            OpenLake(
                store,
                journal,
                marker,
                author=printable(str(author or default_author())),
                read_only=read_only,
                deduplicate=setting("deduplication"),
                references=References(store, marker.lake_id, prefixes),
            )
        )

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied, for every handle that holds this: connections, threads and credentials."""
        raise TypeError(
            f"a handle of the lake {self.uri} can't be pickled or copied: use the handle itself, which threads share; "
            f"for another process pass its address and names, and open it there: lakefolio.open({self.uri!r})"
        )

    @property
    def uri(self) -> str:
        """The address of the lake, without secrets."""
        return self.store.uri

    @property
    def place(self) -> tuple[str, str]:
        """Which lake it is, through whichever handle: its id and its address."""
        return self.marker.lake_id, self.store.uri

    @property
    def run_id(self) -> str | None:
        """The run whose block this thread (or task) is in: items put in it belong to the run."""
        active = active_run(self.place)
        return None if active is None else active.run_id

    @property
    def in_batch(self) -> bool:
        """Whether a batch is open in this thread (or task)."""
        return open_batch(self) is not None

    state = reading.state
    unwatched_state = reading.unwatched_state
    committed = reading.committed
    unwatched_committed = reading.unwatched_committed
    resolve = reading.resolve
    at = reading.at
    fixed = reading.fixed
    steady = reading.steady
    calling_lost = reading.calling_lost
    entry = reading.entry
    entry_called = reading.entry_called
    looked_up = reading.looked_up
    load = reading.load
    check_options = reading.check_options
    local_path = reading.local_path
    stored = reading.stored
    metadata = reading.metadata
    metadata_known = reading.metadata_known
    facts_now = reading.facts_now
    pending_facts = reading.pending_facts
    metadata_texts = reading.metadata_texts
    run_inputs = reading.run_inputs
    metadata_of = reading.metadata_of

    tables = sql_tables.tables
    query = sql_tables.query
    own_views = sql_tables.own_views
    connect = sql_tables.connect

    put = putting.put
    put_encoded = putting.put_encoded
    put_reference = putting.put_reference

    check_writable = committing.check_writable
    in_run = committing.in_run
    was_read = committing.was_read
    annotate = committing.annotate
    commit_now = committing.commit_now
    apply = committing.apply
    batch = committing.batch
    plan = committing.plan

"""The head of the journal as one handle knows it: the table, the newest state read from it, and the outcomes in it.

Readers hold a State, which is immutable; reading on makes another State and swaps one reference. The table moves
first, then the outcomes are noted, then the state is swapped: an exception between them leaves table and state at
different versions, and the next :meth:`JournalHead.poll` reads the journal anew.

The committer and the maintenance of the tables share this object with the journal; each says which lock it holds.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Final, cast

import pyarrow as pa

from lakefolio.content.file_cache import file_cache
from lakefolio.content.local_files import LocalFiles
from lakefolio.delta.table import DeltaTable
from lakefolio.errors import IntegrityError
from lakefolio.format.arrow_rows import no_rows
from lakefolio.format.layout import JOURNAL
from lakefolio.format.schema import MANIFESTS_SCHEMA, SPECS
from lakefolio.journal.outcomes import Outcomes
from lakefolio.journal.table_rows import Scan, TableRows
from lakefolio.model.state import State
from lakefolio.readmodels.cache import Cache

if TYPE_CHECKING:
    from lakefolio.journal.inline_content import InlineContents
    from lakefolio.model.base_state import BaseState
    from lakefolio.model.entries import Entry
    from lakefolio.readmodels.catalogue import Catalogue
    from lakefolio.readmodels.store import ReadModels
    from lakefolio.storage import Store

__all__ = ["JournalHead"]

_FOLDED_ROWS: Final = 1_000
_FOLDED_VERSIONS: Final = 200
"""Number of new rows or versions from which read models are advanced: a fold costs at least 25 ms of a processor."""

_MANY_ROWS: Final = 4_000
"""Number of rows in memory above which a handle looks for newer read models of other handles."""


class JournalHead:
    """The part of the journal that one handle has read. Each method says whether its caller must hold ``lock``.

    Attributes:
        lock: Guards ``table``, ``outcomes`` and every swap of ``state``. Reentrant. A forked child gets a new one.
        table: The Delta table of the journal.
        state: The newest state read. Immutable; reading the attribute needs no lock.
        outcomes: The outcomes of the commits in the log entries read.
        acknowledged: The newest version that holds a commit of this handle which another process made for it.
    """

    def __init__(self, store: Store, lake_id: str) -> None:
        """Know nothing yet; :meth:`load` reads the journal."""
        self.store = store
        self.lock = threading.RLock()
        self.table = DeltaTable(store, lake_id, SPECS[JOURNAL])
        self.outcomes = Outcomes(self.table)
        self.state = State()
        self.local = LocalFiles(store, file_cache())
        self.acknowledged = -1
        self._models: ReadModels | None = None
        self._catalogue: Catalogue | None = None  # of the read models that the state stands on
        self.cache = Cache()
        self._rows = TableRows(self.table, self.local, self.cache)

    @property
    def behind(self) -> bool:
        """Whether another process has made a commit for this handle that the handle has not read yet."""
        return self.state.version < self.acknowledged

    def acknowledge(self, version: int) -> None:
        """Note that another process has made a commit for this handle. The caller holds the lock."""
        self.acknowledged = max(self.acknowledged, version)

    def renew_lock(self) -> None:
        """Replace the lock in a forked child: a thread that the child does not have may hold it."""
        self.lock = threading.RLock()

    # -- following the log ---------------------------------------------------------------------------------

    def load(self) -> State:
        """Read the journal from its newest checkpoint on, and return the state."""
        with self.lock:
            catalogue: Catalogue | None = None

            def after(note: str) -> int:
                nonlocal catalogue
                catalogue = _noted(note)
                ahead = catalogue is not None and catalogue.through > self.table.version  # of what the log confirmed
                if ahead or (catalogue is None and self.table.files.total.rows > _MANY_ROWS):
                    catalogue = self._found_models()
                return -1 if catalogue is None else catalogue.through

            rows = self.table.load(after=after)
            version = self.table.version
            self.outcomes.restart(version)
            self._catalogue = catalogue
            base = None if catalogue is None else self.models.folded(catalogue, self.parts)
            self.state = State(base=base).extended(rows, version)
            return self.state

    def glance(self, *, models: bool = True) -> State:
        """Return the newest state, of which folios, items and purges may be asked, and nothing else.

        It imports no array functions, and takes half of the time of :meth:`load` in a new process. This handle knows
        nothing afterwards.

        Args:
            models: Whether the state may stand on read models. Without, it holds the rows of the whole journal.

        Raises:
            NotFoundError: If a read model that a checkpoint notes is not there any more. A question may raise it, too.
            IntegrityError: If the journal or a read model is damaged. A question may raise it, too.
        """
        catalogue: Catalogue | None = None

        def after(note: str) -> int:
            nonlocal catalogue
            catalogue = _noted(note) if models else None
            if catalogue is not None and catalogue.through > self.table.version:
                catalogue = None  # the log does not confirm it
            return -1 if catalogue is None else catalogue.through

        with self.lock:
            rows = self.table.load(after=after)
            version = self.table.version
        if catalogue is None:
            return State().extended(rows, version)
        from lakefolio.readmodels.heads import Heads

        base = Heads(self.store, self.table.seals.lake_id, catalogue)
        return State(base=cast("BaseState", base)).extended(rows, version)  # it has the methods that these ask

    def _found_models(self) -> Catalogue | None:
        """Look for read models that no checkpoint notes: without them the whole journal would be held."""
        try:
            found = self.models.newest()
        except IntegrityError:
            return None
        return found if found.through >= 0 else None

    def poll(self, *, one: bool = False, skip: bool = False) -> bool:
        """Read the new log entries and say whether there were any. The caller holds the lock.

        Args:
            one: Read the next entry only.
            skip: Read from the newest checkpoint on, if that is shorter (see DeltaTable). Outcomes are complete from
                a later version on then: a caller with pending commits calls :meth:`Outcomes.complete_from`.
        """
        before = self.table.version
        if before != self.state.version:  # an exception interrupted an earlier poll or commit
            self.load()
            return True
        entries, rows = self.table.poll(one=one, skip=skip)
        newest = self.table.version
        if newest == before:
            return False
        if not entries or entries[0].version != before + 1:
            self.outcomes.restart(entries[0].version - 1 if entries else newest)
        self.outcomes.note(entries)
        self.state = self.state.extended(rows, newest)
        if len(self.state.rows) > _MANY_ROWS:
            self._look_for_models()
        return True

    def extend(self, rows: pa.Table, version: int, values: Sequence[Mapping[str, object]] | None = None) -> None:
        """Add rows that this handle has just committed (see State). The caller holds the lock."""
        self.state = self.state.extended(rows, version, values)

    def skip_empty_version(self) -> None:
        """Follow the table by one version that has no rows, such as a merge of files. The caller holds the lock.

        If an exception had interrupted a commit before, the state stays behind, and the next poll reads its rows.
        """
        version = self.table.version
        if version == self.state.version + 1:
            self.extend(no_rows(MANIFESTS_SCHEMA), version)

    # -- the read models that the state stands on ----------------------------------------------------------

    @property
    def models(self) -> ReadModels:
        """The read models of the lake. They are imported with their first use: a small lake has none."""
        with self.lock:
            if self._models is None:
                from lakefolio.readmodels.store import ReadModels

                self._models = ReadModels(self.store, self.table.seals.lake_id, self.cache)
            return self._models

    @property
    def catalogue_note(self) -> str:
        """The versions of the read models that the state stands on, as a checkpoint notes them; empty without any."""
        return "" if self._catalogue is None else self._catalogue.to_json()

    def advance_models(self, *, everything: bool = False) -> None:
        """Fold new rows into the read models if they are many (or ``everything``), and let the state stand on them.

        Safe beside any reader and writer. The long part runs without the lock.
        """
        state = self.state
        few = len(state.rows) < _FOLDED_ROWS and state.version - state.base_version < _FOLDED_VERSIONS
        if few and not everything:
            return
        from lakefolio.readmodels.models import FOLDED

        made = self.models.advance(partial(state.parts, FOLDED), state.version, wait=everything)
        if made is not None:
            if self._catalogue is None:
                from lakefolio.views.views_sql import write_views

                write_views(self.store)  # the first read models are new tables, which the lake's views name
            self._stand_on(made)

    def _look_for_models(self) -> None:
        """Stand on newer read models of other handles, so that few rows stay in memory. One request."""
        catalogue = _noted(self.table.note())
        if catalogue is not None and catalogue.through - self.state.base_version >= _FOLDED_VERSIONS:
            self._stand_on(catalogue)

    def _stand_on(self, catalogue: Catalogue) -> None:
        """Let the state stand on read models, unless it stands on these or goes less far."""
        with self.lock:
            if self.state.base_version <= catalogue.through <= self.state.version and catalogue != self._catalogue:
                self._catalogue = catalogue
                self.state = self.state.on(self.models.folded(catalogue, self.parts))

    # -- rows in the data files ----------------------------------------------------------------------------

    def parts(self, columns: Sequence[str], after: int, upto: int, *, newest_first: bool = False) -> Iterator[pa.Table]:
        """Yield some columns of the rows above one version and up to another, read from the data files; see State.

        Raises:
            IntegrityError: If a data file is missing or damaged.
        """
        while True:
            with self.lock:
                files = self.table.files.listed
            try:
                for rows in self._rows.parts(files, columns, after, upto, newest_first=newest_first):
                    yield rows
                    versions = rows.column("version")  # files that follow one another share no version
                    after, upto = (after, versions[0].as_py() - 1) if newest_first else (versions[-1].as_py(), upto)
                return
            except IntegrityError as exc:
                if not self.outdated(exc):
                    raise

    def scan(self, upto: int) -> Scan:
        """Return the rows up to a version, and later ones, as they lie in the data files."""
        with self.lock:
            files = self.table.files.listed
        return self._rows.scan([file for file in files if file.versions is None or file.versions[0] <= upto])

    def outdated(self, error: IntegrityError) -> bool:
        """Say whether an error names a data file that a merge has replaced; its replacement is known then."""
        with self.lock:
            found = self.table.outdated(error)
            if found:
                self.poll()
            return found

    @cached_property
    def _contents(self) -> InlineContents:
        """Inline content read lately. Imported with its first use: a listing needs none."""
        from lakefolio.journal.inline_content import InlineContents

        return InlineContents(self.table)

    def content_of(self, entry: Entry) -> bytes:
        """Return the inline content of an entry; see ``Journal.content_of``."""
        if entry.content is not None:
            return entry.content
        with self.lock:
            return self._contents.of(entry, self.poll)

    def with_contents(self, rows: pa.Table) -> pa.Table:
        """Return rows of ``manifests`` with their inline content; see ``Journal.with_contents``."""
        with self.lock:
            return self._contents.into(rows, self.poll)

    def without_purged_content(self, rows: pa.Table) -> pa.Table:
        """Return rows of ``manifests`` without the inline content that was purged."""
        from lakefolio.journal.inline_content import without_purged

        return without_purged(rows, self.state.generation) if self.state.purged else rows


def _noted(note: str | None) -> Catalogue | None:
    """Return the catalogue that a checkpoint notes; None without any."""
    if not note:
        return None
    from lakefolio.readmodels.catalogue import Catalogue

    return Catalogue.from_json(note)

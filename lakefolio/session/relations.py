"""The tables of a lake at one version, as SQL reads them: nothing is read before a query names it.

A lake whose read models were not made yet is small: its journal is in memory. Of a larger one only the rows since are;
the others are scanned in the data files of the journal, and the entries in those of their read model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.content.event_text import whole
from lakefolio.content.local_files import Immutable
from lakefolio.errors import IntegrityError
from lakefolio.format.layout import JOURNAL, LOG_TABLES, TABLES, table_prefix
from lakefolio.readmodels.fold import fold
from lakefolio.readmodels.models import COMMITS, ENTRIES, METADATA
from lakefolio.readmodels.run_file import damaged
from lakefolio.readmodels.run_states import RUN_STATES
from lakefolio.readmodels.view import Folded
from lakefolio.views.kept_rows import kept
from lakefolio.views.relations import FileScan, Rows

if TYPE_CHECKING:
    from lakefolio.content.blobs import Blobs
    from lakefolio.journal.journal import Journal
    from lakefolio.model.state import State
    from lakefolio.readmodels.model import Model
    from lakefolio.readmodels.run_file import RunFile

__all__ = ["LakeTables"]

_MODELS = ("entries_model", "manifests_since")
_FACTS = {"metadata_model": METADATA, "commits_model": COMMITS}
_STATES = "run_states_model"


class LakeTables(Mapping[str, Rows]):
    """The tables of a lake at one version, by name."""

    def __init__(self, journal: Journal, state: State, blobs: Blobs, *, content: bool, texts: bool = True) -> None:
        """Choose the relations that are read.

        Args:
            journal: The journal.
            state: Its state.
            blobs: Where the texts of large events lie.
            content: Whether inline content is wanted too; without it the column is null.
            texts: Whether the texts of events that lie in blobs are wanted.
        """
        self._journal = journal
        self._state = state
        self._blobs = blobs
        self._content = content
        self._texts = texts
        self._known: dict[str, Rows] = {}
        self._names = [*TABLES, *LOG_TABLES]
        if not content and (model := self._scan(ENTRIES)) is not None:
            self._known = dict(zip(_MODELS, (model, state.rows.table()), strict=True))
            self._names += (*_MODELS, *_FACTS)
            if self._holds_states():
                self._names.append(_STATES)

    def __getitem__(self, name: str) -> Rows:
        """Return a table."""
        if name not in self._known:
            if name not in self._names:
                raise KeyError(name)
            if name in _FACTS:
                self._known |= self._folded(_FACTS)
            elif name == _STATES:
                self._known |= self._folded({_STATES: RUN_STATES})
            else:
                self._known[name] = self._manifests() if name == JOURNAL else self._logged(name)
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        """Give the names."""
        return iter(self._names)

    def __len__(self) -> int:
        """Say how many there are."""
        return len(self._names)

    def _manifests(self) -> Rows:
        state, journal = self._state, self._journal
        tail = state.rows.table()
        if self._content:
            tail = journal.without_purged_content(journal.with_contents(tail))
        if state.base_version < 0:
            return tail
        upto = state.base_version
        found = journal.scan(upto)
        rows = found.rows.filter(pc.less_equal(found.rows.column("version"), upto))
        rows = pa.concat_tables([journal.without_purged_content(rows) if self._content else rows, tail])
        return FileScan(
            paths=tuple(str(journal.local.path(file)) for file in found.files),
            rows=rows,
            hold=partial(journal.local.held, found.files),
            upto=upto,
            purged=journal.state.purges() if self._content else None,
        )

    def _holds_states(self) -> bool:
        """Say whether the states of runs can be read: only the newest are kept, so that there are none of the past."""
        base = self._state.base
        files = base.files(RUN_STATES) if isinstance(base, Folded) else None
        return files is not None and all(file.through <= self._state.base_version for file in files)

    def _folded(self, models: Mapping[str, Model]) -> dict[str, Rows]:
        """Return read models, with the rows that folding the journal since would add."""
        base = self._state.base
        assert isinstance(base, Folded), "there are models"
        since = fold(self._state.rows.table(), base, [model.name for model in models.values()])
        found: dict[str, Rows] = {}
        for name, model in models.items():
            scan, rows = self._scan(model), since[model.name]
            if scan is None:
                found[name] = pa.concat_tables([kept(base.model(model.name).reader()), rows])
            else:
                found[name] = replace(scan, rows=rows)
        return found

    def _scan(self, model: Model) -> FileScan | None:
        """Return the rows of a read model as they lie, if it can be read."""
        base = self._state.base
        files = base.files(model) if isinstance(base, Folded) else None
        if files is None or not isinstance(base, Folded):
            return None
        local, width = self._journal.local, len(model.key)
        some = [_immutable(model, file) for file in files]

        def hold() -> tuple[Sequence[str], object]:
            try:
                return local.held(some)
            except IntegrityError:
                base.discard(model)  # the next question finds another in its place
                raise

        beyond = any(file.through > base.version for file in files)
        return FileScan(
            paths=tuple(str(local.path(one)) for one in some),
            rows=model.nothing,
            hold=hold,
            upto=base.version if beyond else None,
            bounds=tuple((file.first[:width], file.last[:width]) for file in files),
            alike=True,
        )

    def _logged(self, name: str) -> Rows:
        """Return rows as they lie: views leave out batches that no commit names."""
        journal, version = self._journal, self._state.version
        found = journal.logs[name].scan(version)
        paths = tuple(str(journal.local.path(file)) for file in found.files)
        scan = FileScan(paths, found.rows, partial(journal.local.held, found.files))
        if name == "event_rows" and self._texts:
            large = journal.logs[name].matching(version, ("storage", "blob"))
            if large.num_rows:
                others = scan.rows.filter(pc.not_equal(scan.rows.column("storage"), "blob"))
                rows = pa.concat_tables([others, kept(whole(large, self._state.parts, self._blobs))])
                scan = replace(scan, rows=rows, holds="storage <> 'blob'")
        return scan if paths else scan.rows


def _immutable(model: Model, file: RunFile) -> Immutable:
    key = f"{table_prefix(model.name)}/{file.path}"
    return Immutable(key, file.size_bytes, file.sha256, str, partial(damaged, model, file))

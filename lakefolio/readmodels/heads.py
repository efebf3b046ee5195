"""The folios and items that read models hold, for a process that looks at them once and ends.

Rows are looked at in Python, one after the other: importing the array functions that :class:`Folded` answers with takes
longer than that for thousands of them. Nothing stands in for a model that can't be read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from lakefolio.errors import IntegrityError, NotFoundError
from lakefolio.format.arrow_rows import cells
from lakefolio.format.layout import table_prefix
from lakefolio.model.entries import Entry, entry_from_row
from lakefolio.model.totals import Change, Size, Total, replayed, size_of
from lakefolio.readmodels.cache import Cache
from lakefolio.readmodels.catalogue import Catalogue
from lakefolio.readmodels.keys import Key
from lakefolio.readmodels.model import REMOVED, SUPERSEDED_AT, SUPERSEDED_BY, Model
from lakefolio.readmodels.models import ENTRIES, FOLIOS, MODELS, PURGES
from lakefolio.readmodels.run_file import RunFile
from lakefolio.readmodels.runs import ModelRuns
from lakefolio.readmodels.table import NOTHING, ModelTable
from lakefolio.readmodels.totals import COUNTED, TOTALS, totals_in

if TYPE_CHECKING:
    from lakefolio.storage import Store

__all__ = ["Heads"]

_SUCCESSION: Final = (REMOVED, SUPERSEDED_AT, SUPERSEDED_BY)
_NAMES: Final = [model.name for model in MODELS]


class Heads:
    """What a state asks of its base to tell folios, items and purges: these methods of ``BaseState``.

    Each raises NotFoundError or IntegrityError if a model is missing or damaged.
    """

    def __init__(self, store: Store, lake_id: str, catalogue: Catalogue) -> None:
        """Look at the models of a catalogue. No request."""
        self.version = catalogue.through
        self._store = store
        self._lake_id = lake_id
        self._catalogue = catalogue
        self._opened: dict[str, ModelRuns] = {}

    def read(self, model: str, file: RunFile, start: int, length: int) -> bytes:
        """See Ranges."""
        return self._store.get_range(f"{table_prefix(model)}/{file.path}", start, length)

    def entry(self, folio: str, item: str) -> Entry | None:
        """See StateView."""
        runs = self._runs(ENTRIES)
        row = runs.newest((folio, item), self._bound(runs))
        return None if row is None or not self._holds(row[REMOVED], row[SUPERSEDED_AT]) else entry_from_row(row)

    def heads_of(self, folio: str, columns: tuple[str, ...] | None = None) -> pa.Table:
        """See BaseState."""
        return self._lives(ENTRIES, (folio,), columns)

    def folios(self) -> list[str]:
        """See StateView."""
        if (totals := self._totals) is not None:
            return sorted(totals)
        return sorted(self._lives(FOLIOS, (), ("folio",)).column("folio").to_pylist())

    def has_live(self, folio: str, besides: Collection[str] = ()) -> bool:
        """See BaseState."""
        if (totals := self._totals) is not None:
            names = [(folio, item) for item in besides]
            return folio in totals and totals[folio].item_count > len(self.sizes_among(names))
        return bool(set(self.heads_of(folio, ("item",)).column("item").to_pylist()) - set(besides))

    def totals(self) -> dict[str, Total]:
        """See BaseState. Without the model the entries are counted."""
        if (totals := self._totals) is not None:
            return totals
        return {folio: self._counted(folio) for folio in self.folios()}

    @cached_property
    def _totals(self) -> dict[str, Total] | None:
        """What the model says; None if it is lacking, or speaks of another version."""
        try:
            runs = self._runs(TOTALS)
            if self._bound(runs) is None:
                return totals_in(pa.concat_tables([TOTALS.nothing, *runs.slices((), keep=True)]))
        except (NotFoundError, IntegrityError):
            pass
        return None

    def _counted(self, folio: str) -> Total:
        runs = self._runs(ENTRIES)
        parts = list(runs.slices((folio,), self._bound(runs), COUNTED))
        names = ("version", "committed_at", REMOVED)
        puts = [row for rows in parts for row in zip(*(cells(rows.column(name)) for name in names), strict=True)]
        version, micros, _ = max(row for row in puts if row[0] <= self.version and not row[2])
        live = self.heads_of(folio, ("item", "size_bytes", "archived")).to_pylist()
        changes: list[Change] = [
            ("put", folio, row["item"], version, micros, row["size_bytes"], row["archived"]) for row in live
        ]
        return replayed(changes, {}, {})[folio][0]

    def sizes_among(self, names: Collection[tuple[str, str]]) -> dict[tuple[str, str], Size]:
        """See BaseState."""
        runs = self._runs(ENTRIES)
        rows = {name: runs.newest(name, self._bound(runs), ("size_bytes", "archived")) for name in sorted(names)}
        return {
            name: size_of(row)
            for name, row in rows.items()
            if row is not None and self._holds(row[REMOVED], row[SUPERSEDED_AT])
        }

    @property
    def purged(self) -> bool:
        """See State."""
        return bool(self._runs(PURGES).runs)

    def generation(self, blob_digest: str) -> int:
        """See StateView."""
        runs = self._runs(PURGES)
        found = [
            row["generation"] or 0
            for rows in runs.slices((blob_digest,), self._bound(runs))
            for row in rows.to_pylist()
            if row["version"] <= self.version
        ]
        return max(found, default=-1) + 1

    def _lives(self, model: Model, prefix: Key, columns: tuple[str, ...] | None) -> pa.Table:
        """Return the rows that hold, in the order in which their keys came to hold anything."""
        runs = self._runs(model)
        values: dict[str, list[Any]] = {}
        for rows in runs.slices(prefix, self._bound(runs), columns, keep=True):
            for name in rows.schema.names if columns is None else {*columns, *model.order, *_SUCCESSION}:
                values.setdefault(name, []).extend(cells(rows.column(name)))
        schema = (
            model.schema if columns is None else pa.schema([field for field in model.schema if field.name in columns])
        )
        if not values:
            return pa.Table.from_batches([], schema)
        held: dict[Key, tuple[Key, int]] = {}  # by key: the position that its life began with, and its newest row
        positions = list(zip(*(values[name] for name in model.position), strict=True))
        for at, key in enumerate(zip(*(values[name] for name in model.key), strict=True)):
            if positions[at][0] <= self.version:
                before = held.get(key)
                goes_on = before is not None and self._goes_on(values, before[1], at)
                held[key] = (before[0] if before is not None and goes_on else positions[at], at)
        alive = [one for one in held.values() if self._holds(values[REMOVED][one[1]], values[SUPERSEDED_AT][one[1]])]
        chosen = [at for _, at in sorted(alive)]
        arrays = [pa.array([values[field.name][at] for at in chosen], field.type) for field in schema]
        return pa.Table.from_arrays(arrays, schema=schema)

    @staticmethod
    def _goes_on(values: Mapping[str, list[Any]], before: int, at: int) -> bool:
        """Say whether a name lived from its row before until this one. A run does not know which newer one ended it."""
        ended = values[SUPERSEDED_AT][before] is not None and values[SUPERSEDED_BY][before] != "put"
        return not ended and not values[REMOVED][before]

    def _holds(self, removed: bool, superseded_at: int | None) -> bool:
        return not removed and (superseded_at is None or superseded_at > self.version)

    def _bound(self, runs: ModelRuns) -> int | None:
        return self.version if runs.through > self.version else None

    def _runs(self, model: Model) -> ModelRuns:
        if model.name not in self._opened:
            noted = self._catalogue.runs.get(model.name)
            if noted is None:
                version = self._catalogue.versions[_NAMES.index(model.name)]
                published = ModelTable(self._store, self._lake_id, model).at(version) if version >= 0 else NOTHING
                if published.through < self.version:
                    raise NotFoundError(
                        f"version {version} of read model {model.name!r} is not there",
                        kind="object-not-found",
                        key=table_prefix(model.name),
                    )
                noted = published.runs
            self._opened[model.name] = ModelRuns(model, noted, self, Cache())
        return self._opened[model.name]

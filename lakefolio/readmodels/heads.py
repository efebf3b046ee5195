"""The folios and items that read models hold, for a process that looks at them once and ends.

Rows are looked at in Python, one after the other: importing the array functions that :class:`Folded` answers with takes
longer than that for thousands of them. Nothing stands in for a model that can't be read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from lakefolio.errors import NotFoundError
from lakefolio.format.arrow_rows import integers
from lakefolio.format.layout import table_prefix
from lakefolio.model.entries import Entry, entry_from_row
from lakefolio.readmodels.cache import Cache
from lakefolio.readmodels.catalogue import Catalogue
from lakefolio.readmodels.keys import Key
from lakefolio.readmodels.model import REMOVED, SUPERSEDED_AT, SUPERSEDED_BY, Model
from lakefolio.readmodels.models import ENTRIES, FOLIOS, MODELS, PURGES
from lakefolio.readmodels.run_file import RunFile
from lakefolio.readmodels.runs import ModelRuns
from lakefolio.readmodels.table import ModelTable

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
        return sorted(self._lives(FOLIOS, (), ("folio",)).column("folio").to_pylist())

    def has_live(self, folio: str, besides: Collection[str] = ()) -> bool:
        """See BaseState."""
        return bool(set(self.heads_of(folio, ("item",)).column("item").to_pylist()) - set(besides))

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
                values.setdefault(name, []).extend(_plain(rows.column(name)))
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
                published = ModelTable(self._store, self._lake_id, model).at(version)
                if published.through < self.version:
                    raise NotFoundError(
                        f"version {version} of read model {model.name!r} is not there",
                        kind="object-not-found",
                        key=table_prefix(model.name),
                    )
                noted = published.runs
            self._opened[model.name] = ModelRuns(model, noted, self, Cache())
        return self._opened[model.name]


def _plain(column: pa.ChunkedArray) -> list[Any]:
    """Return values as Python's; times as numbers, which Arrow takes back in a hundredth of the time."""
    if pa.types.is_timestamp(column.type):
        return [one for chunk in column.chunks for one in integers(chunk)]
    found: list[Any] = column.to_pylist()
    return found

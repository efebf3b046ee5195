"""The read models of a lake through one handle: found, read, and brought up to the journal.

A *catalogue* says which version of each model to read. The journal's ``_last_checkpoint`` notes one, so that opening a
lake costs no request for them, and asking a model costs one the first time. It only saves requests: without it the
newest versions are looked for.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from lakefolio.format.layout import table_prefix
from lakefolio.readmodels.cache import Cache
from lakefolio.readmodels.fold import MODELS, fold
from lakefolio.readmodels.levels import to_merge
from lakefolio.readmodels.merge import merged
from lakefolio.readmodels.model import Model
from lakefolio.readmodels.run_file import RunFile, files_of
from lakefolio.readmodels.runs import ModelRuns, Run
from lakefolio.readmodels.table import NOTHING, ModelTable, Published
from lakefolio.readmodels.view import Folded

if TYPE_CHECKING:
    from lakefolio.storage import Store

__all__ = ["NO_MODELS", "Catalogue", "ReadModels"]

_NAMES: Final = tuple(model.name for model in MODELS)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Which versions of the read models to read.

    Attributes:
        through: The journal version that all of them hold; -1 for none.
        versions: The version of each model's table.
    """

    through: int
    versions: tuple[int, ...]

    def to_json(self) -> str:
        """Return it as a text."""
        return json.dumps({"through": self.through, "versions": dict(zip(_NAMES, self.versions, strict=True))})

    @classmethod
    def from_json(cls, text: str | None) -> Catalogue | None:
        """Read such a text; None if it is none, or does not speak of all models there are."""
        try:
            value = json.loads(text or "null")
            through, versions = value["through"], tuple(value["versions"][name] for name in _NAMES)
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        numbers = (through, *versions)
        return cls(through, versions) if all(type(one) is int and one >= 0 for one in numbers) else None


NO_MODELS: Final = Catalogue(-1, tuple(-1 for _ in MODELS))
"""That of a lake whose read models were not made yet."""


class ReadModels:
    """Safe to share between threads."""

    def __init__(self, store: Store, lake_id: str, cache: Cache | None = None) -> None:
        self._store = store
        self._tables = {model.name: ModelTable(store, lake_id, model) for model in MODELS}
        self._cache = Cache() if cache is None else cache
        self._busy = threading.Lock()  # of whoever folds

    def read(self, model: str, file: RunFile, start: int, length: int) -> bytes:
        """See Ranges."""
        return self._store.get_range(f"{table_prefix(model)}/{file.path}", start, length)

    def newest(self) -> Catalogue:
        """Look for the newest versions: two requests for each model, all at once."""
        found = self._store.parallel([table.newest for table in self._tables.values()])
        return Catalogue(min(one.through for one in found), tuple(one.version for one in found))

    def folded(self, catalogue: Catalogue) -> Folded:
        """Return the state that the models of a catalogue hold. No request; each model is opened when it is asked."""
        return Folded(_Opened(self, catalogue), catalogue.through)

    def open(self, name: str, version: int) -> ModelRuns:
        """Return one model, in one request."""
        table = self._tables[name]
        published = NOTHING if version < 0 else table.at(version)
        return ModelRuns(table.model, published.runs, self, self._cache)

    def advance(self, rows: pa.Table, through: int) -> Catalogue | None:
        """Fold further rows of the journal into the newest models, and merge runs that are due.

        Safe beside any writer and reader, and after being killed anywhere.

        Args:
            rows: All rows of ``manifests`` from some version on, which is not above what the models hold.
            through: The version they lead to.

        Returns:
            The catalogue of what was made; None if another writer was faster, or it is done already.
        """
        with self._busy:
            current = dict(zip(_NAMES, self._store.parallel([one.newest for one in self._tables.values()]), strict=True))
            held = min(one.through for one in current.values())
            if held >= through:
                return None
            opened = {
                name: ModelRuns(self._tables[name].model, one.runs, self, self._cache) for name, one in current.items()
            }
            versions = rows.column("version").to_numpy()
            # whoever was killed between two models has left some that hold more: they are asked as of what all hold
            before = Folded(opened, max(one.through for one in current.values()), held)
            runs = fold(rows.filter(pa.array(versions > held)), before)
            calls = [partial(self._publish, opened[name], one, runs[name], through) for name, one in current.items()]
            made = [one for one in self._store.parallel(calls) if one is not None]
            if len(made) < len(MODELS):
                return None
            return Catalogue(through, tuple(one.version for one in made))

    def _publish(self, reader: ModelRuns, before: Published, rows: pa.Table, through: int) -> Published | None:
        if before.through >= through:
            return before
        model, table = reader.model, self._tables[reader.model.name]
        if before.through >= 0 and rows.num_rows:
            rows = rows.filter(pa.array(rows.column("version").to_numpy() > before.through))
        runs = list(before.runs)
        if rows.num_rows:
            count = to_merge([*(run.row_count for run in runs), rows.num_rows])
            older = runs[len(runs) - max(count - 1, 0) :]
            kept = runs[: len(runs) - len(older)]
            parts: Iterator[pa.Table] = iter([rows])
            if older or not kept:
                parts = merged([*(reader.parts(run) for run in older), [rows]], model, bottom=not kept)
            after = older[0].after if older else before.through
            new = self._stored(table, model, parts, before.version + 1, after, through)
            runs = [*kept, *new]
        return table.publish(before, runs, through)

    def _stored(
        self, table: ModelTable, model: Model, parts: Iterator[pa.Table], version: int, after: int, through: int
    ) -> Sequence[Run]:
        files = []
        for file, body in files_of((part for part in parts if part.num_rows), model, after=after, through=through):
            named = table.named(version, file)
            table.store_file(named, body)
            files.append(named)
        return [Run(tuple(files))] if files else []


class _Opened(Mapping[str, ModelRuns]):
    """The models of a catalogue, each opened when it is first asked for."""

    def __init__(self, models: ReadModels, catalogue: Catalogue) -> None:
        self._models = models
        self._versions = dict(zip(_NAMES, catalogue.versions, strict=True))
        self._known: dict[str, ModelRuns] = {}

    def __getitem__(self, name: str) -> ModelRuns:
        found = self._known.get(name)
        if found is None:
            found = self._known[name] = self._models.open(name, self._versions[name])
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._versions)

    def __len__(self) -> int:
        return len(self._versions)

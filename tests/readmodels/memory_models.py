"""Read models in memory: every fold and merge of the real ones, their files in a dict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pyarrow as pa

from lakefolio.readmodels.cache import Cache
from lakefolio.readmodels.catalogue import Catalogue
from lakefolio.readmodels.fold import fold
from lakefolio.readmodels.heads import Heads
from lakefolio.readmodels.merge import merged
from lakefolio.readmodels.models import MODELS
from lakefolio.readmodels.run_file import RunFile, files_of
from lakefolio.readmodels.runs import ModelRuns, Run
from lakefolio.readmodels.view import Folded, JournalParts

if TYPE_CHECKING:
    from lakefolio.storage import Store


def parts_of(rows: pa.Table) -> JournalParts:
    """Return what gives rows of a journal two at a time."""

    def parts(columns: Sequence[str], after: int, upto: int, *, newest_first: bool = False) -> Iterator[pa.Table]:
        versions = rows.column("version").to_numpy()
        found = rows.filter(pa.array((versions > after) & (versions <= upto)))
        found = found.select([name for name in rows.schema.names if name in {*columns, "version", "ordinal"}])
        starts = range(0, found.num_rows, 2)
        return (found.slice(start, 2) for start in (reversed(starts) if newest_first else starts))

    return parts


class MemoryModels:
    """All read models of a journal, with files and row groups small enough that a few rows fill several."""

    def __init__(self, *, file_rows: int = 7, group_rows: int = 3, cache_bytes: int = 1 << 16) -> None:
        self.through = -1
        self.reads: list[tuple[str, int]] = []
        self.rows_written = 0
        self._sizes = {"file_rows": file_rows, "group_rows": group_rows}
        self._cache_bytes = cache_bytes
        self._files: dict[str, bytes] = {}
        self._runs: dict[str, list[Run]] = {model.name: [] for model in MODELS}

    def read(self, model: str, file: RunFile, start: int, length: int) -> bytes:
        """See Ranges."""
        self.reads.append((model, length))
        return self._files[file.path][start : start + length]

    def folded(self, journal: JournalParts | None = None) -> Folded:
        """Return the state that the models hold, through a cache that is empty."""
        cache = Cache(self._cache_bytes)
        models = _Models({model.name: ModelRuns(model, self._runs[model.name], self, cache) for model in MODELS})
        return Folded(models, self.through, journal=journal)

    def heads(self, version: int) -> Heads:
        """Return what a process that looks once reads of the models, as of a version."""
        runs = {name: tuple(some) for name, some in self._runs.items()}
        return Heads(cast("Store", self), "", Catalogue(version, (0,) * len(MODELS), runs))

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """See Store."""
        return self._files[key.rpartition("/")[2]][start : start + length]

    def fold(self, rows: pa.Table, through: int) -> None:
        """Add a run of further rows of the journal to each model."""
        found = fold(rows, self.folded())
        for model in MODELS:
            run = self._stored(model.name, [found[model.name]], self.through, through)
            self._runs[model.name] += run
        self.through = through

    def merge(self, name: str, first: int, count: int) -> None:
        """Make some neighbouring runs one; the first has the number ``first``."""
        runs = self._runs[name][first : first + count]
        if len(runs) < 2:
            return
        model = next(model for model in MODELS if model.name == name)
        reader = ModelRuns(model, runs, self, Cache(self._cache_bytes))
        parts = merged([reader.parts(run) for run in runs], model, bottom=first == 0)
        new = self._stored(name, parts, runs[0].after, runs[-1].through)
        self._runs[name][first : first + count] = new

    def runs(self, name: str) -> Sequence[Run]:
        """Return the runs of a model."""
        return self._runs[name]

    def _stored(self, name: str, parts, after: int, through: int) -> list[Run]:  # type: ignore[no-untyped-def]
        model = next(model for model in MODELS if model.name == name)
        files = []
        for file, body in files_of(
            (part for part in parts if part.num_rows), model, after=after, through=through, **self._sizes
        ):
            file = replace(file, path=f"{name}-{len(self._files)}")
            self._files[file.path] = body
            self.rows_written += file.row_count
            files.append(file)
        return [Run(tuple(files))] if files else []


class _Models(dict[str, ModelRuns]):
    def instead(self, name: str) -> ModelRuns:
        """See Models: nothing is ever missing here."""
        raise AssertionError(f"model {name} could not be read")

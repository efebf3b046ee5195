"""Read models that are made of the journal, part by part, and are no objects of the lake.

Each part of the journal becomes a run, and runs are merged as those of the lake are: memory is bounded by a part.
Files beyond some megabytes lie in temporary files without a name, which go with their last reader.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.readmodels.cache import Cache
from lakefolio.readmodels.fold import fold
from lakefolio.readmodels.levels import to_merge
from lakefolio.readmodels.merge import merged
from lakefolio.readmodels.model import Model
from lakefolio.readmodels.models import ENTRIES, FOLIOS, LINEAGE, MODELS, USES
from lakefolio.readmodels.run_file import RunFile, files_of
from lakefolio.readmodels.runs import ModelRuns, Run
from lakefolio.readmodels.totals import TOTALS
from lakefolio.readmodels.view import Folded

if TYPE_CHECKING:
    from lakefolio.model.base_state import BaseState

__all__ = ["edges_of", "made_of", "of_whole_versions"]

_PART_ROWS: Final = 32_768
_FILE_ROWS: Final = 32_768
_HELD_BYTES: Final = 32 << 20
_ASKED: Final = {FOLIOS.name: ENTRIES.name, TOTALS.name: ENTRIES.name, USES.name: LINEAGE.name}
"""The model that folding asks for beside the one it makes."""


class _Spill:
    """A temporary file without a name, closed with its last reader. Read beside other threads and in forked children.

    Raises:
        OSError: If none can be made.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - for life
        weakref.finalize(self, self._file.close)

    def add(self, body: bytes) -> int | None:
        """Append bytes and return where they begin; None if there is no room for all of them."""
        begin = self._file.seek(0, os.SEEK_END)
        return begin if self._file.write(body) == len(body) else None

    def read(self, start: int, length: int) -> bytes:
        return os.pread(self._file.fileno(), length, start)


class _Bodies:
    """The bytes of files: the first few in memory, others in one temporary file for each run."""

    def __init__(self) -> None:
        self._held: dict[str, bytes] = {}
        self._spilled: dict[str, tuple[_Spill, int]] = {}
        self._held_bytes = 0
        self._count = 0

    def read(self, model: str, file: RunFile, start: int, length: int) -> bytes:
        """See Ranges."""
        if file.path in self._held:
            return self._held[file.path][start : start + length]
        spill, begin = self._spilled[file.path]
        return spill.read(begin + start, length)

    def store(self, model: Model, parts: Iterable[pa.Table], through: int) -> list[Run]:
        """Keep rows as one run, in the files of it; no run if there are none."""
        files: list[RunFile] = []
        spill: _Spill | None = None
        some = (part for part in parts if part.num_rows)
        for file, body in files_of(some, model, after=-1, through=through, file_rows=_FILE_ROWS):
            self._count += 1
            file = replace(file, path=str(self._count))
            files.append(file)
            if self._held_bytes + len(body) > _HELD_BYTES:
                with contextlib.suppress(OSError):  # without room for temporary files it is held
                    spill = _Spill() if spill is None else spill
                    if (begin := spill.add(body)) is not None:
                        self._spilled[file.path] = (spill, begin)
                        continue
            self._held[file.path] = body
            self._held_bytes += len(body)
        return [Run(tuple(files))] if files else []

    def forget(self, runs: Iterable[Run]) -> None:
        """Free the room of runs that were merged."""
        for file in (file for run in runs for file in run.files):
            self._held_bytes -= len(self._held.pop(file.path, b""))
            self._spilled.pop(file.path, None)


class _Growing:
    """Models of the parts of a journal that were folded so far."""

    def __init__(self, through: int) -> None:
        self._through = through
        self._bodies = _Bodies()
        self._cache = Cache()
        self._runs: dict[str, list[Run]] = {model.name: [] for model in MODELS}

    def __getitem__(self, name: str) -> ModelRuns:
        model = next(one for one in MODELS if one.name == name)
        return ModelRuns(model, self._runs[name], self._bodies, self._cache, stored=False)

    def get(self, name: str) -> ModelRuns:
        """See Models."""
        return self[name]

    def instead(self, name: str) -> ModelRuns:
        """See Models: nothing stands in for them."""
        return self[name]

    def add(self, rows: pa.Table, names: Iterable[str]) -> None:
        """Fold further rows of the journal into some models."""
        for name, found in fold(rows, Folded(self, self._through), list(names), linked=False).items():
            if found.num_rows:
                runs = self._runs[name]
                count = to_merge([*(run.row_count for run in runs), found.num_rows])
                self._merge(name, max(count - 1, 0), found)

    def merge(self, name: str) -> None:
        """Make the runs of a model one."""
        if len(self._runs[name]) > 1:
            self._merge(name, len(self._runs[name]))

    def _merge(self, name: str, count: int, rows: pa.Table | None = None) -> None:
        """Make the last runs and further rows one run."""
        reader = self[name]
        kept, older = list(reader.runs[: len(reader.runs) - count]), reader.runs[len(reader.runs) - count :]
        streams: list[Iterable[pa.Table]] = [reader.parts(run) for run in older]
        if rows is not None:
            streams.append([rows])
        parts = merged(streams, reader.model, bottom=not kept)
        self._runs[name] = [*kept, *self._bodies.store(reader.model, parts, self._through)]
        self._bodies.forget(older)


def edges_of(rows: pa.Table, base: BaseState | None) -> pa.Table:
    """Return the edges that rows of the journal tell, as rows of ``lineage``, but for those that their base knows."""
    before = base if isinstance(base, Folded) else Folded(_Growing(-1), -1)
    return fold(rows, before, [LINEAGE.name])[LINEAGE.name]


def made_of(name: str, journal: Iterable[pa.Table], through: int) -> ModelRuns:
    """Make a model.

    Args:
        name: Its name.
        journal: All rows of the journal up to a version, in order, in parts.
        through: That version.
    """
    models = _Growing(through)
    names = {name, _ASKED.get(name, name)}
    for rows in of_whole_versions(journal):
        models.add(rows, names)
    models.merge(name)
    return models[name]


def of_whole_versions(parts: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Cut parts of the journal anew, so that no version lies in two, each about as large as is folded at once."""
    held: list[pa.Table] = []
    for part in parts:
        for start in range(0, part.num_rows, _PART_ROWS):
            held.append(part.slice(start, _PART_ROWS))
            if sum(one.num_rows for one in held) < _PART_ROWS:
                continue
            rows = pa.concat_tables(held)
            versions = rows.column("version")
            last = pc.index(versions, versions[-1]).as_py()
            if last:
                yield rows.slice(0, last)
            held = [rows.slice(last)]
    if held:
        yield pa.concat_tables(held)

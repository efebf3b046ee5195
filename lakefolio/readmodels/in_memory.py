"""Read models that are made in memory, of the rows of the journal, and stored nowhere."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa

from lakefolio.readmodels.cache import Cache
from lakefolio.readmodels.fold import LINEAGE, MODELS, fold
from lakefolio.readmodels.merge import merged
from lakefolio.readmodels.run_file import RunFile, files_of
from lakefolio.readmodels.runs import ModelRuns, Run
from lakefolio.readmodels.view import Folded

if TYPE_CHECKING:
    from lakefolio.model.base_state import BaseState

__all__ = ["edges_of", "in_memory"]


class _Nothing:
    """The models of an empty journal."""

    def __getitem__(self, name: str) -> ModelRuns:
        return ModelRuns(next(one for one in MODELS if one.name == name), (), _Bodies(), Cache(0))

    def instead(self, name: str) -> ModelRuns:
        return self[name]


class _Bodies:
    """The files of a model in memory."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}

    def read(self, model: str, file: RunFile, start: int, length: int) -> bytes:
        """See Ranges."""
        return self.bodies[file.path][start : start + length]


def edges_of(rows: pa.Table, base: BaseState | None) -> pa.Table:
    """Return the edges that rows of the journal tell, as rows of ``lineage``, but for those that their base knows."""
    before = base if isinstance(base, Folded) else Folded(_Nothing(), -1)
    return fold(rows, before, [LINEAGE.name])[LINEAGE.name]


def in_memory(name: str, rows: pa.Table, through: int) -> ModelRuns:
    """Make a model of all rows of the journal up to a version, in memory."""
    model = next(one for one in MODELS if one.name == name)
    nothing = Folded(_Nothing(), -1)
    bodies = _Bodies()
    parts = merged([[fold(rows, nothing, [name])[name]]], model, bottom=True)
    files: list[RunFile] = []
    for file, body in files_of((part for part in parts if part.num_rows), model, after=-1, through=through):
        file = replace(file, path=str(len(files)))
        bodies.bodies[file.path] = body
        files.append(file)
    return ModelRuns(model, [Run(tuple(files))] if files else [], bodies, Cache(), stored=False)

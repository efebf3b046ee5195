"""The edges on all ways from some nodes, found row group by row group instead of step by step.

A chain of a million steps lies in some hundred row groups, because ids follow the time: what is made of what was
committed together lies together. So each row group is opened once, and followed within as far as it leads, before the
next one is. Upstream the youngest group is next, downstream the oldest: no way leads back to a group that is done,
but where ids were made elsewhere, and for these a few groups are kept open.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable
from typing import Final

import pyarrow as pa

from lakefolio.readmodels.fold import source_of
from lakefolio.readmodels.keys import Key
from lakefolio.readmodels.models import USES
from lakefolio.readmodels.run_file import RunFile
from lakefolio.readmodels.runs import ModelRuns, up_to

__all__ = ["reached"]

_OPEN_GROUPS: Final = 8
_Place = tuple[int, int]
"""The number of a file, of all runs, and that of a row group in it."""


class _Group:
    """A row group: the rows of each node, and the node at the other end of each row."""

    def __init__(self, rows: pa.Table, by_input: bool) -> None:
        self.rows = rows
        here = ("source_kind", "source") if by_input else ("output_kind", "output_id")
        ids = rows.column("output_id") if by_input else source_of(rows)
        there = rows.column("output_kind" if by_input else "input_kind")
        self.ends: list[Key] = list(zip(there.to_pylist(), ids.to_pylist(), strict=True))
        self.of: dict[Key, list[int]] = {}
        for at, key in enumerate(zip(*(rows.column(name).to_pylist() for name in here), strict=True)):
            self.of.setdefault(key, []).append(at)


class _Walk:
    def __init__(self, runs: ModelRuns, seen: Collection[Key], upto: int | None) -> None:
        self._runs = runs
        self._by_input = runs.model is USES
        self._upto = upto
        self._seen = set(seen)
        self._files: list[RunFile] = [
            file for run in runs.runs if upto is None or run.after < upto for file in run.files
        ]
        self._waiting: dict[_Place, list[Key]] = {}
        self._ids: dict[_Place, str] = {}
        self._open: OrderedDict[_Place, _Group] = OrderedDict()
        self.new: list[Key] = []
        self.found: list[pa.Table] = [runs.model.nothing]

    def wait_for(self, keys: Iterable[Key], here: _Place | None = None) -> None:
        """Note for each row group which of some nodes are to be looked for in it, but for the one that was."""
        wanted = sorted(keys)
        for number, file in enumerate(self._files):
            for group, some in self._runs.groups_with(file, wanted).items():
                if (number, group) != here:
                    self._waiting.setdefault((number, group), []).extend(some)

    def go(self) -> None:
        """Follow all that waits, to its ends."""
        while self._waiting:
            place = (min if self._by_input else max)(self._waiting, key=self._id_of)
            group = self._group(place)
            todo = self._waiting.pop(place)
            taken: list[int] = []
            before = len(self.new)
            while todo:
                for at in group.of.get(todo.pop(), ()):
                    taken.append(at)
                    end = group.ends[at]
                    if end not in self._seen and None not in end:
                        self._seen.add(end)
                        self.new.append(end)
                        todo.append(end)
            if taken:
                self.found.append(group.rows.take(pa.array(sorted(taken), pa.int64())))
            self.wait_for(self.new[before:], place)

    def _id_of(self, place: _Place) -> str:
        if place not in self._ids:
            first, last = self._runs.bounds(self._files[place[0]], place[1])
            self._ids[place] = (first if self._by_input else last)[1]
        return self._ids[place]

    def _group(self, place: _Place) -> _Group:
        group = self._open.pop(place, None)
        if group is None:
            rows = self._runs.group(self._files[place[0]], place[1])
            group = _Group(up_to(rows, self._upto), self._by_input)
        self._open[place] = group
        if len(self._open) > _OPEN_GROUPS:
            self._open.popitem(last=False)
        return group


def reached(
    runs: ModelRuns, nodes: Collection[Key], seen: Collection[Key], upto: int | None = None
) -> tuple[pa.Table, list[Key]]:
    """Return the rows of some nodes and of all that these lead to, in no order, and the nodes that they lead to.

    Args:
        runs: The model ``lineage``, to go from outputs to inputs, or ``uses``, to go from inputs to outputs.
        nodes: Where to begin: kind and id.
        seen: Nodes that were reached before: the ways end there, as at nodes that are reached again.
        upto: Leave out later rows than this journal version.
    """
    walk = _Walk(runs, {*seen, *nodes}, upto)
    walk.wait_for(nodes)
    walk.go()
    return pa.concat_tables(walk.found), walk.new

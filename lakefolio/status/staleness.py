"""Which items are stale, why, and in which order to make them again (pure: no I/O).

An item is *changed* for an output if the output used an entry of it with other content than the item has now; also
if the item is gone. An item is *stale* if one of its inputs is changed, or is itself stale: what it was made of would
be made anew. Inputs are those that its newest entry names, and those of the run that it names.

Nothing is stale because an input was put again with equal content, because it was made of an older version of itself
or of what the same run made, or as a member of a dataset, which holds a version on purpose.

The function is total: any edges give an answer, those of a cycle or of entries that nobody put too. It costs one pass
over the edges; nothing recurses. Only what is stale is made into objects.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    import numpy.typing as npt

__all__ = ["EDGE_COLUMNS", "HEAD_COLUMNS", "PUT_COLUMNS", "Cause", "Stale", "find_stale", "in_order", "used_names"]

HEAD_COLUMNS: Final = ("folio", "item", "entry_id", "version", "committed_at", "kind", "digest", "archived", "run_id")
"""The columns that are read of each live item."""
EDGE_COLUMNS: Final = ("output_kind", "output_id", "input_kind", "input_id", "input_folio", "input_item")
"""The columns that are read of each edge."""
PUT_COLUMNS: Final = ("folio", "item", "entry_id", "version", "committed_at", "kind", "digest")
"""The columns that are read of the entries of an item that was used at another version than the newest."""

Name = tuple[str, str]
"""Folio and item."""
_Put = tuple[Any, ...]
"""What is known of an entry: the rest of PUT_COLUMNS."""


class Cause(NamedTuple):
    """An input that changed since it was used.

    Attributes:
        folio: The folio of the input.
        item: The item.
        used_version: The version that put the entry which was used; None if no row of the journal has it.
        newest_version: The version of the newest entry; None if the item is gone.
        versions_behind: How many entries of the item were put since, at least 1 unless it is gone.
        time_behind: How much younger the newest entry is; None if one of both is unknown.
        since: When the first entry that replaced the used one was committed; None if that is unknown.
    """

    folio: str
    item: str
    used_version: int | None
    newest_version: int | None
    versions_behind: int
    time_behind: timedelta | None
    since: datetime | None


class Stale(NamedTuple):
    """An item that would be another if it were made again.

    Attributes:
        version: The version that put its newest entry.
        run_id: The run that made it, if one did.
        archived: Whether it is hidden.
        step: When its turn is, from 1: everything that it is made of and that is stale has a lower one. Items of a
            cycle share a step.
        cycle: The items that it is made of and that are made of it, itself among them; else nothing.
        causes: Its own inputs that changed.
        stale_inputs: Its own inputs that are stale.
    """

    folio: str
    item: str
    version: int
    run_id: str | None
    archived: bool
    step: int
    cycle: tuple[Name, ...]
    causes: tuple[Cause, ...]
    stale_inputs: tuple[Name, ...]


def used_names(heads: pa.Table, edges: pa.Table) -> list[Name]:
    """Return the items that were used at entries which are not their newest, as the edges name them."""
    is_entry = pc.equal(edges.column("input_kind"), "entry")
    other = pc.invert(pc.is_in(edges.column("input_id"), value_set=heads.column("entry_id")))
    rows = edges.select(["input_folio", "input_item"]).filter(pc.and_(is_entry, other)).drop_null()
    return sorted(set(zip(*(column.to_pylist() for column in rows.columns), strict=True)))


def find_stale(heads: pa.Table, edges: pa.Table, puts: pa.Table, *, fixed: str = "datasets/") -> list[Stale]:
    """Return the stale items, by step, then by name.

    Args:
        heads: The newest entry of each live item: HEAD_COLUMNS.
        edges: The inputs of those entries, and of the runs that they name: EDGE_COLUMNS.
        puts: The entries of the items of :func:`used_names`, each row that put one, in their order: PUT_COLUMNS.
        fixed: The prefix of folios whose items hold versions on purpose.
    """
    links = _Links(heads, edges, fixed)
    causes = _causes(links, heads, puts)
    stale = links.reached(causes)
    outputs, sources = links.between(stale)
    steps = in_order(stale, outputs, sources, items=heads.num_rows)
    folios, items, versions, runs, archived = (
        heads.column(name).to_pylist() for name in ("folio", "item", "version", "run_id", "archived")
    )
    above: dict[int, list[int]] = defaultdict(list)
    for output, source in zip(outputs, sources, strict=True):
        above[output].append(source)
    count = heads.num_rows
    cycles: dict[int, tuple[Name, ...]] = {}
    found = []
    for node in stale:
        if node >= count:  # a run; what it was made of is told of what it made
            continue
        told = [node, *(one for one in above[node] if one >= count)]
        own = [cause for one in told for cause in causes.get(one, ())]
        tops = [one for run in told for one in above[run] if one < count]
        step, cycle = steps[node]
        if id(cycle) not in cycles:  # all nodes of a cycle share one
            cycles[id(cycle)] = tuple(sorted((folios[one], items[one]) for one in cycle))
        found.append(
            Stale(
                folios[node],
                items[node],
                versions[node],
                runs[node],
                bool(archived[node]),
                step,
                cycles[id(cycle)],
                tuple(dict.fromkeys(own)) if len(own) > 1 else tuple(own),
                tuple((folios[one], items[one]) for one in (dict.fromkeys(tops) if len(tops) > 1 else tops)),
            )
        )
    return sorted(found, key=attrgetter("step", "folio", "item"))


def in_order(
    nodes: Iterable[int], outputs: Sequence[int], sources: Sequence[int], items: int | None = None
) -> dict[int, tuple[int, tuple[int, ...]]]:
    """Return node -> its step, from 1, and the cycle that it lies in (else nothing).

    Args:
        nodes: The nodes.
        outputs: Of each edge the node that was made.
        sources: Of each edge the node that it was made of.
        items: Nodes from this number on are runs, which take no step of their own; by default none is.

    Source: Tarjan, Depth-first search and linear graph algorithms (1972), without recursion. It ends the component of
    an input before those that use it.
    """
    inputs: dict[int, list[int]] = {node: [] for node in nodes}
    for output, source in zip(outputs, sources, strict=True):
        inputs[output].append(source)
    steps: dict[int, tuple[int, tuple[int, ...]]] = {}
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    path: list[int] = []
    for root in inputs:
        work = [] if root in index else [(root, iter(inputs[root]))]
        while work:
            node, left = work[-1]
            if node not in index:
                index[node] = low[node] = len(index)
                path.append(node)
            for one in left:
                if one not in index:
                    work.append((one, iter(inputs[one])))
                    break
                if one not in steps and index[one] < low[node]:
                    low[node] = index[one]
            else:
                work.pop()
                if work and low[node] < low[work[-1][0]]:
                    low[work[-1][0]] = low[node]
                if low[node] == index[node]:
                    component = [path.pop()]
                    while component[-1] != node:
                        component.append(path.pop())
                    own = [one for one in component if items is None or one < items]
                    before = max(
                        (steps[one][0] for each in component for one in inputs[each] if one in steps), default=0
                    )
                    found = (before + bool(own), tuple(own) if len(own) > 1 else ())
                    steps.update(dict.fromkeys(component, found))
    return steps


class _Links:
    """The edges between live items and runs, which are numbered: items by their rows in heads, then runs.

    Attributes:
        names: Folio and item -> number, of the items that were used at another entry than their newest.
        used: The edges that say so: output, folio and item of the input, id of the entry, in their order.
    """

    def __init__(self, heads: pa.Table, edges: pa.Table, fixed: str) -> None:
        ids = heads.column("entry_id")
        self.count = heads.num_rows
        is_run, by_run = (pc.equal(edges.column(f"{end}_kind"), "run") for end in ("output", "input"))
        runs = pc.unique(edges.column("output_id").filter(is_run))
        live = pc.index_in(edges.column("output_id"), value_set=ids)
        kept = pc.invert(pc.starts_with(heads.column("folio"), fixed)).take(live)
        output = pc.if_else(
            is_run, _numbered(edges.column("output_id"), runs, self.count), pc.if_else(kept, live, None)
        )
        source = pc.if_else(
            by_run,
            _numbered(edges.column("input_id"), runs, self.count),
            pc.if_else(
                pc.equal(edges.column("input_kind"), "entry"),
                pc.index_in(edges.column("input_id"), value_set=ids),
                None,
            ),
        )
        known = pc.and_(pc.is_valid(output), pc.is_valid(source))
        self._outputs, self._sources = (_whole(one.filter(known)) for one in (output, source))
        other = pc.and_(pc.equal(edges.column("input_kind"), "entry"), pc.is_null(source))
        other = pc.fill_null(pc.and_(other, pc.is_valid(output)), False)
        columns = (edges.column(name).filter(other).to_pylist() for name in ("input_folio", "input_item", "input_id"))
        wanted = list(zip(output.filter(other).to_pylist(), *columns, strict=True))
        self.names = _rows_of(heads, {(folio, item) for _, folio, item, _ in wanted})
        made = heads.column("run_id")
        of_run = pc.index_in(made, value_set=runs)
        self._run_of = _whole(pc.fill_null(pc.add(of_run, self.count), -1))
        self.used = [
            one for one in wanted if None not in one and not self._is_own(one[0], self.names.get((one[1], one[2])))
        ]
        added = [(one[0], source) for one in self.used if (source := self.names.get((one[1], one[2]))) is not None]
        if added:
            outputs, sources = zip(*added, strict=True)
            self._outputs = np.concatenate([self._outputs, outputs])
            self._sources = np.concatenate([self._sources, sources])

    def _is_own(self, output: int, source: int | None) -> bool:
        """Say whether an item is the output itself, or was made by the same run."""
        if source is None:
            return False
        run = output if output >= self.count else self._run_of[output]
        return output == source or (run >= 0 and self._run_of[source] == run)

    def reached(self, changed: Iterable[int]) -> list[int]:
        """Return some nodes and all that are made of them, in order."""
        order = np.argsort(self._sources, kind="stable")
        users = self._outputs[order].tolist()
        starts = np.searchsorted(self._sources[order], np.arange(self._size() + 1)).tolist()
        found = set(changed)
        queue = list(found)
        while queue:
            node = queue.pop()
            for one in users[starts[node] : starts[node + 1]]:
                if one not in found:
                    found.add(one)
                    queue.append(one)
        return sorted(found)

    def between(self, nodes: Sequence[int]) -> tuple[list[int], list[int]]:
        """Return the edges between some nodes, each once, but for those of a node to itself."""
        chosen = np.zeros(self._size(), np.bool_)
        chosen[nodes] = True
        mask = chosen[self._outputs] & chosen[self._sources] & (self._outputs != self._sources)
        pairs = np.unique(np.stack([self._outputs[mask], self._sources[mask]]), axis=1)
        return pairs[0].tolist(), pairs[1].tolist()

    def _size(self) -> int:
        return int(max(self.count - 1, self._outputs.max(initial=0), self._sources.max(initial=0))) + 1


def _causes(links: _Links, heads: pa.Table, puts: pa.Table) -> dict[int, list[Cause]]:
    """Return node -> its inputs whose content was another than it is now."""
    rows: dict[Name, list[tuple[Any, ...]]] = defaultdict(list)
    for row in zip(*(puts.column(name).to_pylist() for name in PUT_COLUMNS), strict=True):
        rows[row[0], row[1]].append(row[2:])
    numbers = sorted(links.names.values())
    chosen = heads.take(pa.array(numbers, pa.int64()))
    newest = zip(*(chosen.column(name).to_pylist() for name in PUT_COLUMNS[2:]), strict=True)
    head_of = dict(zip(numbers, newest, strict=True))
    compared: dict[tuple[Name, str], Cause | None] = {}
    found: dict[int, list[Cause]] = {}
    for output, folio, item, entry_id in links.used:
        name = folio, item
        if (name, entry_id) not in compared:
            head = head_of.get(links.names.get(name, -1))
            compared[name, entry_id] = _compared(name, entry_id, head, rows[name])
        if (cause := compared[name, entry_id]) is not None:
            found.setdefault(output, []).append(cause)
    return found


def _compared(name: Name, entry_id: str, head: _Put | None, puts: Sequence[_Put]) -> Cause | None:
    """Return how the content of an item that was used differs from the newest; None if it does not."""
    place = max((number for number, row in enumerate(puts) if row[0] == entry_id), default=None)
    used = None if place is None else puts[place]
    if head is not None and used is not None and used[4] is not None and head[3:] == used[3:]:
        return None
    later = puts[len(puts) if place is None else place + 1 :]
    return Cause(
        *name,
        None if used is None else used[1],
        None if head is None else head[1],
        len({row[0] for row in later}),
        head[2] - used[2] if head is not None and used is not None and head[2] and used[2] else None,
        later[0][2] if later else None,
    )


def _numbered(values: pa.ChunkedArray, among: pa.Array, start: int) -> pa.ChunkedArray:
    return pc.add(pc.index_in(values, value_set=among), start)


def _whole(values: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    found: npt.NDArray[np.int64] = values.to_numpy().astype(np.int64)
    return found


def _rows_of(heads: pa.Table, names: set[tuple[Any, Any]]) -> dict[Name, int]:
    """Return the rows that some items have in heads."""
    among = pa.array(sorted({item for _, item in names if item is not None}), pa.string())
    rows = np.flatnonzero(pc.is_in(heads.column("item"), value_set=among).to_numpy())
    near = heads.select(["folio", "item"]).take(pa.array(rows))
    columns = (near.column(name).to_pylist() for name in ("folio", "item"))
    return {
        name: row
        for *name_, row in zip(*columns, rows.tolist(), strict=True)
        if (name := (name_[0], name_[1])) in names
    }

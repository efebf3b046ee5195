"""Which items are stale, why, and in which order to make them again (pure: no I/O).

An item is *changed* for an output if the output used an entry of it with other content than the item has now; also
if the item is gone. An item is *stale* if one of its inputs is changed, or is itself stale: what it was made of would
be made anew. Inputs are those that its newest entry names, and those of the run that it names.

Nothing is stale because an input was put again with equal content, because it was made of an older version of itself
or of what the same run made, or as a member of a dataset, which holds a version on purpose.

The function is total: any edges give an answer, those of a cycle or of entries that nobody put too. It costs one pass
over the edges; nothing recurses. What is stale is made into objects one by one, when it is looked at.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.status.order import in_order

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["EDGE_COLUMNS", "HEAD_COLUMNS", "PUT_COLUMNS", "Cause", "Stale", "StaleItems", "find_stale", "used_names"]

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

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


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
        moved_to: The item that holds the content which was used, as ``folio:item``, if the input is gone and one alone
            does: it was renamed, or there is a copy.
    """

    folio: str
    item: str
    used_version: int | None
    newest_version: int | None
    versions_behind: int
    time_behind: timedelta | None
    since: datetime | None
    moved_to: str | None = None


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


@dataclass(frozen=True, eq=False)
class StaleItems(Sequence[Stale]):
    """The stale items in the order to make them again, as columns: each is made into an object when it is asked for.

    The nodes of the graph are the rows of ``heads``, then runs.

    Args:
        heads: The newest entry of each stale item: HEAD_COLUMNS.
        order: The rows of heads in that order.
        steps: The step of each node.
        cycles: Of each node in a cycle the items of that cycle.
        starts: The inputs of node n, if stale, are ``sources[starts[n] : starts[n + 1]]``.
        sources: See ``starts``.
        causes: Of a node those inputs of its own that changed.
    """

    heads: pa.Table
    order: npt.NDArray[np.int64]
    steps: Sequence[int]
    cycles: Mapping[int, tuple[int, ...]]
    starts: npt.NDArray[np.int64]
    sources: npt.NDArray[np.int64]
    causes: Mapping[int, Sequence[Cause]]

    def __len__(self) -> int:
        return len(self.order)

    @overload
    def __getitem__(self, index: int) -> Stale: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Stale, ...]: ...

    def __getitem__(self, index: int | slice) -> Stale | tuple[Stale, ...]:
        if isinstance(index, slice):
            return tuple(map(self._made, self.order[index].tolist()))
        return self._made(self.order.item(index))

    def __iter__(self) -> Iterator[Stale]:
        return map(self._made, self.order.tolist())

    def shown(self, folio: str | None, *, archived: bool) -> StaleItems:
        """Return those of a folio, or of all; with archived ones, or without."""
        mask = np.ones(self.heads.num_rows, np.bool_)
        if folio is not None:
            mask &= pc.equal(self.heads.column("folio"), folio).to_numpy()
        if not archived:
            mask &= ~pc.fill_null(self.heads.column("archived"), False).to_numpy()
        return replace(self, order=self.order[mask[self.order]])

    def runs(self) -> list[str]:
        """Return the runs that made them, in their order."""
        runs: list[str] = self.heads.column("run_id").take(pa.array(self.order)).unique().drop_null().to_pylist()
        return runs

    def all_cycles(self) -> list[tuple[Name, ...]]:
        """Return the cycles that they lie in, in their order."""
        found = (self._cycle_of(node) for node in self.order.tolist() if node in self.cycles)
        return list({id(one): one for one in found}.values())

    @cached_property
    def _columns(self) -> list[list[Any]]:
        return [self.heads.column(name).to_pylist() for name in ("folio", "item", "version", "run_id", "archived")]

    @cached_property
    def _cycles(self) -> dict[int, tuple[Name, ...]]:
        return {}  # by the first node of each cycle

    def _name(self, node: int) -> Name:
        return self._columns[0][node], self._columns[1][node]

    def _cycle_of(self, node: int) -> tuple[Name, ...]:
        """Return the names of the cycle of a node: all its nodes share one tuple."""
        cycle = self.cycles.get(node, ())
        if cycle and cycle[0] not in self._cycles:
            self._cycles[cycle[0]] = tuple(sorted(map(self._name, cycle)))
        return self._cycles[cycle[0]] if cycle else ()

    def _above(self, node: int) -> list[int]:
        found: list[int] = self.sources[self.starts[node] : self.starts[node + 1]].tolist()
        return found

    def _made(self, node: int) -> Stale:
        count = self.heads.num_rows
        above = self._above(node)
        told = [node, *(one for one in above if one >= count)]  # what its run was made of is told of the item
        causes = dict.fromkeys(cause for one in told for cause in self.causes.get(one, ()))
        tops = above if len(told) == 1 else [top for one in told for top in self._above(one)]
        folio, item, version, run_id, archived = (column[node] for column in self._columns)
        return Stale(
            folio,
            item,
            version,
            run_id,
            bool(archived),
            self.steps[node],
            self._cycle_of(node),
            tuple(causes),
            tuple(self._name(one) for one in dict.fromkeys(tops) if one < count),
        )


def used_names(heads: pa.Table, edges: pa.Table) -> list[Name]:
    """Return the items that were used at entries which are not their newest, as the edges name them."""
    is_entry = pc.equal(edges.column("input_kind"), "entry")
    other = pc.invert(pc.is_in(edges.column("input_id"), value_set=heads.column("entry_id")))
    rows = edges.select(["input_folio", "input_item"]).filter(pc.and_(is_entry, other)).drop_null()
    return sorted(set(zip(*(column.to_pylist() for column in rows.columns), strict=True)))


def find_stale(heads: pa.Table, edges: pa.Table, puts: pa.Table, *, fixed: str = "datasets/") -> StaleItems:
    """Return the stale items, by step, then as they lie in heads.

    Args:
        heads: The newest entry of each live item: HEAD_COLUMNS.
        edges: The inputs of those entries, and of the runs that they name: EDGE_COLUMNS.
        puts: The entries of the items of :func:`used_names`, each row that put one, in their order: PUT_COLUMNS.
        fixed: The prefix of folios whose items hold versions on purpose.
    """
    links = _Links(heads, edges, fixed)
    causes = _causes(links, heads, puts, fixed)
    nodes = links.reached(causes)
    outputs, sources = links.between(nodes)
    items = int(np.searchsorted(nodes, heads.num_rows))
    steps, cycles = in_order(len(nodes), outputs, sources, items)
    order = np.argsort(np.array(steps[:items], np.int64), kind="stable")
    found = {place: causes[node] for place, node in enumerate(nodes.tolist()) if node in causes}
    starts = np.searchsorted(outputs, np.arange(len(nodes) + 1))
    return StaleItems(heads.take(pa.array(nodes[:items])), order, steps, cycles, starts, sources, found)


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

    def reached(self, changed: Iterable[int]) -> npt.NDArray[np.int64]:
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
        return np.sort(np.fromiter(found, np.int64, len(found)))

    def between(self, nodes: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the edges between some nodes as outputs and sources, each once and in order, but for loops.

        Args:
            nodes: The nodes, in order; from here on they are called by their places in it.
        """
        places = np.full(self._size(), -1)
        places[nodes] = np.arange(len(nodes))
        outputs, sources = places[self._outputs], places[self._sources]
        known = (outputs >= 0) & (sources >= 0) & (outputs != sources)
        pairs = np.unique(outputs[known] * len(nodes) + sources[known])
        return pairs // max(len(nodes), 1), pairs % max(len(nodes), 1)

    def _size(self) -> int:
        return int(max(self.count - 1, self._outputs.max(initial=0), self._sources.max(initial=0))) + 1


def _causes(links: _Links, heads: pa.Table, puts: pa.Table, fixed: str) -> dict[int, list[Cause]]:
    """Return node -> its inputs whose content was another than it is now."""
    rows: dict[Name, list[tuple[Any, ...]]] = defaultdict(list)
    for row in _rows(puts, PUT_COLUMNS):
        rows[row[0], row[1]].append(row[2:])
    numbers = sorted(links.names.values())
    chosen = heads.take(pa.array(numbers, pa.int64()))
    head_of = dict(zip(numbers, _rows(chosen, PUT_COLUMNS[2:]), strict=True))
    gone = {row[4] for name in rows if name not in links.names for row in rows[name]}
    moved = _holders(heads, gone, fixed) if gone else {}
    compared: dict[tuple[Name, str], Cause | None] = {}
    found: dict[int, list[Cause]] = {}
    for output, folio, item, entry_id in links.used:
        name = folio, item
        if (name, entry_id) not in compared:
            head = head_of.get(links.names.get(name, -1))
            compared[name, entry_id] = _compared(name, entry_id, head, rows[name], moved)
        if (cause := compared[name, entry_id]) is not None:
            found.setdefault(output, []).append(cause)
    return found


def _rows(table: pa.Table, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Return rows as tuples, with times as microseconds."""
    columns = (table.column(name) for name in names)
    numbers = (pc.cast(one, pa.int64()) if pa.types.is_timestamp(one.type) else one for one in columns)
    return zip(*(one.to_pylist() for one in numbers), strict=True)


def _holders(heads: pa.Table, digests: set[Any], fixed: str) -> dict[tuple[Any, Any], str]:
    """Return kind and digest -> the item that has this content now, where one alone has."""
    among = pa.array(sorted(one for one in digests if one is not None), pa.string())
    found: dict[tuple[Any, Any], list[str]] = defaultdict(list)
    near = heads.filter(pc.is_in(heads.column("digest"), value_set=among))
    for row in near.select(["folio", "item", "kind", "digest"]).to_pylist():
        if not row["folio"].startswith(fixed):
            found[row["kind"], row["digest"]].append(f"{row['folio']}:{row['item']}")
    return {content: names[0] for content, names in found.items() if len(names) == 1}


def _compared(
    name: Name, entry_id: str, head: _Put | None, puts: Sequence[_Put], moved: Mapping[tuple[Any, Any], str]
) -> Cause | None:
    """Return how the content of an item that was used differs from the newest; None if it does not."""
    place = max((number for number, row in enumerate(puts) if row[0] == entry_id), default=None)
    used = None if place is None else puts[place]
    if head is not None and used is not None and used[4] is not None and head[3:] == used[3:]:
        return None
    later = puts[len(puts) if place is None else place + 1 :]
    then, now, since = (None if one is None else one[2] for one in (used, head, later[0] if later else None))
    return Cause(
        *name,
        None if used is None else used[1],
        None if head is None else head[1],
        len({row[0] for row in later}),
        None if then is None or now is None else timedelta(microseconds=now - then),
        None if since is None else _EPOCH + timedelta(microseconds=since),
        moved.get(used[3:]) if used is not None and head is None else None,
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

"""The lineage edges of a state, followed one way: those that its read models hold, and those of rows in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefolio.readmodels.fold import source_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from lakefolio.lineage.nodes import NodeId
    from lakefolio.model.state import State

__all__ = ["Edges", "ids_of"]


class Edges:
    """Edges from their outputs to their inputs, or back; rows of the read model ``lineage``."""

    def __init__(self, state: State, since: pa.Table, *, by_input: bool = False) -> None:
        """Look at the edges of a state.

        Args:
            state: The state.
            since: Those that its base does not know.
            by_input: Whether to go from inputs to outputs.
        """
        self._base = state.base
        self._since = since
        self._by_input = by_input
        here, self._there = ("input", "output") if by_input else ("output", "input")
        self._ends = _nodes(since, self._there)
        self._of: dict[NodeId, list[int]] = {}
        for at, node in enumerate(_nodes(since, here)):
            self._of.setdefault(node, []).append(at)

    def at(self, nodes: Collection[NodeId], limit: int | None = None) -> pa.Table:
        """Return the edges that begin at some nodes; a few more than ``limit`` at most, see ``BaseState.edges``."""
        places = [at for node in nodes for at in self._of.get(node, ())]
        near = self._since.take(pa.array(places[: None if limit is None else limit + 1], pa.int64()))
        if self._base is None:
            return near
        return pa.concat_tables([self._base.edges(nodes, by_input=self._by_input, limit=limit), near])

    def all(self, roots: Collection[NodeId]) -> pa.Table:
        """Return the edges on all ways from some nodes. Cost and memory follow their number, however deep they lie."""
        seen, todo = set(roots), list(roots)
        found, near = [self._since.slice(0, 0)], list[int]()
        while todo:
            if self._base is not None:
                rows, new = self._base.all_edges(todo, seen, by_input=self._by_input)
                found.append(rows)
                seen.update(new)
                todo += new
            beyond = []
            while todo:
                for at in self._of.get(todo.pop(), ()):
                    near.append(at)
                    end = self._ends[at]
                    if end not in seen and None not in end:
                        seen.add(end)
                        beyond.append(end)
            todo = beyond
        return pa.concat_tables([*found, self._since.take(pa.array(near, pa.int64()))])

    def nearest(self, roots: Collection[NodeId], depth: int | None, limit: int | None) -> tuple[pa.Table, bool]:
        """Return the edges on the ways from some nodes, step by step, and whether ``limit`` left some out.

        Args:
            roots: Where to begin.
            depth: How many steps to go at most.
            limit: No step is gone once more nodes than these were reached, and none brings many more edges.
        """
        if depth is None and limit is None:
            return self.all(roots), False
        seen, frontier = set(roots), set(roots)
        found = [self._since.slice(0, 0)]
        while frontier and (depth is None or len(found) <= depth):
            if limit is not None and len(seen) > limit + len(roots):
                return pa.concat_tables(found), True
            edges = self.at(frontier, limit)
            found.append(edges)
            frontier = {one for one in _nodes(edges, self._there) if None not in one} - seen
            seen |= frontier
            if limit is not None and edges.num_rows > limit:
                return pa.concat_tables(found), True
        return pa.concat_tables(found), False


def _nodes(edges: pa.Table, end: str) -> list[NodeId]:
    return list(zip(edges.column(f"{end}_kind").to_pylist(), ids_of(edges, end).to_pylist(), strict=True))


def ids_of(edges: pa.Table, end: str) -> Any:
    """Return the ids of the nodes at one end of edges, ``output`` or ``input``."""
    return edges.column("output_id") if end == "output" else source_of(edges)

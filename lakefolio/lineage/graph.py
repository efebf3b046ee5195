"""What was made of what: walks through the lineage edges around some entries (pure: no I/O).

An edge leads from an output to one input of it. Nodes are entries, runs and external URIs; the graph may have
cycles only if someone wrote them there by hand, and every walk ends on those too. Nothing recurses, so depth
has no limit.
"""

from __future__ import annotations

from collections import deque
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.errors import NotFoundError
from lakefolio.format.arrow_rows import dicts_of
from lakefolio.lineage.nodes import Edge, Node, NodeId
from lakefolio.process.facade import facade
from lakefolio.render.report import AsText
from lakefolio.terminal import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["Graph", "Lineage", "graph"]

Direction = Literal["upstream", "downstream", "both"]

_TREE_LINES = 200
_INDENTED = 20
_ENTRY_COLUMNS = (
    "entry_id",
    "folio",
    "item",
    "version",
    "committed_at",
    "kind",
    "digest",
    "size_bytes",
    "row_count",
    "description",
    "author",
    "uri",
)


@facade({})
class Graph(AsText):
    """Nodes and edges around some roots. Iterable over its nodes, nearest first; prints as a tree.

    Attributes:
        nodes: Every node reached, the roots first, then by distance.
        edges: The edges between them.
        roots: The nodes the walk began at.
        direction: Which way it went.
        run_names: The names of runs that have one, by id.
        complete: Whether these are all; False if a limit left some out.
    """

    def __init__(
        self,
        nodes: Mapping[NodeId, Node],
        edges: list[Edge],
        roots: list[Node],
        direction: Direction,
        run_names: Mapping[str, str] | None = None,
        *,
        complete: bool = True,
    ) -> None:
        self._nodes = nodes
        self.complete = complete
        self.run_names = dict(run_names or {})
        self.nodes = list(nodes.values())
        self.edges = edges
        self.roots = roots
        self.direction: Direction = direction

    def __iter__(self) -> Iterator[Node]:
        """The nodes other than the roots, nearest first."""
        roots = {root.key for root in self.roots}
        return (node for key, node in self._nodes.items() if key not in roots)

    def __len__(self) -> int:
        return len(self.nodes) - len(self.roots)

    def __contains__(self, what: object) -> bool:
        """Say whether a node, or one of that ``folio:item``, ``folio:item@version`` or URI, was reached."""
        if isinstance(what, Node):
            return what.key in self._nodes
        return any(what in (node.ref, node.id, node.ref.rpartition("@")[0]) for node in self)

    def node(self, key: NodeId) -> Node:
        """Return the node of a key; NotFoundError, a KeyError, if it was not reached."""
        found = self._nodes.get(key) if isinstance(key, tuple) else None
        if found is None:
            raise NotFoundError(f"no node {key!r:.80} was reached", kind="node-not-found", hint="nodes lists them")
        return found

    @cached_property
    def inputs(self) -> dict[NodeId, list[NodeId]]:
        """Output -> its inputs, each once, in the order of the edges."""
        found: dict[NodeId, dict[NodeId, None]] = {}
        for edge in self.edges:
            found.setdefault(edge.output, {})[edge.input] = None
        return {key: list(values) for key, values in found.items()}

    @cached_property
    def outputs(self) -> dict[NodeId, list[NodeId]]:
        """Input -> its dependents, each once, in the order of the edges."""
        found: dict[NodeId, dict[NodeId, None]] = {}
        for edge in self.edges:
            found.setdefault(edge.input, {})[edge.output] = None
        return {key: list(values) for key, values in found.items()}

    def tree(self, *, limit: int | None = None) -> str:
        """Return the walk as an indented tree; a node that was drawn above is named again but not opened.

        What is more than 20 steps away is indented no further, and its step is said.

        Args:
            limit: The number of lines at most; the last says how many nodes are left.
        """
        lines: list[str] = []
        parts: list[tuple[str, dict[NodeId, list[NodeId]]]] = []
        if self.direction in ("upstream", "both"):
            parts.append(("made of", self.inputs))
        if self.direction in ("downstream", "both"):
            parts.append(("used by", self.outputs))
        for root in self.roots:
            lines.append(_label(root))
            for title, children in parts:
                if len(parts) > 1:
                    lines.append(f"  {title}" if children.get(root.key) else f"  {title} nothing")
                elif not children.get(root.key):
                    lines.append(f"  {title} nothing")
                if not self._branches(root.key, children, lines, limit):
                    more = "" if self.complete else "more than "
                    lines.append(f"… {more}{len(self.nodes):,} nodes in all")
                    return "\n".join(lines)
        if not self.complete:
            lines.append(f"… these are the {len(self.nodes):,} nearest nodes; a higher limit shows more")
        return "\n".join(lines)

    def _branches(
        self, root: NodeId, children: dict[NodeId, list[NodeId]], lines: list[str], limit: int | None
    ) -> bool:
        shown = {root}
        margin = "  " if self.direction == "both" else ""
        stack = [(key, margin, 1, index == 0) for index, key in enumerate(reversed(children.get(root, [])))]
        while stack:
            if limit is not None and len(lines) >= limit:
                return False
            key, indent, step, last = stack.pop()
            below = children.get(key, [])
            again = key in shown
            note = "  (see above)" if again and below else ""
            far = f"step {step:,} " if step > _INDENTED else ""
            lines.append(f"{indent}{'└─' if last else '├─'} {far}{_label(self._nodes[key])}{note}")
            if again:
                continue
            shown.add(key)
            deeper = indent + ("   " if last else "│  ") if step < _INDENTED else indent
            stack += [(one, deeper, step + 1, index == 0) for index, one in enumerate(reversed(below))]
        return True

    def __str__(self) -> str:
        return self.tree(limit=_TREE_LINES)

    def _repr_html_(self) -> str:
        from lakefolio.lineage.drawing import picture

        return picture(self)

    def to_dict(self) -> dict[str, Any]:
        """The graph as JSON-able values: ``roots``, ``nodes`` and ``edges`` (by ref)."""
        return {
            "direction": self.direction,
            "complete": self.complete,
            "roots": [root.ref for root in self.roots],
            "nodes": [node.to_dict() for node in self.nodes],
            "edges": [
                {
                    "output": self._nodes[edge.output].ref,
                    "input": self._nodes[edge.input].ref,
                    "run_id": edge.run_id,
                    "role": edge.role,
                }
                for edge in self.edges
            ],
        }

    def to_mermaid(self) -> str:
        """Return the graph as Mermaid text, inputs on the left."""
        from lakefolio.lineage.drawing import mermaid

        return mermaid(self)

    def to_html(self, title: str | None = None) -> str:
        """Return a page of its own that shows the graph: no script, nothing loaded from elsewhere."""
        from lakefolio.lineage.drawing import html_page

        return html_page(self, title)

    def to_openlineage(self, namespace: str = "lakefolio") -> list[dict[str, Any]]:
        """Return OpenLineage run events, one for each run, and for each entry made outside of any.

        Args:
            namespace: The namespace of the lake's jobs and datasets, its URI best.

        Source: OpenLineage specification 2-0-2.
        """
        from lakefolio.lineage.openlineage import run_events

        return run_events(self, namespace, self.run_names)


def _label(node: Node) -> str:
    said = node.kind or node.name
    return visible(f"{node.ref}  {said}" if said else node.ref, keep="")


@facade({})
class Lineage(Graph):
    """Everything that some entries were made of, and everything that was made of them.

    Made of the whole lake's edges; only reached nodes are looked up and kept.
    """

    def __init__(
        self,
        edges: pa.Table,
        manifests: pa.Table,
        roots: Iterable[str],
        run_names: Mapping[str, str] | None = None,
        *,
        depth: int | None = None,
        limit: int | None = None,
        cut: bool = False,
    ) -> None:
        """Walk both ways from the roots.

        Args:
            edges: The visible rows of ``lineage``.
            manifests: The rows of ``manifests``, in which the entries are looked up.
            roots: The ids of the entries to begin at.
            run_names: The names of runs, by id.
            depth: How many steps to go each way at most.
            limit: How many nodes to keep each way at most, the nearest.
            cut: Whether there are more edges than those given.
        """
        self._links = _Links(edges)
        self._limit = limit
        self._root_keys: list[NodeId] = [("entry", root) for root in roots]
        reached, found, left_out = self._links.walk(self._root_keys, "both", depth, limit)
        nodes = _look_up(reached, manifests, self._links, found, run_names or {})
        links = [self._links.edge(number) for number in found]
        roots_found = [nodes[key] for key in self._root_keys]
        super().__init__(nodes, links, roots_found, "both", run_names, complete=not (cut or left_out))

    def upstream(self, depth: int | None = None) -> Graph:
        """Return the direct and indirect inputs of the roots.

        Args:
            depth: How many steps to go at most; all the way if None.
        """
        return self._part("upstream", depth)

    def downstream(self, depth: int | None = None) -> Graph:
        """Return the direct and indirect dependents of the roots.

        Args:
            depth: How many steps to go at most; all the way if None.
        """
        return self._part("downstream", depth)

    def _part(self, direction: Direction, depth: int | None) -> Graph:
        reached, found, _ = self._links.walk(self._root_keys, direction, depth, self._limit)
        nodes = {key: self._nodes[key] for key in reached if key in self._nodes}
        links = [edge for edge in map(self._links.edge, found) if edge.output in nodes and edge.input in nodes]
        return Graph(nodes, links, self.roots, direction, self.run_names, complete=self.complete)


class _Links:
    """The edges of a lake as columns, with the positions of each node's edges in both directions."""

    def __init__(self, edges: pa.Table) -> None:
        names = ("output_kind", "output_id", "input_kind", "input_id", "input_uri", "run_id", "role")
        out_kind, out_id, in_kind, in_id, in_uri, self._runs, self._roles = (
            edges.column(name).to_pylist() for name in names
        )
        self.table = edges
        self.outputs: list[NodeId] = list(zip(out_kind, out_id, strict=True))
        self.inputs: list[NodeId] = [
            (kind, (one or uri or "?") if kind != "external" else (uri or one or "?"))
            for kind, one, uri in zip(in_kind, in_id, in_uri, strict=True)
        ]
        self._by_output: dict[NodeId, list[int]] = {}
        self._by_input: dict[NodeId, list[int]] = {}
        for number, (output, source) in enumerate(zip(self.outputs, self.inputs, strict=True)):
            self._by_output.setdefault(output, []).append(number)
            self._by_input.setdefault(source, []).append(number)

    def edge(self, number: int) -> Edge:
        return Edge(self.outputs[number], self.inputs[number], self._runs[number], self._roles[number])

    def walk(
        self, roots: list[NodeId], direction: Direction, depth: int | None, limit: int | None = None
    ) -> tuple[list[NodeId], list[int], bool]:
        """Return the nodes reached, by distance, the positions of the edges taken, in order, and if any were left out.

        Args:
            roots: Where to begin.
            direction: Which way to go.
            depth: How many steps to go at most.
            limit: How many nodes to reach each way at most, beside the roots.
        """
        reached: dict[NodeId, int] = dict.fromkeys(roots, 0)
        taken: set[int] = set()
        left_out = False
        for way, numbers, ends in (
            ("upstream", self._by_output, self.inputs),
            ("downstream", self._by_input, self.outputs),
        ):
            if direction not in (way, "both"):
                continue
            seen = set(roots)
            queue = deque((root, 0) for root in seen)
            while queue:
                key, distance = queue.popleft()
                if depth is not None and distance >= depth:
                    continue
                for number in numbers.get(key, ()):
                    end = ends[number]
                    if end not in seen and limit is not None and len(seen) >= limit + len(roots):
                        left_out = True
                        continue
                    taken.add(number)
                    if end not in seen:
                        seen.add(end)
                        reached[end] = min(reached.get(end, distance + 1), distance + 1)
                        queue.append((end, distance + 1))
        return sorted(reached, key=reached.__getitem__), sorted(taken), left_out


def _look_up(
    keys: list[NodeId], manifests: pa.Table, links: _Links, numbers: list[int], run_names: Mapping[str, str]
) -> dict[NodeId, Node]:
    """Make the nodes; an entry that no row puts is still told by the edges that name it."""
    wanted = pa.array([one for kind, one in keys if kind == "entry"], pa.string())
    chosen = pc.and_(pc.equal(manifests.column("op"), "put"), pc.is_in(manifests.column("entry_id"), value_set=wanted))
    rows = dicts_of(manifests.select(_ENTRY_COLUMNS).filter(chosen))
    known: dict[str, dict[str, Any]] = {}
    for row in rows:
        known.setdefault(row["entry_id"], row)
    missing = {key for key in keys if key[0] == "entry" and key[1] not in known}
    if missing:
        for number in numbers:
            for key, end in ((links.outputs[number], "output"), (links.inputs[number], "input")):
                if key in missing:
                    folio, item = (links.table.column(f"{end}_{name}")[number].as_py() for name in ("folio", "item"))
                    known.setdefault(key[1], {"folio": folio, "item": item})
    nodes = {}
    for key in keys:
        values = dict(known.get(key[1], {})) if key[0] == "entry" else {}
        values.pop("entry_id", None)
        nodes[key] = Node(key[0], key[1], **values, name=run_names.get(key[1]) if key[0] == "run" else None)
    return nodes


def graph(edges: pa.Table, entries: pa.Table) -> dict[str, list[str]]:
    """Return item -> the names of its inputs, for the items of one folio (one pass over the edges).

    Args:
        edges: The visible rows of ``lineage``.
        entries: The live entries: ``folio``, ``item`` and ``entry_id``. All of them get a key.

    An input in the same folio is named by its item, another by ``folio:item``, an external one by its URI, a
    run by its id. Inputs keep the order they were given in; each is named once.
    """
    ids, items, folios = (entries.column(name).to_pylist() for name in ("entry_id", "item", "folio"))
    found: dict[str, dict[str, None]] = {}
    where = dict(zip(ids, zip(folios, items, strict=True), strict=True))
    wanted = pc.and_(
        pc.equal(edges.column("output_kind"), "entry"),
        pc.is_in(edges.column("output_id"), value_set=pa.array(ids, pa.string())),
    )
    names = ["output_id", "input_kind", "input_id", "input_folio", "input_item", "input_uri"]
    chosen = edges.filter(wanted).sort_by("ordinal").select(names)
    columns = [column.to_pylist() for column in chosen.columns]
    for output_id, kind, input_id, folio, item, uri in zip(*columns, strict=True):
        own_folio, own_item = where[output_id]
        if kind == "entry":
            name = item if folio == own_folio else f"{folio}:{item}"
        else:
            name = uri or input_id or "?"
        found.setdefault(own_item, {})[name] = None
    return {item: list(found.get(item, ())) for item in items}

"""What a change of an item, or of some of its columns, reaches downstream (pure: no I/O).

Columns follow the edges that say which columns were used (FORMAT.md, "Tables", ``details`` of inputs). An edge that
says nothing passes on everything: what is reached by it *may* be affected in any column. So nothing is left out, and a
column is named only where that is known.
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lakefolio.lineage.nodes import NodeId
from lakefolio.render.report import AsText, Listing
from lakefolio.render.text import counted
from lakefolio.terminal import visible

__all__ = ["Affected", "Impact", "reached_columns"]

_SHOWN: Final = 12


@dataclass(frozen=True, slots=True)
class Affected:
    """An item that a change reaches.

    Attributes:
        ref: Its newest entry, ``folio:item@version``.
        steps: How many steps of making lie between, at least 1.
        columns: Its columns that are affected; None if that is not known, so that all of them may be.
    """

    ref: str
    steps: int
    columns: tuple[str, ...] | None

    def to_dict(self) -> dict[str, Any]:
        """The attributes as JSON-able values."""
        return {"ref": self.ref, "steps": self.steps, "columns": None if self.columns is None else list(self.columns)}


class Impact(AsText, Listing[Affected]):
    """The items that a change reaches, nearest first; see ``Lake.impact``. Prints as a list."""

    def __init__(self, ref: str, column: str | None, affected: Sequence[Affected]) -> None:
        self.ref = ref
        self.column = column
        super().__init__(affected)

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON-able values."""
        return {"ref": self.ref, "column": self.column, "affected": [one.to_dict() for one in self]}

    def __str__(self) -> str:
        what = self.ref if self.column is None else f"column {self.column} of {self.ref}"
        lines = [f"{what} reaches {counted(len(self), 'item')}"]
        for one in self:
            shown = "any column" if one.columns is None else ", ".join(one.columns[:_SHOWN])
            more = "" if one.columns is None or len(one.columns) <= _SHOWN else f" and {len(one.columns) - _SHOWN} more"
            lines.append(f"  {one.ref}  {shown}{more}")
        return "\n".join(visible(line, keep="") for line in lines)


_Edge = tuple[NodeId, NodeId, str | None]
Reached = dict[NodeId, tuple[int, frozenset[str] | None]]
"""Node -> the steps to it, and its affected columns; None for all."""


def reached_columns(
    edges: Iterable[_Edge],
    roots: Collection[NodeId],
    columns: frozenset[str] | None,
    known: Mapping[NodeId, Sequence[str]] | None = None,
) -> Reached:
    """Return what is downstream of some nodes, and which of its columns.

    Args:
        edges: Output, input and the details of each edge.
        roots: The nodes that change.
        columns: Their columns that do; None for all.
        known: The columns of nodes, as far as they are known: all of them are named where rows change.
    """
    below: dict[NodeId, list[tuple[NodeId, str | None]]] = defaultdict(list)
    for output, source, details in _without_runs(edges):
        below[source].append((output, details))
    found: Reached = dict.fromkeys(roots, (0, columns))
    queue = deque(roots)
    while queue:  # columns of a node only ever become more, so this ends on cycles too
        node = queue.popleft()
        steps, mine = found[node]
        for output, details in below[node]:
            if output in roots:
                continue
            passed = _passed(mine, details, (known or {}).get(output))
            if passed is not None and not passed:
                continue
            before = found.get(output)
            if before is None:
                found[output] = (steps + 1, passed)
            else:
                merged = None if before[1] is None or passed is None else before[1] | passed
                if (min(before[0], steps + 1), merged) == before:
                    continue
                found[output] = (min(before[0], steps + 1), merged)
            queue.append(output)
    return {node: one for node, one in found.items() if node not in roots}


def _without_runs(edges: Iterable[_Edge]) -> Iterator[_Edge]:
    """Give the edges between entries; one through a run only where the output does not name the input itself."""
    used: dict[NodeId, list[NodeId]] = defaultdict(list)
    made: dict[NodeId, list[NodeId]] = defaultdict(list)
    direct: set[tuple[NodeId, NodeId]] = set()
    for output, source, details in edges:
        if output[0] == "run":
            used[output].append(source)
        elif source[0] == "run":
            made[source].append(output)
        else:
            direct.add((output, source))
            yield output, source, details
    for run, outputs in made.items():
        yield from ((output, one, None) for output in outputs for one in used[run] if (output, one) not in direct)


def _passed(
    columns: frozenset[str] | None, details: str | None, outputs: Sequence[str] | None
) -> frozenset[str] | None:
    """Return the columns of an output that some columns of its input reach; None for all."""
    said = _decoded(details)
    if said is None:
        return None
    if columns is None:
        rows: Any = said["rows"]
        made = said["columns"].keys()
    else:
        rows = columns.intersection(said["rows"])
        made = [output for output, used in said["columns"].items() if columns.intersection(used)]
    if rows:
        return frozenset(outputs) if outputs is not None else None
    return frozenset(made)


def _decoded(details: str | None) -> dict[str, Any] | None:
    """Return what an edge says of columns, None if it says nothing, or nothing that can be read."""
    try:
        value = json.loads(details) if details else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or not isinstance(value.get("columns"), dict):
        return None
    rows = value.get("rows") or []
    lists = [rows, *value["columns"].values()]
    if not all(isinstance(one, list) and all(isinstance(name, str) for name in one) for one in lists):
        return None
    return {"columns": value["columns"], "rows": rows}

"""The lineage around an item as positions and plain values, with what is stale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lakefolio.format.arrow_rows import dicts_of
from lakefolio.session.session import session_of
from lakefolio.status.reading import stale_among

if TYPE_CHECKING:
    from lakefolio.lake import Lake

__all__ = ["graph"]

NODES: Final = 600
_BEHIND: Final = 1_000
"""Stale items are looked for among so many items behind the nodes."""


def graph(lake: Lake, ref: str, depth: int | None) -> dict[str, Any]:
    """Return the nodes nearest to an item, and the edges between them.

    An entry is stale if its item has no newer one and ``lake.status()`` calls the item stale. The cost does not grow
    with what lies further away: ``complete`` says whether ``total`` counts all nodes, ``stale_complete`` whether
    all that makes them stale was looked at.

    Args:
        lake: The lake.
        ref: The item: ``folio:name[@version]``.
        depth: How many steps to go each way; None goes on to the ends.
    """
    found = lake.lineage(ref, depth=depth, limit=NODES)
    up, down = found.upstream(), found.downstream()
    nodes = {node.key: node for node in found.roots}
    ways = [iter(up), iter(down)]
    while ways:  # the nearest of both ways in turn, so that neither is all that is shown
        for way in list(ways):
            node = next(way, None)
            if node is None:
                ways.remove(way)
            elif len(nodes) < NODES:
                nodes.setdefault(node.key, node)
    position = {key: number for number, key in enumerate(nodes)}
    edges = {
        (position[edge.output], position[edge.input]): edge.run_id
        for edge in (*up.edges, *down.edges)
        if edge.output in position and edge.input in position
    }
    session = session_of(lake).steady()
    items = {(node.folio, node.item) for node in nodes.values() if node.folio is not None and node.item is not None}
    heads = dicts_of(session.committed().heads_of(items))
    live = {("entry", row["entry_id"]) for row in heads} & nodes.keys()
    asked = {(row["folio"], row["item"]) for row in heads if ("entry", row["entry_id"]) in live}
    stale, stale_complete = stale_among(session, asked, _BEHIND)
    return {
        "nodes": [
            {
                **node.to_dict(),
                "name": node.name,
                "current": node.type != "entry" or key in live,
                "stale": key in live and (node.folio, node.item) in stale,
            }
            for key, node in nodes.items()
        ],
        "edges": [[output, source, run_id] for (output, source), run_id in edges.items()],
        "total": len(found.nodes),
        "complete": found.complete,
        "stale_complete": stale_complete,
    }

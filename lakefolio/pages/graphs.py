"""The lineage around an item as positions and plain values, with what is stale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lakefolio.session.session import session_of
from lakefolio.status.reading import stale_among

if TYPE_CHECKING:
    from lakefolio.lake import Lake
    from lakefolio.lineage.graph import Graph
    from lakefolio.lineage.nodes import NodeId

__all__ = ["graph"]

NODES: Final = 600


def graph(lake: Lake, ref: str, depth: int | None) -> dict[str, Any]:
    """Return the nodes nearest to an item, and the edges between them.

    An entry is stale if its item has no newer one and ``lake.status()`` calls the item stale.

    Args:
        lake: The lake.
        ref: The item: ``folio:name[@version]``.
        depth: How many steps to go each way; None goes on to the ends.
    """
    found = lake.lineage(ref)
    up, down = found.upstream(depth), found.downstream(depth)
    nodes = {node.key: node for node in found.roots}
    ways = [iter(up), iter(down)]
    while ways:  # the nearest of both ways in turn, so that neither is all that is shown
        for way in list(ways):
            node = next(way, None)
            if node is None:
                ways.remove(way)
            elif len(nodes) < NODES:
                nodes.setdefault(node.key, node)
    total = len({node.key for node in (*up.nodes, *down.nodes)})
    position = {key: number for number, key in enumerate(nodes)}
    edges = {
        (position[edge.output], position[edge.input]): edge.run_id
        for edge in (*up.edges, *down.edges)
        if edge.output in position and edge.input in position
    }
    live = _live(lake, found)
    names = _names(lake, [node.id for node in nodes.values() if node.type == "run"])
    stale = stale_among(
        session_of(lake).steady(), {(node.folio or "", node.item or "") for node in nodes.values() if node.key in live}
    )
    return {
        "nodes": [
            {
                **node.to_dict(),
                "name": names.get(node.id),
                "current": node.type != "entry" or key in live,
                "stale": key in live and (node.folio, node.item) in stale,
            }
            for key, node in nodes.items()
        ],
        "edges": [[output, source, run_id] for (output, source), run_id in edges.items()],
        "total": total,
    }


def _live(lake: Lake, found: Graph) -> set[NodeId]:
    """Return the entries that are the newest of their items."""
    ids = [node.id for node in found.nodes if node.type == "entry"]
    rows = lake.sql("select entry_id from items where entry_id in (select unnest($ids))", {"ids": ids}).fetchall()
    return {("entry", entry_id) for (entry_id,) in rows}


def _names(lake: Lake, runs: list[str]) -> dict[str, str | None]:
    """Return run id -> name."""
    if not runs:
        return {}
    query = "select run_id, name from runs where run_id in (select unnest($ids))"
    return dict(lake.sql(query, {"ids": runs}).fetchall())

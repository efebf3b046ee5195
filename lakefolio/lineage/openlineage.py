"""Lineage graphs as OpenLineage events (pure: no I/O).

Source: OpenLineage specification 2-0-2, https://openlineage.io/spec/2-0-2/OpenLineage.json. One COMPLETE
event for each run; an entry made outside of any run counts as made by a run of its own, so that inputs and
outputs of one batch are not mixed up.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lakefolio.lineage.graph import Graph
    from lakefolio.lineage.nodes import Node, NodeId

__all__ = ["run_events"]

PRODUCER: Final = "https://pypi.org/project/lakefolio/"
_SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json"
_FACETS = "https://openlineage.io/spec/facets"
_RUNS = uuid.uuid5(uuid.NAMESPACE_URL, "lakefolio:run")


def _facet(schema: str, **values: object) -> dict[str, object]:
    return {"_producer": PRODUCER, "_schemaURL": f"{_FACETS}/{schema}", **values}


def _dataset(node: Node, namespace: str) -> dict[str, object]:
    if node.type != "entry":
        parts = urlsplit(node.id)
        if node.type == "external" and parts.netloc:
            return {
                "namespace": f"{parts.scheme}://{parts.netloc}",
                "name": parts.path.lstrip("/") or "/",
                "facets": {},
            }
        return {"namespace": "file" if node.type == "external" else namespace, "name": node.id, "facets": {}}
    facets: dict[str, object] = {}
    if node.version is not None:
        facets["version"] = _facet(
            "1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet",
            datasetVersion=str(node.version),
        )
    if node.description:
        facets["documentation"] = _facet(
            "1-0-1/DocumentationDatasetFacet.json#/$defs/DocumentationDatasetFacet",
            description=node.description,
        )
    facets["lakefolio_entry"] = {
        "_producer": PRODUCER,
        "_schemaURL": f"{_SCHEMA}#/$defs/DatasetFacet",
        "entryId": node.id,
        **{
            name: value
            for name, value in (("kind", node.kind), ("digest", node.digest), ("sizeBytes", node.size_bytes))
            if value is not None
        },
    }
    name = f"{node.folio}/{node.item}" if node.item is not None else node.id
    return {"namespace": namespace, "name": name, "facets": facets}


def _output(node: Node, namespace: str) -> dict[str, object]:
    dataset = _dataset(node, namespace)
    statistics = {
        name: value for name, value in (("rowCount", node.row_count), ("size", node.size_bytes)) if value is not None
    }
    if statistics:
        dataset["outputFacets"] = {
            "outputStatistics": _facet(
                "1-0-2/OutputStatisticsOutputDatasetFacet.json#/$defs/OutputStatisticsOutputDatasetFacet",
                **statistics,
            )
        }
    return dataset


def run_events(graph: Graph, namespace: str, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the events, oldest first; each validates against the specification's RunEvent.

    A job is the work that runs of one name did, as a catalogue shows their history; a run without a name is its own.

    Args:
        graph: The lineage.
        namespace: The namespace of jobs and datasets.
        names: The names of runs, by id.
    """
    inputs: dict[NodeId, dict[NodeId, None]] = {}
    outputs: dict[NodeId, dict[NodeId, None]] = {}
    made_by = {edge.output: edge.input for edge in graph.edges if edge.input[0] == "run"}
    for edge in graph.edges:
        if edge.output[0] == "run":
            run = edge.output
        else:
            run = ("run", edge.run_id) if edge.run_id else made_by.get(edge.output, edge.output)
            outputs.setdefault(run, {})[edge.output] = None
        if edge.input[0] == "run":  # an output of a run names the run as its input
            outputs.setdefault(edge.input, {})[edge.output] = None
            continue
        inputs.setdefault(run, {})[edge.input] = None
        outputs.setdefault(run, {})
    events = []
    for run, made in outputs.items():
        nodes = [graph.node(key) for key in made]
        times = [node.committed_at for node in nodes if node.committed_at is not None]
        used = [graph.node(key) for key in inputs.get(run, {})]
        times = times or [node.committed_at for node in used if node.committed_at is not None]
        when = max(times, default=datetime.fromtimestamp(0, UTC))
        name = f"run/{names.get(run[1], run[1])}" if run[0] == "run" else f"{nodes[0].folio}/{nodes[0].item}"
        events.append(
            {
                "eventType": "COMPLETE",
                "eventTime": when.astimezone(UTC).isoformat().replace("+00:00", "Z"),
                "run": {"runId": str(uuid.uuid5(_RUNS, "/".join(run))), "facets": {}},
                "job": {"namespace": namespace, "name": name, "facets": {}},
                "inputs": [_dataset(node, namespace) for node in used],
                "outputs": [_output(node, namespace) for node in nodes],
                "producer": PRODUCER,
                "schemaURL": f"{_SCHEMA}#/$defs/RunEvent",
            }
        )
    return sorted(events, key=lambda event: str(event["eventTime"]))

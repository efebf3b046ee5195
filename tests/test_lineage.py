"""Walks through lineage and the ways to draw it."""

from __future__ import annotations

import json
import re
import uuid
from datetime import datetime
from html.parser import HTMLParser

import pyarrow as pa
import pytest
from sql.lake_tables import Rows, small_lake

import lakefolio
from lakefolio.format.schema import LINEAGE_SCHEMA, MANIFESTS_SCHEMA
from lakefolio.lineage.graph import Lineage, graph


def edges_of(manifests):
    """Return ``lineage`` as it follows from rows of the journal; an entry that is put again says the same again."""
    edges, said = [], set()
    for row in manifests.to_pylist():
        is_put = row["op"] == "put"
        if row["op"] not in ("put", "run") or (is_put and row["entry_id"] in said):
            continue
        said.add(row["entry_id"])
        output = {"output_kind": "entry" if is_put else "run", "output_id": row["entry_id" if is_put else "run_id"]}
        output |= {"output_folio": row["folio"], "output_item": row["item"]}
        output |= {name: row[name] for name in ("version", "commit_id")}
        edges += [{**output, **edge, "ordinal": place} for place, edge in enumerate(row["inputs"] or ())]
    return pa.Table.from_pylist(edges, LINEAGE_SCHEMA)


def lineage(lake, *roots):
    manifests = lake.tables()["manifests"]
    return Lineage(edges_of(manifests), manifests, roots)


def diamond():
    """raw -> left, right -> joined -> report, with a run and an external source."""
    lake = Rows().put("a", "raw", inputs=["s3://bucket/raw.csv"]).commit()  # e1
    lake.put("a", "left", inputs=["e1"]).put("a", "right", inputs=["e1"]).commit()  # e2 e3
    lake.put("b", "joined", inputs=["e2", "e3", "run:r1"], run_id="r1", kind="table", description="all").commit()  # e4
    lake.put("b", "report", inputs=["e4"]).commit()  # e5
    (joined,) = (row for row in lake.rows["manifests"] if row["entry_id"] == "e4")
    for edge in joined["inputs"]:
        edge["run_id"] = "r1"
    return lake


def refs(nodes):
    return [node.ref for node in nodes]


def test_upstream_is_everything_it_was_made_of_nearest_first():
    found = lineage(diamond(), "e5").upstream()
    assert refs(found) == ["b:joined@3", "a:left@2", "a:right@2", "run r1", "a:raw@1", "s3://bucket/raw.csv"]
    joined = next(iter(found))
    assert (joined.type, joined.folio, joined.item, joined.version, joined.kind) == ("entry", "b", "joined", 3, "table")
    assert joined.digest.startswith("sha256:")
    assert [node.type for node in found][3:] == ["run", "entry", "external"]


def test_downstream_is_everything_made_of_it():
    found = lineage(diamond(), "e1").downstream()
    assert refs(found) == ["a:left@2", "a:right@2", "b:joined@3", "b:report@4"]
    assert "b:report" in found
    assert "b:report@4" in found
    assert "a:raw" not in found


@pytest.mark.parametrize(("depth", "count"), [(0, 0), (1, 1), (2, 4), (3, 5), (4, 6), (99, 6)])
def test_depth_counts_steps(depth, count):
    found = lineage(diamond(), "e5").upstream(depth=depth)
    assert len(found) == count
    assert all({edge.output, edge.input} <= {node.key for node in found.nodes} for edge in found.edges)


def test_both_ways_from_the_middle():
    found = lineage(diamond(), "e2")
    assert set(refs(found)) == {"a:raw@1", "s3://bucket/raw.csv", "b:joined@3", "b:report@4"}
    # (the sibling and the run of what was made of it are neither)
    assert "a:right" not in found


def test_the_tree():
    assert str(lineage(diamond(), "e5").upstream()) == "\n".join(
        [
            "b:report@4  json",
            "└─ b:joined@3  table",
            "   ├─ a:left@2  json",
            "   │  └─ a:raw@1  json",
            "   │     └─ s3://bucket/raw.csv",
            "   ├─ a:right@2  json",
            "   │  └─ a:raw@1  json  (see above)",
            "   └─ run r1",
        ]
    )
    assert "made of nothing" in str(lineage(Rows().put("a", "x").commit(), "e1").upstream())
    assert repr(lineage(diamond(), "e2")).count("\n") == 6


def test_an_entry_put_again_is_one_node():
    lake = small_lake()
    found = lineage(lake, "e2").upstream()
    assert found.roots[0].version == 2
    assert refs(found) == ["a:raw@1", "s3://bucket/raw.csv"]


def test_an_entry_that_no_row_puts_is_told_by_its_edges():
    lake = diamond()
    lake.rows["manifests"] = [row for row in lake.rows["manifests"] if row["entry_id"] != "e1"]
    assert "a:raw" in refs(lineage(lake, "e5").upstream())


def test_cycles_end():
    lake = Rows().put("a", "x", inputs=["e2", "e1"]).put("a", "y", inputs=["e1"]).commit()
    found = lineage(lake, "e1")
    assert refs(found) == ["a:y@1"]
    assert "(see above)" in str(found.upstream())
    assert found.to_html().count("<rect ") == 2
    assert found.to_mermaid().count("-->") == 3
    assert found.to_openlineage()


def chain(length):
    ids = [f"e{number}" for number in range(length)]
    empty = pa.nulls(length - 1, pa.string())
    edges = {
        "version": list(range(1, length)),
        "commit_id": ids[1:],
        "ordinal": list(range(length - 1)),
        "output_kind": ["entry"] * (length - 1),
        "output_id": ids[1:],
        "input_kind": ["entry"] * (length - 1),
        "input_id": ids[:-1],
    }
    table = pa.table(
        {
            field.name: pa.array(edges[field.name], field.type) if field.name in edges else empty.cast(field.type)
            for field in LINEAGE_SCHEMA
        }
    )
    return table, MANIFESTS_SCHEMA.empty_table()


def test_ten_thousand_edges_in_a_row():
    edges, manifests = chain(10_001)
    found = Lineage(edges, manifests, ["e10000"])
    assert len(found.upstream()) == 10_000
    assert len(found.downstream()) == 0
    assert len(str(found.upstream()).splitlines()) <= 202
    assert max(map(len, found.upstream().tree().splitlines())) < 100  # a line is no longer for being deep down
    assert "└─ step 10,000 " in found.upstream().tree().splitlines()[-1]
    page = found.upstream().to_html()
    assert page.count("<rect ") == 500
    assert len(page) < 1_000_000


def test_one_input_of_ten_thousand():
    edges, manifests = chain(10_001)
    edges = edges.set_column(edges.column_names.index("input_id"), "input_id", pa.array(["hub"] * 10_000))
    found = Lineage(edges, manifests, ["hub"]).downstream(depth=1)
    assert len(found) == 10_000


# -- pictures --------------------------------------------------------------------------------------------------


def nasty():
    lake = Rows().put("a", "plain").commit()
    lake.put("<script>alert(1)</script>", '"]; click n0 "x"', inputs=["e1", "s3://b/<img src=x onerror=1>"]).commit()
    return lineage(lake, "e2")


def test_mermaid():
    text = lineage(diamond(), "e4").to_mermaid()
    assert text.startswith("graph LR\n")
    assert text.count("-->") == 7
    assert '["b:joined@3"]' in text
    assert re.search(r"\(\[\"run r1\"\]\)", text)
    for line in nasty().to_mermaid().splitlines():
        assert "<" not in line
        assert line.count('"') in (0, 2)


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags = []
        self.links = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("href", "src", "xlink:href") or name.startswith("on")]


@pytest.mark.parametrize("make", [lambda: lineage(diamond(), "e4"), nasty])
def test_the_page_stands_alone_and_runs_nothing(make):
    page = Page()
    text = make().to_html()
    page.feed(text)
    assert not set(page.tags) & {"script", "img", "link", "iframe", "object", "foreignobject"}
    assert page.links == []
    assert "default-src 'none'" in text
    assert page.tags.count("rect") == len(make().nodes)
    assert "url(" not in text


def test_the_page_shows_every_node_and_no_two_boxes_overlap():
    text = lineage(diamond(), "e4").to_html(title="A & B")
    assert "<title>A &amp; B</title>" in text
    boxes = [tuple(map(float, found)) for found in re.findall(r'<rect x="([\d.]+)" y="([\d.]+)"', text)]
    width, height = map(float, re.search(r'<svg [^>]*width="(\d+)" height="(\d+)"', text).groups())
    for one, (x, y) in enumerate(boxes):
        assert 0 <= x <= width - 230
        assert 0 <= y <= height - 46
        assert all(abs(x - u) >= 230 or abs(y - v) >= 46 for u, v in boxes[:one])


def test_inputs_stand_left_of_what_was_made_of_them():
    found = lineage(diamond(), "e4")
    at = dict(zip((node.key for node in found.nodes), re.findall(r'<rect x="([\d.]+)"', found.to_html()), strict=True))
    assert all(float(at[edge.input]) < float(at[edge.output]) for edge in found.edges)


# -- OpenLineage -------------------------------------------------------------------------------------------------


def check_event(event):
    """What the specification 2-0-2 requires of a RunEvent and of facets."""
    assert {"eventType", "eventTime", "run", "job", "producer", "schemaURL"} <= set(event)
    assert event["eventType"] == "COMPLETE"
    assert datetime.fromisoformat(event["eventTime"]).tzinfo is not None
    uuid.UUID(event["run"]["runId"])
    assert event["schemaURL"] == "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
    assert {"namespace", "name"} <= set(event["job"])
    for dataset in [*event["inputs"], *event["outputs"]]:
        assert dataset["namespace"]
        assert dataset["name"]
        for facets in (dataset.get("facets", {}), dataset.get("outputFacets", {})):
            for facet in facets.values():
                assert facet["_producer"].startswith("https://")
                assert facet["_schemaURL"].startswith("https://openlineage.io/spec/")


def test_openlineage_has_one_event_for_each_run_and_each_entry_outside_of_runs():
    events = lineage(diamond(), "e4").to_openlineage("s3://bucket/lake")
    for event in events:
        check_event(event)
    assert json.loads(json.dumps(events)) == events
    jobs = {event["job"]["name"]: event for event in events}
    assert set(jobs) == {"a/raw", "a/left", "a/right", "run/r1", "b/report"}
    run = jobs["run/r1"]
    assert sorted(one["name"] for one in run["inputs"]) == ["a/left", "a/right"]
    (output,) = run["outputs"]
    assert (output["namespace"], output["name"]) == ("s3://bucket/lake", "b/joined")
    assert output["facets"]["version"]["datasetVersion"] == "3"
    assert output["facets"]["documentation"]["description"] == "all"
    assert output["outputFacets"]["outputStatistics"]["size"] == 6
    assert jobs["a/raw"]["inputs"] == [{"namespace": "s3://bucket", "name": "raw.csv", "facets": {}}]
    assert [event["eventTime"] for event in events] == sorted(event["eventTime"] for event in events)


def test_openlineage_ids_are_the_same_each_time():
    first, second = (lineage(diamond(), "e4").to_openlineage() for _ in range(2))
    assert first == second
    assert len({event["run"]["runId"] for event in first}) == len(first)


def test_the_job_of_a_run_is_its_name_and_each_run_of_it_an_event_of_its_own(tmp_path):
    lake = lakefolio.open(tmp_path / "lake")
    lake.folio("a").add("data", 1)
    for number in range(2):
        with lake.run("train", run_id=f"r{number}") as run:
            run.input("a:data")
            run.add_output("model", number)
    with lake.run(None, run_id="nameless") as run:
        run.input("a:data")
        run.add_output("model", 3)
    found = lake.lineage("a:data")
    for part in (found, found.downstream(), found.downstream(2)):
        jobs = [(one["job"]["name"], one["run"]["runId"]) for one in part.to_openlineage() if one["inputs"]]
        assert sorted(name for name, _ in jobs) == ["run/nameless", "run/train", "run/train"]
        assert len({run_id for _, run_id in jobs}) == 3
    assert "run r0  train" in str(found)
    assert {node.name for node in found.nodes if node.type == "run"} == {"train", None}


def test_inputs_of_a_run_without_outputs_are_told():
    lake = Rows().put("a", "data").commit()
    lake.uses("r9", "e1").run("r9", type="analysis").commit()
    (event,) = lineage(lake, "e1").to_openlineage()
    check_event(event)
    assert [one["name"] for one in event["inputs"]] == ["a/data"]
    assert event["outputs"] == []


# -- the graph of a folio ------------------------------------------------------------------------------------------


def test_graph_names_inputs_as_the_folio_sees_them():
    lake = diamond()
    lake.put("a", "twice", inputs=["e1", "e1", "e4"]).commit()
    tables = lake.tables()
    puts = tables["manifests"].filter(pa.compute.equal(tables["manifests"]["folio"], "a"))
    assert graph(edges_of(tables["manifests"]), puts) == {
        "raw": ["s3://bucket/raw.csv"],
        "left": ["raw"],
        "right": ["raw"],
        "twice": ["raw", "b:joined"],
    }


def test_graph_of_nothing():
    assert graph(LINEAGE_SCHEMA.empty_table(), MANIFESTS_SCHEMA.empty_table()) == {}


def test_to_dict_is_json():
    told = json.loads(json.dumps(lineage(diamond(), "e4").to_dict()))
    assert told["roots"] == ["b:joined@3"]
    assert {"output": "b:joined@3", "input": "a:left@2", "run_id": "r1", "role": None} in told["edges"]


def test_an_item_with_inputs_of_its_own_is_told_by_the_event_of_its_run(tmp_path) -> None:
    lake = lakefolio.open(tmp_path / "lake")
    lake.folio("f").add_json("raw", 1)
    with lake.run("train"):
        lake.folio("f").add_json("x", 2, inputs=["raw"])
    (event,) = lake.lineage("f:x").upstream().to_openlineage("n")
    assert [one["name"] for one in event["inputs"]] == ["f/raw"]
    assert [one["name"] for one in event["outputs"]] == ["f/x"]


@pytest.mark.parametrize("name", ["train", None])
def test_a_run_is_drawn_under_its_name_and_short_id(tmp_path, name):
    lake = lakefolio.open(tmp_path / "lake")
    with lake.run(name) as run:
        run.add_output("model", 1)
    short = run.run_id[-8:]
    drawn = re.findall(r"<text [^>]*>([^<]*)</text>", lake.lineage(run.outputs[0].ref).to_html())
    assert drawn[2:] == [name or f"run {short}", f"run · {short}"]

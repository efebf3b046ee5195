"""Which outputs are stale, by how far, and in which order they are made again."""

from __future__ import annotations

import copy
import json
import pickle
import random

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from inside import session_of

import lakefolio as lf
from lakefolio.cli import cli
from lakefolio.format.schema import LINEAGE_SCHEMA, MANIFESTS_SCHEMA
from lakefolio.status.order import in_order
from lakefolio.status.reading import stale_among
from lakefolio.status.staleness import PUT_COLUMNS, find_stale


@pytest.fixture
def lake(lake_uri):
    """raw and other -> clean -> model -> report."""
    lake = lf.open(lake_uri)
    folio = lake.folio("a")
    folio.add("raw", 1).add("other", 1)
    folio.add("clean", 2, inputs=["raw", "other"])
    folio.add("model", 3, inputs=["clean"])
    lake.folio("b").add("report", 4, inputs=["a:model"])
    return lake


def steps(status):
    return {f"{one.folio}:{one.item}": one.step for one in status}


def test_nothing_is_stale_before_anything_changes(lake):
    status = lake.status()
    assert (list(status), status.item_count, status.cycles) == ([], 5, ())
    assert str(status) == f"lake, version {lake.version}: nothing is stale"


def test_a_new_input_makes_stale_what_is_made_of_it_in_order(lake):
    before = lake.version
    lake.folio("a").add("raw", 10, overwrite=True).add("raw", 11, overwrite=True)
    status = lake.status()
    assert steps(status) == {"a:clean": 1, "a:model": 2, "b:report": 3}
    clean, model, _ = status
    (cause,) = clean.causes
    assert (cause.folio, cause.item, cause.used_version) == ("a", "raw", 1)
    assert (cause.newest_version, cause.versions_behind) == (lake.version, 2)
    assert cause.time_behind.total_seconds() >= 0
    assert clean.stale_inputs == ()
    assert (model.causes, model.stale_inputs) == ((), (("a", "clean"),))
    assert "raw@1 is now @7 (2 versions, less than a minute behind)" in str(status)
    assert "a:model is stale" in str(status)
    assert list(lake.at(before).status()) == []
    assert list(lake.status(at=before)) == []


def test_made_again_in_that_order_nothing_is_stale(lake):
    lake.folio("a").add("raw", 10, overwrite=True)
    for one in lake.status():
        inputs = [f"{node.folio}:{node.item}" for node in lake.lineage(f"{one.folio}:{one.item}").upstream(1)]
        lake.folio(one.folio).add(one.item, random.random(), inputs=inputs, overwrite=True)
    assert list(lake.status()) == []


def test_equal_content_an_archive_and_a_restore_change_nothing(lake):
    lake.folio("a").add("raw", 1, overwrite=True)
    assert list(lake.status()) == []
    lake.folio("a").archive("raw")
    assert list(lake.status()) == []
    lake.folio("a").add("other", 5, overwrite=True)
    assert len(lake.status()) == 3
    lake.restore(5)
    assert list(lake.status()) == []


def test_stale_content_put_again_is_stale_still(lake):
    folio = lake.folio("a")
    folio.add("clean", 2, inputs=["raw", "other"], overwrite=True)
    folio.add("raw", 10, overwrite=True)
    assert steps(lake.status()) == {"a:clean": 1, "a:model": 2, "b:report": 3}


def test_an_input_that_was_renamed_is_told_by_its_new_name(lake):
    folio = lake.folio("a")
    folio.rename("model", "b:rest")
    (cause,) = lake.status()[0].causes
    assert (cause.newest_version, cause.moved_to) == (None, "b:rest")
    assert "a:model@4 is gone, b:rest has its content" in str(lake.status())
    lake.folio("b").copy_item("rest", "again")
    assert lake.status()[0].causes[0].moved_to is None


def test_an_input_that_is_gone_is_told(lake):
    lake.folio("a").delete("other")
    status = lake.status()
    assert status[0].causes[0].newest_version is None
    assert "other@2 is gone" in str(status)


def test_one_folio_only_and_archived_items(lake):
    lake.folio("a").add("raw", 10, overwrite=True)
    assert steps(lake.status("b")) == {"b:report": 3}
    assert lake.status("b").item_count == 1
    lake.folio("a").archive("model")
    assert steps(lake.status()) == {"a:clean": 1, "b:report": 3}
    assert steps(lake.status(archived=True)) == {"a:clean": 1, "a:model": 2, "b:report": 3}
    with pytest.raises(lf.NotFoundError) as caught:
        lake.status("c")
    assert caught.value.kind == "folio-not-found"


def test_entries_that_were_put_again_give_the_same_answer_as_the_edges_of_the_view_lineage(lake):
    folio = lake.folio("a")
    with lake.run("train") as run:
        run.input("a:raw")
        folio.add("fit", 5, inputs=["other"])
    before = lake.version
    folio.archive("fit")
    folio.add("raw", 10, overwrite=True).add("clean", 7, inputs=["fit"], overwrite=True)
    lake.restore(before)
    folio.archive("clean")
    folio.add("raw", 11, overwrite=True).add("other", 12, overwrite=True).delete("model")
    heads, edges, puts = (
        lake.sql(sql).to_arrow_table()
        for sql in (
            "from items order by folio, item",
            "from lineage order by version, ordinal",
            "from entries order by version, ordinal",
        )
    )
    assert list(lake.status(archived=True)) == list(find_stale(heads, edges, puts))
    assert steps(lake.status(archived=True)) == {"a:clean": 1, "a:fit": 1, "b:report": 1}


def test_an_item_that_was_restored_is_stale_for_what_its_run_read(lake_uri):
    lake = lf.open(lake_uri)
    folio = lake.folio("a").add("raw", 1).add("other", 2)
    with lake.run("train") as run:
        run.input("a:raw")
        folio.add("fit", 5, inputs=["other"])
    before = lake.version
    folio.archive("fit")
    lake.restore(before)
    folio.add("raw", 10, overwrite=True)
    assert steps(lake.status()) == {"a:fit": 1}


def test_a_run_stands_between_its_inputs_and_outputs(lake_uri):
    lake = lf.open(lake_uri)
    folio = lake.folio("a")
    folio.add("raw", 1)
    folio.add("state", 0)
    with lake.run("train") as run:
        run.input("a:raw")
        state = run.input("a:state")
        folio.add("state", state + 1, overwrite=True)
        folio.add("model", 5)
    assert list(lake.status()) == []  # what a run replaces itself is no reason to run again
    folio.add("raw", 2, overwrite=True)
    status = lake.status()
    assert {one.item: one.run_id for one in status} == {"state": run.run_id, "model": run.run_id}
    assert {cause.item for one in status for cause in one.causes} == {"raw"}


def test_items_made_of_each_other_are_named_as_a_cycle(lake_uri):
    lake = lf.open(lake_uri)
    folio = lake.folio("a")
    folio.add("x", 1)
    folio.add("y", 1, inputs=["x"])
    folio.add("x", 2, inputs=["y"], overwrite=True)
    folio.add("z", 1, inputs=["y"])
    status = lake.status()
    assert status.cycles == (("a:x", "a:y"),)
    assert steps(status) == {"a:x": 1, "a:y": 1, "a:z": 2}
    assert "cycle: a:x, a:y are made of each other" in str(status)


def test_a_long_cycle_is_told_by_its_first_items(lake_uri):
    lake = lf.open(lake_uri)
    folio = lake.folio("a")
    with lake.batch():
        folio.add("x000", 0)
        for number in range(1, 60):
            folio.add(f"x{number:03}", number, inputs=[f"x{number - 1:03}"])
        folio.add("x000", 1, inputs=["x059"], overwrite=True)
    status = lake.status()
    assert len(status.cycles[0]) == 60
    assert str(status).splitlines()[-1].endswith("a:x008, a:x009 and 50 more are made of each other")
    assert "a:x010" not in status._repr_html_().partition("cycle: ")[2]


def test_a_status_that_was_pickled_or_copied_says_the_same_cycles(lake_uri):
    lake = lf.open(lake_uri)
    folio = lake.folio("a")
    with lake.batch():
        for one in "pqrstu":
            folio.add(f"{one}0", 1)
            folio.add(f"{one}1", 1, inputs=[f"{one}0"])
    with lake.batch():
        for one in "pqrstu":
            folio.add(f"{one}0", 2, inputs=[f"{one}1"], overwrite=True)
    status = lake.status()
    told = [(one.item, one.cycle) for one in status]
    assert all(len(cycle) == 2 for _, cycle in told)
    for _ in range(10):  # objects of each lie where others lay before
        body = pickle.dumps(status)
        del status
        status = pickle.loads(body)
        assert [(one.item, one.cycle) for one in status] == told
    assert list(copy.deepcopy(status)) == list(status)


def test_a_status_is_a_sequence_as_any_other(lake):
    lake.folio("a").add("raw", 10, overwrite=True)
    status = lake.status()
    assert (status[-1], status[::-1]) == (list(status)[-1], tuple(reversed(status)))
    for place, error in ((3, IndexError), (-4, IndexError), ("a", TypeError), (1.0, TypeError), (None, TypeError)):
        with pytest.raises(error):
            status[place]


def test_an_item_made_of_its_own_past_is_not_stale(lake_uri):
    folio = lf.open(lake_uri).folio("a")
    folio.add("x", 1)
    folio.add("x", 2, inputs=["x"], overwrite=True)
    assert list(lf.open(lake_uri).status()) == []


def test_members_of_a_dataset_hold_their_version(lake):
    lake.create_dataset("d", ["a:raw"])
    lake.folio("b").add("fit", 1, inputs=["datasets/d:raw"])
    lake.folio("a").add("raw", 10, overwrite=True)
    assert "datasets/d:raw" not in steps(lake.status())
    assert "b:fit" not in steps(lake.status())


def test_frames_and_json_say_the_same(lake):
    lake.folio("a").add("raw", 10, overwrite=True)
    status = lake.status()
    rows = status.to_arrow().to_pylist()
    assert [row["ref"] for row in rows] == ["a:clean@3", "a:model@4", "b:report@5"]
    assert rows[0]["causes"][0]["ref"] == "a:raw"
    assert status.to_polars().height == len(status.to_pandas()) == 3
    done = CliRunner().invoke(cli, ["--lake", lake.uri, "--json", "status"])
    assert done.exit_code == 0
    assert [one["ref"] for one in json.loads(done.stdout)["stale"]] == [row["ref"] for row in rows]
    assert "a:clean@3" in status._repr_html_()


def test_the_page_marks_exactly_what_status_tells(lake_uri):
    lake = lf.open(lake_uri)
    rng = random.Random(7)
    names = [f"n{number}" for number in range(12)]
    for step in range(60):
        name = rng.choice(names)
        there = [f"{one.folio}:{one.item}" for one in lake.items()]
        inputs = rng.sample(there, min(len(there), rng.randrange(3)))
        if rng.random() < 0.1 and f"a:{name}" in there:
            lake.folio("a").delete(name)
        else:
            lake.folio("a").add(name, rng.randrange(3) if step % 2 else step, inputs=inputs, overwrite=True)
    told = {(one.folio, one.item) for one in lake.status()}
    live = {(one.folio, one.item) for one in lake.items()}
    assert told
    assert stale_among(session_of(lake).steady(), live) == (told, True)
    for name in live:
        assert stale_among(session_of(lake).steady(), {name}) == (told & {name}, True)


def test_a_chain_of_any_length_is_ordered_without_recursion():
    count = 20_000
    steps, cycles = in_order(count, np.arange(1, count), np.arange(count - 1))
    assert (steps, cycles) == ([*range(1, count + 1)], {})
    steps, cycles = in_order(count, np.arange(count), np.array([count - 1, *range(count - 1)]))
    assert set(steps) == {1}
    assert len(cycles[0]) == count
    assert all(one is cycles[0] for one in cycles.values())


def test_any_graph_is_ordered_as_what_each_node_reaches_says():
    rng = np.random.default_rng(3)
    for _ in range(100):
        count, items = 12, 8
        made = rng.random((count, count)) < 0.12
        outputs, sources = np.nonzero(made)
        steps, cycles = in_order(count, outputs, sources, items)
        reach = np.linalg.matrix_power(made.astype(int) + np.eye(count, dtype=int), count) > 0
        for node in range(count):
            together = np.flatnonzero(reach[node] & reach[:, node]).tolist()
            own = [one for one in together if one < items]
            assert sorted(cycles.get(node, ())) == (own if len(own) > 1 else [])
            before = [steps[one] for each in together for one in np.flatnonzero(made[each]) if one not in together]
            assert steps[node] == max(before, default=0) + bool(own)


def test_edges_of_which_nothing_is_known_make_nothing_stale():
    heads, edges = MANIFESTS_SCHEMA.empty_table(), LINEAGE_SCHEMA.empty_table()
    row = dict.fromkeys(LINEAGE_SCHEMA.names) | {"output_kind": "entry", "output_id": "e", "input_kind": "entry"}
    edges = pa.Table.from_pylist([row, row | {"input_id": "?"}], schema=LINEAGE_SCHEMA)
    assert list(find_stale(heads, edges, heads.select(PUT_COLUMNS))) == []


def test_what_to_call_again_is_told_in_order(lake_uri, monkeypatch):
    lake = lf.open(lake_uri)
    folio = lake.folio("a")
    folio.add("raw", 1)
    monkeypatch.setattr("lakefolio.process.provenance._command", lambda: "python clean.py")
    with lake.run("clean"):
        folio.add("clean", 2, inputs=["raw"])
        folio.add("also", 3, inputs=["raw"])
    monkeypatch.setattr("lakefolio.process.provenance._command", lambda: "python train.py \x1b[31m")
    with lake.run("train"):
        folio.add("model", 4, inputs=["clean"])
    assert lake.status().commands == ()
    folio.add("raw", 5, overwrite=True)
    status = lake.status()
    assert status.commands == ("python clean.py", "python train.py \x1b[31m")
    assert str(status).splitlines()[-3:] == [
        "to make them again, in this order:", "  python clean.py", "  python train.py \\x1b[31m"
    ]  # fmt: skip
    assert status.to_dict()["commands"] == list(status.commands)
    assert "python clean.py; python train.py" in status._repr_html_()

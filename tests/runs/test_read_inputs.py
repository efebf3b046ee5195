"""What the code of a run reads becomes its input without being asked, and costs no commit of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import lakefolio as lf
from lakefolio.testing import CountingProxy


@pytest.fixture
def folio(lake: lf.Lake) -> lf.Folio:
    folio = lake.folio("customers")
    folio.add_data("clean", pd.DataFrame({"age": [31, 47]}))
    folio.add_json("settings", {"lr": 0.1})
    folio.add_artifact("note", __file__)
    return folio


def inputs(lake: lf.Lake, run: lf.Run) -> dict[str, str]:
    return {one.name: one.ref for one in lake.get_run(run.run_id).inputs}


READS: dict[str, Callable[[lf.Lake, lf.Folio], Any]] = {
    "get": lambda lake, folio: folio.get("clean"),
    "get_data": lambda lake, folio: folio.get_data("clean"),
    "get_table": lambda lake, folio: folio.get_table("clean", as_="arrow"),
    "scan_table": lambda lake, folio: folio.scan_table("clean").collect(),
    "get_many": lambda lake, folio: folio.get_many(["clean"]),
    "content": lambda lake, folio: folio.data.clean.content,
    "path": lambda lake, folio: folio.get_table_path("clean"),
    "lake": lambda lake, folio: lake.get("customers:clean"),
    "at": lambda lake, folio: lake.at(lake.version).folio("customers").get("clean"),
    "query": lambda lake, folio: lake.query(name="clean").get("clean"),
    "objects": lambda lake, folio: lake.query(name="clean").objects(),
    "rows": lambda lake, folio: lake.query(type="table").content.to_polars(),
    "other handle": lambda lake, folio: lf.open(lake.uri).folio("customers").get("clean"),
}


@pytest.mark.parametrize("read", READS)
def test_what_is_read_is_an_input(lake: lf.Lake, folio: lf.Folio, read: str) -> None:
    with lake.run() as run:
        before = lake.version
        READS[read](lake, folio)
        READS[read](lake, folio)
        assert lake.version == before
    assert lake.version == before + 1
    assert inputs(lake, run) == {"customers:clean": "customers:clean@1"}
    assert lake.sql("select name, item, version from run_inputs").fetchall() == [("customers:clean", "clean", 1)]
    READS[read](lake, folio)  # in no run
    assert len(lake.get_run(run.run_id).inputs) == 1
    assert lake.check().ok


def test_every_version_is_noted_once(lake: lf.Lake, folio: lf.Folio) -> None:
    with lake.run() as run:
        folio.get("settings")
        folio.add_json("settings", {"lr": 0.2}, overwrite=True)
        assert inputs(lake, run) == {"customers:settings": "customers:settings@2"}  # with the first commit
        folio.get("settings")  # made by the run itself
        folio.get("settings", at=2)
        lf.open(lake.uri).folio("customers").add_json("settings", 3, overwrite=True, metadata={"by": "somebody else"})
    assert inputs(lake, run) == {"customers:settings": "customers:settings@2"}
    lake.folio("customers").add_json("settings", 4, overwrite=True)
    with lake.resume_run(run.run_id):
        folio.get("settings", at=2)
        folio.get("settings")
    version = lake.item("customers:settings").version
    exact = f"customers:settings@{version}"
    assert inputs(lake, run) == {"customers:settings": "customers:settings@2", exact: exact}
    assert lake.sql("select name from run_inputs group by name having count(*) > 1").fetchall() == []


def test_what_was_named_is_not_noted_again(lake: lf.Lake, folio: lf.Folio) -> None:
    with lake.run() as run:
        folio.get("clean")
        run.input("customers:clean")
        run.add_input("note", np.arange(3))
        folio.get("clean")
    assert list(inputs(lake, run)) == ["clean", "note"]
    with lake.create_run(inputs={"first": "customers:clean"}) as run:
        folio.get("clean")
    assert list(inputs(lake, run)) == ["first"]


def test_the_innermost_run_of_the_lake_reads(lake: lf.Lake, folio: lf.Folio, tmp_path: Path) -> None:
    other = lf.open(tmp_path / "other")
    with lake.run() as outer, other.run() as foreign:
        folio.get("clean")
        with lake.run() as inner:
            folio.get("settings")
    assert list(inputs(lake, outer)) == ["customers:clean"]
    assert list(inputs(lake, inner)) == ["customers:settings"]
    assert inputs(other, foreign) == {}


def test_threads_are_in_no_run_of_others(lake: lf.Lake, folio: lf.Folio) -> None:
    with lake.run() as run:
        thread = threading.Thread(target=folio.get, args=("clean",))
        thread.start()
        thread.join()
    assert inputs(lake, run) == {}


def test_captured_functions_note_what_they_read(lake: lf.Lake, folio: lf.Folio) -> None:
    @lake.capture(cache=True)
    def total(factor: int) -> int:
        return int(folio.get("clean")["age"].sum()) * factor

    assert total(2) == total(2) == 156
    (run,) = lake.runs()
    assert [(one.name, one.ref) for one in run.inputs] == [("customers:clean", "customers:clean@1")]


def test_the_librarys_own_reads_are_none(lake: lf.Lake, folio: lf.Folio) -> None:
    with lake.run() as earlier:
        earlier.add_output("x", 1)
    function = lake.capture(lambda array: array.sum(), cache=True)
    function(np.arange(5))
    with lake.run() as run:
        folio.list_contents()
        folio.describe()
        folio.item_info("clean")
        folio._repr_html_()
        lake._repr_html_()
        lake.query()._repr_html_()
        lake.query().to_polars()
        lake.compare(earlier.run_id)
        lake.get_run(earlier.run_id)
        lake.runs()
        lake.sql("select * from items").fetchall()
        lake.lineage("customers:clean").to_mermaid()
        folio.validate()
        lake.check(read_data=True)
        function(np.arange(5))
    assert inputs(lake, run) == {}


def test_it_can_be_switched_off(lake: lf.Lake, folio: lf.Folio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEFOLIO_CAPTURE", "off")
    with lake.run() as run:
        folio.get("clean")
    assert inputs(lake, run) == {}


def test_metrics_carry_it(lake: lf.Lake, folio: lf.Folio) -> None:
    run = lake.create_run()
    with run:
        folio.get("clean")
        run.log(loss=1.0)
        until = time.monotonic() + 20
        while not lake.get_run(run.run_id).inputs and time.monotonic() < until:
            time.sleep(0.02)
        assert inputs(lake, run) == {"customers:clean": "customers:clean@1"}


def test_a_batch_carries_it(lake: lf.Lake, folio: lf.Folio) -> None:
    before = lake.version
    with lake.batch():
        with lake.run() as run:
            folio.get("clean")
            folio.add_json("made", 1)
            assert folio.get("made") == 1  # not committed yet
        assert lake.version == before
    assert lake.version == before + 1
    assert inputs(lake, run) == {"customers:clean": "customers:clean@1"}

    def refused() -> None:
        with lake.batch():
            folio.add_json("never", folio.get("settings"))
            folio.add_json("clean", 1)

    with lake.run() as failed:
        with pytest.raises(lf.AlreadyExistsError):
            refused()
        assert "never" not in folio
    assert inputs(lake, failed) == {"customers:settings": "customers:settings@2"}


def test_a_commit_that_is_refused_loses_nothing(lake: lf.Lake, folio: lf.Folio) -> None:
    with lake.run() as run:
        folio.get("clean")
        with pytest.raises(lf.AlreadyExistsError):
            folio.add_json("settings", 2)
        with pytest.raises(lf.NotFoundError):
            folio.delete("nothing")
    assert inputs(lake, run) == {"customers:clean": "customers:clean@1"}


def test_what_can_not_be_noted_harms_nobody(lake: lf.Lake) -> None:
    folio = lake.folio("f")
    folio.add_numpy("big", np.random.default_rng(0).random(20_000))
    folio.add_numpy("big", np.random.default_rng(1).random(20_000), overwrite=True)
    with lake.run() as run:
        folio.get("big", at=1)
        lf.open(lake.uri).gc(dry_run=False, grace=0, keep_last=1)
        with pytest.warns(RuntimeWarning, match="f:big@1"):
            folio.add_json("made", 1)
    assert lake.get_run(run.run_id).status == "done"
    assert inputs(lake, run) == {}
    assert [one.ref.partition("@")[0] for one in lake.get_run(run.run_id).outputs] == ["f:made"]


def test_it_costs_no_commit_of_its_own(s3_uri: str, s3_proxy: CountingProxy) -> None:
    lake = lf.open(s3_uri, storage_options=s3_proxy.storage_options)
    folio = lake.folio("f").add_json("small", 1)
    with lake.run() as warm:
        warm.add_input("x", "f:small")
        folio.get("small")
    with s3_proxy.count() as outside:
        folio.get("small")
    with lake.run() as run:
        with s3_proxy.count() as inside:
            folio.get("small")
        assert inside.total == outside.total
        before = lake.version
        with s3_proxy.count() as ending:
            run.finish()
    assert lake.version == before + 1
    assert ending.total <= 3, str(ending)  # a look, and one commit
    assert inputs(lake, run) == {"f:small": "f:small@1"}

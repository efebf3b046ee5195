"""Answers that are pickled or copied come back whole, or say what to do instead."""

from __future__ import annotations

import copy
import gc
import pickle
import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

import lakefolio as lf
from lakefolio.errors import UnsupportedTypeError


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> lf.Lake:
    lake = lf.open(tmp_path_factory.mktemp("pickled") / "lake")
    lake.folio("f").add("x", {"a": 1})
    with lake.run("r", project="p", params={"lr": 0.1}) as run:
        for value in (3.0, 1.0, 2.0):
            run.log(loss=value)
    lake.snapshot("s")
    return lake


def test_an_answer_of_sql_says_what_to_pickle(lake: lf.Lake) -> None:
    for answer in (lake.sql("select 7 as n"), lake.sql("select 7 as n").filter("n > 1")):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(UnsupportedTypeError, match=r"pickle its rows: \.df\(\), \.pl\(\) or \.arrow\(\)"):
                pickle.dumps(answer, protocol)
        for same in (copy.copy(answer), copy.deepcopy(answer), copy.deepcopy({"a": [answer]})["a"][0]):
            assert same.fetchall() == [(7,)]


def test_runs_come_back_with_their_measures(lake: lf.Lake) -> None:
    runs = lake.runs()
    for same in (pickle.loads(pickle.dumps(runs)), copy.copy(runs), copy.deepcopy(runs)):
        assert type(same) is type(runs)
        assert same == runs
        assert same.rows() == runs.rows()
        assert same.rows()[0]["metrics.loss.min"] == 1.0
        assert repr(same) == repr(runs)


REPORTS = ["info", "log", "snapshots", "stats", "check", "gc", "status", "history", "item", "search", "lineage"]


@pytest.mark.parametrize("name", REPORTS)
def test_reports_come_back_equal(lake: lf.Lake, name: str) -> None:
    given = {"history": ("f:x",), "item": ("f:x",), "search": ("x",), "lineage": ("f:x",)}.get(name, ())
    found = getattr(lake, name)(*given)
    for same in (pickle.loads(pickle.dumps(found)), copy.copy(found), copy.deepcopy(found)):
        assert type(same) is type(found)
        assert str(same) == str(found)


def test_handles_say_what_to_pass_instead(lake: lf.Lake, tmp_path: Path) -> None:
    folio = lake.folio("f")
    run = lake.create_run("open")
    for handle in (lake, folio, folio.data, folio.data.x, run, lake.query(folio="f"), lake.query(folio="f").content):
        with pytest.raises(TypeError, match=r"can't be pickled or copied: .* pass its address and names"):
            pickle.dumps(handle)
        with pytest.raises(TypeError, match=r"can't be pickled or copied: use the handle itself"):
            copy.deepcopy(handle)
    run.finish()


def test_a_dataset_of_small_files_holds_memory_of_arrow_alone(tmp_path: Path) -> None:
    """Its threads outlive a scan: what they give back after the interpreter must not need it."""
    table = lf.open(tmp_path / "lake").folio("f").create_table("t", {"x": "string"})
    table.append([{"x": random.Random(0).randbytes(50_000).hex()}])
    reader = lf.open(tmp_path / "lake").folio("f")
    gc.collect()
    before = pa.total_allocated_bytes()
    data = reader.get("t", as_="dataset")
    assert pa.total_allocated_bytes() - before > 40_000
    assert data.count_rows() == 1
    pickled = pickle.dumps(data)
    before = pa.total_allocated_bytes()
    again = pickle.loads(pickled)
    assert pa.total_allocated_bytes() - before > 40_000
    assert again.to_table().equals(data.to_table())


def test_rows_of_a_record_table_reach_another_process(tmp_path: Path) -> None:
    """In a process of its own: Arrow's datasets over bytes crash it when they are pickled or copied."""
    done = subprocess.run(
        [sys.executable, "-c", PICKLING, str(tmp_path / "lake")],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("2 2 2 2 2 1\n", 0), done.stderr[-2000:]


PICKLING = """
import copy, pickle, sys
import lakefolio as lf, pyarrow.dataset as ds, polars as pl
table = lf.open(sys.argv[1]).folio("f").create_table("t", {"id": "int64"})
table.append([{"id": 1}, {"id": 2}])
data, lazy = lf.open(sys.argv[1]).folio("f").get("t", as_="dataset"), table.lazy()
assert data.filesystem is not None
counts = [copy.copy(data).count_rows(), copy.deepcopy(data).count_rows(), pickle.loads(pickle.dumps(data)).count_rows()]
counts.append(copy.deepcopy(lazy).collect().height)
counts.append(pickle.loads(pickle.dumps(lazy)).collect().height)
counts.append(pickle.loads(pickle.dumps(data.filter(ds.field("id") > 1))).to_table().num_rows)
print(*counts, flush=True)
"""

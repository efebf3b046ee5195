"""A lake that the first library of format version 2 wrote is read, checked and written to by this one.

The lake beside ``2/make_lake.py`` is never made anew: what it holds, and ``2/expected.json`` says, is a promise.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from test_views_sql import asked

import lakefolio as lf
from lakefolio.format.schema import FORMAT_VERSION, OPS
from lakefolio.testing import need

HERE = Path(__file__).parent / "2"
EXPECTED: dict[str, Any] = json.loads((HERE / "expected.json").read_text())


@pytest.fixture(scope="module")
def maker() -> Any:
    """The script that made the lake: it says how items are compared."""
    need("torch", "torch")
    need("skops", "sklearn")
    spec = importlib.util.spec_from_file_location("make_lake_2", HERE / "make_lake.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def place(tmp_path: Path) -> Path:
    shutil.copytree(HERE / "lake", tmp_path / "lake")
    return tmp_path / "lake"


def test_it_holds_every_op_and_is_small() -> None:
    assert EXPECTED["format_version"] == 2 <= FORMAT_VERSION
    assert {op for op, _ in EXPECTED["ops"]} == set(OPS)
    assert sum(path.stat().st_size for path in HERE.rglob("*") if path.is_file()) < 500_000


def test_every_entry_is_what_it_was(place: Path, maker: Any) -> None:
    assert maker.contents(lf.open(place, read_only=True)) == EXPECTED["contents"]


def test_every_version_is_what_it_was(place: Path, maker: Any) -> None:
    lake = lf.open(place, read_only=True)
    assert lake.version == EXPECTED["version"]
    assert json.loads(json.dumps(maker.state(lake, lake.version))) == EXPECTED["head"]
    for version, digest in EXPECTED["states"].items():
        assert maker.brief(maker.state(lake, int(version))) == digest, version


def test_runs_metrics_events_and_lineage_are_what_they_were(place: Path) -> None:
    lake = lf.open(place, read_only=True)
    assert {run.run_id: run.status for run in lake.runs()} == {
        "first": "done",
        "second": "done",
        "third": "failed",
    }
    first = lake.get_run("first")
    assert first.params == {"lr": 0.1, "layers": [1, 2]}
    curve = lake.sql("select step, value from metrics where run_id = 'first' and name = 'loss' order by step")
    assert curve.fetchall() == [(step, 1.0 / (step + 1)) for step in range(5)]
    events = lake.sql("select event_id from events where event_type = 'note'").fetchall()
    texts = sorted(lake.get_event(event_id).metadata["text"] for (event_id,) in events)
    assert texts == ["long " * 20_000, "short"]
    assert {one.name for one in first.inputs} >= {"settings", "kinds/all:array"}
    assert lake.history("history:x")[0].version == EXPECTED["head"]["items"]["history:x"][0]


def test_it_is_whole(place: Path) -> None:
    report = lf.open(place, read_only=True).check(read_data=True)
    assert report.ok, str(report)


def test_duckdb_alone_reads_it(place: Path) -> None:
    ((_, rows),) = asked(place, ["select folio, item, version from items order by all"])
    assert {f"{folio}:{item}": int(version) for folio, item, version in rows} == {
        name: said[0] for name, said in EXPECTED["head"]["items"].items()
    }


def test_it_is_written_to(place: Path, maker: Any) -> None:
    lake = lf.open(place)
    lake.folio("history").add_json("x", "later", overwrite=True, inputs=["kinds/all:json"])
    lake.restore("before", folio="history", items=["blob"])
    with lake.run("training", run_id="fourth") as run:
        run.log(0, loss=0.5)
    lake.compact()
    lake.gc(dry_run=False, grace=0)
    assert lake.check(read_data=True).ok
    fresh = lf.open(place, read_only=True)
    assert fresh.folio("history").get("x") == "later"
    assert maker.brief(maker.state(fresh, EXPECTED["version"])) == EXPECTED["states"][str(EXPECTED["version"])]
    before = {ref: said for ref, said in maker.contents(fresh).items() if ref in EXPECTED["contents"]}
    assert before == EXPECTED["contents"]

"""A list of runs holds ids and a page of runs, and asks as much for many runs as for few."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import lakefolio as lf
from lakefolio.readmodels.runs import ModelRuns
from lakefolio.runs import listing
from lakefolio.runs.listing import RunList
from lakefolio.runs.record import RunManifest


@pytest.fixture(autouse=True)
def pages_of_three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "PAGE", 3)


class Store:
    """Gives runs and counts them."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.most_alive = 0

    def read(self, ids: Sequence[str]) -> list[RunManifest]:
        self.asked.append(list(ids))
        found = [RunManifest(run_id=one, type=None, status="done", params={"n": int(one)}) for one in ids]
        alive = sum(type(one) is RunManifest for one in gc.get_objects())
        self.most_alive = max(self.most_alive, alive)
        return found

    def measured(self, ids: Sequence[str]) -> dict[str, dict[str, float | None]]:
        return {one: {"metrics.auc.min": float(one)} for one in ids}

    def runs(self, count: int) -> RunList:
        return RunList([str(number) for number in range(count)], self.read, self.measured)


def test_a_loop_over_many_runs_holds_two_pages_of_them() -> None:
    store = Store()
    runs = store.runs(40)
    assert (len(runs), store.asked) == (40, [])
    before = sum(type(one) is RunManifest for one in gc.get_objects())
    assert [run.run_id for run in runs] == [str(number) for number in range(40)]
    assert [len(ids) for ids in store.asked] == [3] * 13 + [1]
    assert store.most_alive - before <= 6
    assert runs.df()[["run_id", "params.n", "metrics.auc.min"]].values.tolist()[-1] == ["39", 39, 39.0]


def test_it_is_asked_as_a_list_is() -> None:
    store = Store()
    runs, few = store.runs(8), store.runs(2)
    assert store.asked == [["0", "1"]]  # few runs are read once
    assert ([one.run_id for one in few], few[0] is few[0], len(store.asked)) == (["0", "1"], True, 1)
    assert [runs[place].run_id for place in (0, 7, -1, -8)] == ["0", "7", "7", "0"]
    for place in (8, -9):
        with pytest.raises(IndexError):
            runs[place]
    assert [one.run_id for one in runs[1:8:3]] == ["1", "4", "7"]
    assert [one.run_id for one in reversed(runs)] == list("76543210")
    assert runs == list(runs) == store.runs(8)
    assert (runs != store.runs(7), runs == "01234567", store.runs(0) == [], bool(store.runs(0))) == (
        True,
        False,
        True,
        False,
    )
    assert runs[7] in runs
    assert runs.index(runs[4]) == 4
    store.asked.clear()
    assert repr(store.runs(10_000)).splitlines()[-1] == "… and 9,980 more"
    assert sum(map(len, store.asked)) == 20


@pytest.fixture
def lake(tmp_path: Path) -> lf.Lake:
    lake = lf.open(tmp_path / "lake")
    lake.folio("data").add("x", 1)
    said: list[dict[str, Any]] = [{"a": 1, "s": "x"}, {"a": 2.5}, {"b": True}, {"a": None, "b": False}, {}]
    for number in range(10):
        with lake.run(f"run {number}", params=said[number % 5]) as run:
            run.input("data:x")
            if number % 2:
                run.log({"loss": number, "loss.min": -1.0})
            with lake.run(f"part of {number}"):
                pass
    return lake


def test_pages_are_of_the_version_that_was_asked(lake: lf.Lake) -> None:
    runs = lake.runs()
    with lake.resume_run(runs[19].run_id) as run:
        run.log(loss=100.0)
    lake.folio("data").add("x", 2, overwrite=True)
    lake.compact()
    assert {run.version for run in runs} == {runs[0].version}
    assert [len(run.inputs) for run in runs] == [0, 1] * 10
    assert [run.children for run in runs][::2] == [[]] * 10
    assert [run.children for run in runs][1::2] == [[run.run_id] for run in runs][::2]
    assert runs == list(lake.at(runs[0].version).runs())


def counted(asked: list[str], own: Callable[..., Any]) -> Callable[..., Any]:
    def count(self: ModelRuns, *args: Any, **kwargs: Any) -> Any:
        asked.append(self.model.name)
        return own(self, *args, **kwargs)

    return count


def test_a_page_of_runs_asks_each_read_model_as_often_as_a_run(lake: lf.Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.compact()
    asked: list[str] = []
    for name in ("rows_of", "rows", "newest"):
        monkeypatch.setattr(ModelRuns, name, counted(asked, getattr(ModelRuns, name)))
    counts = []
    for limit in (2, 3):
        lake.runs(limit=limit)
        asked.clear()
        lake.runs(limit=limit)
        counts.append(sorted(asked))
    assert counts[0] == counts[1]
    assert len(counts[0]) < 10


def test_frames_of_runs_have_the_columns_of_all(lake: lf.Lake) -> None:
    runs = lake.runs(sort="started_at")
    frame, rows = runs.df(), pd.DataFrame(runs.rows())
    assert set(frame.columns) == set(rows.columns)
    pd.testing.assert_frame_equal(frame, rows[list(frame.columns)])
    assert frame["metrics.loss.min"].dropna().tolist() == [-1.0] * 5  # a metric's own name goes before a measure's
    assert runs.pl().to_pandas()["params.a"].dropna().tolist() == [1.0, 2.5] * 2
    assert runs.arrow().column_names == list(frame.columns)

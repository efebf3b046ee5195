"""What a run says of itself: parameters and tags are copies that refuse to be changed, and time goes forward."""

from __future__ import annotations

import copy
import datetime as dt
import json
import pickle
from collections.abc import Callable

import pytest

import lakefolio as lf
from lakefolio.runs import run as run_module
from lakefolio.runs import starting


@pytest.mark.parametrize(
    "call",
    [
        lambda lake: lake.run("x", tags={"stage": "prod"}),
        lambda lake: lake.create_run(tags={"stage": "prod"}),
        lambda lake: lake.folio("f").add("x", 1, tags={"stage": "prod"}),
        lambda lake: lake.snapshot("s", tags={"stage": "prod"}),
        lambda lake: lake.folio("f").create_snapshot("s", tags={"stage": "prod"}),
        lambda lake: lake.capture(tags={"stage": "prod"}),
    ],
)
def test_tags_with_values_are_refused_and_named_where_they_belong(lake: lf.Lake, call: Callable) -> None:
    before = lake.version
    with pytest.raises(lf.InvalidInputError) as caught:
        call(lake)
    assert caught.value.kind == "bad-text"
    assert "metadata={'stage': 'prod'}" in str(caught.value)
    assert lake.version == before


CHANGES: dict[str, Callable] = {
    "params update": lambda run: run.params.update(lr=2),
    "params set": lambda run: run.params.__setitem__("lr", 2),
    "params delete": lambda run: run.params.__delitem__("lr"),
    "params pop": lambda run: run.params.pop("lr"),
    "params popitem": lambda run: run.params.popitem(),
    "params clear": lambda run: run.params.clear(),
    "params setdefault": lambda run: run.params.setdefault("other", 1),
    "params or": lambda run: run.params.__ior__({"lr": 2}),
    "params inside": lambda run: run.params["layers"].append(3),
    "params deep inside": lambda run: run.params["deep"]["a"].update(b=2),
    "tags append": lambda run: run.tags.append("b"),
    "tags extend": lambda run: run.tags.__iadd__(["b"]),
    "tags sort": lambda run: run.tags.sort(),
    "tags set": lambda run: run.tags.__setitem__(0, "b"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_facts_of_a_run_refuse_to_be_changed(lake: lf.Lake, change: str) -> None:
    with lake.run(params={"lr": 1, "layers": [1, 2], "deep": {"a": {"b": 1}}}, tags=["a"]) as run:
        with pytest.raises(lf.ReadOnlyError, match=r"run\.(set_params|add_tags)") as caught:
            CHANGES[change](run)
        assert caught.value.kind == "read-only-copy"
        assert run.params == {"lr": 1, "layers": [1, 2], "deep": {"a": {"b": 1}}}
        assert run.tags == ["a"]


def test_facts_are_otherwise_as_dicts_and_lists(lake: lf.Lake) -> None:
    with lake.run(params={"lr": 1, "layers": [1, 2]}, tags=["a"]) as run:
        params = run.params
        assert isinstance(params, dict)
        assert json.loads(json.dumps(params)) == params == {**params}
        for plain in (copy.copy(params), copy.deepcopy(params), pickle.loads(pickle.dumps(params)), params.copy()):
            assert type(plain) is dict
            plain["lr"] = 3
        assert params | {"lr": 2} == {"lr": 2, "layers": [1, 2]}
        run.set_params(lr=2)
        run.add_tags("b")
        with lake.run(params=run.params, tags=run.tags) as other:
            assert (other.params, other.tags) == ({"lr": 2, "layers": [1, 2]}, ["a", "b"])


def test_metadata_of_a_lake_refuses_to_be_changed(lake: lf.Lake) -> None:
    lake.annotate(owner="ada", tags=["a"])
    for change in (lambda: lake.metadata.update(owner="bob"), lambda: lake.tags.append("b")):
        with pytest.raises(lf.ReadOnlyError, match=r"lake\.annotate"):
            change()
    assert (lake.metadata["owner"], lake.tags) == ("ada", ["a"])


# -- time ---------------------------------------------------------------------------------------------------------


def shifted(by: dt.timedelta) -> type[dt.datetime]:
    class Shifted(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:
            return dt.datetime.now(tz) + by

    return Shifted


@pytest.mark.parametrize("hours", [-30, -1, 1, 30])
@pytest.mark.parametrize("how", ["with", "finish", "failed", "batch"])
def test_a_clock_that_is_set_during_a_run_makes_no_odd_duration(
    lake: lf.Lake, monkeypatch, hours: int, how: str
) -> None:
    run = lake.run("x")
    monkeypatch.setattr(run_module, "datetime", shifted(dt.timedelta(hours=hours)))
    if how == "failed":
        run.fail("no")
    elif how == "finish":
        run.finish()
    elif how == "batch":
        with lake.batch():
            run.finish()
    else:
        with run:
            pass
    assert 0 <= lake.get_run(run.run_id).duration_s < 60
    (row,) = lake.sql("select duration_s from runs").fetchall()
    assert 0 <= row[0] < 60


def test_a_run_that_another_process_ends_never_ends_before_it_began(lake: lf.Lake, monkeypatch) -> None:
    monkeypatch.setattr(starting, "datetime", shifted(dt.timedelta(hours=1)))
    run_id = lake.create_run("x").run_id
    monkeypatch.undo()
    lf.open(lake.uri).resume_run(run_id).finish()
    assert lake.get_run(run_id).duration_s == 0


def test_a_run_that_began_earlier_than_it_was_recorded_keeps_its_start(lake: lf.Lake) -> None:
    began = dt.datetime.now(dt.UTC) - dt.timedelta(hours=2)
    run = lake.create_run("x", started_at=began).finish()
    assert 7200 <= lake.get_run(run.run_id).duration_s < 7260


def test_a_captured_call_lasts_as_long_as_it_takes(lake: lf.Lake, monkeypatch) -> None:
    @lf.capture(lake=lake)
    def f() -> int:
        monkeypatch.setattr(run_module, "datetime", shifted(dt.timedelta(hours=-5)))
        return 1

    f()
    assert 0 <= lake.runs()[0].duration_s < 60

"""What is asked the way people write it is found, or refused with the right spelling; never nothing in silence."""

from __future__ import annotations

import time
import warnings
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

import lakefolio as lf
from lakefolio import Q, any_of, not_
from lakefolio.process.notice import LakefolioWarning


@pytest.fixture
def lake(tmp_path):
    return lf.open(tmp_path / "lake")


def names(found):
    return [one.item for one in found]


@pytest.fixture
def west(monkeypatch):
    """A zone west of UTC, where a day begins and ends later."""
    monkeypatch.setenv("TZ", "America/Los_Angeles")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


# -- operators ---------------------------------------------------------------------------------------------------


def test_a_dict_of_operators_asks_for_all_of_them(lake):
    folio = lake.folio("a")
    for number, score in enumerate([0.5, 0.9, 0.95, 1.0]):
        folio.add(f"x{number}", 1, metadata={"score": score})
    assert names(lake.query(metadata={"score": {">=": 0.9}})) == ["x1", "x2", "x3"]
    assert names(lake.query(metadata={"score": {">": 0.5, "<": 1}})) == ["x1", "x2"]
    assert names(lake.query(metadata={"score": {"not in": [0.5, 1.0]}})) == ["x1", "x2"]
    assert names(lake.query(name={"like": "x%", "!=": "x0"}, size_bytes={">": 0})) == ["x1", "x2", "x3"]
    assert names(lake.query(Q(metadata={"score": any_of({"<": 0.6}, {">": 0.99})}))) == ["x0", "x3"]
    assert names(lake.query(metadata={"score": not_({">=": 0.9})})) == ["x0"]


@pytest.mark.parametrize(
    ("written", "right"), [("$gte", ">="), ("gte", ">="), ("=>", ">="), ("$in", "in"), ("eq", "="), ("~=", None)]
)
def test_another_spelling_of_an_operator_is_refused_with_the_right_one(lake, written, right):
    for value in ({written: 0.9}, (written, 0.9)):
        with pytest.raises(lf.InvalidInputError) as caught:
            lake.query(metadata={"score": value})
        assert caught.value.kind == "bad-query"
        assert (right or "=") in caught.value.hint


def test_keys_that_are_half_operators_are_refused(lake):
    with pytest.raises(lf.InvalidInputError) as caught:
        lake.query(metadata={"score": {">=": 0.9, "and": 1}})
    assert caught.value.kind == "bad-query"


def test_a_dict_is_still_a_value(lake):
    lake.folio("a").add("x", 1, metadata={"proc": {"pipeline": "v2"}})
    assert names(lake.query(metadata={"proc": {"pipeline": "v2"}})) == ["x"]
    assert names(lake.query(metadata={"proc": {"pipeline": "v3"}})) == []


@pytest.mark.parametrize(
    ("key", "right"), [("score >=", "{'score': {'>=':"), ("score__gte", "{'score': {'>=':"), ("n__in", "{'n': {'in':")]
)
def test_an_operator_in_a_key_is_refused_with_the_right_spelling(lake, key, right):
    with pytest.raises(lf.InvalidInputError) as caught:
        lake.query(metadata={key: 0.9})
    assert caught.value.kind == "bad-query"
    assert right in caught.value.hint


def test_operators_inside_of_nested_dicts_are_asked_for_there(lake):
    lake.folio("a").add("x", 1, metadata={"proc": {"lr": 0.1, "opt": {"name": "adam"}}})
    lake.folio("a").add("y", 1, metadata={"proc": {"lr": 0.5, "opt": {"name": "sgd"}}})
    assert names(lake.query(metadata={"proc": {"lr": {"<": 0.2}}})) == ["x"]
    assert names(lake.query(metadata={"proc": {"lr": {">": 0}, "opt": {"name": {"like": "s%"}}}})) == ["y"]
    assert names(lake.query(metadata={"proc": {"lr": any_of(0.1, 0.5), "opt": {"name": "adam"}}})) == ["x"]


def test_the_beginning_of_a_noted_time_is_found(lake):
    lake.folio("a").add("x", 1, metadata={"day": date(2026, 3, 1)}).add("y", 1, metadata={"day": "2026-04-01"})
    assert names(lake.query(metadata={"day": ("startswith", "2026")})) == ["x", "y"]
    assert names(lake.query(metadata={"day": ("like", "2026-03%")})) == ["x"]


def test_a_path_leads_into_nested_values(lake):
    deep = {"proc": {"pipeline": "v2", "n": 3, "a.b": {"c/d": [1, 2]}, "at": date(2026, 1, 1), "big": 2**64 - 1}}
    lake.folio("a").add("nested", 1, metadata=deep).add("flat", 1, metadata={"proc.pipeline": "v2", "other": 1})
    lake.folio("a").add("none", 1, metadata={"proc": "pipeline"})
    assert names(lake.query(metadata={"proc.pipeline": "v2"})) == ["flat", "nested"]
    assert names(lake.query(metadata={"proc.n": (">", 2)})) == ["nested"]
    assert names(lake.query(metadata={"proc.n": {">": 2, "<": 3}})) == []
    assert names(lake.query(metadata={"proc.big": 2**64 - 1})) == ["nested"]
    assert names(lake.query(metadata={"proc.big": 2**64})) == []
    assert names(lake.query(metadata={"proc.at": ("<", "2026-02-01")})) == ["nested"]
    assert names(lake.query(metadata={"proc.pipeline": ("exists", False)})) == ["none"]
    assert names(lake.query(metadata={"proc.nothing": "v2"})) == []
    assert names(lake.query(order_by="-metadata.proc.n"))[0] == "nested"


# -- times -------------------------------------------------------------------------------------------------------


def test_a_day_includes_its_last_microsecond(lake, west):
    folio = lake.folio("a")
    folio.add("x", 1)
    made = lake.item("a:x").committed_at.astimezone()
    day = made.date()
    assert names(lake.query(between=(day, day))) == ["x"]
    assert names(lake.query(between=(day.isoformat(), day.isoformat()))) == ["x"]
    assert names(lake.query(created_at=day)) == ["x"]
    assert names(lake.query(created_at={"<=": day})) == ["x"]
    assert names(lake.query(created_at={">": day})) == []
    assert names(lake.query(created_at=("!=", day))) == []
    assert names(lake.query(created_at=[day, day - timedelta(days=9)])) == ["x"]
    assert names(lake.query(created_at=("between", (day, day)))) == ["x"]
    assert names(lake.query(between=(day + timedelta(days=1), None))) == []
    assert names(lake.query(between=(None, day - timedelta(days=1)))) == []
    assert names(lake.query(created_at=f"{made:%Y-%m-%d %H:%M}")) == ["x"]


def test_a_naive_time_is_meant_in_the_local_zone(lake, west):
    before = datetime.now()
    lake.folio("a").add("x", 1)
    after = datetime.now() + timedelta(seconds=1)
    assert names(lake.query(between=(before, after))) == ["x"]
    assert names(lake.query(between=(before.isoformat(), after.isoformat()))) == ["x"]
    assert names(lake.query(between=(before.astimezone(UTC), after.astimezone(UTC)))) == ["x"]
    assert names(lake.query(between=(pd.Timestamp(before), pd.Timestamp(after)))) == ["x"]
    assert names(lake.query(between=(after, None))) == []


@pytest.mark.parametrize("zone", ["west", None])
def test_a_noted_time_is_compared_with_texts_dates_and_times(lake, zone, request):
    if zone:
        request.getfixturevalue(zone)
    folio = lake.folio("a")
    folio.add("date", 1, metadata={"day": date(2026, 3, 1)})
    folio.add("text", 1, metadata={"day": "2026-03-01"})
    folio.add("naive", 1, metadata={"day": datetime(2026, 3, 1, 12)})
    folio.add("zoned", 1, metadata={"day": datetime(2026, 3, 1, 20, tzinfo=UTC)})
    folio.add("stamp", 1, metadata={"day": pd.Timestamp("2026-03-01T12:00")})
    folio.add("numpy", 1, metadata={"day": np.datetime64("2026-03-01T12:00")})
    folio.add("words", 1, metadata={"day": "some day"})
    everything = ["date", "naive", "numpy", "stamp", "text", "zoned"]
    for asked in (date(2026, 3, 1), "2026-03-01"):
        assert names(lake.query(metadata={"day": asked})) == everything
        assert names(lake.query(metadata={"day": {"<=": asked, ">=": asked}})) == everything
        assert names(lake.query(metadata={"day": ("between", (asked, asked))})) == everything
        assert names(lake.query(metadata={"day": (">", asked)})) == (["words"] if isinstance(asked, str) else [])
        assert names(lake.query(metadata={"day": ("<", asked)})) == []
    assert names(lake.query(metadata={"day": (">", datetime(2026, 2, 28, 23))})) == everything
    assert names(lake.query(metadata={"day": ("<", "2026-02")})) == []
    assert names(lake.query(metadata={"day": "some day"})) == ["words"]


# -- datasets ----------------------------------------------------------------------------------------------------


def test_members_of_datasets_are_counted_once(lake):
    folio = lake.folio("a")
    folio.add("x", 1, metadata={"type": "A"}).add("y", 2, metadata={"type": "A"})
    asked = lake.query(type="A")
    lake.create_dataset("d", asked)
    assert lake.query(type="A").refs == asked.refs
    assert lake.query(Q(type="A") | Q(type="B")).refs == asked.refs
    assert lake.query(folio=("!=", "b")).refs == asked.refs
    assert lake.query(where="size_bytes > 0").refs == asked.refs
    for found in (
        lake.query(folio="datasets/d"),
        lake.query(folio=("startswith", "datasets/")),
        lake.query(folio={"like": "datasets/%"}),
        lake.query(Q(folio=["datasets/d", "datasets/e"])),
        lake.query(where="folio = 'datasets/d'"),
        lake.get_dataset("d"),
    ):
        assert sorted(names(found)) == ["x", "y"]
        assert all(ref.startswith("datasets/d:") for ref in found.refs)
    assert len(lake.query(folio=any_of("a", "datasets/d"))) == 4


@pytest.mark.parametrize(
    ("stored", "asked", "told"),
    [
        (3, "3", "nothing has '3' as metadata 'fold', but 1 item has 3"),
        ("3", 3, "nothing has 3 as metadata 'fold', but 1 item has '3'"),
        (0.5, "0.5", "nothing has '0.5' as metadata 'fold', but 1 item has 0.5"),
        (True, "true", "nothing has 'true' as metadata 'fold', but 1 item has True"),
        ("false", False, "nothing has False as metadata 'fold', but 1 item has 'false'"),
        (3, ["1", "3"], "nothing has '3' as metadata 'fold', but 1 item has 3"),
        (True, 1, "nothing has 1 as metadata 'fold', but 1 item has True"),
        (1, True, "nothing has True as metadata 'fold', but 1 item has 1"),
        (0.95, (">", "0.9"), "nothing has > '0.9' as metadata 'fold', but 1 item has > 0.9"),
        ("12", {"<=": 13}, "nothing has <= 13 as metadata 'fold', but 1 item has <= '13'"),
        (["a", "b"], "a", "nothing has 'a' as metadata 'fold', but 1 item has one that contains it"),
        ([1, 2], 2, "nothing has 2 as metadata 'fold', but 1 item has one that contains it"),
        (0.9, {"min": 0.5}, "no item has metadata 'fold.min': what is noted as 'fold' holds no names"),
    ],
)
def test_a_text_never_equals_a_number_and_who_finds_nothing_is_told(tmp_path, stored, asked, told):
    lake = lf.open(tmp_path / "lake")
    lake.folio("f").add_json("x", 1, metadata={"fold": stored})
    with pytest.warns(LakefolioWarning) as caught:
        assert len(lake.query(metadata={"fold": asked})) == 0
    assert [one.message.message for one in caught] == [told]
    assert caught[0].message.kind == ("key-unknown" if "holds no names" in told else "types-differ")


@pytest.mark.parametrize(
    "between",
    [
        ("2026-02-01", "2026-01-01"),
        (date(2026, 2, 1), datetime(2026, 1, 31, 23, 59)),
        (np.datetime64("2026-02-01"), pd.Timestamp("2026-01-31")),
    ],
)
def test_a_period_that_ends_before_it_begins_is_refused(lake, between):
    with pytest.raises(lf.InvalidInputError, match="ends before it begins"):
        lake.query(between=between)
    assert names(lake.query(between=between[::-1])) == []


def test_nothing_is_told_where_something_was_found_or_nothing_is_alike(tmp_path):
    lake = lf.open(tmp_path / "lake")
    lake.folio("f").add_json("x", 1, metadata={"fold": 3, "id": "007"}).add_json("y", 1, metadata={"fold": "3"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [entry.item for entry in lake.query(metadata={"fold": "3"})] == ["y"]
        assert [entry.item for entry in lake.query(metadata={"fold": 3})] == ["x"]
        assert len(lake.query(metadata={"id": 7})) == len(lake.query(metadata={"other": "3"})) == 0
        assert len(lake.query(metadata={"fold": (">", 5)})) == 0


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"kind": "tabel"}, "'table'"),
        ({"kind": "JSON"}, "'json'"),
        ({"folio": "Flights"}, "'flights'"),
        ({"folio": "fligths"}, "'flights'"),
        ({"tag": "Clean"}, "'clean'"),
    ],
)
def test_a_word_that_nothing_has_but_nearly_so_is_named(tmp_path, asked, named) -> None:
    lake = lf.open(tmp_path / "lake")
    lake.folio("flights").add("x", {"a": 1}, tags=["clean"])
    with pytest.warns(UserWarning, match=f"did you mean {named}"):
        assert len(lake.query(**asked)) == 0


def test_words_there_are_warn_of_nothing(tmp_path) -> None:
    lake = lf.open(tmp_path / "lake")
    lake.folio("flights").add("x", {"a": 1}, tags=["clean"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(lake.query(kind="table")) == 0
        assert len(lake.query(folio="flights", tag="zzz")) == 0
        assert len(lake.query(kind=("startswith", "tabel"))) == 0
        assert lake.runs(type="production", project="zzz") == []


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"type": "experimant"}, "'experiment'"),
        ({"project": "Churn"}, "'churn'"),
        ({"model": "rff"}, "'rf'"),
        ({"tag": "prd"}, "'prod'"),
    ],
)
def test_runs_that_nothing_has_but_nearly_so_are_named(tmp_path, asked, named) -> None:
    lake = lf.open(tmp_path / "lake")
    lake.create_run(project="churn", model="rf", tags=["prod"]).finish()
    with pytest.warns(UserWarning, match=f"did you mean {named}"):
        assert lake.runs(**asked) == []


def test_what_is_nested_too_deeply_to_be_shown_is_refused(lake):
    deep = {}
    for _ in range(5000):
        deep = {"a": [deep]}
    for ask in (lambda: lake.query(metadata={"a": [deep]}), lambda: lake.query(name=deep), lambda: lake.at(deep)):
        with pytest.raises(lf.LakefolioError):
            ask()

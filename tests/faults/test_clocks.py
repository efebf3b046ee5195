"""Clocks that are wrong by years: commits are dated by the store's, and a lake that was dated ahead says so."""

from __future__ import annotations

import time
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import lakefolio as lf
from lakefolio.delta import commit_clock
from lakefolio.errors import StorageError
from lakefolio.folio import record_table
from lakefolio.format import names
from lakefolio.maintenance.doctor import doctor
from lakefolio.process.notice import LakefolioWarning


def shifted(by: timedelta) -> type[datetime]:
    class Shifted(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime.now(UTC) + by

    return Shifted


@pytest.mark.parametrize("years", [10, -3])
@pytest.mark.parametrize("others", [False, True])
def test_a_clock_that_is_wrong_by_years_dates_nothing(
    lake_uri: str, monkeypatch: pytest.MonkeyPatch, years: int, others: bool
) -> None:
    lf.open(lake_uri)
    if others and years > 0:
        lf.open(lake_uri).folio("f").add_json("before", 1)
    began = datetime.now(UTC)
    with monkeypatch.context() as patch:
        patch.setattr(commit_clock, "datetime", shifted(timedelta(days=365 * years)))
        wrong = lf.open(lake_uri).folio("f")
        with pytest.warns(LakefolioWarning, match="the clock of this machine is") as caught:
            wrong.add_json("a", 1)
        assert [warning.message.kind for warning in caught] == ["wrong-clock"]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            wrong.add_json("b", 2)
    lake = lf.open(lake_uri)
    lake.folio("f").add_json("c", 3)
    tolerance = timedelta(minutes=5)
    for name in "abc":
        (entry,) = lake.history(f"f:{name}").to_dicts()
        at = entry["committed_at"]
        at = datetime.fromisoformat(at) if isinstance(at, str) else at
        assert began - tolerance <= at <= datetime.now(UTC) + tolerance
    time.sleep(0.01)
    assert list(lake.at("now").folio("f"))[-3:] == ["a", "b", "c"]
    assert lake.check().problems == []


@pytest.mark.parametrize("days", [3650, -3650])
@pytest.mark.parametrize("writes", ["a handle that committed before", "a new handle"])
def test_a_clock_that_jumps_dates_nothing_and_is_right_again_once_it_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int, writes: str
) -> None:
    uri = str(tmp_path / "lake")
    handle = lf.open(uri)
    handle.folio("f").add_json("a", 1)
    if writes == "a new handle":
        handle = lf.open(uri)
    with monkeypatch.context() as patch:
        patch.setattr(commit_clock, "datetime", shifted(timedelta(days=days)))
        with pytest.warns(LakefolioWarning, match="the clock of this machine is 10 years") as caught:
            handle.folio("f").add_json("b", 2)
        assert [warning.message.kind for warning in caught] == ["wrong-clock"]
        between = datetime.now(UTC)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            handle.folio("f").add_json("c", 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        handle.folio("f").add_json("d", 4)
    times = [at for (at,) in lf.open(uri).sql("select committed_at from commits order by version").fetchall()]
    assert times == sorted(times)
    assert abs(times[-1] - datetime.now(UTC)) < timedelta(minutes=5)
    assert abs(times[-2] - between) < timedelta(minutes=5)
    assert lf.open(uri).check().ok


@pytest.mark.parametrize("years", [10, -10])
def test_gc_goes_by_the_clock_of_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, years: int) -> None:
    """Its commits are dated by it, and what retention keeps for days is not given up years too early."""
    uri = str(tmp_path / "lake")
    folio = lf.open(uri).folio("f")
    for number in range(2):
        folio.add("x", bytes([number]) * 10_000, overwrite=True)
    old = sorted((tmp_path / "lake" / "blobs").rglob("*"))
    (tmp_path / "lake" / "blobs" / "sha256" / "00").mkdir(parents=True, exist_ok=True)
    (tmp_path / "lake" / "blobs" / "sha256" / "00" / ("0" * 64)).write_bytes(b"of nobody")
    monkeypatch.setattr(commit_clock, "datetime", shifted(timedelta(days=365 * years)))
    with pytest.warns(LakefolioWarning, match="the clock of this machine is 10 years"):
        report = lf.open(uri).gc(dry_run=False, grace=0, keep_days=30)
    assert report["deleted_blobs"] == 1
    assert [path for path in old if not path.exists()] == []
    lake = lf.open(uri)
    assert lake.check(read_data=True).ok
    ((at,),) = lake.sql("select max(committed_at) from commits").fetchall()
    assert abs(at - datetime.now(UTC)) < timedelta(minutes=5)


def test_a_lake_that_was_dated_ahead_says_so_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = str(tmp_path / "lake")
    lf.open(uri).folio("f").add_json("a", 1)
    with monkeypatch.context() as patch:
        patch.setattr(commit_clock, "datetime", shifted(timedelta(days=3650)))
        patch.setattr(commit_clock.CommitClock, "corrected", lambda self, last, key: None)
        lf.open(uri).folio("f").add_json("b", 2)
    lake = lf.open(uri)
    lake.folio("f").add_json("c", 3)
    assert lake.check().problems[0].kind == "dated-ahead"
    assert [one["name"] for one in doctor(uri).findings if one["level"] == "warning" and one["name"] == "dates"]
    assert list(lake.at("now").folio("f")) == ["a", "b", "c"]
    assert list(lake.folio("f")) == ["a", "b", "c"]
    assert lake.folio("f").get_json("c", at=datetime.now(UTC)) == 3
    assert lake.at(1).folio("f").get_json("a") == 1


@pytest.mark.parametrize("now", [-5e8, -1e-2, 1e12])
def test_a_clock_that_no_commit_can_be_dated_by_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, now: float
) -> None:
    folio = lf.open(tmp_path / "lake").folio("f")
    monkeypatch.setattr(names.time, "time", lambda: now)
    with pytest.raises(StorageError, match="the clock of this machine") as caught:
        folio.add_json("a", 1)
    assert caught.value.kind == "bad-clock"
    monkeypatch.undo()
    folio.add_json("a", 1)


@pytest.mark.parametrize("years", [10, -10])
def test_rows_from_a_clock_that_is_wrong_by_years_are_found_by_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, years: int
) -> None:
    uri = str(tmp_path / "lake")
    by = timedelta(days=365 * years)
    with monkeypatch.context() as patch:
        patch.setattr(commit_clock, "datetime", shifted(by))
        patch.setattr(record_table, "now_ms", lambda: int((time.time() + by.total_seconds()) * 1000))
        wrong = lf.open(uri).folio("f")
        with pytest.warns(LakefolioWarning, match="the clock of this machine is 10 years"):
            table = wrong.create_table("rows", {"id": "int64"}, key="id")
        with pytest.warns(LakefolioWarning, match="the clock of this machine is 10 years"):
            table.append([{"id": 1}])
        table.delete_where("id = 1")
    lake = lf.open(uri)
    rows = lake.folio("f").table("rows")
    rows.append([{"id": 2}, {"id": 3}])
    lake.folio("f").add("marked", 1)
    marked = lake.version
    rows.append([{"id": 4}])
    lake.folio("f").add("later", 1)
    assert lake.sql(f'select id from "f:rows@{marked}" order by id').fetchall() == [(2,), (3,)]
    assert all(abs(one["at"] - time.time()) < 300 for one in rows.history()[:-1])  # but for the first, of no write
    assert lake.check(read_data=True).ok

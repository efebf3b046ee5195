"""As of when: every form that ``at`` takes, what is refused, and that printed times lead back (FORMAT.md, "As-of")."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bad_input_support import refused
from click.testing import CliRunner

import lakefolio as lf
from lakefolio.cli import cli
from lakefolio.errors import InvalidInputError, NotFoundError
from lakefolio.format.times import period_of

PRINTED = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d\S*")
ZONES = ("UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu")


@pytest.fixture(params=ZONES)
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


def five_commits(place: Path) -> lf.Lake:
    """Make a lake in which the value of ``f:x`` is the version."""
    lake = lf.open(str(place), author="ada")
    folio = lake.folio("f")
    for number in range(1, 6):
        folio.add_json("x", number, overwrite=True)
    return lake


@pytest.fixture
def lake(tmp_path: Path) -> lf.Lake:
    return five_commits(tmp_path / "lake")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> lf.Lake:
    """The lake of those who change nothing."""
    return five_commits(tmp_path_factory.mktemp("at") / "lake")


def moment_of(lake: lf.Lake, version: int) -> datetime:
    return next(one.committed_at for one in lake.log(None) if one.version == version)


# -- what is printed leads back ------------------------------------------------------------------------------


def test_each_printed_time_leads_to_the_commit_beside_it(lake: lf.Lake, zone: str) -> None:
    for text in (str(lake.log()), str(lake.history("f:x"))):
        lines = [line for line in text.splitlines() if PRINTED.search(line)]
        assert len(lines) == 5
        for line in lines:
            version = int(re.search(r"@(\d+)", line)[1])
            at = PRINTED.search(line)[0]
            assert lake.at(at).version == version
            assert lake.folio("f").get("x", at=at) == version


def test_the_command_line_prints_times_that_it_reads(lake: lf.Lake, zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEFOLIO_LAKE", lake.uri)
    lake.snapshot("paper")

    def run(*args: str) -> str:
        result = CliRunner().invoke(cli, args)
        assert result.exit_code == 0, result.output
        return result.stdout

    shown = [run(*args) for args in (("log",), ("history", "f:x"), ("ls",), ("ls", "f"), ("show", "f:x"))]
    shown += [run("snapshot", "list"), run("show", "f")]
    for text in shown:
        times = PRINTED.findall(text)
        assert times, text
        for one in times:
            assert run("--at", one, "get", "f:x").strip() in "12345"
    assert run("--at", PRINTED.findall(run("ls", "f"))[0], "get", "f:x").strip() == "5"
    assert run("get", f"f:x@{PRINTED.findall(run('log'))[-1]}").strip() == "1"


def test_a_text_means_all_of_the_period_that_it_names(lake: lf.Lake) -> None:
    third = moment_of(lake, 3).astimezone()
    second = f"{third:%Y-%m-%d %H:%M:%S}"
    whole = third.replace(microsecond=0)
    within = [one.version for one in lake.log(None) if one.committed_at.replace(microsecond=0) == whole]
    assert lake.at(second).version == max(within) >= 3
    assert lake.at(third).version == 3  # a datetime is one instant
    assert lake.at(third - timedelta(microseconds=1)).version == 2
    assert lake.at(f"{third:%Y-%m-%d}").version == 5
    assert lake.at(third.date()).version == 5
    assert lake.at(datetime.now().astimezone().date()).version == 5


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2026-11-01 01:30", "05:30", "06:30:59.999999"),  # clocks were set back at two
        ("2026-11-01 01:30:10", "05:30:10", "06:30:10.999999"),
        ("2026-11-01T01", "05:00", "06:59:59.999999"),
        ("2026-11-01 01:30-04", "05:30", "05:30:59.999999"),
        ("2026-11-01 02:30", "07:30", "07:30:59.999999"),
        ("2026-11-01 01:30 America/New_York", "05:30", "06:30:59.999999"),
    ],
)
def test_a_clock_time_that_came_twice_means_both(
    monkeypatch: pytest.MonkeyPatch, text: str, first: str, last: str
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    found = period_of(text)
    monkeypatch.undo()
    time.tzset()
    assert found == tuple(datetime.fromisoformat(f"2026-11-01T{one}+00:00") for one in (first, last))


def test_a_clock_time_that_never_was_is_no_empty_period() -> None:
    first, last = period_of("2026-03-08 02:30 America/New_York") or (datetime.max, datetime.min)
    assert last - first == timedelta(minutes=1) - timedelta(microseconds=1)


# -- what people write ---------------------------------------------------------------------------------------


FORMS: dict[Any, int] = {
    "now": 5,
    "today": 5,
    -1: 4,
    "-1": 4,
    "-4": 1,
    "@3": 3,
    "v3": 3,
    "V3": 3,
    "3": 3,
    np.int64(3): 3,
    np.uint8(3): 3,
}


@pytest.mark.parametrize("at", FORMS, ids=repr)
def test_every_form_at_every_door(lake: lf.Lake, at: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    version, folio = FORMS[at], lake.folio("f")
    assert lake.at(at).version == version
    assert lake.at(at).get("f:x") == version
    assert lake.get("f:x", at=at) == version
    assert folio.get("x", at=at) == folio.get_json("x", at=at) == version
    assert folio.get_many(["x"], at=at) == {"x": version}
    assert folio.item_info("x", at=at)["lake_version"] == version
    assert lake.connect(at=at).sql("select max(version) from stg_manifests").fetchone() == (version,)
    assert lake.restore(at, dry_run=True).version == version
    assert (not lake.diff(at)) == (version == 5)
    if isinstance(at, str):
        assert folio.get(f"x@{at.removeprefix('@')}") == version
        monkeypatch.setenv("LAKEFOLIO_LAKE", lake.uri)
        for args in (["--at", at, "get", "f:x"], ["get", "f:x", "--at", at], ["get", f"f:x@{at.removeprefix('@')}"]):
            assert CliRunner().invoke(cli, args).stdout.strip() == str(version), args
        for args in (["restore", "--dry-run", at], ["restore", at, "--dry-run"], ["diff", at], ["diff", "1", at]):
            result = CliRunner().invoke(cli, args)
            assert result.exit_code == 0, result.output
    assert lake.snapshot("taken", at=at).target_version == version


def test_times_of_every_library(lake: lf.Lake) -> None:
    moment = moment_of(lake, 2)
    local = moment.astimezone()
    for at in (
        moment,
        local,
        local.replace(tzinfo=None),
        pd.Timestamp(moment),
        pd.Timestamp(local),
        np.datetime64(local.replace(tzinfo=None)),
        moment.isoformat(),
        f"{moment:%Y-%m-%dT%H:%M:%S.%fZ}",
        f"{moment:%Y-%m-%d %H:%M:%S.%f} UTC",
        f"{moment:%Y%m%dT%H%M%S.%f}Z",
        f"{local:%Y-%m-%d %H:%M:%S.%f}",
    ):
        assert lake.at(at).version == 2, at
    assert lake.at(np.datetime64(date.today())).version == 5
    assert lake.at(f"{local:%H:%M}").version == 5


def test_earlier_than_everything_says_when_the_lake_began(lake: lf.Lake) -> None:
    for at in (
        "yesterday",
        "2 days ago",
        "a week ago",
        "3 months ago",
        "yesterday 10:00",
        "2020-01-01",
        date(2020, 1, 1),
    ):
        error = refused(NotFoundError, "version-not-found", lambda at=at: lake.at(at), "nothing was committed")
        assert "@1" in error.hint


def test_a_snapshot_goes_before_a_version_of_its_name(lake: lf.Lake) -> None:
    lake.snapshot("v3", at=2)
    assert lake.at("v3").version == lake.at("@v3").version == 2
    assert lake.at("@3").version == 3
    assert lake.get("f:x@v3") == 2


def test_a_version_that_is_written_like_a_snapshot_of_a_folio_is_not_guessed(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    folio = lake.folio("lab")
    for value in range(3):
        folio.add("x", value, overwrite=True)
    folio.create_snapshot("v1")
    assert (folio.get("x", at="v1"), lake.at("1").version, lake.at(1).version, lake.at("v2").version) == (2, 1, 1, 2)
    for ask in (lake.at, lake.diff):
        with pytest.raises(InvalidInputError, match=r"'v1' may mean version 1 .* folio 'lab' .*at=1 .* at=4") as found:
            ask("v1")
        assert found.value.kind == "bad-at"


@pytest.mark.parametrize("name", ["-1", "now", "today", "Yesterday", "2 days ago", "12", "2026-11-01"])
def test_a_snapshot_is_not_called_like_a_time(lake: lf.Lake, name: str) -> None:
    refused(InvalidInputError, "bad-name", lambda: lake.snapshot(name), "version or a time")


def test_counting_back_begins_where_the_lake_is_opened(lake: lf.Lake) -> None:
    past = lake.at(3)
    assert past.at(-1).version == 2
    assert past.get("f:x", at="-2") == 1
    assert past.at(-3).folios() == []
    error = refused(NotFoundError, "version-not-found", lambda: past.at(-4))
    assert "-3" in error.hint


def test_counting_back_an_item_counts_its_own_changes(lake: lf.Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commits of others come between, also those by which a run notes a notebook's code."""
    folio = lake.folio("f")
    folio.add_json("y", 1)
    for number in range(3):
        lake.folio("others").add_json("z", number, overwrite=True)
    assert lake.at(-1).version == 8
    assert folio.get("x", at=-1) == folio.get("x", at="-1") == folio.get("x@-1") == lake.get("f:x@-1") == 4
    assert lake.get("f:x", at="@-2") == lake.at(8).get("f:x", at=-2) == 3
    assert folio.get_many(["x"], at=-1) == {"x": 4}
    assert str(lake.diff(-1, item="f:x")) == str(lake.diff(4, item="f:x"))
    folio.add_json("sum", 5, inputs=["x@-1"])
    assert lake.item("f:sum").inputs[0]["input_id"] == lake.item("f:x@4").entry_id
    monkeypatch.setenv("LAKEFOLIO_LAKE", lake.uri)
    for args in (["--at", "-1", "get", "f:x"], ["get", "f:x", "--at", "@-1"], ["get", "f:x@-1"]):
        assert CliRunner().invoke(cli, args).stdout.strip() == "4", args
    folio.delete("x", warn_dependents=False)
    lake.folio("others").add_json("z", 7, overwrite=True)
    lake.restore(-1, items=["f:x", "others:z"])
    assert folio.get("x") == 5
    assert lake.get("others:z") == 2
    error = refused(NotFoundError, "version-not-found", lambda: folio.get("y", at=-2))
    assert "1 time" in str(error)
    refused(NotFoundError, "item-not-found", lambda: folio.get("y", at=-1), "came at @6")


def test_a_name_of_a_pinned_lake_that_lies_later(lake: lf.Lake) -> None:
    refused(NotFoundError, "version-not-found", lambda: lake.at(2).at(4), "4")


# -- what is refused -----------------------------------------------------------------------------------------


BAD: dict[str, Any] = {
    "NaT": pd.NaT,
    "numpy NaT": np.datetime64("NaT"),
    "NaN": float("nan"),
    "numpy NaN": np.float64("nan"),
    "NA": pd.NA,
    "True": True,
    "numpy True": np.True_,
    "a float": 3.0,
    "bytes": b"3",
    "a list": [3],
    "a tuple": (3,),
    "an array": np.array([3]),
    "a timedelta": timedelta(days=1),
}


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize(
    "door",
    [
        lambda lake, at: lake.at(at),
        lambda lake, at: lake.get("f:x", at=at),
        lambda lake, at: lake.folio("f").get("x", at=at),
        lambda lake, at: lake.restore(at),
        lambda lake, at: lake.diff(at),
        lambda lake, at: lake.diff(1, at),
        lambda lake, at: lake.snapshot("s", at=at),
        lambda lake, at: lake.connect(at=at),
        lambda lake, at: lake.get_dataset("d", at=at),
    ],
    ids=["at", "get", "folio get", "restore", "diff", "diff to", "snapshot", "connect", "dataset"],
)
def test_what_is_no_time_is_refused_everywhere(kept: lf.Lake, bad: str, door: Callable[..., Any]) -> None:
    refused(InvalidInputError, "bad-at", lambda: door(kept, BAD[bad]))
    assert lf.open(kept.uri).version == 5


@pytest.mark.parametrize("bad", ["", "  ", "@", "@@3", ":a", "a:b"])
def test_a_text_that_says_nothing(lake: lf.Lake, bad: str) -> None:
    for door in (lake.at, lake.restore, lake.diff):
        refused(NotFoundError, "snapshot-not-found", lambda door=door: door(bad))


def test_none_is_refused_where_a_time_is_needed(lake: lf.Lake) -> None:
    refused(InvalidInputError, "bad-at", lambda: lake.at(None))
    refused(InvalidInputError, "bad-at", lambda: lake.restore(None))
    assert lake.folio("f").get("x", at=None) == 5


@pytest.mark.parametrize(
    "bad",
    [
        *("2026-13-01", "25:61", "2026-02-30 10:00", "3 parsecs ago", "2026-11-25 10:00 Mars/Base"),
        *("last week", "Tomorrow", "next month", "monday", "last Friday", "this morning"),
    ],
)
def test_a_time_that_is_none_says_how_to_write_one(kept: lf.Lake, bad: str) -> None:
    error = refused(InvalidInputError, "bad-at", lambda: kept.at(bad), bad)
    assert "2 days ago" in error.hint


def test_the_ends_of_the_calendar(lake: lf.Lake) -> None:
    east, west = timezone(timedelta(hours=2)), timezone(-timedelta(hours=2))
    for early in (datetime.min, datetime.min.replace(tzinfo=east), date.min, "0001-01-01", "99999 years ago"):
        refused(NotFoundError, "version-not-found", lambda early=early: lake.at(early), "nothing was committed")
    for late in (datetime.max, datetime.max.replace(tzinfo=west), date.max, "9999-12-31 23:59:59-02:00"):
        assert lake.at(late).version == 5


def test_a_version_that_is_not_says_which_are(lake: lf.Lake) -> None:
    for at in (6, "6", "@6", "v6", 2**70, -6, "-6"):
        error = refused(NotFoundError, "version-not-found", lambda at=at: lake.at(at))
        assert "0 to 5" in error.hint or "-5" in error.hint


def test_a_time_in_an_input_is_fixed_when_it_is_given(lake: lf.Lake) -> None:
    """Another host may plan the commit, and its clock and zone are its own."""
    folio = lake.folio("f")
    folio.add_json("y", 1, inputs=["x@-1"])
    folio.update_item("y", inputs=["x@-3", "f:x@now"])
    assert {node.ref for node in lake.lineage("f:y").upstream(1)} - {"f:y@7"} == {"f:x@2", "f:x@5"}
    refused(NotFoundError, "input-not-found", lambda: folio.add_json("z", 1, inputs=["x@yesterday"]), "x@yesterday")

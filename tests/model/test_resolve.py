"""What a version, a time or a name means on a state, and what is said when there is no such thing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from planning import START, Log, put

from lakefolio.errors import AlreadyExistsError, InvalidInputError, NotFoundError
from lakefolio.model.changes import Delete, DropSnapshot, SetRun, TakeSnapshot
from lakefolio.model.pending_state import Overlay
from lakefolio.model.resolve import (
    At,
    check_run,
    is_relative,
    item_not_found,
    resolve_at,
    said_twice,
    snapshot_not_found,
)

HOUR = timedelta(hours=1)


@pytest.fixture
def log() -> Log:
    """Versions 0 to 4, one an hour from 12:00 UTC on."""
    log = Log()
    for number in range(5):
        log.commit(put("x", str(number), overwrite=True))
    return log


def meant(log: Log, at: At, folio: str | None = None, **values: Any) -> int:
    return resolve_at(log.state, log.state, at, folio, **values)


@pytest.fixture
def newfoundland(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A local zone three and a half hours behind UTC."""
    monkeypatch.setenv("TZ", "America/St_Johns")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


# -- versions ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [3, "3", "@3", "v3", "V3", " 3 ", "0003", np.int64(3), np.uint8(3)])
def test_a_version_by_its_number(log: Log, at: Any) -> None:
    assert meant(log, at) == 3


@pytest.mark.parametrize(("at", "version"), [(-1, 3), ("-1", 3), ("@-2", 2), (-4, 0), (np.int8(-1), 3)])
def test_counting_back_from_the_newest(log: Log, at: Any, version: int) -> None:
    assert meant(log, at) == version


def test_counting_back_from_where_the_reader_stands(log: Log) -> None:
    assert meant(log, -1, head=2) == 1
    assert meant(log, 4, head=2) == 4


def test_counting_back_skips_versions_without_a_commit(log: Log) -> None:
    log.append([])  # what compaction makes
    log.commit(put("y"))
    assert (log.state.version, meant(log, -1), meant(log, -2)) == (6, 4, 3)


def test_a_version_that_does_not_exist_says_which_do(log: Log) -> None:
    for at, hint in ((5, "the versions are 0 to 4"), ("99", "the versions are 0 to 4"), (-9, "the oldest is -5")):
        with pytest.raises(NotFoundError, match=hint) as caught:
            meant(log, at)
        assert caught.value.kind == "version-not-found"
    with pytest.raises(NotFoundError) as caught:
        meant(log, -9, head=2)
    assert caught.value.hint == "the oldest is -3, the empty lake"


# -- times -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "version"),
    [
        (START + HOUR, 1),
        (START + HOUR - timedelta(microseconds=1), 0),
        (START + HOUR + timedelta(minutes=59), 1),
        (datetime(2024, 3, 1, 15, tzinfo=timezone(HOUR)), 2),
        ("2024-03-01 14:00Z", 2),
        ("2024-03-01T14:00:00+00:00", 2),
        ("2024-03-01 15:00+01:00", 2),
        ("2024-03-01 15:30 Europe/Berlin", 2),
        ("2024-03-01 13:59 UTC", 1),
        ("2024-03-01T13Z", 1),
        ("now", 4),
    ],
)
def test_a_time_with_a_zone_means_the_newest_version_then(log: Log, at: At, version: int) -> None:
    assert meant(log, at) == version


@pytest.mark.usefixtures("newfoundland")
@pytest.mark.parametrize(
    ("at", "version"),
    [
        ("2024-03-01 10:29", 1),
        ("2024-03-01 10:30", 2),
        (datetime(2024, 3, 1, 10, 30), 2),
        (np.datetime64("2024-03-01T10:30:00"), 2),
        (np.datetime64("2024-03-01T10:30:00.000000001"), 2),
        ("2024-03-01", 4),
        (date(2024, 3, 1), 4),
    ],
)
def test_a_time_without_a_zone_is_that_of_the_clock_on_the_wall(log: Log, at: At, version: int) -> None:
    assert meant(log, at) == version


def test_a_text_means_the_end_of_what_it_names(log: Log) -> None:
    late = Log(START + timedelta(minutes=30))
    late.commit(put("x"))
    assert meant(late, "2024-03-01T12Z") == 0
    with pytest.raises(NotFoundError):
        meant(late, "2024-03-01 12:29Z")
    with pytest.raises(NotFoundError):
        meant(late, datetime(2024, 3, 1, 12, tzinfo=UTC))


def test_a_time_before_everything_names_the_first_commit(log: Log) -> None:
    with pytest.raises(NotFoundError, match="nothing was committed at or before") as caught:
        meant(log, "2023-01-01")
    assert caught.value.kind == "version-not-found"
    assert caught.value.hint is not None
    assert caught.value.hint.count("@0") == 1
    with pytest.raises(NotFoundError, match="the lake is empty"):
        meant(Log(), "2023-01-01")


def test_now_sees_commits_that_a_wrong_clock_dated_ahead() -> None:
    ahead = Log(datetime.now(UTC) + timedelta(days=2))
    ahead.commit(put("x"))
    ahead.commit(put("y"))
    assert meant(ahead, "now") == 1
    assert meant(ahead, datetime.now(UTC)) == 1
    with pytest.raises(NotFoundError):
        meant(ahead, "yesterday")


# -- names -------------------------------------------------------------------------------------------------


def test_a_snapshot_of_the_folio_goes_before_that_of_the_lake(log: Log) -> None:
    log.commit(TakeSnapshot(name="s", target_version=1), TakeSnapshot(name="s", folio="f", target_version=2))
    assert (meant(log, "s", "f"), meant(log, "@s", "f")) == (2, 2)
    assert (meant(log, "s", "g"), meant(log, "s"), meant(log, "@s")) == (1, 1, 1)
    log.commit(DropSnapshot("s", "f"))
    assert meant(log, "s", "f") == 1


def test_a_snapshot_goes_before_the_version_or_time_of_its_name(log: Log) -> None:
    log.commit(TakeSnapshot(name="3", target_version=1), TakeSnapshot(name="v2", target_version=0))
    assert (meant(log, "3"), meant(log, 3), meant(log, "v2")) == (1, 3, 0)


def test_a_snapshot_that_is_not_committed_yet_counts_in_its_view(log: Log) -> None:
    pending = log.plan(TakeSnapshot(name="s", target_version=1)).overlay
    assert resolve_at(pending, log.state, "@s", "f") == 1
    with pytest.raises(NotFoundError):
        meant(log, "@s", "f")


def test_a_name_that_is_not_there_brings_the_nearest(log: Log) -> None:
    with pytest.raises(NotFoundError) as caught:
        meant(log, "paper")
    assert (caught.value.kind, caught.value.hint) == ("snapshot-not-found", "no snapshot has been taken yet")
    with pytest.raises(NotFoundError, match="'f:x' is the name of an item") as caught:
        meant(log, "f:x")
    assert caught.value.kind == "snapshot-not-found"
    with pytest.raises(NotFoundError) as caught:
        meant(log, "yesterdya")
    assert (caught.value.kind, caught.value.hint) == ("snapshot-not-found", "did you mean 'yesterday'?")
    log.commit(
        TakeSnapshot(name="paper-v1"), TakeSnapshot(name="draft", folio="f"), TakeSnapshot(name="paper-v2", folio="g")
    )
    with pytest.raises(NotFoundError) as caught:
        meant(log, "@papr-v1", "f")
    assert (caught.value.snapshot, caught.value.hint) == ("papr-v1", "did you mean 'paper-v1'?")
    assert snapshot_not_found(log.state, "f", "zzz").hint == "there are 'draft', 'paper-v1'"
    assert snapshot_not_found(log.state, None, "zzz").hint == "there are 'paper-v1'"


# -- what is none of these ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "at",
    [None, True, 1.0, float("nan"), np.datetime64("NaT"), np.bool_(True), b"3", [3], "25:99", "2024-02-30", "3 ago"],
)
def test_what_can_not_be_meant_is_refused(log: Log, at: Any) -> None:
    with pytest.raises(InvalidInputError) as caught:
        meant(log, at)
    assert caught.value.kind == "bad-at"


@pytest.mark.parametrize("at", ["9" * 19, "9" * 5000, "", "@", "@@3", "-", "--1", "+1", "٣x"])
def test_a_text_that_is_no_version_is_looked_for_as_a_name(log: Log, at: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        meant(log, at)
    assert caught.value.kind == "snapshot-not-found"


def test_saying_it_twice_is_refused() -> None:
    error = said_twice("f:x@3", 4)
    assert (error.kind, error.hint) == ("bad-ref", "give one of them")


@pytest.mark.parametrize(
    ("at", "relative"),
    [("-1", True), ("2 days ago", True), ("21:27", True), ("17", False), ("paper", False), (17, False), (None, False)],
)
def test_what_may_mean_another_version_tomorrow(at: Any, relative: bool) -> None:
    assert is_relative(at) is relative


# -- items that are not there ------------------------------------------------------------------------------


def test_an_item_that_came_later_says_when(log: Log) -> None:
    log.commit(put("late"))
    error = item_not_found(log.state.at(2), "f", "late", log.state)
    assert (error.version, error.objects["came_at"]) == (2, 5)
    assert error.hint == "read it as 'f:late@5', or with at=5"
    assert item_not_found(log.state, "f", "late", log.state, 2).objects["came_at"] == 5


def test_an_item_that_was_deleted_says_when_and_how_to_get_it_back(log: Log) -> None:
    log.commit(put("gone"))
    log.commit(Delete("f", "gone"))
    log.commit(put("z"))
    error = item_not_found(log.state, "f", "gone", log.state)
    assert (error.objects["deleted_at"], error.version) == (6, 7)
    assert error.hint == "read it at=5, or restore it: lake.restore(5, items='f:gone')"
    log.commit(put("gone"))
    log.commit(Delete("f", "gone"))
    assert item_not_found(log.state, "f", "gone", log.state).objects["deleted_at"] == 9


def test_an_item_that_lived_within_one_commit_only_is_not_offered_for_restoring(log: Log) -> None:
    log.commit(put("brief"), Delete("f", "brief"))
    error = item_not_found(log.state, "f", "brief", log.state)
    assert "deleted_at" not in error.objects
    assert error.hint == "there are 'x'"


def test_an_item_that_never_was_brings_the_nearest_names(log: Log) -> None:
    log.commit(put("model_final"), put("model_first"), put("a", folio="results"))
    near = item_not_found(log.state, "f", "model_finl", log.state)
    assert near.hint is not None
    assert near.hint.startswith("did you mean 'model_final'")
    assert (near.kind, near.folio, near.item) == ("item-not-found", "f", "model_finl")
    assert item_not_found(log.state, "result", "a", log.state).hint == "did you mean 'results'?"
    assert item_not_found(log.state, "zzz", "a", log.state).hint == "folios are 'f', 'results'"
    empty = Log().state
    assert item_not_found(empty, "f", "a", empty).hint == "nothing has been added to this lake yet"


def test_the_nearest_names_are_those_of_the_view(log: Log) -> None:
    pending = log.plan(put("fresh"), Delete("f", "x")).overlay
    assert item_not_found(pending, "f", "frsh").hint == "did you mean 'fresh'?"
    emptied = Overlay(log.state, log.content_of, 5)
    emptied.delete("f", "x")
    assert item_not_found(emptied, "f", "x").hint == "nothing has been added to this lake yet"


# -- runs --------------------------------------------------------------------------------------------------


def test_what_a_run_refuses() -> None:
    running, done = {"status": '"running"'}, {"status": '"done"'}
    check_run(SetRun(run_id="r", values={}, new=True), {})
    check_run(SetRun(run_id="r", values={}, alive=True), running)
    check_run(SetRun(run_id="r", values={}, alive=True), {"status": '"lost"'})
    check_run(SetRun(run_id="r", values={}), done)
    for change, before, error, kind in (
        (SetRun(run_id="r", values={}, new=True), running, AlreadyExistsError, "run-exists"),
        (SetRun(run_id="r", values={}), {}, NotFoundError, "run-not-found"),
        (SetRun(run_id="r", values={}, alive=True), done, InvalidInputError, "run-ended"),
        (SetRun(run_id="r", values={}, alive=True), {"status": '"failed"'}, InvalidInputError, "run-ended"),
    ):
        with pytest.raises(error) as caught:
            check_run(change, before)
        assert caught.value.kind == kind

"""What the replay of rows answers: the head, the past, and what was noted, on states that stand on no base."""

from __future__ import annotations

import cProfile
import pstats
from dataclasses import FrozenInstanceError
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning import CHANGES, START, Log, blob, inline, put
from thoroughness import examples

from lakefolio.errors import IntegrityError, LakefolioError
from lakefolio.format.arrow_rows import rows_of
from lakefolio.format.schema import MANIFESTS_SCHEMA
from lakefolio.model.changes import Annotate, Delete, LogBlob, SetRun, TakeSnapshot
from lakefolio.model.entries import entries_from_rows, entry_from_row
from lakefolio.model.state import State

HOUR = timedelta(hours=1)


@pytest.fixture
def log() -> Log:
    """Version 0 adds a and b, 1 overwrites a, 2 has no rows, 3 deletes b, 4 adds b again and an item of g."""
    log = Log()
    log.commit(put("a"), put("b"))
    log.commit(put("a", "2", overwrite=True))
    log.append([])
    log.commit(Delete("f", "b"))
    log.commit(put("b", "3"), put("x", folio="g"))
    return log


def heads(state: State) -> dict[str, Any]:
    """Return what a state says of its head."""
    folios = state.folios()
    return {
        "version": (state.version, state.committed_at),
        "entries": {folio: [(one, one.content) for one in state.entries(folio)] for folio in folios},
        "count": state.live_count(),
        "snapshots": [state.snapshots(), state.snapshot(None, "s")],
        "metadata": [state.metadata("folio", folio) for folio in ("f", "g")],
        "run": [state.metadata("run", "r"), state.running(), state.runs_noting("status")],
        "past": [state.changes_of("f", "a"), state.history("f", "a"), state.change_span("f")],
    }


# -- the empty lake ----------------------------------------------------------------------------------------


def test_nothing_was_ever_committed() -> None:
    state = State()
    assert (state.version, state.committed_at, state.first_at(), state.base_version) == (-1, None, None, -1)
    assert (state.folios(), state.names("f"), state.entries("f"), state.live_count()) == ([], [], [], 0)
    assert (state.version_at(START), state.time_of(0), state.version_of("c"), state.change_span("f")) == (None,) * 4
    assert (state.purged, state.running(), state.rows_since(-1).num_rows) == (False, {}, 0)


# -- the head ----------------------------------------------------------------------------------------------


def test_items_stand_in_the_order_in_which_they_came_to_live(log: Log) -> None:
    assert (log.state.folios(), log.state.names("f"), log.state.names("g")) == (["f", "g"], ["a", "b"], ["x"])
    log.commit(Delete("f", "a"), put("a"))
    assert log.state.names("f") == ["b", "a"]
    assert log.state.listing("f", ("item", "version")) == [("b", 4), ("a", 5)]
    assert [one.item for one in log.state.entries("f")] == ["b", "a"]
    assert (log.state.live_count("f"), log.state.live_count()) == (2, 3)


def test_a_state_that_somebody_holds_never_moves(log: Log) -> None:
    held, before = log.state, heads(log.state)
    log.commit(Delete("f", "a"), put("c"), TakeSnapshot(name="s"), Annotate("folio", "f", {"k": "1"}))
    log.commit(put("b", "9", overwrite=True))
    assert heads(held) == before
    assert heads(log.state) != before


def test_many_entries_are_read_at_once_as_they_are_one_by_one(log: Log) -> None:
    log.commit(*(put(f"i{number}", str(number), folio="many") for number in range(40)))
    entries = log.state.entries("many")
    assert entries == [log.state.entry("many", f"i{number}") for number in range(40)]
    assert [one.content for one in entries] == [str(number).encode() for number in range(40)]


FULL: dict[str, Any] = {
    "version": 3,
    "ordinal": 0,
    "committed_at": START,
    "commit_id": "c",
    "op": "put",
    "folio": "f",
    "item": "a",
    "entry_id": "e",
    "kind": "json",
    "storage": "inline",
    "reason": "add",
    "author": "me",
    "message": "why",
    "tags": ["x", "y"],
    "details": '{"format": 1}',
    "archived": True,
    "extra": '{"semver": "1.0.0"}',
    "inputs": [{"input_kind": "entry", "input_id": "d"}, {"input_kind": "external", "input_uri": "s3://b/k"}],
    "facts": [{"key": "k", "value": "1", "value_number": 1.0}, {"key": "gone"}],
}
BARE = {name: FULL[name] for name in ("version", "ordinal", "committed_at", "commit_id", "folio", "entry_id")}


def test_rows_become_entries_column_by_column_as_they_do_one_by_one() -> None:
    rows = rows_of(MANIFESTS_SCHEMA, [FULL, {**BARE, "item": "b", "kind": "json", "storage": "blob"}])
    entries = entries_from_rows(rows)
    assert entries == [entry_from_row(row) for row in rows.to_pylist()]
    assert entries[0].tags == ("x", "y")
    assert entries[0].facts == {"k": "1"}
    assert (entries[1].tags, entries[1].details, entries[1].archived, entries[1].inputs) == ((), {}, False, ())
    assert entries_from_rows(rows.drop_columns(["content", "op"])) == entries  # as those of a read model
    with pytest.raises(FrozenInstanceError):
        entries[0].version = 4  # type: ignore[misc]


@pytest.mark.parametrize("bad", [{"details": "[]"}, {"extra": "{"}, {"entry_id": None}, {"facts": [{"value": "1"}]}])
def test_of_many_rows_the_bad_one_is_named(bad: dict[str, Any]) -> None:
    rows = rows_of(MANIFESTS_SCHEMA, [FULL, {**FULL, "item": "b", **bad}])
    try:
        expected = [entry_from_row(row) for row in rows.to_pylist()]
    except IntegrityError as exc:
        with pytest.raises(IntegrityError, match="row of item f:b@3") as caught:
            entries_from_rows(rows)
        assert (str(caught.value), caught.value.kind) == (str(exc), "bad-row")
    else:
        assert entries_from_rows(rows) == expected


def test_a_list_of_entries_takes_few_calls_for_each() -> None:
    """One by one these take 77 each, and a list of a thousand took 18 ms for that alone."""
    rows = rows_of(MANIFESTS_SCHEMA, [{**FULL, "item": f"i{number}"} for number in range(100)])
    entries_from_rows(rows)
    profile = cProfile.Profile()
    profile.runcall(entries_from_rows, rows)
    assert pstats.Stats(profile).total_calls < 100 * 50  # type: ignore[attr-defined]


def test_rows_that_name_no_item_change_nothing_that_is_live(log: Log) -> None:
    before = heads(log.state)
    common = {"version": 5, "committed_at": START + 5 * HOUR, "commit_id": "c"}
    log.append(
        [
            {**common, "ordinal": 0, "op": "put", "folio": "f", "entry_id": "e", "kind": "json", "storage": "inline"},
            {**common, "ordinal": 1, "op": "delete", "item": "a"},
            {**common, "ordinal": 2, "op": "snapshot", "snapshot": "s"},
            {**common, "ordinal": 3, "op": "invented"},
        ]
    )
    after = heads(log.state)
    for what in ("entries", "count", "snapshots", "metadata", "run"):
        assert after[what] == before[what]


# -- the past ----------------------------------------------------------------------------------------------


def test_the_past_of_an_item(log: Log) -> None:
    assert log.state.changes_of("f", "b") == [(4, "put"), (3, "delete"), (0, "put")]
    assert [(one.version, one.content) for one in log.state.history("f", "b")] == [(0, b"1"), (4, b"3")]
    at = [log.state.entry_at("f", "b", version) for version in range(5)]
    assert [one and one.version for one in at] == [0, 0, 0, None, 4]
    assert (log.state.known("f", "b"), log.state.known("f", "x")) == (True, False)
    assert (log.state.change_span("f"), log.state.change_span("g"), log.state.change_span("h")) == (
        (0, 4),
        (4, 4),
        None,
    )


def test_versions_and_times(log: Log) -> None:
    state = log.state
    assert [state.version_at(START + hours * HOUR) for hours in (-1, 0, 1, 2, 3, 9)] == [None, 0, 1, 1, 3, 4]
    assert [state.time_of(version) for version in (0, 2, 4)] == [START, START + HOUR, START + 4 * HOUR]
    assert (state.first_at(), state.committed_at) == (START, START + 4 * HOUR)
    assert [state.back(4, count) for count in range(6)] == [4, 3, 1, 0, 0, None]
    assert (state.back(2, 1), state.versions_up_to(4), state.versions_up_to(2)) == (0, 4, 2)
    entry = log.entry("x", "g")
    assert (state.version_of(entry.commit_id), state.version_of("another")) == (4, None)


def test_rows_since_a_version_come_in_order_and_in_parts(log: Log) -> None:
    since = log.state.rows_since(0)
    assert since.column("version").to_pylist() == [1, 3, 4, 4]
    assert [log.state.row_count_at(version) for version in range(5)] == [2, 3, 3, 4, 6]
    (part,) = log.state.parts(("op",), after=2)
    assert part.select(["version", "ordinal", "op"]).to_pylist() == [
        {"version": 3, "ordinal": 0, "op": "delete"},
        {"version": 4, "ordinal": 0, "op": "put"},
        {"version": 4, "ordinal": 1, "op": "put"},
    ]
    assert list(log.state.parts(("op",), after=9, newest_first=True)) == []


def test_rows_of_some_items(log: Log) -> None:
    names = [("f", "a"), ("f", "b"), ("f", "none")]
    puts = log.state.puts_of(names).select(["item", "version"]).to_pylist()
    assert sorted((one["item"], one["version"]) for one in puts) == [("a", 0), ("a", 1), ("b", 0), ("b", 4)]
    assert list(log.state.entries_called(names[::-1])) == [("f", "b"), ("f", "a")]
    live = log.state.heads_of(names).select(["item", "version"]).to_pylist()
    assert sorted((one["item"], one["version"]) for one in live) == [("a", 1), ("b", 4)]


# -- notes -------------------------------------------------------------------------------------------------


def test_metadata_as_of_a_version_in_the_order_of_its_keys(log: Log) -> None:
    log.commit(Annotate("folio", "f", {"b": "1", "a": "1"}))
    log.commit(Annotate("folio", "f", {"b": None, "a": "2", "c": "3"}))
    assert list(log.state.metadata("folio", "f").items()) == [("a", "2"), ("c", "3")]
    assert list(log.state.metadata("folio", "f", 5).items()) == [("b", "1"), ("a", "1")]
    assert (log.state.metadata("folio", "f", 4), log.state.metadata("lake", "")) == ({}, {})


def test_runs_are_found_by_what_was_noted_of_them(log: Log) -> None:
    for run_id in ("r1", "r2"):
        log.commit(SetRun(run_id=run_id, values={"status": '"running"', "memo": f'"{run_id}"'}, new=True))
    log.commit(SetRun(run_id="r1", values={"status": '"done"'}))
    assert list(log.state.running()) == ["r2"]
    assert log.state.runs_noting("memo") == ["r1", "r2"]
    assert (log.state.runs_noting("memo", ['"r1"']), log.state.runs_noting("parent")) == (["r1"], [])
    assert log.state.runs_noting("status", ['"running"']) == ["r1", "r2"]  # ever


# -- content -----------------------------------------------------------------------------------------------


def test_content_is_known_until_it_is_purged(log: Log) -> None:
    log.commit(put("blob", stored=blob()))
    found = log.state.content("sha256:b", "artifact")
    assert found is not None
    assert (found.item, log.state.content("sha256:b", "json"), log.state.purged) == ("blob", None, False)
    log.purge(blob())
    assert (log.state.content("sha256:b", "artifact"), log.state.purged) == (None, True)
    assert (log.state.purge_of("sha256:b", 0), log.state.purge_of("sha256:b", 1)) == ((6, "gc"), None)
    log.commit(put("again", stored=blob(generation=1)))
    log.purge(blob(generation=1))
    assert log.state.purges().to_pylist() == [{"blob_digest": "sha256:b", "generation": 1}]
    assert log.state.generation("sha256:b") == 2
    assert log.state.at(5).generation("sha256:b") == 0


def test_a_late_purge_of_an_earlier_generation_takes_nothing_back(log: Log) -> None:
    log.purge(blob(generation=1))
    log.purge(blob(generation=0))
    assert (log.state.generation("sha256:b"), log.state.is_purged(blob(generation=1))) == (2, True)
    assert not log.state.is_purged(blob(generation=2))
    assert log.state.is_purged(blob(generation=-5))
    assert not log.state.is_purged(inline())


def test_content_put_since_counts_whatever_needs_it(log: Log) -> None:
    log.commit(put("blob", stored=blob()))
    log.commit(put("other", stored=blob("o")), LogBlob(event_id="e", stored=blob("p", generation=2)))
    log.purge(blob("q"))
    assert log.state.blobs_put_since(5) == {("sha256:o", 0), ("sha256:p", 2)}
    assert log.state.blobs_put_since(4) == {("sha256:b", 0), ("sha256:o", 0), ("sha256:p", 2)}


# -- replay ------------------------------------------------------------------------------------------------


@settings(max_examples=examples(160), deadline=None)
@given(st.lists(st.lists(CHANGES, min_size=1, max_size=3), max_size=6))
def test_a_replay_up_to_a_version_is_the_state_that_was_held_then(commits: list[list[Any]]) -> None:
    log = Log()
    log.commit(put("a"), put("b"))
    held = [log.state]
    for changes in commits:
        try:
            rows = log.commit(*changes)
        except LakefolioError:
            rows = []
        if not rows:
            log.append([])
        held.append(log.state)
    for version, state in enumerate(held):
        assert heads(log.state.at(version)) == heads(state)

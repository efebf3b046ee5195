"""What is read through changes that are laid over a state and not committed yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning import CHANGES, Log, blob, inline, put
from thoroughness import examples

from lakefolio.errors import LakefolioError
from lakefolio.model.changes import Annotate, Delete, DropSnapshot, SetRun, TakeSnapshot, Update
from lakefolio.model.entries import Entry, StateView
from lakefolio.model.pending_state import Overlay

FOLIOS, ITEMS = ("f", "g"), ("a", "b", "c")


@pytest.fixture
def log() -> Log:
    """One version, in which folio f has the items a, b and c, in this order."""
    log = Log()
    log.commit(*(put(item) for item in ITEMS))
    return log


def laid_over(log: Log) -> Overlay:
    return Overlay(log.state, log.content_of, log.state.version + 1)


def seen(view: StateView) -> dict[str, Any]:
    """Return everything that can be read of the head."""
    return {
        "folios": view.folios(),
        "names": {folio: view.names(folio) for folio in FOLIOS},
        "entries": {folio: [plain(one) for one in view.entries(folio)] for folio in FOLIOS},
        "listing": {folio: view.listing(folio, ("item", "description")) for folio in FOLIOS},
        "live": [(folio, item) for folio in FOLIOS for item in ITEMS if view.live(folio, item)],
        "users": {(folio, item): view.users(folio, item) for folio in FOLIOS for item in ITEMS},
        "puts": [one[1:] for folio in FOLIOS for item in ITEMS for one in view.puts(folio, item)],
        "entry": [plain(view.entry(folio, item)) for folio in FOLIOS for item in ITEMS],
        "history": [[plain(one) for one in view.history(folio, item)] for folio in FOLIOS for item in ITEMS],
        "snapshots": [(one.name, one.folio, one.target_version) for one in view.snapshots()],
        "snapshot": view.snapshot(None, "s"),
        "metadata": [view.metadata("folio", folio) for folio in FOLIOS] + [view.metadata("run", "r")],
        "run inputs": view.run_inputs("r"),
        "content": [plain(view.content(f"sha256:{text}", "json")) for text in "12"],
    }


def plain(entry: Entry | None) -> Any:
    return entry and (entry, entry.content)


def test_with_nothing_laid_over_the_base_shines_through(log: Log) -> None:
    assert seen(laid_over(log)) == seen(log.state)


def test_pending_changes_are_seen_above_and_not_below(log: Log) -> None:
    before = seen(log.state)
    view = log.plan(put("d"), put("a", "2", overwrite=True), Delete("f", "b"), put("x", folio="g")).overlay
    assert (view.names("f"), view.folios()) == (["a", "c", "d"], ["f", "g"])
    assert [entry.content for entry in view.entries("f")] == [b"2", b"1", b"1"]
    assert (view.live("f", "b"), view.entry("f", "b"), view.live("f", "c")) == (False, None, True)
    assert view.listing("f", ("item", "version")) == [("a", 1), ("c", 0), ("d", 1)]
    assert seen(log.state) == before


def test_a_folio_whose_items_are_all_deleted_is_gone(log: Log) -> None:
    view = log.plan(*(Delete("f", item) for item in ITEMS), put("x", folio="g")).overlay
    assert (view.folios(), view.names("f"), view.entries("f")) == (["g"], [], [])


def test_an_item_that_was_deleted_and_added_again_stands_last(log: Log) -> None:
    again = [Delete("f", "a"), put("d"), put("a", "2")]
    assert log.plan(*again).overlay.names("f") == ["b", "c", "d", "a"]
    log.commit(*again)
    assert log.state.names("f") == ["b", "c", "d", "a"]


def test_history_has_what_is_pending_last_and_the_past_does_not(log: Log) -> None:
    view = log.plan(put("a", "2", overwrite=True), Update("f", "a", description="d")).overlay
    assert [(one.version, one.reason) for one in view.history("f", "a")] == [
        (0, "add"),
        (1, "overwrite"),
        (1, "update"),
    ]
    assert view.entry_at("f", "a", 1) == log.state.entry("f", "a")


def test_content_is_found_among_what_is_pending_first(log: Log) -> None:
    view = log.plan(put("d"), put("e", stored=blob())).overlay
    found, stored = view.content("sha256:1", "json"), view.content("sha256:b", "artifact")
    assert found is not None
    assert stored is not None
    assert (found.item, stored.item) == ("d", "e")
    assert view.content("sha256:b", "json") is None


def test_purged_content_is_that_of_the_base(log: Log) -> None:
    log.commit(put("d", stored=blob()))
    log.purge(blob())
    view = laid_over(log)
    assert (view.generation("sha256:b"), view.generation("sha256:other")) == (1, 0)
    assert (view.is_purged(blob()), view.is_purged(blob(generation=1)), view.is_purged(inline())) == (
        True,
        False,
        False,
    )


def test_a_row_that_is_made_later_is_made_once_and_only_if_it_is_read(log: Log) -> None:
    change, made = put("d", "2"), []

    def row() -> Mapping[str, Any]:
        made.append(change)
        return log.plan(change).manifests[0]

    view = laid_over(log)
    view.put_later(change, row)
    assert (view.names("f"), view.live("f", "d"), view.folios()) == (["a", "b", "c", "d"], True, ["f"])
    assert made == []
    first, second = view.entry("f", "d"), view.content("sha256:2", "json")
    assert first is not None
    assert (first.content, first is second, len(made)) == (b"2", True, 1)


def test_users_are_live_items_whose_present_entries_name_an_item(log: Log) -> None:
    log.commit(put("d", inputs=("a", "b")), put("e", inputs=("a",)), put("x", folio="g", inputs=("f:a",)))
    assert log.state.users("f", "a") == [("f", "d"), ("f", "e"), ("g", "x")]
    view = log.plan(put("d", "2", overwrite=True, inputs=("c",)), Delete("f", "e"), put("y", inputs=("a", "a"))).overlay
    assert view.users("f", "a") == [("g", "x"), ("f", "y")]
    assert (view.users("f", "b"), view.users("f", "c"), view.users("g", "a")) == ([], [("f", "d")], [])


def test_snapshots_are_taken_and_dropped(log: Log) -> None:
    log.commit(TakeSnapshot(name="old"), TakeSnapshot(name="kept", folio="f"))
    view = log.plan(DropSnapshot("old"), TakeSnapshot(name="new"), TakeSnapshot(name="mine", folio="g")).overlay
    assert [one.name for one in view.snapshots()] == ["kept", "new", "mine"]
    assert [one.name for one in view.snapshots("g")] == ["mine"]
    assert (view.snapshot(None, "old"), view.snapshot("f", "new")) == (None, None)


def test_metadata_is_pending_only_at_the_head(log: Log) -> None:
    log.commit(Annotate("folio", "f", {"k": "1"}))
    view = log.plan(Annotate("folio", "f", {"k": None, "l": "2"})).overlay
    assert (view.metadata("folio", "f"), view.metadata("folio", "f", 1)) == ({"l": "2"}, {"k": "1"})
    view.metadata("folio", "f")["l"] = "changed by the reader"
    assert view.metadata("folio", "f") == {"l": "2"}


def test_inputs_of_runs_have_the_version_they_are_to_have(log: Log) -> None:
    log.commit(SetRun(run_id="r", values={"s": "1"}, new=True, input_names=("x",), input_refs=("f:a",)))
    view = log.plan(SetRun(run_id="r", values={}, input_names=("y", "z"), input_refs=("f:b", "s3://b/z"))).overlay
    assert [(edge["role"], edge["version"]) for edge in view.run_inputs("r")] == [("x", 1), ("y", 2), ("z", 2)]
    (row,) = view.pending_rows()
    assert (row["op"], row["run_id"], [edge["role"] for edge in row["inputs"]]) == ("run", "r", ["y", "z"])


def test_pending_rows_are_those_of_entries_and_runs(log: Log) -> None:
    view = log.plan(put("d", inputs=("a",)), put("d", "2", overwrite=True), Delete("f", "a")).overlay
    assert [(row["op"], row["item"], row["version"]) for row in view.pending_rows()] == [("put", "d", 1)] * 2


@settings(max_examples=examples(240), deadline=None)
@given(st.lists(CHANGES, max_size=12), st.integers(0, 12))
def test_what_is_read_before_a_commit_is_read_after_it(changes: list[Any], cut: int) -> None:
    """Whether the changes are laid over in one plan, or in two of which the second is absorbed by the first."""
    log = Log()
    log.commit(put("a"), put("b"), put("a", folio="g"), TakeSnapshot(name="s"))
    agreed: list[Any] = []
    for change in changes:
        try:
            log.plan(*agreed, change)
        except LakefolioError:
            continue
        agreed.append(change)
    whole, first = log.plan(*agreed), log.plan(*agreed[:cut])
    second = log.plan(*agreed[cut:], base=first.overlay, first=len(first.manifests))
    first.overlay.absorb(second.overlay)
    for view, rows in ((whole.overlay, whole.manifests), (first.overlay, first.manifests + second.manifests)):
        after = Log()
        after.state = log.state
        after.append(rows)
        assert seen(view) == seen(after.state)

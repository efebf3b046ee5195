"""Which rows each kind of change makes on a state, and which it refuses to make."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning import CHANGES, Log, blob, put
from thoroughness import examples

from lakefolio.errors import AlreadyExistsError, ConflictError, InvalidInputError, LakefolioError, NotFoundError
from lakefolio.model.changes import (
    Annotate,
    CopyItem,
    Delete,
    DropSnapshot,
    LogBatch,
    LogBlob,
    Restore,
    SetArchived,
    SetRun,
    TakeSnapshot,
    Update,
)


@pytest.fixture
def log() -> Log:
    return Log()


def said(rows: list[dict[str, Any]], *columns: str) -> list[tuple[Any, ...]]:
    return [tuple(row.get(name) for name in columns) for row in rows]


def facts(row: dict[str, Any]) -> dict[str, Any]:
    return {one["key"]: one["value"] for one in row["facts"]}


# -- a commit ----------------------------------------------------------------------------------------------


def test_every_row_says_which_commit_it_is_of_and_its_place_in_it(log: Log) -> None:
    log.commit(put("a"))
    rows = log.commit(put("b"), put("c"), Delete("f", "a"), author="ada", message="why", run_id="r1")
    assert said(rows, "version", "ordinal", "op", "item") == [
        (1, 0, "put", "b"),
        (1, 1, "put", "c"),
        (1, 2, "delete", "a"),
    ]
    assert {(row["author"], row["message"], row["run_id"]) for row in rows} == {("ada", "why", "r1")}
    assert len({(row["commit_id"], row["committed_at"]) for row in rows}) == 1


def test_a_second_commit_of_a_version_counts_on_and_sees_the_first(log: Log) -> None:
    first = log.plan(put("a"), put("b"))
    second = log.plan(put("c", inputs=("a",)), put("d"), base=first.overlay, first=2)
    assert said(first.manifests + second.manifests, "version", "ordinal") == [(0, number) for number in range(4)]
    assert second.manifests[0]["inputs"][0]["input_id"] == first.manifests[0]["entry_id"]
    with pytest.raises(AlreadyExistsError) as caught:
        log.plan(put("a", "2"), base=first.overlay)
    assert caught.value.kind == "item-exists"


def test_what_is_refused_leaves_the_view_it_was_planned_on_as_it_was(log: Log) -> None:
    base = log.plan(put("a")).overlay
    with pytest.raises(NotFoundError):
        log.plan(put("b"), Delete("f", "a"), Delete("f", "missing"), base=base)
    assert base.names("f") == ["a"]


# -- put ---------------------------------------------------------------------------------------------------


def test_put_records_content_and_words(log: Log) -> None:
    change = put("a", description="d", tags=("t", "u"), metadata={"n": "1.5", "s": '"x"', "b": "true"})
    (row,) = log.commit(change)
    assert (row["op"], row["reason"], row["entry_id"]) == ("put", "add", change.entry_id)
    assert (row["kind"], row["storage"], row["content"], row["details"]) == ("json", "inline", b"1", None)
    assert (row["description"], row["tags"], row["inputs"]) == ("d", ["t", "u"], None)
    assert [(one["key"], one["value"], one["value_number"]) for one in row["facts"]] == [
        ("n", "1.5", 1.5),
        ("s", '"x"', None),
        ("b", "true", None),
    ]
    entry = log.entry("a")
    assert (entry.description, entry.tags, entry.facts["n"], entry.content) == ("d", ("t", "u"), "1.5", b"1")


def test_put_again_of_the_same_makes_nothing(log: Log) -> None:
    log.commit(put("a", tags=("t",)))
    assert log.commit(put("a", tags=("t",))) == []
    assert log.state.version == 0


@pytest.mark.parametrize(
    ("other", "differs"),
    [
        ({"text": "2"}, ["content"]),
        ({"description": "d"}, ["description"]),
        ({"tags": ("t",)}, ["tags"]),
        ({"metadata": {"k": "1"}}, ["metadata"]),
        ({"inputs": ("s3://bucket/raw",)}, ["inputs"]),
        ({"inputs": ("nothing-there",)}, ["inputs"]),
        ({"text": "2", "tags": ("t",)}, ["content", "tags"]),
    ],
)
def test_put_under_a_name_that_is_taken_says_what_differs(log: Log, other: dict[str, Any], differs: list[str]) -> None:
    log.commit(put("a"))
    with pytest.raises(AlreadyExistsError) as caught:
        log.plan(put("a", **other))
    assert (caught.value.kind, caught.value.version, caught.value.differs) == ("item-exists", 0, differs)


def test_overwrite_makes_a_new_head_in_the_old_place(log: Log) -> None:
    log.commit(put("a"), put("b"))
    old = log.entry("a")
    (row,) = log.commit(put("a", "2", overwrite=True))
    assert (row["reason"], log.entry("a").content) == ("overwrite", b"2")
    assert log.state.names("f") == ["a", "b"]
    assert log.state.entry_at("f", "a", 0) == old
    assert log.commit(put("new", overwrite=True))[0]["reason"] == "add"


def test_overwrite_carries_over_only_what_it_is_told_to_keep(log: Log) -> None:
    log.commit(
        put("a", description="d", tags=("t",), metadata={"k": "1", "both": "1", "code": '"x"'}, inputs=("s3://b/x",))
    )
    log.commit(put("a", "2", overwrite=True, keep=("description", "metadata"), metadata={"both": "2"}))
    entry = log.entry("a")
    assert (entry.description, entry.tags, entry.inputs) == ("d", (), ())
    assert dict(entry.facts) == {"k": "1", "both": "2"}  # what is noted of the old content itself is not carried over
    log.commit(put("a", "3", overwrite=True))
    assert (log.entry("a").description, dict(log.entry("a").facts)) == (None, {})


def test_inputs_are_pinned_to_the_entry_that_is_meant_now(log: Log) -> None:
    log.commit(put("raw"), put("raw", folio="g"))
    log.commit(put("raw", "2", overwrite=True))
    (row,) = log.commit(put("a", inputs=("raw", "f:raw@0", "g:raw", "s3://bucket/x")))
    edges = said(row["inputs"], "input_kind", "input_id", "input_folio", "input_uri")
    then = log.state.entry_at("f", "raw", 0)
    assert then is not None
    assert edges == [
        ("entry", log.entry("raw").entry_id, "f", None),
        ("entry", then.entry_id, "f", None),
        ("entry", log.entry("raw", "g").entry_id, "g", None),
        ("external", None, None, "s3://bucket/x"),
    ]


def test_the_run_that_made_an_entry_is_an_input_and_that_of_the_commit_is_not(log: Log) -> None:
    made, within = log.commit(put("a", run_id="r1"), put("b"), run_id="r2")
    assert said(made["inputs"], "input_kind", "input_id", "run_id") == [("run", "r1", "r1")]
    assert (made["run_id"], within["run_id"], within["inputs"]) == ("r1", "r2", None)


@pytest.mark.parametrize("ref", ["gone", "f:raw@7", "f:raw@paper", "other:raw", "f:raw@-9"])
def test_an_input_that_is_not_there_is_refused_by_its_name(log: Log, ref: str) -> None:
    log.commit(put("raw"))
    with pytest.raises(NotFoundError) as caught:
        log.plan(put("a", inputs=(ref,)))
    assert (caught.value.kind, caught.value.objects["input"]) == ("input-not-found", ref)


def test_details_that_json_can_not_say_are_refused(log: Log) -> None:
    batch = LogBatch(reason="metrics", batch_id="b", details={"x": float("nan")})
    with pytest.raises(InvalidInputError) as caught:
        log.plan(batch)
    assert caught.value.kind == "bad-details"


# -- update, archive, delete -------------------------------------------------------------------------------


def test_update_changes_only_the_words_it_names(log: Log) -> None:
    log.commit(put("a", description="d", tags=("t",), metadata={"k": "1", "gone": "1"}, inputs=("s3://b/x",)))
    before = log.entry("a")
    (row,) = log.commit(Update("f", "a", description="new", metadata={"gone": None, "more": "2"}))
    after = log.entry("a")
    assert (row["reason"], row["entry_id"] != before.entry_id) == ("update", True)
    assert (after.description, after.tags, after.inputs) == ("new", ("t",), before.inputs)
    assert dict(after.facts) == {"k": "1", "more": "2"}
    assert (after.digest, after.content) == (before.digest, before.content)
    log.commit(Update("f", "a", description=None, tags=(), inputs=()))
    assert (log.entry("a").description, log.entry("a").tags, log.entry("a").inputs) == (None, (), ())


def test_archive_keeps_the_entry_and_happens_once(log: Log) -> None:
    log.commit(put("a", tags=("t",)))
    entry_id = log.entry("a").entry_id
    assert said(log.commit(SetArchived("f", "a", True)), "reason", "entry_id") == [("archive", entry_id)]
    assert log.commit(SetArchived("f", "a", True)) == []
    assert (log.entry("a").archived, log.entry("a").tags, log.state.live("f", "a")) == (True, ("t",), True)
    log.commit(Update("f", "a", tags=()))
    assert log.entry("a").archived
    assert log.commit(SetArchived("f", "a", False))[0]["reason"] == "unarchive"
    assert not log.entry("a").archived


def test_delete_frees_the_name_and_a_new_item_stands_last(log: Log) -> None:
    log.commit(put("a"), put("b"))
    assert said(log.commit(Delete("f", "a")), "op", "reason", "item") == [("delete", "delete", "a")]
    assert (log.state.names("f"), log.state.entry("f", "a")) == (["b"], None)
    assert log.commit(put("a", "2"))[0]["reason"] == "add"
    assert log.state.names("f") == ["b", "a"]


@pytest.mark.parametrize("change", [Delete("f", "ab"), Update("f", "ab"), SetArchived("f", "ab", True)])
def test_what_is_not_there_can_not_be_changed(log: Log, change: Any) -> None:
    log.commit(put("abc"))
    with pytest.raises(NotFoundError) as caught:
        log.plan(change)
    assert (caught.value.kind, caught.value.hint) == ("item-not-found", "did you mean 'abc'?")


# -- copies ------------------------------------------------------------------------------------------------


def test_a_copy_has_all_but_the_place_and_the_archiving(log: Log) -> None:
    log.commit(put("a", description="d", tags=("t",), metadata={"k": "1"}, inputs=("s3://b/x",)))
    log.commit(SetArchived("f", "a", True))
    source = log.entry("a")
    (row,) = log.commit(CopyItem(source=source, folio="g", item="c", entry_id="copy"))
    made = log.entry("c", "g")
    assert (row["reason"], made.entry_id, made.archived) == ("copy", "copy", False)
    assert (made.description, made.tags, made.facts, made.inputs) == ("d", ("t",), source.facts, source.inputs)
    assert (made.digest, made.content) == (source.digest, source.content)
    with pytest.raises(AlreadyExistsError):
        log.plan(CopyItem(source=source, folio="g", item="c", entry_id="again"))
    assert log.plan(CopyItem(source=source, folio="g", item="c", entry_id="again", overwrite=True)).manifests


# -- metadata of the lake and of folios --------------------------------------------------------------------


def test_only_facts_that_change_are_noted(log: Log) -> None:
    log.commit(Annotate("folio", "f", {"a": "1", "b": "2"}))
    (row,) = log.commit(Annotate("folio", "f", {"a": "1", "b": None, "c": "3"}))
    assert (row["op"], row["folio"], facts(row)) == ("annotate", "f", {"b": None, "c": "3"})
    assert log.state.metadata("folio", "f") == {"a": "1", "c": "3"}
    assert log.commit(Annotate("folio", "f", {"a": "1", "nothing": None})) == []
    log.commit(Annotate("folio", "f", {"d": "4"}, clear=True))
    assert log.state.metadata("folio", "f") == {"d": "4"}
    log.commit(Annotate("lake", "", {"a": "9"}))
    assert (log.state.metadata("lake", ""), log.state.metadata("folio", "f")) == ({"a": "9"}, {"d": "4"})


# -- snapshots ---------------------------------------------------------------------------------------------


def test_a_snapshot_means_the_state_its_commit_leaves_or_an_earlier_one(log: Log) -> None:
    log.commit(put("a"))
    log.commit(put("b"), TakeSnapshot(name="s", message="m", tags=("t",), extra={"x": 1}))
    log.commit(TakeSnapshot(name="old", folio="f", target_version=0))
    now, old = log.state.snapshot(None, "s"), log.state.snapshot("f", "old")
    assert now is not None
    assert old is not None
    assert (now.target_version, now.message, now.tags, now.extra) == (1, "m", ("t",), {"x": 1})
    assert (old.target_version, old.version) == (0, 2)


def test_names_of_snapshots_are_taken_within_their_scope(log: Log) -> None:
    log.commit(put("a"), TakeSnapshot(name="s"))
    with pytest.raises(AlreadyExistsError) as caught:
        log.plan(TakeSnapshot(name="s"))
    assert (caught.value.kind, caught.value.snapshot, caught.value.version) == ("snapshot-exists", "s", 0)
    log.commit(TakeSnapshot(name="s", folio="f"))
    log.commit(DropSnapshot("s"), TakeSnapshot(name="s"))
    again = log.state.snapshot(None, "s")
    assert again is not None
    assert again.target_version == 2


def test_a_snapshot_that_is_not_there_can_not_be_dropped(log: Log) -> None:
    log.commit(put("a"), TakeSnapshot(name="paper"), TakeSnapshot(name="papers", folio="g"))
    with pytest.raises(NotFoundError) as caught:
        log.plan(DropSnapshot("papre"))
    assert (caught.value.kind, caught.value.hint) == ("snapshot-not-found", "did you mean 'paper'?")
    with pytest.raises(NotFoundError):
        log.plan(DropSnapshot("paper", "f"))


# -- restore -----------------------------------------------------------------------------------------------


@pytest.fixture
def lived(log: Log) -> Log:
    """Version 0 has a, b and c; since then a was overwritten, b deleted, c archived, and d added."""
    log.commit(put("a", tags=("t",)), put("b"), put("c"), put("x", folio="g"), Annotate("folio", "f", {"k": "1"}))
    log.commit(put("a", "2", overwrite=True), Delete("f", "b"), SetArchived("f", "c", True))
    log.commit(put("d"), Delete("g", "x"), Annotate("folio", "f", {"k": "2", "l": "3"}))
    return log


def test_restore_brings_back_overwritten_deleted_and_archived_items(lived: Log) -> None:
    before = {name: lived.state.entry_at("f", name, 0) for name in "abc"}
    rows = lived.commit(Restore(0, "f"))
    assert said(rows, "op", "reason", "item") == [
        ("put", "restore", "a"),
        ("put", "restore", "b"),
        ("put", "restore", "c"),
        ("delete", "restore", "d"),
        ("annotate", "metadata", None),
    ]
    assert lived.state.names("f") == ["a", "c", "b"]
    for name, old in before.items():
        now = lived.entry(name)
        assert old is not None
        assert (now.entry_id, now.content, now.tags, now.archived) == (old.entry_id, old.content, old.tags, False)
    assert lived.state.metadata("folio", "f") == {"k": "1"}
    assert lived.state.folios() == ["f"]
    assert lived.commit(Restore(0, "f")) == []


def test_restore_of_everything_and_back_again_undoes_it(lived: Log) -> None:
    heads = {name: lived.state.entry("f", name) for name in "abcd"}
    lived.commit(Annotate("lake", "", {"seen": "1"}))
    lived.commit(Restore(0))
    assert (lived.state.folios(), lived.state.metadata("lake", "")) == (["f", "g"], {})
    lived.commit(Restore(3))
    now = {name: lived.state.entry("f", name) for name in "abcd"}
    for name, entry in heads.items():
        old, new = [one and (one.entry_id, one.content, one.archived) for one in (entry, now[name])]
        assert old == new, name
    assert lived.state.metadata("lake", "") == {"seen": "1"}
    assert lived.state.metadata("folio", "f") == {"k": "2", "l": "3"}
    assert lived.state.folios() == ["f"]


def test_restore_of_named_items_leaves_the_others_and_the_metadata(lived: Log) -> None:
    rows = lived.commit(Restore(0, "f", ("b", "d")))
    assert said(rows, "op", "item") == [("put", "b"), ("delete", "d")]
    assert lived.entry("a").content == b"2"
    assert lived.state.metadata("folio", "f") == {"k": "2", "l": "3"}
    with pytest.raises(NotFoundError) as caught:
        lived.plan(Restore(0, "f", ("never",)))
    assert caught.value.kind == "item-not-found"


# -- runs --------------------------------------------------------------------------------------------------


def test_a_run_begins_goes_on_and_ends(log: Log) -> None:
    log.commit(SetRun(run_id="r", values={"status": '"running"', "lr": "0.1"}, new=True))
    (row,) = log.commit(SetRun(run_id="r", values={"lr": "0.1", "epochs": "3"}, alive=True))
    assert (row["op"], row["run_id"], facts(row)) == ("run", "r", {"epochs": "3"})
    assert list(log.state.running()) == ["r"]
    log.commit(SetRun(run_id="r", values={"status": '"done"'}, alive=True))
    assert log.state.running() == {}
    with pytest.raises(InvalidInputError) as ended:
        log.plan(SetRun(run_id="r", values={"x": "1"}, alive=True))
    assert (ended.value.kind, ended.value.run_id) == ("run-ended", "r")
    with pytest.raises(AlreadyExistsError) as exists:
        log.plan(SetRun(run_id="r", values={}, new=True))
    assert exists.value.kind == "run-exists"
    with pytest.raises(NotFoundError) as missing:
        log.plan(SetRun(run_id="other", values={"x": "1"}))
    assert missing.value.kind == "run-not-found"


def test_what_was_concluded_from_facts_that_changed_since_makes_nothing(log: Log) -> None:
    log.commit(SetRun(run_id="r", values={"status": '"running"', "seen": "1"}, new=True))
    lost = {"run_id": "r", "values": {"status": '"lost"'}}
    assert log.commit(SetRun(**lost, only_if={"seen": "0"})) == []
    assert log.commit(SetRun(**lost, only_if={"seen": "1", "ended": None}))


def test_inputs_of_a_run_pin_the_entries_they_mean(log: Log) -> None:
    log.commit(put("a", stored=blob()), SetRun(run_id="r", values={"status": '"running"'}, new=True))
    change = SetRun(run_id="r", values={}, input_names=("data", "raw"), input_refs=("f:a", "s3://b/x"))
    run, pin = log.commit(change)
    assert said(run["inputs"], "input_kind", "role") == [("entry", "data"), ("external", "raw")]
    assert (pin["op"], pin["entry_id"], pin["description"]) == ("pin", log.entry("a").entry_id, "data")
    assert pin["blob_digest"] == "sha256:b"
    assert [edge["version"] for edge in log.state.run_inputs("r")] == [1, 1]


def test_batches_and_blobs_of_events_are_rows_of_their_own(log: Log) -> None:
    rows = log.commit(
        LogBatch(reason="metrics", batch_id="m", run_id="r", row_count=3, details={"part": 1}),
        LogBlob(event_id="e", stored=blob(), run_id="r"),
    )
    assert said(rows, "op", "reason", "entry_id", "run_id", "row_count", "details", "blob_digest") == [
        ("metrics", "metrics", "m", "r", 3, '{"part":1}', None),
        ("event_blob", "event", "e", "r", None, None, "sha256:b"),
    ]


# -- content that gc gave up -------------------------------------------------------------------------------


def test_content_purged_while_it_was_added_must_be_stored_again(log: Log) -> None:
    log.commit(put("a", stored=blob()))
    log.purge(blob())
    for change in (put("b", stored=blob()), LogBlob(event_id="e", stored=blob())):
        with pytest.raises(ConflictError) as caught:
            log.plan(change)
        assert (caught.value.kind, caught.value.digest) == ("purged-meanwhile", "sha256:b")
    assert log.state.generation("sha256:b") == 1
    assert log.plan(put("b", stored=blob(generation=1))).manifests


def test_nothing_brings_back_content_that_was_purged(log: Log) -> None:
    log.commit(put("a", stored=blob()))
    old = log.entry("a")
    log.commit(put("a", "2", overwrite=True), SetRun(run_id="r", values={"status": '"running"'}, new=True))
    log.purge(blob())
    for change in (
        Restore(0),
        Restore(0, "f", ("a",)),
        CopyItem(source=old, folio="f", item="b", entry_id="b"),
        TakeSnapshot(name="s", target_version=0),
        TakeSnapshot(name="s", folio="f", target_version=0),
        SetRun(run_id="r", values={}, input_names=("x",), input_refs=("f:a@0",)),
    ):
        with pytest.raises(NotFoundError) as caught:
            log.plan(change)
        assert (caught.value.kind, caught.value.item) == ("content-purged", "a"), change
    assert log.plan(TakeSnapshot(name="s"), TakeSnapshot(name="t", folio="g", target_version=0)).manifests


# -- order -------------------------------------------------------------------------------------------------


def test_changes_of_a_batch_see_those_before_them_and_none_after(log: Log) -> None:
    log.commit(put("a"))
    log.commit(Delete("f", "a"), put("a", "2"), put("b", inputs=("a",)), Update("f", "b", tags=("t",)))
    edge = log.entry("b").inputs[0]
    assert (edge["input_id"], log.entry("b").tags) == (log.entry("a").entry_id, ("t",))
    with pytest.raises(AlreadyExistsError):
        log.plan(put("a", "3"), Delete("f", "a"))
    with pytest.raises(NotFoundError):
        log.plan(put("c", inputs=("d",)), put("d"))


def heads(log: Log) -> dict[str, Any]:
    """Return what is live, in its order, but for versions and the ids that are drawn anew for an updated entry."""
    state = log.state
    ids: dict[str, str] = {}
    for folio in state.folios():
        ids |= {entry.entry_id: entry.ref.split("@")[0] for entry in state.entries(folio)}
    found: dict[str, Any] = {
        folio: [
            (
                one.item,
                one.content,
                one.description,
                one.tags,
                one.archived,
                dict(one.facts),
                [(edge["input_folio"], edge["input_item"], ids.get(edge["input_id"])) for edge in one.inputs],
            )
            for one in state.entries(folio)
        ]
        for folio in state.folios()
    }
    found["noted"] = [state.metadata("folio", "f"), state.metadata("folio", "g"), state.metadata("run", "r")]
    found["snapshots"] = [one.name for one in state.snapshots()]
    return found


@settings(max_examples=examples(240), deadline=None)
@given(st.lists(CHANGES, max_size=12))
def test_one_commit_of_many_changes_leaves_the_heads_that_one_commit_each_leaves(changes: list[Any]) -> None:
    single, batch = Log(), Log()
    first = put("a", folio="f"), put("b", folio="f"), put("a", folio="g")
    single.commit(*first)
    batch.commit(*first)
    agreed = []
    for change in changes:
        try:
            single.commit(change)
        except LakefolioError:
            with pytest.raises(LakefolioError):
                batch.plan(*agreed, change)
        else:
            agreed.append(change)
    batch.commit(*agreed)
    assert batch.state.version <= 1
    assert heads(batch) == heads(single)

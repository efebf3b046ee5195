"""What changed between versions, along an item's history, and commit by commit."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sql.lake_tables import Rows, empty_tables, small_lake
from thoroughness import examples

import lakefolio as lf
from lakefolio.errors import InvalidInputError, NotFoundError
from lakefolio.history.diff import diff
from lakefolio.history.log import CommitLine, Log, history, log
from lakefolio.terminal import cell_count


def journal(lake, **options):
    return lake.tables(**options)["manifests"]


def told(changes):
    return [(f"{one.folio}:{one.item}", one.change, one.aspects) for one in changes]


# -- diff ------------------------------------------------------------------------------------------------------


def test_diff_of_the_small_lake():
    found = diff(journal(small_lake()), 3, 11)
    assert told(found) == [
        ("b:copy", "removed", ()),
        ("a:clean", "changed", ("archived",)),
        ("a:raw", "changed", ("content", "inputs", "metadata")),
    ]
    assert found.unchanged_count == 1
    raw = found.changed[1]
    assert (raw.old_version, raw.new_version, raw.old_size_bytes, raw.new_size_bytes) == (1, 6, 3, 4)
    assert raw.old_digest != raw.new_digest
    assert len(found) == 3


def test_diff_backwards_swaps_added_and_removed():
    found = diff(journal(small_lake()), 11, 3)
    assert told(found.added) == [("b:copy", "added", ())]
    assert [one.item for one in found.changed] == ["clean", "raw"]
    assert found.changed[1].old_version == 6


@pytest.mark.parametrize(("a", "b", "added", "unchanged"), [(0, 3, 4, 0), (2, 2, 0, 2), (3, 5, 0, 4), (0, 0, 0, 0)])
def test_diff_counts(a, b, added, unchanged):
    found = diff(journal(small_lake()), a, b)
    assert (len(found.added), len(found), found.unchanged_count) == (added, added, unchanged)


def test_diff_of_one_folio():
    found = diff(journal(small_lake()), 3, 11, folio="b")
    assert told(found) == [("b:copy", "removed", ())]
    assert found.unchanged_count == 0
    assert "b:copy" not in str(found)
    assert "copy" in str(found)


def test_diff_names_what_differs():
    lake = Rows()
    for name in ("same", "words", "tags", "meta", "inputs", "rewritten", "restored"):
        lake.put("a", name, metadata={"k": 1} if name == "meta" else None)
    lake.put("a", "edge", inputs=["e1"]).commit()
    lake.put("a", "words", description="new", reason="update").put("a", "tags", tags=["t"], reason="update")
    lake.put("a", "meta", metadata={"k": 2}, reason="update").put("a", "inputs", inputs=["e1"], reason="update")
    lake.put("a", "edge", inputs=["e2"], reason="update").put("a", "rewritten", reason="overwrite")
    old = dict(lake.heads["a", "restored"])
    lake.put("a", "restored", content="other").commit()
    lake.again("a", "restored", "restore", entry=old).commit()
    found = diff(journal(lake), 1, 3)
    assert {one.item: one.aspects for one in found.changed} == {
        "words": ("description",),
        "tags": ("tags",),
        "meta": ("metadata",),
        "inputs": ("inputs",),
        "edge": ("inputs",),
        "rewritten": ("entry",),
    }
    assert found.unchanged_count == 2


def test_diff_of_references_goes_by_uri():
    lake = Rows().put("a", "r", storage="reference", digest=None, uri="s3://b/1", details='{"etag":"1"}').commit()
    lake.put("a", "r", storage="reference", digest=None, uri="s3://b/1", details='{"etag":"2"}').commit()
    assert told(diff(journal(lake), 1, 2)) == [("a:r", "changed", ("content",))]


def test_diff_is_json_and_text():
    found = diff(journal(small_lake()), 1, 11)
    assert json.loads(json.dumps(found.to_dict()))["unchanged_count"] == 0
    lines = str(found).splitlines()
    assert lines[0] == "lake, version 1 to 11: 2 added, 0 removed, 1 changed, 0 unchanged"
    assert lines[1].split() == ["+", "a:clean", "json", "5", "B"]
    assert lines[3].split()[:2] == ["~", "a:raw"]
    assert "3 B -> 4 B" in lines[3]


def test_diff_of_rows_out_of_order():
    table = journal(small_lake())
    numbers = list(range(table.num_rows))
    random.Random(1).shuffle(numbers)
    assert diff(table.take(numbers), 3, 11).to_dict() == diff(table, 3, 11).to_dict()


def test_diff_of_nothing():
    found = diff(empty_tables()["manifests"], 0, 0)
    assert (len(found), found.unchanged_count) == (0, 0)


STEP = st.tuples(
    st.sampled_from(["put", "delete"]), st.sampled_from("ab"), st.sampled_from("xyz"), st.sampled_from(["1", "2"])
)


@settings(max_examples=examples(50), deadline=None)
@given(st.lists(st.lists(STEP, max_size=3), max_size=6), st.data())
def test_diff_equals_comparing_two_dicts(commits, data):
    lake, states = Rows(), [{}]
    for commit in commits:
        state = dict(states[-1])
        for op, folio, item, content in commit:
            if op == "put":
                lake.put(folio, item, content=content)
                state[folio, item] = lake.heads[folio, item]["entry_id"], content
            elif (folio, item) in state:
                lake.delete(folio, item)
                del state[folio, item]
        lake.commit()
        states.append(state)
    a, b = (data.draw(st.integers(0, len(states) - 1)) for _ in range(2))
    old, new = states[a], states[b]
    found = diff(journal(lake), a, b)
    assert {(one.folio, one.item) for one in found.added} == new.keys() - old.keys()
    assert {(one.folio, one.item) for one in found.removed} == old.keys() - new.keys()
    both = old.keys() & new.keys()
    assert {(one.folio, one.item) for one in found.changed} == {key for key in both if old[key] != new[key]}
    assert {(one.folio, one.item) for one in found.changed if "content" in one.aspects} == {
        key for key in both if old[key][1] != new[key][1]
    }
    assert found.unchanged_count == sum(old[key] == new[key] for key in both)


# -- history -----------------------------------------------------------------------------------------------------


def test_history_is_every_change_newest_first():
    lake = small_lake()
    lake.put("b", "copy", content="back", author="bob").commit("again", author="bob")
    found = history(journal(lake), "b", "copy")
    assert [(one.version, one.reason, one.author, one.message) for one in found] == [
        (13, "add", "bob", "again"),
        (8, "delete", "ada", "tidy up"),
        (3, "add", "ada", "train"),
    ]
    assert found[1].digest is None
    assert found[2].size_bytes == 1000
    assert len(found) == 3


def test_history_is_json_and_text():
    found = history(journal(small_lake()), "a", "clean")
    assert [one["reason"] for one in json.loads(json.dumps(found.to_dicts()))] == ["archive", "add"]
    assert [line.split()[0] for line in str(found).splitlines()] == ["a:clean,", "@7", "@2"]


def test_history_of_what_never_was_names_the_nearest():
    with pytest.raises(NotFoundError) as caught:
        history(journal(small_lake()), "a", "clena")
    assert caught.value.kind == "item-not-found"
    assert "'clean'" in caught.value.hint


# -- log ---------------------------------------------------------------------------------------------------------


def test_log_is_every_commit_newest_first():
    found = log(journal(small_lake()))
    # (version 5 is that of the killed writer: nothing)
    assert [one.version for one in found] == [12, 11, 10, 9, 8, 7, 6, 4, 3, 2, 1]
    assert found[-1].changes == ("+ a:raw",)
    by_version = {one.version: one for one in found}
    assert by_version[3].changes == ("+ a:model", "+ b:copy")
    assert by_version[4].changes == ("snapshot paper",)
    assert by_version[6].changes == ("~ a:raw",)
    assert by_version[7].changes == ("~ a:clean (archive)",)
    assert by_version[8].changes == ("- b:copy",)
    assert by_version[9].changes == ("metadata of lake", "metadata of a")
    assert by_version[8].message == "tidy up"


@pytest.mark.parametrize("limit", [0, 1, 2, 5, 11, 100])
def test_log_with_a_limit_is_the_head_of_the_whole(limit):
    table = journal(small_lake())
    assert log(table, limit).to_dicts() == log(table).to_dicts()[:limit]


def test_log_with_a_limit_keeps_large_and_grouped_commits_whole():
    lake = Rows()
    for size in (1, 30, 2, 3):
        for number in range(size):
            lake.put("a", f"i{number}", reason="overwrite")
        lake.commit()
    for number, row in enumerate(row for row in lake.rows["manifests"] if row["version"] == 2):
        row["commit_id"] = f"group{number % 3}"
    table = journal(lake)
    whole = log(table).to_dicts()
    assert [one["change_count"] for one in whole] == [3, 2, 10, 10, 10, 1]
    for limit in range(8):
        assert log(table, limit).to_dicts() == whole[:limit]


def test_log_refuses_a_negative_limit():
    with pytest.raises(InvalidInputError) as caught:
        log(journal(small_lake()), -1)
    assert caught.value.kind == "bad-limit"


def test_log_of_one_folio():
    found = log(journal(small_lake()), 20, folio="b")
    assert [one.changes for one in found] == [("- b:copy",), ("+ b:copy",)]


def test_a_commit_is_one_line_of_the_log_whatever_its_message():
    lake = lf.open("memory://lines-of-the-log", author="ada\n@9  somebody")
    with lake.batch("one\n@7  2026-01-01 00:00:00  root  another"):
        lake.folio("a").add("x", 1)
    assert len(str(lake.log()).splitlines()) == 1
    assert len(str(lake.history("a:x")).splitlines()) == 2
    assert lake.log()[0].message == "one\n@7  2026-01-01 00:00:00  root  another"


def test_log_is_json_and_text():
    found = log(journal(small_lake()), 5)
    assert json.loads(json.dumps(found.to_dicts()))[0]["change_count"] == 1
    lines = str(found).splitlines()
    assert len(lines) == 5
    assert lines[0].startswith("@")
    lake = Rows()
    for number in range(9):
        lake.put("a", f"i{number}")
    assert "and 5 more" in str(log(journal(lake.commit())))
    assert str(log(empty_tables()["manifests"])) == "no commits"


# -- folios that a lake is asked about -------------------------------------------------------------------------


def test_a_folio_that_never_was_is_no_empty_answer(tmp_path):
    lake = lf.open(tmp_path / "lake")
    lake.folio("flights").add_json("x", 1).add_json("x", 2, overwrite=True).delete("x")
    lake.folio("trains").add_json("x", 1)
    for ask in (lambda: lake.diff(1, 4, "train"), lambda: lake.log(folio="train")):
        with pytest.raises(NotFoundError, match="folio 'train' has no items and no history") as found:
            ask()
        assert "trains" in found.value.hint
    assert len(lake.log(folio="flights")) == 3  # its items are gone
    assert len(lake.diff(3, 4, "flights")) == 0
    assert len(lake.diff(1, 2, "trains")) == 0  # it came later


def test_an_item_is_named_in_the_place_of_a_folio_too(tmp_path):
    lake = lf.open(tmp_path / "lake")
    lake.folio("flights").add_json("x", {"a": 1}).add_json("x", {"a": 2}, overwrite=True)
    assert str(lake.diff(1, 2, "flights:x")) == str(lake.diff(1, 2, item="flights:x")) != ""
    with pytest.raises(NotFoundError, match="item 'y' not found"):
        lake.diff(1, 2, "flights:y")


def test_a_run_is_named_in_the_log_and_the_history_and_its_own_folios_are_counted_in_a_diff(tmp_path):
    lake = lf.open(tmp_path / "lake")
    with lake.run("train") as run:
        run.add_output("model", {"a": 1})
        lake.folio("exp").add("scores", [1])
    named = f"run train ({run.run_id[-8:]})"
    assert named in lake.log()[0].changes
    assert named in str(lake.history("exp:scores"))
    assert lake.history("exp:scores")[0].run_name == "train"
    found = lake.diff(0)
    assert "exp:scores" in str(found)
    assert "runs/" not in str(found)
    assert str(found).endswith("in folios of runs and records)")
    assert f"{run.folio}:model" in found.listed(every_folio=True)
    assert (run.folio, "model") in [(one.folio, one.item) for one in found]
    assert "model" in str(lake.diff(0, folio=run.folio))


def test_columns_of_wide_characters_are_aligned(tmp_path):
    lake = lf.open(tmp_path / "lake")
    lake.folio("f").add("数据集", 1).add("naïve", 2)
    first, second = str(lake.diff(0)).splitlines()[1:]
    assert len(first) > len(second)
    assert cell_count(first[: first.index("json")]) == cell_count(second[: second.index("json")])


def test_a_change_that_a_commit_made_twice_is_named_once() -> None:
    made = ("metrics", "metrics", "run", *(f"+ f:{number}" for number in range(9)))
    line = CommitLine(3, "c", datetime(2026, 11, 27, tzinfo=UTC), "ada", None, len(made), made)
    assert "metrics, run, + f:0" in str(Log([line]))
    assert str(Log([line])).endswith(" and 7 more")

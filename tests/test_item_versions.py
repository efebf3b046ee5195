"""Numbers, labels and aliases of items, and the rules for them: on lakes, through the library and the shell."""

import json
import random
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from inside import session_of
from model.planning import Log, put

import lakefolio as lf
from lakefolio.cli import cli
from lakefolio.errors import AlreadyExistsError, InvalidInputError, LakefolioError, NotFoundError
from lakefolio.model import item_versions
from lakefolio.model.changes import Annotate, Delete, Restore, SetArchived, Update
from lakefolio.model.entries import ItemPut
from lakefolio.model.item_versions import Versions, entry_of, find_version, label_of, numbers, versions_of
from lakefolio.model.version_policy import POLICY
from lakefolio.session.batches import pending_view


@pytest.fixture
def folio(tmp_path: Path) -> lf.Folio:
    return lf.open(tmp_path / "lake").folio("f")


def labels(folio: lf.Folio, name: str = "x") -> list[tuple[int | None, str | None]]:
    """Return number and label of each change of an item, oldest first."""
    return [(one.number, one.label) for one in reversed(folio.history(name))]


# -- numbers ------------------------------------------------------------------------------------------------------


def test_contents_are_numbered_and_nothing_else_is(folio: lf.Folio) -> None:
    folio.add("x", 1)
    folio.add("x", 1)  # equal: nothing happens
    folio.tag("x", "good")
    folio.archive("x").unarchive("x")
    folio.add("x", 2, overwrite=True)
    folio.delete("x").add("x", 3)
    lf.open(folio.lake_uri).restore(1, items="f:x")
    folio.add("x", 4, overwrite=True)
    said = [(one.number, one.reason) for one in reversed(folio.history("x"))]
    assert said == [
        (1, "add"),
        (1, "update"),
        (1, "archive"),
        (1, "unarchive"),
        (2, "overwrite"),
        (None, "delete"),
        (3, "add"),
        (1, "restore"),
        (4, "overwrite"),
    ]
    assert [folio.get("x", at=f"#{number}") for number in (1, 2, 3, 4)] == [1, 2, 3, 4]


CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 3)),
        st.tuples(st.just("restore"), st.integers(0, 30)),
        st.sampled_from([("delete", 0), ("update", 0), ("archive", 0), ("bump", 0)]),
    ),
    max_size=14,
)


@given(CHANGES)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_a_number_never_changes_its_meaning(changes: list[tuple[str, int]]) -> None:
    log = Log()
    log.commit(put("other"))
    meant: dict[int, str | None] = {}
    labelled: dict[str, int] = {}
    for op, value in changes:
        live = log.state.live("f", "x")
        change = {
            "put": put("x", str(value), overwrite=True),
            "bump": put("x", "b", overwrite=True, bump="patch"),
            "restore": Restore(min(value, log.state.version), "f"),
            "delete": Delete("f", "x"),
            "update": Update("f", "x", description=str(log.state.version)),
            "archive": SetArchived("f", "x", True),
        }[op]
        if live or op in ("put", "bump", "restore"):
            log.commit(change)
        known = versions_of(log.state.puts("f", "x"))
        assert [one.number for one in known] == list(range(1, len(known) + 1))
        for one in known:
            digest = entry_of(log.state, "f", "x", one).digest
            assert meant.setdefault(one.number, digest) == digest
            assert one.label is None or labelled.setdefault(one.label, one.number) == one.number
        head = log.state.entry("f", "x")
        assert head is None or find_version(log.state, "f", "x", "latest") == head
        assert head is None or head.entry_id in {one.entry_id for one in log.state.puts("f", "x")}


def test_two_contents_of_one_commit_have_two_numbers(folio: lf.Folio) -> None:
    with folio.batch():
        folio.add("x", 1, version="1.0.0").add("x", 2, overwrite=True, bump="minor")
        assert folio.get("x", at="1.0.0") == 1
        assert folio.get("x", at="^1") == 2
        assert pending_view(session_of(folio)) is not None
    assert [folio.get("x", at=f"#{number}") for number in (1, 2)] == [1, 2]
    assert folio.get("x@1.0.0") == 1


# -- labels -------------------------------------------------------------------------------------------------------


def test_a_label_is_read_everywhere(folio: lf.Folio) -> None:
    lake = lf.open(folio.lake_uri)
    folio.add("x", pd.DataFrame({"a": [1]}), version="1.0.0")
    folio.add("x", pd.DataFrame({"a": [2]}), bump="minor", overwrite=True)
    folio.add("x", pd.DataFrame({"a": [3]}), version="2.0.0-rc.1", overwrite=True)
    folio.alias("x", "golden", "~1.0")
    for at, value in {
        "1.0.0": 1,
        "#2": 2,
        "^1": 2,
        "~1.0": 1,
        ">=1.1,<2": 2,
        "latest": 3,
        "golden": 1,
        "@1.1.0": 2,
    }.items():
        assert folio.get("x", at=at)["a"].tolist() == [value], at
        assert lake.get("f:x", at=at)["a"].tolist() == [value], at
    assert lake.get("f:x@^2.0.0-rc.0")["a"].tolist() == [3]
    assert folio.data.x is not None
    assert lake.item("f:x@1.1.0").ref == "f:x@2"
    assert lake.sql('select a from "f:x@golden"').fetchall() == [(1,)]
    assert lake.sql('select sum(a) from (from "f:x@^1" union all from "f:x@#1")').fetchall() == [(3,)]
    assert "1 → 2" in str(lake.diff("1.0.0", "^1", item="f:x"))
    assert folio.get_many(["x"], at="1.0.0")["x"]["a"].tolist() == [1]
    assert lake.lineage("f:x@1.0.0").roots[0].version == 1
    folio.copy_item("x@1.0.0", "y").add("z", 1, inputs=["x@golden", "x@^1"])
    assert [one["input_id"] for one in lake.item("f:z").inputs] == [
        lake.item("f:x@1").entry_id,
        lake.item("f:x@2").entry_id,
    ]
    with lake.run("train") as run:
        assert run.input("f:x@1.1.0")["a"].tolist() == [2]
    assert lake.at(2).get("f:x", at="latest")["a"].tolist() == [2]
    lake.restore("1.0.0", items="f:x")
    assert folio.get("x")["a"].tolist() == [1]
    assert labels(folio)[-1] == (1, "1.0.0")
    assert lake.check().ok


def test_a_label_goes_with_its_entry(folio: lf.Folio) -> None:
    folio.add("x", 1, version="1.0.0")
    folio.tag("x", "good")
    assert folio.get("x", at="1.0.0") == 1
    assert label_of(lf.open(folio.lake_uri).item("f:x").extra) == "1.0.0"
    folio.rename("x", "y")
    assert folio.get("y", at="1.0.0") == 1
    folio.add("y", 2, bump="patch", overwrite=True).copy_item("y@1.0.0", "y", overwrite=True)
    assert labels(folio, "y") == [(1, "1.0.0"), (2, "1.0.1"), (3, None)]


def test_a_copy_of_a_folio_has_the_labels_that_its_names_never_had(folio: lf.Folio, tmp_path: Path) -> None:
    folio.add("x", 1, version="1.0.0").add("y", 2, version="2.0.0").add("z", 3, version="1.2.3").create_snapshot("s")
    folio.add("x", 4, bump="minor", overwrite=True)
    other = lf.Folio(tmp_path / "other").add("y", 0, version="3.0.0").delete("y")
    folio.copy(other.path)
    assert (other.get("x", at="1.1.0"), other.get("y"), other.get("z", at="1.2.3")) == (4, 2, 3)
    assert [one.label for one in other.history("y")] == [None, None, "3.0.0"]
    assert folio.export_snapshot("s", "then").get("x", at="^1.0") == 1


def test_a_version_can_be_labelled_later_and_once(folio: lf.Folio) -> None:
    folio.add("x", 1)
    folio.update_item("x", version="1.0.0").update_item("x", version="1.0.0", tags=["good"])
    assert folio.get("x", at="1.0.0") == 1
    with pytest.raises(AlreadyExistsError) as failed:
        folio.update_item("x", version="1.1.0")
    assert failed.value.kind == "version-exists"
    assert set(labels(folio)) == {(1, "1.0.0")}


def test_a_label_that_would_grow_too_large_is_refused(folio: lf.Folio) -> None:
    folio.add("x", 1, version="999999999999999999.0.0")
    with pytest.raises(InvalidInputError) as failed:
        folio.add("x", 2, bump="major", overwrite=True)
    assert failed.value.kind == "bad-version"
    assert labels(folio.add("x", 2, bump="minor", overwrite=True))[-1] == (2, "999999999999999999.1.0")
    with pytest.raises(AlreadyExistsError, match=r"as 999999999999999999\.1\.0: what follows a \+"):
        folio.add("x", 3, version="999999999999999999.1.0+b", overwrite=True)


@pytest.mark.parametrize(
    ("words", "error", "kind"),
    [
        ({"version": "1.1.0"}, AlreadyExistsError, "version-exists"),
        ({"version": "1.1.0+build"}, AlreadyExistsError, "version-exists"),
        ({"version": "1.0.9"}, InvalidInputError, "version-backwards"),
        ({"version": "1.1.0-rc.1"}, InvalidInputError, "version-backwards"),
        ({"version": "1.2"}, InvalidInputError, "bad-version"),
        ({"version": "v1.2.0"}, InvalidInputError, "bad-version"),
        ({"version": 2}, InvalidInputError, "bad-version"),
        ({"bump": "huge"}, InvalidInputError, "bad-version"),
        ({"bump": "major", "version": "2.0.0"}, InvalidInputError, "bad-version"),
    ],
)
def test_a_bad_label_is_refused_and_nothing_is_stored(folio: lf.Folio, words: dict, error: type, kind: str) -> None:
    folio.add("x", 1, version="1.1.0")
    before = lf.open(folio.lake_uri).version
    with pytest.raises(error) as failed:
        folio.add("x", 2, overwrite=True, **words)
    assert failed.value.kind == kind
    with pytest.raises(error), folio.batch():
        folio.add("other", 2).add("x", 2, overwrite=True, **words)
    assert lf.open(folio.lake_uri).version == before


def test_adding_the_same_again_makes_no_version(folio: lf.Folio) -> None:
    folio.add("x", 1, version="1.0.0")
    folio.add("x", 1, version="1.0.0").add("x", 1, bump="minor")
    assert labels(folio) == [(1, "1.0.0")]
    with pytest.raises(AlreadyExistsError) as failed:
        folio.add("x", 1, version="1.1.0")
    assert failed.value.differs == ["version"]
    folio.add("x", 1, version="1.1.0", overwrite=True)
    assert labels(folio) == [(1, "1.0.0"), (2, "1.1.0")]


@pytest.mark.parametrize("at", ["#2", "#0", "1.0.1", "^2", "<1", "goldn", "v1.0.0", "1.0", "^x"])
def test_what_names_no_version_is_refused_in_words(folio: lf.Folio, at: str) -> None:
    folio.add("x", 1, version="1.0.0").alias("x", "golden")
    for call in (lambda: folio.get("x", at=at), lambda: folio.add("y", 1, inputs=[f"x@{at}"])):
        with pytest.raises(LakefolioError) as failed:
            call()
        assert failed.value.hint


def test_a_version_of_an_item_is_none_of_the_lake(folio: lf.Folio) -> None:
    folio.add("x", 1, version="1.0.0")
    with pytest.raises(NotFoundError) as failed:
        lf.open(folio.lake_uri).at("1.0.0")
    assert "folio:item@1.0.0" in str(failed.value)


@pytest.mark.parametrize("name", ["#3", "1.2.0", "^1.2", "=1.2.0", "latest"])
def test_no_snapshot_and_no_alias_is_called_as_a_version_is(folio: lf.Folio, name: str) -> None:
    folio.add("x", 1)
    for call in (lambda: folio.create_snapshot(name), lambda: folio.alias("x", name)):
        with pytest.raises(InvalidInputError) as failed:
            call()
        assert failed.value.kind == "bad-name"


def test_a_snapshot_of_the_name_comes_first_and_no_alias_takes_it(folio: lf.Folio) -> None:
    folio.add("x", 1).create_snapshot("golden")
    with pytest.raises(InvalidInputError) as failed:
        folio.alias("x", "golden")
    assert failed.value.kind == "ambiguous-version"
    folio.add("x", 2, overwrite=True).alias("x", "good").create_snapshot("good")
    folio.add("x", 3, overwrite=True).alias("x", "best", "#1")
    assert (folio.get("x", at="good"), folio.get("x", at="best")) == (2, 1)


# -- aliases ------------------------------------------------------------------------------------------------------


def test_an_alias_is_moved_dropped_and_restored(folio: lf.Folio) -> None:
    folio.add("x", 1).add("x", 2, overwrite=True).alias("x", "golden", "#1")
    before = lf.open(folio.lake_uri).version
    folio.alias("x", "golden", "#1")
    assert lf.open(folio.lake_uri).version == before
    folio.alias("x", "golden")
    assert (folio.get("x@golden"), folio.aliases("x")) == (2, {"golden": 2})
    assert [one.aliases for one in folio.history("x")] == [("golden",), ()]
    lf.open(folio.lake_uri).restore(before, folio="f")
    assert folio.get("x@golden") == 1
    folio.metadata["owner"] = "ada"
    folio.metadata.clear()
    assert folio.aliases("x") == {"golden": 1}
    assert "owner" not in folio.metadata
    folio.drop_alias("x", "golden")
    with pytest.raises(NotFoundError):
        folio.get("x@golden")
    with pytest.raises(NotFoundError) as failed:
        folio.drop_alias("x", "golden")
    assert failed.value.kind == "alias-not-found"
    assert [key for key in folio.metadata if key.startswith("lakefolio")] == []
    with pytest.raises(InvalidInputError):
        folio.metadata["lakefolio.alias:x@golden"] = 7


@pytest.mark.parametrize("text", ['"one"', "99", "-1", "1.5", "null"])
def test_an_alias_written_by_hand_is_an_error_or_nothing(folio: lf.Folio, text: str) -> None:
    folio.add("x", 1)
    session_of(folio).apply(Annotate("folio", "f", {"lakefolio.alias:x@odd": text}))
    with pytest.raises(LakefolioError):
        folio.get("x@odd")
    assert len(folio.history("x")) == 1


# -- policies -----------------------------------------------------------------------------------------------------


def test_labels_follow_what_changed(folio: lf.Folio) -> None:
    folio.set_version_policy(bump="auto", quality="score", jump=0.2)
    folio.add("x", pd.DataFrame({"a": np.array([1], "int32")}), metadata={"score": 0.5})
    for frame, score in [
        (pd.DataFrame({"a": np.array([2], "int32")}), 0.6),  # values
        (pd.DataFrame({"a": np.array([2], "int32"), "b": [1]}), 0.6),  # a column
        (pd.DataFrame({"a": np.array([2], "int64"), "b": [1]}), 0.6),  # a wider type
        (pd.DataFrame({"a": np.array([2], "int64"), "b": [2]}), 0.8),  # a jump of quality
        (pd.DataFrame({"a": np.array([2], "int64")}), 0.8),  # a column is gone
    ]:
        folio.add("x", frame, overwrite=True, metadata={"score": score})
    folio.add("x", "text", overwrite=True)
    folio.add("x", "other", overwrite=True, bump="minor")
    found = ["1.0.0", "1.0.1", "1.1.0", "1.2.0", "2.0.0", "3.0.0", "4.0.0", "4.1.0"]
    assert [label for _, label in labels(folio)] == found
    assert [one.quality for one in reversed(folio.history("x"))][:3] == [0.5, 0.6, 0.6]


def test_an_incompatible_version_is_refused(folio: lf.Folio) -> None:
    lake = lf.open(folio.lake_uri)
    lake.set_version_policy(compatibility="backward")
    folio.add("x", pd.DataFrame({"a": [1], "b": [1]}))
    before = lake.version
    for bad in (pd.DataFrame({"a": [1]}), pd.DataFrame({"a": ["1"], "b": [1]}), 5):
        with pytest.raises(InvalidInputError) as failed:
            folio.add("x", bad, overwrite=True)
        assert failed.value.kind == "incompatible"
    assert lake.version == before
    folio.add("x", pd.DataFrame({"a": [1], "b": [1], "c": [1]}), overwrite=True)
    folio.set_version_policy(compatibility="full")
    assert folio.version_policy() == {"compatibility": "full"}
    with pytest.raises(InvalidInputError):
        folio.add("x", pd.DataFrame({"a": [1], "b": [1], "c": [1], "d": [1]}), overwrite=True)
    folio.set_version_policy()
    assert folio.version_policy() == {"compatibility": "backward"}
    lake.set_version_policy()
    folio.add("x", 5, overwrite=True)
    with folio.batch():
        folio.set_version_policy(compatibility="backward").add("y", 1)
        with pytest.raises(InvalidInputError):
            folio.add("y", pd.DataFrame({"a": [1]}), overwrite=True)


@pytest.mark.parametrize(
    "words", [{"bump": "big"}, {"compatibility": "yes"}, {"quality": 3}, {"jump": -1}, {"jump": True}]
)
def test_a_policy_that_is_none_is_refused(folio: lf.Folio, words: dict) -> None:
    with pytest.raises(InvalidInputError) as failed:
        folio.set_version_policy(**words)
    assert failed.value.kind == "bad-policy"


@pytest.mark.parametrize("text", ["7", '{"bump":"big"}', '{"bmp":"auto"}', "[" * 3000])
def test_a_policy_written_by_hand_is_told_and_mended(folio: lf.Folio, text: str) -> None:
    session_of(folio).apply(Annotate("folio", "f", {POLICY: text}))
    with pytest.raises(InvalidInputError) as failed:
        folio.add("x", 1)
    assert failed.value.kind == "bad-policy"
    folio.set_version_policy().add("x", 1)
    assert folio.get("x") == 1


def test_renamed_columns_are_found_by_their_values(folio: lf.Folio) -> None:
    folio.add("x", pd.DataFrame({"a": [1, 2], "b": [1, 2], "c": ["p", "q"]}))
    folio.add("x", pd.DataFrame({"k": [1, 2], "b": [1, 2], "d": ["p", "z"]}), overwrite=True)
    found = folio.compatibility("x", "#1")
    assert [(one.change, one.name, one.new) for one in found.changes] == [
        ("renamed", "a", "k"),
        ("removed", "c", None),
        ("added", "d", "string"),
    ] or [one.change for one in found.changes] == ["renamed", "removed", "added"]
    told = folio.compatibility("x", "#1", "latest", renamed={"c": "d"})
    assert [one.change for one in told.changes] == ["renamed", "renamed"]
    assert told.level == "none"
    with pytest.raises(InvalidInputError) as failed:
        folio.compatibility("x", "#1", renamed={"b": "d"})
    assert failed.value.kind == "unknown-column"
    assert folio.compatibility("x", "#1", "#1").level == "full"


# -- writers at once ----------------------------------------------------------------------------------------------


def test_writers_that_bump_at_once_get_labels_of_their_own(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    lake.folio("f").add("x", 0, version="1.0.0")
    ready, failed = threading.Barrier(4), []

    def write(number: int) -> None:
        folio = lf.open(tmp_path / "lake").folio("f")
        ready.wait()
        for turn in range(3):
            folio.add("x", 10 * number + turn, bump="minor", overwrite=True)
        try:
            folio.add("x", f"released by {number}", version="2.0.0", overwrite=True)
        except AlreadyExistsError as exc:
            failed.append(exc.kind)
        except InvalidInputError as exc:  # another had it, and this one was about to bump
            failed.append(exc.kind)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(1, 5)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    found = [label for _, label in labels(lake.folio("f"))]
    assert len(set(found)) == len(found) == 14
    assert found == sorted(found, key=lambda one: tuple(map(int, one.split("."))))
    assert found.count("2.0.0") == 1
    assert failed == ["version-exists"] * 3 or set(failed) == {"version-exists", "version-backwards"}
    assert lake.check().ok


def test_a_commit_that_lost_the_race_is_labelled_anew() -> None:
    log = Log()
    log.commit(put("x", "0", version="1.0.0"))
    ours = put("x", "ours", bump="minor", overwrite=True)
    assert json.loads(log.plan(ours).manifests[0]["extra"]) == {"version": "1.1.0"}
    log.commit(put("x", "theirs", bump="minor", overwrite=True))
    assert json.loads(log.plan(ours).manifests[0]["extra"]) == {"version": "1.2.0"}
    log.commit(put("x", "late", version="1.2.0", overwrite=True))
    with pytest.raises(AlreadyExistsError):
        log.plan(put("x", "ours", version="1.2.0", overwrite=True))


# -- the shell ----------------------------------------------------------------------------------------------------


def test_the_commands(tmp_path: Path) -> None:
    lake = str(tmp_path / "lake")
    for name, text in {"one": "a\n1\n", "two": "a,b\n1,2\n", "three": "b\n2\n"}.items():
        (tmp_path / f"{name}.csv").write_text(text)

    def run(*args: str, fails: int = 0) -> str:
        done = CliRunner().invoke(cli, ["--lake", lake, *args])
        assert done.exit_code == fails, done.output
        return done.output

    run("init")
    assert "version 1.0.0" in run("add", "f:x", str(tmp_path / "one.csv"), "--version", "1.0.0")
    assert "version 1.1.0" in run("add", "f:x", str(tmp_path / "two.csv"), "--bump", "auto", "--overwrite")
    assert run("get", "f:x@1.0.0") == '"a"\n1\n'
    assert run("alias", "f:x", "golden", "1.0.0") == "f:x@golden is #1\n"
    assert run("get", "f:x@golden") == '"a"\n1\n'
    assert run("alias", "f:x") == "golden  #1\n"
    assert "#2 1.1.0" in run("history", "f:x")
    assert "#1, 1.0.0, golden" in run("show", "f:x@^1.0.0,<1.1")
    assert "backward compatible" in run("compat", "f:x", "1.0.0")
    assert "a" in run("diff", "golden", "latest", "--item", "f:x")
    assert "compatibility = backward" in run("policy", "f", "--compatibility", "backward")
    assert "incompatible" in run("--json", "add", "f:x", str(tmp_path / "three.csv"), "--overwrite", fails=2)
    assert run("policy", "f", "--clear") == "no rules\n"
    assert json.loads(run("--json", "history", "f:x"))[0]["label"] == "1.1.0"
    assert "removed" in run("alias", "f:x", "golden", "--remove")
    run("get", "f:x@golden", fails=3)
    run("alias", "f:x", "1.2.0", fails=2)


def test_sql_numbers_versions_as_the_library_does(tmp_path: Path) -> None:
    lake = lf.open(tmp_path)
    chance = random.Random(5)
    for step in range(60):
        folio = lake.folio(chance.choice(["f", "g"]))
        name = chance.choice(["x", "y/z"])
        live = name in folio
        what = chance.choice(["add", "add", "update", "update", "restore", "delete", "archive"])
        if what == "add" or not live:
            label = f"{step + 1}.0.0" if chance.random() < 0.4 else None
            folio.add(name, {"n": step}, overwrite=True, keep=True, version=label)
        elif what == "update":
            folio.update_item(name, description=f"d{step}")
        elif what == "restore":
            if step > 10:
                lake.restore(f"s{chance.randrange(step // 10)}")
        elif what == "delete" and chance.random() < 0.3:
            folio.delete(name)
        elif what == "archive":
            folio.archive(name)
            folio.unarchive(name)
        if step % 10 == 9:
            lake.snapshot(f"s{step // 10}")
    lake.folio("f").alias("x", "golden", "#1").alias("x", "tried", "#1").alias("y/z", "golden", "#2")
    found = lake.sql("select * from item_versions order by folio, item, number").fetchall()
    state = session_of(lake).committed()
    expected = [
        (folio, item, one.number, one.label, one.version, one.entry_id)
        for folio in ("f", "g")
        for item in ("x", "y/z")
        for one in versions_of(state.puts(folio, item))
    ]
    assert [(*row[:4], row[5], row[6]) for row in found] == expected
    assert {row[:3]: row[4] for row in found if row[4]} == {
        ("f", "x", 1): ["golden", "tried"],
        ("f", "y/z", 2): ["golden"],
    }
    assert max(row[2] for row in found) > 3


def test_a_version_of_an_item_that_is_not_there_says_so_of_the_item(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    folio = lake.folio("f").add("x", 1, version="1.0.0").delete("x")
    for name, at in (("x", "latest"), ("never", "latest"), ("never", "^1"), ("never", "1.0.0")):
        for ask in (
            lambda name=name, at=at: folio.get(name, at=at),
            lambda name=name, at=at: lake.get(f"f:{name}@{at}"),
        ):
            with pytest.raises(NotFoundError) as failed:
                ask()
            assert failed.value.kind == "item-not-found"
    with pytest.raises(NotFoundError, match="deleted at @2"):
        folio.add("y", 1, inputs="x@latest")
    assert folio.get("x", at="1.0.0") == 1


def test_an_item_that_is_bumped_in_a_batch_again_and_again_has_each_put_looked_at_once(tmp_path, monkeypatch):
    folio = lf.open(tmp_path / "lake").folio("f")
    folio.add("x", 0, bump="patch")
    folio.add("x", 1, overwrite=True, bump="minor")
    looked = []
    label = item_versions.label_of
    monkeypatch.setattr(item_versions, "label_of", lambda extra: looked.append(extra) or label(extra))
    with folio.batch():
        for number in range(20):
            folio.add("x", [number], overwrite=True, bump="patch")
        with pytest.raises(lf.AlreadyExistsError):
            folio.add("x", "again", overwrite=True, version="1.1.20")
        folio.add("x", "last", overwrite=True, version="2.0.0")
    assert len(looked) <= 3 * 24  # in the batch, where its commit is planned, and what refers to others
    assert [label for _, label in labels(folio)] == ["1.0.0", *(f"1.1.{patch}" for patch in range(21)), "2.0.0"]


def test_versions_grow_as_they_are_made_of_all_rows():
    puts = [
        ItemPut(1, "a", None, '{"version":"1.0.0"}'),
        ItemPut(2, "b", "update", None),
        ItemPut(3, "c", None, None),
        ItemPut(4, "c", "update", '{"version":"1.1.0+x"}'),
        ItemPut(5, "a", "restore", '{"version":"1.0.0"}'),
        ItemPut(6, "d", None, '{"version":"1.1.0-rc.1"}'),
        ItemPut(7, "d", "update", '{"version":"0.9.0"}'),  # as no writer does
    ]
    grown = Versions()
    for count in range(len(puts) + 1):
        whole = Versions(puts[:count])
        assert (grown.known, grown.labels, grown.highest) == (whole.known, whole.labels, whole.highest)
        assert numbers((one.entry_id, one.reason) for one in puts[:count])[-1:] == [
            one.number for one in whole.known if count and one.version == puts[count - 1].version
        ]
        grown.extend(puts[count : count + 1])
    assert [one.label for one in grown.known] == ["1.0.0", "1.1.0+x", "0.9.0"]
    assert sorted(map(str, grown.labels.values())) == ["0.9.0", "1.0.0", "1.1.0+x"]
    assert str(grown.highest) == "1.1.0+x"

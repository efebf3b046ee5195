"""The lake as users hold it: the past, snapshots, restore, batches over folios, questions."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from inside import session_of

import lakefolio as lf
from lakefolio.errors import FormatError
from lakefolio.maintenance.repair import repair
from lakefolio.session.session import Session
from lakefolio.storage import open_store


@pytest.fixture
def lake(lake_uri: str) -> lf.Lake:
    """Two folios, three versions of one item, a snapshot between."""
    lake = lf.open(lake_uri, author="ada")
    lake.folio("a").add_json("x", 1, description="first", tags=["t"], metadata={"q": 0.5})
    lake.folio("b/c").add_json("y", [1], inputs=["a:x"])
    lake.snapshot("s", message="before", tags=["paper"])
    lake.folio("a").add_json("x", 2, overwrite=True)
    lake.folio("a").add_json("z", 3)
    return lake


def test_opening(lake_uri: str) -> None:
    with pytest.raises(lf.LakeNotFoundError) as caught:
        lf.open(lake_uri, create=False)
    assert caught.value.kind == "lake-not-found"
    with pytest.raises(FileNotFoundError):
        lf.open(lake_uri, read_only=True)
    made = lf.open(lake_uri)
    assert (made.version, made.folios(), made.read_only) == (0, [], False)
    again = lf.open(lake_uri)
    assert again.lake_id == made.lake_id
    assert again.info().item_count == 0


def test_opening_inside_an_except_block_says_what_it_finds(lake_uri: str) -> None:
    try:
        raise lf.NotFoundError("something else", kind="item-not-found")
    except lf.NotFoundError:
        with pytest.raises(lf.LakeNotFoundError) as caught:
            lf.open(lake_uri, create=False)
    assert caught.value.kind == "lake-not-found"


def test_creating_at_once_makes_one_lake(tmp_path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    uri = str(tmp_path / "lake")
    with ThreadPoolExecutor(8) as pool:
        ids = {lake.lake_id for lake in pool.map(lambda _: lf.open(uri), range(8))}
    assert len(ids) == 1
    assert lf.open(uri).check(read_data=True).ok


def test_the_default_lake_is_found(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lakefolio.toml").write_text('lake = "data/lake"\n')
    inside = tmp_path / "deep" / "er"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    assert lf.open().uri == str(tmp_path / "data" / "lake")
    monkeypatch.setenv("LAKEFOLIO_LAKE", str(tmp_path / "other"))
    assert lf.open().uri == str(tmp_path / "other")


def test_as_of_version_time_and_snapshot(lake: lf.Lake) -> None:
    times = [datetime.fromisoformat(one["committed_at"]) for one in lake.history("a:x").to_dicts()][::-1]
    for at in (1, "1", times[0], str(times[0]), "s"):
        past = lake.at(at)
        assert past.folio("a").get_data("x") == 1
        assert lake.folio("a").get_data("x", at=at) == 1
        assert past.read_only
    assert lake.at("s").folios() == ["a", "b/c"]
    assert lake.at(1).folios() == ["a"]
    assert lake.at(0).folios() == []
    assert lake.get("a:x@s") == 1
    assert lake.get("a:x") == 2
    with pytest.raises(lf.NotFoundError) as caught:
        lake.at(times[0] - timedelta(seconds=1))
    assert caught.value.kind == "version-not-found"
    assert "first commit" in caught.value.hint
    for wrong in (99, "nope", -99):
        with pytest.raises(lf.NotFoundError):
            lake.at(wrong)
    with pytest.raises(lf.ReadOnlyError):
        lake.at("s").folio("a").add_json("new", 1)
    with pytest.raises(lf.NotFoundError):
        lake.at("s").at(lake.version)


def test_snapshots(lake: lf.Lake) -> None:
    (snapshot,) = lake.snapshots()
    assert (snapshot.name, snapshot.folio, snapshot.target_version, snapshot.tags) == ("s", None, 3, ("paper",))
    assert snapshot.message == "before"
    with pytest.raises(lf.AlreadyExistsError) as caught:
        lake.snapshot("s")
    assert caught.value.kind == "snapshot-exists"
    lake.snapshot("s", folio="a", at=1)  # another scope, another name
    assert [one.target_version for one in lake.snapshots("a")] == [1]
    assert lake.folio("a").get_data("x", at="s") == 1
    with pytest.raises(lf.InvalidInputError):
        lake.snapshot("2026-11-01")
    lake.drop_snapshot("s")
    with pytest.raises(lf.NotFoundError) as caught:
        lake.drop_snapshot("s")
    assert caught.value.kind == "snapshot-not-found"
    assert [one.folio for one in lake.snapshots()] == ["a"]


def test_restore_the_lake(lake: lf.Lake) -> None:
    lake.folio("a").metadata["note"] = "new"
    before = lake.version
    plan = lake.restore("s", dry_run=True)
    assert lake.version == before
    assert {(one["item"], one["action"]) for one in plan["changed"]} == {("x", "brought back"), ("z", "removed")}
    lake.restore("s")
    assert lake.version == before + 1
    assert lake.folio("a").get_data("x") == 1
    assert "note" not in lake.folio("a").metadata
    assert lake.folio("a").list_contents()["json_data"] == ["x"]
    assert lake.item("a:x").tags == ("t",)
    assert lake.folio("a").item_info("x")["metadata"] == {"q": 0.5}
    assert lake.get(f"a:x@{before}") == 2
    assert lake.restore("s")["changed"] == []  # nothing to do makes no commit
    assert lake.version == before + 1
    assert lake.check(read_data=True).ok


def test_the_log_names_the_version_that_was_restored(lake: lf.Lake) -> None:
    folio = lake.folio("f")
    for number in range(3):
        folio.add("one", number, overwrite=True)
    before = lake.version
    lake.restore(-1)
    assert lake.log(limit=1)[0].message == f"restore lake to @{before - 1} (-1)"
    lake.restore(before)
    assert lake.log(limit=1)[0].message == f"restore lake to @{before}"


def test_the_log_names_the_items_that_were_restored(lake: lf.Lake) -> None:
    for folio, item in (("f", "one"), ("g", "two"), ("f", "one"), ("g", "two")):
        lake.folio(folio).add(item, lake.version, overwrite=True)
    before = lake.version
    lake.restore(-1, items="f:one")
    assert lake.log(limit=1)[0].message == f"restore f:one to @{before - 2} (-1)"
    lake.restore(before, "f", items="one")
    assert lake.log(limit=1)[0].message == f"restore f:one to @{before}"
    lake.restore(-1, items=["f:one", "g:two"])
    assert lake.log(limit=1)[0].message == "restore 2 items to -1"
    lake.restore(before, items=["f:one", "g:two"])
    assert lake.log(limit=1)[0].message == f"restore 2 items to @{before}"


def test_restore_some(lake: lf.Lake) -> None:
    lake.folio("b/c").delete("y")
    lake.restore("s", items="b/c:y")
    assert lake.folio("b/c").get_inputs("y") == ["a:x"]
    assert lake.get("a:x") == 2
    lake.restore("s", folio="a", items=["x"])
    assert (lake.get("a:x"), lake.get("a:z")) == (1, 3)
    with pytest.raises(lf.NotFoundError):
        lake.restore("s", folio="a", items=["nothing"])
    with pytest.raises(lf.NotFoundError):
        lake.restore("s", folio="nothing")
    with pytest.raises(lf.InvalidInputError):
        lake.restore("s", items=["x"])


def test_a_batch_over_folios_is_one_commit(lake: lf.Lake) -> None:
    other = lf.open(lake.uri)
    before = lake.version
    with lake.batch("both"):
        lake.folio("a").add_json("p", 1)
        lake.folio("d").add_json("q", 2, inputs=["a:p"])
        lake.snapshot("in the batch")
        assert lake.folio("d").get_data("q") == 2  # the block sees what it did
        assert other.folios() == ["a", "b/c"]  # nobody else does
        with pytest.raises(lf.AlreadyExistsError):
            lake.folio("a").add_json("p", 3)
    assert other.version == before + 1
    assert other.folio("d").get_inputs("q") == ["a:p"]
    assert other.at("in the batch").folio("d").get_data("q") == 2
    with pytest.raises(RuntimeError):
        _fail_in_a_batch(lake)
    assert other.version == before + 1
    with lake.batch():
        pass
    assert other.version == before + 1


def test_a_batch_is_checked_against_what_others_did_meanwhile(lake: lf.Lake) -> None:
    other = lf.open(lake.uri)
    before = lake.version
    with pytest.raises(lf.AlreadyExistsError):
        _race_in_a_batch(lake, other)
    assert lake.version == before + 1
    assert lake.get("a:contested") == 2
    with pytest.raises(lf.NotFoundError):
        lake.get("a:beside")


def test_history_log_diff(lake: lf.Lake) -> None:
    assert [one["version"] for one in lake.history("a:x").to_dicts()] == [4, 1]
    lake.folio("a").delete("x", warn_dependents=False)
    assert lake.history("a:x").to_dicts()[0]["reason"] == "delete"
    with pytest.raises(lf.NotFoundError):
        lake.history("a:never")
    assert len(lake.log(2).to_dicts()) == 2
    assert lake.log(None).to_dicts()[0]["version"] == lake.version
    changes = lake.diff("s").to_dict()
    assert [one["item"] for one in changes["removed"]] == ["x"]
    assert [one["item"] for one in changes["added"]] == ["z"]
    for printed in (lake.log(), lake.history("a:x"), lake.diff("s")):
        assert "a:" in str(printed)


def test_questions(lake: lf.Lake) -> None:
    assert lake.sql("select item, version from items order by item").fetchall() == [("x", 4), ("y", 2), ("z", 5)]
    assert lake.sql("select item from items where item = ?", ["x"]).pl().rows() == [("x",)]
    assert lake.at("s").sql("select count(*) from items").fetchone() == (2,)
    assert lake.connect(at="s").sql("select count(*) from items").fetchone() == (2,)
    with pytest.raises(lf.InvalidInputError) as caught:
        lake.sql("select * from itemz")
    assert caught.value.kind == "sql"
    assert "items" in caught.value.hint
    frame = lake.scan("manifests").filter(pl.col("op") == "put").select("item").collect()
    assert frame["item"].to_list() == ["x", "y", "x", "z"]
    assert lake.at("s").scan().collect().height == 3
    assert lake.scan("lineage").collect()["input_item"].to_list() == ["x"]
    with pytest.raises(lf.NotFoundError):
        lake.scan("nothing")
    lineage = lake.lineage("b/c:y")
    assert [node.item for node in lineage.upstream()] == ["x"]
    assert "a:x" in lineage.to_mermaid()


def test_lineage_is_of_exact_versions(lake: lf.Lake) -> None:
    lake.folio("b/c").add_json("late", 1, inputs=["a:x", "a:x@1", "a:x@s", "s3://elsewhere/raw.csv"])
    rows = lake.sql(
        "select input_kind, input_item, input_version, input_uri from lineage_edges "
        "where output_item = 'late' order by all"
    ).fetchall()
    assert rows == [
        ("entry", "x", 1, None),
        ("entry", "x", 1, None),
        ("entry", "x", 4, None),
        ("external", None, None, "s3://elsewhere/raw.csv"),
    ]
    with pytest.raises(lf.NotFoundError) as caught:
        lake.folio("b/c").add_json("later", 1, inputs=["yy"])
    assert caught.value.kind == "input-not-found"
    assert "'y'" in caught.value.hint


def test_words_at_every_level(lake: lf.Lake) -> None:
    lake.annotate(description="everything", tags=["lab"], owner={"name": "ada"})
    assert (lake.description, lake.tags, lake.metadata["owner"]) == ("everything", ["lab"], {"name": "ada"})
    lake.annotate(remove=["owner"])
    assert "owner" not in lake.metadata
    lake.folio("a").metadata["tags"] = ["f"]
    assert lf.open(lake.uri).folio("a").metadata["tags"] == ["f"]
    assert "owner" in lake.at(lake.version - 2).metadata


def test_reports_are_for_people_and_programs(lake: lf.Lake) -> None:
    import json

    for report in (lake.info(), lake.stats(), lake.compact(), lake.restore("s", dry_run=True)):
        assert json.dumps(report)
        assert str(report)
    checked = lake.check()
    assert json.dumps(checked.to_dict())
    assert checked.ok
    assert "no problems" in str(checked)


def test_stats_say_what_the_views_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = lf.open(tmp_path / "lake")
    folio = lake.folio("a")
    folio.add_json("x", 1)
    folio.add_json("y", [2], inputs=["x", "https://a.example/z"])
    lake.snapshot("early")
    folio.add_json("y", [3], overwrite=True, inputs=["x"])
    lake.restore("early")
    lake.create_run(inputs={"data": "a:x"})
    folio.delete("x", warn_dependents=False)
    names = ("item", "entry", "commit", "snapshot", "lineage_edge")
    views = ("items", "entries", "commits", "snapshots", "lineage_edges")
    counted = "select " + ", ".join(f"(select count(*) from {view})" for view in views)
    for one in (lf.open(lake.uri), lake.at("early")):
        stats = one.stats()
        assert one.sql(counted).fetchone() == tuple(stats[f"{name}_count"] for name in names)
    assert lake.stats().lineage_edge_count == 4
    asked, own = list[str](), Session.query
    monkeypatch.setattr(Session, "query", lambda self, sql, *given: (asked.append(sql), own(self, sql, *given))[1])
    lake.stats()
    plans = [own(session_of(lake), f"explain {sql}").fetchall()[0][1] for sql in asked if "edge" in sql]
    assert len(plans) == 1
    assert "UNNEST" not in plans[0], "it would hold the inputs of all entries"


def test_read_only(lake: lf.Lake) -> None:
    reader = lf.open(lake.uri, read_only=True)
    assert reader.get("a:x") == 2
    for write in (
        lambda: reader.folio("a").add_json("n", 1),
        lambda: reader.snapshot("n"),
        lambda: reader.restore("s"),
        lambda: reader.annotate(a=1),
        lambda: reader.compact(),
        lambda: reader.drop_snapshot("s"),
        lambda: reader.batch().__enter__(),
    ):
        with pytest.raises(lf.ReadOnlyError):
            write()
    assert reader.version == lake.version


def test_times_are_of_the_commit_not_of_objects(lake: lf.Lake, tmp_path) -> None:
    """A copied lake answers by time as the original does."""
    if lake.uri.startswith("s3://"):
        store, target = session_of(lake).store, session_of(lf.open(str(tmp_path / "seed"))).store
        copy = str(tmp_path / "copy")
        from lakefolio.storage import open_store

        target = open_store(copy, None)
        for info in list(store.list("")):
            target.put(info.key, store.get(info.key))
    else:
        import shutil

        copy = str(tmp_path / "copy")
        shutil.copytree(lake.uri, copy)
    time.sleep(0.01)
    other = lf.open(copy)
    now = datetime.now(UTC)
    for row in lake.scan().collect().iter_rows(named=True):
        when = row["committed_at"]
        assert other.at(when).version == lake.at(when).version == row["version"]
    assert other.at(now).version == lake.version
    assert other.check(read_data=True).ok


def _fail_in_a_batch(lake: lf.Lake) -> None:
    with lake.batch():
        lake.folio("a").add_json("never", 1)
        raise RuntimeError


def _race_in_a_batch(lake: lf.Lake, other: lf.Lake) -> None:
    with lake.batch():
        lake.folio("a").add_json("contested", 1)
        lake.folio("a").add_json("beside", 1)
        other.folio("a").add_json("contested", 2)


def test_what_a_batch_added_is_read_before_it_is_planned(tmp_path) -> None:
    """Plain additions are laid over unplanned; their rows are made when somebody looks."""
    lake = lf.open(str(tmp_path / "lake"))
    with lake.batch():
        lake.folio("f").add_json("a", 1, description="one", tags=["t"])
        assert lake.item("f:a").tags == ("t",)
        assert lake.folio("f").list_contents()["json_data"] == ["a"]
        lake.folio("f").add_json("a", 2, overwrite=True)
        lake.folio("f").update_item("a", description="two")
        assert lake.get("f:a") == 2
        lake.folio("f").delete("a", warn_dependents=False)
        lake.folio("f").add_json("a", 3)
    assert lake.get("f:a") == 3
    assert lake.version == 1
    assert [one["reason"] for one in lake.history("f:a").to_dicts()] == ["add", "delete", "update", "overwrite", "add"]
    assert lake.check(read_data=True).ok


def test_a_lost_marker_is_brought_back_from_a_copy_and_never_made_anew(lake_uri: str, tmp_path) -> None:
    lake = lf.open(lake_uri)
    lake.folio("f").add_json("item", 1)
    store, marker = session_of(lake).store, session_of(lake).store.find("lakefolio.json")
    copy = open_store(str(tmp_path / "copy"), None)
    for info in store.list(""):
        copy.create(info.key, store.get(info.key))
    store.delete(["lakefolio.json"])
    for options in ({}, {"create": False}, {"read_only": True}):
        with pytest.raises(FormatError, match=r"lakefolio.json is missing") as caught:
            lf.open(lake_uri, **options)
        assert caught.value.kind == "marker-missing"
    assert store.find("lakefolio.json") is None
    repair(store, copy)
    assert store.find("lakefolio.json") == marker
    assert lf.open(lake_uri).folio("f").get_json("item") == 1

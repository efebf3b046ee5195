"""The folio beyond DataFolio 1.x: where it opens, ``at=``, atomic batches, history, lineage of versions, copies."""

from __future__ import annotations

import copy
import json
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from inside import session_of

import lakefolio as lf
from lakefolio.errors import (
    AlreadyExistsError,
    InvalidInputError,
    LakeNotFoundError,
    NotFoundError,
    PlaceTakenError,
    ReadOnlyError,
)
from lakefolio.folio.places import is_location, path_of, with_suffix
from lakefolio.format import json_decode
from lakefolio.testing import need

pd = need("pandas", "pandas")


@pytest.fixture
def lake(lake_uri):
    return lf.open(lake_uri)


@pytest.fixture
def folio(lake):
    return lake.folio("exp/one")


@pytest.fixture
def frame():
    return pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]})


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "plot.png"
    path.write_bytes(b"\x89PNG")
    return path


def blob_count(lake):
    return sum(1 for _ in session_of(lake).store.list("blobs/"))


# ---------------------------------------------------------------------- opening


def test_what_would_not_be_recorded_cannot_be_set(tmp_path):
    lake = lf.open(tmp_path / "lake")
    folio = lake.folio("f")
    folio.metadata.update({"tags": ["a"], "by": {"name": "ada"}})
    with lake.run("r") as run:
        for owner, name in [
            *((folio, one) for one in ("tags", "description", "metadata", "name", "nothing")),
            *((lake, one) for one in ("author", "version", "nothing")),
            *((run, one) for one in ("params", "metrics", "description", "status", "nothing")),
        ]:
            with pytest.raises(lf.ReadOnlyError, match=rf"{name} can't be set: nothing would be recorded"):
                setattr(owner, name, "x")
    folio.metadata["tags"] = [*folio.metadata["tags"], "b"]
    assert lf.open(lake.uri).folio("f").metadata["tags"] == ["a", "b"]
    assert folio.metadata["by"] == {"name": "ada"}


def test_all_ways_to_open_lead_to_the_same_folio(lake_uri, lake):
    lake.folio("exp/one").add_data("x", 1)
    assert lf.Folio(lake_uri, "exp/one").get_data("x") == 1
    assert lf.DataFolio(lake_uri, "exp/one").get_data("x") == 1
    assert lf.Folio(f"{lake_uri}/exp/one").get_data("x") == 1
    assert lf.Folio(lake.folio("exp/one").path).get_data("x") == 1
    assert lf.DataFolio is lf.Folio
    assert lake.folios() == ["exp/one"]


def test_a_location_alone_is_a_lake_of_its_own(lake_uri):
    folio = lf.Folio(f"{lake_uri}/clf_v1", metadata={"who": "ada"})
    assert folio.name == "clf_v1"
    assert folio.path == folio.lake_uri.removeprefix("file://")
    assert lf.open(f"{lake_uri}/clf_v1").folios() == []
    folio.add_data("x", 1)
    assert lf.open(f"{lake_uri}/clf_v1").folio("clf_v1").get_data("x") == 1
    assert lf.Folio(f"{lake_uri}/clf_v1/").metadata["who"] == "ada"


def test_a_name_alone_is_a_folio_of_the_default_lake(lake_uri, lake, monkeypatch, tmp_path):
    monkeypatch.setenv("LAKEFOLIO_LAKE", lake_uri)
    lf.Folio("exp/two").add_data("x", 1)
    assert lake.folios() == ["exp/two"]
    monkeypatch.delenv("LAKEFOLIO_LAKE")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    folio = lf.Folio("exp/two")
    assert folio.path == str(tmp_path / "elsewhere" / "lake" / "exp" / "two")
    assert len(folio) == 0


@pytest.mark.parametrize("path", ["./here", "~/x", "/abs", "../up", "s3://bucket/x", "memory://m/x", "."])
def test_locations(path):
    assert is_location(path)


@pytest.mark.parametrize("name", ["exp", "exp/one", "a.b", ".hidden", "name with space"])
def test_names_are_no_locations(name):
    assert not is_location(name)


def test_paths():
    assert path_of("s3://bucket/lake", "exp") == "s3://bucket/lake/exp"
    assert path_of("s3://bucket/exp", "exp") == "s3://bucket/exp"
    assert path_of("/data/lake/", "a/lake") == "/data/lake/a/lake"
    assert with_suffix("exp").count("-") == 3


def test_opening_what_is_not_there(tmp_path, lake_uri, lake):
    for options in ({"read_only": True}, {"create": False}):
        with pytest.raises(LakeNotFoundError) as caught:
            lf.Folio(tmp_path / "none", **options)
        assert isinstance(caught.value, FileNotFoundError)
        assert not (tmp_path / "none").exists()
    lake.folio("experiment").add_data("x", 1)
    with pytest.raises(NotFoundError) as missing:
        lf.Folio(lake_uri, "experimant", create=False)
    assert missing.value.kind == "folio-not-found"
    assert "experiment" in missing.value.hint
    assert lf.Folio(lake_uri, "experiment", create=False).get_data("x") == 1


def test_places_that_hold_something_else(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "items.json").write_text("{}")
    (tmp_path / "empty").mkdir()
    for name in ("file", "bundle"):
        with pytest.raises(PlaceTakenError) as caught:
            lf.Folio(tmp_path / name)
        assert caught.value.kind == ("not-a-directory" if name == "file" else "place-taken")
        assert isinstance(caught.value, FileExistsError)
    assert "datafolio" in caught.value.hint
    assert (tmp_path / "bundle" / "items.json").read_text() == "{}"
    assert lf.Folio(tmp_path / "empty").add_data("x", 1).get_data("x") == 1


@pytest.mark.parametrize("name", ["", "a//b", "a:b", "x" * 600, "tab\there"])
def test_bad_folio_names(lake_uri, name):
    with pytest.raises(InvalidInputError):
        lf.Folio(lake_uri, name)


def test_random_suffix(lake_uri, lake):
    one = lf.Folio(lake_uri, "exp", random_suffix=True)
    two = lf.Folio(f"{lake_uri}/exp", random_suffix=True)
    assert one.name != two.name
    assert one.name.startswith("exp-")
    assert two.name.startswith("exp-")


# ---------------------------------------------------------------------- adding


def adders(frame, file):
    return {
        "add_data": lambda folio, name, **words: folio.add_data(name, {"a": 1}, **words),
        "add": lambda folio, name, **words: folio.add(name, {"a": 1}, **words),
        "add_table": lambda folio, name, **words: folio.add_table(name, frame, **words),
        "add_numpy": lambda folio, name, **words: folio.add_numpy(name, np.arange(3), **words),
        "add_json": lambda folio, name, **words: folio.add_json(name, [1], **words),
        "add_timestamp": lambda folio, name, **words: folio.add_timestamp(name, 0, **words),
        "add_artifact": lambda folio, name, **words: folio.add_artifact(name, file, **words),
        "add_file": lambda folio, name, **words: folio.add_file(file, name, **words),
        "reference_table": lambda folio, name, **words: folio.reference_table(name, "/no/such.parquet", **words),
        "add_data reference": lambda folio, name, **words: folio.add_data(name, reference="/no/such.parquet", **words),
    }


@pytest.mark.filterwarnings("ignore:reference:UserWarning")
@pytest.mark.parametrize("way", list(adders(None, None)))
def test_every_add_takes_the_common_words(lake, folio, frame, file, way):
    add = adders(frame, file)[way]
    folio.add_json("src", 1)
    before = lake.version
    done = add(folio, "x", description="d", inputs=["src"], tags=["t1", "t2"], metadata={"k": {"deep": [1, None]}})
    assert done is folio
    assert lake.version == before + 1
    info = folio.item_info("x")
    assert info["description"] == "d"
    assert info["inputs"] == ["src"]
    assert info["tags"] == ["t1", "t2"]
    assert info["metadata"] == {"k": {"deep": [1, None]}}
    with pytest.raises(AlreadyExistsError) as caught:
        add(folio, "x")
    assert caught.value.kind == "item-exists"
    assert caught.value.item == "x"
    add(folio, "x", overwrite=True)
    assert "description" not in folio.item_info("x")
    assert len(lake.history("exp/one:x")) == 2


@pytest.mark.filterwarnings("ignore:reference:UserWarning")
@pytest.mark.parametrize("way", list(adders(None, None)))
def test_no_way_to_write_through_a_reader(lake_uri, folio, frame, file, way):
    folio.add_json("there", 1)
    reader = lf.Folio(lake_uri, "exp/one", read_only=True)
    with pytest.raises(ReadOnlyError) as caught:
        adders(frame, file)[way](reader, "x")
    assert isinstance(caught.value, RuntimeError)
    assert caught.value.kind == "read-only"
    assert list(folio) == ["there"]


def test_a_reader_can_not_change_anything(lake_uri, folio):
    folio.add_json("x", 1).create_snapshot("v1")
    reader = lf.Folio(lake_uri, "exp/one", read_only=True)
    writes = [
        lambda: reader.delete("x"),
        lambda: reader.archive("x"),
        lambda: reader.update_item("x", description="d"),
        lambda: reader.create_snapshot("v2"),
        lambda: reader.delete_snapshot("v1"),
        lambda: reader.restore_snapshot("v1", confirm=True),
        lambda: reader.metadata.update(a=1),
        lambda: reader.metadata.clear(),
        lambda: reader.metadata.__ior__({"a": 1}),
        lambda: reader.batch().__enter__(),
        lambda: folio.get_snapshot("v1").add_json("y", 1),
    ]
    for write in writes:
        with pytest.raises(ReadOnlyError):
            write()
    assert list(folio) == ["x"]


def test_none_is_a_value(folio):
    folio.add_data("x", None)
    folio.add_data("y", data=None)
    assert folio.get_data("x") is None
    assert folio.item_info("y")["data_type"] == "NoneType"


def test_files_folders_and_bytes(folio, file, tmp_path):
    tree = tmp_path / "tree"
    (tree / "deep").mkdir(parents=True)
    (tree / "deep" / "a.txt").write_text("a")
    (tree / "b.txt").write_text("b")
    folio.add_data("file", file).add_data("tree", tree).add_artifact("tree2", tree).add_data("bytes", b"\x00\x01")
    assert Path(folio.get_data("file")).read_bytes() == b"\x89PNG"
    assert folio.get_artifact_path("file").endswith(".png")
    for name in ("tree", "tree2"):
        root = Path(folio.get_data(name))
        assert sorted(str(one.relative_to(root)) for one in root.rglob("*")) == ["b.txt", "deep", "deep/a.txt"]
    assert folio.get_data("bytes") == b"\x00\x01"
    assert Path(folio.get_artifact_path("bytes")).read_bytes() == b"\x00\x01"
    assert folio.artifacts == ["file", "tree", "tree2", "bytes"]
    assert folio.is_valid()


def test_local_copies_are_read_only(folio, file):
    folio.add_file(file)
    assert not Path(folio.get_artifact_path("plot")).stat().st_mode & 0o222


def test_failed_adds_leave_nothing(lake, folio):
    before = lake.version
    for name, obj in (("x", object()), ("..", 1), ("a\nb", 1), ("x", np.array([object()])), ("x", {1: {2: object()}})):
        with pytest.raises(InvalidInputError):
            folio.add_data(name, obj)
    with pytest.raises(InvalidInputError):
        folio.add_data("x", 1, tags=[""])
    with pytest.raises(InvalidInputError):
        folio.add_data("x", 1, metadata={"k": object()})
    with pytest.raises(TypeError):
        folio.add_data("x", 1, nonsense=True)
    assert lake.version == before
    assert list(folio) == []


def test_words_of_datafolio_are_metadata_of_the_entry(lake, folio, frame):
    folio.add_json("net", 1)
    folio.add_table("t", frame, models=["net"], code="t = f()", metadata={"mine": 1})
    info = folio.item_info("t")
    assert (info["models"], info["code"], info["metadata"]) == (["net"], "t = f()", {"mine": 1})
    assert folio.get_inputs("t") == ["net"]
    folio.add_data("u", {"a": 1}, code="u", category="configs")
    assert folio.item_info("u")["category"] == "configs"
    folio.update_item("t", metadata={"mine": None, "more": [2]}, tags=["a"])
    assert folio.item_info("t")["metadata"] == {"more": [2]}
    assert folio.item_info("t")["tags"] == ["a"]
    assert folio.item_info("t")["code"] == "t = f()"
    folio.update_item("t", tags=[])
    assert "tags" not in folio.item_info("t")


# ---------------------------------------------------------------------- the past


def test_every_getter_takes_at(lake, folio, frame, file):
    folio.add_table("t", frame).add_numpy("n", np.arange(3)).add_json("j", 1).add_timestamp("w", 0)
    folio.add_artifact("f", file)
    folio.create_snapshot("old")
    then = datetime.now(UTC)
    version = lake.version
    file.write_bytes(b"new")
    folio.add_table("t", frame.head(1), overwrite=True).add_numpy("n", np.zeros(1), overwrite=True)
    folio.add_json("j", 2, overwrite=True).add_timestamp("w", 1, overwrite=True)
    folio.add_artifact("f", file, overwrite=True)
    for at in ("old", version, str(version), then, then.isoformat()):
        assert len(folio.get_table("t", at=at)) == 3
        assert folio.scan_table("t", at=at).collect().height == 3
        assert folio.get_numpy("n", at=at).tolist() == [0, 1, 2]
        assert folio.get_json("j", at=at) == 1
        assert folio.get_timestamp("w", as_unix=True, at=at) == 0
        assert Path(folio.get_artifact_path("f", at=at)).read_bytes() == b"\x89PNG"
        assert folio.get_data("j", at=at) == 1
        assert folio.get_many(["j"], at=at) == {"j": 1}
        assert folio.item_info("t", at=at)["num_rows"] == 3
        assert folio.get_data(f"j@{at}" if isinstance(at, str | int) and ":" not in str(at) else "j@old") == 1
    assert folio.get_json("j") == 2
    with pytest.raises(NotFoundError) as missing:
        folio.get_json("j", at="odl")
    assert "old" in missing.value.hint
    with pytest.raises(NotFoundError):
        folio.get_json("j", at=version + 1000)
    with pytest.raises(NotFoundError) as early:
        folio.get_json("j", at="1999-01-01")
    assert "first commit" in early.value.hint
    with pytest.raises(InvalidInputError):
        folio.get_json("j@old", at="old")


def test_references_name_other_folios_and_versions(lake, folio):
    folio.add_json("x", 1)
    other = lake.folio("other")
    version = lake.version
    folio.add_json("x", 2, overwrite=True)
    assert other.get_data("exp/one:x") == 2
    assert other.get_data(f"exp/one:x@{version}") == 1
    with pytest.raises(NotFoundError):
        other.get_data("x")


def test_deleted_items_stay_readable_in_the_past(lake, folio):
    folio.add_json("x", 1)
    version = lake.version
    folio.delete("x")
    assert "x" not in folio
    assert folio.get_json("x", at=version) == 1


def test_a_loaded_snapshot_never_changes(folio, frame):
    folio.metadata["a"] = 1
    folio.add_table("t", frame).add_json("gone", 1).create_snapshot("v1", "d", ["t"])
    old = folio.get_snapshot("v1")
    folio.add_table("t", frame.head(1), overwrite=True).delete("gone").add_json("new", 1)
    folio.metadata["a"] = 2
    assert len(old.get_table("t")) == 3
    assert old.get_json("gone") == 1
    assert old.list_contents()["json_data"] == ["gone"]
    assert "new" not in old
    assert old.metadata["a"] == 1
    assert old.data.t.content.shape == (3, 2)
    assert [one["name"] for one in old.list_snapshots()] == ["v1"]
    assert folio.snapshots["v1"].get("gone") == 1
    assert folio.snapshots["v1"].folio.get_json("gone") == 1
    assert "gone" in old.describe(return_string=True)


def test_restore_brings_back_what_was_deleted_and_can_be_undone(lake, folio):
    folio.metadata["a"] = 1
    folio.add_json("x", 1).add_json("y", 1).create_snapshot("v1")
    folio.add_json("x", 2, overwrite=True).delete("y").add_json("z", 1)
    folio.metadata.update(a=2, b=3)
    folio.create_snapshot("v2")
    before = lake.version
    folio.restore_snapshot("v1", confirm=True)
    assert lake.version == before + 1
    assert folio.get_many(["x", "y"]) == {"x": 1, "y": 1}
    assert "z" not in folio
    assert (folio.metadata["a"], folio.metadata.get("b")) == (1, None)
    folio.restore_snapshot("v2", confirm=True)
    assert folio.get_many(["x", "z"]) == {"x": 2, "z": 1}
    assert "y" not in folio
    assert folio.metadata["b"] == 3


def test_diff_takes_the_newest_snapshot(folio):
    folio.add_json("x", 1).create_snapshot("v1").add_json("y", 1).create_snapshot("v2")
    assert folio.diff_from_snapshot()["snapshot_name"] == "v2"
    assert folio.diff_from_snapshot()["added_items"] == []
    folio.update_item("x", description="only words")
    assert folio.diff_from_snapshot()["modified_items"] == []
    folio.add_json("x", 2, overwrite=True)
    assert folio.diff_from_snapshot()["modified_items"] == ["x"]


def test_in_snapshots_names_those_that_hold_the_content(folio):
    folio.add_json("x", 1).create_snapshot("v1").update_item("x", description="d").archive("x").create_snapshot("v2")
    assert folio.item_info("x")["in_snapshots"] == ["v1", "v2"]
    folio.add_json("x", 2, overwrite=True)
    assert folio.item_info("x")["in_snapshots"] == []


def test_snapshots_of_many_states_count_their_items(folio):
    for number in range(12):
        folio.add_json(f"x{number}", number).create_snapshot(f"v{number}")
    assert [one["num_items"] for one in folio.list_snapshots()] == list(range(12, 0, -1))
    assert list(folio.snapshots) == [f"v{number}" for number in range(12)]


@pytest.mark.parametrize("name", ["2024", "2024-01-15", "a b", "a/b", "x@y"])
def test_bad_snapshot_names(folio, name):
    with pytest.raises(InvalidInputError) as caught:
        folio.create_snapshot(name)
    assert caught.value.kind == "bad-name"


def test_snapshots_of_the_lake_can_be_read_too(lake, folio):
    folio.add_json("x", 1)
    lake.snapshot("paper")
    folio.add_json("x", 2, overwrite=True)
    assert folio.get_json("x", at="paper") == 1
    assert folio.list_snapshots() == []


# ---------------------------------------------------------------------- what is not there


def test_errors_name_the_nearest(folio, frame):
    folio.add_table("training_data", frame).create_snapshot("baseline")
    for call in (folio.get_table, folio.get_data, folio.item_info, folio.get_inputs, folio.item_path):
        with pytest.raises(NotFoundError) as caught:
            call("trainig_data")
        assert caught.value.kind == "item-not-found"
        assert "'training_data'" in caught.value.hint
        assert isinstance(caught.value, KeyError)
        assert "training_data" in str(caught.value)
    with pytest.raises(AttributeError, match="training_data"):
        folio.data.trainig_data  # noqa: B018 - the access is what is tested
    with pytest.raises(NotFoundError) as snapshot:
        folio.get_snapshot("basline")
    assert "'baseline'" in snapshot.value.hint
    with pytest.raises(NotFoundError) as given:
        folio.add_json("x", 1, inputs=["trainig_data"])
    assert given.value.kind == "input-not-found"
    assert "'training_data'" in given.value.hint
    assert "x" not in folio
    with pytest.raises(InvalidInputError) as kind:
        folio.get_numpy("training_data")
    assert kind.value.kind == "wrong-kind"
    assert kind.value.objects["item_type"] == "included_table"


# ---------------------------------------------------------------------- lineage


def test_lineage_names_exact_versions(lake, folio, frame):
    folio.add_table("raw", frame)
    first = lake.version
    lake.folio("other").add_json("params", 1)
    folio.add_table("clean", frame.head(2), inputs=["raw", "other:params", "s3://bucket/x.csv"])
    assert folio.get_inputs("clean") == ["raw", "other:params", "s3://bucket/x.csv"]
    folio.add_table("raw", frame.head(1), overwrite=True)
    folio.add_json("again", 1, inputs=[f"raw@{first}"])
    edges = lake.scan("lineage").collect().to_dicts()
    old = lake.item(f"exp/one:raw@{first}")
    assert {edge["input_id"] for edge in edges if edge["input_item"] == "raw"} == {old.entry_id}
    assert {edge["input_digest"] for edge in edges if edge["input_item"] == "raw"} == {old.digest}
    assert folio.get_inputs("again") == ["raw"]
    assert folio.get_dependents("raw") == ["clean", "again"]


def test_inputs_may_be_one_name(folio):
    folio.add_json("raw", 1).add_json("x", 2, inputs="raw")
    assert folio.get_inputs("x") == ["raw"]
    folio.add_json("y", 2, inputs=folio.data.x)
    assert folio.get_dependents("x") == ["y"]


def test_deleting_together_does_not_warn(folio):
    folio.add_json("a", 1).add_json("b", 2, inputs=["a"]).add_json("c", 3, inputs=["b"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        folio.delete(["b", "c"])
    folio.delete([])
    assert list(folio) == ["a"]


# ---------------------------------------------------------------------- batches


def test_a_batch_is_one_commit(lake_uri, lake, folio):
    folio.add_json("old", 1)
    before = lake.version
    with folio.batch("many things") as same:
        assert same is folio
        for number in range(20):
            folio.add_json(f"x{number}", number, inputs=["old"] if number == 0 else [f"x{number - 1}"])
        folio.metadata["n"] = 20
        assert folio.metadata["n"] == 20
        folio.delete("old", warn_dependents=False)
        folio.create_snapshot("v1")
        assert folio.get_json("x7") == 7
        assert folio.get_inputs("x7") == ["x6"]
        assert "old" not in folio
        assert len(lf.Folio(lake_uri, "exp/one")) == 1
    assert lake.version == before + 1
    assert lake.log(1)[0].message == "many things"
    assert len(folio) == 20
    assert folio.get_lineage_graph()["x19"] == ["x18"]
    assert folio.get_snapshot("v1").metadata["n"] == 20


def test_a_failed_batch_commits_nothing(lake, folio):
    folio.add_json("x", 1)
    folio.metadata["a"] = 1
    before = lake.version
    with pytest.raises(ZeroDivisionError), folio.batch():  # noqa: PT012 - the block is what is tested
        folio.add_json("y", 1).add_json("x", 2, overwrite=True).delete("x")
        folio.metadata["a"] = 2
        raise ZeroDivisionError
    assert lake.version == before
    assert folio.get_json("x") == 1
    assert "y" not in folio
    assert folio.metadata["a"] == 1


def test_mistakes_in_a_batch_are_told_where_they_are_made(folio):
    with folio.batch():
        folio.add_json("x", 1)
        with pytest.raises(AlreadyExistsError):
            folio.add_json("x", 2)
        with pytest.raises(NotFoundError):
            folio.delete("nope")
    assert folio.get_json("x") == 1


def test_an_empty_batch_is_no_commit(lake, folio):
    folio.add_json("x", 1)
    before = lake.version
    with folio.batch(), folio.batch():
        pass
    assert lake.version == before


# ---------------------------------------------------------------------- metadata


def test_each_change_of_metadata_is_one_commit(lake, folio):
    meta = folio.metadata
    changes = [
        lambda: meta.__setitem__("a", 1),
        lambda: meta.update({"b": [1, 2], "c": None}, d={"x": float("nan")}),
        lambda: meta.setdefault("e", 5),
        lambda: meta.__ior__({"f": 6}),
        lambda: meta.__delitem__("a"),
        lambda: meta.pop("b"),
        lambda: meta.popitem(),
        lambda: meta.clear(),
    ]
    for change in changes:
        before = lake.version
        change()
        assert lake.version == before + 1
    before = lake.version
    meta.setdefault("g", 1)
    meta.setdefault("g", 2)
    assert meta.pop("nope", 7) == 7
    meta["g"] = 1
    assert lake.version == before + 1
    with pytest.raises(KeyError):
        meta.pop("nope")


def test_metadata_is_an_ordinary_dict_to_others(folio):
    folio.metadata.update(a=1, b=[1, {"c": None}])
    assert isinstance(folio.metadata, dict)
    assert json.loads(json.dumps(folio.metadata))["b"] == [1, {"c": None}]
    assert {**folio.metadata}["a"] == 1
    assert type(copy.deepcopy(folio.metadata)) is dict
    assert type(copy.copy(folio.metadata)) is dict
    assert type(folio.metadata.copy()) is dict
    assert set(folio.metadata) == {"created_at", "updated_at", "a", "b"}


def test_metadata_values_come_back(folio, lake_uri):
    values = {"nan": float("nan"), "big": 2**80, "text": "Ünï\n", "when": datetime(2024, 1, 1, tzinfo=UTC), "no": None}
    folio.metadata.update(values)
    back = lf.Folio(lake_uri, "exp/one").metadata
    assert back["nan"] != back["nan"]
    assert {key: back[key] for key in values if key != "nan"} == {key: values[key] for key in values if key != "nan"}
    for key, value in ((5, 1), ("", 1), ("x", object())):
        with pytest.raises(InvalidInputError):
            folio.metadata[key] = value


def test_two_handles_share_metadata(folio, lake_uri):
    other = lf.Folio(lake_uri, "exp/one")
    held = other.metadata
    folio.metadata["a"] = 1
    assert other.metadata["a"] == 1
    assert held["a"] == 1
    other.metadata["b"] = 2
    assert set(folio.metadata) >= {"a", "b"}


def test_times_are_facts_of_the_journal(folio, lake_uri, lake):
    folio.add_json("x", 1)
    created = folio.metadata["created_at"]
    assert folio.metadata["updated_at"] == created
    lake.folio("other").add_json("y", 1)
    assert folio.metadata["updated_at"] == created
    folio.archive("x")
    assert folio.metadata["updated_at"] > created
    assert lf.Folio(lake_uri, "exp/one").metadata["created_at"] == created


# ---------------------------------------------------------------------- copies


def test_a_copy_within_the_lake_is_one_commit_and_stores_nothing(lake, folio, frame):
    array = np.arange(5000)
    folio.metadata["stage"] = 1
    folio.add_numpy("raw", array).add_json("unused", 1)
    folio.add_table("clean", frame, "words", inputs=["raw", "unused"], tags=["t"], metadata={"k": 1})
    stored = blob_count(lake)
    before = lake.version
    twin = folio.copy("exp/two", exclude_items=["unused"], metadata_updates={"stage": 2})
    assert lake.version == before + 1
    assert blob_count(lake) == stored
    assert twin.lake_uri == folio.lake_uri
    assert twin.get_numpy("raw").tolist() == array.tolist()
    info = twin.item_info("clean")
    assert (info["description"], info["tags"], info["metadata"]) == ("words", ["t"], {"k": 1})
    version = lake.history("exp/one:unused")[0].version
    assert twin.get_inputs("clean") == ["raw", "exp/one:unused"]
    assert twin.metadata["stage"] == 2
    assert version <= before
    with pytest.raises(AlreadyExistsError):
        folio.copy("exp/two")
    assert lake.version == before + 1


def test_a_copy_to_another_lake_holds_everything(folio, frame, file, tmp_path):
    folio.add_numpy("raw", np.arange(5000)).add_table("clean", frame, inputs=["raw"])
    folio.add_artifact("plot", file, "plots").archive("plot").add_json("gone", 1)
    folio.add_json("late", 1, inputs=["gone"]).delete("gone", warn_dependents=False)
    twin = folio.copy(tmp_path / "twin", include_archived=True)
    assert twin.path == str(tmp_path / "twin")
    assert twin.get_numpy("raw").sum() == np.arange(5000).sum()
    pd.testing.assert_frame_equal(twin.get_table("clean"), frame)
    assert twin.get_lineage_graph()["clean"] == ["raw"]
    assert twin.get_inputs("late")[0].endswith("#exp/one:gone@" + twin.get_inputs("late")[0].rsplit("@", 1)[1])
    assert twin.list_contents()["artifacts"] == []
    assert twin.list_contents(include_archived=True)["artifacts"] == ["plot"]
    assert twin.item_info("plot")["category"] == "plots"
    assert twin.is_valid()
    assert lf.open(tmp_path / "twin").check(read_data=True).ok


def test_a_copy_whose_input_changed_since_names_the_old_version(lake, folio):
    folio.add_json("raw", 1)
    version = lake.version
    folio.add_json("clean", 2, inputs=["raw"]).add_json("raw", 3, overwrite=True)
    twin = folio.copy("exp/two")
    assert twin.get_inputs("clean") == ["exp/one:raw"]
    edge = next(row for row in lake.scan("lineage").collect().to_dicts() if row["output_folio"] == "exp/two")
    old = lake.item(f"exp/one:raw@{version}")
    assert edge["input_id"] == old.entry_id


def test_a_copy_of_what_a_run_made_leads_to_the_run(lake, folio, tmp_path):
    folio.add_json("raw", 1).add_json("None", 0)
    with lake.run("fit", run_id="r1"):
        folio.add_json("clean", folio.get_json("raw") + 1)
        folio.add_json("alone", 5, inputs=[])
    with lake.track():
        folio.add_json("tracked", 6)
    folio.create_snapshot("s")
    origin = lake.item("exp/one:clean").ref
    assert folio.copy("exp/two").get_inputs("clean") == ["raw", "exp/one:clean"]
    assert folio.export_snapshot("s", "exp/three").get_inputs("alone") == ["exp/one:alone"]
    assert "r1" in str(lake.lineage("exp/two:clean").to_dict())
    twin = folio.copy(tmp_path / "twin")
    exported = folio.export_snapshot("s", tmp_path / "exported")
    for made in (twin, exported):
        assert sorted(made.get_inputs("clean")) == sorted(["raw", f"{lake.uri}#{origin}"])
        assert made.get_json("tracked") == 6
        assert made.is_valid()
    outputs = lake.sql("select distinct folio from items where run_id = 'r1'").fetchall()
    assert outputs == [("exp/one",)]


def test_export_within_the_lake(lake, folio):
    folio.metadata["a"] = 1
    folio.add_json("x", 1).create_snapshot("v1", "words", ["t"]).add_json("y", 1)
    exported = folio.export_snapshot("v1", "exp/exported")
    assert exported.list_contents()["json_data"] == ["x"]
    assert exported.metadata["a"] == 1
    assert exported.metadata["_source_snapshot"]["tags"] == ["t"]
    with pytest.raises(AlreadyExistsError):
        folio.export_snapshot("v1", "exp/exported")
    assert folio.get_snapshot("v1").copy("exp/third").get_json("x") == 1
    with pytest.raises(ReadOnlyError):
        folio.get_snapshot("v1").add_json("z", 1)


# ---------------------------------------------------------------------- many hands


def test_threads_share_a_folio(lake, folio):
    failures = []

    def work(number):
        try:
            for turn in range(5):
                folio.add_json(f"x{number}-{turn}", turn)
                assert folio.get_json(f"x{number}-{turn}") == turn
        except Exception as exc:
            failures.append(exc)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(folio) == 30


def test_two_handles_race_for_one_name(lake_uri):
    handles = [lf.Folio(lake_uri, "race") for _ in range(4)]
    outcomes = []

    def work(number):
        try:
            handles[number].add_json("x", number)
            outcomes.append(number)
        except AlreadyExistsError:
            outcomes.append(None)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [one for one in outcomes if one is not None]
    assert len(winners) == 1
    assert all(handle.get_json("x") == winners[0] for handle in handles)


# ---------------------------------------------------------------------- damage


def test_validate_finds_damage(tmp_path, monkeypatch):
    monkeypatch.setenv("LAKEFOLIO_CACHE", str(tmp_path / "cache"))
    folio = lf.Folio(tmp_path / "lake", "exp")
    folio.add_numpy("good", np.arange(5000)).add_numpy("flipped", np.ones(5000)).add_numpy("gone", np.zeros(5000))
    assert folio.get_numpy("flipped").sum() == 5000
    folio.item_path("flipped")
    blobs = {path.name: path for path in (tmp_path / "lake" / "blobs").rglob("*") if path.is_file()}
    flipped = blobs[folio.item_info("flipped")["checksum"].removeprefix("sha256:")]
    content = bytearray(flipped.read_bytes())
    content[-1] ^= 1
    flipped.chmod(0o644)
    flipped.write_bytes(content)
    blobs[folio.item_info("gone")["checksum"].removeprefix("sha256:")].unlink()
    assert folio.validate() == {"good": True, "flipped": False, "gone": False}
    assert not folio.is_valid()
    with pytest.raises(lf.IntegrityError) as caught:
        folio.get_numpy("flipped")
    assert caught.value.item == "flipped"


# ---------------------------------------------------------------------- to be read by people


def test_describe_says_more_than_datafolio(lake, folio, frame):
    folio.add_table("clean", frame, "rows", tags=["a", "b"], metadata={"source": "survey"})
    text = folio.describe(return_string=True)
    assert "shape: [3, 2]" in text
    assert "tags: a, b" in text
    assert "metadata: source=survey" in text
    assert "version: " in text
    assert "size: " in text
    assert folio.describe("nothing*", return_string=True).endswith("No item matches 'nothing*'.")
    assert "No items yet." in lake.folio("empty").describe(return_string=True)


def test_dir_completes_only_attributes(folio):
    folio.add_json("good_name", 1).add_json("not-a-name", 2).add_json("content/deep", 3)
    assert "good_name" in dir(folio.data)
    assert "not-a-name" not in dir(folio.data)
    assert folio.data._ipython_key_completions_() == ["content/deep", "good_name", "not-a-name"]
    assert folio.data["content/deep"].content == 3
    assert len(folio.data) == 3
    assert folio.data.good_name.tags == []
    assert folio.data.good_name.version == folio.item_info("good_name")["lake_version"]
    assert folio.data.good_name.path is None
    proxy = folio.data.good_name
    folio.delete("good_name")
    assert "missing" in repr(proxy)


def test_sparse_arrays_and_polars_frames(folio):
    import polars

    sparse = need("scipy.sparse", "test")
    folio.add_data("s", sparse.eye(3, format="csr")).add_numpy("s2", sparse.eye(3, format="csr"))
    folio.add_data("p", polars.DataFrame({"a": [1, 2]}))
    assert folio.get_numpy("s").toarray().tolist() == np.eye(3).tolist()
    assert folio.get_data("s2").nnz == 3
    assert folio.list_contents()["numpy_arrays"] == ["s", "s2"]
    assert folio.get_table("p", as_="polars")["a"].to_list() == [1, 2]
    assert folio.get_table("p", as_="arrow").num_rows == 2


def test_torch_models(folio):
    torch = need("torch", "torch")
    need("safetensors", "torch")
    model = torch.nn.Linear(2, 1)
    folio.add_pytorch("net", model, "d", init_args={"in_features": 2, "out_features": 1}, hyperparameters={"lr": 0.1})
    folio.add_model("net2", model, init_args={"in_features": 2, "out_features": 1})
    state = folio.get_pytorch("net", reconstruct=False)
    assert torch.equal(state["weight"], model.weight)
    back = folio.get_pytorch("net", model_class=torch.nn.Linear)
    assert torch.equal(back.weight, model.weight)
    assert folio.models == ["net", "net2"]
    assert folio.data.net.type == "pytorch_model"
    assert "PyTorch Models (2):" in folio.describe(return_string=True)
    with pytest.raises(InvalidInputError):
        folio.get_sklearn("net")


def test_metadata_that_is_set_in_a_batch_again_and_again_is_decoded_once(tmp_path, monkeypatch):
    lake = lf.open(tmp_path / "lake")
    folio = lake.folio("f")
    folio.metadata.update({"old": 1, "gone": [1], "list": [1, 2]})
    decoded = []
    loads = json_decode.loads_fact
    monkeypatch.setattr(json_decode, "loads_fact", lambda text: decoded.append(text) or loads(text))
    with folio.batch():
        for number in range(30):
            folio.metadata[f"k{number}"] = number
        assert len(decoded) < 3 + 30 + 2 * 31 + 1  # a list is given as another copy each time
        folio.metadata["k0"] = "other"
        folio.metadata["list"].append(3)
        assert folio.metadata["list"] == [1, 2]
        del folio.metadata["gone"]
        lake.folio("f").metadata["elsewhere"] = True  # of the same batch
        folio.metadata["created_at"] = "then"
        folio.metadata.pop("created_at")
        other = lf.open(lake.uri).folio("f")
        with ThreadPoolExecutor(1) as pool:  # a batch is of one thread
            pool.submit(other.metadata.update, {"of another": 5}).result()
        folio.metadata["last"] = None
        seen = dict(folio.metadata)
        assert "then" not in seen.values()
    expected = {"old": 1, "list": [1, 2], "k0": "other", **{f"k{n}": n for n in range(1, 30)}, "elsewhere": True}
    for found in (folio.metadata, lf.open(lake.uri).folio("f").metadata):
        told = {key: value for key, value in found.items() if key not in ("created_at", "updated_at")}
        assert told == {**expected, "of another": 5, "last": None}
    assert seen.keys() - {"of another"} == folio.metadata.keys() - {"of another"}

"""Items are read by address through fsspec, verified; nothing is written by one."""

from __future__ import annotations

import json
import pickle
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lakefolio as lf
from lakefolio.errors import (
    AddressIsFolderError,
    AddressNotFoundError,
    IntegrityError,
    InvalidInputError,
    LakefolioError,
    ReadOnlyError,
)
from lakefolio.interop.addresses import Address
from lakefolio.interop.filesystem import LakeFileSystem
from lakefolio.testing.s3 import S3Server

FRAME = pd.DataFrame({"carrier": ["UA", "AA", "UA"], "delay": [3.5, -1.0, 20.25]})


@pytest.fixture(autouse=True)
def _registered() -> None:
    declared = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]["entry-points"]
    name, target = next(iter(declared["fsspec.specs"].items()))
    fsspec.register_implementation(name, EntryPoint(name, target, "fsspec.specs").load(), clobber=True)


@pytest.fixture
def lake(tmp_path: Path) -> lf.Lake:
    lake = lf.open(tmp_path / "lake")
    folder = tmp_path / "logs"
    (folder / "day").mkdir(parents=True)
    (folder / "day" / "one.txt").write_text("first")
    with lake.batch():
        folio = lake.folio("exp/one")
        folio.add_table("flights", FRAME).add_numpy("weights", np.arange(6.0).reshape(2, 3))
        folio.add_json("config", {"lr": 0.1}).add_artifact("plots/notes", b"hello").add_artifact("logs", folder)
        lake.folio("exp/two").add_table("flights", FRAME[:1])
        lake.folio("plain").add_json("x", 1)
    return lake


def address(lake: lf.Lake, rest: str) -> str:
    return f"lake://{lake.uri.removeprefix('file://')}{rest}"


def test_an_item_reads_as_its_stored_bytes(lake: lf.Lake) -> None:
    fs = fsspec.filesystem("lake")
    table = pq.read_table(pa.BufferReader(fs.cat(address(lake, "!exp/one:flights"))))
    assert table.column("delay").to_pylist() == FRAME["delay"].to_list()
    with fs.open(address(lake, "!exp/one:weights")) as file:
        assert np.load(file).tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert json.loads(fs.cat(address(lake, "!exp/one:config"))) == {"lr": 0.1}
    assert fs.cat(address(lake, "!exp/one:plots/notes")) == b"hello"
    assert fs.cat_file(address(lake, "!exp/one:plots/notes"), 1, -1) == b"ell"
    assert fs.cat(address(lake, "!exp/one:logs/day/one.txt")) == b"first"
    with fsspec.open(address(lake, "!exp/one:plots/notes"), "rt") as text:
        assert text.read() == "hello"


def test_frames_read_by_address(lake: lf.Lake) -> None:
    where = address(lake, "!exp/one:flights")
    pd.testing.assert_frame_equal(pd.read_parquet(where), FRAME)
    assert pd.read_parquet(where, columns=["delay"]).columns.to_list() == ["delay"]
    with fsspec.open(where) as file:
        assert pl.read_parquet(file).height == 3
    assert pq.read_table(where.removeprefix("lake://"), filesystem=fsspec.filesystem("lake")).num_rows == 3


def test_an_address_may_name_a_version_or_a_snapshot(lake: lf.Lake) -> None:
    first = lake.version
    lake.snapshot("paper", folio="exp/one")
    lake.snapshot("all")
    lake.folio("exp/one").add_table("flights", FRAME[:2], overwrite=True).delete("config")
    where = address(lake, "!exp/one:flights")
    assert len(pd.read_parquet(where)) == 2
    for at in (first, f"v{first}", "paper", "all"):
        assert len(pd.read_parquet(f"{where}@{at}")) == 3
        assert len(pd.read_parquet(where, storage_options={"at": at})) == 3
    fs = fsspec.filesystem("lake")
    assert fs.ls(address(lake, "!exp/one:plots@paper"), detail=False) == [
        address(lake, "!exp/one:plots/notes@paper").removeprefix("lake://")
    ]
    assert fs.exists(address(lake, "!exp/one:config@paper"))
    assert not fs.exists(address(lake, "!exp/one:config"))


def names(found: list[str]) -> list[str]:
    return [one.partition("!")[2] for one in found]


def test_listing_and_patterns(lake: lf.Lake) -> None:
    fs = fsspec.filesystem("lake")
    assert names(fs.ls(address(lake, ""), detail=False)) == ["exp", "plain"]
    assert names(fs.ls(address(lake, "!exp"), detail=False)) == ["exp/one", "exp/two"]
    items = ["exp/one:config", "exp/one:flights", "exp/one:logs", "exp/one:plots", "exp/one:weights"]
    assert names(fs.ls(address(lake, "!exp/one"), detail=False)) == items
    assert names(fs.ls(address(lake, "!exp/one:logs"), detail=False)) == ["exp/one:logs/day"]
    assert names(fs.ls(address(lake, "!exp/one:flights"), detail=False)) == ["exp/one:flights"]
    assert names(fs.glob(address(lake, "!exp/*:flights"))) == ["exp/one:flights", "exp/two:flights"]
    assert names(fs.glob(address(lake, "!exp/one:[cw]*"))) == ["exp/one:config", "exp/one:weights"]
    assert names(fs.glob(address(lake, "!exp/one:**/*.txt"))) == ["exp/one:logs/day/one.txt"]
    assert names(fs.glob(address(lake, "!*"))) == ["exp", "plain"]
    assert fs.glob(address(lake, "!none:*")) == []
    with pytest.raises(InvalidInputError):
        fs.glob(address(lake, "!exp/one:**.txt"))
    everything = fs.find(address(lake, ""))
    assert names(everything) == [
        *("exp/one:config", "exp/one:flights", "exp/one:logs/day/one.txt", "exp/one:plots/notes", "exp/one:weights"),
        *("exp/two:flights", "plain:x"),
    ]
    assert all(fs.isfile(one) and fs.size(one) == len(fs.cat_file(one)) for one in everything)
    assert fs.isdir(address(lake, "!exp/one"))
    assert fs.isdir(address(lake, "!exp/one:logs"))


@pytest.mark.parametrize(
    "rest",
    [
        *("", "!exp", "!exp/one", "!exp/one:logs", "!exp/one:flights"),
        *("!@1", "!exp@1", "!exp/one@v/1", "!exp/one:plots@1", "!exp/one:flights@1"),
    ],
)
def test_what_a_walk_names_is_there(lake: lf.Lake, rest: str) -> None:
    fs, where = fsspec.filesystem("lake"), address(lake, rest)
    lake.snapshot("v/1")
    if "@" in rest:
        lake.folio("exp/one").delete("config", warn_dependents=False).delete("plots/notes").delete("flights")
    expected = {name: one["size"] for name, one in fs.find(where, detail=True).items()}
    for topdown in (True, False):
        files = [f"{root}/{name}" for root, _, files in fs.walk(where, topdown=topdown) for name in files]
        assert {(one := fs.info(file))["name"]: one["size"] for file in files} == expected != {}
    assert all(fs.isdir(f"{root}/{name}") for root, dirs, _ in fs.walk(where) for name in dirs)


def test_a_walk_is_pruned_bounded_and_says_what_is_missing(lake: lf.Lake) -> None:
    fs = fsspec.filesystem("lake")
    ((root, dirs, files),) = fs.walk(address(lake, "!exp"), maxdepth=1, detail=True)
    assert (names([root]), list(dirs), files) == (["exp"], ["one", "two"], {})
    seen = []
    for root, dirs, files in fs.walk(address(lake, "")):
        dirs[:] = [one for one in dirs if one != "one"]
        seen += [(*names([root]), dirs, files)]
    assert seen == [
        ("", ["!exp", "!plain"], []),
        ("exp", ["two"], []),
        ("exp/two", [], [":flights"]),
        ("plain", [], [":x"]),
    ]
    errors: list[OSError] = []
    assert [*fs.walk(address(lake, "!none")), *fs.walk(address(lake, "!none"), on_error=errors.append)] == []
    with pytest.raises(AddressNotFoundError):
        next(fs.walk(address(lake, "!none"), on_error="raise"))
    assert isinstance(errors[0], AddressNotFoundError)
    with pytest.raises(InvalidInputError):
        next(fs.walk(address(lake, ""), maxdepth=0))


def test_a_tree_is_copied_out(lake: lf.Lake, tmp_path: Path) -> None:
    fsspec.filesystem("lake").get(address(lake, "!exp/one:logs"), str(tmp_path / "out"), recursive=True)
    assert (tmp_path / "out" / "day" / "one.txt").read_text() == "first"


def test_the_digest_tells_changed_content(lake: lf.Lake) -> None:
    fs, where = fsspec.filesystem("lake"), address(lake, "!plain:x")
    before = fs.info(where)
    assert (before["type"], before["kind"], before["size"]) == ("file", "json", 1)
    lake.folio("plain").add_json("x", 2, overwrite=True)
    assert fs.ukey(where) != before["digest"]
    assert fs.modified(where) == lake.item("plain:x").committed_at


@pytest.mark.parametrize(
    "rest",
    ["!exp/one:fligths", "!exp/one:logs/day/two.txt", "!exp/one:logs/../x", "!nothing", "!a:b"]
    + [f"!exp/one:logs/{name}" for name in ("\0", "z" * 300, "\ud800")],
)
def test_what_is_not_there_is_a_missing_file(lake: lf.Lake, rest: str) -> None:
    fs = fsspec.filesystem("lake")
    assert not fs.exists(address(lake, rest))
    for action in (fs.info, fs.ls, fs.cat_file, fs.open):
        with pytest.raises(AddressNotFoundError) as caught:
            action(address(lake, rest))
        assert isinstance(caught.value, FileNotFoundError)
    if rest == "!exp/one:fligths":
        assert caught.value.hint.startswith("did you mean 'flights'")


def test_an_address_without_the_mark_is_told_where_it_stands(lake: lf.Lake) -> None:
    with pytest.raises(lf.errors.LakeNotFoundError) as caught:
        fsspec.open(address(lake, "/exp/one:flights")).open()
    assert caught.value.hint == "lake://LAKE!FOLIO:ITEM: a ! ends the lake"


def test_a_folder_that_is_opened_is_a_directory_as_to_python(lake: lf.Lake) -> None:
    for rest in ("!exp/one:logs", "!exp/one", "!exp", ""):
        with (
            pytest.raises(AddressIsFolderError, match="is a folder, not a file") as caught,
            fsspec.open(address(lake, rest)),
        ):
            pass
        assert isinstance(caught.value, IsADirectoryError)


def test_nothing_is_written(lake: lf.Lake, tmp_path: Path) -> None:
    fs, where, before = fsspec.filesystem("lake"), address(lake, "!exp/one:new"), lake.version
    (tmp_path / "file").write_text("x")
    actions = [
        lambda: FRAME.to_parquet(where),
        lambda: fs.open(where, "wb"),
        lambda: fs.pipe(where, b"x"),
        lambda: fs.put_file(str(tmp_path / "file"), where),
        lambda: fs.rm(address(lake, "!exp/one"), recursive=True),
        lambda: fs.mv(address(lake, "!exp/one:config"), where),
        lambda: fs.cp_file(address(lake, "!exp/one:config"), where),
        lambda: fs.mkdir(where),
        lambda: fs.makedirs(where),
        lambda: fs.touch(where),
    ]
    for action in actions:
        with pytest.raises(ReadOnlyError):
            action()
    assert lake.version == before


def test_damaged_bytes_are_not_read(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    lake.folio("f").add_artifact("blob", b"x" * 100_000)
    (blob,) = [one for one in (tmp_path / "lake").rglob("*") if one.is_file() and one.stat().st_size == 100_000]
    blob.chmod(0o644)
    blob.write_bytes(b"y" * 100_000)
    with pytest.raises(IntegrityError):
        fsspec.filesystem("lake").cat(address(lake, "!f:blob"))


def test_a_read_in_a_run_is_its_input(lake: lf.Lake) -> None:
    with lake.run("train") as run:
        pd.read_parquet(address(lake, "!exp/one:flights"))
    assert [one.ref for one in lake.get_run(run.run_id).inputs] == [lake.item("exp/one:flights").ref]


def test_options_reach_the_store(s3_server: S3Server) -> None:
    uri = s3_server.uri("lakes/fsspec")
    lf.open(uri, storage_options=s3_server.storage_options).folio("f").add_table("t", FRAME)
    found = pd.read_parquet(f"lake://{uri}!f:t", storage_options=dict(s3_server.storage_options))
    pd.testing.assert_frame_equal(found, FRAME)
    fs = fsspec.filesystem("lake", **s3_server.storage_options)
    assert names(fs.glob(f"lake://{uri}!f:*")) == ["f:t"]
    assert fs.unstrip_protocol(f"{uri}!f:t") == fs.unstrip_protocol(f"lake://{uri}!f:t") == f"lake://{uri}!f:t"
    again = pickle.loads(pickle.dumps(fs))
    assert isinstance(again, LakeFileSystem)
    assert again.exists(f"lake://{uri}!f:t")


def test_names_in_a_bucket_keep_their_scheme() -> None:
    """Hugging Face datasets put the scheme before a name that has no ``://``, and ask S3 for one that has it."""
    assert LakeFileSystem._strip_protocol("lake://s3://bucket/x!f:t") == "lake://s3://bucket/x!f:t"
    assert LakeFileSystem._strip_protocol("lake:///data/x!f:t") == "/data/x!f:t"


def test_a_first_slash_that_a_tool_lost_is_found_again(lake: lf.Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Hugging Face datasets do when they stream."""
    fs = fsspec.filesystem("lake", skip_instance_cache=True)
    lost = address(lake, "!plain:x").replace("lake:///", "lake://")
    assert fs.cat(lost) == b"1"
    monkeypatch.chdir("/")
    assert fs.exists(lost)


def test_an_address_that_names_two_lakes_is_refused(
    lake: lf.Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = address(lake, "!plain:x").replace("lake:///", "lake://")
    monkeypatch.chdir(tmp_path)
    lf.open(lost.removeprefix("lake://").partition("!")[0]).folio("plain").add("x", 2)
    with pytest.raises(InvalidInputError, match="may be the lake"):
        fsspec.filesystem("lake", skip_instance_cache=True).cat(lost)


@pytest.mark.parametrize(
    ("text", "lake", "folio", "path", "at"),
    [
        ("lake:///data/lake!a/b:c/d@paper-v1", "/data/lake", "a/b", "c/d", "paper-v1"),
        ("lake://s3://bucket/prefix!f:x", "s3://bucket/prefix", "f", "x", None),
        ("lake://s3://bucket/prefix/", "s3://bucket/prefix", "", "", None),
        ("/data/lake!f", "/data/lake", "f", "", None),
        ("lake:///data!f:wow!@17", "/data", "f", "wow!", "17"),
    ],
)
def test_addresses(text: str, lake: str, folio: str, path: str, at: str | None) -> None:
    parsed = Address.parse(text)
    assert parsed == Address(lake, folio, path, at)
    assert Address.parse(str(parsed)) == parsed


def test_a_version_of_an_item_is_read_by_its_label(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "a.txt").write_text("old")
    folio = lake.folio("f").add("x", {"v": 1}, version="1.0.0").add("tree", folder, version="1.0.0")
    (folder / "a.txt").write_text("new")
    folio.add("x", {"v": 2}, bump="minor", overwrite=True).alias("x", "golden", "1.0.0")
    folio.add("tree", folder, bump="minor", overwrite=True)
    system = fsspec.filesystem("lake")
    for at, value in {"1.0.0": 1, "^1": 2, "golden": 1, "latest": 2}.items():
        assert json.loads(system.cat(f"lake://{tmp_path}/lake!f:x@{at}")) == {"v": value}, at
    assert system.cat(f"lake://{tmp_path}/lake!f:tree/a.txt@1.0.0") == b"old"
    with pytest.raises(lf.NotFoundError):
        system.cat(f"lake://{tmp_path}/lake!f:x@3.0.0")


@pytest.mark.parametrize("at", ["99", "no label", "9" * 30, "2020-01-01"])
def test_a_version_that_is_not_there_is_a_missing_file(lake: lf.Lake, at: str) -> None:
    fs, where = fsspec.filesystem("lake"), address(lake, f"!exp/one:flights@{at}")
    for action in (fs.info, fs.ls, fs.cat_file, fs.open):
        with pytest.raises(FileNotFoundError) as caught:
            action(where)
        assert isinstance(caught.value, AddressNotFoundError)
        assert caught.value.kind in ("version-not-found", "snapshot-not-found")
    assert not fs.exists(where)
    assert not fs.isdir(where)
    assert fs.glob(where) == fs.find(where) == []


def test_a_label_is_matched_where_there_is_no_pattern(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    lake.folio("exp").add_table("flights", FRAME)
    fs, where = fsspec.filesystem("lake"), address(lake, "!exp:flights@latest")
    assert fs.glob(where) == [where.removeprefix("lake://")]
    assert list(fs.glob(where, detail=True)) == fs.glob(where)
    assert fs.glob(address(lake, "!exp:flight")) == []


@pytest.mark.parametrize("wrong", [None, 5, [], 1.5])
def test_what_is_no_address_is_a_wrong_type(lake: lf.Lake, wrong: object) -> None:
    fs = fsspec.filesystem("lake")
    for action in (fs.info, fs.ls, fs.cat_file, fs.glob, fs.created, fs.ukey):
        with pytest.raises(TypeError, match=r"expected str, bytes or os\.PathLike"):
            action(wrong)


def test_a_path_is_an_address(lake: lf.Lake) -> None:
    where = Path(lake.uri.removeprefix("file://") + "!plain:x")
    assert fsspec.filesystem("lake").cat_file(where) == fsspec.filesystem("lake").cat_file(str(where)) == b"1"


def test_odd_reads_are_refused_as_of_any_file(lake: lf.Lake) -> None:
    fs, notes = fsspec.filesystem("lake"), address(lake, "!exp/one:plots/notes")
    for mode in ("w", "wb", "a", "ab", "xb", "r+b"):
        with pytest.raises(ReadOnlyError):
            fs.open(notes, mode)
    with fs.open(notes) as file:
        assert file.seek(100) == 100
        assert file.read() == b""
        for offset, whence in ((-1, 0), (0, 9)):
            with pytest.raises((ValueError, OSError)):  # as those of a local file
                file.seek(offset, whence)
    found = fs.cat_ranges([notes] * 4, [None, -2, 3, 0], [None, None, 1, 10**12])
    assert found == [b"hello", b"lo", b"", b"hello"]
    missing = fs.cat_ranges([address(lake, "!no:x"), notes], 0, 2)
    assert isinstance(missing[0], FileNotFoundError)
    assert missing[1] == b"he"


ODD_RESTS = ["", "!", "!/:/", "!:", "!exp/one:", "!exp/one:[", "!exp/one:**/x**", "!exp/one:logs/../../x", "!a:b:c@d@e"]
ODD_RESTS += ["!exp/one:logs/\0", "!exp/one:\ud800", "!" + "x" * 5_000, "!exp/one@-1", "/no!exp/one:x", "!\x1b[31m:x"]


@pytest.mark.parametrize("rest", [*ODD_RESTS, None], ids=ascii)
def test_odd_addresses_are_found_or_refused(lake: lf.Lake, rest: str | None) -> None:
    """Nothing but errors of the library leaves the filesystem, and those for what is missing are FileNotFoundErrors."""
    fs = fsspec.filesystem("lake")
    where = "lake://s3://" if rest is None else address(lake, rest)
    actions = [fs.info, fs.ls, fs.isdir, fs.find, fs.glob, fs.du, fs.cat_file, fs.open, fs.head, fs.created, fs.ukey]
    for action in actions:
        try:
            action(where)
        except LakefolioError as exc:
            assert isinstance(exc, FileNotFoundError | InvalidInputError), action
            assert "\n" not in str(exc)
    assert fs.exists(where) in (True, False)

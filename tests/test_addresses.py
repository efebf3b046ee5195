"""Addresses that look like something else, and places that are no place for a lake: refused, with what to write."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from bad_input_support import refused
from click.testing import CliRunner

import lakefolio as lf
from lakefolio.cli import cli
from lakefolio.errors import InvalidInputError, LakefolioError, PlaceTakenError, UnsupportedTypeError

MISSPELT: dict[str, tuple[Any, str]] = {
    "a Path of a URI": (Path("s3://bucket/x"), "s3://bucket/x"),
    "one slash": ("s3:/bucket/x", "s3://bucket/x"),
    "no slash": ("s3:bucket", "s3://bucket"),
    "three slashes": ("s3:///bucket/x", "s3://bucket/x"),
    "a scheme alone": ("S3://", "s3://bucket/prefix"),
    "a scheme and a colon": ("s3:", "s3://bucket/prefix"),
    "gs with one slash": ("gs:/bucket/x", "gs://bucket/x"),
    "azure with one slash": (Path("az://box/x"), "az://box/x"),
    "abfss with one slash": ("abfss:/box@account.dfs.core.windows.net/x", "abfss://box@account"),
    "capitals with one slash": ("S3:/bucket/x", "s3://bucket/x"),
    "s3a with one slash": ("s3a:/bucket/x", "s3a://bucket/x"),
    "memory with one slash": ("memory:/x", "memory://x"),
    "http": ("http://127.0.0.1:9000/bucket/x", "aws_endpoint_url"),
    "https": ("https://bucket.s3.amazonaws.com/x", "s3://bucket/prefix"),
    "http with one slash": ("http:/host/x", "s3://bucket/prefix"),
    "no colon": ("s3//bucket/x", "s3://bucket/x"),
    "no colon, three slashes": ("GS///bucket/x", "gs://bucket/x"),
    "a file URI with two slashes": ("file://data/lake", "file:///"),
}


@pytest.mark.parametrize("case", MISSPELT)
def test_a_misspelt_address_is_no_folder(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    address, right = MISSPELT[case]
    doors = (
        lambda: lf.open(address),
        lambda: lf.open(address, create=False),
        lambda: lf.Folio(address, "f"),
        lambda: lf.Folio(f"{address}/f" if isinstance(address, str) else address / "f"),
    )
    for door in doors:
        with pytest.raises(LakefolioError) as caught:
            door()
        assert isinstance(caught.value, InvalidInputError), caught.value
    error = refused(InvalidInputError, "bad-uri", doors[0])
    assert right in error.hint, error
    result = CliRunner().invoke(cli, ["--lake", str(address), "ls"])
    assert result.exit_code == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("address", ["s3:/bucket/x", "s3:bucket/x", "gs:bucket", "s3a:/bucket/x", "memory:/x"])
def test_a_misspelt_address_in_a_file_is_no_folder_either(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lakefolio.toml").write_text(f'lake = "{address}"\n')
    for door in (lf.open, lambda: lf.Folio("f")):
        with pytest.raises(InvalidInputError, match="slash after") as caught:
            door()
        assert "://" in caught.value.hint
    assert [one.name for one in tmp_path.iterdir()] == ["lakefolio.toml"]


def test_a_blank_address_is_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for address in (" ", "\t ", Path(" ")):
        refused(InvalidInputError, "bad-uri", lambda address=address: lf.open(address))
    assert list(tmp_path.iterdir()) == []


def test_addresses_that_are_right_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for address in ("lake", Path("lake"), str(tmp_path / "a:b"), "./s3:x/lake", f"file://{tmp_path}/u", "memory://m/x"):
        lf.open(address).folio("f").add_json("x", 1, overwrite=True)
    assert (tmp_path / "s3:x" / "lake").is_dir()


def test_a_reference_with_one_slash(tmp_path: Path) -> None:
    folio = lf.open(str(tmp_path / "lake")).folio("f")
    refused(InvalidInputError, "bad-uri", lambda: folio.add_reference("r", "s3:/bucket/x.csv"), "s3:/bucket")
    refused(InvalidInputError, "bad-uri", lambda: folio.add_reference("r", Path("https://host/x.csv")), "https:/host")


def test_a_lake_is_opened_not_made() -> None:
    for wrong in ("./lake", Path("lake"), None, 3):
        with pytest.raises(TypeError, match=r"lakefolio\.open"):
            lf.Lake(wrong)


def test_a_home_is_no_lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home" / "ada"
    home.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)
    for place in (str(home), "~", ".", str(home.parent), "~/", home):
        error = refused(PlaceTakenError, "place-taken", lambda place=place: lf.open(place))
        assert "lake" in error.hint
        assert list(home.iterdir()) == []
    lf.open("~/lake")
    assert (home / "lake" / "lakefolio.json").is_file()


def test_the_root_is_no_lake() -> None:
    before = set(os.listdir("/"))
    for place in ("/", "//", "file:///", Path("/"), "/home", "/root", "/tmp/.."):
        refused(PlaceTakenError, "place-taken", lambda place=place: lf.open(place))
    assert set(os.listdir("/")) == before


def test_a_folder_with_other_things_is_no_lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "train.py").write_text("")
    monkeypatch.chdir(tmp_path / "project")
    for place in (tmp_path / "project", ".", f"file://{tmp_path}/project"):
        error = refused(PlaceTakenError, "place-taken", lambda place=place: lf.open(place), "project", "train.py")
        assert "project/lake" in error.hint
    result = CliRunner().invoke(cli, ["init", "."])
    assert result.exit_code == 4
    assert "project/lake" in result.stderr
    assert os.listdir(".") == ["train.py"]
    assert lf.open().uri.endswith("project/lake")  # the default lies beside them


def test_an_empty_folder_and_one_that_was_begun_are_fine(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "volume" / "lost+found").mkdir(parents=True)
    (tmp_path / "begun" / "tables").mkdir(parents=True)
    (tmp_path / "configured").mkdir()
    (tmp_path / "configured" / "lakefolio.toml").write_text("fsync = true\n")
    for name in ("empty", "volume", "begun", "configured", "new/deep"):
        lf.open(tmp_path / name).folio("f").add_json("x", 1)
        assert lf.open(tmp_path / name).get("f:x") == 1


def test_a_lake_among_other_things_is_still_opened(tmp_path: Path) -> None:
    lf.open(tmp_path / "lake").folio("f").add_json("x", 1)
    (tmp_path / "lake" / "notes.txt").write_text("mine")
    assert lf.open(tmp_path / "lake").get("f:x") == 1


def test_an_address_that_is_no_text_makes_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for wrong in (5, b"lake", ["lake"], True, {"a": 1}, 1.5, ("s3", "b")):
        with pytest.raises(UnsupportedTypeError, match=r"lakefolio\.open\("):
            lf.open(wrong)
    assert list(tmp_path.iterdir()) == []


NOT_REPLACED = ["$HOME/lake", "${DATA}/lake", "data/$RUN", "%TEMP%/lake", "~nobody-here/lake", "C:\\lake"]


@pytest.mark.parametrize("name", NOT_REPLACED)
def test_a_variable_that_nothing_replaced_is_no_new_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(InvalidInputError, "bad-uri", lambda: lf.open(name), "is no name that one means")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / name).mkdir(parents=True)  # who made it means it
    assert lf.open(tmp_path / name).version == 0


def test_folders_with_such_characters_elsewhere_are_folders(tmp_path: Path) -> None:
    for name in ("cash$", "50%", "a~b", "~", "x:y", "run-$"):
        assert lf.open(tmp_path / "made" / name).version == 0

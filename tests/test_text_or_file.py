"""A text that names a file is stored as the text that it is, with a warning that says how to store the file."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from click.testing import CliRunner

import lakefolio as lf
from lakefolio.cli import cli
from lakefolio.process.notice import LakefolioWarning


@pytest.fixture
def folio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> lf.Folio:
    monkeypatch.chdir(tmp_path)
    Path("fig1.png").write_bytes(b"png")
    Path("Makefile").write_text("all:")
    Path("sub").mkdir()
    return lf.open("lake").folio("f")


@pytest.mark.parametrize(
    "text",
    ["fig1.png", "Makefile", "./sub", "sub/", "missing.parquet", "results/model.pkl", "/abs/x.csv", "My File.TXT"],
)
def test_a_text_like_a_file_is_stored_with_a_warning(folio: lf.Folio, text: str) -> None:
    for add in (folio.add, folio.add_data):
        with pytest.warns(LakefolioWarning) as caught:
            add("it", text, overwrite=True)
        (warning,) = [one.message for one in caught if one.message.kind == "text-like-path"]
        assert f"Path({text!r})" in str(warning)
        assert "add_file" in str(warning)
        assert {one.filename for one in caught} == {__file__}
    assert folio.get("it") == text


@pytest.mark.parametrize(
    "text",
    [
        "a text",
        "sub",
        "",
        "3.14",
        "v1.2.3",
        "Mr. Smith went to town.",
        "see fig1.png and\nfig2.png",
        "https://example.com/a.png",
        "s3://bucket/a.parquet",
        "x" * 10_000,
        "e.g.",
        "nul\0byte.png",
    ],
)
def test_other_texts_are_texts(folio: lf.Folio, text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        folio.add("it", text)
    assert folio.get("it") == text


def test_an_output_of_a_run_is_warned_of_too(folio: lf.Folio) -> None:
    with lf.open("lake").run("train", folio="f") as run:
        with pytest.warns(LakefolioWarning, match="item 'fig' is the text 'fig1.png', not the file of that name"):
            run.add_output("fig", "fig1.png")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            run.add_output("path", Path("fig1.png"))
            run.add_output("word", "a text")
    assert folio.get("fig") == "fig1.png"
    assert Path(folio.get("path")).read_bytes() == b"png"


def test_files_and_paths_are_files(folio: lf.Folio) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        folio.add("path", Path("fig1.png")).add_file("fig1.png").add_json("text", "fig1.png")
    assert Path(folio.get("path")).read_bytes() == b"png"
    assert Path(folio.get("fig1")).read_bytes() == b"png"


def test_the_command_line_says_it_too(folio: lf.Folio) -> None:
    Path("text.json").write_text('"fig1.png"')
    Path("plain.json").write_text('"a text"')
    for name, arguments, given in (
        ("file", ["text.json"], None),
        ("stdin", ["-", "--as", "json"], '"fig1.png"'),
        ("piped", ["-"], "fig1.png\n"),
    ):
        found = CliRunner().invoke(cli, ["--lake", "lake", "add", f"f:{name}", *arguments], input=given)
        assert found.exit_code == 0
        assert f"item '{name}' is the text 'fig1.png', not the file of that name" in found.stderr
        assert f"lakefolio add FOLIO:{name} fig1.png --overwrite" in found.stderr
    assert folio.get("file") == folio.get("stdin") == "fig1.png"
    for arguments, given in ((["plain.json"], None), (["fig1.png"], None), (["-"], "no file\n")):
        found = CliRunner().invoke(cli, ["--lake", "lake", "add", "f:other", *arguments, "--overwrite"], input=given)
        assert (found.exit_code, found.stderr) == (0, "")

"""``lakefolio diff``: what people see on a terminal, how much changed, and what a script learns from its exit code."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

import lakefolio as lf
from lakefolio.cli import cli, output
from lakefolio.compare.counts import counts_of
from lakefolio.compare.shown import shown_lines, stat_lines


@pytest.fixture
def lake(tmp_path: Path):
    lake = lf.open(tmp_path / "lake")
    folio = lake.folio("a")
    with lake.batch():
        folio.add("table", pl.DataFrame({"id": [1, 2], "v": [1.0, 2.0]}))
        folio.add("grid", np.zeros((40, 40)))
        folio.add("notes", b"one\ntwo\n")
        folio.add("gone", 1)
        folio.add("told", 1)
    with lake.batch():
        folio.add("table", pl.DataFrame({"id": [1, 2, 3], "v": [1.0, 2.5, 3.0]}), overwrite=True)
        folio.add("grid", np.eye(40), overwrite=True)
        folio.add("notes", b"one\n2\n\x1b[31m\n", overwrite=True)
        folio.delete("gone")
        folio.add("new", 2)
        folio.add("told", 1, description="only told", overwrite=True)
    return lake


@pytest.fixture
def run(lake):
    def call(*arguments):
        return CliRunner().invoke(cli, ["--lake", str(lake.uri), "diff", *arguments])

    return call


def test_how_much_changed_inside_each_item(run):
    assert [line.split() for line in run("1", "--stat").output.splitlines()] == [
        ["a:new", "|", "json", "|", "new"],
        ["a:gone", "|", "json", "|", "gone"],
        ["a:grid", "|", "array", "|", "~40", "~" * 24],
        "a:notes | artifact | +2 -1 + -".replace("+ -", "+-").split(),
        ["a:table", "|", "table", "|", "+1", "~1", "+~"],
        ["a:told", "|", "json", "|", "only", "description"],
    ]
    found = {one["ref"]: one for one in json.loads(run("1", "--stat", "--json").output)}
    assert found["a:table"]["counts"] == {"added": 1, "removed": 0, "changed": 1}
    assert run("1", "--item", "a:table", "--stat").output.split() == ["a:table", "|", "table", "|", "+1", "~1", "+~"]
    assert run("2", "--item", "a:table", "--stat").output.split() == ["a:table", "|", "table", "|", "the", "same"]
    assert run("2", "--stat").output == "nothing differs\n"


def test_content_that_is_gone_stops_no_other_item(lake):
    def look(ref):
        if ref == "a:grid":
            raise lf.IntegrityError("its content is gone", kind="missing-content")
        return lake.diff(1, item=ref)

    told = {one.ref: one.note for one in counts_of(lake.diff(1).changed, look)}
    assert told == {
        "a:grid": "not read: missing-content", "a:notes": "", "a:table": "", "a:told": "only description"
    }  # fmt: skip


def test_the_exit_code_says_whether_anything_differs(run):
    assert run("1", "--exit-code").exit_code == 1
    assert run("2", "--exit-code").exit_code == 0
    assert run("1", "--item", "a:table", "--exit-code").exit_code == 1
    assert run("2", "--item", "a:table", "--exit-code", "--json").exit_code == 0
    assert run("1", "--exit-code", "--stat").exit_code == 1
    assert run("1").exit_code == run("1", "--item", "a:table").exit_code == 0


def test_a_page_of_the_differences(run, tmp_path):
    target = tmp_path / "page.html"
    assert run("1", "--item", "a:notes", "--html", str(target)).exit_code == 0
    page = target.read_text()
    assert "\\x1b[31m" in page
    assert "<script" not in page
    assert run("1", "--item", "a:notes", "--html", str(target)).exit_code == 4
    assert run("1", "--item", "a:notes", "--html", str(target), "--force").exit_code == 0
    assert run("1", "--html", str(target)).exit_code == 2
    assert run("1", "--item", "a:notes", "--html", str(target), "--stat").exit_code == 2


def test_a_terminal_shows_colours_and_no_control_characters(lake, monkeypatch):
    monkeypatch.setattr(output, "_fancy", lambda stream: True)
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((80, 24)))

    def told(*arguments):
        return CliRunner().invoke(cli, ["--lake", str(lake.uri), "diff", *arguments], color=True).output

    shown = told("1", "--item", "a:notes")
    assert "\x1b[31m-two\x1b[0m" in shown
    assert "\x1b[32m+\\x1b[31m\x1b[0m" in shown
    assert "\x1b[36m@@ -1,2 +1,3 @@\x1b[0m" in shown
    assert "\x1b[32m  +  a:new" in told("1")


@pytest.mark.parametrize("width", [80, 130, 200])
def test_lines_fit_the_terminal(lake, width):
    folio = lake.folio("a")
    long = "x" * 500
    old = pl.DataFrame({"id": [1, 2]} | {f"column {place}": [long, "日本" * 50] for place in range(12)})
    folio.add("wide", old)
    folio.add("wide", old.with_columns(pl.lit("y" * 300).alias("column 3")).head(1), overwrite=True)
    folio.add("json", {"a" * 300: long})
    folio.add("json", {"a" * 300: long + "y"}, overwrite=True)
    for item in ("wide", "json", "grid"):
        for line in shown_lines(folio.diff(-1, item=item), width):
            text = "".join(piece for piece, _ in line).rstrip()
            assert sum(2 if one in "日本" else 1 for one in text) <= width, text
    counts = [("a:" + "n" * 300, "table", {"added": 10_000, "removed": 0, "changed": 3}, "")]
    assert all(len("".join(text for text, _ in line)) <= width for line in stat_lines(counts, width))

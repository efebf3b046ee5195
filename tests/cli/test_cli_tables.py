"""Tables on a terminal: what has no room is left out, and that is said; nothing is lost without a word."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

import lakefolio as lf
from lakefolio.cli import cli
from lakefolio.cli.table_width import ELLIPSIS, fitted, folded

Run = Callable[..., Result]


@pytest.fixture
def place(tmp_path: Path) -> str:
    lake = lf.open(tmp_path / "lake")
    lake.folio("experiments/a").add("raw", [1, 2, 3], description="a sentence of some length " * 4, tags=["one", "two"])
    lake.folio("experiments/a").add("clean", {"n": 1})
    return str(tmp_path / "lake")


def on_terminal(width: int, *given: str) -> tuple[str, str]:
    """Return what a command prints on a terminal so many columns wide, without colours, and what it notes."""
    ours, theirs = pty.openpty()
    shown = b""

    def read() -> None:
        nonlocal shown
        while True:
            try:
                shown += os.read(ours, 65_536)
            except OSError:  # the command's end is closed
                return

    reader = threading.Thread(target=read)
    reader.start()
    noted = io.StringIO()
    with open(theirs, "w") as stdout, pytest.MonkeyPatch.context() as patched:
        patched.setenv("COLUMNS", str(width))
        patched.setenv("TERM", "xterm")
        patched.delenv("NO_COLOR", raising=False)
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(noted):
            code = cli(given, standalone_mode=False)
    reader.join()
    os.close(ours)
    assert code in (None, 0)
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode()), noted.getvalue()


@pytest.mark.parametrize("width", [40, 80, 130, 200])
def test_what_has_no_room_is_counted(place: str, width: int) -> None:
    shown, noted = on_terminal(width, "--lake", place, "sql", "select * from items")
    lines = shown.splitlines()
    assert all(cell_len(line) <= width for line in lines)
    heading = lines[0].split()
    assert heading[0] == "folio"
    assert ELLIPSIS in heading
    assert all(cell_len(line) <= width for line in noted.splitlines())
    match = re.search(r"(\d+) of (\d+) columns shown; --vertical shows all", " ".join(noted.split()))
    assert match
    assert int(match[1]) == len([one for one in heading if one != ELLIPSIS])
    assert int(match[2]) == len(lf.open(place).sql("select * from items").columns)
    assert len(lines) == 3


@pytest.mark.parametrize(("width", "left_out"), [(80, "when"), (130, "")])
def test_a_long_name_leaves_room_for_other_columns(tmp_path: Path, width: int, left_out: str) -> None:
    place = str(tmp_path / "long")
    lf.open(place).folio("f").add("n" * 75, 1, description="d" * 60)
    shown, noted = on_terminal(width, "--lake", place, "ls", "f")
    assert f"(not {left_out})" in noted if left_out else noted == ""
    assert all(cell_len(line) <= width for line in shown.splitlines())


def test_columns_are_cut_where_that_leaves_more_of_them(tmp_path: Path) -> None:
    place = str(tmp_path / "runs")
    for name in ("train-" + "a" * 40 + "-one", "train-" + "a" * 40 + "-two"):
        with lf.open(place).run(name) as run:
            run.log({"validation/accuracy_at_top_5": 0.5})
    shown, noted = on_terminal(80, "--lake", place, "runs")
    assert re.findall(r"train-a+…a+-(one|two) ", shown) == ["two", "one"]  # the end tells names apart
    assert "validation/accuracy_at_top_5" in shown  # and no word is broken
    assert all(cell_len(line) <= 80 for line in (shown + noted).splitlines())
    shown, _ = on_terminal(130, "--lake", place, "runs")
    assert shown.splitlines()[0].split()[-1] == "validation/accuracy_at_top_5"


def test_runs_stand_side_by_side_and_each_has_its_room(tmp_path: Path) -> None:
    place = str(tmp_path / "runs")
    for name in ("one", "two"):
        with lf.open(place).run(name, project="a project with a name of some length, " * 2):
            pass
    shown, _ = on_terminal(80, "--lake", place, "compare", "one", "two")
    (line,) = (line for line in shown.splitlines() if "project" in line)
    assert line.count("a project with") == 2
    assert line.count(ELLIPSIS) == 2
    assert all(cell_len(line) <= 80 for line in shown.splitlines())


def test_what_has_room_is_whole(place: str) -> None:
    shown, noted = on_terminal(80, "--lake", place, "sql", "select folio, item, kind from items order by 2")
    assert shown.split() == ["folio", "item", "kind", "experiments/a", "clean", "json", "experiments/a", "raw", "json"]
    assert noted == ""


def test_rows_can_be_printed_one_below_the_other(place: str) -> None:
    for width in (40, 80):
        shown, _ = on_terminal(width, "--lake", place, "sql", "--vertical", "select * from items order by item")
        for name in lf.open(place).sql("select * from items").columns:
            assert len(re.findall(rf"^{name}\b", shown, re.MULTILINE)) == 2
        assert "-- row 1" in shown
        assert "a sentence of some length" in " ".join(shown.split())


def test_a_pipe_gets_every_column(place: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lakefolio", "--lake", place, "sql", "select * from items"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[0].split() == lf.open(place).sql("select * from items").columns
    assert done.stderr == ""


def test_a_value_that_can_not_be_computed_is_one_error(place: str, run: Run) -> None:
    done = run("--lake", place, "sql", "select item::int from items", code=2)
    assert "Could not convert" in done.stderr
    assert done.stdout == ""


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("C",)), max_size=50)


@given(st.integers(1, 12).flatmap(lambda n: st.lists(st.lists(TEXTS, min_size=n, max_size=n), min_size=1, max_size=3)))
def test_a_table_that_was_cut_fits_or_is_one_column(rows: list[list[str]]) -> None:
    width = 60
    headings, *cells = rows
    cut = fitted(headings, cells, width)
    if cut is None:
        return
    sizes = [max(map(cell_len, column)) for column in zip(cut.headings, *cut.cells, strict=True)]
    assert sum(sizes) + 2 * (len(sizes) - 1) <= width
    kept = [number for number in cut.numbers if number is not None]
    assert kept == sorted(kept)
    assert len(cut.left_out) == len(headings) - len(kept)
    assert (None in cut.numbers) == bool(cut.left_out)
    assert kept[0] == 0


@pytest.mark.parametrize("width", [80, 130, 200])
def test_long_lines_of_reports_are_folded_between_words(width: int) -> None:
    long, wide = "n" * 50, "長い名前" * 6
    line = f"@22  2026-11-26  ada@{long}  dataset {long}  + datasets/{wide}:plain, ~ {'x' * 250}  end"
    text = folded(f"short\n  {line}\n", width)
    first, *rest, last = text.split("\n")
    assert (first, last) == ("short", "")
    assert " ".join(rest).split() == line.split()  # nothing is left out, no word is broken
    assert all(one.startswith("      ") for one in rest[1:])
    assert [one for one in rest if cell_len(one) > width] == [one for one in rest if "x" * 250 in one]
    assert not any(one.endswith((" +", " ~")) for one in rest)
    assert folded("a  b\n\n c", width) == "a  b\n\n c"


def test_reports_fit_a_terminal(place: str) -> None:
    lake = lf.open(place)
    before = lake.version
    lake.folio("experiments/a").add(
        ("a name of some words " * 5).strip(), {"n": 2}, inputs=["raw"], description="words " * 30
    )
    lake.folio("experiments/a").add("raw", [1], overwrite=True, description="other words " * 20)
    for command in (["log"], ["diff", str(before)], ["status"], ["stats"], ["show", "experiments/a"]):
        shown, _ = on_terminal(60, "--lake", place, *command)
        assert "raw" in shown or command == ["stats"]
        long = [line for line in shown.splitlines() if cell_len(line) > 60]
        assert not [line for line in long if len(line.split()) > 1]


def test_columns_of_wide_letters_are_as_wide_as_they_look(tmp_path: Path, run: Run) -> None:
    lake = lf.open(tmp_path / "wide")
    folio = lake.folio("観測").add("表", [1]).add("made", [2], inputs=["表"])
    folio.add("表", [2], overwrite=True)
    lines = str(lake.status()).splitlines()[1:3]
    assert cell_len(lines[0].partition("because")[0]) == cell_len(lines[1].partition("表@1")[0])


def test_rows_of_a_record_table_align_numbers_to_the_right(tmp_path: Path, run: Run) -> None:
    lake = lf.open(tmp_path / "records")
    scores = lake.folio("lab").create_table("scores", {"id": "int64", "name": "string"}, key="id")
    scores.append([{"id": 7, "name": "ada"}, {"id": 1234, "name": "bob"}])
    shown = run("--lake", str(tmp_path / "records"), "records", "query", "lab:scores", "--order", "id").stdout
    assert shown.splitlines() == ["  id  name", "   7  ada", "1234  bob"]


def test_sizes_have_units_and_a_state_is_named_as_it_was_asked_for(tmp_path: Path, run: Run) -> None:
    place = str(tmp_path / "units")
    folio = lf.open(place).folio("a").add("ones", np.ones(128))
    assert re.search(r"^  in memory +1\.0 KiB$", run("--lake", place, "show", "a:ones").stdout, re.MULTILINE)
    folio.delete("ones")
    assert run("--lake", place, "restore", "-1", "--yes").stdout.startswith("restored to version 1 (-1): ")

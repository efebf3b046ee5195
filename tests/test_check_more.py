"""What check says of names, batches and pending commits, and what doctor leaves behind."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from bad_input_support import append_row

import lakefolio as lf


@pytest.fixture
def lake(tmp_path: Path) -> lf.Lake:
    lake = lf.open(str(tmp_path / "lake"), author="ada")
    lake.folio("f").add_json("x", 1)
    return lake


def test_a_name_that_can_not_be_is_a_problem(lake: lf.Lake) -> None:
    names = ("../../x", "/etc/passwd", "a:b", "x\x1b[31m", "nul\x00", " x", "a//b", "i" * 300)
    for name in names:
        append_row(lake, item=name)
    report = lf.open(lake.uri, read_only=True).check()
    problems = [one for one in report.problems if one.kind == "bad-name"]
    assert len(problems) == len({one.object for one in problems}) == len(names)
    assert str(report).isprintable() or "\n" in str(report)
    assert not [one for one in problems if "\x1b" in one.object + one.message]


@pytest.mark.parametrize("values", [{"inputs": [None]}, {"facts": [None]}])
def test_a_row_with_nothing_among_its_inputs_or_facts_is_a_problem(lake: lf.Lake, values: dict[str, object]) -> None:
    append_row(lake, **values)
    report = lf.open(lake.uri, read_only=True).check()
    assert {"row-shape", "bad-row"} <= {one.kind for one in report.problems}


def test_a_batch_that_is_named_twice_is_a_problem(lake: lf.Lake) -> None:
    with lake.run("r") as run:
        run.log(a=1.0)
    assert lake.check().ok
    (batch,) = lake.sql("select entry_id from stg_manifests where op = 'metrics'").fetchall()[0]
    append_row(
        lake, op="metrics", entry_id=batch, item=None, folio=None, kind=None, format=None, storage=None, row_count=1
    )
    report = lf.open(lake.uri, read_only=True).check()
    assert "batch-doubled" in [one.kind for one in report.problems]


def test_pending_commits_of_dead_writers_are_noted(lake: lf.Lake) -> None:
    folder = Path(lake.uri) / "pending"
    folder.mkdir(exist_ok=True)
    ticket = folder / ("0" * 32)
    ticket.write_bytes(b"left")
    assert lake.check().notices == []  # it may be somebody's of this moment
    os.utime(ticket, (time.time() - 7200,) * 2)
    report = lake.check()
    assert report.ok
    assert "1 pending commit" in report.notices[0]
    assert "note: 1 pending commit" in str(report)


def test_doctor_leaves_nothing_behind(tmp_path: Path, lake: lf.Lake) -> None:
    assert lake.doctor().ok
    assert not list(Path(lake.uri).glob("doctor*"))


def test_a_new_lake_holds_no_folder_of_its_probes(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:  # each probes, in one place
        lakes = list(pool.map(lambda _: lf.open(tmp_path / "lake"), range(8)))
    assert len({one.lake_id for one in lakes}) == 1
    names = {one.name for one in (tmp_path / "lake").iterdir()}
    assert names == {"FORMAT.md", "README.txt", "lakefolio.json", "tables", "views.sql"}


def test_probes_of_another_process_do_not_make_a_place_taken(tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake" / f"doctor-{'0' * 32}").write_bytes(b"0")
    assert lf.open(tmp_path / "lake").version == 0

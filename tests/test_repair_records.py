"""Repairing record tables from a copy of the lake: logs, data files, and what gc gave up."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path
from typing import Any

import pytest

import lakefolio as lf

ROWS = [{"id": number, "score": number / 2} for number in range(4)]


@pytest.fixture
def lake(tmp_path: Path) -> lf.Lake:
    """A table of two writes, of which a snapshot marks the first."""
    lake = lf.open(tmp_path / "lake")
    folio = lake.folio("exp")
    folio.create_table("scores", {"id": "int64", "score": "float64"}, key="id")
    folio.table("scores").append(ROWS[:2])
    lake.snapshot("first")
    folio.table("scores").upsert([{"id": 1, "score": 9.0}, {"id": 2, "score": 9.0}])
    return lake


@pytest.fixture
def copy(lake: lf.Lake, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tmp_path / "lake", tmp_path / "copy"))


def parts(place: Path) -> tuple[list[Path], list[Path]]:
    """Return the log entries and the data files of the one record table of a lake."""
    (table,) = (place / "records").iterdir()
    return sorted(table.glob("_delta_log/*.json")), sorted(table.glob("*.parquet"))


def scores(lake: lf.Lake, at: Any = None) -> list[tuple[int, float]]:
    frame = lf.open(lake.uri).folio("exp").table("scores", at=at).query(as_="polars", order="id")
    return frame.select("id", "score").rows()


def mended(lake: lf.Lake, copy: Path, broken: list[Path]) -> None:
    """Repair, and expect exactly these objects to come back, and every version with them."""
    names = {str(path.relative_to(lake.uri)) for path in broken}
    assert not lf.open(lake.uri).check(read_data=True).ok
    planned = lake.repair(copy, dry_run=True)
    assert {one["object"] for one in planned.repaired} == names
    assert not lf.open(lake.uri).check(read_data=True).ok
    done = lake.repair(copy)
    assert (done.ok, {one["object"] for one in done.repaired}) == (True, names)
    assert lf.open(lake.uri).check(read_data=True).ok
    assert scores(lake) == [(0, 0.0), (1, 9.0), (2, 9.0)]
    assert scores(lake, "first") == [(0, 0.0), (1, 0.5)]
    assert lake.repair(copy).repaired == []


def test_a_whole_table_comes_back(lake: lf.Lake, copy: Path) -> None:
    entries, files = parts(Path(lake.uri))
    shutil.rmtree(entries[0].parent.parent)
    entries_there, files_there = parts(copy)
    names = [path.relative_to(copy) for path in (*entries_there, *files_there)]
    assert lake.repair(copy).ok
    assert all((Path(lake.uri) / name).read_bytes() == (copy / name).read_bytes() for name in names)
    assert scores(lake, "first") == [(0, 0.0), (1, 0.5)]
    assert (len(entries), len(files)) == (3, 3)


@pytest.mark.parametrize(
    ("how", "number"), [("missing", 0), ("missing", 1), ("missing", 2), ("cut", 0), ("cut", 2), ("flipped", 1)]
)
def test_a_log_entry_comes_back(lake: lf.Lake, copy: Path, number: int, how: str) -> None:
    entry = parts(Path(lake.uri))[0][number]
    damage(entry, how)
    if number != 1 and how == "missing":
        # the first one is made again from the journal; a log that ends one entry sooner is a log, too
        assert lake.repair(copy).ok
        assert lf.open(lake.uri).check(read_data=True).ok
        assert scores(lake) == [(0, 0.0), (1, 9.0), (2, 9.0)]
    else:
        mended(lake, copy, [entry])


@pytest.mark.parametrize(("how", "number"), [("missing", 0), ("cut", 1), ("flipped", 2), ("missing", 2)])
def test_a_data_file_comes_back(lake: lf.Lake, copy: Path, number: int, how: str) -> None:
    file = parts(Path(lake.uri))[1][number]
    damage(file, how)
    mended(lake, copy, [file])


def damage(path: Path, how: str) -> None:
    body = path.read_bytes()
    path.unlink()
    if how == "cut":
        path.write_bytes(body[:-7])
    elif how == "flipped":
        path.write_bytes(body[:80] + bytes([body[80] ^ 1]) + body[81:])


def test_files_that_are_damaged_in_both_stay_lost(lake: lf.Lake, copy: Path) -> None:
    entry, file = (group[1] for group in parts(Path(lake.uri)))
    for place in (Path(lake.uri), copy):
        damage(place / entry.relative_to(lake.uri), "flipped")
        damage(place / file.relative_to(lake.uri), "flipped")
    report = lake.repair(copy)
    assert not report.ok
    assert str(entry.relative_to(lake.uri)) in {one["object"] for one in report.left}
    assert report.repaired == []


def test_copies_that_went_different_ways_are_not_mixed(lake: lf.Lake, copy: Path) -> None:
    lf.open(copy).folio("exp").table("scores").append({"id": 7})
    lake.folio("exp").table("scores").append({"id": 8})
    report = lake.repair(copy)
    assert [one["kind"] for one in report.left] == ["diverged"]
    assert [row[0] for row in scores(lake)] == [0, 1, 2, 8]


def test_a_newer_table_than_the_copys_is_whole(lake: lf.Lake, copy: Path) -> None:
    lake.folio("exp").table("scores").append({"id": 8})
    report = lake.repair(copy)
    assert (report.ok, report.repaired) == (True, [])


def test_rows_that_gc_gave_up_do_not_come_back(lake: lf.Lake, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakefolio.maintenance.record_tables._LEAST_AGE", dt.timedelta(0))
    lake.folio("exp").table("scores").upsert([{"id": 1, "score": 5.0}, {"id": 2, "score": 5.0}])
    before = parts(Path(lake.uri))[1]
    shutil.rmtree(copy)
    shutil.copytree(lake.uri, copy)
    lake.gc(dry_run=False, grace=0, keep_days=0)
    left = parts(Path(lake.uri))[1]
    assert len(left) < len(before)
    report = lake.repair(copy)
    assert (report.ok, report.repaired) == (True, [])
    assert parts(Path(lake.uri))[1] == left


def test_only_looking_does_not_read_data_files(lake: lf.Lake, copy: Path) -> None:
    damage(parts(Path(lake.uri))[1][0], "flipped")
    assert lake.repair(copy, read_data=False).repaired == []
    assert len(lake.repair(copy).repaired) == 1

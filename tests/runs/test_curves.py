"""One curve of many: the files of other runs are not read, nor the journal beyond the run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import lakefolio as lf
from lakefolio.delta.actions import DataFile
from lakefolio.errors import LakefolioError
from lakefolio.journal import table_rows
from lakefolio.journal.table_rows import TableRows

_SQL = "select name, step, value, logged_at from metrics where run_id = $1 order by batch, ordinal"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Take all files for large; returns how many rows of each table were read of them."""
    counts: Counter[str] = Counter()
    parts = TableRows._of_large

    def counted(self: TableRows, file: DataFile, *given: Any, **named: Any) -> Iterator[pa.Table]:
        for rows in parts(self, file, *given, **named):
            counts[self._table.name] += rows.num_rows
            yield rows

    monkeypatch.setattr(table_rows, "SMALL_BYTES", 0)
    monkeypatch.setattr(TableRows, "_of_large", counted)
    return counts


def test_a_curve_reads_the_files_and_the_journal_of_its_run(tmp_path: Path, read: Counter[str]) -> None:
    lake = lf.open(tmp_path / "lake")
    for number in range(8):
        run = lake.create_run(run_id=f"r{number}")
        for part in range(2):
            run.log_points("loss", [number + step / 100 for step in range(50)], range(part * 50, part * 50 + 50))
            run.log_points("auc", [float("nan"), 0.5])
            lake.flush()
        run.finish()
    with lake.batch():
        for number in range(20):
            lake.folio("f").add(f"x{number}", number)
    lake.compact()
    fresh = lf.open(tmp_path / "lake")
    expected = {f"r{number}": lake.sql(_SQL, [f"r{number}"]).to_arrow_table() for number in range(8)}
    for run_id, table in expected.items():
        curve = fresh.metric_history(run_id)
        assert repr(curve.to_pylist()) == repr(table.cast(curve.schema).to_pylist())
        assert curve.schema.field("logged_at").type == pa.timestamp("us", "UTC")
    assert fresh.metric_history("r3", "loss").column("value").to_pylist() == [3 + step / 100 for step in range(50)] * 2
    assert fresh.at(0).sql(_SQL, ["r3"]).fetchall() == []


def test_a_curve_holds_none_of_the_other_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One curve of 100,000 points took 0.9 GB where its run had 20 metrics."""
    lake = lf.open(tmp_path / "lake")
    with lake.run(run_id="r") as run:
        for number in range(10):
            run.log_points(f"m{number}", [number + step / 16384 for step in range(10_000)])
    monkeypatch.setattr(table_rows, "SMALL_BYTES", 0)
    fresh, parts, held = lf.open(tmp_path / "lake"), TableRows._of_large, [0]
    fresh.get_run("r")
    before = pa.total_allocated_bytes()

    def counted(self: TableRows, file: DataFile, *given: Any, **named: Any) -> Iterator[pa.Table]:
        for rows in parts(self, file, *given, **named):
            held.append(pa.total_allocated_bytes() - before)
            yield rows

    monkeypatch.setattr(TableRows, "_of_large", counted)
    found = fresh.metric_history("r", "m7")
    assert found.column("value").to_pylist() == [7 + step / 16384 for step in range(10_000)]
    assert found.nbytes < 1_000_000
    assert max(held) < 4_000_000, "of 10 MB"
    assert fresh.metric_history("r", "m77").num_rows == 0


def test_files_of_other_runs_are_not_read(tmp_path: Path, read: Counter[str]) -> None:
    lake = lf.open(tmp_path / "lake")
    for number in range(8):
        with lake.run(run_id=f"r{number}") as run:
            run.log_points("loss", [0.5] * 100)
    fresh = lf.open(tmp_path / "lake")
    read.clear()
    assert fresh.metric_history("r3").num_rows == 100
    assert read["metric_rows"] == 100, "of 800"
    past = fresh.at(fresh.version // 2)
    read.clear()
    assert past.metric_history("r1").num_rows == 100
    assert read["metric_rows"] == 100


def test_what_the_log_says_of_runs_is_looked_at() -> None:
    add = DataFile("p.parquet", 1, 1, "", 0, runs=("a", "b")).add(data_change=True)
    assert json.loads(add["tags"]["lakefolio.runs"]) == ["a", "b"]
    from lakefolio.delta.actions import file_of

    assert file_of(add, 1).runs == ("a", "b")
    for damaged in ('["b", "a"]', '["a"]', "3", "[1, 2]", "x"):
        with pytest.raises((ValueError, TypeError, LakefolioError)):
            file_of(add | {"tags": {"lakefolio.runs": damaged}}, 1)

"""A lake is checked without holding its rows."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import lakefolio as lf
from lakefolio.maintenance import check, check_rows, stored_objects, table_parts
from lakefolio.model.entries import Entry
from lakefolio.session.session import Session
from lakefolio.views import workbench
from lakefolio.views.workbench import UnreadableRowsError, Workbench


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with something of everything: blobs, inputs, facts, runs, points, snapshots, purges."""
    root = tmp_path_factory.mktemp("large") / "lake"
    lake = lf.open(root)
    folio = lake.folio("a/é")
    for number in range(12):
        folio.add(f"i{number}", {"n": number}, metadata={"score": number, "ok": True})
    folio.add("big", list(range(4_000)), inputs=["i1"])
    folio.add("late", list(range(5_000)), inputs=["big"], tags=["t"])
    lake.snapshot("first")
    folio.add("big", list(range(6_000)), overwrite=True)
    folio.delete("i2")
    folio.archive("i3")
    folio.add("i2", 1)
    lake.folio("gone").add("x", list(range(7_000)))
    lake.folio("gone").delete("x")
    with lake.run("train", run_id="r1") as run:
        run.input("a/é:i1")
        run.log_param("lr", 0.1)
        for step in range(5):
            run.log_metric("loss", 1 / (step + 1), step)
        run.add_output("model", {"w": [1, 2]})
    lake.snapshot("second")
    lake.restore("first")
    lake.gc(dry_run=False, grace=0, keep_last=1)
    lake.compact()
    folio.add("after", 3)
    return root


@pytest.fixture
def made(whole: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    shutil.copytree(whole, tmp_path / "lake")
    return tmp_path / "lake"


def test_a_whole_lake_is_well(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = lf.open(made, read_only=True).check()
    assert report.ok, report
    assert report.counts["blobs"] > 1
    monkeypatch.setattr(table_parts, "_SMALL_BYTES", 0)  # each data file by itself
    monkeypatch.setattr(check_rows, "_FEW_BYTES", -1)  # in several threads
    again = lf.open(made, read_only=True).check()
    assert again.ok, again
    assert again.counts == report.counts


def _first(root: Path, pattern: str) -> Path:
    return max(root.glob(pattern), key=lambda path: path.stat().st_size)


def _remove(pattern: str) -> Callable[[Path], None]:
    return lambda root: _first(root, pattern).unlink()


def _cut(pattern: str) -> Callable[[Path], None]:
    def cut(root: Path) -> None:
        path = _first(root, pattern)
        path.write_bytes(path.read_bytes()[:-7])

    return cut


def _turn(pattern: str) -> Callable[[Path], None]:
    def turn(root: Path) -> None:
        path = _first(root, pattern)
        body = bytearray(path.read_bytes())
        body[len(body) // 2] ^= 1
        path.write_bytes(bytes(body))

    return turn


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (_remove("blobs/sha256/*/*"), "blob-missing"),
        (_cut("blobs/sha256/*/*"), "blob-truncated"),
        (_turn("tables/manifests/*.parquet"), "table-file-damaged"),
        (_remove("tables/manifests/*.parquet"), "table-file-missing"),
        (_turn("tables/entries/*.parquet"), "model-differs"),
        (_remove("tables/metadata/*.parquet"), "model-differs"),
        (_turn("tables/metric_rows/*.parquet"), "table-file-damaged"),
        (_remove("tables/manifests/_delta_log/00000000000000000007.json"), "log-gap"),
        (_turn("tables/manifests/_delta_log/00000000000000000009.json"), "log-damaged"),
        (_remove("README.txt"), "file-missing"),
    ],
)
def test_damage_is_found(
    made: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None], kind: str
) -> None:
    damage(made)
    monkeypatch.setattr(check, "_LOOKS", 1)  # nobody writes
    assert kind in {problem.kind for problem in lf.open(made, read_only=True).check().problems}


def test_files_of_a_local_lake_are_read_where_they_lie(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also below a folder whose name is a pattern to DuckDB."""
    root = made.rename(made.parent / "a[b]?*")
    monkeypatch.setattr(table_parts, "_SMALL_BYTES", 0)
    given: list[object] = []
    part = Workbench.part

    def noted(bench: Workbench, rows: pa.Table | bytes | Path) -> AbstractContextManager[str]:
        given.append(rows)
        return part(bench, rows)

    monkeypatch.setattr(Workbench, "part", noted)
    assert lf.open(root, read_only=True).check().ok
    places = {path.relative_to(root).parts[1] for path in given if isinstance(path, Path)}
    assert {"entries", "lineage", "metadata"} <= places
    assert not [one for one in given if isinstance(one, bytes)]


def test_damage_of_content_is_found(made: Path) -> None:
    well = lf.open(made, read_only=True).check(read_data=True)
    assert well.ok
    assert well.counts["objects_read"] > 3
    assert well.counts["bytes_read"] > 10_000
    _turn("blobs/sha256/*/*")(made)
    found = lf.open(made, read_only=True).check(read_data=True)
    assert [problem.kind for problem in found.problems] == ["blob-damaged"]
    assert found.counts["objects_read"] == well.counts["objects_read"]


def test_entries_are_made_as_their_content_is_read(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_objects, "_AT_ONCE", 1)
    made_of, verified, ahead = stored_objects.content_from_row, check._verified, [0]

    def counted(row: Mapping[str, object]) -> Entry | None:
        ahead[0] += 1
        return made_of(row)

    def read(session: Session, entry: Entry) -> int:
        ahead[0] -= 1
        assert ahead == [0]
        return verified(session, entry)

    monkeypatch.setattr(stored_objects, "content_from_row", counted)
    monkeypatch.setattr(check, "_verified", read)
    lake = lf.open(made, read_only=True)
    assert lake.check(read_data=True).counts["objects_read"] > 3
    assert lake.check(sample=2).counts["objects_read"] <= 2


def test_of_a_small_lake_only_what_it_has_is_asked_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each statement takes a millisecond, however few rows there are."""
    statements: list[str] = []
    real = Workbench.run, Workbench.arrow

    def run(bench: Workbench, sql: str) -> list[object]:
        statements.append(sql)
        return real[0](bench, sql)

    def arrow(bench: Workbench, sql: str) -> pa.Table:
        statements.append(sql)
        return real[1](bench, sql)

    monkeypatch.setattr(Workbench, "run", run)
    monkeypatch.setattr(Workbench, "arrow", arrow)
    lake = lf.open(tmp_path / "lake")
    lake.folio("f").add("x", 1)
    assert lake.check().ok
    assert len(statements) <= 32  # half of them make the tables
    few = len(statements)
    lake.folio("f").add("y", list(range(5_000)), inputs=["x"], metadata={"a": 1})
    lake.folio("f").delete("y")
    lake.snapshot("s")
    statements.clear()
    assert lake.check().ok
    assert len(statements) > few + 8


def test_what_one_caller_left_in_a_database_another_does_not_find() -> None:
    everything = (
        "select table_name from duckdb_tables() union all select view_name from duckdb_views() where not internal"
    )
    with Workbench(few=True) as one, Workbench(few=True) as beside:
        one.run("create table rows as select 1 as a")
        one.run("create temp table aside as select 2 as a")
        one.run("create view seen as from rows")
        beside.run("create table rows as select 3 as a")
        assert (one.run("from seen"), beside.run("from rows")) == ([(1,)], [(3,)])
        with pytest.raises(UnreadableRowsError), one.all_or_nothing():
            one.run("select no_such_column from rows")
        one.run("begin")
    one.close()  # once more
    for _ in range(2):
        with Workbench(few=True) as other, Workbench(few=True) as third:
            assert other.run(everything) == third.run(everything) == []
            assert other.run("select current_setting('threads'), current_setting('TimeZone')") == [(1, "UTC")]
            other.run("create table rows as select 4 as a")


def test_few_rows_need_no_database_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []
    real = workbench.open_tables

    def counted(*args: Any, **options: Any) -> Any:
        opened.append(1)
        return real(*args, **options)

    with Workbench(few=True):
        pass
    monkeypatch.setattr(workbench, "open_tables", counted)
    for _ in range(3):
        with Workbench(few=True) as bench:
            assert bench.run("select 1") == [(1,)]
    assert opened == []
    with Workbench():
        pass
    assert opened == [1], "the threads of one that many rows are for are more"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no forks")
def test_a_forked_child_uses_no_database_of_its_parent() -> None:
    with Workbench(few=True):
        pass
    child = os.fork()
    if not child:
        with Workbench(few=True) as bench:
            os._exit(bench.run("select 5")[0][0])
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
    with Workbench(few=True) as bench:
        assert bench.run("select 6") == [(6,)]


class StoppedError(Exception):
    """Raised by the handler of a signal."""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers")
def test_a_signal_ends_a_statement_and_is_what_its_handler_raised() -> None:
    def stop(*_: object) -> None:
        raise StoppedError

    before = signal.signal(signal.SIGALRM, stop)
    try:
        with Workbench() as bench:
            with pytest.raises(StoppedError):  # noqa: PT012 - the signal may come at once
                signal.setitimer(signal.ITIMER_REAL, 0.2)
                bench.run("select sum(a.range * b.range % 7) from range(10_000_000) as a, range(10_000_000) as b")
            assert bench.run("select 1") == [(1,)]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

"""The log of a record table: what reads leave alone, and what check says of checkpoints and of what is missing."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import deltalake
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import lakefolio as lf
from lakefolio.errors import InvalidInputError, NotFoundError, StorageError
from lakefolio.records.log import RecordLog
from lakefolio.records.staging import StagedRows


@pytest.fixture
def folio(tmp_path: Path) -> lf.Folio:
    return lf.open(tmp_path / "lake").folio("exp")


@pytest.fixture
def table(folio: lf.Folio) -> Any:
    return folio.create_table("t", {"id": "int64", "word": "string"}, key="id", checks={"pos": "id >= 0"})


def objects(folio: lf.Folio) -> list[str]:
    root = Path(folio.lake_uri)
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_reading_a_table_that_nobody_has_written_to_writes_nothing(folio: lf.Folio, table: Any) -> None:
    before = objects(folio)
    for lake in (lf.open(folio.lake_uri, read_only=True), lf.open(folio.lake_uri), lf.open(folio.lake_uri).at(1)):
        found = lake.folio("exp").table("t")
        assert (found.count(), found.version, found.to_arrow().num_rows) == (0, 0, 0)
        assert found.schema.key == ("id",)
        assert [one["operation"] for one in found.history()] == ["CREATE TABLE"]
        assert "0 rows" in repr(found)
        assert lake.folio("exp").get("t").columns.tolist() == ["id", "word"]
        assert lake.check(read_data=True).ok
    assert objects(folio) == before
    assert table.append({"id": 1}).version == 1
    history = lf.open(folio.lake_uri).folio("exp").table("t").history()
    assert [one["version"] for one in history] == [1, 0]
    lines = str(history).splitlines()
    assert [line.split()[0] for line in lines] == ["@1", "@0"]
    assert "CREATE TABLE" in lines[1]
    assert "CREATE TABLE</td>" in history._repr_html_()
    assert deltalake.DeltaTable(table.uri).to_pyarrow_table().num_rows == 1


def test_an_entry_says_no_number_of_rows_that_the_next_append_would_make_untrue(folio: lf.Folio, table: Any) -> None:
    lake = lf.open(folio.lake_uri)
    table.append([{"id": 1}, {"id": 2}])
    counts = "select list(distinct row_count) from entries where item = 't'"
    assert lake.sql(counts).fetchone() == ([None],)
    lake.snapshot("two")
    table.append({"id": 3})
    assert lake.sql(counts).fetchone() == ([None],)
    assert "rows" not in repr(lake.folio("exp").items()[0])
    assert lake.at("two").folio("exp").table("t").count() == 2


def test_a_snapshot_of_a_table_that_nobody_has_written_to_can_be_read(folio: lf.Folio, table: Any) -> None:
    lake = lf.open(folio.lake_uri)
    lake.snapshot("empty")
    table.append({"id": 1})
    assert lf.open(folio.lake_uri).at("empty").folio("exp").table("t").count() == 0
    assert lake.check(read_data=True).ok


def test_a_table_that_nobody_has_written_to_takes_every_call(folio: lf.Folio, table: Any) -> None:
    lake = lf.open(folio.lake_uri)
    assert table.delete_where("id = 1").version == 0
    assert table.append([]).version == 0
    assert table.restore(version=0).version == 0
    with pytest.raises(NotFoundError):
        table.restore(version=5)
    assert lake.check(read_data=True).ok
    table.compact()
    assert lake.check(read_data=True).problems == []
    table.drop_column("word")
    assert "schema changed" in str(table.restore(version=0))
    assert lf.open(folio.lake_uri).folio("exp").table("t").schema.arrow.names == ["id", "word"]
    assert lake.check(read_data=True).problems == []


def test_a_table_that_is_missing_is_told_if_rows_of_it_were_marked(folio: lf.Folio, table: Any) -> None:
    lake = lf.open(folio.lake_uri)
    table.append({"id": 1})
    lake.snapshot("one")
    shutil.rmtree(table.uri)
    assert [one.kind for one in lf.open(folio.lake_uri).check().problems] == ["table-not-found"]


def pointer(folio: Any, **change: Any) -> None:
    path = folio / "_last_checkpoint"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))


def forged(log: Path, change: Callable[[Any], Any]) -> None:
    """Write the newest checkpoint anew with other rows, under its right digest."""
    newest = sorted(log.glob("*.checkpoint.parquet"))[-1]
    pq.write_table(change(pq.read_table(newest)), newest)
    pointer(log, tags={"lakefolio.sha256": hashlib.sha256(newest.read_bytes()).hexdigest()})


DAMAGE: dict[str, Callable[[Path], object]] = {
    "no JSON": lambda log: (log / "_last_checkpoint").write_text("{"),
    "a version that is not there": lambda log: pointer(log, version=77),
    "a version without checkpoint": lambda log: pointer(log, version=2),
    "another digest": lambda log: pointer(log, tags={"lakefolio.sha256": "0" * 64}),
    "a file less": lambda log: forged(log, lambda rows: rows.filter(pc.is_null(rows["add"]))),
    "a batch less": lambda log: forged(log, lambda rows: rows.filter(pc.is_null(rows["txn"]))),
    "no Parquet": lambda log: [
        path.write_bytes(b"PAR1") and pointer(log, tags={}) for path in log.glob("*.checkpoint.parquet")
    ],
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_checkpoint_that_differs_from_the_log_is_told(folio: lf.Folio, table: Any, how: str) -> None:
    for number in range(3):
        table.append({"id": number}, once=f"n{number}")
    table.compact()
    table.append({"id": 3})
    assert lf.open(folio.lake_uri).check(read_data=True).ok
    DAMAGE[how](Path(table.uri) / "_delta_log")
    assert {one.kind for one in lf.open(folio.lake_uri).check().problems} == {"record-checkpoint"}


def test_an_older_checkpoint_is_compared_when_data_is_read(folio: lf.Folio, table: Any) -> None:
    for number in range(2):
        table.append({"id": number})
        table.compact()
    first, *_ = sorted((Path(table.uri) / "_delta_log").glob("*.checkpoint.parquet"))
    first.write_bytes(b"PAR1")
    lake = lf.open(folio.lake_uri)
    assert [one.kind for one in lake.check(read_data=True).problems] == ["record-checkpoint"]


def test_the_checkpoint_of_another_engine_is_none_to_tell(folio: lf.Folio, table: Any) -> None:
    for number in range(3):
        table.append({"id": number}, once=f"n{number}")
    deltalake.DeltaTable(table.uri).create_checkpoint()
    lake = lf.open(folio.lake_uri)
    assert lake.check(read_data=True).problems == []
    assert lake.folio("exp").table("t").append({"id": 9}, once="n0").repeated


def test_a_write_that_landed_does_not_fail_by_its_upkeep(
    folio: lf.Folio, table: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise StorageError("the store gave no answer")

    monkeypatch.setattr("lakefolio.records.table._MAINTAINED_EVERY", 1)
    monkeypatch.setattr(RecordLog, "write_checkpoint", fails)
    assert table.append({"id": 1}).version == 1
    with pytest.raises(StorageError):
        table.compact()
    assert lf.open(folio.lake_uri).folio("exp").table("t").count() == 1


@pytest.mark.parametrize("write", ["append", "upsert"])
def test_rows_do_not_fail_by_a_column_that_another_writer_drops(
    folio: lf.Folio, table: Any, monkeypatch: pytest.MonkeyPatch, write: str
) -> None:
    """Their data files were stored with the column, empty, before it was dropped."""
    stored = StagedRows.store
    other = lf.open(folio.lake_uri).folio("exp").table("t")

    def meanwhile(rows: StagedRows, given: object, state: Any) -> None:
        stored(rows, given, state)
        if "word" in other.schema.arrow.names:
            other.drop_column("word")

    monkeypatch.setattr(StagedRows, "store", meanwhile)
    assert getattr(table, write)([{"id": 1}, {"id": 2}]).added == 2
    assert table.to_arrow().to_pylist() == [{"id": 1}, {"id": 2}]
    other.add_column("word", "string")
    with pytest.raises(InvalidInputError, match="word"):
        getattr(table, write)({"id": 3, "word": "lost otherwise"})
    assert table.count() == 2

"""Record tables: schemas, writes that are refused whole, other engines, times, migrations, gc (FORMAT.md)."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import deltalake
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from inside import session_of

import lakefolio as lf
from lakefolio.delta.commit_clock import CommitClock
from lakefolio.errors import (
    AlreadyExistsError,
    FormatError,
    IntegrityError,
    InvalidInputError,
    LakefolioError,
    NotFoundError,
    ReadOnlyError,
    StorageError,
    UnsupportedTypeError,
)
from lakefolio.maintenance import record_tables
from lakefolio.testing.need import need

COLUMNS = {
    "id": "int64",
    "score": {"type": "double", "min": 0, "max": 1},
    "kind": {"type": "string", "values": ["a", "b"]},
    "extra": "json",
}


@pytest.fixture
def folio(tmp_path: Path) -> lf.Folio:
    return lf.open(tmp_path / "lake").folio("exp")


@pytest.fixture
def scores(folio: lf.Folio) -> Any:
    return folio.create_table("scores", COLUMNS, key="id", description="the scores")


def rows(table: Any, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = table.query(as_="arrow", **query).to_pylist()
    return found


def delta(table: Any) -> deltalake.DeltaTable:
    return deltalake.DeltaTable(table.uri)


def ids(table: Any) -> list[int]:
    return sorted(row["id"] for row in rows(table))


# -- writes ------------------------------------------------------------------------------------------------


def test_rows_are_appended_replaced_and_deleted(scores: Any) -> None:
    assert scores.append([{"id": 1, "score": 0.1, "extra": {"x": [1]}}, {"id": 2}]).added == 2
    done = scores.upsert([{"id": 2, "kind": "b"}, {"id": 3}])
    assert (done.added, done.updated) == (1, 1)
    assert "1 added, 1 updated" in str(done)
    assert scores.delete_where("id = 1 OR score > 2").deleted == 1
    assert rows(scores, order="id") == [
        {"id": 2, "score": None, "kind": "b", "extra": None},
        {"id": 3, "score": None, "kind": None, "extra": None},
    ]
    assert scores.delete_where("id = 1").version == scores.version  # nothing changed, no version


@pytest.mark.parametrize(
    ("given", "column", "said"),
    [
        ([{"id": 7}, {"id": 1}], "id", "key of a row that the table has"),
        ([{"id": 7}, {"id": 7}], "id", "key of two of the rows"),
        ([{"id": 7}, {"id": 8, "score": 1.5}], "score", "score_range"),
        ([{"id": 7}, {"id": 8, "kind": "c"}], "kind", "kind_values"),
        ([{"id": 7}, {"id": 8, "extra": "{"}], "extra", "no JSON"),
        ([{"id": 7}, {"id": 8, "extra": "NaN"}], "extra", "no JSON"),
        ([{"id": 7}, {"id": "8"}], "id", "no int64"),
        ([{"id": 7}, {"id": True}], "id", "no int64"),
        ([{"id": 7}, {"id": 2**63}], "id", "no int64"),
        ([{"id": 7}, {"id": None}], "id", "missing"),
        (pd.DataFrame({"id": [7.0, 8.5]}), "id", "no int64"),
    ],
)
def test_one_bad_row_refuses_all_and_is_named(scores: Any, given: Any, column: str, said: str) -> None:
    scores.append({"id": 1})
    before = sorted(path.name for path in Path(scores.uri).rglob("*.parquet"))
    writes = [scores.append] if "the table has" in said else [scores.append, scores.upsert]
    for write in writes:
        with pytest.raises(InvalidInputError, match=said) as refused:
            write(given)
        assert refused.value.kind == "invalid-rows"
        first = refused.value.objects["rows"][0]
        assert (first["row"], first["column"]) == (1, column)
    assert ids(scores) == [1]
    assert sorted(path.name for path in Path(scores.uri).rglob("*.parquet")) == before


@pytest.mark.parametrize(
    "given",
    [
        [{"idd": 1}],
        [{"score": 0.5}],
        pd.DataFrame({"id": ["1"]}),
        pa.table({"id": [1], "score": ["0.5"]}),
        pa.table([[1], [2]], names=["id", "id"]),
        {"id": [1, 2], "score": [0.1]},
    ],
)
def test_columns_that_contradict_the_schema_are_refused(scores: Any, given: Any) -> None:
    with pytest.raises(InvalidInputError):
        scores.append(given)
    assert scores.version == 0


@pytest.mark.parametrize("given", [5, "id", [1], None])
def test_what_is_no_rows_is_a_type_error(scores: Any, given: Any) -> None:
    with pytest.raises(UnsupportedTypeError):
        scores.append(given)


def test_rows_of_every_library_arrive_with_all_digits(folio: lf.Folio) -> None:
    table = folio.create_table(
        "t", {"n": "int64", "d": "decimal(20, 4)", "at": "timestamp", "day": "date", "f": "float"}
    )
    at = dt.datetime(2026, 1, 2, 3, 4, 5, 6, dt.UTC)
    one = {"n": 2**53 + 1, "d": Decimal("1234567890123456.7891"), "at": at, "day": dt.date(2026, 1, 2), "f": 0.1}
    arrow = pa.Table.from_pylist([one])
    for given in (
        [one],
        one,
        arrow,
        arrow.to_batches()[0],
        pl.from_arrow(arrow),
        arrow.to_reader(),
        pl.from_arrow(arrow).lazy(),
    ):  # type: ignore[union-attr]
        table.append(given)
    assert rows(table) == [one] * 7
    with pytest.raises(InvalidInputError, match="zone"):
        table.append(pd.DataFrame({"at": [pd.Timestamp("2026-01-01")]}))
    narrow = folio.create_table("narrow", {"x": "float32", "s": "int8"})
    with pytest.raises(InvalidInputError, match="row 1, column 'x'"):
        narrow.append(pa.table({"x": [0.5, 0.1]}))
    with pytest.raises(InvalidInputError, match="row 0, column 's'"):
        narrow.append(pa.table({"s": [300]}))


def test_nested_values_and_fields_of_structs_are_queried(folio: lf.Folio) -> None:
    table = folio.create_table(
        "t", {"place": "struct<x: double, y: double>", "tags": "list<string>", "m": "map<string, int64>"}
    )
    table.append([{"place": {"x": 1, "y": 2}, "tags": ["a", None], "m": [("k", 1)]}, {"tags": []}])
    assert rows(table, where="place.x > 0.5", columns="tags") == [{"tags": ["a", None]}]
    assert delta(table).to_pyarrow_table().num_rows == 2


def test_of_two_writers_of_one_key_the_later_is_refused(scores: Any, folio: lf.Folio) -> None:
    """A writer that read the table before the other wrote looks again at the version that it commits on."""
    other = lf.open(folio.lake_uri).folio("exp").table("scores")
    assert ids(other) == []
    scores.append({"id": 1})
    with pytest.raises(InvalidInputError, match="key of a row that the table has"):
        other.append({"id": 1})
    assert ids(other) == ids(scores) == [1]


def test_a_stream_is_stored_part_by_part_or_not_at_all(scores: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakefolio.records.rows._PART_ROWS", 10)
    scores.append({"id": number} for number in range(35))
    assert scores.count() == 35
    with pytest.raises(InvalidInputError, match="row 33, column 'score'"):
        scores.append({"id": 100 + number, "score": 9 if number == 33 else None} for number in range(40))
    with pytest.raises(InvalidInputError, match="key of two of the rows"):
        scores.append({"id": 100 + number % 30} for number in range(40))
    assert scores.count() == 35
    assert len(list(Path(scores.uri).glob("*.parquet"))) == 4


def test_an_append_with_a_name_happens_once(scores: Any, folio: lf.Folio) -> None:
    scores.append({"id": 1}, once="batch 1")
    again = folio.table("scores").append({"id": 1}, once="batch 1")
    assert again.repeated
    assert ids(scores) == [1]
    with pytest.raises(InvalidInputError, match="once"):
        scores.append({"id": 2}, once="")


def test_an_append_whose_answer_was_lost_is_not_done_twice(scores: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from lakefolio.storage.local import LocalStore

    create: Callable[..., None] = LocalStore.create

    def lost(self: LocalStore, key: str, data: Any) -> None:
        create(self, key, data)
        if "/_delta_log/" in key and key.startswith("records/"):
            raise AlreadyExistsError("it is there", kind="object-exists")

    monkeypatch.setattr(LocalStore, "create", lost)
    assert scores.append({"id": 1}).version == 1
    assert ids(scores) == [1]


@pytest.mark.parametrize(
    ("failing", "landed", "error"),
    [
        (failing, landed, (lost, KeyboardInterrupt())[(failing + landed) % 2])
        for lost in [StorageError("the answer was lost", kind="timeout")]
        for failing in range(5)
        for landed in (False, True)
    ],
)
def test_a_write_that_ends_at_any_request_leaves_all_or_nothing(
    folio: lf.Folio, scores: Any, monkeypatch: pytest.MonkeyPatch, failing: int, landed: bool, error: BaseException
) -> None:
    from lakefolio.storage.local import LocalStore

    scores.append([{"id": 1, "score": 0.5}, {"id": 2}])
    create: Callable[..., None] = LocalStore.create
    left = [failing]

    def failed(self: LocalStore, key: str, data: Any) -> None:
        if key.startswith("records/"):
            left[0] -= 1
            if left[0] == -1:
                if landed:
                    create(self, key, data)
                raise error
        create(self, key, data)

    monkeypatch.setattr(LocalStore, "create", failed)
    for write in (
        lambda: scores.append([{"id": 3}], once="three"),
        lambda: scores.upsert([{"id": 1, "score": 0.75}, {"id": 4}]),
        lambda: scores.delete_where("id = 2"),
    ):
        try:
            write()
        except (StorageError, KeyboardInterrupt):
            assert lf.open(folio.lake_uri).check(read_data=True).ok
            write()
    assert rows(scores, columns=["id", "score"], order="id") == [
        {"id": 1, "score": 0.75},
        {"id": 3, "score": None},
        {"id": 4, "score": None},
    ]
    assert lf.open(folio.lake_uri).check(read_data=True).ok


# -- schemas -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "more"),
    [
        ({}, {}),
        ({"a": "integer64"}, {}),
        ({"a": "decimal(50, 2)"}, {}),
        ({"a": "list<int64"}, {}),
        ({"a": {"type": "int64", "mim": 3}}, {}),
        ({"a": {"type": "string", "values": []}}, {}),
        ({"a": {"type": "string", "min": 3}}, {}),
        ({"a": {"type": "int64", "min": 5, "max": 1}}, {}),
        ({"a": {"type": "int64", "min": 5, "max": "x"}}, {}),
        ({"a": {"type": "string", "null": "no"}}, {}),
        ({"a b": "int64"}, {}),
        ({"a": "int64", "A": "int64"}, {}),
        ({"a": "double"}, {"key": "a"}),
        ({"a": "int64"}, {"key": "b"}),
        ({"a": "int64"}, {"checks": {"c": "b > 1"}}),
        ({"a": "int64"}, {"checks": {"c": "a"}}),
        ({"a": "int64"}, {"checks": {"c; drop": "a > 1"}}),
        ({"a": pa.uint64()}, {}),
    ],
)
def test_a_schema_that_makes_no_sense_is_refused(folio: lf.Folio, columns: Any, more: Any) -> None:
    with pytest.raises(InvalidInputError):
        folio.create_table("t", columns, **more)
    assert folio.items() == []


def test_migrations_change_rows_and_are_remembered(scores: Any) -> None:
    scores.append([{"id": 1, "score": 0.5}, {"id": 2, "kind": "a"}])
    scores.add_column("n", "int32", fill=3, reason="to count")
    scores.add_column("later", "string")
    scores.widen_column("n", "int64")
    scores.rename_column("n", "count")
    scores.drop_column("extra")
    scores.add_check("few", "count < 10")
    scores.set_null("count", False)
    assert rows(scores, order="id")[0] == {"id": 1, "score": 0.5, "kind": None, "count": 3, "later": None}
    said = scores.schema.migrations
    assert [one["change"] for one in said][:2] == ["add column n", "add column later"]
    assert said[0]["reason"] == "to count"
    assert delta(scores).schema().to_arrow().field(3).name == "count"  # another engine sees it so
    with pytest.raises(InvalidInputError, match="few"):
        scores.append({"id": 5, "count": 11})


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.add_column("score", "int64"),
        lambda table: table.add_column("n", "int64", fill="x"),
        lambda table: table.drop_column("id"),
        lambda table: table.drop_column("kind"),
        lambda table: table.drop_column("kin"),
        lambda table: table.rename_column("id", "score"),
        lambda table: table.rename_column("score", "s"),
        lambda table: table.widen_column("id", "int32"),
        lambda table: table.widen_column("id", "double"),
        lambda table: table.add_check("big", "id > 5"),
        lambda table: table.add_check("score_range", "id > 0"),
        lambda table: table.drop_check("none"),
        lambda table: table.set_null("score", False),
        lambda table: table.set_null("id", True),
    ],
)
def test_a_migration_that_rows_contradict_changes_nothing(scores: Any, change: Any) -> None:
    scores.append({"id": 1})
    with pytest.raises(InvalidInputError):
        change(scores)
    assert scores.version == 1


def test_an_append_that_meets_a_migration_fits_the_new_schema(scores: Any, folio: lf.Folio) -> None:
    other = lf.open(folio.lake_uri).folio("exp").table("scores")
    scores.append({"id": 1})
    other.append({"id": 2})
    scores.rename_column("extra", "more")
    with pytest.raises(InvalidInputError, match="extra"):
        other.append({"id": 3, "extra": {}})
    other.append({"id": 3, "more": {}})
    assert ids(scores) == [1, 2, 3]


# -- queries -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("id >= 3", [3, 4]),
        ("id IN (1, 4) AND NOT kind = 'a'", [4]),
        ("kind IS NULL", [2]),
        ("kind != 'a'", [3, 4]),
        ("NOT (kind = 'a' OR id = 3)", [4]),
        ("id BETWEEN 2 AND 3", [2, 3]),
        ("id NOT BETWEEN 2 AND 3", [1, 4]),
        ("kind LIKE 'b%'", [3, 4]),
        ("score * 2 > 1.5 - 0.1", [4]),
        ("length(kind) = 1 AND upper(kind) = 'A'", [1]),
        ("id % 2 = 0", [2, 4]),
        ("-id < -3", [4]),
        ("score = 0.1", [1]),
        ("\"kind\" = 'a' or TRUE = false", [1]),
    ],
)
def test_filters_say_as_sql_does(scores: Any, where: str, expected: list[int]) -> None:
    import duckdb

    some = [(1, 0.1, "a"), (2, None, None), (3, 0.5, "b"), (4, 0.9, "b")]
    for number, score, kind in some:
        scores.append({"id": number, "score": score, "kind": kind})
    assert [row["id"] for row in rows(scores, where=where, order="id")] == expected
    plain = scores.to_arrow()
    assert plain.num_rows == 4
    connection = duckdb.connect()
    connection.register("plain", plain)
    assert [one for (one,) in connection.sql(f"select id from plain where {where} order by id").fetchall()] == expected


@pytest.mark.parametrize(
    "where",
    [
        "scor > 1",
        "score >",
        "score > 'a'",
        "exec('x')",
        "",
        "1",
        "score > 1; drop",
        "id = 1 and",
        "extra.x > 1",
        "(" * 300,
    ],
)
def test_a_condition_that_cannot_be_read_is_one_error(scores: Any, where: str) -> None:
    for ask in (scores.query, scores.count, scores.delete_where):
        with pytest.raises(InvalidInputError) as refused:
            ask(where)
        assert refused.value.kind == "bad-condition"


def test_order_limit_and_columns(scores: Any) -> None:
    scores.append([{"id": number, "score": number % 7 / 10} for number in range(100)])
    found = rows(scores, columns=["id"], order=["-score", "id"], limit=2)
    assert found == [{"id": 6}, {"id": 13}]
    assert len(rows(scores, limit=0)) == 0
    assert scores.count("score = 0.6") == 14
    for bad in ({"limit": -1}, {"order": "scor"}, {"columns": ["x"]}, {"as_": "numpy"}):
        with pytest.raises(InvalidInputError):
            scores.query(**bad)


def test_files_whose_statistics_exclude_a_filter_are_not_read(scores: Any) -> None:
    for start in range(0, 50, 10):
        scores.append([{"id": start + number} for number in range(10)])
    first = min(Path(scores.uri).glob("*.parquet"))
    first.chmod(0o600)
    body = first.read_bytes()
    first.write_bytes(body[:100] + b"x" * (len(body) - 100))
    with pytest.raises((IntegrityError, OSError, pa.ArrowException)):
        scores.query("id < 5")


# -- other engines -----------------------------------------------------------------------------------------


def test_other_engines_read_and_write_it(scores: Any, folio: lf.Folio) -> None:
    scores.append([{"id": 1, "score": 0.5, "kind": "a"}])
    more = pa.table({"id": [2, 3], "score": [0.1, None], "kind": ["b", None], "extra": ["{}", None]})
    deltalake.write_deltalake(delta(scores), more, mode="append")
    pl.DataFrame(
        {"id": [4], "score": [0.2], "kind": ["a"], "extra": [None]}, schema_overrides={"extra": pl.String}
    ).write_delta(scores.uri, mode="append")
    assert ids(scores) == [1, 2, 3, 4]
    delta(scores).delete("id = 2")
    assert ids(scores) == [1, 3, 4]
    with pytest.raises(InvalidInputError, match="key of a row"):
        scores.append({"id": 3})
    scores.upsert({"id": 3, "kind": "b"})
    scores.append({"id": 9})
    assert pl.scan_delta(scores.uri).select("id").collect().to_series().sort().to_list() == [1, 3, 4, 9]
    with pytest.raises(Exception, match="validation check"):
        deltalake.write_deltalake(delta(scores), more.set_column(1, "score", pa.array([7.0, 8.0])), mode="append")
    assert lf.open(folio.lake_uri).check(read_data=True).ok


def test_an_upsert_over_a_doubled_key_counts_what_it_did(scores: Any) -> None:
    scores.append([{"id": 1, "score": 0.5}, {"id": 2}])
    doubled = scores.to_arrow().slice(0, 1)
    deltalake.write_deltalake(scores.uri, pa.concat_tables([doubled, doubled]), mode="append")
    written = scores.upsert([{"id": 1, "score": 0.75}, {"id": 2}, {"id": 3}])
    assert (written.added, written.updated, written.deleted) == (1, 2, 2)
    assert sorted((row["id"], row["score"]) for row in rows(scores) if row["id"] == 1) == [(1, 0.75)]
    assert len(scores) == 3


def test_keys_that_another_engine_doubled_are_found_by_check(scores: Any, folio: lf.Folio) -> None:
    scores.append([{"id": 1}])
    deltalake.write_deltalake(
        delta(scores),
        pa.table(
            {
                "id": [1],
                "score": pa.nulls(1, pa.float64()),
                "kind": pa.nulls(1, pa.string()),
                "extra": pa.nulls(1, pa.string()),
            }
        ),
        mode="append",
    )
    report = lf.open(folio.lake_uri).check(read_data=True)
    assert [problem.kind for problem in report.problems] == ["record-key"]


def test_checkpoints_and_merges_are_read_by_others(folio: lf.Folio) -> None:
    table = folio.create_table("t", {"id": "int64"}, key="id", checks={"pos": "id >= 0"})
    for number in range(102):
        table.append({"id": number}, once=f"n{number}")
    assert len(list(Path(table.uri).glob("_delta_log/*.checkpoint.parquet"))) == 2
    assert delta(table).to_pyarrow_table().num_rows == 102
    assert len(delta(table).file_uris()) < 20
    fresh = lf.open(folio.lake_uri).folio("exp").table("t")
    assert fresh.count() == 102
    assert fresh.append({"id": 0}, once="n0").repeated
    with pytest.raises(InvalidInputError, match="key of a row"):
        fresh.append({"id": 5})


@pytest.mark.parametrize(
    ("action", "reads"),
    [
        (
            {
                "protocol": {
                    "minReaderVersion": 3,
                    "minWriterVersion": 7,
                    "readerFeatures": ["deletionVectors"],
                    "writerFeatures": ["deletionVectors"],
                }
            },
            False,
        ),
        ({"protocol": {"minReaderVersion": 2, "minWriterVersion": 5}}, False),
        ({"protocol": {"minReaderVersion": 1, "minWriterVersion": 4}}, True),
        ({"protocol": {"minReaderVersion": 1, "minWriterVersion": 7, "writerFeatures": ["rowTracking"]}}, True),
    ],
)
def test_a_table_that_asks_for_more_is_refused_in_words(scores: Any, action: Any, reads: bool) -> None:
    scores.append({"id": 1})
    log = Path(scores.uri) / "_delta_log" / f"{2:020d}.json"
    log.write_text(json.dumps(action))
    with pytest.raises(FormatError, match="Delta"):
        scores.append({"id": 2})
    with pytest.raises(FormatError, match="Delta"):
        scores.compact()  # a checkpoint would leave out what only that tool knows
    assert not list(log.parent.glob("*checkpoint*"))
    if reads:
        assert ids(scores) == [1]
    else:
        with pytest.raises(FormatError, match="Delta"):
            scores.to_arrow()


@pytest.mark.parametrize(
    "line",
    [
        "{",
        '{"add": {"path": "../../lakefolio.json", "size": 3}}',
        '{"add": {"path": "file:///etc/passwd", "size": 3}}',
        '{"add": {"path": "/etc/passwd", "size": 3}}',
        '{"add": {"path": "x.parquet", "size": "3"}}',
        '{"metaData": {"id": "x", "schemaString": "{}"}}',
        "[" * 100_000,
    ],
)
def test_a_log_that_lies_is_one_error(scores: Any, line: str) -> None:
    scores.append({"id": 1})
    (Path(scores.uri) / "_delta_log" / f"{2:020d}.json").write_text(line)
    with pytest.raises(IntegrityError):
        scores.to_arrow()


@pytest.mark.parametrize("other", ["an earlier entry", "an entry of another table", "an entry of the lake", "nothing"])
def test_the_bytes_of_another_object_are_no_log_entry(scores: Any, folio: lf.Folio, other: str) -> None:
    """A store that answers with another object's bytes is told; the next read has the right ones."""
    scores.append({"id": 1})
    twin = folio.create_table("twin", {"id": "int64"}, key="id")
    twin.append({"id": 7})
    twin.append({"id": 8})
    lake = Path(folio.lake_uri)
    name = f"_delta_log/{2:020d}.json"
    body = {
        "an earlier entry": (Path(scores.uri) / f"_delta_log/{1:020d}.json").read_bytes(),
        "an entry of another table": (Path(twin.uri) / name).read_bytes(),
        "an entry of the lake": (lake / "tables" / "manifests" / name).read_bytes(),
        "nothing": b"",
    }[other]
    scores.append({"id": 2})
    late = lf.open(lake)
    behind = folio.table("scores")
    right = (Path(scores.uri) / name).read_bytes()
    (Path(scores.uri) / name).write_bytes(body)
    with pytest.raises(IntegrityError, match="log entry 2 of") as caught:
        late.folio("exp").get("scores")
    assert caught.value.kind == "bad-log"
    assert "bad-log" in {one.kind for one in lf.open(lake).check().problems}
    (Path(scores.uri) / name).write_bytes(right)
    assert ids(lf.open(lake).folio("exp").table("scores")) == ids(behind) == [1, 2]
    assert lf.open(lake).check(read_data=True).ok


def test_the_checkpoint_of_another_version_is_not_believed(scores: Any, folio: lf.Folio) -> None:
    lake = lf.open(folio.lake_uri)
    for number in range(1, 4):
        scores.append({"id": number})
        scores.compact()
        lake.snapshot(f"s{number}")
    first, *_, last = sorted(Path(scores.uri).glob("_delta_log/*.checkpoint.parquet"))
    assert first != last
    first.write_bytes(last.read_bytes())
    fresh = lf.open(folio.lake_uri)
    for number in range(1, 4):
        assert ids(fresh.at(f"s{number}").folio("exp").table("scores")) == list(range(1, number + 1))


def test_a_data_file_that_is_missing_or_damaged_is_named(scores: Any, folio: lf.Folio) -> None:
    scores.append({"id": 1})
    (file,) = Path(scores.uri).glob("*.parquet")
    body = file.read_bytes()
    fresh = lf.open(folio.lake_uri)
    file.write_bytes(body[:-1] + b"x")
    with pytest.raises(IntegrityError, match=file.name):
        fresh.folio("exp").get("scores")
    file.unlink()
    with pytest.raises(IntegrityError, match=file.name):
        fresh.folio("exp").get("scores")
    assert [problem.kind for problem in fresh.check().problems] == ["record-file"]


@pytest.mark.parametrize(("place", "of_another_engine"), [("", False), ("memory://", False), ("memory://", True)])
def test_data_files_of_many_bytes_are_read_and_verified(tmp_path: Path, place: str, of_another_engine: bool) -> None:
    """They are read in part, from where they lie, or from a copy of a bucket's."""
    lake = lf.open(place + str(tmp_path).removeprefix("/" if place else ""))
    table = lake.folio("lab").create_table("texts", {"id": "int64", "text": "string"})
    table.append([{"id": number, "text": Random(number).randbytes(1 << 20).hex()} for number in range(9)])
    store = session_of(lake).store
    folder = "records/" + table.uri.partition("records/")[2]
    if of_another_engine:  # whose log entries have no digest
        key = f"{folder}/_delta_log/{1:020d}.json"
        actions = [json.loads(line) for line in bytes(store.get(key)).splitlines()]
        for action in actions:
            action.pop("commitInfo", None)
            action.get("add", {}).pop("tags", None)
        store.put(key, "\n".join(json.dumps(action) for action in actions if action).encode())
        table = lf.open(lake.uri).folio("lab").table("texts")
    (file,) = (one.key for one in store.list(folder) if one.key.endswith(".parquet"))
    body = bytes(store.get(file))
    assert len(body) > 8 << 20
    store.put(file, body[:-1] if of_another_engine else body[:-1] + b"x")
    with pytest.raises(IntegrityError, match=file.rpartition("/")[2]):
        table.to_arrow()
    store.put(file, body)
    assert table.count("id > 5") == 3
    assert table.query("id > 5", ["id"], as_="arrow").column("id").to_pylist() == [6, 7, 8]
    assert table.lazy().select("id").collect().height == table.to_arrow().num_rows == 9


# -- versions of the lake ----------------------------------------------------------------------------------


def test_a_snapshot_shows_what_was_acknowledged_before_it(folio: lf.Folio, scores: Any) -> None:
    lake = lf.open(folio.lake_uri)
    scores.append({"id": 1})
    lake.snapshot("all")
    other = lf.open(lake.uri).folio("exp").table("scores")
    other.append({"id": 2})
    folio.create_snapshot("mine")
    scores.append({"id": 3})
    folio.add("x", 1)
    scores.delete_where("id = 1")
    assert ids(folio.table("scores", at="all")) == [1]
    assert ids(folio.table("scores", at="mine")) == [1, 2]
    assert ids(scores) == [2, 3]
    assert lake.at("all").sql('select count(*) from "exp:scores"').fetchall() == [(1,)]
    assert lake.sql('select count(*) from "exp:scores@mine"').fetchall() == [(2,)]
    assert len(folio.get("scores@mine")) == 2
    assert folio.load_snapshot(folio.path, "mine").get_table("scores", as_="polars").height == 2
    with pytest.raises(ReadOnlyError):
        folio.table("scores", at="all").append({"id": 5})


def test_a_snapshot_is_exact_however_wrong_a_writers_clock_is(
    folio: lf.Folio, scores: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = lf.open(folio.lake_uri)
    monkeypatch.setattr(CommitClock, "corrected", lambda self, last, key: None)
    read = CommitClock.now
    with monkeypatch.context() as patched:
        patched.setattr(CommitClock, "now", lambda self, last: read(self, last) + dt.timedelta(hours=1))
        scores.append({"id": 1})
    lake.snapshot("one")
    with monkeypatch.context() as patched:
        patched.setattr(CommitClock, "now", lambda self, last: dt.datetime(1970, 1, 12, tzinfo=dt.UTC))
        lf.open(lake.uri).folio("exp").table("scores").append({"id": 2})
    assert ids(folio.table("scores", at="one")) == [1]
    lake.snapshot("two")
    assert ids(folio.table("scores", at="two")) == [1, 2]


def test_a_version_never_shows_a_write_of_a_process_that_had_seen_it(folio: lf.Folio, scores: Any) -> None:
    seen = []
    for number in range(5):
        scores.append({"id": number})
        folio.add(f"x{number}", number)
        seen.append(session_of(folio).journal.state.version)
    for number, version in enumerate(seen):
        assert ids(folio.table("scores", at=version)) == list(range(number + 1))


def test_words_and_archives_leave_the_time_line_alone(folio: lf.Folio, scores: Any) -> None:
    scores.append({"id": 1})
    folio.create_snapshot("s")
    scores.append({"id": 2})
    folio.update_item("scores", description="other words")
    version = session_of(folio).journal.state.version
    folio.archive("scores")
    scores.append({"id": 3})
    assert ids(folio.table("scores", at=version)) == [1, 2]
    assert ids(scores) == [1, 2, 3]
    folio.create_snapshot("t")
    assert folio.item_info("scores")["archived"]
    assert folio.item_info("scores")["description"] == "other words"


def test_a_restore_brings_rows_and_schema_back(folio: lf.Folio, scores: Any) -> None:
    lake = lf.open(folio.lake_uri)
    scores.append([{"id": 1}, {"id": 2}])
    lake.snapshot("s")
    scores.drop_column("extra")
    scores.delete_where("id = 1")
    assert [one["item"] for one in lake.restore("s", dry_run=True)["changed"]] == ["scores"]
    assert ids(scores) == [2]
    assert "exp:scores" in str(lake.restore("s", folio="exp"))
    assert ids(scores) == [1, 2]
    assert "extra" in scores.schema.arrow.names
    scores.append({"id": 3})
    scores.restore("s")
    assert ids(scores) == [1, 2]
    scores.restore(version=1)
    assert ids(scores) == [1, 2]


def test_a_copy_is_what_it_was_and_cannot_be_written(folio: lf.Folio, scores: Any, tmp_path: Path) -> None:
    scores.append({"id": 1})
    folio.copy_item("scores", "copy")
    scores.append({"id": 2})
    assert ids(folio.table("copy")) == [1]
    with pytest.raises(ReadOnlyError, match="copy of exp:scores"):
        folio.table("copy").append({"id": 3})
    with pytest.raises(InvalidInputError, match="keeps its name"):
        folio.rename("scores", "other")
    for place in (tmp_path / "other" / "exp", Path(folio.path).parent / "second"):
        copied = folio.copy(place)
        assert sorted(copied.get_table("scores", as_="arrow").column("id").to_pylist()) == [1, 2]


def test_a_run_pins_what_it_read(folio: lf.Folio, scores: Any) -> None:
    lake = lf.open(folio.lake_uri)
    scores.append({"id": 1})
    with lake.run("r") as run:
        assert len(run.input("exp:scores")) == 1
        scores.append({"id": 2})
    (one,) = lake.get_run(run.run_id).inputs
    assert len(lake.get(one.ref)) == 1
    assert len(folio.get("scores")) == 2


def test_a_snapshot_made_while_another_marks_is_tried_again(
    folio: lf.Folio, scores: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import lakefolio.session.record_commits as record_commits

    scores.append({"id": 1})
    lake = lf.open(folio.lake_uri)
    plan = record_commits.before_commit
    calls = []

    def overtaken(session: Any, changes: Any) -> Any:
        ready = plan(session, changes)
        if len(calls) < 2 and len(ready) > len(changes):
            calls.append(1)
            lf.open(lake.uri).folio("exp").table("scores").mark()
        return ready

    monkeypatch.setattr(record_commits, "before_commit", overtaken)
    lake.snapshot("s")
    assert len(calls) == 2
    assert ids(folio.table("scores", at="s")) == [1]


def test_a_table_that_was_deleted_or_replaced_takes_no_more_rows(folio: lf.Folio, scores: Any) -> None:
    scores.append({"id": 1})
    folio.create_snapshot("s")
    lf.open(folio.lake_uri).folio("exp").delete("scores")
    with pytest.raises(NotFoundError):
        scores.append({"id": 2})
    folio.add("scores", 5)
    with pytest.raises(InvalidInputError, match="no record table"):
        scores.append({"id": 2})
    assert ids(folio.table("scores", at="s")) == [1]
    again = folio.create_table("scores", {"id": "int64"}, overwrite=True)
    again.append({"id": 9})
    assert ids(folio.table("scores", at="s")) == [1]
    with pytest.raises(AlreadyExistsError):
        folio.create_table("scores", {"id": "int64"})


# -- gc ----------------------------------------------------------------------------------------------------


def test_gc_keeps_history_unless_told_to_give_it_up(
    folio: lf.Folio, scores: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = lf.open(folio.lake_uri)
    scores.append([{"id": 1}, {"id": 2}])
    lake.snapshot("s")
    for number in range(3, 8):
        scores.upsert([{"id": 1}, {"id": number}])
    before = len(list(Path(scores.uri).glob("*.parquet")))
    lake.gc(dry_run=False, grace=0)
    assert len(list(Path(scores.uri).glob("*.parquet"))) == before
    lake.gc(dry_run=False, grace=0, keep_days=0)
    assert len(list(Path(scores.uri).glob("*.parquet"))) == before  # none was replaced a day ago
    monkeypatch.setattr("lakefolio.maintenance.record_tables._LEAST_AGE", dt.timedelta(0))
    lake.gc(dry_run=False, grace=0, keep_days=0)
    assert len(list(Path(scores.uri).glob("*.parquet"))) < before
    fresh = lf.open(lake.uri)
    assert ids(fresh.folio("exp").table("scores", at="s")) == [1, 2]
    assert ids(fresh.folio("exp").table("scores")) == [1, 2, 3, 4, 5, 6, 7]
    assert fresh.check(read_data=True).ok


def test_gc_removes_tables_whose_entries_were_given_up(folio: lf.Folio, scores: Any) -> None:
    lake = lf.open(folio.lake_uri)
    scores.append({"id": 1})
    place = Path(scores.uri)
    folio.delete("scores")
    lake.gc(dry_run=False, grace=0)
    assert list(place.rglob("*.json"))
    lake.gc(dry_run=False, grace=0, keep_days=0, keep_last=0)
    lake.gc(dry_run=False, grace=0, keep_days=0, keep_last=0)
    assert not list(place.rglob("*.json"))
    assert lf.open(lake.uri).check().ok
    with pytest.raises(LakefolioError):
        lake.restore(1)


def test_uploads_of_killed_writers_go_once_nobody_can_name_them(
    folio: lf.Folio, scores: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores.append({"id": 1})
    orphan = Path(scores.uri) / f"{0:020d}-{'a' * 32}.parquet"
    foreign = Path(scores.uri) / "part-00000.parquet"
    for path in (orphan, foreign):
        path.write_bytes(b"x")
    lake = lf.open(folio.lake_uri)
    lake.gc(dry_run=False, grace=0)
    assert orphan.exists()
    monkeypatch.setattr("lakefolio.maintenance.record_tables.REACH", 0)
    scores.append({"id": 2})
    lake.gc(dry_run=False, grace=0)
    assert not orphan.exists()
    assert foreign.exists()
    assert ids(scores) == [1, 2]


def test_a_data_file_is_written_anew_when_it_was_made_too_many_versions_ago(
    folio: lf.Folio, scores: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lakefolio.records import staging

    scores.append({"id": 1})
    monkeypatch.setattr(staging, "REACH", 1)
    other = lf.open(folio.lake_uri).folio("exp").table("scores")
    check = staging.StagedRows.check_new
    done = []

    def overtaken(self: Any, state: Any, index: Any) -> None:
        check(self, state, index)
        if not done:
            done.append(self.files[0].path)
            other.append([{"id": 50}])
            other.append([{"id": 51}])

    monkeypatch.setattr(staging.StagedRows, "check_new", overtaken)
    scores.append({"id": 2})
    assert ids(scores) == [1, 2, 50, 51]
    assert not (Path(scores.uri) / done[0]).exists()


def test_errors_name_what_is_no_table(folio: lf.Folio, scores: Any) -> None:
    folio.add("x", 5)
    with pytest.raises(InvalidInputError, match="no record table"):
        folio.table("x")
    with pytest.raises(NotFoundError, match="scores"):
        folio.table("score")
    assert "the scores" in str(folio.item_info("scores")["description"])
    assert "3 rows" not in repr(scores)
    assert "id int64" in repr(scores)


def test_diff_says_what_changed_by_key(folio: lf.Folio, scores: Any) -> None:
    scores.append([{"id": 1, "score": 0.5}, {"id": 2}])
    folio.create_snapshot("s")
    scores.upsert([{"id": 1, "score": 0.75}, {"id": 3}])
    told = folio.diff("s", item="scores")
    assert told.summary["rows"] == "2 → 3"
    assert (told.summary["rows_added"], told.summary["rows_changed"]) == (1, 1)


def test_keys_of_several_columns_and_every_type(folio: lf.Folio) -> None:
    columns = {
        "a": "string",
        "b": "int32",
        "c": "date",
        "d": "decimal(10, 2)",
        "e": "timestamp",
        "f": "binary",
        "g": "bool",
    }
    table = folio.create_table("t", columns, key=list(columns))
    one = {
        "a": "ü",
        "b": -1,
        "c": dt.date(2026, 1, 2),
        "d": Decimal("1.10"),
        "e": dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
        "f": b"\xff\x00",
        "g": True,
    }
    others = [{**one, name: value} for name, value in zip(columns, ["u", 1, dt.date(2026, 1, 3)], strict=False)]
    table.append([one, *others, {**one, "d": Decimal("1.11")}, {**one, "f": b"\xff"}, {**one, "g": False}])
    assert table.count() == 7
    for again in (one, *others):
        with pytest.raises(InvalidInputError, match="key of a row"):
            table.append([{**again}])
    assert table.upsert([one]).updated == 1


def test_a_bucket_is_like_a_folder(lake_uri: str) -> None:
    lake = lf.open(lake_uri)
    table = lake.folio("exp").create_table("scores", COLUMNS, key="id")
    for number in range(3):
        table.append([{"id": number, "score": number / 10}], once=f"n{number}")
    assert table.append([{"id": 2}], once="n2").repeated
    lake.snapshot("s")
    table.upsert([{"id": 0, "score": 0.75}, {"id": 7}])
    table.delete_where("id = 1")
    fresh = lf.open(lake_uri)
    assert ids(fresh.folio("exp").table("scores")) == [0, 2, 7]
    assert ids(fresh.folio("exp").table("scores", at="s")) == [0, 1, 2]
    assert fresh.sql('select max(score) from "exp:scores"').fetchall() == [(0.75,)]
    with pytest.raises(InvalidInputError, match="key of a row"):
        fresh.folio("exp").table("scores").append({"id": 7})
    fresh.restore("s")
    assert ids(table) == [0, 1, 2]
    table.compact()
    assert ids(table) == [0, 1, 2]
    assert lake.check(read_data=True).ok


_DELTA_SCAN = """
import duckdb, duckdb_extension_delta, glob, os, sys
connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
connection.execute("set enable_progress_bar = false")
folder = os.path.dirname(duckdb_extension_delta.__file__)
(found,) = glob.glob(os.path.join(folder, "**", "*.duckdb_extension"), recursive=True)
connection.execute(f"load '{found}'")
print(connection.execute(f"select count(*), sum(id)::int from delta_scan('{sys.argv[1]}')").fetchall())
"""


def test_duckdb_scans_the_delta_table(scores: Any) -> None:
    need("duckdb_extension_delta", "test")
    scores.append([{"id": number, "score": 0.5} for number in range(5)])
    scores.delete_where("id = 3")
    done = subprocess.run([sys.executable, "-c", _DELTA_SCAN, scores.uri], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[(4, 7)]"


def test_a_table_that_a_batch_makes_is_written_to_after_it(folio: lf.Folio) -> None:
    lake = lf.open(folio.lake_uri)
    with lake.batch("b"):
        made = lake.folio("exp").create_table("t", {"a": "int64"})
        with pytest.raises(InvalidInputError, match="batch"):
            made.append([{"a": 1}])
        lake.snapshot("s")
    made.append([{"a": 1}])
    assert (made.count(), lake.folio("exp").table("t", at="s").count()) == (1, 0)


def test_a_dataset_has_the_rows_of_when_it_was_made(folio: lf.Folio, scores: Any) -> None:
    scores.append({"id": 1})
    lake = lf.open(folio.lake_uri)
    lake.create_dataset("d", ["exp:scores"])
    scores.append({"id": 2})
    assert ids(lake.folio("datasets/d").table("scores")) == [1]


def test_search_finds_its_columns(folio: lf.Folio, scores: Any) -> None:
    lake = lf.open(folio.lake_uri)
    assert [hit.ref for hit in lake.search("extra")] == ["exp:scores@1"]
    assert folio.item_info("scores")["table_version"] == 0


def test_a_check_beside_a_writer_misses_no_file_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = lf.open(tmp_path / "lake")
    table = lake.folio("f").create_table("t", {"id": "int64"}, key="id")
    table.append([{"id": 1}])

    def written_meanwhile(*given: Any) -> Any:
        table.append([{"id": 2}])
        return table_of(*given)

    table_of = record_tables.table_of
    monkeypatch.setattr(record_tables, "table_of", written_meanwhile)
    assert lake.check().problems == []
    assert table.count() == 2

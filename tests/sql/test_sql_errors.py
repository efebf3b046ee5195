"""What SQL can't compute is said by an error of the library, however late DuckDB finds out."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import lakefolio as lf
from lakefolio.errors import InvalidInputError, ReadOnlyError
from lakefolio.views.sql_result import translated

BROKEN = "select cast(t as integer) as n from (values ('1'), ('x')) v(t)"


@pytest.fixture
def lake(tmp_path: Path) -> lf.Lake:
    lake = lf.open(tmp_path / "lake")
    lake.folio("f").add_json("a", 1, metadata={"word": "x"})
    lake.create_run(run_id="r", status="done", params={"lr": 0.1, "deep": {"a": [1]}}, tags=["t"])
    return lake


@pytest.mark.parametrize(
    "ask",
    [
        lambda found: found.fetchall(),
        lambda found: found.fetchone(),
        lambda found: found.df(),
        lambda found: found.pl(),
        lambda found: found.to_arrow_table(),
        lambda found: found.limit(5).fetchall(),
        lambda found: found.filter("n > 0").order("n").fetchall(),
        lambda found: found["n"].fetchall(),
        lambda found: found.union(found).fetchall(),
        lambda found: found.filter("nope > 0").fetchall(),
        lambda found: found.show(),
        str,
    ],
)
def test_rows_that_can_not_be_computed(lake: lf.Lake, ask: Callable[[Any], object]) -> None:
    with pytest.raises(InvalidInputError) as info:
        ask(lake.sql(BROKEN))
    assert info.value.kind == "sql"
    assert "\n" not in str(info.value)


def test_a_relation_is_all_that_one_of_duckdb_is(lake: lf.Lake) -> None:
    found = lake.sql("select * from items")
    assert isinstance(found, duckdb.DuckDBPyRelation)
    assert "item" in found
    assert "item" in found.columns
    assert len(found) == 1
    assert found.shape == (1, len(found.columns))
    assert "fetchall" in dir(found)
    assert found.project("item").union(found.project("folio")).order("item").fetchall() == [("a",), ("f",)]
    assert found["item"].fetchall() == [("a",)]
    assert pl.DataFrame(found).height == 1
    assert pa.table(found.select("item")).to_pylist() == [{"item": "a"}]
    with pytest.raises(AttributeError):
        found.fetch_everything()


def test_an_answer_changes_no_relation_that_others_read(lake: lf.Lake) -> None:
    for make in ("create", "create_view", "to_table", "to_view", "insert_into"):
        with pytest.raises(InvalidInputError, match="makes no views") as info:
            getattr(lake.sql("select 1 as item"), make)("items")
        assert "connect()" in str(info.value.hint)
    for statement in ("drop view items", "create or replace view items as select 1 as item", "copy t to 't.csv'"):
        with pytest.raises(InvalidInputError):
            lake.sql("from items").query("t", statement)
    assert lake.sql("from items").query("t", "select count(*) from t").fetchall() == [(1,)]
    assert lake.sql("select item from items").fetchall() == [("a",)]


def test_an_answer_is_written_to_a_file(lake: lf.Lake, tmp_path: Path) -> None:
    found = lake.sql("select folio, item from items")
    found.to_parquet(str(tmp_path / "x.parquet"))
    assert pl.read_parquet(tmp_path / "x.parquet").rows() == [("f", "a")]
    found.filter("item = 'a'").write_csv(str(tmp_path / "x.csv"), header=True)
    assert (tmp_path / "x.csv").read_text() == "folio,item\nf,a\n"
    with pytest.raises(InvalidInputError, match="No such file"):
        found.to_csv(str(tmp_path / "none" / "x.csv"))


@pytest.mark.parametrize("where", ["cast('x' as integer) > 1", "nope > 1", "lr > 'x'"])
def test_an_expression_is_all_that_its_error_speaks_of(lake: lf.Lake, where: str) -> None:
    for ask in (lake.run_rows, lake.query):
        with pytest.raises(InvalidInputError) as info:
            ask(where=where)
        assert info.value.kind == "sql"
        assert str(info.value).startswith("where ")
        assert "select" not in str(info.value)


def test_types_that_duckdb_lacks(lake: lf.Lake) -> None:
    half = pa.array([np.float16(1.5)], pa.float16())
    columns = {
        "half": half,
        "halves": pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), half),
        "nested": pa.StructArray.from_arrays([half], ["x"]),
        "wide": pa.array([12], pa.decimal256(60)),
        "seconds": pa.array([90], pa.duration("s")),
    }
    folio = lake.folio("f").add_table("t", pa.table(columns))
    row = lake.sql('select half, halves, nested, wide, epoch(seconds) from "f:t"').fetchall()
    assert row == [(1.5, [1.5], {"x": 1.5}, 12, 90.0)]
    folio.add_table("long", pa.table({"d": pa.array([2**62], pa.duration("s"))}))
    folio.add_table("large", pa.table({"d": pa.array([10**50], pa.decimal256(60))}))
    for name in ("long", "large"):
        with pytest.raises(InvalidInputError, match="column 'd'"):
            lake.sql(f'from "f:{name}"')


ARROW = [
    lambda one: one.to_arrow_table(),
    lambda one: one.to_arrow_reader().read_all(),
    lambda one: one.pl().to_arrow(),
]


@pytest.mark.parametrize("fetch", ARROW)
def test_values_that_arrow_would_change_come_unchanged(lake: lf.Lake, fetch: Callable[[Any], pa.Table]) -> None:
    made = "1::hugeint h, ['010'::bit] b, {'a b': timetz '05:00:00+02'} t, 1::uhugeint u, timetz '05:00:00+02' z"
    (row,) = fetch(lake.sql(f"select {made}")).to_pylist()
    assert row == {"h": 1, "b": ["010"], "t": {"a b": "05:00:00+02"}, "u": 1, "z": "05:00:00+02"}
    with pytest.raises(InvalidInputError, match="cast the column to varchar"):
        fetch(lake.sql(f"select [{2**128 - 1}::uhugeint] h"))


@pytest.mark.parametrize(
    "value", ["date 'infinity'", "[{'a': timestamptz '-infinity'}]", "map {1: timestamp 'infinity'}"]
)
def test_an_infinite_time_is_no_day_far_ahead(lake: lf.Lake, tmp_path: Path, value: str) -> None:
    for fetch in ARROW:
        with pytest.raises(InvalidInputError, match="'d' holds an infinite time"):
            fetch(lake.sql(f"select {value} d"))
    with pytest.raises(InvalidInputError, match="infinite time"):
        lake.folio("f").add_query("x", f"select {value} d")
    assert "x" not in lake.folio("f")
    lake.sql(f"select ({value})::varchar d").to_csv(str(tmp_path / "a.csv"))
    assert "infinity" in (tmp_path / "a.csv").read_text()


@pytest.mark.parametrize("name", ["fetchall", "fetchone", "df", "fetchnumpy", "pl"])
@pytest.mark.parametrize("kind", ["date", "timestamp", "timestamptz", "timestamp_ns"])
def test_an_infinite_time_is_refused_however_rows_are_fetched(lake: lf.Lake, name: str, kind: str) -> None:
    answer = lake.sql(f"select unnest(['2026-01-01'::{kind}, 'infinity'::{kind}]) d")
    with pytest.raises(InvalidInputError, match=r"'d' holds an infinite time.*cast the column to varchar"):
        getattr(answer, name)()
    assert getattr(lake.sql(f"select '2026-01-01'::{kind} d"), name)() is not None


NANOSECONDS = "timestamp_ns '2026-01-01 00:00:00.123456789'"
DIGITS = "12345678901234567890.12::decimal(22, 2)"


@pytest.mark.parametrize(
    ("value", "said", "plain"),
    [
        ("timestamp 'infinity'", "infinite time", "timestamp '2026-01-01'"),
        (NANOSECONDS, "nanoseconds", "timestamp_ns '2026-01-01 00:00:00.123456'"),
        ("interval '2 years'", "interval of months", "interval '70 days'"),
        ("interval '1 month 1 day'", "interval of months", "null::interval"),
    ],
)
@pytest.mark.parametrize(
    "nested",
    ["{}", "[null, {}]", "{{'a b': {}}}", "map {{'k': [{}]}}", "array_value({})", "row(1, {})", "[{{'l': [{}]}}]"],
)
def test_rows_never_hold_another_value(lake: lf.Lake, value: str, said: str, plain: str, nested: str) -> None:
    with pytest.raises(InvalidInputError, match=f"'d' holds an? .*{said}.*varchar"):
        lake.sql(f"select {nested.format(value)} d").fetchall()
    assert len(lake.sql(f"select {nested.format(plain)} d").fetchall()) == 1
    assert lake.sql(f"select null::varchar[] e, {nested.format(plain)} d").df().shape == (1, 2)


def test_frames_hold_what_numpy_has_and_no_other_value(lake: lf.Lake) -> None:
    for value in (
        "map {'k': timestamp '-infinity'}",
        f"{{'a': {NANOSECONDS}}}",
        "[interval '1 month']",
        DIGITS,
        f"[{DIGITS}]",
    ):
        with pytest.raises(InvalidInputError, match=r"'d' holds an? "):
            lake.sql(f"select {value} d").df()
    frame = lake.sql(
        f"select {NANOSECONDS} a, [{NANOSECONDS}] b, sum(0.1) c, {{'d': {DIGITS}}} d, null::decimal(38, 2) e"
    ).df()
    assert (frame["a"][0].nanosecond, str(frame["b"][0][0])[-9:], frame["c"][0]) == (789, "123456789", 0.1)
    assert (str(frame["d"][0]["d"]), frame["e"].isna().all()) == ("12345678901234567890.12", True)
    assert lake.sql(f"select {DIGITS} d").pl()["d"][0] == lake.sql(f"select {DIGITS} d").fetchall()[0][0]


def test_rows_are_fetched_one_after_the_other_with_times_among_them(lake: lf.Lake) -> None:
    answer = lake.sql("select date '2026-01-01' + i::integer d from range(5) t(i) order by i")
    days = [answer.fetchone()[0].day, *(one.day for (one,) in answer.fetchmany(2))]  # type: ignore[index]
    assert [*days, *(one.day for (one,) in answer.fetchall())] == [1, 2, 3, 4, 5]


def test_large_integers_are_no_floats_in_pandas(lake: lf.Lake) -> None:
    made = f"sum({2**53 + 1}::bigint) s, 1::uhugeint u, '010'::bit b, timetz '05:00:00+02' z"
    frame = lake.sql(f"select {made}").df()
    assert frame.iloc[0].tolist() == [2**53 + 1, 1, "010", "05:00:00+02"]
    assert [str(kind) for kind in frame.dtypes[:2]] == ["int64", "uint64"]
    assert lake.sql(f"select {made}").fetchnumpy()["s"].tolist() == [2**53 + 1]
    with pytest.raises(InvalidInputError, match="cast the column to varchar"):
        lake.sql(f"select {2**100}::hugeint h").df()


@pytest.mark.parametrize("value", ["time '24:00'", "interval '1 month'", "union_value(n := 1)"])
def test_what_polars_does_not_have_is_refused_in_one_line(lake: lf.Lake, value: str) -> None:
    with pytest.raises(InvalidInputError, match=r"cast the column to varchar") as found:
        lake.sql(f"select {value} v").pl()
    assert "\n" not in str(found.value)


def test_what_a_run_recorded_is_not_changed_in_a_copy(lake: lf.Lake) -> None:
    found = lake.get_run("r")
    for change in (
        lambda: found.params.update(x=1),
        lambda: found.params["deep"]["a"].append(2),
        lambda: found.metrics.clear(),
        lambda: found.tags.append("u"),
        lambda: found.metadata.pop("x", None),
    ):
        with pytest.raises(ReadOnlyError, match="resume_run"):
            change()
    assert found.params == {"lr": 0.1, "deep": {"a": [1]}}
    assert json.dumps(found.params)
    for other in (copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        assert other == found
    plain = found.to_dict()
    plain["params"]["deep"]["a"].append(2)
    assert plain["params"] != found.params


class Stream:
    """Is interrupted when DuckDB asks for its rows."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        raise KeyboardInterrupt


def interrupted_batches() -> Iterator[pa.RecordBatch]:
    yield pa.record_batch({"a": [1]})
    raise KeyboardInterrupt


def interrupted_function(number: int) -> int:
    raise KeyboardInterrupt


@pytest.mark.parametrize("where", ["stream", "batches", "function"])
def test_an_interrupt_within_python_that_duckdb_calls_stays_one(where: str) -> None:
    connection = duckdb.connect()
    connection.create_function("called", interrupted_function, ["BIGINT"], "BIGINT")
    stream = Stream()  # noqa: F841  DuckDB finds it by its name
    batches = pa.RecordBatchReader.from_batches(pa.schema([("a", pa.int64())]), interrupted_batches())  # noqa: F841
    statements = {"stream": "from stream", "batches": "from batches", "function": "select called(1)"}
    with pytest.raises(KeyboardInterrupt), translated(lambda exc: InvalidInputError(str(exc), kind="bad-sql")):
        connection.sql(statements[where]).fetchall()
    said = "select error('no KeyboardInterrupt')"
    with pytest.raises(InvalidInputError), translated(lambda exc: InvalidInputError(str(exc), kind="bad-sql")):
        connection.sql(said).fetchall()

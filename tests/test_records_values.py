"""Values arrive in a record table as they are, or no row of them does."""

from __future__ import annotations

import datetime as dt
import functools
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import lakefolio as lf
from lakefolio.errors import InvalidInputError

DAY = dt.datetime(2020, 1, 1)
ONE_HOUR_EAST = dt.datetime(2020, 1, 1, 5, tzinfo=dt.timezone(dt.timedelta(hours=1)))
DEEP = functools.reduce(lambda inner, _: [inner], range(100_000), 1)
NO_TEXT = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(np.array([0, 1], "i4")), pa.py_buffer(b"\xff")])


@pytest.fixture
def folio(tmp_path: Path) -> lf.Folio:
    return lf.open(tmp_path / "lake").folio("exp")


REFUSED = {
    "a fraction for whole numbers": ("int64", 1.5),
    "one of numpy": ("int64", np.float32(1.5)),
    "one in a list": ("list<int64>", [1, 1.5]),
    "one in a struct": ("struct<x: int64>", {"x": 1.5}),
    "one in a map": ("map<string, int64>", {"k": 1.5}),
    "a truth in a list": ("list<int64>", [True]),
    "a truth for a fraction": ("double", True),
    "a truth in a list of float32": ("list<float32>", [np.True_]),
    "a truth for a decimal": ("decimal(5, 2)", True),
    "a text for bytes": ("binary", "abc"),
    "a text in a list of bytes": ("list<binary>", ["abc"]),
    "bytes for a text": ("string", b"abc"),
    "bytes in a struct of texts": ("struct<x: string>", {"x": b"abc"}),
    "bytes for JSON": ("json", b"{}"),
    "a text for a list": ("list<string>", "abc"),
    "a set for a list": ("list<int64>", {1, 2}),
    "a number above float32": ("float32", 1e300),
    "one in a list of float32": ("list<float32>", [1e300]),
    "a time for a day": ("date", DAY.replace(hour=5)),
    "one of numpy for a day": ("date", np.datetime64("2020-01-01T05")),
    "a time without a zone": ("timestamp", DAY),
    "one in a struct of times": ("struct<t: timestamp>", {"t": DAY}),
    "one of numpy without a zone": ("timestamp", np.datetime64(DAY)),
    "a time with a zone": ("timestamp_ntz", ONE_HOUR_EAST),
    "one in a list of times": ("list<timestamp_ntz>", [ONE_HOUR_EAST]),
    "nanoseconds": ("timestamp_ntz", pd.Timestamp(1)),
    "nanoseconds of numpy": ("timestamp_ntz", np.datetime64(1, "ns")),
    "a time before the year 1": ("timestamp", dt.datetime.min.replace(tzinfo=ONE_HOUR_EAST.tzinfo)),
    "a field that a struct lacks": ("struct<x: int64>", {"x": 1, "y": 2}),
    "a float for a decimal": ("decimal(5, 2)", 1.1),
    "keys that are no texts": ("json", {"k": [{1: "a", "1": "b"}]}),
    "JSON too deep": ("json", DEEP),
    "half a character in JSON": ("json", "\ud800"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_value_that_would_be_another_is_refused(folio: lf.Folio, name: str) -> None:
    kind, value = REFUSED[name]
    table = folio.create_table("t", {"n": "int64", "v": kind})
    for rows in ([{"n": 1}, {"n": 2, "v": value}], [{"n": 1, "v": None}, {"n": 2, "v": value}]):
        with pytest.raises(InvalidInputError, match="row 1, column 'v'") as refused:
            table.append(rows)
        assert refused.value.kind == "invalid-rows"
    assert table.count() == 0


ACCEPTED = {
    "whole floats": ("int64", [1.0, np.int8(2), 3], [1, 2, 3]),
    "floats": ("float32", [0.5, 1, float("inf"), np.float64(2)], [0.5, 1.0, float("inf"), 2.0]),
    "bytes": ("binary", [b"a", bytearray(b"b"), memoryview(b"c"), np.bytes_(b"d")], [b"a", b"b", b"c", b"d"]),
    "texts": ("string", ["a", np.str_("b")], ["a", "b"]),
    "days": ("date", [DAY.date(), dt.date.min], [DAY.date(), dt.date.min]),
    "instants": ("timestamp", [ONE_HOUR_EAST], [ONE_HOUR_EAST]),
    "times of pandas": ("timestamp_ntz", [pd.Timestamp(DAY)], [DAY]),
    "the last time": ("timestamp_ntz", [dt.datetime.max], [dt.datetime.max]),
    "structs that lack a field": ("struct<x: int64, y: string>", [{"x": 1}], [{"x": 1, "y": None}]),
    "lists": ("list<double>", [(1, 2.5), [None]], [[1.0, 2.5], [None]]),
    "decimals": ("decimal(5, 2)", [Decimal("1.1"), 2], [Decimal("1.10"), Decimal("2.00")]),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_value_that_stays_itself_is_taken(folio: lf.Folio, name: str) -> None:
    kind, given, expected = ACCEPTED[name]
    table = folio.create_table("t", {"v": kind})
    table.append([{"v": value} for value in given])
    assert table.to_arrow()["v"].to_pylist() == expected


@pytest.mark.parametrize(
    ("kind", "rows"),
    [
        ("decimal(5, 2)", pd.DataFrame({"v": [1.1, 1.105]})),
        ("list<float32>", pl.DataFrame({"v": [[0.5], [0.1]]})),
        ("struct<x: float32>", pl.DataFrame({"v": [{"x": 0.5}, {"x": 1e300}]})),
        ("timestamp_ntz", pa.table({"v": pa.array([1, 2**60], pa.timestamp("s"))})),
        ("timestamp_ntz", pa.table({"v": pa.array([1, 2**62], pa.timestamp("us"))})),
        ("date", pa.table({"v": pa.array([1, -(2**30)], pa.date32())})),
    ],
)
def test_a_cell_of_a_frame_that_would_be_another_is_refused(folio: lf.Folio, kind: str, rows: Any) -> None:
    with pytest.raises(InvalidInputError, match="row 1, column 'v'"):
        folio.create_table("t", {"v": kind}).append(rows)


@pytest.mark.parametrize("rows", [pa.table({"v": NO_TEXT}), pl.DataFrame({"v": pl.Series([2**100], dtype=pl.Int128)})])
def test_what_arrow_cannot_hand_over_is_one_error(folio: lf.Folio, rows: Any) -> None:
    with pytest.raises(InvalidInputError, match="'exp:t' can't be read"):
        folio.create_table("t", {"v": "string"}).append(rows)


def test_categories_of_polars_and_the_index_of_pandas_arrive(folio: lf.Folio) -> None:
    table = folio.create_table("t", {"id": "int64", "v": "string"}, key="id")
    table.append(pl.DataFrame({"id": [1, 2], "v": pl.Series(["a", None], dtype=pl.Categorical)}))
    table.upsert(pd.DataFrame({"v": ["b", "c"]}, index=pd.Index([2, 3], name="id")))
    assert table.query(order="id", as_="arrow").to_pylist() == [
        {"id": 1, "v": "a"},
        {"id": 2, "v": "b"},
        {"id": 3, "v": "c"},
    ]
    with pytest.raises(InvalidInputError, match="no column 'day'"):
        table.append(pd.DataFrame({"id": [4]}, index=pd.Index([1], name="day")))


COLUMNS = {"name": "string", "tags": "list<string>", "n": "int64", "extra": "json"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"name": "ab", "tags": ["x", "y"]}, [("ab", ["x", "y"])]),
        ({"name": "ab", "tags": ["x"], "n": 1}, [("ab", ["x"])]),
        ({"tags": ["x", "y"]}, [(None, ["x", "y"])]),
        ({"tags": [["x", "y"], None]}, [(None, ["x", "y"]), (None, None)]),
        ({"name": ["a", "b"], "tags": [["x"], ["y"]]}, [("a", ["x"]), ("b", ["y"])]),
        ({"name": ("a", "b"), "n": np.array([1, 2])}, [("a", None), ("b", None)]),
        ({"name": pd.Series(["a", "b"], index=[5, 6]), "n": pl.Series([1, 2])}, [("a", None), ("b", None)]),
        ({"name": pa.array(["a", "b"]), "n": range(2)}, [("a", None), ("b", None)]),
        ({"extra": {"k": 1}, "tags": ["x"]}, [(None, ["x"])]),
        ({"name": [], "n": []}, []),
    ],
)
def test_a_dict_is_a_row_or_columns_by_what_the_schema_says(folio: lf.Folio, given: Any, expected: Any) -> None:
    table = folio.create_table("t", COLUMNS)
    table.append(given)
    assert [(row["name"], row["tags"]) for row in table.to_arrow().to_pylist()] == expected


def test_a_dict_that_may_be_either_is_refused(folio: lf.Folio) -> None:
    with pytest.raises(InvalidInputError, match="may be one row or columns"):
        folio.create_table("t", COLUMNS).append({"extra": [1, 2]})


# -- conditions on numbers: as SQL counts, whatever Arrow would round ------------------------------------------

NUMBERS = pa.table(
    {
        "n": pa.array([2**53 + 1, -(2**63), 2**63 - 1, None], pa.int64()),
        "i": pa.array([2**25 + 1, -3, 2**31 - 1, 0], pa.int32()),
        "f": pa.array([0.1, 16777217.0, None, -0.0], pa.float64()),
        "d": pa.array([Decimal("1.50"), Decimal(0), None, Decimal("-0.01")], pa.decimal128(10, 2)),
    }
)
CONDITIONS = [
    *["n > 0.5", "n = 9007199254740993.0", "n > 9007199254740992.5", "n < 9007199254740993.5", "n >= 1e-30"],
    *["n > 9223372036854775808", "n < 99999999999999999999", "n != 1e30", "n > -1e30", "1e-30 < n"],
    *["n BETWEEN 0.1 AND 9007199254740993.0", "n IN (9007199254740993.0, 0.5)", "n NOT IN (0.5)", "i = -3.0"],
    *["n > f", "f < n", "i > d", "d > i", "f > d", "n > d", "d > 0.5", "f > 16777216"],
    *["f < 99999999999999999999999", "f BETWEEN -99999999999999999999 AND 1", "f IN (16777217, 99999999999999999999)"],
    *["n + 0.5 > 1", "n * 1.5 > 3", "0.5 * n > 3", "-i < 0.5", "abs(i) > 0.5", "round(i) > 0.5", "n - f > 0"],
    *["i % 2 = 1", "i % 2 = -1", "n % 7 = 0", "i % 0 IS NULL", "n / 3 > 0.1", "n / i > 1", "1 / i > 0", "d * i > 0"],
]


@pytest.mark.parametrize("where", CONDITIONS)
def test_conditions_on_numbers_count_as_sql_does(numbers: Any, where: str) -> None:
    rows = NUMBERS  # DuckDB finds it by its name
    assert rows.num_rows == numbers.count()
    expected = duckdb.sql(f"select count(*) from rows where {where}").fetchone()
    assert (numbers.count(where),) == (len(numbers.query(where, as_="arrow")),) == expected


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Any:
    columns = {"n": "int64", "i": "int32", "f": "double", "d": "decimal(10, 2)"}
    table = lf.open(tmp_path_factory.mktemp("numbers")).folio("exp").create_table("t", columns)
    table.append(NUMBERS)
    return table


@pytest.mark.parametrize("where", ["i + i > 0", "n * n > 0", "n - 5 > 0"])
def test_a_condition_that_overflows_is_one_error(numbers: Any, where: str) -> None:
    for ask in (numbers.count, numbers.query, numbers.delete_where):
        with pytest.raises(InvalidInputError, match="can't be computed of the rows: overflow") as caught:
            ask(where)
        assert caught.value.kind == "bad-condition"


def test_a_remainder_of_fractions_is_refused(numbers: Any) -> None:
    with pytest.raises(InvalidInputError, match="% takes whole numbers"):
        numbers.count("f % 0.05 > 0")


def test_a_check_with_a_fraction_takes_large_numbers(folio: lf.Folio) -> None:
    table = folio.create_table("t", {"n": "int64"}, checks={"enough": "n * 1.5 > 3"})
    table.append([{"n": 2**25 + 1}, {"n": 2**53 + 1}])
    with pytest.raises(InvalidInputError, match="breaks 'enough'"):
        table.append({"n": 1})
    assert table.count() == 2


def test_no_reader_takes_a_choice_of_rows_and_returns_them_all(folio: lf.Folio, tmp_path: Path) -> None:
    folio.create_table("r", pa.schema([("small", pa.int8()), ("x", pa.float64())]))
    folio.table("r").append(pa.table({"small": pa.array([1, -5, 127, None], pa.int8()), "x": [1.0, 2.0, 3.0, None]}))
    for choice in ({"where": "small > 100"}, {"columns": ["x"]}, {"order": ["x"]}, {"limit": 1}):
        with pytest.raises(InvalidInputError, match=f"takes no {next(iter(choice))}"):
            folio.get("r", as_="dataset", **choice)
    assert folio.get("r", as_="dataset").count_rows() == 4
    counts = {"small > 300": 0, "small < 300": 3, "small >= -1000": 3, "small in (1, 300)": 1, "not small > 300": 3}
    for where, count in counts.items():
        read = [len(folio.get("r", as_=form, where=where)) for form in ("pandas", "polars", "arrow")]
        read.append(folio.get("r", as_="lazy", where=where).collect().height)
        read.append(folio.table("r").count(where))
        read += lf.open(tmp_path / "lake").sql(f'select count(*) from "exp:r" where {where}').fetchall()[0]
        assert set(read) == {count}
    for form in ("pandas", "arrow", "lazy", "dataset"):
        with pytest.raises(lf.LakefolioError, match="filters"):
            folio.get("r", as_=form, filters=[("small", ">", 100)])


@pytest.mark.parametrize(
    ("kind", "fill"),
    [
        ("int64", 1.5),
        ("date", dt.datetime(2020, 1, 1, 5)),
        ("timestamp", dt.datetime(2020, 1, 1)),
        ("float32", 1e300),
        ("string", b"x"),
        ("binary", "x"),
        ("struct<x: double>", {"y": 1}),
        ("json", {1: 2}),
    ],
)
def test_a_fill_that_would_be_another_value_is_refused(folio: lf.Folio, kind: str, fill: object) -> None:
    table = folio.create_table("t", {"id": "int64"})
    table.append([{"id": 1}])
    with pytest.raises(InvalidInputError) as error:
        table.add_column("c", kind, fill=fill)
    assert error.value.kind == "bad-schema"
    assert (table.version, table.schema.arrow.names) == (1, ["id"])


def test_a_fill_is_a_value_as_those_of_rows_are(folio: lf.Folio) -> None:
    table = folio.create_table("t", {"id": "int64"})
    table.append([{"id": 1}])
    table.add_column("c", "json", fill={"a": [1]})
    assert table.to_arrow().to_pylist() == [{"id": 1, "c": '{"a": [1]}'}]

"""Table files of other programs: read as tables without losing a digit, written back, and refused when they lie."""

from __future__ import annotations

import contextlib
import datetime as dt
import gzip
import json
import sqlite3
import subprocess
import sys
import warnings
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner

import lakefolio as lf
from lakefolio.cli import cli
from lakefolio.errors import InvalidInputError, LakefolioError, UnsupportedTypeError
from lakefolio.items import unpacked
from lakefolio.items.table_hdf5 import open_hdf5

TABLE = pa.table(
    {
        "id": pa.array([1, 2**60 + 1, None], pa.int64()),
        "x": pa.array([0.1, None, -1e300], pa.float64()),
        "name": pa.array(["=1+1", None, "zwei ü\n"], pa.string()),
        "code": pa.array(["007", "1e5", ""], pa.string()),
    }
)


@pytest.fixture
def folio(tmp_path: Path) -> lf.Folio:
    return lf.open(tmp_path / "lake").folio("f")


def read(folio: lf.Folio, path: Path, **options: Any) -> pa.Table:
    with warnings.catch_warnings(action="ignore"):
        folio.import_table("t", path, overwrite=True, **options)
    found: pa.Table = folio.get("t", as_="arrow")
    return found


def refused(folio: lf.Folio, path: Path, match: str = ".", **options: Any) -> None:
    with pytest.raises(InvalidInputError, match=match) as error:
        folio.import_table("bad", path, **options)
    assert "\n" not in str(error.value)
    assert "bad" not in [one.item for one in folio.items()]


@pytest.mark.parametrize(
    "ending",
    ["json", "ndjson", "jsonl.gz", "xlsx", "h5", "sqlite", "duckdb", "csv.gz", "tsv", "feather", "arrow", "parquet"],
)
def test_every_format_comes_back_with_all_digits(folio: lf.Folio, tmp_path: Path, ending: str) -> None:
    folio.add("out", TABLE)
    path = folio.export("out", tmp_path / f"out.{ending}")
    found = read(folio, path)
    assert found.column_names == TABLE.column_names
    rows = found.to_pylist()
    expected = TABLE.to_pylist()
    if ending == "xlsx":  # a double can't hold it: the column became text
        assert [row["id"] for row in rows] == ["1", str(2**60 + 1), None]
        rows = [{**row, "id": one["id"]} for row, one in zip(rows, expected, strict=True)]
        expected[2]["code"] = None  # Excel has no empty text
    if ending in ("csv.gz", "tsv"):
        assert rows[0]["code"] == "007"
        return
    assert rows == expected


def test_types_that_a_format_lacks_become_text(folio: lf.Folio, tmp_path: Path) -> None:
    at = dt.datetime(2026, 1, 2, 3, 4, 5, 6, dt.UTC)
    table = pa.table(
        {
            "d": [Decimal("1.10")],
            "at": [at],
            "l": [[1, 2]],
            "b": [b"\0\xff"],
            "f": [True],
            "u": pa.array([2**64 - 1], pa.uint64()),
        }
    )
    folio.add("out", table)
    for ending in ("xlsx", "h5", "sqlite", "duckdb"):
        row = read(folio, folio.export("out", tmp_path / f"out.{ending}")).to_pylist()[0]
        assert str(row["d"]) == "1.10"
        assert str(row["u"]) == str(2**64 - 1)
        assert str(row["at"])[:19].replace("T", " ") == "2026-01-02 03:04:05"
        assert row["f"] == 1
        if ending in ("sqlite", "duckdb"):
            assert row["b"] == b"\0\xff"


# -- JSON --------------------------------------------------------------------------------------------------


def test_json_numbers_keep_their_digits(folio: lf.Folio, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(
        '[{"big": 12345678901234567890, "d": 0.1000000000000000000001, "f": 0.1, "m": 1}, {"m": "x", "n": {"y": [1]}}]'
    )
    found = read(folio, path)
    assert found.column("big").to_pylist()[0] == Decimal(12345678901234567890)
    assert found.column("d").to_pylist()[0] == Decimal("0.1000000000000000000001")
    assert found.schema.field("f").type == pa.float64()
    assert found.column("m").to_pylist() == ["1", "x"]
    assert found.column("n").to_pylist() == [None, {"y": [1]}]
    path.write_text('{"a": [1, 2], "b": ["x", null]}')
    assert read(folio, path).to_pylist() == [{"a": 1, "b": "x"}, {"a": 2, "b": None}]


def test_ndjson_is_streamed_and_its_types_are_those_of_all_lines(folio: lf.Folio, tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson.gz"
    with gzip.open(path, "wt") as file:
        for number in range(40_000):
            file.write(json.dumps({"n": number} if number < 39_999 else {"n": 0.5, "late": "x"}) + "\n")
    found = read(folio, path)
    assert found.num_rows == 40_000
    assert found.schema.field("n").type == pa.float64()
    assert found.column("late").to_pylist()[-1] == "x"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", "{"),
        ("a.json", "5"),
        ("a.json", "[1, 2]"),
        ("a.json", '[{"a": 1, "a": 2}]'),
        ("a.json", '[{"a": NaN}]'),
        ("a.json", '{"a": [1], "b": [1, 2]}'),
        ("a.json", "[" * 100_000),
        ("a.ndjson", '{"a": 1}\n{"a": '),
        ("a.ndjson", '{"a": 1}\n[1]'),
        ("a.ndjson", '{"": 1}'),
        ("a.xlsx", "id,name\n1,2"),
        ("a.sqlite", "id,name\n1,2"),
        ("a.duckdb", "id,name\n1,2"),
        ("a.h5", "id,name\n1,2"),
        ("a.parquet", "id,name\n1,2"),
        ("a.arrow", "id,name\n1,2"),
        ("a.ndjson.gz", '{"a": 1}'),
        ("a.xls", "x"),
        ("a.docx", "x"),
    ],
)
def test_files_that_lie_are_one_error_and_nothing_is_stored(
    folio: lf.Folio, tmp_path: Path, name: str, text: str
) -> None:
    path = tmp_path / name
    path.write_text(text)
    refused(folio, path)


@pytest.mark.parametrize("ending", ["csv", "tsv", "csv.gz", "utf-16"])
def test_a_csv_file_that_ends_within_quotes_is_refused(folio: lf.Folio, tmp_path: Path, ending: str) -> None:
    mark = "\t" if ending == "tsv" else ","
    path = tmp_path / f"x.{ending.replace('utf-16', 'csv')}"

    def write(text: str) -> None:
        body = text.replace(",", mark).encode("utf-16" if ending == "utf-16" else "utf-8")
        path.write_bytes(gzip.compress(body) if ending == "csv.gz" else body)

    write('a,b\n1,"not closed\n2,x\n3,y\n')
    with pytest.raises(lf.InvalidInputError, match="ends within quotes: its last cell goes on for 4 lines") as caught:
        folio.import_table("x", path)
    assert caught.value.kind == "bad-table-file"
    assert "x" not in folio
    write('a,b\n1,"closed\n2,x"\n3,"and ""again""\n"\r\n\n')
    folio.import_table("x", path)
    assert folio.get_table("x", as_="arrow").column("b").to_pylist() == [
        "closed\n2,x".replace(",", mark),
        'and "again"\n',
    ]


def test_an_unknown_format_says_which_there_are(folio: lf.Folio, tmp_path: Path) -> None:
    path = tmp_path / "a.docx"
    path.write_text("x")
    with pytest.raises(InvalidInputError) as error:
        folio.import_table("t", path)
    for name in ("excel", "hdf5", "sqlite", "duckdb", "ndjson"):
        assert name in str(error.value)


# -- SQLite ------------------------------------------------------------------------------------------------


def test_sqlite_reads_rows_and_runs_nothing(folio: lf.Folio, tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    connection = sqlite3.connect(path)
    connection.executescript(
        "create table t (a integer, b, c text);"
        "insert into t values (1, 1, '007'), (2, 2.5, null), (9007199254740993, null, 'x');"
        "create view v as select * from t; create table u (x); insert into u values (1), ('a');"
    )
    connection.close()
    assert read(folio, path, table="t").to_pylist()[2] == {"a": 9007199254740993, "b": None, "c": "x"}
    assert read(folio, path, table="u").to_pylist() == [{"x": "1"}, {"x": "a"}]
    refused(folio, path, "2 tables")
    refused(folio, path, "no table 'v'", table="v")
    with pytest.raises(InvalidInputError, match="several tables"):
        folio.import_table("x", _csv(tmp_path), table="t")
    (tmp_path / "a.db-wal").write_bytes(b"x")
    refused(folio, path, "wal", table="t")


def _csv(folder: Path) -> Path:
    path = folder / "x.csv"
    path.write_text("a\n1\n")
    return path


def test_generated_columns_of_sqlite_come_along_unless_they_compute_too_much(folio: lf.Folio, tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"

    def made(*columns: str) -> Path:
        path.unlink(missing_ok=True)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute(f"create table t (a integer, {', '.join(columns)})")
            connection.execute("insert into t (a) values (1), (2)")
            connection.commit()
        return path

    made("b integer generated always as (a * 2) virtual", "c text as (upper('x' || a)) stored", "d")
    assert read(folio, path).to_pylist() == [
        {"a": 1, "b": 2, "c": "X1", "d": None},
        {"a": 2, "b": 4, "c": "X2", "d": None},
    ]
    refused(folio, made("b as (hex(zeroblob(10000000)))"), "too big")


# -- DuckDB ------------------------------------------------------------------------------------------------


def make_duckdb(path: Path, sql: str) -> None:
    code = "import duckdb, sys; duckdb.connect(sys.argv[1]).execute(sys.argv[2])"
    subprocess.run([sys.executable, "-c", code, str(path), sql], check=True)


def test_types_of_duckdb_that_arrow_changes_are_texts_within_nested_ones_too(folio: lf.Folio, tmp_path: Path) -> None:
    path, large = tmp_path / "a.duckdb", str(2**127 - 1)
    make_duckdb(
        path,
        f"create table t as select [{large}::hugeint] a, {{'x y': 1::hugeint, 'i': [interval '1 month']}} b,"
        " [timetz '05:00:00+02']::timetz[1] c, map {'k': '010'::bit} d",
    )
    folio.import_table("t", path)
    row = {"a": [large], "b": {"x y": "1", "i": ["1 month"]}, "c": ["05:00:00+02"], "d": [("k", "010")]}
    assert folio.get("t", as_="arrow").to_pylist() == [row]


def test_a_value_that_is_none_of_its_type_is_named(folio: lf.Folio, tmp_path: Path) -> None:
    values = {"time '24:00'": "24:00:00", "date '-infinity'": "infinite", "timestamptz 'infinity'": "infinite"}
    values |= {"[date 'infinity']": "infinite", "{'a': [map {1: timestamp '-infinity'}]}": "infinite"}
    for number, (value, said) in enumerate(values.items()):
        make_duckdb(path := tmp_path / f"{number}.duckdb", f"create table t as select {value} d")
        with pytest.raises(InvalidInputError, match=said):
            folio.import_table("t", path)
    whole = "[date '2020-01-01'] l, timestamp_ns '2020-01-01' n, timestamptz '2020-01-01 00:00:00+00' d"
    make_duckdb(path := tmp_path / "a.duckdb", f"create table t as select {whole}")
    folio.import_table("t", path)
    assert str(folio.get("t", as_="arrow").column("d").type) == "timestamp[us, tz=UTC]"


@pytest.mark.parametrize("micros", [4_000, 4, 999_999])
def test_a_time_in_excel_is_not_rounded(folio: lf.Folio, tmp_path: Path, micros: int) -> None:
    when = dt.datetime(2026, 12, 31, 23, 59, 59, micros)
    folio.add("t", pa.table({"at": [when], "of_day": [when.time()]}))
    folio.export("t", tmp_path / "t.xlsx")
    folio.import_table("back", tmp_path / "t.xlsx")
    (row,) = folio.get("back", as_="arrow").to_pylist()
    told = {"at": when, "of_day": when.time()}
    assert row == (told if micros == 4_000 else {name: value.isoformat() for name, value in told.items()})


@pytest.mark.parametrize(
    ("ending", "column"),
    [
        ("duckdb", pa.array([1_600_000_000_123_456_789], pa.timestamp("ns", "UTC"))),
        ("duckdb", pa.array([[("k", 1), ("k", 2)]], pa.map_(pa.string(), pa.int8()))),
        ("duckdb", pa.array([Decimal(10**60)], pa.decimal256(76, 2))),
        ("db", pa.array([253_402_300_805], pa.timestamp("s"))),
        ("xlsx", pa.array([253_402_300_805], pa.timestamp("s"))),
        ("h5", pa.array([253_402_300_805], pa.timestamp("s"))),
    ],
)
def test_what_a_format_can_not_hold_is_refused_by_its_column(
    folio: lf.Folio, tmp_path: Path, ending: str, column: pa.Array
) -> None:
    folio.add("t", pa.table({"n": pa.array([1]), "bad": column}))
    with pytest.raises(UnsupportedTypeError, match=r"can't hold column 'bad' of the type .*parquet"):
        folio.export("t", tmp_path / f"t.{ending}")
    assert not (tmp_path / f"t.{ending}").exists()


def test_duckdb_files_are_read_in_a_cage(folio: lf.Folio, tmp_path: Path) -> None:
    path, secret = tmp_path / "a.duckdb", tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    make_duckdb(
        path,
        "create table t as select 170141183460469231731687303715884105727::hugeint as h, 1 as i, [1, 2] as l;"
        f"create view v as select * from read_csv('{secret}'); create schema s; create table s.u as select 5 as x",
    )
    found = read(folio, path, table="t").to_pylist()
    assert found == [{"h": "170141183460469231731687303715884105727", "i": 1, "l": [1, 2]}]
    assert read(folio, path, table="s.u").to_pylist() == [{"x": 5}]
    refused(folio, path, "2 tables")
    refused(folio, path, "no table 'v'", table="v")
    path.write_bytes(path.read_bytes()[:5000])
    refused(folio, path, "duckdb", table="t")


# -- Excel -------------------------------------------------------------------------------------------------


def test_sheets_of_excel(folio: lf.Folio, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "one"
    for row in (["id", "when", "what"], [1, dt.datetime(2026, 1, 2, 3), "007"], [2, None, 5], [], [3]):
        sheet.append(row)
    book.create_sheet("two").append(["a", "a"])
    book.create_sheet("three").append(["a", None, "b"])
    wide = book.create_sheet("wide")
    wide.append(["a"])
    wide.append([1, 2])
    book.create_sheet("empty")
    path = tmp_path / "a.xlsx"
    book.save(path)
    found = read(folio, path, table="one").to_pylist()
    assert found[0] == {"id": 1, "when": dt.datetime(2026, 1, 2, 3), "what": "007"}
    assert [row["what"] for row in found] == ["007", "5", None]
    for name, why in (
        ("two", "two columns"),
        ("three", "no name"),
        ("wide", "row 2"),
        ("empty", "empty"),
        ("six", "no table"),
    ):
        refused(folio, path, why, table=name)


def test_an_excel_file_that_would_unpack_to_much_is_refused_unread(folio: lf.Folio, tmp_path: Path) -> None:
    path = tmp_path / "bomb.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"0" * (100 << 20))
    refused(folio, path, "unpack")


# -- HDF5 --------------------------------------------------------------------------------------------------


def test_datasets_of_hdf5(folio: lf.Folio, tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        made = file.create_dataset("g/x", data=np.arange(5, dtype=">i4"), compression="gzip")
        made.attrs["unit"] = "m"
        made.attrs["steps"] = [1, 2]
        file["m"] = np.array([[1.5, 2.0], [3.0, 4.0]])
        file["r"] = np.array([(1, b"a", 0.5)], dtype=[("i", "i8"), ("s", "S3"), ("f", "f4")])
        file["cube"] = np.zeros((2, 2, 2))
        file["scalar"] = 5
    found = read(folio, path, table="/g/x")
    assert found.to_pydict() == {"x": [0, 1, 2, 3, 4]}
    assert json.loads(found.schema.metadata[b"hdf5"]) == {"unit": "m", "steps": [1, 2]}
    assert read(folio, path, table="m").to_pydict() == {"m_0": [1.5, 3.0], "m_1": [2.0, 4.0]}
    assert read(folio, path, table="r").to_pylist() == [{"i": 1, "s": "a", "f": 0.5}]
    refused(folio, path, "5 tables")
    refused(folio, path, "3 dimensions", table="cube")
    refused(folio, path, "0 dimensions", table="scalar")
    folio.add("out", found)
    with h5py.File(folio.export("out", tmp_path / "b.h5")) as file:
        assert file["data"].attrs["unit"] == "m"


def test_an_array_of_hdf5_becomes_an_array(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["g/cube"] = np.arange(8).reshape(2, 2, 2)
        file["text"] = "x"
    lake = str(tmp_path / "lake")
    lf.open(lake)
    for name, code in (("/g/cube", 0), ("text", 2), ("none", 2)):
        given = ["add", "f:cube", str(path), "--as", "array", "--table", name, "--lake", lake]
        assert CliRunner().invoke(cli, given).exit_code == code
    assert lf.open(lake).get("f:cube").shape == (2, 2, 2)


def test_frames_that_pandas_stored(folio: lf.Folio, tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:  # as DataFrame.to_hdf lays it out
        group = file.create_group("df")
        group.attrs["pandas_type"] = np.bytes_(b"frame")
        group.attrs["nblocks"] = 2
        group["axis0"] = np.array([b"a", b"b", b"c"])
        group["axis1"] = np.array([10, 20])
        group["block0_items"] = np.array([b"a", b"c"])
        group["block0_values"] = np.array([[0.5, 1.5], [2.5, 3.5]])
        group["block1_items"] = np.array([b"b"])
        group["block1_values"] = np.array([[7], [8]])
    expected = pd.DataFrame({"index": [10, 20], "a": [0.5, 2.5], "b": [7, 8], "c": [1.5, 3.5]})
    assert read(folio, path, table="df").to_pandas().equals(expected)
    with h5py.File(path, "a") as file:
        del file["df/block1_values"]
    refused(folio, path, "block1_values")


@pytest.fixture(scope="module")
def pandas_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack a file that pandas 3.1.1 with PyTables 3.11.1 wrote: ``to_hdf`` in both formats, with ``index=False``."""
    path = tmp_path_factory.mktemp("hdf5") / "pandas_keys.h5"
    path.write_bytes(gzip.decompress((Path(__file__).parent / "items/pandas_keys.h5.gz").read_bytes()))
    return path


def key_of(path: Path, key: str | None) -> pa.Table:
    """Read a key as the child process does."""
    with open_hdf5(path, key) as reader:
        return reader.read_all()


def test_each_key_of_pandas_is_the_frame_that_was_stored(pandas_keys: Path) -> None:
    whole = {
        "i": pa.array([1, 2, 3]),
        "f": pa.array([1.5, np.nan, 3.0]),
        "b": pa.array([True, False, True]),
        "t": pa.array([1577836800123456789, None, 1620259200000000000], pa.timestamp("ns")),
        "z": pa.array([1577833200000000] * 3, pa.timestamp("us", "Europe/Berlin")),
        "d": pa.array([86400000000, 7200000000, None], pa.duration("us")),
    }
    texts = {"s": pa.array(["a", None, "c"]), "c": pa.array(["x", None, "x"]).dictionary_encode()}
    levels = {"k": pa.array(["a", "a", "b"]), "n": pa.array([1, 2, 1])}
    keys = {
        "fixed": whole,
        "table": whole | texts,
        "fixed/levels": levels | {"i": whole["i"]},
        "table/levels": levels | {"s": texts["s"], "i": whole["i"]},
        "series": {
            "when": pa.array([1577836800000000, 1577923200000000], pa.timestamp("us")),
            "v": pa.array([1.0, 2.0]),
        },
        "wide": {"('a', 'x')": pa.array([1]), "('b', 'y')": pa.array([2.5])},
        "empty": {name: values[:0] for name, values in whole.items()},
    }
    for key, columns in keys.items():
        found, expected = key_of(pandas_keys, key), pa.table(columns)
        assert found.column_names == expected.column_names
        assert [str(one) for one in found.schema.types] == [
            str(one).replace("indices=int32", "indices=int8") for one in expected.schema.types
        ]
        for name in expected.column_names:
            assert str(found[name].to_pylist()) == str(expected[name].to_pylist()), (key, name)
    for key, said in ((None, "8 tables"), ("objects", "pickled")):
        with pytest.raises(InvalidInputError, match=said):
            key_of(pandas_keys, key)


@pytest.mark.parametrize(
    ("dataset", "attribute", "value", "said"),
    [
        ("table", "info", b"garbage", None),
        ("table/table", "values_block_0_kind", b"(lp0\nVx\np1\naVy\np2\na.", "blocks that don't fit"),
        ("table/table", "values_block_0_kind", b"(lp0\nVf\np1\na.", "a column twice"),
        ("table/table", "values_block_0_kind", b"cos\nsystem\n(S'false'\ntR.", None),
        ("table/table", "values_block_3_dtype", b"datetime64[Y]", "times of type"),
        ("fixed", "nblocks", 1, "lacks column"),
        ("wide/axis0_label0", None, np.array([0, 9]), "levels that don't fit"),
        ("table/meta/values_block_7/meta/table", None, None, "lacks 'meta"),
    ],
)
def test_a_key_of_pandas_that_contradicts_itself(
    folio: lf.Folio,
    pandas_keys: Path,
    tmp_path: Path,
    dataset: str,
    attribute: str | None,
    value: object,
    said: str | None,
) -> None:
    path = tmp_path / "a.h5"
    path.write_bytes(pandas_keys.read_bytes())
    with h5py.File(path, "a") as file:
        if attribute is not None:
            file[dataset].attrs[attribute] = np.bytes_(value) if isinstance(value, bytes) else value
        else:
            del file[dataset]
            if value is not None:
                file[dataset] = value
    key = dataset.partition("/")[0]
    if said is not None:
        with pytest.raises(InvalidInputError, match=said):
            key_of(path, key)
    else:  # what is no plain value says nothing
        assert key_of(path, key).num_rows == 3


def test_hdf5_that_leads_elsewhere_or_says_more_than_it_holds_is_refused(folio: lf.Folio, tmp_path: Path) -> None:
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["x"] = np.arange(3)
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["link"] = h5py.ExternalLink(str(other), "/x")
        file["soft"] = h5py.SoftLink("/none")
    refused(folio, path, "no table")
    with h5py.File(path, "w") as file:
        file.create_dataset("huge", shape=(1 << 40,), dtype="f8", chunks=(1 << 20,))
    refused(folio, path, "holds 0")
    with h5py.File(path, "w") as file:
        layout = h5py.VirtualLayout(shape=(3,), dtype="i8")
        layout[:] = h5py.VirtualSource(str(other), "x", shape=(3,))
        file.create_virtual_dataset("v", layout)
    refused(folio, path, "other files")
    with h5py.File(path, "w") as file:
        file.create_dataset("e", shape=(3,), dtype="i8", external=[(str(tmp_path / "raw"), 0, 24)])
    refused(folio, path, "other files")


def test_a_table_without_a_format_for_it_is_refused(folio: lf.Folio, tmp_path: Path) -> None:
    folio.add("out", pa.table({"x": ["a\0b"]}))
    with pytest.raises(LakefolioError, match="NUL"):
        folio.export("out", tmp_path / "a.h5")
    with pytest.raises(LakefolioError, match="character"):
        folio.export("out", tmp_path / "a.xlsx")
    with pytest.raises(InvalidInputError, match="xlsx"):
        folio.export("out", tmp_path / "a.docx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lake"]


@pytest.mark.parametrize(
    ("name", "line"),
    [("a.csv.gz", b"1\n"), ("a.tsv.bz2", b"1\n"), ("a.ndjson.zst", b'{"a":1}\n'), ("a.json.gz", b"[1],\n")],
)
def test_compressed_text_that_unpacks_to_far_more_than_it_is_is_refused(
    tmp_path: Path, monkeypatch, name: str, line: bytes
) -> None:
    monkeypatch.setattr(unpacked, "_FREE_BYTES", 1 << 20)
    codec = {"gz": "gzip", "bz2": "bz2", "zst": "zstd"}[name.rpartition(".")[2]]
    with pa.CompressedOutputStream(str(tmp_path / name), codec) as file:
        file.write(line * ((2 << 20) // len(line)))
    with (
        pytest.raises(InvalidInputError, match="unpacks to more than 200 times its size"),
        unpacked.unpacked(tmp_path / name, codec) as text,
    ):
        text.read()

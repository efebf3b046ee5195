"""Other readers find the same rows under a filter on any column: what is said of data files is true for all of them."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow.dataset as ds
import pytest

import lakefolio as lf
from lakefolio.folio.record_table import Records
from lakefolio.format.schema import MANIFESTS_SCHEMA
from lakefolio.testing import need

SCALARS = [
    field.name for field in MANIFESTS_SCHEMA if field.name not in ("tags", "inputs", "facts", "content", "committed_at")
]
DUCKDB = """
import glob, json, os, sys
import duckdb, duckdb_extension_delta
connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
connection.execute("set enable_progress_bar = false")
folder = os.path.dirname(duckdb_extension_delta.__file__)
connection.execute(f"load '{glob.glob(os.path.join(folder, '**', '*.duckdb_extension'), recursive=True)[0]}'")
for name, value in json.loads(sys.stdin.read()).items():
    sql = f"select count(*) from delta_scan('{sys.argv[1]}') where \\"{name}\\" = $1"
    print(json.dumps([name, connection.execute(sql, [value]).fetchone()[0]]), flush=True)
os._exit(0)
"""


@pytest.fixture(scope="module", params=["small files", "merged"])
def uri(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("lake") / "lake"
    lake = lf.open(root, author="ada")
    folio = lake.folio("f")
    folio.add_json("x", {"a": 1}, description="d", tags=["t"], metadata={"k": 1.5})
    folio.add("blob", bytes(9000), inputs=["x"])
    folio.add_json("x", 2, overwrite=True, keep=True)
    folio.archive("blob")
    lake.snapshot("s", message="m")
    with lake.run("r", params={"lr": 0.1}) as run:
        run.input("f:x")
    folio.delete("x", warn_dependents=False)
    lake.folio("g").add_json("y", 3)
    if request.param == "merged":
        lake.compact()
        lake.folio("g").add_json("z", 4)
    return str(root / "tables" / "manifests")


@pytest.fixture(scope="module")
def expected(uri: str) -> dict[str, tuple[Any, int]]:
    """Return for each column a value, and how many rows have it."""
    rows = lf.open(Path(uri).parents[1]).scan("manifests").collect()
    found = {}
    for name in SCALARS:
        values = rows[name].drop_nulls()
        if len(values):
            found[name] = (values[0], int((values == values[0]).sum()))
    assert len(found) >= 20
    return found


def test_deltalake_and_what_reads_its_datasets(uri: str, expected: dict[str, tuple[Any, int]]) -> None:
    import deltalake

    table = deltalake.DeltaTable(uri)
    dataset = table.to_pyarrow_dataset()
    for name, (value, count) in expected.items():
        field = ds.field(name)
        assert dataset.to_table(filter=field == value).num_rows == count, name
        rows = dataset.to_table(columns=[name])
        assert dataset.to_table(filter=field.is_valid()).num_rows == rows.num_rows - rows.column(0).null_count, name
        assert dataset.to_table(filter=field.is_null()).num_rows == rows.column(0).null_count, name
        assert table.to_pandas(filters=[(name, "=", value)]).shape[0] == count, name
        with duckdb.connect() as connection:
            connection.register("rows", dataset)
            sql = f'select count(*) from rows where "{name}" = $1'
            assert connection.execute(sql, [value]).fetchone() == (count,), name
    moment = dataset.to_table().column("committed_at")[0].as_py()
    assert isinstance(moment, datetime)
    assert dataset.to_table(filter=ds.field("committed_at") <= moment).num_rows >= 1


@pytest.mark.parametrize("use_pyarrow", [False, True])
def test_polars(uri: str, expected: dict[str, tuple[Any, int]], use_pyarrow: bool) -> None:
    for name, (value, count) in expected.items():
        found = pl.scan_delta(uri, use_pyarrow=use_pyarrow).filter(pl.col(name) == value).collect()
        assert found.height == count, name


def test_the_query_builder_of_deltalake(uri: str, expected: dict[str, tuple[Any, int]]) -> None:
    import deltalake

    builder = deltalake.QueryBuilder().register("rows", deltalake.DeltaTable(uri))
    for name, (value, count) in expected.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        literal = "'" + value.replace("'", "''") + "'" if isinstance(value, str) else text
        found = builder.execute(f'select count(*) as n from rows where "{name}" = {literal}').read_all()
        assert pl.DataFrame(found)["n"].to_list() == [count], name


def test_delta_scan_of_duckdb(uri: str, expected: dict[str, tuple[Any, int]]) -> None:
    need("duckdb_extension_delta", "test")
    asked = {name: value for name, (value, _) in expected.items()}
    done = subprocess.run(
        [sys.executable, "-c", DUCKDB, uri], input=json.dumps(asked), capture_output=True, text=True, check=False
    )
    found = dict(json.loads(line) for line in done.stdout.splitlines())
    assert found == {name: count for name, (_, count) in expected.items()}, done.stderr


DAFT = """
import json, os, sys
import daft
for name, value in json.loads(sys.stdin.read()).items():
    rows = daft.read_deltalake(sys.argv[1])
    # not count_rows(): of a filter on a column that a file lacks Daft 0.7 counts all rows of the file
    asked = [rows[name] == value, rows[name].is_null(), rows[name].not_null()]
    equal, null, valid = [len(rows.where(one).select("version").to_pydict()["version"]) for one in asked]
    print(json.dumps([name, equal, null + valid]), flush=True)
os._exit(0)
"""


def test_daft(uri: str, expected: dict[str, tuple[Any, int]]) -> None:
    pytest.importorskip(
        "daft",
        reason="Daft 0.7.26 wants pyarrow below 26, so it is in no extra: pip install --no-deps daft tqdm; run with "
        "pyarrow 26 on 2026-11-26",
    )
    asked = {name: value for name, (value, _) in expected.items()}
    done = subprocess.run(
        [sys.executable, "-c", DAFT, uri], input=json.dumps(asked), capture_output=True, text=True, check=False
    )
    found = {name: (count, rows) for name, count, rows in map(json.loads, done.stdout.splitlines())}
    rows = lf.open(Path(uri).parents[1]).scan("manifests").collect().height
    assert found == {name: (count, rows) for name, (_, count) in expected.items()}, done.stderr


# -- tables that users fill: record tables, and what is stored as a table ---------------------------------------------

NAN = float("nan")
COLUMNS = {
    "id": "int64",
    "small": "int8",
    "text": "string",
    "x": "double",
    "yes": "boolean",
    "day": "date",
    "at": "timestamp",
    "local": "timestamp_ntz",
    "money": "decimal(20, 4)",
    "raw": "binary",
    "place": "struct<x: double, y: string>",
    "all": "array<int64>",
}
MOMENT = datetime(2020, 1, 1, 12, 0, 0, 1)
USED = {
    "id": 2**53 + 1,
    "small": -1,
    "text": "y" * 100,
    "x": 0.0,
    "yes": True,
    "day": MOMENT.date(),
    "at": MOMENT.replace(tzinfo=UTC),
    "local": MOMENT,
    "money": Decimal("2.5000"),
    "raw": b"\xff",
}
"""Of each plain column a value that one row has."""
ROWS: list[list[dict[str, Any]]] = [
    [USED | {"place": {"x": 0.0, "y": "é"}}, {"id": 2**53, "x": NAN, "text": "b", "place": {"x": NAN}, "yes": False}],
    [{"id": 3}],
    [{"id": 4, "small": 1, "text": "", "x": -1e308, "at": datetime(2020, 1, 1, 12, tzinfo=UTC), "money": Decimal(3)}],
]


@pytest.fixture(scope="module", params=["small files", "merged"])
def records(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Records:
    found = lf.open(tmp_path_factory.mktemp("records") / "lake").folio("f").create_table("r", COLUMNS, key="id")
    for rows in ROWS:
        found.append(rows)
    if request.param == "merged":
        found.compact()
    return found


def test_all_find_the_same_rows_of_a_record_table(records: Records) -> None:
    import deltalake

    table = deltalake.DeltaTable(records.uri)
    dataset, files = table.to_pyarrow_dataset(), table.file_uris()
    builder = deltalake.QueryBuilder().register("rows", table)
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.register("dataset", dataset)
        for name, value in USED.items():
            equal = pl.col(name) == value
            found = {
                "arrow": dataset.to_table(filter=ds.field(name) == value).num_rows,
                "polars": pl.scan_delta(records.uri).filter(equal).collect().height,
                "polars by arrow": pl.scan_delta(records.uri, use_pyarrow=True).filter(equal).collect().height,
                "lazy": records.lazy().filter(equal).collect().height,
            }
            for source in ("dataset", f"read_parquet({files})"):
                sql = f'select count(*) from {source} where "{name}" = $1'
                found[source] = connection.execute(sql, [value]).fetchall()[0][0]
            assert set(found.values()) == {1}, (name, found)
            nulls = dataset.to_table(columns=[name])[name].null_count
            sql = f'select count(*) as n from rows where "{name}" is null'
            assert pl.DataFrame(builder.execute(sql).read_all())["n"].to_list() == [nulls], name
            assert dataset.to_table(filter=ds.field(name).is_null()).num_rows == nulls, name
            assert records.count(f"{name} is null") == nulls, name


def test_nan_is_found_whatever_lies_beside_it(records: Records) -> None:
    """Bounds in Parquet leave NaN out, so columns of floats have none."""
    import deltalake

    stored = records._folio.add("t", records.to_arrow(), overwrite=True)
    files = deltalake.DeltaTable(records.uri).file_uris()
    for source in (f"read_parquet({files})", f"read_parquet('{stored.get_data_path('t')}')"):
        # for DuckDB NaN is the largest number
        for condition in ("x > 5", "x <> 0", "place.x > 5", "x = 'nan'"):
            sql = f"select count(*) from {source} where {condition} and id = {2**53}"
            assert duckdb.sql(sql).fetchall() == [(1,)], sql
    assert records.count("x <> 0") == 2
    assert ds.dataset(files).to_table(filter=ds.field("x") != 0).num_rows == 2
    for lazy in (records.lazy(), stored.get("t", as_="lazy")):  # for Polars, too
        assert lazy.filter(pl.col("x") > 5).collect()["id"].to_list() == [2**53]
        assert lazy.filter(pl.col("place").struct.field("x").is_nan()).collect()["id"].to_list() == [2**53]

"""Data files of the tables: every reader reads the rows they were made of."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakefolio.delta.parquet_rows import from_parquet, to_parquet
from lakefolio.format.arrow_rows import VERSIONS_END, rows_of
from lakefolio.format.schema import MANIFESTS_SCHEMA, SCHEMAS

TEXT = st.text(st.characters(codec="utf-8"), max_size=200)
VALUES = {
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float64(): st.floats(allow_nan=False),
    pa.bool_(): st.booleans(),
    pa.string(): TEXT,
    pa.binary(): st.binary(max_size=5000),
    pa.timestamp("us", tz="UTC"): st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),
}


def a_row(schema: pa.Schema) -> st.SearchStrategy[dict[str, Any]]:
    """Return rows of any values; a version is one that a lake can have."""
    known = [field for field in schema if field.type in VALUES]
    required = {field.name: VALUES[field.type] for field in known if not field.nullable}
    required["version"] = st.integers(0, VERSIONS_END - 1)
    optional = {field.name: st.none() | VALUES[field.type] for field in known if field.nullable}
    return st.fixed_dictionaries(required, optional=optional)


@pytest.mark.parametrize("table", SCHEMAS)
@settings(deadline=None)
@given(data=st.data())
def test_every_row_comes_back(table: str, data: st.DataObject) -> None:
    schema = SCHEMAS[table]
    rows = data.draw(st.lists(a_row(schema), min_size=1, max_size=40))
    body = to_parquet(rows_of(schema, rows))
    assert from_parquet(body, schema).equals(rows_of(schema, rows))


@pytest.mark.parametrize("count", [1, 7, 8, 9, 64, 100])
def test_every_reader_agrees(tmp_path: Path, count: int) -> None:
    """On rows with and without nulls in a column; DuckDB and Polars have readers of their own."""
    rows = [
        {
            "version": n,
            "ordinal": n % 3,
            "committed_at": datetime(2026, 11, 21, 12, 0, n % 60, 123456, UTC),
            "commit_id": f"{n:032x}",
            "op": "put",
            "item": "ünï" * n if n % 2 else None,
            "content": bytes(range(n)) if n % 3 else None,
            "size_bytes": None if n % 5 == 4 else n << 33,
            "archived": bool(n % 2) if n % 7 else None,
            "generation": -n,
        }
        for n in range(count)
    ]
    body = to_parquet(rows_of(MANIFESTS_SCHEMA, rows))
    path = tmp_path / "rows.parquet"
    path.write_bytes(body)
    expected = rows_of(MANIFESTS_SCHEMA, rows).select(pq.read_schema(path).names)
    assert expected.num_columns >= 7
    assert pq.read_table(path).cast(expected.schema).equals(expected)
    wanted = [tuple(row.values()) for row in expected.to_pylist()]
    assert pl.read_parquet(path).rows() == wanted
    names = ", ".join(name for name in expected.column_names if name != "committed_at")
    at = expected.column_names.index("committed_at")
    with duckdb.connect() as connection:
        found = connection.sql(f"select {names}, epoch_us(committed_at) from '{path}'").fetchall()
    micros = expected.column("committed_at").cast("int64").to_pylist()
    assert found == [(*row[:at], *row[at + 1 :], us) for row, us in zip(wanted, micros, strict=True)]


def test_columns_that_are_null_throughout_are_left_out_but_for_booleans() -> None:
    row = {"version": 1, "ordinal": 0, "committed_at": datetime.now(UTC), "commit_id": "c", "op": "put"}
    rows = rows_of(MANIFESTS_SCHEMA, [row, row | {"tags": ["one"]}])
    assert pq.read_schema(io.BytesIO(to_parquet(rows))).names == [*row, "tags", "archived"]
    assert pq.read_schema(io.BytesIO(to_parquet(rows.slice(0, 1)))).names == [*row, "archived"]

"""Row groups of two versions of a table begin at the same rows, so that equal ones are equal as bytes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lakefolio as lf
from lakefolio.items import parquet, parquet_bounds, table_writing


@pytest.fixture
def folio(tmp_path, monkeypatch):
    monkeypatch.setattr(table_writing, "_SLICE_BYTES", 300_000)
    monkeypatch.setattr(parquet, "GROUP_ROWS", 4_096)
    return lf.open(tmp_path / "lake").folio("a")


def table(rows: int, width: int = 1) -> pa.Table:
    numbers = np.arange(rows)
    return pa.table({"k": numbers, "v": numbers / 3, "s": ["x" * (1 + place % width) for place in range(rows)]})


def groups(folio) -> list[int]:
    data = pq.ParquetFile(folio.get("x", as_="dataset").files[0]).metadata
    return [data.row_group(place).num_rows for place in range(data.num_row_groups)]


def test_more_rows_or_longer_texts_move_no_row_group(folio):
    folio.add("x", table(30_000))
    assert groups(folio) == [4_096] * 7 + [30_000 - 7 * 4_096]
    folio.add("x", table(30_100), overwrite=True)
    assert groups(folio)[:7] == [4_096] * 7
    found = folio.diff(-1, item="x", key="k")
    assert (found.summary["rows_added"], found.summary["rows_shared"]) == (100, 7 * 4_096)
    folio.add("x", table(30_000, 3), overwrite=True)
    assert groups(folio)[:7] == [4_096] * 7


def test_batches_of_any_size_make_the_same_row_groups(folio):
    found = []
    for size in (10_000, 5_000, 777, 100):
        rows = table(10_000).append_column("size", pa.array([size] * 10_000))  # equal content would be stored once
        reader = pa.RecordBatchReader.from_batches(rows.schema, rows.to_batches(max_chunksize=size))
        folio.add("x", reader, overwrite=True)
        found.append(groups(folio))
        assert folio.get("x", as_="arrow").equals(rows)
    assert found == [[4_096, 4_096, 1_808]] * 4


def test_pages_are_limited_by_bytes_not_by_rows(tmp_path, monkeypatch):
    """Each is looked at before any is decoded, which took a sixth of the time of reading a table of 20,000 a page."""
    folio = lf.open(tmp_path / "lake").folio("a")
    looked = []
    struct = parquet_bounds._struct

    def counted(*given):
        looked.append(given)
        return struct(*given)

    monkeypatch.setattr(parquet_bounds, "_struct", counted)
    rows = pa.table({"s": [str(place % 10) for place in range(200_000)]})
    folio.add("x", rows)
    assert folio.get("x", as_="arrow").equals(rows)
    assert 0 < len(looked) <= 9  # the headers of a dictionary and of two pages, with what they say of values

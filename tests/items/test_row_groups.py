"""Row groups of two versions of a table begin at the same rows, so that equal ones are equal as bytes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lakefolio as lf
from lakefolio.items import parquet, parquet_bounds, parquet_reading, table_writing


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


def test_columns_without_nulls_are_stored_as_required_and_come_back_as_they_were(folio):
    rows = 5_000
    names = [str(number % 7) for number in range(rows)]
    whole = pa.table(
        {
            "n": np.arange(rows),
            "text": names,
            "category": pa.array(names).dictionary_encode(),
            "lists": [[number] for number in range(rows)],
        }
    )
    whole = whole.append_column(pa.field("said", pa.int8(), nullable=False), pa.array([1] * rows, pa.int8()))
    gaps = pa.table({"n": pa.array([None, *range(1, rows)]), "none": pa.nulls(rows)})
    for added, required in ((whole, ["n", "text", "said"]), (gaps, []), (whole.slice(0, 0), ["n", "text", "said"])):
        folio.add("x", added, overwrite=True)
        stored = pq.read_schema(folio.item_path("x"))
        assert [field.name for field in stored if not field.nullable] == required
        assert folio.get("x").schema == added.schema
        assert folio.get("x").equals(added)
        as_dataset = folio.get("x", as_="dataset")
        assert as_dataset.schema == added.schema
        read = as_dataset if isinstance(as_dataset, pa.Table) else as_dataset.to_table()
        assert read.equals(added)


@pytest.mark.parametrize("kind", [pa.large_string(), pa.large_binary(), pa.string()])
def test_repeated_texts_are_read_by_way_of_their_dictionaries(folio, monkeypatch, kind):
    monkeypatch.setattr(parquet_reading, "_THREADS_FROM_BYTES", 0)
    rows = 10_000
    made = {
        "few": pa.array([f"x{number % 9}" for number in range(rows)]).cast(kind),
        "many": pa.array([f"x{number}" for number in range(rows)]).cast(kind),
        "gaps": pa.array([f"x{number % 9}" if number % 5 else None for number in range(rows)]).cast(kind),
        "a.b": pa.array(["same"] * rows).cast(kind),
        "n": np.arange(rows),
    }
    given = []
    opened = pq.ParquetFile

    def noted(*args, read_dictionary=None, **options):
        given.append(read_dictionary)
        return opened(*args, read_dictionary=read_dictionary, **options)

    monkeypatch.setattr(pq, "ParquetFile", noted)
    for added in (pa.table(made), pa.table(made).drop_columns(["a.b"])):
        folio.add("x", added, overwrite=True)
        given.clear()
        assert folio.get("x").equals(added)
        assert [column.num_chunks for column in folio.get("x").columns] == [1] * added.num_columns
        by_dictionary = kind != pa.string() and "a.b" not in added.column_names
        assert [found for found in given if found] == ([["few"]] * 4 if by_dictionary else [])
        assert folio.get("x", columns=["n", "few"]).equals(added.select(["n", "few"]))


def test_a_place_that_no_dictionary_has_is_an_error(folio, monkeypatch):
    """Compiled code looks places up: a wild one in a forged file must not be read from elsewhere in memory."""
    monkeypatch.setattr(parquet_reading, "_THREADS_FROM_BYTES", 0)
    rows = 1_000
    sink = pa.BufferOutputStream()
    data = pa.table({"s": pa.array(["a", "b", "c"] * rows, pa.large_string()), "n": np.arange(3 * rows)})
    table_writing.write([data], data.schema, sink, {}, ["s"])
    content = sink.getvalue().to_pybytes()
    chunk = pq.ParquetFile(pa.py_buffer(content)).metadata.row_group(0).column(0)
    refused = 0
    for place in range(chunk.data_page_offset, chunk.dictionary_page_offset + chunk.total_compressed_size):
        forged = bytearray(content)
        forged[place] = 0xFF
        try:
            found, _ = parquet.read_table(pa.py_buffer(bytes(forged)))
        except (pa.ArrowException, OSError):
            refused += 1
        else:
            assert set(found.column("s").to_pylist()) <= {"a", "b", "c"}
    assert refused

"""Reading costs one pass over the bytes, and what it gives belongs to the reader."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hostile import forge
from inside import session_of

import lakefolio as lf
from lakefolio.content.file_cache import FileCache
from lakefolio.storage.store import CHUNK_BYTES
from lakefolio.testing import CountingProxy, Fault
from lakefolio.testing.proxy import Request

MIB = 2**20


def blob_of(lake: lf.Lake, name: str) -> Path:
    digest = (lake.item(f"f:{name}").blob_digest or "").removeprefix("sha256:")
    return next(path for path in Path(lake.uri).rglob(f"{digest}*") if path.is_file())


def passed_bytes() -> tuple[int, int]:
    """Return how many bytes this process has asked the system to read and to write."""
    with open("/proc/self/io") as file:
        found = dict(line.split(": ") for line in file)
    return int(found["rchar"]), int(found["wchar"])


@pytest.mark.skipif(not os.path.exists("/proc/self/io"), reason="bytes are counted by Linux")
@pytest.mark.parametrize("what", ["array", "frame", "masked"])
def test_a_local_get_reads_each_byte_once_and_writes_none(tmp_path: Path, what: str) -> None:
    random = np.random.default_rng(1)
    made = {
        "array": random.random(5 * MIB),
        "frame": pd.DataFrame({f"x{number}": random.random(MIB) for number in range(5)}),
        "masked": np.ma.MaskedArray(random.random(5 * MIB), random.random(5 * MIB) > 0.5),
    }[what]
    lake = lf.open(tmp_path / "lake")
    folio = lake.folio("f")
    folio.add(what, made)
    size_bytes = blob_of(lake, what).stat().st_size
    assert size_bytes > 32 * MIB
    folio.get(what)
    read, written = passed_bytes()
    folio.get(what)
    read, written = (after - before for before, after in zip((read, written), passed_bytes(), strict=True))
    assert size_bytes <= read < 1.05 * size_bytes
    assert written < 0.01 * size_bytes


@pytest.mark.parametrize("size", [3_000, 2_000_000])
def test_what_was_read_does_not_follow_its_file(tmp_path: Path, size: int) -> None:
    """Another process cuts the file short and writes to it: a mapping would show that, or end the process."""
    lake = lf.open(tmp_path / "lake")
    values = np.random.default_rng(1).random(size)
    lake.folio("f").add("a", values)
    lake.folio("f").add("t", pd.DataFrame({"x": values}))
    array, frame, table = lake.folio("f").get("a"), lake.folio("f").get("t"), lake.folio("f").get("t", as_="arrow")
    for name in ("a", "t"):
        path = blob_of(lake, name)
        path.chmod(0o644)
        os.truncate(path, 0)
        path.write_bytes(b"\xff" * 1000)
    assert np.array_equal(array, values)
    assert np.array_equal(frame["x"], values)
    assert np.array_equal(table.column("x"), values)
    with pytest.raises(lf.IntegrityError) as caught:
        lake.folio("f").get("a")
    assert caught.value.kind == "blob-truncated"


@pytest.mark.parametrize("size", [3, 1_000, 100_000])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_are_writable_and_nobody_elses(tmp_path: Path, size: int, order: str) -> None:
    folio = lf.open(tmp_path / "lake").folio("f")
    record = np.zeros(size, [("a", "<i2"), ("b", "<f8")])
    arrays = {
        "plane": np.asarray(np.arange(3.0 * size).reshape(3, size), order=order),
        "record": record,
        "aligned": record.astype(np.dtype([("a", "<i2"), ("b", "<f8")], align=True)),
        "long": np.arange(size, dtype=np.longdouble),
        "times": np.arange(size).astype("M8[s]"),
    }
    for name, array in arrays.items():
        folio.add(name, array)
        first, second = folio.get(name), folio.get(name)
        assert (first.dtype, first.shape, first.strides) == (array.dtype, array.shape, array.strides)
        assert first.flags.writeable
        assert first.flags.aligned == array.flags.aligned
        first[...] = first.reshape(-1)[-1]
        assert np.array_equal(second, array)
        assert np.array_equal(folio.get(name), array)


@pytest.mark.parametrize("rows", [2, 5_000])
@pytest.mark.parametrize("columns", [1, 2, 70])
def test_frames_can_be_written_to(tmp_path: Path, rows: int, columns: int) -> None:
    folio = lf.open(tmp_path / "lake").folio("f")
    kinds = {
        "float": np.arange(rows, dtype=float),
        "small": np.arange(rows).astype("i1"),
        "text": [str(number) for number in range(rows)],
        "time": pd.date_range("2020-01-01", periods=rows),
        "zoned": pd.date_range("2020-01-01", periods=rows, tz="Europe/Zurich"),
        "bool": np.arange(rows) % 2 == 0,
        "category": pd.Categorical([str(number % 2) for number in range(rows)]),
        "nullable": pd.array([None, *range(rows - 1)], "Int64"),
        "period": pd.period_range("2020-01-01", periods=rows, freq="D"),
        "missing": [float("nan"), *np.arange(rows - 1.0)],
    }
    frame = pd.DataFrame(
        {f"{kind}{number}": values for number in range(min(columns, 2)) for kind, values in kinds.items()}
    )
    numbers = pd.DataFrame({f"x{number}": np.arange(rows, dtype=float) for number in range(columns)}).assign(
        n=range(rows)
    )
    for name, added in (("all", frame), ("numbers", numbers), ("alone", numbers[["n"]])):
        folio.add(name, added)
        found = folio.get(name)
        pd.testing.assert_frame_equal(found, added)
        for label in found:
            found.loc[0, label] = found.loc[1, label]
        pd.testing.assert_frame_equal(folio.get(name), added)
        assert found[found.columns[0]].iloc[0] == added[added.columns[0]].iloc[1]


def test_whole_numbers_are_stored_as_differences_and_other_readers_know_them(tmp_path: Path) -> None:
    import duckdb
    import polars as pl
    import pyarrow.parquet as pq

    rows = 50_000
    random = np.random.default_rng(1)
    table = pa.table(
        {
            "up": pa.array(np.arange(rows)),
            "wild": pa.array(random.integers(-(2**63), 2**63 - 1, rows)),
            "unsigned": pa.array(random.integers(0, 2**64 - 1, rows, dtype=np.uint64)),
            "small": pa.array(random.integers(-100, 100, rows).astype("i1")),
            "gaps": pa.array([None if number % 3 else number for number in range(rows)], pa.int32()),
            "time": pa.array(np.arange(rows).astype("M8[us]")),
            "date": pa.array(np.arange(rows).astype("M8[D]")),
            "lists": pa.array([[number, -number] for number in range(rows)]),
        }
    )
    folio = lf.open(tmp_path / "lake").folio("f")
    folio.add("t", table)
    assert folio.get("t").equals(table)
    path = folio.item_path("t")
    encodings = pq.read_metadata(path).row_group(0)
    assert all("DELTA_BINARY_PACKED" in encodings.column(n).encodings for n in range(encodings.num_columns))
    assert pq.read_table(path).cast(table.schema).equals(table)
    assert pl.read_parquet(path).to_arrow().cast(table.schema).equals(table)
    assert duckdb.sql(f"select * from '{path}'").to_arrow_table().cast(table.schema).equals(table)
    assert Path(path).stat().st_size < 0.6 * table.nbytes


def test_a_row_that_says_a_wild_size_takes_no_memory(tmp_path: Path) -> None:
    import dataclasses

    lake = lf.open(tmp_path / "lake")
    lake.folio("f").add("a", np.arange(2000.0))
    for size_bytes in (2**62, 2**33, 0):
        entry = dataclasses.replace(lake.item("f:a"), size_bytes=size_bytes, stored_bytes=size_bytes)
        with pytest.raises(lf.IntegrityError) as caught:
            session_of(lake).blobs.source(entry).read()
        assert caught.value.kind == "blob-truncated"


@pytest.mark.parametrize("where", [0.0, 0.5, 1.0])
def test_a_large_damaged_table_is_never_given_though_it_is_decoded_while_it_is_verified(
    tmp_path: Path, where: float
) -> None:
    lake = lf.open(tmp_path / "lake")
    lake.folio("f").add("t", pd.DataFrame({f"x{n}": np.random.default_rng(n).random(MIB) for n in range(2)}))
    path = blob_of(lake, "t")
    content = bytearray(path.read_bytes())
    content[int(where * (len(content) - 1))] ^= 1  # the first is decoded to another table, the last is no Parquet
    path.chmod(0o644)
    path.write_bytes(content)
    for options in ({}, {"columns": ["x1"]}, {"columns": ["none"]}, {"as_": "polars"}):
        with pytest.raises(lf.IntegrityError) as caught:
            lake.folio("f").get("t", **options)
        assert caught.value.kind == "blob-damaged"
    path.write_bytes(content[:-1])
    with pytest.raises(lf.IntegrityError, match="expected 1") as caught:
        lake.folio("f").get("t")
    assert caught.value.kind == "blob-truncated"


@pytest.mark.parametrize("where", [0, 100, -1])
def test_a_large_damaged_array_is_never_given_though_it_is_copied_while_it_is_verified(
    tmp_path: Path, where: int
) -> None:
    lake = lf.open(tmp_path / "lake")
    array = np.random.default_rng(1).random(5 * MIB // 8)  # the second part that is hashed is not a whole one
    lake.folio("f").add("a", array)
    assert np.array_equal(lake.folio("f").get("a"), array)
    path = blob_of(lake, "a")
    content = bytearray(path.read_bytes())
    content[where] ^= 1
    path.chmod(0o644)
    for kind, damaged in {"blob-damaged": content, "blob-truncated": content[:-1]}.items():
        path.write_bytes(damaged)
        with pytest.raises(lf.IntegrityError) as caught:
            lake.folio("f").get("a")
        assert caught.value.kind == kind


@pytest.fixture
def far(s3_proxy: CountingProxy, s3_uri: str) -> lf.Lake:
    """A lake in a bucket, with an array of three ranges and a table."""
    lake = lf.open(s3_uri, storage_options=s3_proxy.storage_options)
    lake.folio("f").add("a", ARRAY)
    lake.folio("f").add("t", pd.DataFrame({"x": ARRAY[:100_000]}))
    return lake


ARRAY = np.random.default_rng(2).random(int(2.5 * CHUNK_BYTES) // 8)


def ranges(requests: list[Request]) -> list[str]:
    return [one.headers.get("range", "whole") for one in requests if one.kind == "blob" and one.operation == "GET"]


def test_a_bucket_is_asked_by_ranges_at_once_and_only_the_first_time(far: lf.Lake, s3_proxy: CountingProxy) -> None:
    with s3_proxy.count() as first:
        assert np.array_equal(far.folio("f").get("a"), ARRAY)
    end = ARRAY.nbytes + 128
    starts = [0, CHUNK_BYTES, 2 * CHUNK_BYTES]
    assert sorted(ranges(first.requests)) == sorted(
        f"bytes={start}-{min(start + CHUNK_BYTES - 1, end)}" for start in starts
    )
    with s3_proxy.count() as second:
        array = far.folio("f").get("a")
    assert ranges(second.requests) == []
    assert np.array_equal(array, ARRAY)
    assert array.flags.writeable
    with s3_proxy.count() as table:
        far.folio("f").get("t")
        far.folio("f").get("t", as_="polars")
    assert ranges(table.requests) == ["whole"]
    again = lf.open(far.uri, storage_options=s3_proxy.storage_options)
    with s3_proxy.count() as other:
        again.folio("f").get("a")
        again.folio("f").get("t")
    assert ranges(other.requests) == []


@pytest.mark.parametrize("action", ["cut", "refuse", "drop_response"])
def test_a_range_that_breaks_is_asked_again_by_itself(far: lf.Lake, s3_proxy: CountingProxy, action: str) -> None:
    broken: list[int] = []

    def fault(request: Request) -> Fault | None:
        start = int(request.headers.get("range", "bytes=0-")[6:].partition("-")[0])
        if request.kind == "blob" and CHUNK_BYTES <= start < 2 * CHUNK_BYTES and len(broken) < 2:
            broken.append(start)
            return Fault(action, after_bytes=MIB)
        return None

    with s3_proxy.faulty(fault), s3_proxy.count() as count:
        assert np.array_equal(far.folio("f").get("a"), ARRAY)
    assert len(broken) == 2
    asked = ranges(count.requests)
    assert sum(one.startswith("bytes=0-") for one in asked) == 1
    assert sum(one.startswith(f"bytes={2 * CHUNK_BYTES}-") for one in asked) == 1


def test_wrong_bytes_of_a_range_are_refused_and_not_kept(far: lf.Lake, s3_proxy: CountingProxy) -> None:
    def flip(request: Request) -> Fault | None:
        last = request.headers.get("range", "").startswith(f"bytes={2 * CHUNK_BYTES}-")
        return Fault("flip", after_bytes=77) if last and request.kind == "blob" else None

    with s3_proxy.faulty(flip):
        for _ in range(2):
            with pytest.raises(lf.IntegrityError) as caught:
                far.folio("f").get("a")
            assert str(caught.value).count(caught.value.digest.removeprefix("sha256:")) == 1
            assert caught.value.kind == "blob-damaged"
    assert np.array_equal(far.folio("f").get("a"), ARRAY)


@pytest.mark.parametrize("change", [-1, 1, -CHUNK_BYTES, CHUNK_BYTES])
def test_an_object_of_another_size_is_refused(far: lf.Lake, change: int) -> None:
    entry = far.item("f:a")
    key = next(found.key for found in session_of(far).store.list("blobs") if found.size_bytes == entry.stored_bytes)
    body = bytes(session_of(far).store.get(key)) + bytes(CHUNK_BYTES)
    session_of(far).store.put(key, body[: (entry.stored_bytes or 0) + change])
    with pytest.raises(lf.IntegrityError) as caught:
        far.folio("f").get("a")
    assert caught.value.kind == "blob-truncated"


def test_a_copy_that_was_written_to_is_fetched_again(far: lf.Lake, s3_proxy: CountingProxy) -> None:
    far.folio("f").get("a")
    copies = [
        path for path in Path(os.environ["XDG_CACHE_HOME"]).rglob("*") if path.is_file() and path.stat().st_size > MIB
    ]
    assert len(copies) == 1
    for damage in (b"x", None):
        copies[0].chmod(0o644)
        if damage is None:
            os.truncate(copies[0], 1000)
        else:
            copies[0].write_bytes(damage + copies[0].read_bytes()[1:])
        with s3_proxy.count() as count:
            assert np.array_equal(far.folio("f").get("a"), ARRAY)
        assert len(ranges(count.requests)) == 3
    with s3_proxy.count() as count:
        far.folio("f").get("a")
    assert ranges(count.requests) == []


def test_check_reads_the_bucket_and_not_the_copy(far: lf.Lake) -> None:
    store = session_of(far).store
    for name in ("a", "t"):
        far.folio("f").get(name)
    assert far.check(read_data=True).ok
    for found in list(store.list("blobs")):
        store.put(found.key, bytes(found.size_bytes))
    assert np.array_equal(far.folio("f").get("a"), ARRAY)
    report = far.check(read_data=True)
    assert sorted(one.kind for one in report.problems) == ["blob-damaged", "blob-damaged"]
    assert not all(far.folio("f").validate().values())


def test_a_cache_that_cannot_be_written_costs_the_copy_only(
    far: lf.Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LAKEFOLIO_CACHE", str(tmp_path / "file"))
    again = lf.open(far.uri, storage_options=session_of(far).store.options)
    assert np.array_equal(again.folio("f").get("a"), ARRAY)
    assert np.array_equal(again.folio("f").get("a"), ARRAY)


def test_copies_that_were_read_into_memory_are_trimmed(tmp_path: Path) -> None:
    from lakefolio.format.digest import sha256_of_bytes

    cache = FileCache(tmp_path, limit_bytes=10_000)
    for number in range(20):
        body = b"%08d" % number * 500
        with cache.keeping(sha256_of_bytes(body), "x") as keep:
            keep(body)
    assert 1 <= sum(path.is_file() for path in tmp_path.glob("*/x")) <= 2
    kept = cache.keeping(sha256_of_bytes(b"broken"), "x")
    kept.__enter__()(b"bro")
    assert not kept.__exit__(ValueError, ValueError(), None)
    assert not list(tmp_path.glob("*/.partial-*"))
    assert cache.opened(sha256_of_bytes(b"broken"), "x") is None


def test_a_forged_array_whose_data_lies_askew_is_read(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000,), }\n"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + np.arange(1000.0).tobytes()
    assert (len(content) - 8000) % 8
    forge(lake, "askew", "array", "npy", content)
    found = lake.folio("f").get("askew")
    assert np.array_equal(found, np.arange(1000.0))
    assert found.flags.aligned

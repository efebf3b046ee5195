"""The logical digest says what a table holds, not how it lies in memory or in a file."""

import hashlib
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from arrow_strategies import rechunked, tables
from hypothesis import given, settings
from hypothesis import strategies as st
from thoroughness import examples

from lakefolio.errors import InvalidInputError
from lakefolio.format.digest import sha256_of_bytes, sha256_of_file, sha256_of_parts
from lakefolio.format.table_digest import TableDigest, table_digest
from lakefolio.testing.need import need

EMPTY = "sha256:" + hashlib.sha256(b"").hexdigest()


def test_digests_of_bytes_are_those_of_sha256sum(tmp_path: Path) -> None:
    data = bytes(range(256)) * 5000
    wanted = "sha256:" + hashlib.sha256(data).hexdigest()
    (tmp_path / "f").write_bytes(data)
    assert sha256_of_bytes(data) == sha256_of_bytes(memoryview(data)) == wanted
    assert sha256_of_parts([data[:7], memoryview(data)[7:]]) == wanted
    assert sha256_of_file(tmp_path / "f") == wanted
    assert sha256_of_parts([]) == sha256_of_bytes(b"") == EMPTY


@settings(max_examples=examples(200), deadline=None)
@given(st.data())
def test_chunks_slices_and_threads_do_not_matter(data: st.DataObject) -> None:
    table = data.draw(tables())
    wanted = table_digest(table)
    other = data.draw(rechunked(table))
    assert table_digest(other, threads=1) == wanted
    digest = TableDigest(table.schema)
    for batch in other.to_batches():
        digest.update(batch)
    if table.num_columns:
        assert digest.digest() == wanted
        assert digest.row_count == table.num_rows


@settings(max_examples=examples(100), deadline=None)
@given(tables())
def test_ipc_does_not_matter(table: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(unify_dictionaries=True)) as writer:
        writer.write_table(table, max_chunksize=3)
    back = pa.ipc.open_file(sink.getvalue()).read_all()
    assert table_digest(back) == table_digest(table)


def test_plain_parquet_does_not_matter() -> None:
    table = pa.table({"a": [1, None, 3], "b": ["x", "", None], "l": [[1], None, []]})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=1, compression="gzip")
    assert table_digest(pq.read_table(pa.BufferReader(sink.getvalue()))) == table_digest(table)


def test_what_lies_under_nulls_does_not_matter() -> None:
    valid = pa.py_buffer(bytes([0b101]))
    numbers = [
        pa.Array.from_buffers(pa.int32(), 3, [valid, pa.py_buffer(struct.pack("<3i", 1, junk, 3))]) for junk in (0, 77)
    ]
    texts = [
        pa.Array.from_buffers(
            pa.string(), 3, [valid, pa.py_buffer(struct.pack("<4i", 0, 1, end, end + 1)), pa.py_buffer(content)]
        )
        for end, content in ((1, b"ac"), (4, b"abbbc"))
    ]
    booleans = [pa.Array.from_buffers(pa.bool_(), 3, [valid, pa.py_buffer(bytes([bits]))]) for bits in (0b101, 0b111)]
    structs = [
        pa.StructArray.from_arrays([pa.array([1, junk, 3])], ["x"], mask=pa.array([False, True, False]))
        for junk in (2, 9)
    ]
    items = pa.array([1, 2, 3, 4])
    lists = [
        pa.ListArray.from_arrays(pa.array([0, 1, 3, 4], pa.int32()), items, mask=pa.array([False, True, False])),
        pa.array([[1], None, [4]]),
    ]
    fixed = [
        pa.FixedSizeListArray.from_arrays(pa.array([1, junk, 3]), 1, mask=pa.array([False, True, False]))
        for junk in (2, 9)
    ]
    for one, other in (numbers, texts, booleans, structs, lists, fixed):
        assert one.type == other.type
        assert table_digest(pa.table({"a": one})) == table_digest(pa.table({"a": other})), one.type


def changed(**columns: object) -> str:
    return table_digest(pa.table(columns))


BASE = pa.table({"a": [1, 2], "b": ["x", None]})


@pytest.mark.parametrize(
    "other",
    [
        pa.table({"a": [1, 3], "b": ["x", None]}),
        pa.table({"a": [1, None], "b": ["x", None]}),
        pa.table({"a": [1, 2], "b": ["x", ""]}),
        pa.table({"a": [2, 1], "b": [None, "x"]}),
        pa.table({"b": ["x", None], "a": [1, 2]}),
        pa.table({"A": [1, 2], "b": ["x", None]}),
        pa.table({"a": pa.array([1, 2], pa.int32()), "b": ["x", None]}),
        pa.table({"a": [1, 2], "b": pa.array(["x", None], pa.large_string())}),
        pa.table({"a": [1, 2], "b": pa.array(["x", None]).dictionary_encode()}),
        pa.table({"a": [1, 2], "b": ["x", None], "c": [1, 2]}),
        BASE.slice(0, 1),
        pa.concat_tables([BASE, BASE]),
        BASE.replace_schema_metadata({"k": "v"}),
        BASE.cast(pa.schema([pa.field("a", pa.int64(), nullable=False), pa.field("b", pa.string())])),
        BASE.cast(pa.schema([pa.field("a", pa.int64(), metadata={"k": "v"}), pa.field("b", pa.string())])),
    ],
)
def test_any_change_changes_it(other: pa.Table) -> None:
    assert table_digest(other) != table_digest(BASE)


def test_boundaries_of_values_matter() -> None:
    assert changed(a=["ab", "c"]) != changed(a=["a", "bc"])
    assert changed(a=[[1], [2, 3]]) != changed(a=[[1, 2], [3]])
    assert changed(a=pa.array([[], None], pa.list_(pa.int8()))) != changed(a=pa.array([None, []], pa.list_(pa.int8())))
    assert changed(a=[0.0]) != changed(a=[-0.0])
    payload = np.array([0x7FF8000000000001], "u8").view("f8")
    assert changed(a=[float("nan")]) != changed(a=payload)


def test_dictionaries_count_with_their_order_and_unused_values() -> None:
    def category(codes: list, values: list, *, ordered: bool = False) -> str:
        return changed(a=pa.DictionaryArray.from_arrays(pa.array(codes, pa.int8()), pa.array(values), ordered=ordered))

    base = category([0, 1], ["x", "y"])
    assert category([1, 0], ["y", "x"]) != base
    assert category([0, 1], ["x", "y", "z"]) != base
    assert category([0, 1], ["x", "y"], ordered=True) != base
    # duplicates, and a null among the values, say nothing new
    assert category([0, 2], ["x", "x", "y"]) == base
    assert category([0, 1, None], ["x", "y"]) == category([0, 2, 1], ["x", None, "y"])
    one = pa.chunked_array([pa.array(["x"]).dictionary_encode(), pa.array(["y", "x"]).dictionary_encode()])
    assert changed(a=one) == changed(a=one.unify_dictionaries().combine_chunks())


def test_versions_of_libraries_do_not_count() -> None:
    need("pandas", "pandas")
    import pandas as pd

    table = pa.Table.from_pandas(pd.DataFrame({"a": [1]}))
    text = table.schema.metadata[b"pandas"]
    newer = table.replace_schema_metadata({"pandas": text.replace(pd.__version__.encode(), b"99.9")})
    assert newer.schema.metadata != table.schema.metadata
    assert table_digest(newer) == table_digest(table)
    assert table_digest(table.replace_schema_metadata({"pandas": text.replace(b'"a"', b'"b"')})) != table_digest(table)


def test_the_specification_as_written() -> None:
    """A second implementation, by hand, of what the module's docstring says."""
    table = pa.table({"n": pa.array([1, None], pa.int16()), "t": pa.array(["ab", None])})

    def sha(data: bytes) -> bytes:
        return hashlib.sha256(data).digest()

    nulls = sha(struct.pack("<Q", 1))
    number = sha(b"fixed" + struct.pack("<Q", 2) + nulls + sha(struct.pack("<2h", 1, 0)))
    text = sha(b"bytes" + struct.pack("<Q", 2) + nulls + sha(struct.pack("<2I", 2, 0)) + sha(b"ab"))
    fields = ",".join(
        f'{{"metadata":[],"name":"{n}","nullable":true,"type":"{t}"}}' for n, t in (("n", "int16"), ("t", "string"))
    )
    document = (
        f'{{"columns":["{number.hex()}","{text.hex()}"],"format":"lakefolio-table-1","rows":2,'
        f'"schema":{{"fields":[{fields}],"metadata":[]}}}}'
    )
    assert table_digest(table) == "sha256:" + sha(document.encode()).hex()


def test_a_batch_of_another_schema_is_refused() -> None:
    digest = TableDigest(BASE.schema)
    with pytest.raises(InvalidInputError) as caught:
        digest.update(pa.table({"a": ["x"]}))
    assert caught.value.kind == "schema-changed"


def test_types_without_a_digest_are_refused() -> None:
    with pytest.raises(InvalidInputError) as caught:
        TableDigest(pa.schema([("u", pa.sparse_union([pa.field("a", pa.int8())]))]))
    assert caught.value.kind == "unsupported-column"

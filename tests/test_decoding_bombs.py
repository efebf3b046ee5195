"""More content that would take more memory than its row lets expect, or lead compiled code astray; each is refused."""

from __future__ import annotations

import io
import json
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from hostile import forge
from test_decoding_bounds import (
    GIB,
    faults_of,
    fitted,
    model,
    npy,
    npz,
    parquet,
    read,
    saved,
    stream,
    with_dictionary,
    with_plan,
)

import lakefolio as lf

DEEP = 100_000
MANY = 100_000_000
LONE = {"rows": 1}


def claiming(content: bytes, said: int) -> bytes:
    """Return a zip file whose last member says another size, wherever it says one."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        size = archive.infolist()[-1].file_size
    return content.replace(struct.pack("<II", size, size), struct.pack("<II", said, said))


def sparse_of(kind: str, **parts: Any) -> bytes:
    return npz({"format": saved(kind.encode()), **{name: saved(part) for name, part in parts.items()}})


def tar_of(size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """Return a folder with one file that says a size and has no data."""
    header = tarfile.TarInfo("a")
    header.size, header.type = size, kind
    return header.tobuf(tarfile.PAX_FORMAT) + bytes(1024)


def tensors(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def run_ends() -> bytes:
    array = pa.RunEndEncodedArray.from_arrays(pa.array([2**31 - 1], pa.int32()), pa.array(["a" * 1000]))
    return stream(array)


def wide_nothing() -> bytes:
    return stream(pa.FixedSizeListArray.from_arrays(pa.nulls(2**31 - 1), 2**31 - 1))


def empty_lists(depth: int) -> bytes:
    array: pa.Array = pa.nulls(0)
    for _ in range(depth):
        array = pa.ListArray.from_arrays(pa.array([0, len(array)], pa.int32()), array)
    return stream(array)


def deep_model(members: dict[str, bytes]) -> None:
    members["schema.json"] = b'{"a":' * DEEP + b"1" + b"}" * DEEP


def many_members(members: dict[str, bytes]) -> None:
    members.update({f"{number}.npy": b"" for number in range(60_000)})


def nested_zip(members: dict[str, bytes]) -> None:
    for name in members:
        if name.endswith(".npy"):
            members[name] = zipped(bytes(200 << 20))


def zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner.npy", content)
    return file.getvalue()


def delta(table: pa.Table, encoding: str) -> bytes:
    return parquet(table, use_dictionary=False, column_encoding=dict.fromkeys(table.column_names, encoding))


def big(array: pa.Array) -> pa.Table:
    return pa.table({"x": array})


MASKED = {"class": "masked"}
MATRIX = {"shape": np.int64([3, 3]), "data": np.ones(2)}

CASES: dict[str, tuple[str, str, Callable[[], bytes], dict[str, Any]]] = {
    "json lists in lists": ("json", "json", lambda: b"[" * DEEP + b"]" * DEEP, {}),
    "json objects in objects": ("json", "json", lambda: b'{"a":' * DEEP + b"1" + b"}" * DEEP, {}),
    "json kinds in kinds": (
        "json",
        "json",
        lambda: b'{"$type":"tuple","value":[' * DEEP + b"]}" * DEEP,
        {},
    ),
    "a time in lists": ("timestamp", "json", lambda: b"[" * DEEP + b"]" * DEEP, {}),
    "json of a long number": ("json", "json", lambda: b"[" + b"9" * 5_000_000 + b"]", {}),
    "json of a wide exponent": (
        "json",
        "json",
        lambda: b'{"$type":"fraction","value":"1e900000000"}',
        {},
    ),
    "an array of records without size": ("array", "npy", lambda: npy([("a", "|V0")], (10**15,)), {}),
    "an array of wide records": ("array", "npy", lambda: npy([("a", "<f8", (10**9,))], (1,)), {}),
    "an array of wide bytes": ("array", "npy", lambda: npy("|S2000000000", (3,)), {}),
    "an array of too many rows of nothing": ("array", "npy", lambda: npy("<f8", (2**70, 0)), {}),
    "an array of one hundred dimensions": ("array", "npy", lambda: npy("<f8", (1,) * 100, bytes(8)), {}),
    "an array of records in records": (
        "array",
        "npy",
        lambda: npy(0, 0, header=b"{'descr': " + b"[('a', " * 20_000 + b"'<f8'" + b")]" * 20_000 + b", 'shape': ()}"),
        {},
    ),
    "a masked array that says a wide size": (
        "array",
        "npz",
        lambda: claiming(npz({"data": saved(np.ones(3)), "mask": saved([False] * 3), "fill_value": saved(0.0)}), 2**31),
        MASKED,
    ),
    "a masked array of zip files": (
        "array",
        "npz",
        lambda: npz(dict.fromkeys(("data", "mask", "fill_value"), zipped(bytes(200 << 20)))),
        MASKED,
    ),
    "a masked array with a wide mask": (
        "array",
        "npz",
        lambda: npz({"data": saved(np.ones(3)), "mask": npy("|b1", (2**33,)), "fill_value": saved(0.0)}),
        MASKED,
    ),
    "coo with wild rows": (
        "sparse",
        "npz",
        lambda: sparse_of("coo", row=np.int64([0, 2**40]), col=np.int64([0, 1]), **MATRIX),
        {},
    ),
    "coo with negative columns": (
        "sparse",
        "npz",
        lambda: sparse_of("coo", row=np.int64([0, 1]), col=np.int64([0, -9]), **MATRIX),
        {},
    ),
    "dia of other offsets": (
        "sparse",
        "npz",
        lambda: sparse_of("dia", offsets=np.int64([0, 0, 10**12]), **{**MATRIX, "data": np.ones((2, 3))}),
        {},
    ),
    "csr of complex pointers": (
        "sparse",
        "npz",
        lambda: sparse_of("csr", indices=np.complex128([0, 1]), indptr=np.int64([0, 1, 2, 2]), **MATRIX),
        {},
    ),
    "csr of many rows as dok": (
        "sparse",
        "npz",
        lambda: sparse_of("coo", row=np.int64([0, 1]), col=np.int64([0, 1]), shape=[10**9] * 2, data=np.ones(2)),
        {"format": "lil"},
    ),
    "a model of deep JSON": ("model", "skops", lambda: model(deep_model, fitted()), {}),
    "a model of zip files": ("model", "skops", lambda: model(nested_zip, fitted()), {}),
    "a model that says a wide size": (
        "model",
        "skops",
        lambda: claiming(model(lambda members: None, fitted()), 2**31),
        {},
    ),
    "a table of no texts": ("table", "parquet", lambda: parquet(big(pa.nulls(MANY, pa.string()))), {"rows": MANY}),
    "a table of empty texts": (
        "table",
        "parquet",
        lambda: delta(big(pa.array([""]).take(pa.array(np.zeros(MANY // 4, np.int32)))), "DELTA_LENGTH_BYTE_ARRAY"),
        {"rows": MANY // 4},
    ),
    "a table of one difference": (
        "table",
        "parquet",
        lambda: delta(big(pa.array(np.arange(MANY // 2))), "DELTA_BINARY_PACKED"),
        {"rows": MANY // 2},
    ),
    "a table of one number in a dictionary": (
        "table",
        "parquet",
        lambda: parquet(big(pa.array(np.full(MANY // 2, 7))), use_dictionary=True),
        {"rows": MANY // 2},
    ),
    "a table of split bytes": (
        "table",
        "parquet",
        lambda: delta(big(pa.array(np.zeros(MANY // 2))), "BYTE_STREAM_SPLIT"),
        {"rows": MANY // 2},
    ),
    "a table of empty lists": (
        "table",
        "parquet",
        lambda: parquet(
            big(pa.ListArray.from_arrays(pa.array(np.zeros(MANY // 4 + 1, np.int32)), pa.array([], pa.int8())))
        ),
        {"rows": MANY // 4},
    ),
    "a table of no structs": (
        "table",
        "parquet",
        lambda: parquet(big(pa.nulls(MANY // 4, pa.struct([(f"f{n}", pa.string()) for n in range(8)])))),
        {"rows": MANY // 4},
    ),
    "a table of short texts of one value": (
        "table",
        "parquet",
        lambda: parquet(
            big(pa.DictionaryArray.from_arrays(pa.array(np.zeros(100_000, np.int32)), pa.array(["x" * 50_000]))),
            use_dictionary=True,
        ),
        {"rows": 100_000},
    ),
    "a table of fixed bytes": (
        "table",
        "parquet",
        lambda: parquet(big(pa.array([b"\0" * 1000], pa.binary(1000)).take(pa.array(np.zeros(500_000, np.int32))))),
        {"rows": 500_000},
    ),
    "a dictionary of runs": ("table", "parquet", lambda: with_dictionary(run_ends()), {"rows": 3}),
    "a dictionary of wide nothing": ("table", "parquet", lambda: with_dictionary(wide_nothing()), {"rows": 3}),
    "a dictionary of lz4": (
        "table",
        "parquet",
        lambda: with_dictionary(stream(pa.array(["a" * (100 << 20)]), compression="lz4")),
        {"rows": 3},
    ),
    "a dictionary of lists in lists": ("table", "parquet", lambda: with_dictionary(empty_lists(60)), {"rows": 3}),
    "a plan of deep JSON": (
        "table",
        "parquet",
        lambda: with_plan(pd.DataFrame({"a": [1]}), lambda plan: plan.update(attrs=deep_list(900))),
        {"source": "pandas", **LONE},
    ),
    "a plan of a long range": (
        "table",
        "parquet",
        lambda: with_plan(pd.DataFrame([[1]]), lambda plan: plan["columns"].update(range=[0, 10**10, 1])),
        {"source": "pandas", **LONE},
    ),
    "tensors with a header of lists": ("torch", "safetensors", lambda: tensors(b"[" * (1 << 20)), {}),
    "tensors with a header of 100 MB": (
        "torch",
        "safetensors",
        lambda: tensors(b'{"__metadata__":{"a":"' + b"x" * 100_000_000 + b'"}}'),
        {},
    ),
    "tensors without their data": (
        "torch",
        "safetensors",
        lambda: tensors({"w": {"dtype": "F32", "shape": [2**30], "data_offsets": [0, 2**32]}}),
        {},
    ),
    "tensors of overflowing shape": (
        "torch",
        "safetensors",
        lambda: tensors({"w": {"dtype": "F64", "shape": [2**61, 4], "data_offsets": [0, 0]}}),
        {},
    ),
    "tensors with notes in notes": (
        "torch",
        "safetensors",
        lambda: tensors({"__metadata__": {"lakefolio": "[" * DEEP + "]" * DEEP}}),
        {},
    ),
    "a folder that says a wide size": ("directory", "tar", lambda: tar_of(64 * GIB), {"filename": "x"}),
    "a folder with wide notes": ("directory", "tar", lambda: tar_of(8 * GIB - 1, tarfile.XHDTYPE), {"filename": "x"}),
    "a folder with a wide name": (
        "directory",
        "tar",
        lambda: tar_of(8 * GIB - 1, tarfile.GNUTYPE_LONGNAME),
        {"filename": "x"},
    ),
}


def deep_list(depth: int) -> Any:
    found: Any = 1
    for _ in range(depth):
        found = [found]
    return found


def test_it_is_refused(tmp_path: Path) -> None:
    """All cases in one test: the processes of the tests would each ask all of them anew."""
    lake = lf.open(tmp_path / "lake")
    for name, (kind, format, content, facts) in CASES.items():
        details = {key: value for key, value in facts.items() if key != "rows"}
        forge(lake, name, kind, format, content(), details=details, row_count=facts.get("rows"))
    answers = read(lake.uri, list(CASES), tmp_path)
    assert set(answers) == set(CASES)
    assert faults_of(answers) == {}

"""What is decoded takes no more memory than its row lets expect, and compiled code sees nothing that was not checked.

Each item is read in a process of its own with 1 GiB to spend.
"""

from __future__ import annotations

import base64
import io
import json
import os
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.numpy
import scipy.sparse
from hostile import forge
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from skops import io as skops

import lakefolio as lf
from lakefolio.items.table import TableHandler

GIB = 1 << 30


def npy(descr: Any, shape: Any, data: bytes = b"", header: bytes | None = None) -> bytes:
    text = header or repr({"descr": descr, "fortran_order": False, "shape": shape}).encode()
    return b"\x93NUMPY\x02\x00" + struct.pack("<I", len(text)) + text + data


def npz(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


def saved(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(array))
    return file.getvalue()


def sparse(kind: str, indices: list[int], indptr: list[int], shape: tuple[int, int] = (3, 3)) -> bytes:
    parts = {"indices": saved(np.int32(indices)), "indptr": saved(np.int32(indptr)), "format": saved(kind.encode())}
    data = np.ones((len(indices), 1, 1)) if kind == "bsr" else np.ones(len(indices))
    return npz({**parts, "shape": saved(np.int64(shape)), "data": saved(data)})


def parquet(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **{"compression": "zstd", **options})
    return sink.getvalue()


def footed(table: pa.Table, change: Callable[[dict[str, Any]], None]) -> bytes:
    """Return a table as it is stored, with another footer."""
    content = b"".join(TableHandler().encode(table, scratch=Path()).payload().parts)
    found = pq.read_table(io.BytesIO(content))
    metadata = dict(found.schema.metadata or {})
    original = pq.read_metadata(io.BytesIO(content)).metadata
    footer = json.loads(original[b"lakefolio:table"])
    change(footer)
    metadata |= {b"lakefolio:table": json.dumps(footer).encode()}
    return parquet(found.replace_schema_metadata(metadata))


def with_dictionary(stream: bytes) -> bytes:
    def change(footer: dict[str, Any]) -> None:
        for path in footer["dictionaries"]:
            footer["dictionaries"][path] = base64.b64encode(stream).decode()

    return footed(pa.table({"d": pa.array(["a", "b", "a"]).dictionary_encode()}), change)


def with_plan(frame: pd.DataFrame, change: Callable[[dict[str, Any]], None]) -> bytes:
    """Return a pandas frame as it is stored, with another plan of how to make it again."""

    def other(footer: dict[str, Any]) -> None:
        schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(footer["schema"])))
        plan = json.loads(schema.metadata[b"lakefolio:pandas"])
        change(plan)
        schema = schema.with_metadata({b"lakefolio:pandas": json.dumps(plan).encode()})
        footer["schema"] = base64.b64encode(schema.serialize()).decode()

    return footed(frame, other)


def stream(array: pa.Array, **options: Any) -> bytes:
    sink = io.BytesIO()
    batch = pa.record_batch([array], names=["values"])
    with pa.ipc.new_stream(sink, batch.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def wild_texts(offsets: list[int]) -> bytes:
    """Return a stream of texts whose offsets lead out of memory."""
    content = stream(pa.array(["a", "b", "c"]))
    right = np.array([0, 1, 2, 3], np.int32).tobytes()
    assert content.count(right) == 1
    return content.replace(right, np.array(offsets, np.int32).tobytes())


def model(change: Callable[[dict[str, bytes]], None], made: Any, **options: Any) -> bytes:
    """Return a model as it is stored, with other members."""
    with zipfile.ZipFile(io.BytesIO(skops.dumps(made))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return target.getvalue()


def fitted(kind: Any = LogisticRegression) -> Any:
    return kind().fit([[0.0, 0.0], [1.0, 1.0]], [0, 1])


def other_arrays(content: bytes) -> Callable[[dict[str, bytes]], None]:
    def change(members: dict[str, bytes]) -> None:
        for name in members:
            if name.endswith(".npy"):
                members[name] = content

    return change


def with_pool(size: int) -> Callable[[dict[str, bytes]], None]:
    def change(members: dict[str, bytes]) -> None:
        text = members["schema.json"].decode()
        schema = json.loads(text)

        def visit(node: Any) -> None:
            if isinstance(node, dict):
                if "pool_size" in node:
                    node["pool_size"]["content"] = str(size)
                for value in node.values():
                    visit(value)
            elif isinstance(node, list):
                for value in node:
                    visit(value)

        visit(schema)
        members["schema.json"] = json.dumps(schema).encode()

    return change


def holding(value: Any) -> Any:
    found = fitted()
    found.held_ = value
    return found


def wild_matrix(members: dict[str, bytes]) -> None:
    for name in members:
        if name.endswith(".npz"):
            members[name] = sparse("csr", [0, 10**9, 2], [0, 1, 2, 3])


def tar_with_a_hole() -> bytes:
    """Return a GNU sparse file of 64 GiB in 2 KiB."""
    header = tarfile.TarInfo("hole")
    header.size = 0
    block = bytearray(header.tobuf(tarfile.GNU_FORMAT))
    block[156:157] = b"S"
    block[386:410] = b"%011o\0%011o\0" % (0, 0)
    block[483:495] = b"\x80" + (64 * GIB).to_bytes(11, "big")
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + bytes(1024)


@cache
def ones() -> pa.Array:
    return pa.array(np.ones(30_000_000))


@cache
def strings() -> pa.Array:
    return pa.array(["x" * 1_000_000]).take(pa.array(np.zeros(250, np.int64)))


@cache
def noughts() -> bytes:
    return b"\x00" * (240 << 20)


CASES: dict[str, tuple[str, str, Callable[[], bytes], dict[str, Any]]] = {
    "bytes of a wide dtype": ("json", "json", lambda: b'{"$type":"numpy","dtype":"S2000000000","value":""}', {}),
    **{
        f"a {kind} of a range": (
            "json",
            "json",
            lambda kind=kind: (
                b'{"a": {"$type":"%s","class":"a:b","value":{"$type":"range","value":[0,2000000000]}}}' % kind.encode()
            ),
            {},
        )
        for kind in ("set", "tuple", "frozenset", "deque", "namedtuple")
    },
    "an array without its data": ("array", "npy", lambda: npy("<f8", (10**9,)), {}),
    "an array of nothing": ("array", "npy", lambda: npy("|S0", (10**10,)), {}),
    "an array of no text": ("array", "npy", lambda: npy("<U0", (10**10,)), {}),
    "an array of negative shape": ("array", "npy", lambda: npy("<f8", (-1, -8), bytes(64)), {}),
    "an array with a long header": (
        "array",
        "npy",
        lambda: npy(0, 0, header=b"{'descr': '<f8', 'fortran_order': False, 'shape': (" + b"1," * 4_000_000 + b")}"),
        {},
    ),
    "an array with a deep header": ("array", "npy", lambda: npy(0, 0, header=b"(" * 900_000), {}),
    "an array with a negated header": ("array", "npy", lambda: npy(0, 0, header=b"-" * 900_000 + b"1"), {}),
    "a masked array that is compressed": (
        "array",
        "npz",
        lambda: npz({"data": noughts(), "mask": saved([False]), "fill_value": saved(0)}, zipfile.ZIP_DEFLATED),
        {"class": "masked"},
    ),
    "a masked array without its data": (
        "array",
        "npz",
        lambda: npz({"data": npy("<f8", (10**9,)), "mask": saved([False]), "fill_value": saved(0)}),
        {"class": "masked"},
    ),
    "a sparse matrix that is compressed": (
        "sparse",
        "npz",
        lambda: npz(
            {
                "indices": npy("<i4", (len(noughts()) // 4,), noughts()),
                "indptr": saved(np.int32([0, len(noughts()) // 4])),
                "format": saved(b"csr"),
                "shape": saved(np.int64([1, 1])),
                "data": saved(np.ones(3)),
            },
            zipfile.ZIP_DEFLATED,
        ),
        {},
    ),
    "a matrix of many lists": (
        "sparse",
        "npz",
        lambda: npz(
            {
                "row": saved(np.int64([0])),
                "col": saved(np.int64([0])),
                "format": saved(b"coo"),
                "shape": saved(np.int64([10**8, 1])),
                "data": saved(np.ones(1)),
            }
        ),
        {"format": "lil"},
    ),
    "csr with wild columns": ("sparse", "npz", lambda: sparse("csr", [0, 10**9, 2], [0, 1, 2, 3]), {}),
    "csr with negative columns": ("sparse", "npz", lambda: sparse("csr", [0, -(10**9), 2], [0, 1, 2, 3]), {}),
    "csc with wild rows": ("sparse", "npz", lambda: sparse("csc", [0, 10**9, 2], [0, 1, 2, 3]), {}),
    "csr with wild pointers": ("sparse", "npz", lambda: sparse("csr", [0, 1, 2], [0, 10**9, -(10**9), 3]), {}),
    "bsr with wild columns": ("sparse", "npz", lambda: sparse("bsr", [0, 10**9, 2], [0, 1, 2, 3]), {}),
    "a model that is compressed": (
        "model",
        "skops",
        lambda: model(
            other_arrays(npy("|u1", (len(noughts()),), noughts())), fitted(), compression=zipfile.ZIP_DEFLATED
        ),
        {},
    ),
    "a model with arrays that have no data": (
        "model",
        "skops",
        lambda: model(other_arrays(npy("<f8", (10**9,))), fitted()),
        {},
    ),
    "a model with a large pool": (
        "model",
        "skops",
        lambda: model(with_pool(10**7), holding(np.random.default_rng(0))),
        {},
    ),
    "a model with a wild matrix": (
        "model",
        "skops",
        lambda: model(wild_matrix, holding(scipy.sparse.eye(3, format="csr"))),
        {},
    ),
    "a table with other rows than its row says": ("table", "parquet", lambda: parquet(pa.table({"x": ones()})), {}),
    "a table of one value": (
        "table",
        "parquet",
        lambda: parquet(pa.table({"x": ones(), "y": ones()})),
        {"rows": 30_000_000},
    ),
    "a table of one text": ("table", "parquet", lambda: parquet(pa.table({"x": strings()})), {"rows": 250}),
    "a table of one text in lists": (
        "table",
        "parquet",
        lambda: parquet(
            pa.table({"x": pa.ListArray.from_arrays(pa.array([0, len(strings())], pa.int32()), strings())})
        ),
        {"rows": 1},
    ),
    "a table of one long list": (
        "table",
        "parquet",
        lambda: parquet(pa.table({"x": pa.ListArray.from_arrays(pa.array([0, len(ones())], pa.int32()), ones())})),
        {"rows": 1},
    ),
    "a table of one page": (
        "table",
        "parquet",
        lambda: parquet(pa.table({"x": pa.array([noughts()])}), use_dictionary=False),
        {"rows": 1},
    ),
    "a table of prefixes": (
        "table",
        "parquet",
        lambda: parquet(
            pa.table({"x": strings()}),
            use_dictionary=False,
            column_encoding={"x": "DELTA_BYTE_ARRAY"},
            compression="none",
        ),
        {"rows": 250},
    ),
    "a dictionary that is compressed": (
        "table",
        "parquet",
        lambda: with_dictionary(stream(pa.array(["a" * (240 << 20)]), compression="zstd")),
        {"rows": 3},
    ),
    "a dictionary of nothing": ("table", "parquet", lambda: with_dictionary(stream(pa.nulls(4 * 10**8))), {"rows": 3}),
    "a dictionary with wild offsets": (
        "table",
        "parquet",
        lambda: with_dictionary(wild_texts([0, 2_000_000_000, 2_000_000_001, 2_000_000_002])),
        {"rows": 3},
    ),
    "a dictionary with falling offsets": (
        "table",
        "parquet",
        lambda: with_dictionary(wild_texts([0, -2_000_000_000, 2_000_000_000, 3])),
        {"rows": 3},
    ),
    "labels with wild offsets": (
        "table",
        "parquet",
        lambda: with_plan(
            pd.DataFrame([[1]], columns=pd.Index([7])),
            lambda plan: plan["columns"].update(
                arrow=base64.b64encode(wild_texts([0, 2_000_000_000, 2_000_000_001, 2_000_000_002])).decode()
            ),
        ),
        {"source": "pandas", "rows": 1},
    ),
    "labels of a wide dtype": (
        "table",
        "parquet",
        lambda: with_plan(
            pd.DataFrame({"a": [1]}), lambda plan: plan["columns"].update(dtype="S2000000000", values=["a"])
        ),
        {"source": "pandas", "rows": 1},
    ),
    "a column of a wide dtype": (
        "table",
        "parquet",
        lambda: with_plan(pd.DataFrame({"a": [1]}), lambda plan: plan["cells"][0].update(dtype="S2000000000")),
        {"source": "pandas", "rows": 1},
    ),
    "more missing values than rows": (
        "table",
        "parquet",
        lambda: with_plan(
            pd.DataFrame({"a": ["x", None]}, dtype=object),
            lambda plan: plan["cells"][0]["missing"].update(
                others={"nan": base64.b64encode(__import__("zlib").compress(noughts())).decode()}
            ),
        ),
        {"source": "pandas", "rows": 2},
    ),
    "tensors with a long header": (
        "torch",
        "safetensors",
        lambda: struct.pack("<Q", 60 << 20) + b'{"a":' + b" " * ((60 << 20) - 8) + b"{}}",
        {},
    ),
    "a folder with a hole": ("directory", "tar", tar_with_a_hole, {"filename": "hole"}),
}


def read(uri: str, names: list[str], folder: Path) -> dict[str, dict[str, Any]]:
    script = Path(__file__).with_name("bounded_child.py")
    ran = subprocess.run(
        [sys.executable, str(script), uri, *names],
        capture_output=True,
        text=True,
        timeout=500,
        env={**os.environ, "LAKEFOLIO_CACHE": str(folder / "cache"), "TMPDIR": str(folder)},
        check=False,
    )
    found = [json.loads(line) for line in ran.stdout.splitlines()]
    assert ran.returncode == 0, ran.stderr[-2000:]
    return {one["name"]: one for one in found}


def faults_of(answers: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the answers that are not as they must be: an error that names the item, in little memory, no signal."""
    return {
        name: answer
        for name, answer in answers.items()
        if answer["status"] != 0
        or answer.get("error") != "IntegrityError"
        or f"item f:{name}@" not in answer["text"]
        or answer["taken"] >= 150 << 20
    }


def test_what_would_take_more_than_its_row_says_is_refused(tmp_path: Path) -> None:
    """All cases in one test: the processes of the tests would each ask all of them anew."""
    lake = lf.open(tmp_path / "lake")
    for name, (kind, format, content, facts) in CASES.items():
        details = {key: value for key, value in facts.items() if key != "rows"}
        rows = facts.get("rows", 3 if kind == "table" else None)
        forge(lake, name, kind, format, content(), details=details, row_count=rows)
    answers = read(lake.uri, list(CASES), tmp_path)
    assert set(answers) == set(CASES)
    assert faults_of(answers) == {}


def test_what_this_library_stores_is_read_however_well_it_shrinks(tmp_path: Path) -> None:
    """Constant columns, long texts that repeat, wide texts of few letters: a row says how much memory they take."""
    lake = lf.open(tmp_path / "lake")
    folio = lake.folio("f")
    long = "x" * 100_000
    tables = {
        "constant": pd.DataFrame({"x": np.zeros(10_000_000), "y": np.ones(10_000_000, np.int8)}),
        "repeated": pd.DataFrame({"x": [long] * 2_000}),
        "nested": pa.table({"x": [[long, long]] * 500, "n": pa.nulls(500)}),
        "codes": pd.DataFrame({"x": pd.Categorical.from_codes(np.zeros(3_000_000, np.int8), ["a"])}),
        "numbers": pd.DataFrame({"x": pd.Categorical.from_codes(np.zeros(3_000_000, np.int8), [1.5])}),
        "booleans": pa.table({"x": pa.array(np.zeros(20_000_000, bool))}),
        "nulls": pa.table({"x": pa.nulls(20_000_000)}),
        "distinct": pd.DataFrame({"x": [f"{'a' * 10_000}{number}" for number in range(2_000)]}),
        "wide": pd.DataFrame({number: [1.0] for number in range(3_000)}),
    }
    for name, table in tables.items():
        folio.add(name, table)
    names = list(tables)
    folio.add("forest", RandomForestClassifier(3).fit([[0.0, 0.0], [1.0, 1.0]], [0, 1]))
    folio.add("sparse", scipy.sparse.eye(1000, format="lil"))
    folio.add("random", holding(np.random.default_rng(0)))
    folio.add("matrix in a model", holding(scipy.sparse.random(50, 50, format="csr", random_state=0)))
    folio.add("record", np.zeros(3, [(f"field{number}", "<f4") for number in range(5_000)]))
    for name, table in tables.items():
        found = folio.get(name)
        same = found.equals(table) if hasattr(found, "equals") else (found == table)
        assert same, name
    assert folio.get("matrix in a model", trusted=["scipy.sparse"]).held_.shape == (50, 50)
    answers = read(lake.uri, [*names, "forest", "sparse", "random", "record"], tmp_path)
    assert [one for one in answers.values() if one.get("error")] == []
    assert lake.check(read_data=True).ok


def test_tensors_that_say_other_sizes_are_refused(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    content = safetensors.numpy.save({"w": np.zeros(3, np.float32)})
    forge(lake, "w", "torch", "safetensors", content.replace(b"[3]", b"[9]"), details={"object": "state_dict"})
    with pytest.raises(lf.IntegrityError):
        lake.folio("f").get("w")


@pytest.mark.parametrize("sizes", [(30_000, 30_000), (2, 100_000_000)])
def test_a_module_is_not_made_larger_than_its_tensors(tmp_path: Path, sizes: tuple[int, int]) -> None:
    import resource

    import torch

    lake = lf.open(tmp_path / "lake")
    lake.folio("f").add_pytorch("real", torch.nn.Linear(2, 2), init_args={"in_features": 2, "out_features": 2})
    entry = lake.item("f:real")
    content = Path(lake.folio("f").item_path("real")).read_bytes()
    asked = {"in_features": sizes[0], "out_features": sizes[1]}
    forge(lake, "huge", "torch", "safetensors", content, details={**entry.details, "init_args": asked})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(lf.InvalidInputError) as caught:
        lake.folio("f").get("huge")
    assert caught.value.kind == "model-mismatch"
    assert "shape" in str(caught.value)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 200 << 20
    assert lake.folio("f").get("real").weight.shape == (2, 2)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_character_that_can_not_be_is_damage(tmp_path: Path, order: str) -> None:
    lake = lf.open(tmp_path / "lake")
    for number, dtype in enumerate([f"{order}U3", [("n", "i4"), ("s", f"{order}U3")]]):
        array = np.zeros((2, 2), dtype)
        sink = io.BytesIO()
        np.save(sink, np.asfortranarray(array))
        body = sink.getvalue()
        forge(lake, f"good{number}", "array", "npy", body)
        assert lake.get(f"f:good{number}").tolist() == array.tolist()
        forge(lake, f"bad{number}", "array", "npy", body[:-4] + b"\xff\xff\xff\xff")
        for mmap in (False, True):
            with pytest.raises(lf.IntegrityError, match="character"):
                lake.get(f"f:bad{number}", mmap=mmap)


@pytest.mark.parametrize(
    ("format", "part", "value"),
    [("csr", "indptr", -(2**31)), ("csc", "indptr", -5), ("csr", "indptr", 2**31 - 1), ("dia", "offsets", -(2**31))],
)
def test_indices_that_lead_astray_are_damage(tmp_path: Path, format: str, part: str, value: int) -> None:
    sink = io.BytesIO()
    scipy.sparse.save_npz(sink, scipy.sparse.eye(20, format=format), compressed=False)
    sink.seek(0)
    with np.load(sink) as file:
        parts = dict(file)
    parts[part] = parts[part].copy()
    parts[part][-1] = value
    sink = io.BytesIO()
    np.savez(sink, **parts)
    lake = lf.open(tmp_path / "lake")
    forge(lake, "m", "sparse", "npz", sink.getvalue())
    with pytest.raises(lf.IntegrityError, match="can't be read"):
        lake.get("f:m")

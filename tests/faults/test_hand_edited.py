"""Rows and log entries that somebody wrote with another tool: never a way out of the lake, never a crash.

Anyone who may write to the bucket can append to its Delta tables; what such a row says is not believed.
"""

from __future__ import annotations

import json
import os
import pickle
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from bad_input_support import append_row, append_rows, check_line, refused
from click.testing import CliRunner

import lakefolio as lf
from lakefolio.cli import cli
from lakefolio.errors import (
    FormatError,
    IntegrityError,
    LakefolioError,
    NotFoundError,
    UnsupportedTypeError,
    UntrustedContentError,
)
from lakefolio.format.digest import sha256_of_bytes
from lakefolio.format.layout import blob_key, log_key, table_prefix
from lakefolio.storage import open_store
from lakefolio.testing import need

PASSWD = Path("/etc/passwd")


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LAKEFOLIO_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def lake(lake_uri: str) -> lf.Lake:
    lake = lf.open(lake_uri)
    lake.folio("f").add_json("good", {"lr": 0.01}).add("large", bytes(range(256)) * 40)
    return lake


@pytest.fixture
def local(tmp_path: Path) -> lf.Lake:
    lake = lf.open(tmp_path / "lake")
    lake.folio("f").add_json("good", {"lr": 0.01}).add("large", bytes(range(256)) * 40)
    return lake


def still_good(lake: lf.Lake, uri: str | None = None) -> None:
    """The other items are whole and the lake takes further ones."""
    fresh = lf.open(uri or lake.uri)
    assert fresh.folio("f").get("good") == {"lr": 0.01}
    assert fresh.folio("f").get("large") == bytes(range(256)) * 40
    assert "good" in fresh.folio("f").list_contents()["json_data"]
    fresh.folio("f").add_json("good", {"lr": 0.01}, overwrite=True)
    assert lf.open(uri or lake.uri).sql("select count(*) from items").fetchone()


# -- keys that point outside --------------------------------------------------------------------------------

DIGESTS = [
    "../../../../../../etc/passwd",
    "/etc/passwd",
    "sha256:../../../../../../etc/passwd",
    "sha256:" + "../" * 21 + "x",
    "sha256:" + "A" * 64,
    "sha256:" + "a" * 63,
    "sha256:" + "a" * 64 + "\n",
    "sha256:" + "a" * 64 + "/../../../lakefolio.json",
    "md5:" + "a" * 64,
    "file:///etc/passwd",
    "",
    "\x1b[31m",
    "x" * 5000,
    None,
]


def test_a_digest_that_points_outside(local: lf.Lake, tmp_path: Path) -> None:
    size = PASSWD.stat().st_size
    common = {"kind": "artifact", "format": "file", "size_bytes": size, "stored_bytes": size}
    folio, bad = local.folio("f"), set()
    for digest in DIGESTS:
        append_row(local, storage="blob", blob_digest=digest, digest=digest, generation=0, **common)
        bad.add(f"f:forged@{local.version}")
        for action in (
            lambda: folio.get("forged"),
            lambda: folio.get_artifact_path("forged"),
            lambda: folio.item_path("forged"),
            lambda: local.get("f:forged"),
            lambda: folio.copy(f"{tmp_path}/elsewhere"),
        ):
            for _ in range(2):
                assert refused(IntegrityError, "bad-digest", action, "f:forged@").item == "forged", digest
        assert folio.validate()["forged"] is False, digest
        result = CliRunner().invoke(cli, ["--lake", local.uri, "get", "f:forged"])
        assert (result.exit_code, result.stdout) == (8, ""), digest
    assert {one.object for one in local.check(read_data=True).problems if one.kind == "bad-digest"} == bad
    still_good(local)


@pytest.mark.parametrize("generation", [-1, 7, 2**31 - 1])
def test_a_generation_that_is_not_there(local: lf.Lake, generation: int) -> None:
    entry = local.item("f:large")
    append_row(
        local,
        kind="artifact",
        storage="blob",
        blob_digest=entry.blob_digest,
        digest=entry.digest,
        generation=generation,
    )
    refused(IntegrityError, "blob-missing", lambda: local.folio("f").get("forged"), "f:forged@", str(generation))
    still_good(local)


PATHS = [
    "../../../../../../etc/passwd",
    "../lineage/x.parquet",
    "%2e%2e/%2e%2e/lakefolio.json",
    "/etc/passwd",
    "file:///etc/passwd",
    "s3://elsewhere/x.parquet",
    "a/../../b.parquet",
    "a//b.parquet",
    "a\\..\\b",
    "",
    "x\x1b[31m\n" + "y" * 3000,
]


@pytest.mark.parametrize("table", ["manifests"])
@pytest.mark.parametrize("path", PATHS, ids=lambda path: repr(path)[:40])
def test_a_data_file_that_lies_outside(local: lf.Lake, table: str, path: str) -> None:
    """A log entry that another tool wrote, naming a file somewhere else."""
    local.folio("f").add_json("made", 1, inputs=["good"], metadata={"a": 1})
    store = open_store(local.uri)
    log = [info.key for info in store.list(f"{table_prefix(table)}/_delta_log")]
    add = {
        "path": path,
        "partitionValues": {},
        "size": PASSWD.stat().st_size,
        "modificationTime": 0,
        "dataChange": True,
        "stats": '{"numRecords": 1}',
    }
    entry = json.dumps({"commitInfo": {}}) + "\n" + json.dumps({"add": add})
    store.create(log_key(table, len(log)), entry.encode())
    for _ in range(2):
        fresh = lf.open
        error = refused(
            IntegrityError, "bad-key", lambda fresh=fresh: fresh(local.uri).scan(table).collect(), "tables/"
        )
        assert error.key.startswith(f"tables/{table}/")


def test_details_that_name_a_file_outside(local: lf.Lake, tmp_path: Path) -> None:
    """The name of a file comes from the bucket: the local copy stays in its folder whatever it is."""
    content = b"harmless"
    digest = sha256_of_bytes(content)
    for number, name in enumerate(
        ["../../../evil", "/tmp/evil", "..", ".", "", "a\0b", "a\nb", "x" * 4000, 3, None, "C:\\x"]
    ):
        append_row(
            local,
            item=f"forged {number}",
            kind="artifact",
            format="file",
            content=content,
            digest=digest,
            blob_digest=digest,
            size_bytes=len(content),
            details=json.dumps({"source": "file", "filename": name}),
        )
        path = Path(local.folio("f").get_artifact_path(f"forged {number}"))
        assert path.resolve().is_relative_to((tmp_path / "cache").resolve())
        assert path.read_bytes() == content
        (tmp_path / "out").mkdir(exist_ok=True)
        result = CliRunner().invoke(
            cli, ["--lake", local.uri, "get", f"f:forged {number}", "-o", str(tmp_path / "out")]
        )
        assert result.exit_code == 0, result.output
    assert {path.parent for path in (tmp_path / "out").rglob("*")} == {tmp_path / "out"}
    assert local.check(read_data=True).ok


def test_a_format_that_is_a_path(local: lf.Lake, tmp_path: Path) -> None:
    content = b"1"
    digest = sha256_of_bytes(content)
    append_row(local, format="/../../../evil", content=content, digest=digest, blob_digest=digest, size_bytes=1)
    path = Path(local.folio("f").item_path("forged"))
    assert path.resolve().is_relative_to((tmp_path / "cache").resolve())
    result = CliRunner().invoke(cli, ["--lake", local.uri, "get", "f:forged", "-o", str(tmp_path)])
    assert not list(tmp_path.parent.glob("evil*"))
    assert result.exit_code == 0, result.output
    assert (tmp_path / "forged").read_bytes() == content


# -- words that nobody knows --------------------------------------------------------------------------------


@pytest.mark.parametrize("storage", ["chunked", "packed", "elsewhere", "", "INLINE"])
def test_an_unknown_storage(lake: lf.Lake, storage: str) -> None:
    append_row(lake, storage=storage, content=b"1", digest=sha256_of_bytes(b"1"))
    for _ in range(2):
        refused(IntegrityError, "bad-storage", lambda: lake.folio("f").get("forged"), "f:forged@", repr(storage))
        refused(IntegrityError, "bad-storage", lambda: lake.folio("f").item_path("forged"), "f:forged@", repr(storage))
    still_good(lake)


def test_inline_content_that_is_not_there(local: lf.Lake) -> None:
    append_row(local, storage="inline", digest=sha256_of_bytes(b"1"))
    refused(IntegrityError, "inline-missing", lambda: local.folio("f").get("forged"), "f:forged@")
    assert not local.check().ok
    still_good(local)


@pytest.mark.parametrize("kind", ["audio", "jso", "", "os.system", "../json"])
def test_an_unknown_kind(lake: lf.Lake, kind: str) -> None:
    digest = sha256_of_bytes(b"1")
    append_row(lake, kind=kind, content=b"1", digest=digest, blob_digest=digest, size_bytes=1)
    for _ in range(2):
        error = refused(
            UnsupportedTypeError, "unknown-kind", lambda: lake.folio("f").get("forged"), "f:forged@", repr(kind)
        )
        assert (error.item, error.objects["item_kind"]) == ("forged", kind)
    assert Path(lake.folio("f").item_path("forged")).read_bytes() == b"1"
    still_good(lake)


def test_an_unknown_op_is_ignored(lake: lf.Lake) -> None:
    before = [one.ref for one in lake.items()]
    for op in ("merge", "", "PUT", "drop table"):
        append_row(lake, op=op, item="good")
    assert [one.ref for one in lf.open(lake.uri).items()] == before
    assert lake.version == 6
    still_good(lake)


@pytest.mark.parametrize("column", ["details", "extra"])
def test_a_number_that_python_does_not_read_is_found(local: lf.Lake, column: str) -> None:
    """DuckDB takes it for valid JSON."""
    content: dict[str, Any] = {"content": b"1", "digest": sha256_of_bytes(b"1"), "size_bytes": 1}
    append_row(local, item="long", **content, **{column: '{"a": ' + "1234567890" * 99 + "}"})
    assert local.check().ok, str(local.check())
    append_row(local, item="too long", **content, **{column: '{"a": ' + "1234567890" * 500 + "}"})
    assert [problem.object for problem in local.check().problems] == [f"f:too long@{local.version}"]


ROWS: dict[str, dict[str, Any]] = {
    "no item": {"item": None},
    "no folio": {"folio": None},
    "neither": {"item": None, "folio": None},
    "no entry id": {"entry_id": None},
    "no kind": {"kind": None},
    "no storage": {"storage": None},
    "nothing": dict.fromkeys(("folio", "item", "entry_id", "kind", "format", "storage")),
    "details that are no JSON": {"details": "{"},
    "details that are a list": {"details": "[]"},
    "details nested deeply": {"details": "[" * 100_000},
    "extra that is no JSON": {"extra": "nonsense"},
    "a delete of nothing": {"op": "delete", "item": None},
    "a delete of what never was": {"op": "delete", "item": "never"},
    "a snapshot without a name": {"op": "snapshot", "target_version": 1},
    "a snapshot without a target": {"op": "snapshot", "snapshot": "s"},
    "a snapshot of the future": {"op": "snapshot", "folio": None, "snapshot": "s", "target_version": 99},
    "a snapshot of a negative version": {"op": "snapshot", "folio": None, "snapshot": "s", "target_version": -5},
    "a snapshot with odd words": {"op": "snapshot", "folio": None, "snapshot": "s", "target_version": 1, "extra": "{"},
    "a drop of no snapshot": {"op": "drop_snapshot", "folio": None, "snapshot": "never"},
    "a purge of nothing": {"op": "purge"},
    "a purge of nonsense": {"op": "purge", "blob_digest": "../x", "generation": -3},
    "names that can't be": {"folio": "../..", "item": "a\nb\x1b[31m"},
    "names without end": {"folio": "f" * 5000, "item": "i" * 5000},
    "facts and inputs that say nothing": {
        "facts": [{"key": None, "value": "1"}, {"key": "k", "value": "{"}, None],
        "inputs": [{"input_kind": None}, {"input_kind": "entry", "input_id": None}, None],
        "content": b"1",
        "digest": sha256_of_bytes(b"1"),
    },
    "negative sizes": {
        "size_bytes": -5,
        "stored_bytes": -5,
        "row_count": -5,
        "storage": "blob",
        "digest": "sha256:" + "a" * 64,
    },
    "an old version": {"version": 1, "content": b"1", "digest": sha256_of_bytes(b"1")},
    "a version to come": {"version": 1000, "content": b"1", "digest": sha256_of_bytes(b"1")},
}
HARMLESS = {"a delete of nothing", "a drop of no snapshot", "a snapshot with odd words", "a purge of nonsense"}


@pytest.mark.parametrize("case", ROWS)
def test_rows_that_make_no_sense(local: lf.Lake, tmp_path: Path, case: str) -> None:
    """Whatever one row says: the lake opens, what is whole is read, and errors stay errors of the library."""
    local.folio("f").create_snapshot("before", capture_git=False)
    append_row(local, **ROWS[case])
    fresh = lf.open(local.uri)
    still_good(local)
    attempts: list[Callable[[], Any]] = [
        lambda: fresh.folios(),
        lambda: fresh.items(),
        lambda: fresh.snapshots(),
        lambda: fresh.log(),
        lambda: fresh.info(),
        lambda: fresh.stats(),
        lambda: fresh.diff(1),
        lambda: fresh.at("s").items(),
        lambda: fresh.at(fresh.version).items(),
        lambda: fresh.folio("f").get("forged"),
        lambda: fresh.folio("f").item_info("forged"),
        lambda: fresh.folio("f").describe(return_string=True),
        lambda: fresh.folio("f").delete("forged"),
        lambda: fresh.folio("f").copy(f"{tmp_path}/elsewhere"),
        lambda: fresh.history("f:forged"),
        lambda: fresh.lineage("f:forged").upstream(),
        lambda: fresh.restore(1, folio="f", dry_run=True),
        lambda: fresh.sql("select * from entries").fetchall(),
        lambda: fresh.sql("select * from snapshots").fetchall(),
    ]
    for attempt in attempts:
        try:
            attempt()
        except LakefolioError as error:
            check_line(error, hint=False)
    report = fresh.check(read_data=True)
    if case not in HARMLESS:
        assert not report.ok, str(report)
    assert all(problem.message.isprintable() for problem in report.problems), report.problems
    for args in (["ls"], ["ls", "f"], ["log"], ["check"], ["snapshot", "list"], ["show", "f:forged"]):
        result = CliRunner().invoke(cli, ["--lake", local.uri, *args])
        assert result.exception is None or isinstance(result.exception, SystemExit), (args, result.exception)
        assert "\x1b" not in result.output


def test_a_bad_entry_is_overcome_by_adding_it_anew(local: lf.Lake) -> None:
    append_row(local, kind=None)
    refused(IntegrityError, "bad-row", lambda: local.folio("f").get("forged"), "f:forged@", "overwrite=True")
    local.folio("f").add_json("forged", 1, overwrite=True)
    assert lf.open(local.uri).get("f:forged") == 1


# -- content that would run code ----------------------------------------------------------------------------


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


class Exploit:
    """What a pickle of this does when it is loaded: make the canary."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.canary}",)


def forge(lake: lf.Lake, content: bytes, **values: Any) -> None:
    digest = sha256_of_bytes(content)
    large = len(content) > 4096
    if large:
        open_store(lake.uri).put(blob_key(digest), content)
    append_row(
        lake,
        content=None if large else content,
        storage="blob" if large else "inline",
        digest=digest,
        blob_digest=digest,
        size_bytes=len(content),
        stored_bytes=len(content) if large else 0,
        **values,
    )


def npy_of_objects(obj: Any) -> bytes:
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    header += b" " * (117 - len(header)) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + pickle.dumps([obj])


@pytest.mark.parametrize(
    ("kind", "format"),
    [
        ("model", "skops"),
        ("array", "npy"),
        ("sparse", "npz"),
        ("json", "json"),
        ("table", "parquet"),
        ("timestamp", "json"),
        ("directory", "tar"),
    ],
)
@pytest.mark.parametrize("padding", [0, 9000])
def test_a_pickle_is_never_loaded(local: lf.Lake, canary: Path, kind: str, format: str, padding: int) -> None:
    need("skops", "sklearn")
    need("scipy", "sklearn")
    content = pickle.dumps(Exploit(canary)) + bytes(padding)
    forge(local, content, kind=kind, format=format, item="pickle")
    forge(local, npy_of_objects(Exploit(canary)) + bytes(padding), kind=kind, format=format, item="npy")
    for item in ("pickle", "npy"):
        for _ in range(2):
            with pytest.raises(LakefolioError) as caught:
                local.folio("f").get(item)
            check_line(caught.value, f"f:{item}@", hint=False)
            assert caught.value.item == item
            assert type(caught.value) in (IntegrityError, UntrustedContentError, FormatError)
    if kind == "array":
        for details in ({"class": "masked"}, {"class": "matrix"}):
            forge(local, npy_of_objects(Exploit(canary)), kind=kind, format=format, details=json.dumps(details))
            refused(IntegrityError, "bad-content", lambda: local.folio("f").get("forged"), "f:forged@")
        with pytest.raises(IntegrityError):
            local.folio("f").get_numpy("npy", mmap=True)
    assert not canary.exists()


def test_a_file_of_objects_in_an_archive(local: lf.Lake, canary: Path, tmp_path: Path) -> None:
    """Masked and sparse arrays are archives, in which a pickle may lie."""
    need("scipy", "sklearn")
    objects = np.array([Exploit(canary)], dtype=object)
    np.savez(
        tmp_path / "x.npz",
        data=objects,
        mask=objects,
        fill_value=objects,
        format=b"csr",
        shape=(1, 1),
        indices=objects,
        indptr=objects,
    )
    content = (tmp_path / "x.npz").read_bytes()
    forge(local, content, kind="array", format="npz", item="masked", details=json.dumps({"class": "masked"}))
    forge(local, content, kind="sparse", format="npz", item="sparse")
    for item in ("masked", "sparse"):
        refused(IntegrityError, "bad-content", lambda item=item: local.folio("f").get(item), f"f:{item}@")
    assert not canary.exists()


def test_a_model_of_types_that_nobody_trusts(local: lf.Lake, canary: Path) -> None:
    """A well-formed skops file that would call os.system, and one of a class of this module."""
    skops = need("skops.io", "sklearn")
    function_transformer = need("sklearn.preprocessing", "sklearn").FunctionTransformer
    honest = skops.dumps(function_transformer(func=os.system, kw_args={"x": 1}))
    forge(local, honest, kind="model", format="skops", item="function")
    custom = skops.dumps(Custom())
    forge(local, custom, kind="model", format="skops", item="custom")
    for item, name in (("function", "system"), ("custom", "Custom")):
        for read in (local.folio("f").get, local.folio("f").get_model, local.folio("f").get_sklearn):
            error = refused(
                UntrustedContentError, "untrusted-content", lambda read=read, item=item: read(item), f"f:{item}@", name
            )
            assert isinstance(error, TypeError)
            assert any(name in one for one in error.objects["types"])
            assert "trusted=" in error.hint
    assert Custom.made == 0
    result = CliRunner().invoke(cli, ["--lake", local.uri, "get", "f:custom"])
    assert result.exit_code == 0  # its bytes may be had: only loading runs code
    assert local.check(read_data=True).ok
    assert isinstance(local.folio("f").get_model("custom", trusted=[Custom]), Custom)
    assert not canary.exists()


class Custom:
    """A class that counts how often something made it come to life."""

    made = 0

    def __init__(self) -> None:
        self.x = 1

    def __setstate__(self, state: Any) -> None:
        type(self).made += 1
        self.__dict__.update(state)


def node_of(name: str, module: str, loader: str, **values: Any) -> dict[str, Any]:
    return {"__class__": name, "__module__": module, "__loader__": loader, **values}


def test_a_crafted_schema_of_a_model(local: lf.Lake, canary: Path, tmp_path: Path) -> None:
    """skops files whose schema was written by hand, naming callables and attributes to be called."""
    need("skops", "sklearn")
    command = node_of("str", "builtins", "JsonNode", content=json.dumps(f"touch {canary}"), is_json=True)
    arguments = node_of("tuple", "builtins", "TupleNode", content=[command])
    nodes = [
        node_of("system", "os", "FunctionNode", content={"module_path": "os", "function": "system"}),
        node_of("system", "os", "ObjectNode", content=command),
        node_of("Popen", "subprocess", "ReduceNode", args=arguments),
        node_of("methodcaller", "operator", "OperatorFuncNode", attrs=arguments),
        node_of("eval", "builtins", "TypeNode"),
        node_of("X", "antigravity", "TypeNode"),
        node_of("X", "y", "NoSuchNode"),
        {},
        [],
        None,
    ]
    for number, node in enumerate(nodes):
        path = tmp_path / f"{number}.skops"
        with zipfile.ZipFile(path, "w") as archive:
            schema = {**node, "protocol": 2, "_skops_version": "0.11"} if isinstance(node, dict) else node
            archive.writestr("schema.json", json.dumps(schema))
        forge(local, path.read_bytes(), kind="model", format="skops", item=f"model {number}")
        for _ in range(2):
            with pytest.raises(LakefolioError) as caught:
                local.folio("f").get_model(f"model {number}")
            check_line(caught.value, f"f:model {number}@", hint=False)
    assert not canary.exists()
    assert "antigravity" not in sys.modules


def tagged(kind: str, **values: Any) -> bytes:
    return json.dumps({"$type": kind, **values}).encode()


def test_json_never_imports_and_never_calls(local: lf.Lake, canary: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """Tags that name a class of a module that is not imported give plain values; nothing runs."""
    (tmp_path / "trap.py").write_text(f"open({str(canary)!r}, 'w')\nclass Config: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    plain = {
        "a dataclass": (tagged("dataclass", value=[["x", 1]], **{"class": "trap:Config"}), {"x": 1}),
        "an enum": (tagged("enum", value=3, name="A", **{"class": "trap:Config"}), 3),
        "a named tuple": (tagged("namedtuple", value=[1, 2], **{"class": "trap:Config"}), (1, 2)),
        "a function": (tagged("dataclass", value=[["x", 1]], **{"class": "os:system"}), {"x": 1}),
        "a builtin": (tagged("enum", value="touch", name="x", **{"class": "builtins:eval"}), "touch"),
        "a class of no such kind": (tagged("dataclass", value=[["x", 1]], **{"class": "subprocess:Popen"}), {"x": 1}),
        "an attribute of a class": (tagged("enum", value=1, **{"class": "os:path.join"}), 1),
        "a module": (tagged("dataclass", value=[], **{"class": "trap:"}), {}),
        "no class": (tagged("dataclass", value=[], **{"class": ":"}), {}),
    }
    for name, (content, expected) in plain.items():
        forge(local, content, kind="json", item=name)
        assert local.folio("f").get(name) == expected, name
    broken = {
        "an unknown tag": tagged("system", value="x"),
        "a tag that is a list": json.dumps({"$type": ["tuple"], "value": []}).encode(),
        "a tag that is an object": json.dumps({"$type": {}, "value": []}).encode(),
        "a method of the decoder": tagged("pairs", value=[]),
        "a private method": tagged("_class__", value=[]),
        "no value": tagged("tuple"),
        "a class that is a number": tagged("dataclass", value=[], **{"class": 3}),
        "a factory that is not known": tagged("defaultdict", value=[], factory="os.system"),
        "a numpy object": tagged("numpy", value="x", dtype="O"),
        "a numpy nonsense": tagged("numpy", value="x", dtype="()"),
        "a huge range": tagged("range", value=[1, 2, 0]),
        "nested without end": b"[" * 4000,
        "no JSON": b"__import__('os').system('true')",
        "NaN as a word": b"NaN",
        "no UTF-8": b"\xff\xfe",
        "nothing": b"",
        "an unhashable key": tagged("dict", value=[[[1], 2]]),
        "a timezone": tagged("datetime", value="2026-01-01T00:00:00+00:00", zone="../../etc/passwd"),
    }
    for name, content in broken.items():
        forge(local, content, kind="json", item=name)
        try:
            local.folio("f").get(name)
            assert name == "a timezone"
        except LakefolioError as error:
            check_line(error, f"f:{name}@", hint=False)
            assert type(error) in (IntegrityError, FormatError), name
    assert not canary.exists()
    assert "trap" not in sys.modules
    for name in ("a dataclass", "an enum"):
        assert local.folio("f").get(name, trusted=["trap"]) == plain[name][1]  # the reader said so: it is imported
    assert canary.exists()


def test_torch_details_that_name_something_else(local: lf.Lake, canary: Path, tmp_path: Path, monkeypatch: Any) -> None:
    torch = need("torch", "torch")
    safetensors = need("safetensors.torch", "torch")
    (tmp_path / "trap_torch.py").write_text(f"open({str(canary)!r}, 'w')\nclass Net: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    header = json.dumps({"object": "module", "order": ["a"], "tied": {}})
    from lakefolio.items.torch import _KEY

    content = safetensors.save({"a": torch.zeros(3)}, {_KEY: header})
    for number, name in enumerate(
        [
            "os:system",
            "builtins:eval",
            "builtins:exec",
            "subprocess:Popen",
            "trap_torch:Net",
            "pathlib:Path",
            "x",
            "",
            ":",
        ]
    ):
        details = {
            "class": name,
            "init_args": {"command": f"touch {canary}"},
            "class_source": f"class Net:\n    open({str(canary)!r}, 'w')\n",
        }
        forge(local, content, kind="torch", format="safetensors", item=f"net {number}", details=json.dumps(details))
        for read in (local.folio("f").get, local.folio("f").get_pytorch, local.folio("f").get_model):
            refused(
                UntrustedContentError,
                "untrusted-content",
                lambda read=read, number=number: read(f"net {number}"),
                f"f:net {number}@",
            )
        assert list(local.folio("f").get_pytorch(f"net {number}", reconstruct=False)) == ["a"]
    forge(local, pickle.dumps(Exploit(canary)), kind="torch", format="safetensors", item="pickle")
    refused(IntegrityError, "bad-content", lambda: local.folio("f").get("pickle"), "f:pickle@")
    assert not canary.exists()
    assert "trap_torch" not in sys.modules


def test_kinds_and_contents_that_do_not_fit(local: lf.Lake) -> None:
    """Each healthy content under each other kind: an error of the library, or what the bytes say; never a crash."""
    need("skops", "sklearn")
    need("scipy", "sklearn")
    folio = local.folio("f")
    folio.add_numpy("array", np.arange(10)).add_timestamp("time", 0).add_table("table", pa.table({"a": [1]}))
    folio.add_artifact("folder", Path(__file__).parent.parent / "faults")
    forged = {}
    for entry in local.items("f"):
        content = {
            name: getattr(entry, name)
            for name in ("format", "storage", "digest", "blob_digest", "generation", "size_bytes", "content")
        }
        for kind in ("table", "array", "sparse", "json", "timestamp", "model", "directory", "artifact"):
            for details in (
                {},
                dict(entry.details),
                {"class": "masked", "source": "pandas", "series": True, "to": "/"},
            ):
                name = f"forged {len(forged)}"
                forged[name] = {**content, "item": name, "kind": kind, "details": json.dumps(details)}
    append_rows(local, *forged.values())
    for name in forged:
        try:
            folio.get(name)
        except LakefolioError as error:
            check_line(error, f"f:{name}@", hint=False)
            assert error.item == name
    with pytest.raises(NotFoundError):
        folio.get("never")

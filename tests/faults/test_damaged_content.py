"""Content that was damaged, lost or exchanged is told on every read, by every way of reading; never a wrong byte.

The error names the item, its digest and its key. What is whole stays readable, and adding the content again mends it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from bad_input_support import append_row, check_line, refused
from click.testing import CliRunner

import lakefolio as lf
from lakefolio.cli import cli
from lakefolio.errors import IntegrityError
from lakefolio.format.layout import blob_key
from lakefolio.storage import Store, open_store
from lakefolio.testing import need

NUMBERS = np.random.default_rng(7).random(2000)
DOCUMENT = {f"key {number}": number / 7 for number in range(500)}
TABLE = pl.DataFrame({"id": np.arange(2000), "value": NUMBERS})
BYTES = NUMBERS.tobytes()[::-1]


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LAKEFOLIO_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def lake(lake_uri: str, tmp_path: Path) -> lf.Lake:
    """A lake with one blob of each kind, and other items that no damage concerns."""
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    (tmp_path / "folder" / "deep" / "file.bin").write_bytes(BYTES[:6000])
    (tmp_path / "file.bin").write_bytes(BYTES)
    lake = lf.open(lake_uri)
    folio = lake.folio("f")
    folio.add_table("table", TABLE)
    folio.add_numpy("array", NUMBERS)
    folio.add_json("document", DOCUMENT)
    folio.add("bytes", BYTES[:9000])
    folio.add_artifact("file", tmp_path / "file.bin")
    folio.add_artifact("folder", tmp_path / "folder")
    folio.add_json("small", {"lr": 0.01})
    folio.add("other", BYTES[100:9100])
    folio.create_snapshot("taken", capture_git=False)
    return lake


READS: dict[str, tuple[str, Callable[[lf.Folio, str], Any]]] = {
    "get_data of a table": ("table", lambda folio, name: folio.get_data(name)),
    "get_table as polars": ("table", lambda folio, name: folio.get_table(name, as_="polars")),
    "get_table as arrow": ("table", lambda folio, name: folio.get_table(name, as_="arrow")),
    "get_table as pandas": ("table", lambda folio, name: folio.get_table(name, as_="pandas")),
    "get_table lazily": ("table", lambda folio, name: folio.get_table(name, as_="lazy").collect()),
    "scan_table": ("table", lambda folio, name: folio.scan_table(name).select("id").collect()),
    "get_table, one column": ("table", lambda folio, name: folio.get_table(name, columns=["id"])),
    "get_table, some rows": ("table", lambda folio, name: folio.get_table(name, filters=[("id", "<", 3)])),
    "get_table_path": ("table", lambda folio, name: Path(folio.get_table_path(name)).read_bytes()),
    "get_numpy": ("array", lambda folio, name: folio.get_numpy(name)),
    "get_numpy, mapped": ("array", lambda folio, name: np.array(folio.get_numpy(name, mmap=True))),
    "get_json": ("document", lambda folio, name: folio.get_json(name)),
    "get of bytes": ("bytes", lambda folio, name: folio.get(name)),
    "get of a file": ("file", lambda folio, name: Path(folio.get(name)).read_bytes()),
    "get_artifact_path": ("file", lambda folio, name: Path(folio.get_artifact_path(name)).read_bytes()),
    "get_artifact_path of a folder": (
        "folder",
        lambda folio, name: (Path(folio.get_artifact_path(name)) / "deep/file.bin").read_bytes(),
    ),
    "item_path": ("array", lambda folio, name: Path(folio.item_path(name)).read_bytes()),
    "data.content": ("document", lambda folio, name: folio.data[name].content),
    "data.path": ("file", lambda folio, name: Path(folio.data[name].path).read_bytes()),
    "get_many": ("document", lambda folio, name: folio.get_many([name, "small"])[name]),
    "get at a snapshot": ("bytes", lambda folio, name: folio.get(name, at="taken")),
    "snapshots[]": ("document", lambda folio, name: folio.snapshots["taken"].get(name)),
    "get_snapshot": ("array", lambda folio, name: folio.get_snapshot("taken").get(name)),
    "lake.get": ("array", lambda folio, name: lf.open(folio.lake_uri).get(f"f:{name}")),
    "lake.get of a version": ("bytes", lambda folio, name: lf.open(folio.lake_uri).get(f"f:{name}@4")),
    "lake.at.get": ("bytes", lambda folio, name: lf.open(folio.lake_uri).at(8).get(f"f:{name}")),
}

Damage = Callable[[Store, str, bytes], None]


def _flip(place: int, mask: int = 1) -> Damage:
    def damage(store: Store, key: str, body: bytes) -> None:
        changed = bytearray(body)
        changed[place] ^= mask
        store.put(key, bytes(changed))

    return damage


DAMAGES: dict[str, tuple[str, Damage]] = {
    "first bit": ("blob-damaged", _flip(0)),
    "first byte": ("blob-damaged", _flip(0, 255)),
    "second byte": ("blob-damaged", _flip(1, 128)),
    "a bit in the header": ("blob-damaged", _flip(90)),
    "a bit in the middle": ("blob-damaged", _flip(4321, 4)),
    "a bit near the end": ("blob-damaged", _flip(-9)),
    "last bit": ("blob-damaged", _flip(-1, 128)),
    "one byte short": ("blob-truncated", lambda store, key, body: store.put(key, body[:-1])),
    "half": ("blob-truncated", lambda store, key, body: store.put(key, body[: len(body) // 2])),
    "empty": ("blob-truncated", lambda store, key, body: store.put(key, b"")),
    "one byte more": ("blob-truncated", lambda store, key, body: store.put(key, body + b"\0")),
    "zeros": ("blob-damaged", lambda store, key, body: store.put(key, bytes(len(body)))),
    "missing": ("blob-missing", lambda store, key, body: store.delete([key])),
}


SOME = ("first bit", "last bit", "one byte short", "missing")
"""Every way of reading is tried with these; every damage is tried with the most general way."""


def damaged(lake: lf.Lake, item: str, which: Iterable[str] = SOME) -> Iterator[tuple[str, str]]:
    """Damage the blob of an item in one way after the other and give (kind, key); it is whole again at the end."""
    entry = lake.item(f"f:{item}")
    assert entry.storage == "blob"
    key = blob_key(entry.blob_digest or "")
    store = open_store(lake.uri)
    body = store.find(key)
    assert body is not None
    for name in which:
        kind, damage = DAMAGES[name]
        damage(store, key, body)
        yield kind, key
        store.put(key, body)


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and one.tobytes() == other.tobytes()
    return one.equals(other) if hasattr(one, "equals") else bool(one == other)


@pytest.fixture
def fresh(lake: lf.Lake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> lf.Folio:
    """The folio in the hands of somebody who has no local copy of anything."""
    monkeypatch.setenv("LAKEFOLIO_CACHE", str(tmp_path / "fresh-cache"))
    return lf.open(lake.uri).folio("f")


@pytest.mark.parametrize("way", READS)
def test_every_way_of_reading_tells_damage(
    lake: lf.Lake, fresh: lf.Folio, way: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    item, read = READS[way]
    if "pandas" in way:
        need("pandas", "pandas")
    with monkeypatch.context() as elsewhere:  # some ways open the lake anew, and would leave a local copy
        elsewhere.setenv("LAKEFOLIO_CACHE", str(tmp_path / "another cache"))
        right = read(lake.folio("f"), item)
    entry = lake.item(f"f:{item}")
    digest = (entry.blob_digest or "").removeprefix("sha256:")
    for kind, key in damaged(lake, item):
        for _ in range(2):
            error = refused(IntegrityError, kind, lambda: read(fresh, item), f"f:{item}@", digest, key)
            assert (error.item, error.digest, error.key, error.version) == (item, entry.blob_digest, key, entry.version)
    assert fresh.get("small") == {"lr": 0.01}
    assert fresh.get("other") == BYTES[100:9100]
    assert equal(read(fresh, item), right)


@pytest.mark.parametrize("item", ["table", "array", "document", "bytes", "file", "folder"])
def test_every_damage_is_told(lake: lf.Lake, fresh: lf.Folio, item: str) -> None:
    for kind, key in damaged(lake, item, DAMAGES):
        for _ in range(2):
            refused(IntegrityError, kind, lambda: fresh.get(item), f"f:{item}@", key)
            refused(IntegrityError, kind, lambda: fresh.item_path(item), f"f:{item}@", key)


@pytest.mark.parametrize("way", READS)
def test_a_local_copy_never_gives_a_wrong_byte(lake: lf.Lake, tmp_path: Path, way: str) -> None:
    """After a good read there may be a local copy: then the answer is right or an error, whichever copy was damaged."""
    item, read = READS[way]
    if "pandas" in way:
        need("pandas", "pandas")
    folio = lake.folio("f")
    right = read(folio, item)
    for kind, _ in damaged(lake, item):
        for _ in range(2):
            try:
                assert equal(read(folio, item), right)
            except IntegrityError as error:
                assert error.kind == kind
    digest = (lake.item(f"f:{item}").blob_digest or "").removeprefix("sha256:")
    for copy in (tmp_path / "cache" / digest).glob("*"):
        body = copy.read_bytes()
        for wrong in (body[:-1], body[:-1] + bytes([body[-1] ^ 1]), b""):
            copy.unlink()
            copy.write_bytes(wrong)
            assert equal(read(folio, item), right)
        copy.unlink()
        assert equal(read(folio, item), right)


def test_a_model(lake: lf.Lake) -> None:
    need("skops", "sklearn")
    linear_model = need("sklearn.linear_model", "sklearn")
    x = NUMBERS.reshape(4, 500)
    folio = lake.folio("f")
    folio.add_model("model", linear_model.Ridge().fit(x, x[:, 0]))
    for read in (folio.get_model, folio.get_sklearn, folio.get, folio.get_model_path):
        for kind, key in damaged(lake, "model"):
            for _ in range(2):
                refused(IntegrityError, kind, lambda read=read: read("model"), "f:model@", key)
    assert folio.get_model("model").coef_.shape == (500,)


def test_torch_tensors(lake: lf.Lake) -> None:
    torch = need("torch", "torch")
    folio = lake.folio("f")
    folio.add_pytorch("weights", {"a": torch.zeros(3000)})
    for kind, key in damaged(lake, "weights"):
        for _ in range(2):
            refused(IntegrityError, kind, lambda: folio.get_pytorch("weights"), "f:weights@", key)
    assert folio.get_pytorch("weights")["a"].shape == (3000,)


@pytest.mark.parametrize(
    "item", ["table", "folder", *(pytest.param(item, marks=pytest.mark.slow) for item in ("array", "file"))]
)
@pytest.mark.usefixtures("fresh")
def test_the_command_line(lake: lf.Lake, tmp_path: Path, item: str) -> None:
    target = tmp_path / "out"
    for kind, key in damaged(lake, item):
        for args in (["get", f"f:{item}", "-o", str(target)], *([["get", f"f:{item}"]] if item != "folder" else [])):
            result = CliRunner().invoke(cli, ["--lake", lake.uri, *args])
            assert result.exit_code == 8, result.output
            assert result.stdout == ""
            lines = result.stderr.splitlines()
            assert [line.split(":")[0] for line in lines] == ["error", "hint"]
            assert f"f:{item}@" in lines[0]
            assert key in lines[0]
            assert not target.exists()
        if item == "table":  # what check finds in the others: test_checks
            result = CliRunner().invoke(cli, ["--lake", lake.uri, "--json", "check", "--read-data"])
            assert result.exit_code == 8
            assert kind in result.stdout
            assert key in result.stdout


@pytest.mark.parametrize(("item", "which"), [("table", SOME[1:]), ("folder", SOME[:1])])
def test_checks(lake: lf.Lake, item: str, which: tuple[str, ...]) -> None:
    for kind, key in damaged(lake, item, which):
        report = lake.check(read_data=True)
        assert [(one.kind, one.object) for one in report.problems] == [(kind, key)], str(report)
        assert f"f:{item}@" in report.problems[0].message
        assert report.problems[0].message.isprintable()
        assert lake.check().ok == (kind == "blob-damaged")
        assert lake.folio("f").validate() == {name: name != item for name in lake.folio("f")}
        assert not lake.folio("f").is_valid()
    assert lake.check(read_data=True).ok
    assert lake.folio("f").is_valid()


@pytest.mark.parametrize("item", ["table", "bytes", "folder"])
def test_nothing_is_copied_from_damaged_content(lake: lf.Lake, fresh: lf.Folio, item: str) -> None:
    elsewhere = f"{lake.uri}-elsewhere"
    lf.open(elsewhere).folio("kept").add_json("x", 1)
    for kind, key in damaged(lake, item):
        for action in (
            lambda: fresh.copy(f"{elsewhere}/copied"),
            lambda: fresh.export_snapshot("taken", f"{elsewhere}/exported"),
            lambda: fresh.get_snapshot("taken").copy(f"{elsewhere}/copied"),
        ):
            refused(IntegrityError, kind, action, f"f:{item}@", key)
        target = lf.open(elsewhere)
        assert (target.folios(), target.version) == (["kept"], 1)
        assert target.check(read_data=True).ok
    lake.folio("f").copy(f"{elsewhere}/copied")
    assert lf.open(elsewhere).folio("copied").validate().keys() == lake.folio("f").validate().keys()
    assert lf.open(elsewhere).check(read_data=True).ok


def test_a_blob_exchanged_for_another(lake: lf.Lake) -> None:
    """Objects of the right size and of a healthy item, under each other's keys."""
    store = open_store(lake.uri)
    keys = {name: blob_key(lake.item(f"f:{name}").blob_digest or "") for name in ("bytes", "other", "table")}
    bodies = {name: store.find(key) or b"" for name, key in keys.items()}
    assert len(bodies["bytes"]) == len(bodies["other"])
    store.put(keys["bytes"], bodies["other"])
    store.put(keys["other"], bodies["bytes"])
    store.put(keys["table"], bodies["other"])
    folio = lake.folio("f")
    for _ in range(2):
        refused(IntegrityError, "blob-damaged", lambda: folio.get("bytes"), "f:bytes@", keys["bytes"])
        refused(IntegrityError, "blob-damaged", lambda: folio.get("other"), "f:other@", keys["other"])
        refused(IntegrityError, "blob-truncated", lambda: folio.get("table"), "f:table@", keys["table"])
    assert {one.object for one in lake.check(read_data=True).problems} == set(keys.values())
    assert np.array_equal(folio.get("array"), NUMBERS)


@pytest.mark.parametrize("damage", ["missing", "one byte short", "empty", "one byte more"])
@pytest.mark.parametrize("item", ["table", "bytes"])
def test_adding_the_content_again_mends_it(lake: lf.Lake, damage: str, item: str) -> None:
    content: Any = TABLE if item == "table" else BYTES[:9000]
    key = blob_key(lake.item(f"f:{item}").blob_digest or "")
    store = open_store(lake.uri)
    DAMAGES[damage][1](store, key, store.find(key) or b"")
    fresh = lf.open(lake.uri)
    refused(IntegrityError, DAMAGES[damage][0], lambda: fresh.folio("f").get(item), key)
    fresh.folio("g").add("again", content)
    assert equal(fresh.folio("f").get(item), content)
    assert fresh.check(read_data=True).ok


def test_deleting_the_object_and_adding_again_mends_any_damage(lake: lf.Lake) -> None:
    """What the hint says."""
    key = blob_key(lake.item("f:bytes").blob_digest or "")
    store = open_store(lake.uri)
    DAMAGES["a bit in the middle"][1](store, key, store.find(key) or b"")
    assert "delete that object" in str(refused(IntegrityError, "blob-damaged", lambda: lake.get("f:bytes")).hint)
    store.delete([key])
    lake.folio("f").add("bytes", BYTES[:9000], overwrite=True)
    assert lake.get("f:bytes") == BYTES[:9000]
    assert lake.check(read_data=True).ok


# -- inline content -----------------------------------------------------------------------------------------


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@pytest.mark.parametrize("size", ["same", "other", "noted"])
def test_inline_content_that_was_edited(lake: lf.Lake, tmp_path: Path, size: str) -> None:
    written, edited = b'{"lr": 0.01}', b'{"lr": 9.99}' if size == "same" else b'{"lr": 9}'
    digest = digest_of(written)
    append_row(
        lake,
        content=edited,
        digest=digest,
        blob_digest=digest,
        size_bytes=len(edited if size == "noted" else written),
        stored_bytes=0,
        codec="none",
    )
    folio = lake.folio("f")
    kind = "inline-truncated" if size == "other" else "inline-damaged"
    for action in (
        lambda: folio.get("forged"),
        lambda: folio.get_json("forged"),
        lambda: folio.item_path("forged"),
        lambda: folio.get_many(["small", "forged"]),
        lambda: lake.get("f:forged"),
        lambda: lf.open(lake.uri).get("f:forged"),
        lambda: folio.copy(f"{lake.uri}-elsewhere/copied"),
    ):
        for _ in range(2):
            error = refused(IntegrityError, kind, action, "f:forged@", digest)
            assert (error.item, error.digest, error.key) == ("forged", digest, None)
    result = CliRunner().invoke(cli, ["--lake", lake.uri, "get", "f:forged", "-o", str(tmp_path / "out")])
    assert result.exit_code == 8
    assert not (tmp_path / "out").exists()
    for read_data in (False, True):
        report = lake.check(read_data=read_data)
        assert [(one.kind, one.object.split("@")[0]) for one in report.problems] == [("inline-damaged", "f:forged")]
    assert folio.validate()["forged"] is False
    assert folio.get("small") == {"lr": 0.01}
    folio.add("forged", {"lr": 0.01}, overwrite=True)
    assert lf.open(lake.uri).get("f:forged") == {"lr": 0.01}


def test_edited_content_is_not_taken_for_content_that_is_there(lake: lf.Lake, tmp_path: Path) -> None:
    """A row that claims to hold other content never stands in for it when that content is added."""
    table = pa.table({"a": [1, 2, 3]})
    lf.open(tmp_path / "probe").folio("f").add_table("t", table)
    entry = lf.open(tmp_path / "probe").item("f:t")
    other = BYTES[:9000]
    common = {"kind": "table", "format": "parquet", "digest": entry.digest, "size_bytes": 9000}
    append_row(lake, item="liar", storage="blob", blob_digest="sha256:../../../etc/passwd", stored_bytes=9000, **common)
    lake.folio("f").add_table("t", table)
    assert lake.folio("f").get_table("t").equals(table)
    append_row(lake, item="liar", content=other[:99], blob_digest=entry.blob_digest, **common)
    lake.folio("f").add_table("t2", table)
    assert lake.folio("f").get_table("t2").equals(table)
    append_row(
        lake,
        item="liar",
        kind="artifact",
        format="file",
        storage="blob",
        digest=digest_of(BYTES[:8999]),
        blob_digest=digest_of(other),
        size_bytes=9000,
        stored_bytes=9000,
    )
    lake.folio("f").add("t3", BYTES[:8999])
    assert lake.folio("f").get("t3") == BYTES[:8999]


def test_the_error_stays_one_line_whatever_the_names(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    folio, item = "f" * 500, "ü" * 127
    lake.folio(folio).add(item, bytes(9000))
    key = blob_key(lake.items()[0].blob_digest or "")
    open_store(lake.uri).delete([key])
    with pytest.raises(IntegrityError) as caught:
        lake.folio(folio).get(item)
    check_line(caught.value, key, (lake.items()[0].blob_digest or "").removeprefix("sha256:"))

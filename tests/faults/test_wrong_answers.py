"""A store that answers one GET with another object's bytes: told, and nothing that was acknowledged is lost to it.

Each request of each operation in turn gets the bytes of each kind of object that there is: of another version, another
table, another lake, and of objects that are no part of any table.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import lakefolio as lf
from lakefolio.errors import FormatError, IntegrityError, LakefolioError
from lakefolio.storage import open_store
from lakefolio.storage.local import LocalStore

BLOB = bytes(range(256)) * 32


def fill(root: Path) -> lf.Lake:
    """Make a lake with merged files, a checkpoint, commits since, points of a run, inline content and blobs."""
    lake = lf.open(root, author="ada")
    folio = lake.folio("f")
    for number in range(3):
        folio.add_json(f"i{number}", number, metadata={"n": number})
    folio.add("blob", BLOB)
    with lake.run("r", run_id="r") as run:
        run.log(loss=1.0, step=1)
    lake.compact()
    folio.add("late blob", BLOB + b"late", inputs=["blob"])
    folio.add_json("late", {"x": 1})
    return lake


@pytest.fixture(scope="module")
def lakes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two lakes that were written alike."""
    root = tmp_path_factory.mktemp("lakes")
    for name in ("one", "other"):
        fill(root / name)
    return root / "one", root / "other"


def foreign(lakes: tuple[Path, Path]) -> dict[str, bytes]:
    """Return bytes that a store may answer with, one object of each kind."""
    one, other = (open_store(root) for root in lakes)
    log = "tables/{}/_delta_log/{:020d}.json"
    files = sorted(info.key for info in one.list("tables/manifests/") if info.key.endswith(".parquet"))
    found = {
        "an earlier entry": one.get(log.format("manifests", 3)),
        "an entry of another table": one.get(log.format("metric_rows", 1)),
        "an entry of another lake": other.get(log.format("manifests", 9)),
        "the pointer": one.get("tables/manifests/_delta_log/_last_checkpoint"),
        "a small file": one.get(files[0]),
        "the merged file": one.get(max(files, key=lambda key: one.head(key).size_bytes)),
        "the marker of another lake": other.get("lakefolio.json"),
        "a JSON blob": b'{"version": 3, "op": "put"}',
        "nothing": b"",
    }
    return {name: bytes(body) for name, body in found.items()}


class Lies:
    """Notes the GETs of a block, and answers one of them wrongly: the first or a later one for a key."""

    def __init__(self, key: str = "", at: int = 0, body: bytes = b"") -> None:
        self._wrong = (key, at)
        self._body = body
        self._lock = threading.Lock()
        self.asked: Counter[str] = Counter()
        self.told_one = False

    def answer(self, key: str, real: Callable[[], Any]) -> Any:
        with self._lock:
            number, self.asked[key] = self.asked[key], self.asked[key] + 1
            wrong = (key, number) == self._wrong
            self.told_one = self.told_one or wrong
        return self._body if wrong else real()

    @contextlib.contextmanager
    def told(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        get, find, stream = LocalStore.get, LocalStore.find, LocalStore.get_stream

        def streamed(store: LocalStore, key: str, *args: Any, **more: Any) -> Iterator[memoryview]:
            yield memoryview(self.answer(key, lambda: b"".join(map(bytes, stream(store, key, *args, **more)))))

        with monkeypatch.context() as patched:
            patched.setattr(LocalStore, "get", lambda store, key: self.answer(key, partial(get, store, key)))
            patched.setattr(LocalStore, "find", lambda store, key: self.answer(key, partial(find, store, key)))
            patched.setattr(LocalStore, "get_stream", streamed)
            patched.setattr(LocalStore, "get_many", lambda store, keys: [store.find(key) for key in keys])
            yield


def acknowledged(lake: lf.Lake) -> dict[str, Any]:
    """Return all items with their content."""
    return {one.ref.rpartition("@")[0]: lake.get(one.ref) for one in lake.items() if one.folio == "f"}


def go_on(root: Path) -> dict[str, Any]:
    """Commit more, as another writer does, and return what is there then."""
    writer = lf.open(root, author="eve")
    writer.folio("f").add_json("theirs", 1)
    with writer.batch():
        for number in range(120):  # more than a log entry copies
            writer.folio("f").add_json(f"many {number}", number)
    writer.folio("f").delete("i0", warn_dependents=False)
    return acknowledged(lf.open(root))


OPERATIONS: dict[str, Callable[[lf.Lake], Any]] = {
    "open": lambda handle: acknowledged(lf.open(handle.uri)),
    "refresh": lambda handle: acknowledged(handle),
    "commit": lambda handle: handle.folio("f").add_json("mine", "acknowledged"),
    "compact": lambda handle: handle.compact(),
    "check": lambda handle: handle.check(read_data=True),
    "gc": lambda handle: handle.gc(dry_run=False, grace=0),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_nothing_is_lost_to_a_wrong_answer(
    lakes: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    monkeypatch.setenv("LAKEFOLIO_COMBINE", "0")
    later, root = tmp_path / "later", tmp_path / "lake"
    shutil.copytree(lakes[0], later)
    expected = go_on(later)
    bodies = foreign(lakes)
    act = OPERATIONS[operation]

    def behind() -> lf.Lake:
        """Return a handle that has not read what came later."""
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(lakes[0], root)
        handle = lf.open(root, author="ada")
        shutil.copytree(later, root, dirs_exist_ok=True)
        return handle

    honest = Lies()
    handle = behind()
    with honest.told(monkeypatch):
        act(handle)
    wrong = {(key, at) for key, count in honest.asked.items() for at in (0, count - 1)}
    assert len(wrong) >= 3, honest.asked
    rotating = itertools.cycle(bodies.items())  # each request gets three of them, each of them many requests
    for key, number in sorted(wrong):
        for name, body in itertools.islice(rotating, 3):
            handle = behind()
            lies, done, error = Lies(key, number, body), None, None
            with lies.told(monkeypatch):
                try:
                    done = act(handle)
                except LakefolioError as exc:
                    error = exc
            what = f"{operation}, request {number} for {key} answered with {name}: {error!r}"
            assert lies.told_one or error is None, what
            assert isinstance(error, IntegrityError | FormatError | None), what
            if operation == "check" and error is None:
                assert done.version == handle.version
            if operation in ("open", "refresh") and error is None:
                assert done == expected, what
            mine = {"f:mine": "acknowledged"} if operation == "commit" and error is None else {}
            with contextlib.suppress(LakefolioError):  # what this handle believes now must not become a merge
                handle.compact()
            fresh = lf.open(root)
            found = acknowledged(fresh)
            if error is not None:
                found.pop("f:mine", None)
            assert found == expected | mine, what
        report = fresh.check(read_data=True)
        assert report.ok, f"{what}: {report}"


def test_one_wrong_answer_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a bit that changed on the way: what ``check`` says leads people to delete and repair."""
    lake = lf.open(tmp_path / "lake")
    noise = np.random.default_rng(7).random(9_000)
    lake.folio("f").add("bytes", bytes(range(256)) * 64).add("rows", pd.DataFrame({"x": noise}))
    honest = Lies()
    with honest.told(monkeypatch):
        assert lake.check(read_data=True).ok
    data = [key for key in honest.asked if key.startswith("blobs/")]
    assert len(data) == 2
    for key in data:
        body = bytearray(bytes(open_store(lake.uri).get(key)))
        body[len(body) // 2] ^= 1
        lies = Lies(key, 0, bytes(body))
        with lies.told(monkeypatch):
            report = lake.check(read_data=True)
        assert report.ok, report
        assert lies.told_one
        assert lies.asked[key] == honest.asked[key] + 1
        open_store(lake.uri).put(key, bytes(body))
        (problem,) = lake.check(read_data=True).problems
        assert problem.object == key
        body[len(body) // 2] ^= 1
        open_store(lake.uri).put(key, bytes(body))


def test_a_checkpoint_that_leaves_files_out_is_found(lakes: tuple[Path, Path], tmp_path: Path) -> None:
    """It has the seal that it should have; the log tells that it is wrong. Nobody loses anything to it."""
    from lakefolio.delta.checkpoint import to_checkpoint, to_pointer
    from lakefolio.delta.table import DeltaTable
    from lakefolio.format.layout import checkpoint_name, log_prefix
    from lakefolio.format.schema import SPECS

    root = tmp_path / "lake"
    shutil.copytree(lakes[0], root)
    lake = lf.open(root)
    expected = acknowledged(lake)
    table = DeltaTable(open_store(root), lake.lake_id, SPECS["manifests"])
    table.load()
    version, name = table.version, checkpoint_name(table.version)
    files = table.files.listed
    for some in ([], files[:-1], files[1:]):
        body = to_checkpoint(table.files.metadata, some, [])
        table.store.put(f"{log_prefix('manifests')}/{name}", body)
        pointer = to_pointer(table.seals, version, body, len(some), len(some) + 2)
        table.store.put(f"{log_prefix('manifests')}/_last_checkpoint", pointer)
        fresh = lf.open(root)
        assert acknowledged(fresh) == expected
        (problem,) = fresh.check(read_data=True).problems
        assert (problem.kind, problem.object) == ("checkpoint-differs", f"{log_prefix('manifests')}/{name}")
        assert fresh.gc(dry_run=False, grace=0).deleted_blobs == 0
        assert acknowledged(lf.open(root)) == expected
    late = lf.open(root)
    late.compact()
    late.folio("f").add_json("more", 1)
    assert late.check(read_data=True).ok
    assert acknowledged(lf.open(root)) == expected | {"f:more": 1}


def test_a_log_entry_that_tells_another_total_is_found(lakes: tuple[Path, Path], tmp_path: Path) -> None:
    """As one would be whose writer believed in fewer files than there are."""
    from lakefolio.delta.seal import Seals

    root = tmp_path / "lake"
    shutil.copytree(lakes[0], root)
    lake = lf.open(root)
    store, key = open_store(root), f"tables/manifests/_delta_log/{lake.version:020d}.json"
    first, *actions = (json.loads(line) for line in bytes(store.get(key)).splitlines())
    info = first["commitInfo"]
    ours = {name: value for name, value in info.pop("lakefolio").items() if name != "seal"}
    ours["total"]["files"] -= 1
    store.put(key, Seals(lake.lake_id, "manifests").entry(lake.version, info, ours, actions))
    assert ("log-differs", key) in {(one.kind, one.object) for one in lf.open(root).check().problems}


def test_an_entry_of_another_tool_is_read_twice(lakes: tuple[Path, Path], tmp_path: Path) -> None:
    """It has no seal; but deltalake's own upkeep is let be."""
    import deltalake

    root = tmp_path / "lake"
    shutil.copytree(lakes[0], root)
    expected = acknowledged(lf.open(root))
    deltalake.DeltaTable(str(root / "tables" / "manifests")).optimize.compact()
    fresh = lf.open(root)
    assert acknowledged(fresh) == expected
    fresh.folio("f").add_json("more", 1)
    fresh.compact()
    assert acknowledged(lf.open(root)) == expected | {"f:more": 1}
    assert lf.open(root).check(read_data=True).ok

"""Threads that share a handle: a reader holds one immutable state, and a fault stays with the thread it belongs to."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pytest
from inside import session_of

import lakefolio as lf
from lakefolio.errors import LakefolioError
from lakefolio.format.arrow_rows import RowLog
from lakefolio.model.state import State

BIG = 130
"""Items in a batch: more than two merges of row segments take."""


@pytest.fixture
def switching():
    """Threads change places as often as the interpreter can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_rows_that_a_reader_holds_are_never_changed() -> None:
    log = RowLog(pa.schema([("n", pa.int64())]))
    held = [log]
    for n in range(300):
        log = log.appended(pa.table({"n": [n] if n % 100 else list(range(1000, 1070))}))
        held.append(log)
    for count, old in enumerate(held):
        assert len(old) == old.table().num_rows
        assert [old.value(n, "n") for n in range(len(old))] == old.table()["n"].to_pylist(), count
    assert held[150].table().equals(log.table(len(held[150])))


def test_a_reader_that_pauses_reads_the_row_it_asked_for(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    folio = lake.folio("f")
    for n in range(62):
        folio.add_json(f"k{n}", n)
    held: State = session_of(lake).journal.known
    for n in range(60):
        folio.add_json(f"later {n}", n)
    with folio.batch():
        for n in range(63):
            folio.add_json(f"much later {n}", n)
    assert [held.entry("f", f"k{n}").item for n in range(62)] == [f"k{n}" for n in range(62)]
    assert held.names("f") == [f"k{n}" for n in range(62)]
    assert held.entry("f", "later 0") is None


@pytest.mark.usefixtures("switching")
def test_readers_beside_writers_read_what_they_asked_for(tmp_path: Path) -> None:
    folio = lf.open(tmp_path / "lake").folio("f")
    folio.add_json("k0", 0)
    wrong: list[object] = []
    over = threading.Event()

    def write(number: int) -> None:
        try:
            for n in range(12):
                folio.add_json(f"alone {number} {n}", [number, n])
                with folio.batch():
                    for k in range(BIG):
                        folio.add_json(f"{number}-{n}-{k}", f"{number}-{n}-{k}", metadata={"k": k} if k == 5 else None)
        except BaseException as exc:
            wrong.append(exc)

    def read() -> None:
        try:
            while not over.is_set():
                state = session_of(folio).journal.known
                names = state.names("f")
                entries = state.entries("f")
                if [entry.item for entry in entries] != names or state.names("f") != names:
                    wrong.append("a state moved while it was read")
                for entry in (entries[0], entries[len(entries) // 2], entries[-1]):
                    found = state.entry("f", entry.item)
                    if (
                        found is None
                        or found.entry_id != entry.entry_id
                        or state.at(entry.version).version > state.version
                    ):
                        wrong.append(entry.item)
                name = names[-1]
                value = folio.get_json(name)
                if "-" in name and value != name:
                    wrong.append((name, value))
                if name.endswith("-5") and folio.item_info(name) is None:
                    wrong.append(name)
        except BaseException as exc:
            wrong.append(exc)

    writers = [threading.Thread(target=write, args=(n,)) for n in range(2)]
    readers = [threading.Thread(target=read) for _ in range(3)]
    for thread in (*readers, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    over.set()
    for thread in readers:
        thread.join()
    assert not wrong
    assert len(folio) == 1 + 2 * 12 * (BIG + 1)


@pytest.mark.parametrize("how", ["number", "time", "snapshot"])
def test_a_lake_that_is_opened_at_its_newest_version_does_not_move(tmp_path: Path, how: str) -> None:
    lake = lf.open(tmp_path / "lake")
    folio = lake.folio("f")
    folio.add_json("a", 1, metadata={"k": 1}, inputs=["s3://b/x"])
    lake.snapshot("the newest")
    at = {"number": lake.version, "time": lake.log().to_dicts()[0]["committed_at"], "snapshot": "the newest"}[how]
    then = lake.at(at)
    assert then.folio("f").get_json("a") == 1
    state = session_of(lake).journal.at(then.version)
    folio.add_json("b", 2)
    folio.add_json("a", 3, overwrite=True)
    assert then.folio("f").get_json("a") == 1
    assert list(then.folio("f")) == ["a"]
    assert then.folio("f").item_info("a")["metadata"] == {"k": 1}
    assert then.sql("select count(*) from items").fetchone() == (1,)
    assert state.names("f") == ["a"]
    assert state.version == then.version


def test_a_pinned_block_is_its_own_threads(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    folio = lake.folio("f")
    folio.add_json("a", 1)
    seen: list[object] = []

    def elsewhere() -> None:
        seen.append(folio.get_json("a"))
        folio.add_json("a", 3, overwrite=True)
        seen.append(folio.get_json("a"))

    with folio.pinned():
        assert folio.get_json("a") == 1
        lake.folio("f").add_json("a", 2, overwrite=True)
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert folio.get_json("a") == 1
        with folio.pinned():
            assert folio.get_json("a") == 1
        assert folio.get_json("a") == 1
        folio.add_json("b", 1)  # what the block writes moves it
        assert folio.get_json("a") == 3
    assert seen == [2, 3]
    assert folio.get_json("a") == 3


def test_a_pinned_block_ends_with_an_exception(tmp_path: Path) -> None:
    folio = lf.open(tmp_path / "lake").folio("f")
    folio.add_json("a", 1)
    other = lf.open(tmp_path / "lake").folio("f")

    def fail() -> None:
        with folio.pinned():
            other.add_json("a", 2, overwrite=True)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert folio.get_json("a") == 2


BAD = {
    "tag": lambda folio, n: folio.add_json(f"bad {n}", 1, tags=["\udcff"]),
    "description": lambda folio, n: folio.add_json(f"bad {n}", 1, description="a\udcffb"),
    "author": lambda folio, n: lf.Folio(folio.lake_uri, folio.name, author="\ud800").add_json(f"bad {n}", 1),
    "message": lambda folio, n: _batch(folio, f"bad {n}"),
    "metadata": lambda folio, n: folio.add_json(f"bad {n}", 1, metadata={"k": "\udc00"}),
}


def _batch(folio: lf.Folio, name: str) -> None:
    with folio.batch("\udc80"):
        folio.add_json(name, 1)


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_value_of_one_thread_fails_nobody_else(tmp_path: Path, bad: str) -> None:
    folio = lf.open(tmp_path / "lake").folio("f")
    folio.add_json("first", 0)
    failed: dict[str, BaseException] = {}
    start = threading.Barrier(4)

    def innocent(number: int) -> None:
        start.wait()
        for n in range(25):
            try:
                folio.add_json(f"{number}-{n}", n)
            except BaseException as exc:
                failed[f"{number}-{n}"] = exc

    def guilty() -> None:
        start.wait()
        for n in range(25):
            try:
                BAD[bad](folio, n)
            except LakefolioError as exc:
                assert exc.kind
            except BaseException as exc:
                failed[f"bad {n}"] = exc

    threads = [*(threading.Thread(target=innocent, args=(n,)) for n in range(3)), threading.Thread(target=guilty)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert {name for name in folio if not name.startswith("bad")} == {
        "first",
        *(f"{number}-{n}" for number in range(3) for n in range(25)),
    }
    assert lf.open(tmp_path / "lake").check(read_data=True).ok


IMPORTING = """
import sys, threading
import numpy as np
import lakefolio as lf
folio = lf.open(sys.argv[1]).folio("f")
folio.add("warm", np.arange(3))
over = threading.Event()
assert "polars" not in sys.modules
errors = []
start = threading.Barrier(9)

def importing():
    start.wait()
    import polars
    over.set()

def adding(number):
    start.wait()
    n = 0
    try:
        while not over.is_set():
            folio.add(f"{number}-{n}", np.arange(n))
            n += 1
    except BaseException as exc:
        errors.append(repr(exc))

threads = [threading.Thread(target=importing), *(threading.Thread(target=adding, args=(n,)) for n in range(8))]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(errors[:3], len(errors))
"""


def test_a_library_that_another_thread_imports_is_waited_for(tmp_path: Path) -> None:
    command = [sys.executable, "-c", IMPORTING, str(tmp_path / "lake")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout, done.returncode) == ("[] 0\n", 0), done.stderr[-2000:]

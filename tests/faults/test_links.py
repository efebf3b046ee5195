"""Symbolic links and special files in a local lake: nothing is read, written or deleted through them."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import lakefolio as lf
from lakefolio.errors import LakefolioError, StorageError
from lakefolio.storage import open_store

pytestmark = pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="this system can't open without following links")

BIG = "x" * 10_000


@pytest.fixture
def lake(tmp_path: Path) -> lf.Lake:
    lake = lf.open(tmp_path / "lake")
    lake.folio("f").add_json("small", 1)
    lake.folio("f").add_json("big", BIG)
    with lake.run("r") as run:
        run.log(loss=1.0)
    return lake


def moved_outside(path: Path, outside: Path) -> None:
    """Move something out of a lake and leave a link to it."""
    path.rename(outside)
    path.symlink_to(outside)


def listing(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


FOLDERS = [
    "blobs",
    "blobs/sha256",
    "tables",
    "tables/manifests",
    "tables/manifests/_delta_log",
    "tables/metric_rows",
]


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_that_is_a_link_is_followed_by_nobody(lake: lf.Lake, tmp_path: Path, folder: str) -> None:
    place, outside = tmp_path / "lake" / folder, tmp_path / "outside"
    moved_outside(place, outside)
    before = listing(outside)

    def use() -> None:
        again = lf.open(tmp_path / "lake")
        again.folio("f").get_json("big")
        again.folio("f").add_json("more", BIG + "y")
        again.sql("select * from metrics").fetchall()
        with again.run("other") as run:
            run.log(loss=2.0)

    with pytest.raises(StorageError) as caught:
        use()
    assert caught.value.kind == "link"
    for act in (lambda: lake.gc(dry_run=False, grace=0, keep_last=1), lambda: lake.compact(), lambda: lake.check()):
        _either(act)
    assert listing(outside) == before


def _either(act: Callable[[], object]) -> None:
    with contextlib.suppress(LakefolioError):
        act()


def test_gc_deletes_nothing_behind_a_link(lake: lf.Lake, tmp_path: Path) -> None:
    lake.folio("f").delete("big")
    lake.folio("f").add_json("other", BIG + "z")
    outside = tmp_path / "outside"
    outside.mkdir()
    for number, folder in enumerate(sorted((tmp_path / "lake" / "blobs" / "sha256").iterdir())):
        moved_outside(folder, outside / str(number))
    before = listing(outside)
    assert before
    lake.gc(dry_run=False, grace=0, keep_last=1, keep_runs=False)
    assert listing(outside) == before
    assert {problem.kind for problem in lake.check().problems} == {"blob-missing"}


def test_gc_deletes_no_ticket_behind_a_link(lake: lf.Lake, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for number in range(3):
        ticket = outside / f"{number:032x}"
        ticket.write_text("not a ticket")
        os.utime(ticket, (1, 1))
    pending = tmp_path / "lake" / "pending"
    if pending.exists():
        pending.rmdir()
    pending.symlink_to(outside)
    _either(lambda: lake.gc(dry_run=False, grace=0))
    assert len(listing(outside)) == 3
    lake.folio("f").add_json("more", 1)


def test_an_object_that_is_a_link_is_not_read_nor_written_through(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    store.put("a/b", b"1")
    outside = tmp_path / "outside"
    outside.write_bytes(b"secret")
    link = tmp_path / "store" / "a" / "link"
    link.symlink_to(outside)
    for look in (store.get, store.find, store.head, lambda key: list(store.get_stream(key))):
        with pytest.raises(StorageError) as caught:
            look("a/link")
        assert caught.value.kind == "link"
    assert [info.key for info in store.list("a/")] == ["a/b"]
    store.put("a/link", b"replaced")
    assert outside.read_bytes() == b"secret"
    assert store.find("a/link") == b"replaced"
    link.unlink()
    link.symlink_to(outside)
    store.delete(["a/link"])
    assert outside.read_bytes() == b"secret"
    assert not link.is_symlink()


def test_a_root_that_is_a_link_is_the_users_choice(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "lake").symlink_to(tmp_path / "disk")
    lake = lf.open(tmp_path / "lake")
    lake.folio("f").add_json("a", BIG)
    assert lf.open(tmp_path / "disk").folio("f").get_json("a") == BIG
    assert lake.check(read_data=True).ok


@pytest.mark.parametrize("key", ["lakefolio.json", "tables/manifests/_delta_log/00000000000000000001.json"])
@pytest.mark.parametrize("what", ["fifo", "link", "folder"])
def test_what_is_no_regular_file_is_refused_and_hangs_nobody(tmp_path: Path, key: str, what: str) -> None:
    lf.open(tmp_path / "lake").folio("f").add_json("a", 1)
    path = tmp_path / "lake" / key
    path.unlink()
    if what == "fifo":
        os.mkfifo(path)
    elif what == "link":
        path.symlink_to("/etc/hostname")
    else:
        path.mkdir()
    caught: list[BaseException] = []

    def look() -> None:
        try:
            lf.open(tmp_path / "lake").folio("f").get_json("a")
        except BaseException as exc:
            caught.append(exc)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    assert caught
    assert isinstance(caught[0], LakefolioError)


def test_a_reference_follows_the_users_own_links(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "real").mkdir(parents=True)
    (data / "real" / "part.csv").write_text("a\n1\n")
    (data / "linked").symlink_to(data / "real")
    lake = lf.open(tmp_path / "lake")
    lake.folio("f").reference_table("one", data / "linked" / "part.csv")
    assert len(lake.folio("f").get_table("one")) == 1


@pytest.mark.parametrize("what", ["fifo", "link", "dangling", "folder"])
def test_a_writer_whose_next_entry_is_no_file_is_refused_and_hangs_not(tmp_path: Path, what: str) -> None:
    lake = lf.open(tmp_path / "lake")
    lake.folio("f").add_json("a", 1)
    path = tmp_path / "lake" / f"tables/manifests/_delta_log/{lake.version + 1:020d}.json"
    make: dict[str, Callable[[], object]] = {
        "fifo": lambda: os.mkfifo(path),
        "link": lambda: path.symlink_to("/etc/hostname"),
        "dangling": lambda: path.symlink_to("/nowhere/at/all"),
        "folder": path.mkdir,
    }
    make[what]()
    caught: list[BaseException] = []

    def write(handle: lf.Lake) -> None:
        try:
            handle.folio("f").add_json("b", 2)
        except BaseException as exc:
            caught.append(exc)

    for handle in (lake, lf.open(tmp_path / "lake")):
        thread = threading.Thread(target=write, args=(handle,), daemon=True)
        thread.start()
        thread.join(60)
        assert not thread.is_alive()
        assert isinstance(caught.pop(), StorageError)
    path.rmdir() if what == "folder" else path.unlink()
    lake.folio("f").add_json("b", 2)
    assert lf.open(tmp_path / "lake").get("f:b") == 2
    assert lake.check().ok


def test_a_blob_whose_place_is_a_folder_is_not_taken_for_stored(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    lake.folio("f").add("big", BIG.encode())
    (blob,) = (path for path in (tmp_path / "lake" / "blobs").rglob("*") if path.is_file())
    other = lf.open(tmp_path / "other")
    place = tmp_path / "other" / blob.relative_to(tmp_path / "lake")
    place.mkdir(parents=True)
    with pytest.raises(StorageError):
        other.folio("f").add("big", BIG.encode())
    assert list(other.folio("f")) == []

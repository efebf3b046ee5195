"""The local cache of files: one for a process, bounded, and what a living process was given stays."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO

import pytest

import lakefolio as lf
from lakefolio.content.file_cache import FileCache, file_cache
from lakefolio.errors import StorageError
from lakefolio.format.digest import sha256_of_bytes

HOLDER = """
import sys
from pathlib import Path
from lakefolio.content.file_cache import FileCache
from lakefolio.format.digest import sha256_of_bytes
body = b"held" * 1000
cache = FileCache(Path(sys.argv[1]))
path = cache.file(sha256_of_bytes(body), "x", lambda target: target.write_bytes(body))
print(path, flush=True)
sys.stdin.read()
print(path.read_bytes() == body, flush=True)
"""


def fill(cache: FileCache, first: int, count: int) -> list[Path]:
    bodies = [b"%08d" % number * 500 for number in range(first, first + count)]
    return [
        cache.file(sha256_of_bytes(body), "x", lambda target, body=body: target.write_bytes(body)) for body in bodies
    ]


def test_what_this_process_was_given_stays(tmp_path: Path) -> None:
    cache = FileCache(tmp_path, limit_bytes=10_000)
    paths = fill(cache, 0, 20)
    assert all(path.exists() for path in paths)


def test_what_another_living_process_was_given_stays_and_a_dead_ones_goes(tmp_path: Path) -> None:
    holders = [
        subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    paths = [Path(holder.stdout.readline().decode().strip()) for holder in holders]
    holders[0].kill()
    holders[0].communicate()
    cache = FileCache(tmp_path, limit_bytes=4000)
    fill(cache, 0, 5)
    assert paths[1].exists()
    out, _ = holders[1].communicate()
    assert out.decode().strip() == "True"
    fill(cache, 5, 1)
    assert not paths[1].exists()
    assert len(list((tmp_path / ".leases").iterdir())) == 1


def test_the_handles_of_a_process_share_one_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEFOLIO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LAKEFOLIO_CACHE_BYTES", "10000")
    paths = []
    for number in range(4):
        lake = lf.open(tmp_path / f"lake{number}")
        lake.folio("f").add_artifact("a", str(number).encode() * 9000)
        paths.append(Path(lake.folio("f").item_path("a")))
    assert file_cache() is file_cache()
    assert [path.read_bytes()[:1] for path in paths] == [b"0", b"1", b"2", b"3"]


def test_threads_that_ask_at_once_are_all_given_good_files(tmp_path: Path) -> None:
    cache, given = FileCache(tmp_path, limit_bytes=1), []

    def ask() -> None:
        given.extend(fill(cache, 0, 10))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(given) == 60
    assert all(path.read_bytes()[:8] in path.read_bytes() and path.stat().st_size == 4000 for path in given)


@pytest.mark.parametrize("forked", [False, True])
def test_a_process_leaves_no_lease_at_its_end(tmp_path: Path, forked: bool) -> None:
    """A child that was forked shares the lease, and keeps it until it ends too."""
    code = f"""
import os, sys
from pathlib import Path
from lakefolio.content.file_cache import FileCache
root = Path({str(tmp_path)!r})
FileCache(root).file("sha256:" + "0" * 64, "a", lambda path: path.write_bytes(b"x"), lambda path: "sha256:" + "0" * 64)
if {forked}:
    read, write = os.pipe()
    if os.fork() == 0:
        os.close(write)
        os.read(read, 1)  # until the parent has ended
        found = list((root / ".leases").iterdir())
        (root / "found").write_text(str(len(found)))
        os.close(1)
"""
    done = subprocess.run([sys.executable, "-X", "dev", "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    if forked:
        assert (tmp_path / "found").read_text() == "1"
    assert list((tmp_path / ".leases").iterdir()) == []


def body_of(number: int) -> bytes:
    return b"%08d" % number * 500


def in_another_process(root: Path, limit_bytes: int, numbers: range) -> None:
    code = """
import sys
from pathlib import Path
from lakefolio.content.file_cache import FileCache
from lakefolio.format.digest import sha256_of_bytes
cache = FileCache(Path(sys.argv[1]), limit_bytes=int(sys.argv[2]))
for number in range(int(sys.argv[3]), int(sys.argv[4])):
    body = b"%08d" % number * 500
    cache.file(sha256_of_bytes(body), "x", lambda path: path.write_bytes(body))
"""
    words = [str(root), str(limit_bytes), str(numbers.start), str(numbers.stop)]
    subprocess.run([sys.executable, "-c", code, *words], check=True, timeout=120)


def test_what_was_given_stays_also_after_the_folder_was_deleted(tmp_path: Path) -> None:
    """The next file that the process is given notes in a new lease what it holds."""
    root = tmp_path / "cache"
    cache = FileCache(root)
    fill(cache, 0, 1)
    shutil.rmtree(root)
    paths = fill(cache, 0, 2)
    in_another_process(root, 1, range(5, 8))
    assert [path.read_bytes() for path in paths] == [body_of(0), body_of(1)]


def test_a_lease_that_was_taken_for_a_dead_ones_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process may look between the creation of a lease and its lock."""
    from lakefolio.content import file_cache as module

    lock, times = module.fcntl.flock, iter([True, True])

    def seized(file: IO[bytes], how: int) -> None:
        if ".leases" in str(file.name) and next(times, False):
            module._remove_if_dead(Path(file.name))
        lock(file, how)

    with monkeypatch.context() as patch:
        patch.setattr(module.fcntl, "flock", seized)
        (path,) = fill(FileCache(tmp_path), 0, 1)
    in_another_process(tmp_path, 1, range(5, 8))
    assert path.read_bytes() == body_of(0)


def test_a_folder_that_is_deleted_all_the_time_is_made_again(tmp_path: Path) -> None:
    root = tmp_path / "cache"
    cache, calls = FileCache(root), []

    def fetch(path: Path) -> None:
        calls.append(path)
        if len(calls) <= 3:
            shutil.rmtree(root)
        path.write_bytes(body_of(1))

    assert cache.file(sha256_of_bytes(body_of(1)), "x", fetch).read_bytes() == body_of(1)
    assert len(calls) == 4


@pytest.mark.parametrize("what", ["the folder is a file", "the copy is a folder"])
def test_what_lies_in_the_way_is_an_error_that_names_the_folder(tmp_path: Path, what: str) -> None:
    cache = FileCache(tmp_path / "cache")
    (path,) = fill(cache, 0, 1)
    path.unlink()
    if what == "the copy is a folder":
        path.mkdir()
    else:
        shutil.rmtree(tmp_path / "cache")
        (tmp_path / "cache").write_text("in the way")
    with pytest.raises(StorageError, match="can't be written to") as caught:
        fill(cache, 0, 1)
    assert caught.value.kind == "permission-denied"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("folders", [0o777, 0o755])
def test_a_copy_of_another_user_is_as_good(folders: int) -> None:
    root = Path(tempfile.mkdtemp())  # that of the test is for its own user alone
    (path,) = fill(FileCache(root), 0, 1)
    for one in (root, *root.rglob("*")):
        one.chmod(folders if one.is_dir() else 0o666 if one != path else 0o444)
    child = os.fork()
    if not child:
        status = 1
        try:
            os.setuid(65534)
            os.environ["LAKEFOLIO_CACHE"] = str(root)
            status = int(fill(FileCache(root), 0, 1) != [path])
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    shutil.rmtree(root)

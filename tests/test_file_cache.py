"""The local cache of files: one for a process, bounded, and what a living process was given stays."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

import lakefolio as lf
from lakefolio.content.file_cache import FileCache, file_cache
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

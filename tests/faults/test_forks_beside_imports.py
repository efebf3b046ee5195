"""Forks while other threads import modules, write and read: no child waits for a lock that nobody will release."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import lakefolio as lf

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

IMPORTING = """
import os, signal, sys, threading, time, warnings
import lakefolio as lf

warnings.simplefilter("ignore")
sys.path.insert(0, sys.argv[2])
lake = lf.open(sys.argv[1])
lake.folio("f").add_json("first", 0)
for number in range(int(sys.argv[3])):
    started = threading.Event()

    def importing():
        started.set()
        __import__(f"slow{number}")

    thread = threading.Thread(target=importing)
    thread.start()
    started.wait()
    time.sleep(0.01)
    child = os.fork()
    if child == 0:
        signal.alarm(15)
        assert __import__(f"slow{number}").whole
        lake.folio("f").add_json(f"child {number}", number)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0, (number, status)
    thread.join()
print("done", flush=True)
"""

LOADED = """
import os, signal, sys, threading, warnings
import lakefolio as lf

warnings.simplefilter("ignore")
lake = lf.open(sys.argv[1])
lake.folio("f").add_json("first", 0)
lake.sql("select count(*) from items").fetchall()
over = threading.Event()


def writing(number):
    n = 0
    while not over.is_set():
        lake.folio(f"t{number}").add_json(str(n), {"n": n, "text": "x" * (n % 2 * 9000)})
        n += 1


def reading():
    while not over.is_set():
        for name in list(lake.folio("t0"))[-3:]:
            lake.folio("t0").get_json(name)


threads = [*(threading.Thread(target=writing, args=(n,)) for n in range(2)), threading.Thread(target=reading)]
for thread in threads:
    thread.start()
failed = []
for number in range(int(sys.argv[2])):
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        try:
            lake.folio("f").add_json(f"child {number}", number)
            assert lake.folio("f").get_json(f"child {number}") == number
            os._exit(0)
        except BaseException as exc:
            print(repr(exc), flush=True)
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if status:
        failed.append((number, status))
over.set()
for thread in threads:
    thread.join()
print(failed, flush=True)
"""


def ran(program: str, *arguments: object, tmp_path: Path) -> str:
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=250,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout


def test_a_fork_waits_for_the_imports_of_other_threads(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / f"slow{number}.py").write_text("import time\ntime.sleep(0.2)\nwhole = True\n")
    assert ran(IMPORTING, tmp_path / "lake", tmp_path, 4, tmp_path=tmp_path) == "done\n"
    assert lf.open(tmp_path / "lake").folio("f").get_json("child 3") == 3


@pytest.mark.parametrize("count", [15, pytest.param(100, marks=pytest.mark.slow)])
def test_forks_under_load(tmp_path: Path, count: int) -> None:
    assert ran(LOADED, tmp_path / "lake", count, tmp_path=tmp_path) == "[]\n"
    lake = lf.open(tmp_path / "lake")
    assert {f"child {number}" for number in range(count)} <= set(lake.folio("f"))
    assert lake.check(read_data=True).problems == []

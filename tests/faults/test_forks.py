"""A process forked from a busy one (as data loaders do) uses the handle it inherited: it never waits for ever."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import lakefolio as lf

PROGRAM = """
import os, signal, sys, threading, time, warnings
import lakefolio as lf
from lakefolio.session.session import session_of

warnings.simplefilter("ignore")  # of Python 3.12 on: that processes with threads should not be forked
lake = lf.open(sys.argv[1])
lake.folio("f").add_json("first", 0)
lake.sql("from items").fetchall()  # Python's own locks of modules that are being imported survive no fork
assert lake.check().ok
with lake.run("in the parent") as run:
    run.log(loss=1.0)
over = threading.Event()


def busy(handle, number):
    n = 0
    while not over.is_set():
        handle.folio(f"t{number}").add_json(str(n), n)
        handle.sql("select count(*) from items").fetchall()
        n += 1


handles = [lake] * 3
if sys.argv[2] == "leads":
    neighbours = session_of(lake).journal.committer.peers
    assert neighbours.lead()
    handles = [lf.open(sys.argv[1]) for _ in range(3)]
    for handle in handles:
        session_of(handle).journal.committer.contend(float("inf"))
threads = [threading.Thread(target=busy, args=(handle, n)) for n, handle in enumerate(handles)]
for thread in threads:
    thread.start()
for number in range(8):
    time.sleep(0.01)
    child = os.fork()
    if child == 0:
        try:
            lake.folio("f").add_json(f"child {number}", number)
            assert lake.folio("f").get_json(f"child {number}") == number
            assert lake.sql("select count(*) from items where folio = 'f'").fetchone()[0] == number + 2
            with lake.run("in a child") as run:
                run.log(loss=1.0)
            assert number or lake.check().ok
            os._exit(0)
        except BaseException as exc:
            print(f"child {number}: {exc!r}", flush=True)
            os._exit(1)
    signal.alarm(20)
    _, status = os.waitpid(child, 0)
    assert status == 0, status
over.set()
for thread in threads:
    thread.join()
print("done", flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("how", ["threads", "leads"])
def test_a_child_of_a_busy_process_goes_on(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, how: str) -> None:
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path_factory.mktemp("run"))}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "lake"), how]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, env=environment, check=False)
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr[-2000:]
    lake = lf.open(tmp_path / "lake")
    assert len(lake.folio("f").list_contents()["json_data"]) == 9
    assert len(lake.runs(status="done")) == 9
    assert lake.check(read_data=True).ok

"""Threads that help with one piece of work: also while the interpreter ends, and where no thread can be started."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lakefolio.journal.host_leader import HostPeers
from lakefolio.process.workers import Workers, submit_to

AT_EXIT = """
import atexit
import sys

import numpy as np
import pandas as pd

import lakefolio as lf

folio = lf.open(sys.argv[1]).folio("late")
frame = pd.DataFrame(np.random.default_rng(1).random((300_000, 8)))
folio.add("before", frame)

def late():
    folio.add("after", frame + 1)
    assert folio.get("before").equals(frame) and folio.get("after").equals(frame + 1)
    assert list(folio.get_many(["before", "after"])) == ["before", "after"] and folio.is_valid()
    folio.copy(folio.path + "-copy")
    lf.open(sys.argv[1] + "-new").folio("late").add("a", {"n": 1})
    print("done")

atexit.register(late)
"""


def test_lakes_are_made_and_large_tables_added_read_and_copied_while_the_interpreter_ends(tmp_path: Path) -> None:
    command = [sys.executable, "-c", AT_EXIT, str(tmp_path / "lake")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_a_call_runs_once_where_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    started = threading.Thread.start
    ran: list[int] = []
    with ThreadPoolExecutor(2) as pool:
        submit_to(pool, lambda: ran.append(0)).result()
        held = threading.Event()
        busy = submit_to(pool, held.wait)

        def refuse(thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", refuse)
        submit_to(pool, lambda: ran.append(1)).result()  # the pool has queued it, for the thread that is busy
        monkeypatch.setattr(threading.Thread, "start", started)
        assert ran == [0, 1]
        held.set()
        busy.result()
    assert ran == [0, 1]


NO_THREADS = """
import sys
import threading

import numpy as np

import lakefolio as lf

lake = lf.open(sys.argv[1])

def refuse(thread):
    raise RuntimeError("can't start new thread")

threading.Thread.start = refuse
with lake.run("alone") as run:
    for step in range(3):
        run.log({"loss": 1 / (step + 1)}, step)
        assert len(lf.open(sys.argv[1]).metric_history(run.run_id, "loss")) == step + 1  # committed at once
    lake.folio("f").add("x", np.arange(2**20))
    assert (lake.folio("f").get("x") == np.arange(2**20)).all()
print("done")
"""


def test_runs_commit_at_once_and_large_items_are_read_where_no_thread_can_be_started(tmp_path: Path) -> None:
    command = [sys.executable, "-c", NO_THREADS, str(tmp_path / "lake")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_a_process_that_can_start_no_thread_leads_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    first, second = (HostPeers(str(tmp_path), lambda message: message) for _ in range(2))
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        assert not first.lead()
    assert second.lead()  # the lock is free
    assert first.ask_or_lead(b"x") == b"x"
    second.resign()


def test_results_come_in_order_and_the_first_failure_is_raised() -> None:
    with Workers(3, "test") as workers:
        assert workers.map(lambda n: n * n, range(20)) == [n * n for n in range(20)]
        with pytest.raises(ZeroDivisionError):
            workers.map(lambda n: 1 // n, (1, 0, 2))

"""Ctrl-C, as often and whenever it comes: it reaches its own thread only, nothing hangs, nothing is lost or doubled."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import lakefolio as lf
from lakefolio.journal.head import JournalHead
from lakefolio.session.session import session_of
from lakefolio.testing import S3Server

PROGRAM = """
import faulthandler, json, os, random, signal, sys, threading, time, traceback, warnings
import lakefolio as lf
from lakefolio.session.session import session_of

faulthandler.dump_traceback_later(float(sys.argv[4]), exit=True)
uri, options, wanted, how = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3]), sys.argv[5]
lake = lf.open(uri, storage_options=options)
folio = lake.folio("f")
folio.add_json("warm", 0)
with folio.batch():
    folio.add_json("warm too", 0)
run = lake.run("r") if how == "runs" else None
other = lf.open(uri, storage_options=options) if how in ("leads", "asks") else lake
if how in ("leads", "asks"):
    leads, asks = (lake, other) if how == "leads" else (other, lake)
    neighbours = session_of(leads).journal.committer.peers
    assert neighbours.lead()
    session_of(asks).journal.committer.contend(float("inf"))
elif how == "tickets":
    session_of(lake).journal.committer.peers = None
rng = random.Random(int(sys.argv[6]))
over = threading.Event()
acknowledged, unknown, problems = [], [], []
points = []
latency = []


def worker(number):
    n = 0
    folio = (other if number else lake).folio("f")
    while not over.is_set():
        name = f"w{number}-{n}"
        try:
            folio.add_json(name, name)
            acknowledged.append(name)
        except BaseException as exc:
            problems.append(f"worker {number}: {exc!r} {traceback.format_exc()}")
        n += 1
        if how == "tickets":
            session_of(lake).journal.committer.contend()


threads = [threading.Thread(target=worker, args=(n,)) for n in range(2)]
signal.signal(signal.SIGALRM, signal.default_int_handler)
armed = 0
for thread in threads:
    thread.start()
interrupts = n = 0


def interrupt():
    global interrupts, n
    while interrupts < wanted:
        name = f"m{n}"
        n += 1
        try:
            signal.setitimer(signal.ITIMER_REAL, rng.choice([rng.uniform(1e-6, 3e-3), rng.uniform(1e-6, 3e-4)]))
            if run is not None:
                run.log(loss=float(n))
                points.append(n)
            folio.add_json(name, name)
            acknowledged.append(name)
            while signal.getitimer(signal.ITIMER_REAL)[0]:
                if how == "reads":
                    if folio.get_json(name) != name:
                        problems.append(f"{name} has another value")
                    lake.sql("select count(*) from items").fetchall()
                elif folio.get_json(name) != name:
                    problems.append(f"{name} has another value")
        except KeyboardInterrupt:
            interrupts += 1
        except BaseException as exc:
            try:
                signal.setitimer(signal.ITIMER_REAL, 0)
                problems.append(f"main: {exc!r} {name}")
            except KeyboardInterrupt:
                interrupts += 1
        if how == "tickets":
            try:
                session_of(lake).journal.committer.contend()
            except KeyboardInterrupt:
                interrupts += 1


while interrupts < wanted:
    try:
        interrupt()
    except KeyboardInterrupt:  # the timer went off between two tries
        interrupts += 1
while True:
    try:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        break
    except KeyboardInterrupt:
        pass
over.set()
for thread in threads:
    thread.join()
if run is not None:
    run.finish()
here = {name: folio.get_json(name) for name in acknowledged[::7]}
problems += [f"{name} is {value!r}" for name, value in here.items() if value != name]
problems += sorted(set(acknowledged) - set(folio))[:5]
with open(sys.argv[7], "w") as file:
    json.dump({"acknowledged": acknowledged, "problems": problems, "interrupts": interrupts, "points": points}, file)
# CPython would end by SIGINT if a text that exec ran (imports make dataclasses so) was interrupted, even if that was
# caught; the next exec forgets it.
exec("pass")
"""


def interrupted(uri: str, tmp_path: Path, *, count: int, how: str, seconds: float, options: dict[str, str]) -> None:
    result = tmp_path / "result.json"
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, uri, json.dumps(options), str(count), str(seconds)]
    with tempfile.TemporaryDirectory(prefix="lf-") as sockets:  # their paths must be short
        done = subprocess.run(
            [*command, how, "7", str(result)],
            capture_output=True,
            text=True,
            timeout=seconds + 60,
            env={**os.environ, "XDG_RUNTIME_DIR": sockets},
            check=False,
        )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    found = json.loads(result.read_text())
    assert found["problems"] == []
    assert found["interrupts"] >= count
    lake = lf.open(uri, storage_options=options)
    folio = lake.folio("f")
    names = list(folio)
    assert len(names) == len(set(names))
    assert set(found["acknowledged"]) <= set(names)
    changes = lake.sql("select folio, item, count(*) from manifests where op = 'put' group by all having count(*) > 1")
    assert changes.fetchall() == []
    assert lake.check(read_data=True).problems == []
    if how == "runs":
        values = lake.sql("select step, value, count(*) from metrics group by all having count(*) > 1").fetchall()
        assert values == []


@pytest.mark.parametrize("how", ["threads", "leads", "asks", "tickets", "reads", "runs"])
def test_interrupts_reach_their_own_thread_and_leave_the_queue_usable(tmp_path: Path, how: str) -> None:
    interrupted(str(tmp_path / "lake"), tmp_path, count=150, how=how, seconds=100, options={})


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ten_thousand_interrupts(tmp_path: Path) -> None:
    interrupted(str(tmp_path / "lake"), tmp_path, count=10_000, how="threads", seconds=800, options={})


def test_interrupts_beside_a_bucket(tmp_path: Path, s3_server: S3Server, s3_uri: str) -> None:
    options = s3_server.storage_options
    interrupted(s3_uri, tmp_path, count=60, how="threads", seconds=100, options=options)


def test_a_merge_does_not_step_over_a_commit_that_was_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log entry was created, and its rows not read yet, when the merge moved the table on."""
    lake = lf.open(tmp_path / "lake")
    folio = lake.folio("f")
    for number in range(4):
        folio.add(f"x{number}", number)
    with monkeypatch.context() as patched:
        patched.setattr(JournalHead, "extend", interrupt)
        with pytest.raises(KeyboardInterrupt):
            folio.add("landed", 1)
    session_of(lake).journal._maintenance._maintain(everything=True)
    assert sorted(folio) == ["landed", "x0", "x1", "x2", "x3"]
    session_of(lake).journal._head.advance_models(everything=True)
    assert lf.open(lake.uri).check().problems == []


def interrupt(*args: object) -> None:
    raise KeyboardInterrupt

"""What is logged is stored exactly once, whatever fails meanwhile, and never lost in silence."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

import lakefolio as lf
from lakefolio.errors import StorageError
from lakefolio.storage.local import LocalStore
from lakefolio.testing import CountingProxy, Fault, Request, S3Server


@pytest.mark.parametrize("fails", ["metric_rows", "event_rows"])
@pytest.mark.parametrize("part", [".json", ".parquet"])
@pytest.mark.parametrize("landed", [False, True])
def test_a_failed_create_stores_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str, part: str, landed: bool
) -> None:
    lake = lf.open(tmp_path / "lake")
    run = lake.create_run("r")
    run.log(loss=0.5)
    run.log_event("begin", metadata={"n": 0})
    run.flush()
    create, failed = LocalStore.create, []

    def faulty(self: LocalStore, key: str, data: bytes) -> None:
        if fails in key and key.endswith(part) and len(failed) < 2:
            failed.append(key)
            if landed:
                create(self, key, data)
            raise StorageError(f"could not create {key}", kind="connection")
        create(self, key, data)

    monkeypatch.setattr(LocalStore, "create", faulty)
    for n in range(3):
        run.log(loss=float(n), step=n)
        run.log_event("step", metadata={"n": n})
    for _ in range(4):
        try:
            run.flush()
            break
        except StorageError:
            continue
    assert failed
    for again in (lake, lf.open(tmp_path / "lake")):
        assert again.sql("select count(*) from metrics").fetchone() == (4,)
        assert again.sql("select count(*) from events").fetchone() == (4,)
    monkeypatch.setattr(LocalStore, "create", create)
    run.finish()
    assert lake.check(read_data=True).problems == []


@pytest.mark.parametrize("lost_at", [1, 2])
def test_a_lost_answer_of_every_create_is_recognised(s3_server: S3Server, s3_uri: str, lost_at: int) -> None:
    """At the first try, and at the second one after the first was refused."""
    with CountingProxy(s3_server) as proxy:
        options = proxy.storage_options
        lake = lf.open(s3_uri, storage_options=options)
        seen: dict[str, int] = {}

        def lose(request: Request) -> Fault | None:
            if request.operation != "PUT":
                return None
            seen[request.key] = seen.get(request.key, 0) + 1
            if seen[request.key] < lost_at:
                return Fault("status", status=503)
            return Fault("drop_response") if seen[request.key] == lost_at else None

        with proxy.faulty(lose):
            lake.folio("f").add_json("small", 1, inputs=["s3://b/x"], metadata={"k": 1})
            lake.folio("f").add_json("big", "x" * 10_000)
            with lake.run("r") as run:
                run.log(loss=1.0)
                run.log_event("step", metadata={"n": 1})
            lake.compact()
            other = lf.open(f"{s3_uri}/other", storage_options=options)  # its tables, its marker
            other.folio("f").add_json("x", 1)
        for one in (lake, other):
            assert one.check(read_data=True).problems == []
        assert lake.sql("select count(*) from metrics").fetchone() == (1,)
        assert lake.sql("select count(*) from events").fetchone() == (1,)
        assert len(lake.history("f:small").to_dicts()) == 1


FORKED = """
import json, os, sys, warnings
import lakefolio as lf

warnings.simplefilter("ignore")
lake = lf.open(sys.argv[1], storage_options=json.loads(sys.argv[2]))
run = lake.create_run("r")
run.log(loss=0.0)
run.flush()
child = os.fork()
if child == 0:
    try:
        run.log(loss=1.0)
        run.flush()
    except lf.StorageError as exc:
        print(exc.kind, exc.hint, flush=True)
    os._exit(0)
os.waitpid(child, 0)
run.log(loss=2.0)
run.finish()
print(lake.sql("select value from metrics order by value").fetchall())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("place", ["local", "s3"])
def test_what_a_forked_child_logs_is_kept_or_refused(
    tmp_path: Path, s3_server: S3Server, s3_uri: str, place: str
) -> None:
    uri, options = (str(tmp_path / "lake"), {}) if place == "local" else (s3_uri, s3_server.storage_options)
    command = [sys.executable, "-c", FORKED, uri, json.dumps(options)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    if place == "local":
        assert done.stdout == "[(0.0,), (1.0,), (2.0,)]\n"
    else:
        assert done.stdout.startswith("forked-process start worker processes with the 'spawn'")
        assert done.stdout.endswith("[(0.0,), (2.0,)]\n")


def _log_some(run: lf.Run) -> None:
    run.log(loss=1.0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_a_worker_of_multiprocessing_logs_is_committed_at_its_end(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    run = lake.create_run("r")
    run.log(loss=0.0)
    worker = multiprocessing.get_context("fork").Process(target=_log_some, args=(run,))
    worker.start()
    worker.join()
    run.finish()
    assert lake.sql("select value from metrics order by value").fetchall() == [(0.0,), (1.0,)]

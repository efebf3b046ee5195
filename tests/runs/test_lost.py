"""Runs whose process died: told and marked wherever somebody looks, and never while their process lives."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from inside import session_of

import lakefolio as lf
from lakefolio.model.changes import SetRun
from lakefolio.process import identity
from lakefolio.runs import liveness
from lakefolio.testing import CountingProxy


def die(lake: lf.Lake, run_id: str = "doomed") -> None:
    """Let a process that started a run be killed."""
    code = f"""
        import os, lakefolio as lf
        run = lf.open({lake.uri!r}).create_run({run_id!r}, project="p", metadata={{"k": 1}})
        run.log(loss=0.5); run.flush()
        os.kill(os.getpid(), 9)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False)


def recorded(lake: lf.Lake, run_id: str = "doomed") -> str:
    """Return the status that the rows of the lake tell."""
    return json.loads(session_of(lf.open(lake.uri, read_only=True)).journal.metadata("run", run_id)["status"])


LOOKS = {
    "runs": lambda lake: {one.run_id: one.status for one in lake.runs()}["doomed"],
    "runs of a status": lambda lake: lake.runs(status="lost")[0].status,
    "run": lambda lake: lake.get_run("doomed").status,
    "sql": lambda lake: lake.sql("select status from runs where run_id = 'doomed'").fetchone()[0],
    "sql by project": lambda lake: lake.sql("select status from runs_by_project where path = 'p'").fetchone()[0],
    "connect": lambda lake: lake.connect().sql("select status from runs where run_id = 'doomed'").fetchone()[0],
    "browse": lambda lake: lake.browse("by_project/p").rows[0]["status"],
    "compare": lambda lake: lake.compare("doomed").facts["status"][0],
}


@pytest.mark.parametrize("look", LOOKS)
def test_who_looks_calls_it_lost_and_writes_nothing(lake: lf.Lake, look: str) -> None:
    die(lake)
    assert recorded(lake) == "running"
    files, version = sorted(Path(lake.uri).rglob("*")), lake.version
    assert LOOKS[look](lake) == LOOKS[look](lake) == "lost"
    assert (lake.version, sorted(Path(lake.uri).rglob("*"))) == (version, files)
    assert recorded(lake) == "running"
    lake.create_run("another")
    assert recorded(lake) == "lost"
    assert LOOKS[look](lake) == "lost"
    found = lake.get_run("doomed")
    assert found.ended_at is not None
    assert found.metrics == {"loss": 0.5}
    assert lake.check().ok


def test_a_question_is_asked_once(lake: lf.Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    die(lake)
    asked = []
    real = lf.session.session.Session.query

    def query(reader: object, *given: object) -> object:
        asked.append(given)
        return real(reader, *given)

    monkeypatch.setattr(lf.session.session.Session, "query", query)
    version = lake.version
    assert lake.sql("select 1").fetchall() == [(1,)]
    assert len(asked) == 1
    assert lake.version == version


def test_maintenance_marks_it(lake: lf.Lake) -> None:
    die(lake)
    lake.compact()
    assert recorded(lake) == "lost"


@pytest.mark.parametrize("look", LOOKS)
def test_who_may_only_read_calls_it_lost_and_writes_nothing(lake: lf.Lake, look: str) -> None:
    die(lake)
    reader = lf.open(lake.uri, read_only=True)
    files = sorted(Path(lake.uri).rglob("*"))
    assert LOOKS[look](reader) == "lost"
    assert LOOKS[look](reader) == "lost"
    assert sorted(Path(lake.uri).rglob("*")) == files
    assert recorded(lake) == "running"
    assert reader.at(reader.version).get_run("doomed").status == "running"  # the past is what was recorded
    with lake.resume_run("doomed"):
        assert LOOKS["sql"](reader) == LOOKS["run"](reader) == "running"
    assert LOOKS["sql"](reader) == LOOKS["run"](reader) == "done"


def test_who_starts_a_run_marks_it(lake: lf.Lake) -> None:
    die(lake)
    mine = lake.create_run("alive")
    assert recorded(lake) == "lost"
    assert mine.status == "running"
    with lake.resume_run("doomed") as run:
        run.log(loss=0.4)
    assert lake.get_run("doomed").status == "done"


def test_marking_when_asked(lake: lf.Lake) -> None:
    die(lake)
    assert lake.mark_lost_runs() == ["doomed"]
    assert lake.mark_lost_runs() == []
    assert recorded(lake) == "lost"


def test_many_are_marked_by_one_commit(lake: lf.Lake) -> None:
    code = f"""
        import os, lakefolio as lf
        lake = lf.open({lake.uri!r})
        for number in range(5):
            lake.create_run(f"r{{number}}")
        os.kill(os.getpid(), 9)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False)
    before = lake.version
    assert {one.status for one in lake.runs()} == {"lost"}
    assert lake.version == before
    assert len(lake.mark_lost_runs()) == 5
    assert lake.version == before + 1


def test_a_batch_is_left_alone(lake: lf.Lake) -> None:
    die(lake)
    with lake.batch():
        assert lake.get_run("doomed").status == "lost"
        lake.folio("f").add("x", 1)
    assert recorded(lake) == "running"
    assert lake.get_run("doomed").status == "lost"
    lake.mark_lost_runs()
    assert recorded(lake) == "lost"


def test_what_can_not_be_marked_is_called_lost(lake: lf.Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    die(lake)
    tried = []

    def refuse(*changes: object) -> None:
        tried.append(changes)
        raise lf.StorageError("denied", kind="access-denied")

    monkeypatch.setattr(session_of(lake), "commit_now", refuse)
    assert lake.get_run("doomed").status == LOOKS["sql"](lake) == "lost"
    assert tried == []
    for _ in range(2):
        liveness.notice(session_of(lake))
    assert len(tried) == 1
    assert recorded(lake) == "running"


def test_a_run_that_lives_is_never_marked(lake: lf.Lake) -> None:
    code = f"""
        import sys, lakefolio as lf
        run = lf.open({lake.uri!r}).create_run("alive")
        print("started", flush=True)
        sys.stdin.readline()
        run.finish()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "started\n"
        before = lake.version
        for look in (lambda: lake.runs()[0].status, lambda: lake.get_run("alive").status):
            assert look() == "running"
        assert lake.mark_lost_runs() == []
        lake.create_run("other").finish()
        assert lake.version == before + 2
        assert lake.get_run("alive").status == "running"
        process.communicate("\n")
    assert lake.get_run("alive").status == "done"


def test_a_run_that_was_resumed_meanwhile_is_not_marked(lake: lf.Lake) -> None:
    die(lake)
    session = session_of(lake)
    session.journal.refresh()
    found = liveness._dead(session, liveness.SILENT_S)
    assert list(found) == ["doomed"]
    changes = liveness._changes(session, found)
    run = lf.open(lake.uri).resume_run("doomed")
    session.commit_now(*changes)  # concluded from what is no longer true
    assert recorded(lake) == "running"
    assert lake.get_run("doomed").status == "running"
    run.finish()


def test_of_other_hosts_silence_tells(lake: lf.Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity.socket, "gethostname", lambda: "far-away")
    run = lake.create_run("remote")
    monkeypatch.undo()
    assert lake.get_run("remote").status == "running"
    assert lake.mark_lost_runs() == []
    assert lake.mark_lost_runs(silent_s=0) == ["remote"]
    run.finish()  # it was alive after all
    assert lake.get_run("remote").status == "done"


def test_signs_of_life_of_other_hosts_are_seen(lake: lf.Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity.socket, "gethostname", lambda: "far-away")
    run = lf.open(lake.uri).create_run("remote")
    monkeypatch.undo()
    looked_up = []
    look_up = liveness._last_commits
    monkeypatch.setattr(
        liveness, "_last_commits", lambda session, ids: looked_up.append(list(ids)) or look_up(session, ids)
    )
    monkeypatch.setattr(liveness, "SILENT_S", 60.0)
    for _ in range(3):
        run.log(loss=1.0)
        run.flush()
        for _ in range(3):
            assert lake.get_run("remote").status == "running"
    assert [one for one in looked_up if one] == [["remote"]]  # known to have committed just now: not looked up again
    monkeypatch.setattr(liveness, "SILENT_S", 0.0)
    assert lake.get_run("remote").status == "lost"


def test_a_process_number_given_to_another_is_told_apart() -> None:
    own = identity.process()
    host = socket.gethostname()
    assert identity.alive(host, own) is True
    assert identity.alive(host, {**own, "started": 1}) is False
    assert identity.alive(host, {**own, "boot": "before"}) is False
    assert identity.alive(host, {**own, "pid": 2**22 + 1}) is False
    assert identity.alive("elsewhere", own) is None
    assert identity.alive(host, {**own, "namespace": "pid:[1]"}) is None
    assert identity.alive(host, {"pid": "1; rm"}) is None


def test_what_was_edited_by_hand_harms_nobody(lake: lf.Lake) -> None:
    run_id = "odd' or 'a' = 'a"
    facts = {"status": '"running"', "type": '"experiment"', "host": "no json", "process": '{"pid": "1; rm"}'}
    session_of(lake).apply(SetRun(run_id=run_id, values={**facts, "metrics.": "1"}, new=True))
    lake.create_run("other", status="done")
    assert lake.get_run(run_id).status == "running"  # it has just committed
    reader = lf.open(lake.uri, read_only=True)
    told = (
        session_of(reader)
        .calling_lost(frozenset([run_id]))
        .query("select run_id, status from runs order by run_id")
        .fetchall()
    )
    assert told == [(run_id, "lost"), ("other", "done")]
    assert lake.mark_lost_runs(silent_s=0) == [run_id]
    assert lake.get_run(run_id).status == "lost"


def test_nothing_to_mark_costs_no_request(s3_uri: str, s3_proxy: CountingProxy) -> None:
    lake = lf.open(s3_uri, storage_options=s3_proxy.storage_options)
    for number in range(3):
        lake.create_run(f"r{number}", status="done")
    run = lake.create_run("alive")
    looks = [lake.runs, lambda: lake.sql("select * from runs").fetchall(), lambda: lake.browse("flat")]
    for look in looks:
        look()
    counts = []
    for look in looks:
        with s3_proxy.count() as count:
            look()
        counts.append(count.total)
    assert counts == [1, 1, 1]
    run.finish()

"""Runs watched while they go on: what comes is told once, in order, until the run has ended, for a request a look."""

import json
import os
import signal
import subprocess
import sys
import threading

import pytest
from click.testing import CliRunner
from inside import session_of

import lakefolio as lf
from lakefolio.cli import cli
from lakefolio.runs.following import follow_run

WATCHER = [sys.executable, "-m", "lakefolio", "--lake"]


def steps(news):
    return [(name, step, value) for name, step, value, _ in news.points]


def test_what_comes_of_a_run_is_told_once_until_it_ends(tmp_path):
    lake = lf.open(tmp_path / "lake")
    run = lake.create_run(name="train")
    run.log({"loss": 3.0}, 0)
    run.flush()
    doing = iter(
        [
            lambda: (run.log({"loss": 2.0}, 1), run.log({"loss": 1.0}, 2), run.flush()),
            lambda: lake.folio("f").add("other", 1),  # of no interest
            lambda: None,
            lambda: (run.log_event("checkpoint", metadata={"at": 2}), run.flush()),
            lambda: (run.log({"auc": 0.5}), run.finish()),
        ]
    )
    watcher = lf.open(tmp_path / "lake", read_only=True)
    told = list(follow_run(session_of(watcher), "train", 2.0, sleep=lambda seconds: next(doing)()))
    assert [one.status for one in told] == ["running"] * 3 + ["done"]
    assert [steps(one) for one in told] == [
        [("loss", 0, 3.0)],
        [("loss", 1, 2.0), ("loss", 2, 1.0)],
        [],
        [("auc", None, 0.5)],
    ]
    assert [[json.loads(event[3]) for event in one.events] for one in told] == [[], [], [{"at": 2}], []]
    assert told[-1].to_dict()["points"][0]["name"] == "auc"
    assert [one.status for one in lake.follow_run("train")] == ["done"]  # one that has ended is told and left
    with pytest.raises(lf.NotFoundError, match="did you mean 'train'"):
        next(lake.follow_run("trian"))
    with pytest.raises(lf.InvalidInputError, match="every_s is 0"):
        next(lake.follow_run("train", every_s=0))


def test_a_failed_run_is_told_with_its_error_and_a_lost_one_ends_too(tmp_path):
    lake = lf.open(tmp_path / "lake")
    with pytest.raises(ValueError, match="boom"), lake.run("bad"):
        raise ValueError("boom")
    (news,) = lake.follow_run("bad")
    assert (news.status, news.error) == ("failed", "ValueError: boom")
    code = "import os, sys, lakefolio as lf; lf.open(sys.argv[1]).create_run('dead'); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code, lake.uri], check=False)
    assert [one.status for one in lf.open(lake.uri, read_only=True).follow_run("dead")] == ["lost"]


def test_a_look_at_which_nothing_came_is_one_request(s3_proxy, s3_uri):
    lake = lf.open(s3_uri, storage_options=s3_proxy.storage_options)
    run = lake.create_run(name="train")
    run.log({"loss": 1.0}, 0)
    run.flush()
    sleeps = iter([None] * 4)
    watcher = lf.open(s3_uri, storage_options=s3_proxy.storage_options, read_only=True)
    looks = follow_run(session_of(watcher), "train", 2.0, sleep=lambda seconds: next(sleeps))
    assert steps(next(looks)) == [("loss", 0, 1.0)]
    with s3_proxy.count() as count, pytest.raises(RuntimeError, match="StopIteration"):
        next(looks)
    assert count.total == 4, str(count)
    sleeps = iter([None])
    looks = follow_run(session_of(watcher), "train", 2.0, sleep=lambda seconds: next(sleeps))
    next(looks)
    run.log({"loss": 0.5}, 1)
    run.flush()
    with s3_proxy.count() as count:
        assert steps(next(looks)) == [("loss", 1, 0.5)]
    assert count.total <= 8, str(count)
    run.finish()


def test_the_command_line_prints_what_came_and_ends_with_the_run(tmp_path):
    lake = lf.open(tmp_path / "lake")
    with lake.run("train") as run:
        for step in range(3):
            run.log({"val/loss": 1 / (step + 1), "auc": 0.5}, step)
        run.log_event("checkpoint", "train", {"k": 1})
    done = CliRunner().invoke(cli, ["--lake", lake.uri, "run", "show", "train", "--follow"])
    lines = done.stdout.splitlines()
    assert [line.partition("  ")[2] for line in lines[:-1] if "event" not in line] == [
        "step 0  val/loss 1  auc 0.5",
        "step 1  val/loss 0.5  auc 0.5",
        "step 2  val/loss 0.333333  auc 0.5",
    ]
    assert [line.partition("  ")[2] for line in lines if "event" in line] == ['event checkpoint train: {"k":1}']
    assert lines[-1] == f"run train ({run.run_id[-8:]}) is done"
    (news,) = (json.loads(line) for line in _json(lake, "run", "show", "train", "--follow").splitlines())
    assert (news["status"], len(news["points"]), len(news["events"])) == ("done", 6, 1)
    assert CliRunner().invoke(cli, ["--lake", lake.uri, "runs", "flat", "--follow"]).exit_code == 2


def test_a_table_that_is_followed_waits_for_a_metric_that_no_run_has_yet(tmp_path, monkeypatch):
    lake = lf.open(tmp_path / "lake")
    lake.create_run(name="begun", status="done")

    def looks(watcher, *, every_s):
        for _ in range(2):
            yield watcher.at(watcher.version)
        lake.create_run(name="trained", metrics={"loss": 0.5}, status="done")
        yield watcher.at(watcher.version)

    monkeypatch.setattr(lf.Lake, "follow_runs", looks)
    done = CliRunner().invoke(cli, ["--lake", lake.uri, "runs", "--follow", "--columns", "name,loss"])
    assert done.exit_code == 0, done.output
    assert done.stderr.count("runs have no column 'loss' yet: the table begins when one has it") == 1
    assert "trained  loss 0.5" in done.stdout


def _json(lake, *words):
    return CliRunner().invoke(cli, ["--lake", lake.uri, *words, "--json"]).stdout


def test_a_pipe_gets_a_line_for_what_is_new_and_an_interrupt_ends_it_cleanly(tmp_path):
    lake = lf.open(tmp_path / "lake")
    first = lake.create_run(name="first")
    command = [*WATCHER, lake.uri, "runs", "--follow", "--every", "0.2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watcher:
        killer = threading.Timer(120, watcher.kill)
        killer.start()
        assert watcher.stdout.readline().split("  ")[1:] == [first.run_id[-8:], "first", "running\n"]
        first.log({"loss": 0.5}, 1)
        first.flush()
        assert watcher.stdout.readline().split("  ")[1:] == [first.run_id[-8:], "first", "running", "loss 0.5\n"]
        with lake.run("second") as second:
            pass
        lines = [watcher.stdout.readline()]
        while "done" not in lines[-1]:
            lines.append(watcher.stdout.readline())
        assert all(f"{second.run_id[-8:]}  second" in line for line in lines)  # nothing is said of the first again
        watcher.send_signal(signal.SIGINT)
        out, err = watcher.communicate()
        killer.cancel()
    assert (watcher.returncode, out, err) == (0, "", "")


def test_a_terminal_gets_a_table_that_is_renewed(tmp_path):
    lake = lf.open(tmp_path / "lake")
    run = lake.create_run(name="train")
    command = [*WATCHER, lake.uri, "runs", "--follow", "--every", "0.2"]
    ours, theirs = os.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    environment.pop("NO_COLOR", None)
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment) as watcher:
        os.close(theirs)
        killer = threading.Timer(120, watcher.kill)
        killer.start()
        seen = b""
        while b"running" not in seen:
            seen += os.read(ours, 4096)
        run.log({"loss": 0.125}, 1)
        run.finish()
        while b"0.125" not in seen or b"done" not in seen:
            seen += os.read(ours, 4096)
        watcher.send_signal(signal.SIGINT)
        try:
            while chunk := os.read(ours, 4096):
                seen += chunk
        except OSError:  # its end is closed
            pass
        watcher.wait()
        killer.cancel()
    os.close(ours)
    assert watcher.returncode == 0
    assert b"\x1b[1A" in seen or b"\x1b[2K" in seen  # lines are written over
    assert b"Traceback" not in seen

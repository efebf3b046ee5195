"""Runs: what is recorded of them, how they begin, go on, end, and are found."""

from __future__ import annotations

import platform
import socket
import subprocess
import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from inside import session_of

import lakefolio as lf
from lakefolio.process import provenance
from lakefolio.redaction import scrub_command
from lakefolio.runs.starting import open_run


def test_a_run_records_who_made_what_from_what(lake: lf.Lake) -> None:
    lake.folio("customers").add_data("clean", pd.DataFrame({"age": [31, 47]}))
    with lake.run(
        "train",
        run_type="production",
        project="churn",
        model="rf",
        params={"depth": 7, "lr": 0.1, "nested": {"a": [1, None]}},
        tags=["weekly", "eu"],
        description="the weekly model",
        metadata={"ticket": "ML-7"},
    ) as run:
        frame = run.input("customers:clean")
        run.add_input("codes", np.arange(10_000))
        run.add_input("source", "s3://elsewhere/raw.csv")
        run.add_output("model", {"weights": [1, 2]}, tags=["best"])
        run.add_output("table", frame, to="models:churn")
        run.log(auc=0.93, loss=np.float32(0.25), step=10)
    found = lake.get_run(run.run_id)
    assert found == lake.get_run_manifest(run.run_id)
    assert (found.type, found.run_type, found.status, found.name) == ("production", "production", "done", "train")
    assert (found.project, found.model, found.tags) == ("churn", "rf", ["weekly", "eu"])
    assert found.params == {"depth": 7, "lr": 0.1, "nested": {"a": [1, None]}}
    assert found.metrics == {"auc": 0.93, "loss": 0.25}
    assert found.metadata == {"ticket": "ML-7"}
    assert found.description == "the weekly model"
    assert [(one.name, one.ref.partition("@")[0]) for one in found.inputs] == [
        ("clean", "customers:clean"),
        ("codes", "inputs:codes/" + found.inputs[1].digest[7:19]),
        ("source", "s3://elsewhere/raw.csv"),
    ]
    assert [one.ref.partition("@")[0] for one in found.outputs] == [f"runs/{run.run_id}:model", "models:churn"]
    assert found.started_at is not None
    assert found.ended_at is not None
    assert found.duration_s >= 0
    assert (found.host, found.python) == (socket.gethostname(), platform.python_version())
    assert found.packages["pyarrow"]
    assert found.platform
    assert found.user
    assert found.command
    assert found.author == lake.author
    assert found.to_dict()["started_at"].startswith(str(found.started_at.year))
    assert lake.check(read_data=True).ok


def test_git_commit_and_dirty_state_are_recorded(lake: lf.Lake, tmp_path: Path, monkeypatch) -> None:
    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], cwd=tmp_path, check=True, capture_output=True
        ).stdout.decode()

    git("init", "-q", "-b", "trunk")
    (tmp_path / "code.py").write_text("x = 1")
    git("add", "code.py")
    git("commit", "-qm", "one")
    git("remote", "add", "origin", "https://ada:secret@git.example.com/x.git")
    monkeypatch.chdir(tmp_path)
    with lake.run() as clean:
        pass
    (tmp_path / "code.py").write_text("x = 2")
    provenance._git.clear()
    with lake.run() as dirty:
        pass
    found = lake.get_run(clean.run_id)
    assert (found.git_commit, found.git_dirty) == (git("rev-parse", "HEAD").strip(), False)
    assert (found.git_branch, found.git_remote) == ("trunk", "https://git.example.com/x.git")
    assert lake.get_run(dirty.run_id).git_dirty is True


def test_nothing_of_the_environment_and_no_secret_of_the_command_is_recorded(lake, monkeypatch) -> None:
    monkeypatch.setenv("MY_API_TOKEN", "hunter2-in-the-environment")
    with lake.run():
        pass
    texts = lake.sql("select value from metadata").fetchall()
    assert not any("hunter2" in (text or "") for (text,) in texts)
    argv = ["train.py", "--password", "hunter2", "--api-key=hunter2", "https://u:hunter2@host/x", "--lr", "0.1"]
    shown = scrub_command(argv)
    assert "hunter2" not in shown
    assert "--lr 0.1" in shown
    assert "https://***@host/x" in shown


def test_a_failed_run_keeps_its_traceback(lake: lf.Lake) -> None:
    def work(run: lf.Run) -> None:
        with run:
            run.log(loss=1.0)
            1 / 0  # noqa: B018

    run = lake.run()
    with pytest.raises(ZeroDivisionError):
        work(run)
    found = lake.get_run(run.run_id)
    assert (found.status, found.error_type) == ("failed", "ZeroDivisionError")
    assert "1 / 0" in found.error
    assert found.metrics == {"loss": 1.0}
    assert lake.sql("select status, error_type from runs").fetchall() == [("failed", "ZeroDivisionError")]


@pytest.mark.parametrize("run_type", list(lf.RunType))
def test_the_types_of_runs(lake: lf.Lake, run_type: lf.RunType) -> None:
    run = lake.create_run(run_type=run_type)
    assert run.type == run_type.value
    run.finish()
    assert [one.run_id for one in lake.runs(type=run_type)] == [run.run_id]


def test_types_of_ones_own(lake: lf.Lake) -> None:
    with pytest.raises(lf.InvalidInputError) as caught:
        lake.create_run(run_type="backfill")
    assert caught.value.kind == "bad-run-type"
    assert lake.runs() == []
    assert lake.add_run_type("backfill") == lake.add_run_type("backfill") == lake.run_types()
    assert lake.create_run(run_type="backfill").type == "backfill"
    assert lf.open(lake.uri).create_run(run_type="backfill").type == "backfill"


def test_runs_as_mltrack_users_write_them(lake: lf.Lake) -> None:
    manifest = lake.create_run(
        run_id="prod_001",
        run_type=lf.RunType.PRODUCTION,
        storage_modes=[lf.StorageMode.BY_TYPE, lf.StorageMode.BY_DATE],
    )
    ref = lake.add_run_input(manifest, "customer_data", pd.DataFrame({"a": range(100)}))
    made = lake.add_run_output(manifest, "predictions", pd.DataFrame({"b": range(100)}))
    manifest.finish()
    found = lake.get_run_manifest("prod_001")
    assert (found.run_id, found.run_type, found.storage_modes) == ("prod_001", "production", ["by_type", "by_date"])
    assert found.inputs == [ref]
    assert found.outputs == [made]
    assert ref.digest.startswith("sha256:")
    assert ref.size_bytes > 0
    assert made.ref == "runs/prod_001:predictions@3"


def test_a_run_can_be_named_by_its_id_or_manifest(lake: lf.Lake) -> None:
    lake.create_run("r1")
    other = lf.open(lake.uri)
    other.add_run_input("r1", "a", np.arange(5))
    other.add_run_output(other.get_run("r1"), "b", 7)
    assert [one.name for one in lake.get_run("r1").inputs + lake.get_run("r1").outputs] == ["a", "b"]


def test_inputs_are_references_never_copies(lake: lf.Lake) -> None:
    """The scenario behind the 86.6 % of MLtrack's comparison, a thousandth of its size."""
    random = np.random.default_rng(0)
    shared = random.bytes(1_000_000)
    for number in range(100):
        with lake.batch():
            run = lake.create_run(f"experiment-{number}")
            lake.add_run_input(run, "dataset", shared)
            run.finish()
    days = [random.bytes(500_000) for _ in range(30)]
    for number, data in enumerate([*days, *days[:8]]):  # two reruns a week
        lake.create_run(f"day-{number}", "production", inputs={"dataset": data}).finish()
    saved = lake.storage_savings()
    assert saved.logical_bytes == 100 * 1_000_000 + 38 * 500_000 + saved.other_bytes
    assert saved.stored_bytes == 1_000_000 + 30 * 500_000 + saved.other_bytes
    assert round(saved.saved_ratio, 3) == 0.866
    assert "86.6%" in str(saved)
    assert saved.to_dict()["saved_bytes"] == saved.logical_bytes - saved.stored_bytes
    assert lake.sql("select count(*), count(distinct entry_id) from run_inputs").fetchall() == [(138, 31)]


def test_an_input_that_can_be_read_once_is_kept_whole(lake: lf.Lake) -> None:
    table = pa.table({"n": range(1_000)})
    lake.create_run().add_input("rows", pa.RecordBatchReader.from_batches(table.schema, table.to_batches()))
    lake.create_run(inputs={"rows": pa.RecordBatchReader.from_batches(table.schema, table.to_batches())})
    (name,) = lake.folio("inputs").tables
    assert lake.folio("inputs").get_table(name, as_="arrow").equals(table)
    assert {one.ref for run in lake.runs() for one in run.inputs} == {lake.item(f"inputs:{name}").ref}


def test_nested_runs(lake: lf.Lake) -> None:
    with lake.run("outer") as outer:
        with lake.run("inner") as inner:
            assert inner.parent == outer.run_id
        with lake.run("second") as second:
            pass
    with lake.run("alone") as alone:
        pass
    assert lake.get_run(outer.run_id).children == [inner.run_id, second.run_id]
    assert alone.parent is None
    assert {one.name for one in lake.runs(parent=outer.run_id)} == {"inner", "second"}
    assert lake.create_run(parent=outer).parent == outer.run_id
    with pytest.raises(lf.NotFoundError) as caught:
        lake.create_run("x", parent="nobody")
    assert caught.value.kind == "run-not-found"


def test_what_is_put_in_the_block_belongs_to_the_run(lake: lf.Lake) -> None:
    with lake.run() as run:
        lake.folio("models").add_data("m", {"w": 1})
        with lake.run() as inner:
            lake.folio("models").add_data("n", {"w": 2})
    lake.folio("models").add_data("later", 1)
    assert [one.name for one in lake.get_run(run.run_id).outputs] == ["m"]
    assert [one.name for one in lake.get_run(inner.run_id).outputs] == ["n"]
    upstream = lake.lineage("models:m").upstream()
    assert run.run_id in upstream.to_mermaid()


def test_a_run_goes_on_in_another_process(lake: lf.Lake) -> None:
    run = lake.create_run("long", params={"lr": 1})
    run.log(loss=1.0, step=1)
    run.flush()
    code = f"""
        import lakefolio as lf
        lake = lf.open({lake.uri!r})
        with lake.resume_run("long") as run:
            run.log(loss=0.5, step=2)
            run.add_output("model", {{"w": 1}})
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)
    found = lake.get_run("long")
    assert (found.status, found.metrics) == ("done", {"loss": 0.5})
    assert lake.metric_history("long", "loss").column("step").to_pylist() == [1, 2]
    with lake.run(run_id="long", resume=True, params={"lr": 2}) as again:
        assert again.status == "running"
        assert lake.get_run("long").ended_at is None
    assert lake.get_run("long").params == {"lr": 2}
    with lake.run(run_id="fresh", resume=True):
        pass
    assert lake.get_run("fresh").status == "done"


def test_importing_runs_that_are_over(lake: lf.Lake) -> None:
    before = lake.version
    with lake.batch("import"):
        for number in range(20):
            lake.create_run(
                f"old-{number}",
                status="done" if number % 2 else "failed",
                project="p",
                params={"n": number},
                metrics={"auc": number / 20},
                started_at=datetime(2026, 1, 1 + number, tzinfo=UTC),
            )
    assert lake.version == before + 1
    assert lake.sql("select run_id from runs where auc > 0.9 and n < 20").fetchall() == [("old-19",)]
    assert [one.run_id for one in lake.runs(status="done", limit=2)] == ["old-19", "old-17"]


# -- bad input: one clear error, nothing half recorded ------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({"run_type": "experimental"}, "bad-run-type"),
        ({"run_type": 7}, "bad-run-type"),
        ({"status": "finished"}, "bad-run-status"),
        ({"status": "running", "metrics": {"a": 1}}, "bad-run-status"),
        ({"params": {"f": object()}}, "bad-params"),
        ({"params": {"ok": 1, "big": "x" * 70_000}}, "bad-params"),
        ({"params": {1: 2}}, "bad-params"),
        ({"params": ["lr"]}, "bad-params"),
        ({"run_id": "a/b"}, "bad-name"),
        ({"run_id": "a:b"}, "bad-name"),
        ({"run_id": ""}, "bad-name"),
        ({"name": 5}, "bad-text"),
        ({"tags": [""]}, "bad-text"),
        ({"metadata": {"status": "x"}}, "bad-metadata"),
        ({"metadata": {"params.x": 1}}, "bad-metadata"),
        ({"folio": "../x"}, "bad-name"),
        ({"status": "done", "metrics": {"a": "high"}}, "bad-metric"),
        ({"status": "done", "started_at": "2026-02-01", "ended_at": "2026-01-01"}, "bad-time"),
        ({"inputs": {"a": "folio:missing"}}, "item-not-found"),
        ({"inputs": {"a": object()}}, "unsupported-type"),
        ({"inputs": {"a": "no folio"}}, "bad-ref"),
        ({"inputs": {"a": "folio:item@99"}}, "version-not-found"),
    ],
)
def test_what_is_wrong_with_a_run_is_said_and_nothing_recorded(lake: lf.Lake, arguments: dict, kind: str) -> None:
    version = lake.version
    with pytest.raises(lf.LakefolioError) as caught:
        lake.create_run(**arguments)
    assert caught.value.kind == kind
    assert lake.version == version
    assert lake.runs() == []


def test_a_run_id_is_given_once(lake: lf.Lake) -> None:
    lake.create_run("r", project="one")
    with pytest.raises(lf.AlreadyExistsError) as caught:
        lf.open(lake.uri).create_run("r", project="two")
    assert caught.value.kind == "run-exists"
    assert lake.get_run("r").project == "one"
    with pytest.raises(lf.AlreadyExistsError):
        lake.create_run("r", inputs={"data": np.arange(5_000)})
    assert list(session_of(lake).store.list("blobs/")) == []  # told before anything is sent


def test_a_run_ends_once_and_is_not_used_after_it(lake: lf.Lake) -> None:
    run = lake.create_run("r")
    other = lf.open(lake.uri).add_run_output("r", "before", 1)
    elsewhere = open_run(session_of(lf.open(lake.uri)), "r")
    run.finish()
    for call in (
        run.finish,
        lambda: run.fail("again"),
        lambda: run.log(a=1),
        lambda: run.log_points("a", [1]),
        lambda: run.log_event("e"),
        lambda: run.set_params(a=1),
        lambda: run.add_input("a", 1),
        lambda: run.add_output("a", 1),
        lambda: run.input(other.ref),
        lambda: run.add_tags("x"),
        elsewhere.finish,
        lambda: elsewhere.add_output("late", np.arange(5_000)),
        lambda: lake.add_run_output("r", "late", 1),
    ):
        with pytest.raises(lf.InvalidInputError) as caught:
            call()
        assert caught.value.kind == "run-ended"
    assert list(session_of(lake).store.list("blobs/")) == []
    with pytest.raises(lf.InvalidInputError) as caught:
        lake.create_run().finish("lost")
    assert caught.value.kind == "bad-run-status"
    assert [one.name for one in lake.get_run("r").outputs] == ["before"]


def test_clashing_names(lake: lf.Lake) -> None:
    run = lake.create_run("r")
    run.add_output("model", 1)
    with pytest.raises(lf.AlreadyExistsError) as caught:
        run.add_output("model", 2)
    assert caught.value.kind == "item-exists"
    run.add_output("model", 2, overwrite=True)
    run.add_input("data", np.arange(3))
    with pytest.raises(lf.AlreadyExistsError) as caught:
        run.add_input("data", np.arange(4))
    assert caught.value.kind == "input-exists"
    assert len(lake.get_run("r").inputs) == 1
    assert len(lake.get_run("r").outputs) == 2


def test_unknown_runs(lake: lf.Lake) -> None:
    lake.create_run("train-7")
    for call in (lake.get_run, lake.resume_run, lambda one: lake.add_run_input(one, "a", 1)):
        with pytest.raises(lf.NotFoundError) as caught:
            call("train-8")
        assert caught.value.kind == "run-not-found"
        assert "train-7" in str(caught.value)
    with pytest.raises(lf.InvalidInputError) as caught:
        lake.runs(status="finished")
    assert caught.value.kind == "bad-run-status"
    with pytest.raises(lf.InvalidInputError) as caught:
        lake.run(resume=True)
    assert caught.value.kind == "bad-arguments"


def test_the_past_records_nothing(lake: lf.Lake) -> None:
    lake.create_run("r")
    for call in (lambda at: at.create_run(), lambda at: at.log_event("m"), lambda at: at.mark_lost_runs()):
        with pytest.raises(lf.ReadOnlyError):
            call(lake.at(lake.version))


def test_runs_as_of_a_version(lake: lf.Lake) -> None:
    run = lake.create_run("r", params={"a": 1})
    started = lake.version
    run.add_input("x", np.arange(10))
    run.log(loss=0.5)
    run.add_output("y", 1)
    run.finish()
    then = lake.at(started)
    assert then.get_run("r").status == "running"
    assert (then.get_run("r").inputs, then.get_run("r").outputs, then.get_run("r").metrics) == ([], [], {})
    assert then.sql("select count(*) from metrics").fetchone() == (0,)
    assert lake.get_run("r").status == "done"
    with pytest.raises(lf.NotFoundError):
        lake.at(0).get_run("r")


def test_the_configured_type_is_that_of_runs_given_none(lake: lf.Lake, monkeypatch) -> None:
    monkeypatch.setenv("LAKEFOLIO_DEFAULT_RUN_TYPE", "analysis")
    assert lake.create_run("a").type == "analysis"
    assert lake.create_run("b", run_type="evaluation").type == "evaluation"
    monkeypatch.setenv("LAKEFOLIO_DEFAULT_RUN_TYPE", "nonsense")
    with pytest.raises(lf.InvalidInputError) as caught:
        lake.create_run("c")
    assert caught.value.kind == "bad-run-type"
    assert caught.value.message == "LAKEFOLIO_DEFAULT_RUN_TYPE sets default_run_type: run type 'nonsense' is not known"
    assert [run.run_id for run in lake.runs()] == ["b", "a"]


def test_an_input_that_one_run_uses_is_no_second_copy(lake: lf.Lake) -> None:
    """Logical bytes are what plain copies would take: one for the entry, and one for each further run."""
    lake.folio("data").add("raw", np.random.default_rng(0).bytes(100_000))
    with lake.run("first") as run:
        run.input("data:raw")

    def logical() -> int:
        return next(row["logical_bytes"] for row in lake.stats()["folios"] if row["folio"] == "data")

    assert logical() == 100_000
    with lake.run("second") as run:
        run.input("data:raw")
        run.input("data:raw")
    assert logical() == 200_000


def test_a_frame_of_no_runs_has_the_columns_that_identify_a_run(lake):
    found = lake.runs(project="nothing is called so")
    assert found == []
    assert list(found.df().columns) == found.pl().columns
    assert {"run_id", "name", "status", "started_at", "project"} <= set(found.pl().columns)


def test_the_versions_of_packages_are_those_their_installations_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {
        "plain": b"Metadata-Version: 2.1\nName: plain\nVersion: 1.2\n\nVersion: 9\nName: other\n",
        "windows": b"Metadata-Version: 2.1\r\nVersion: 3.4 \r\nName: windows\r\n\r\nVersion: 9\r\n",
        "licensed": b"Metadata-Version: 2.1\nName: licensed\nLicense: so\n        Version: 9\nVersion: 5\n",
        "empty": b"",
        "nameless": b"Metadata-Version: 2.1\nVersion: 1\n",
        "broken": b"Name: broken\nVersion: 1\nAuthor: \xff\n",
    }
    for name, metadata in said.items():
        (tmp_path / f"{name}-0.dist-info").mkdir()
        (tmp_path / f"{name}-0.dist-info" / "METADATA").write_bytes(metadata)
    (tmp_path / "nothing-0.dist-info").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert provenance.packages.__wrapped__()["packages"] == {"licensed": "5", "plain": "1.2", "windows": "3.4"}

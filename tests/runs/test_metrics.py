"""Metrics with steps and events of any kind: buffered by time and size, committed once, readable by everyone."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.compute as pc
import pytest
from inside import session_of

import lakefolio as lf
from lakefolio.content.event_text import INLINE_EVENT_BYTES
from lakefolio.format.layout import log_key
from lakefolio.process.notice import LakefolioWarning
from lakefolio.runs.log_buffer import HEARTBEAT_S, logger_of
from lakefolio.testing import CountingProxy, Fault, Request


def points(lake: lf.Lake, run_id: str) -> list[tuple]:
    return lake.sql(
        "select name, step, value from metrics where run_id = ? order by batch, ordinal", [run_id]
    ).fetchall()


def test_points_come_back_in_order_with_every_value(lake: lf.Lake) -> None:
    run = lake.create_run("r")
    run.log(loss=1.0, auc=0.5, step=0)
    run.log(7, loss=math.nan)
    run.log(loss=-math.inf)
    run.log(loss=True, step=np.int64(3))
    run.log_metrics({"a metric/with words": np.float32(2)}, step=-1)
    run.log_points("curve", np.linspace(0, 1, 3))
    run.log_points("curve", [9, 8], steps=[10, 11])
    run.flush()
    values = points(lake, "r")
    assert values[0] == ("loss", 0, 1.0)
    assert values[1] == ("auc", 0, 0.5)
    assert values[2][1] == 7
    assert math.isnan(values[2][2])
    assert values[3:5] == [("loss", None, -math.inf), ("loss", 3, 1.0)]
    assert values[5] == ("a metric/with words", -1, 2.0)
    assert values[6:] == [
        ("curve", 0, 0.0),
        ("curve", 1, 0.5),
        ("curve", 2, 1.0),
        ("curve", 10, 9.0),
        ("curve", 11, 8.0),
    ]
    run.finish()
    assert lake.get_run("r").metrics == {"loss": 1.0, "auc": 0.5, "a metric/with words": 2.0, "curve": 8.0}
    assert lake.check().ok


@pytest.mark.parametrize(
    "call",
    [
        lambda run: run.log(loss="0.5"),
        lambda run: run.log(ok=1.0, loss=None),
        lambda run: run.log(loss=[1, 2]),
        lambda run: run.log(loss=1.0, step=1.5),
        lambda run: run.log(loss=1.0, step=2**63),
        lambda run: run.log_metrics({"": 1.0}),
        lambda run: run.log_metrics({"x" * 300: 1.0}),
        lambda run: run.log_metrics({5: 1.0}),
        lambda run: run.log_points("a", ["x"]),
        lambda run: run.log_points("a", [1, 2], steps=[1]),
        lambda run: run.log_points("a", [1.0], steps=[0.5]),
    ],
)
def test_what_is_no_metric_is_refused_whole(lake: lf.Lake, call) -> None:
    run = lake.create_run("r")
    with pytest.raises(lf.InvalidInputError) as caught:
        call(run)
    assert caught.value.kind == "bad-metric"
    run.flush()
    assert points(lake, "r") == []


@pytest.mark.parametrize("value", [2**53 + 1, np.int64(2**53 + 1), 2**64 - 1])
def test_an_integer_that_no_float_holds_is_named(lake: lf.Lake, value) -> None:
    with lake.run("r") as run:
        with pytest.warns(LakefolioWarning, match=rf"m.: {value} is kept as {int(float(value))}, "):
            run.log(m=value)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            run.log(m=2**60)


def test_many_points_cost_few_commits(lake: lf.Lake) -> None:
    run = lake.create_run("r")
    before, began = lake.version, time.monotonic()
    for number in range(100_000):
        run.log(loss=1 / (number + 1), step=number)
    run.finish()
    seconds = time.monotonic() - began
    assert lake.version - before <= 4 + 3 * seconds
    assert lake.sql("select count(*), count(distinct step), max(step) from metrics").fetchall() == [
        (100_000, 100_000, 99_999)
    ]


def test_points_are_readable_while_the_run_goes_on(lake: lf.Lake) -> None:
    run = lake.create_run("r")
    run.log(loss=0.25, step=1)
    other = lf.open(lake.uri)
    until = time.monotonic() + 20
    while not points(other, "r") and time.monotonic() < until:
        time.sleep(0.05)
    assert points(other, "r") == [("loss", 1, 0.25)]
    assert other.sql("select status, metrics ->> 'loss', loss from runs").fetchall() == [("running", "0.25", 0.25)]
    assert other.get_run("r").metrics == {"loss": 0.25}


def test_a_killed_process_loses_at_most_the_last_second(lake: lf.Lake, tmp_path: Path) -> None:
    lost = []
    while not lost or (min(lost) > 1.0 and len(lost) < 3):  # again where the machine stops whole processes for so long
        place = tmp_path / str(len(lost))
        lost.append(lost_when_killed(lf.open(place / "lake"), place))
    assert min(lost) <= 1.0, lost


def lost_when_killed(lake: lf.Lake, tmp_path: Path) -> float:
    """Kill a process that logs and return how many seconds of it are lost."""
    told = tmp_path / "told"
    code = f"""
        import time, lakefolio as lf
        run = lf.open({lake.uri!r}).create_run("r")
        with open({str(told)!r}, "w", buffering=1) as told:
            for step in range(10**9):
                run.log(now=time.time(), step=step)
                told.write(f"{{step}} {{time.time()}}\\n")
                time.sleep(0.002)
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)])
    until = time.monotonic() + 60
    while (lake.sql("select count(*) from metrics").fetchone() or (0,))[0] < 300 and time.monotonic() < until:
        time.sleep(0.1)
    process.kill()
    killed = time.time()
    process.wait()
    kept = points(lf.open(lake.uri), "r")
    assert [step for _, step, _ in kept] == list(range(len(kept)))  # nothing twice, nothing left out
    lines = [line.split() for line in told.read_text().splitlines() if line.count(" ") == 1]
    first_lost = next((float(when) for step, when in lines if int(step) >= len(kept)), killed)
    assert lake.get_run("r").status == "lost"
    assert lake.check().ok
    return killed - first_lost


def test_what_comes_during_a_slow_commit_waits_no_longer(lake: lf.Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    run = lake.create_run("r")
    logger = logger_of(session_of(lake))
    began, waited = [], []
    commit, gathered = session_of(lake).commit_now, logger._close

    def slow(*changes: object) -> object:
        time.sleep(0.3)
        return commit(*changes)

    def gather() -> object:
        if logger._stages[0]:
            waited.append(time.monotonic() - began[-1])
        return gathered()

    monkeypatch.setattr(session_of(lake), "commit_now", slow)
    monkeypatch.setattr(logger, "_close", gather)
    while len(waited) < 4:
        with logger._lock:
            first = not logger._stages[0]
        if first:
            began.append(time.monotonic())
        run.log(loss=1.0)
        time.sleep(0.005)
    assert min(waited[1:]) < 0.6  # and then 0.3 s for the commit; a busy machine adds to some, a fault to all of them
    run.finish()


def test_a_process_that_ends_loses_nothing(lake: lf.Lake) -> None:
    code = f"""
        import lakefolio as lf
        lake = lf.open({lake.uri!r})
        run = lake.create_run("r")
        run.log(loss=0.5, step=1)
        lake.log_event("m", event_type="last")
    """
    subprocess.run([sys.executable, "-W", "error", "-c", textwrap.dedent(code)], check=True)
    assert points(lake, "r") == [("loss", 1, 0.5)]
    assert lake.sql("select event_type from events").fetchall() == [("last",)]


def test_two_processes_log_to_one_run(lake: lf.Lake) -> None:
    lake.create_run("r")
    code = f"""
        import sys, time, lakefolio as lf
        run = lf.open({lake.uri!r}).resume_run("r")
        for step in range(200):
            run.log_metrics({{"m" + sys.argv[1]: step}}, step=step)
            time.sleep(0.005)
        run.flush()
    """
    both = [subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), name]) for name in ("1", "2")]
    assert [one.wait() for one in both] == [0, 0]
    for name in ("m1", "m2"):
        assert lake.metric_history("r", name).column("step").to_pylist() == list(range(200))
    with lake.resume_run("r"):
        pass
    assert lake.get_run("r").metrics == {"m1": 199.0, "m2": 199.0}
    assert lake.check().ok


def test_threads_share_a_run(lake: lf.Lake) -> None:
    run = lake.create_run("r")

    def log(number: int) -> None:
        for step in range(2_000):
            run.log_metrics({f"m{number}": step}, step=step)

    threads = [threading.Thread(target=log, args=(number,)) for number in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    run.finish()
    assert lake.sql("select name, count(*) from metrics group by name order by name").fetchall() == [
        (f"m{number}", 2_000) for number in range(4)
    ]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_does_not_log_again_what_its_parent_will(lake: lf.Lake) -> None:
    run = lake.create_run("r")
    run.log(loss=1.0, step=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        ok = not logger_of(session_of(lake))._stages[0]
        os._exit(0 if ok else 1)
    assert os.waitpid(child, 0)[1] == 0
    run.flush()
    assert points(lake, "r") == [("loss", 1, 1.0)]


@pytest.mark.parametrize("ends", ["raise SystemExit(0)", "raise ValueError('x')"])
def test_a_forked_child_that_leaves_the_block_does_not_end_the_run(lake: lf.Lake, tmp_path: Path, ends: str) -> None:
    code = f"""
        import os, sys
        import lakefolio as lf
        with lf.open({lake.uri!r}).run("r") as run:
            child = os.fork()
            if child == 0:
                run.log(inside=1)
                {ends}
            os.waitpid(child, 0)
            run.log(after=1)
    """
    environment = {**os.environ, "LAKEFOLIO_CACHE": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], env=environment, check=True, capture_output=True)
    assert lake.sql("select status from runs").fetchall() == [("done",)]
    assert sorted(name for (name,) in lake.sql("select name from metrics").fetchall()) == ["after", "inside"]


def test_a_lost_answer_stores_no_point_twice(s3_uri: str, s3_proxy: CountingProxy) -> None:
    lake = lf.open(s3_uri, storage_options=s3_proxy.storage_options)
    run = lake.create_run("r")
    run.log(loss=0.0, step=0)
    run.flush()
    for step in range(1, 13):
        run.log(loss=1.0, step=step)
        seen = iter(range(1, 1000))
        lost = 1 + step % 6

        def lose(request: Request, seen=seen, lost=lost) -> Fault | None:
            return Fault("drop_response") if request.method == "PUT" and next(seen) == lost else None

        with s3_proxy.faulty(lose):
            try:
                run.flush()
            except lf.StorageError:
                run.flush()
    run.finish()
    fresh = lf.open(s3_uri, storage_options=s3_proxy.storage_options)
    assert [step for _, step, _ in points(fresh, "r")] == list(range(13))
    assert fresh.check().ok


def test_what_could_not_be_committed_is_kept_and_tried_again(lake: lf.Lake, monkeypatch) -> None:
    run = lake.create_run("r")
    logger = logger_of(session_of(lake))

    def failing(*changes):
        raise lf.StorageError("the network is gone")

    monkeypatch.setattr(session_of(lake), "commit_now", failing)
    monkeypatch.setattr(logger, "_warned", True)
    run.log(loss=1.0, step=1)
    for _ in range(2):
        with pytest.raises(lf.StorageError):
            logger.flush()
        run.log(loss=2.0, step=2)
    monkeypatch.undo()
    run.finish()
    assert [step for _, step, _ in points(lake, "r")] == [1, 2, 2]
    assert lake.check().ok


def test_an_empty_run_costs_eight_requests(s3_uri: str, s3_proxy: CountingProxy) -> None:
    lake = lf.open(s3_uri, storage_options=s3_proxy.storage_options)
    with lake.run("warm"):
        pass
    with s3_proxy.count() as count:
        run = lake.create_run()
        run.finish()
    assert count.total <= 8, str(count)
    with s3_proxy.count() as count:
        run = lake.create_run()
        for step in range(1_000):
            run.log(loss=step, step=step)
        run.finish()
    assert count.total <= 18, str(count)  # the table of points is created, and two requests a batch


def test_a_run_gives_signs_of_life(lake: lf.Lake) -> None:
    lake.create_run("r")
    logger = logger_of(session_of(lake))
    logger._runs["r"] -= HEARTBEAT_S  # of this one alone: other tests' runs go on in this process
    before = lake.version
    logger._beat()
    assert lake.version == before + 1
    assert lake.sql(f"select op, reason, run_id from manifests where version = {before + 1}").fetchall() == [
        ("heartbeat", "heartbeat", "r")
    ]
    assert lake.check().ok


# -- events ------------------------------------------------------------------------------------------------------


def test_events_of_any_kind(lake: lf.Lake) -> None:
    anything = {"epoch": 10, "loss": 0.234, "nested": {"a": [1, None, "ü"]}, "nan": math.nan}
    first = lake.log_event(
        model_name="my_model", stage="training", event_type="epoch_complete", metadata=anything, run_id="r9"
    )
    others = [lake.log_event(metadata=one) for one in ([1, 2], "text", None, 7)]
    found = lake.get_event(first)
    assert (found.model_name, found.stage, found.event_type, found.run_id) == (
        "my_model",
        "training",
        "epoch_complete",
        "r9",
    )
    assert found.metadata["epoch"] == 10
    assert math.isnan(found.metadata["nan"])
    assert [lake.get_event(one).metadata for one in others] == [[1, 2], "text", None, 7]
    assert lake.sql(
        "select model_name, metadata ->> '$.loss', metadata ->> '$.nested.a[2]' from events where stage = 'training'"
    ).fetchall() == [("my_model", "0.234", "ü")]
    assert lake.check().ok


def test_events_are_batched(lake: lf.Lake) -> None:
    lake.log_event()
    lake.flush()
    before = lake.version
    for number in range(2_000):
        lake.log_event("m", "training", "step", {"n": number})
    lake.flush()
    assert lake.version - before <= 6
    assert lake.sql(
        "select count(*), sum(cast(metadata ->> '$.n' as int)) from events where model_name = 'm'"
    ).fetchall() == [(2_000, 1_999_000)]


def test_large_events_lie_in_compressed_blobs(lake: lf.Lake) -> None:
    large = {"kind": "report", "rows": [{"n": n, "text": "same " * 5} for n in range(5_000)]}
    one, again = lake.log_event(event_type="report", metadata=large), lake.log_event(metadata=large)
    small = lake.log_event(metadata={"kind": "small"})
    assert lake.get_event(one).metadata == lake.get_event(again).metadata == large
    assert lake.get_event(small).size_bytes < INLINE_EVENT_BYTES < lake.get_event(one).size_bytes
    assert lake.sql("select storage, count(*) from events group by all order by all").fetchall() == [
        ("blob", 2),
        ("inline", 1),
    ]
    sql = "select metadata ->> '$.rows[4999].n' from events where metadata ->> '$.kind' = 'report'"
    assert lake.sql(sql).fetchall() == [("4999",), ("4999",)]
    stats = lake.event_stats()
    assert (stats.event_count, stats.blob_count) == (3, 2)
    assert stats.saved_ratio > 0.9
    assert stats.to_dict()["saved_bytes"] == stats.text_bytes - stats.stored_bytes
    assert "saved" in str(stats)
    blobs = list(Path(lake.uri.removeprefix("file://")).glob("blobs/sha256/*/*"))
    assert len(blobs) == 1  # the same text lies there once
    report = lake.gc(dry_run=False, grace=0, keep_last=1, keep_days=0, keep_runs=False)
    assert report["deleted_blobs"] == 0
    assert lake.why("sha256:" + blobs[0].name)["blobs"][0]["events"] == sorted([one, again])
    assert lake.check(read_data=True).ok
    # whoever reads the table alone sees the short members
    shown = pl.from_arrow(session_of(lake).journal.logs["event_rows"].matching(lake.version, ("storage", "blob")))
    assert json.loads(shown["metadata"][0]) == {"kind": "report"}


def test_a_damaged_event_is_told(lake: lf.Lake) -> None:
    event_id = lake.log_event(metadata={"x": "y" * 100_000})
    lake.flush()
    (blob,) = Path(lake.uri.removeprefix("file://")).glob("blobs/sha256/*/*")
    body = bytearray(blob.read_bytes())
    body[len(body) // 2] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(body)
    with pytest.raises(lf.IntegrityError):
        lf.open(lake.uri).get_event(event_id)
    assert not lake.check(read_data=True).ok
    blob.unlink()
    assert {one.kind for one in lake.check().problems} == {"blob-missing"}


def test_bad_events(lake: lf.Lake) -> None:
    for call, kind in (
        (lambda: lake.log_event(metadata={"x": object()}), "bad-event"),
        (lambda: lake.log_event(model_name=5), "bad-text"),
        (lambda: lake.log_event(run_id="a/b"), "bad-name"),
    ):
        with pytest.raises(lf.InvalidInputError) as caught:
            call()
        assert caught.value.kind == kind
    with pytest.raises(lf.NotFoundError) as caught:
        lake.get_event("0" * 32)
    assert caught.value.kind == "event-not-found"
    lake.flush()
    assert lake.event_stats().event_count == 0
    assert lake.event_stats().saved_ratio is None


# -- the lake around them ----------------------------------------------------------------------------------------


def test_lost_rows_are_found_by_check(lake: lf.Lake) -> None:
    run = lake.create_run("r")
    run.log(loss=1.0)
    run.flush()
    root = Path(lake.uri.removeprefix("file://"))
    assert lake.check().ok
    (file,) = (root / "tables/metric_rows").glob("*.parquet")
    file.unlink()
    assert "table-file-missing" in {one.kind for one in lake.check().problems}
    (root / log_key("metric_rows", 1)).unlink()
    kinds = {one.kind for one in lf.open(lake.uri).check().problems}
    assert "batch-count" in kinds


def test_a_batch_that_was_never_committed_counts_for_nothing(lake: lf.Lake) -> None:
    run = lake.create_run("r")
    run.log(loss=1.0)
    run.flush()
    rows = session_of(lake).journal.logs["metric_rows"].matching(lake.version, ("run_id", run.run_id))
    dead = rows.set_column(0, rows.schema.field("batch_id"), [["f" * 32] * rows.num_rows])
    session_of(lake).journal.logs["metric_rows"].append(["f" * 32], dead, pc.max(rows.column("logged_at")).as_py())
    assert len(points(lf.open(lake.uri), "r")) == 1
    assert lake.check().ok


def test_compaction_keeps_every_point(lake: lf.Lake) -> None:
    run = lake.create_run("r")
    for step in range(60):
        run.log(loss=step, step=step)
        run.flush()
    before = points(lake, "r")
    counts = lake.compact()
    assert counts["metric_rows"]["files_after"] == 1
    assert points(lf.open(lake.uri), "r") == before
    assert len(before) == 60
    assert lake.check().ok


def test_what_runs_use_and_made_survives_retention(lake: lf.Lake) -> None:
    random = np.random.default_rng(0)
    folio = lake.folio("f")
    for number in range(3):
        folio.add_numpy("data", random.random(10_000), overwrite=True)
        if number == 0:
            with lake.run() as run:
                used = run.input("f:data")
                run.add_output("model", random.random(9_000), to="models")
    folio_models = lake.folio("models")
    folio_models.add_numpy("model", random.random(9_000), overwrite=True)
    report = lake.gc(dry_run=False, grace=0, keep_last=1)
    assert report["deleted_blobs"] == 1  # the second version of data, which no run used
    found = lake.get_run(run.run_id)
    ref = found.inputs[0].ref
    assert np.array_equal(lake.run("again").input(ref), used)
    assert lake.why(ref)["blobs"][0]["runs"]
    assert lake.check(read_data=True).ok
    lake.gc(dry_run=False, grace=0, keep_last=1, keep_runs=False)
    with pytest.raises(lf.NotFoundError) as caught:
        lake.create_run().add_input("data", ref)
    assert caught.value.kind == "content-purged"
    assert lake.check(read_data=True).ok


def test_a_restore_leaves_runs_as_they_are(lake: lf.Lake) -> None:
    lake.folio("f").add_data("a", 1)
    version = lake.version
    with lake.run() as run:
        run.log(loss=0.5)
        run.input("f:a")
    lake.restore(version)
    assert lake.get_run(run.run_id).status == "done"
    assert len(points(lake, run.run_id)) == 1


def test_a_copy_byte_by_byte_and_outside_readers_see_the_same(lake: lf.Lake, tmp_path: Path) -> None:
    import shutil

    run = lake.create_run("r")
    for step in range(5):
        run.log(loss=step / 4, step=step)
        run.flush()
    lake.log_event("m", metadata={"a": 1}, run_id="r")
    run.finish()
    copy = tmp_path / "copy"
    shutil.copytree(lake.uri.removeprefix("file://"), copy)
    copied = lf.open(copy)
    assert points(copied, "r") == points(lake, "r")
    assert copied.check(read_data=True).ok
    frame = pl.read_delta(str(copy / "tables/metric_rows")).sort("logged_at", "step")
    assert frame["value"].to_list() == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert pl.read_delta(str(copy / "tables/event_rows"))["metadata"].to_list() == ['{"a":1}']
    extension = pytest.importorskip("duckdb_extension_delta")
    (path,) = Path(extension.__file__).parent.rglob("delta.duckdb_extension*")
    script = f"""
        import duckdb
        connection = duckdb.connect(config={{"allow_unsigned_extensions": "true"}})
        connection.execute("set enable_progress_bar = false")
        connection.execute("load '{path}'")
        sql = '''select count(*), sum(m.value) from delta_scan('{copy}/tables/metric_rows') m
                 join delta_scan('{copy}/tables/manifests') j on m.batch_id = j.entry_id and j.op = 'metrics' '''
        print(connection.sql(sql).fetchall(), flush=True)
        import os; os._exit(0)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[(5, 2.5)]", done.stderr

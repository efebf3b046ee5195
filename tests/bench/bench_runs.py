"""Runs beside MLflow 3 (its file and its SQLite store): logging points, searching runs, empty runs, capture.

    python -m venv ./.venv-mlflow && ./.venv-mlflow/bin/pip install 'mlflow>=3'
    python tests/bench/bench_runs.py [--points 100000] [--runs 30000] [--mlflow ./.venv-mlflow/bin/python]

MLflow runs in a process of its own, with its own interpreter. Its points are logged one call each (``log_metric``, what
people write in a training loop) and in batches of 1,000 (``log_batch``); ours by ``run.log``. MLflow's file store takes
minutes for all points, so a tenth is logged there and the time multiplied. Its 30,000 runs are written as rows of its
own tables by its own models; the search is ``mlflow.search_runs`` and, without pandas, ``MlflowClient.search_runs``.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

_MLFLOW = r"""
import json, logging, os, random, sys, tempfile, time
os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
logging.disable(logging.WARNING)
points, runs, folder, which = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
import mlflow
from mlflow.entities import Metric
from mlflow.tracking import MlflowClient
uri = f"sqlite:///{folder}/mlflow.db" if which == "sqlite" else f"file://{folder}/mlruns"
mlflow.set_tracking_uri(uri)
client = MlflowClient(uri)
experiment = client.create_experiment("bench")
found = {"version": mlflow.__version__}

def spent(call):
    began = time.perf_counter()
    call()
    return time.perf_counter() - began

share = points // 10
run = client.create_run(experiment).info.run_id
mlflow.set_experiment("bench")
with mlflow.start_run():
    mlflow.log_metric("warm", 0.0)
    found["one_by_one_s"] = 10 * spent(lambda: [mlflow.log_metric("loss", 1 / (i + 1), step=i) for i in range(share)])

def batches():
    for start in range(0, points, 1000):
        now = int(time.time() * 1000)
        client.log_batch(run, [Metric("loss", 1 / (i + 1), now, i) for i in range(start, start + 1000)])

found["batches_s"] = spent(batches)
empty = lambda: client.set_terminated(client.create_run(experiment).info.run_id)
found["empty_run_s"] = min(spent(empty) for _ in range(9))
if which == "sqlite" and runs:
    from mlflow.store.tracking.dbmodels import models
    from sqlalchemy import insert
    store = client._tracking_client.store
    rng = random.Random(1)
    now = int(time.time() * 1000)
    rows = {"runs": [], "params": [], "latest": [], "metrics": [], "tags": []}
    for number in range(runs):
        run_id = f"{number:032x}"
        rows["runs"].append(dict(run_uuid=run_id, name=f"run {number}", source_type="LOCAL", source_name="x",
            entry_point_name="", user_id="ada", status="FINISHED", start_time=now + number,
            end_time=now + number + 5, deleted_time=None,
            source_version="", lifecycle_stage="active", artifact_uri="file:///tmp/x", experiment_id=int(experiment)))
        for key, value in (("lr", rng.choice([0.1, 0.01, 0.001])), ("depth", rng.randint(1, 20)),
                           ("opt", rng.choice(["adam", "sgd"])), ("seed", number), ("batch", 64)):
            rows["params"].append(dict(key=key, value=str(value), run_uuid=run_id))
        for key in ("auc", "loss", "acc", "f1"):
            one = dict(key=key, value=rng.random(), timestamp=now, step=1, is_nan=False, run_uuid=run_id)
            rows["latest"].append(one)
            rows["metrics"].append(one)
        rows["tags"].append(dict(key="mlflow.runName", value=f"run {number}", run_uuid=run_id))
    tables = (("runs", models.SqlRun), ("params", models.SqlParam), ("latest", models.SqlLatestMetric),
              ("metrics", models.SqlMetric), ("tags", models.SqlTag))
    with store.ManagedSessionMaker() as session:
        for name, model in tables:
            for start in range(0, len(rows[name]), 5000):
                session.execute(insert(model), rows[name][start:start + 5000])
    query = "metrics.auc > 0.99 and params.lr = '0.01'"
    def search():
        hits = client.search_runs([experiment], query, max_results=1000, order_by=["metrics.auc DESC"])
        found["hits"] = len(hits)
    search()
    found["search_s"] = min(spent(search) for _ in range(5))
    frame = lambda: mlflow.search_runs([experiment], query, max_results=50000)
    found["search_all_s"] = min(spent(frame) for _ in range(3))
print(json.dumps(found))
"""


def spent(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def ours(points: int, runs: int, folder: Path) -> dict[str, Any]:
    import lakefolio as lf

    lake = lf.open(folder / "lake")
    found: dict[str, Any] = {}
    with lake.run("warm") as run:
        run.log(loss=0.0, step=0)
    run = lake.create_run("points")
    before = lake.version

    def log() -> None:
        for number in range(points):
            run.log(loss=1 / (number + 1), step=number)
        run.flush()

    found["one_by_one_s"] = spent(log)
    found["commits"] = lake.version - before
    run.finish()
    bulk = lake.create_run("bulk")
    values = [1 / (number + 1) for number in range(points)]

    def columns() -> None:
        bulk.log_points("loss", values)
        bulk.flush()

    found["batches_s"] = spent(columns)
    bulk.finish()
    found["empty_run_s"] = min(spent(lambda: lake.create_run().finish()) for _ in range(9))
    many = lf.open(folder / "many")
    rng, start = random.Random(1), datetime(2026, 1, 1, tzinfo=UTC)
    began = time.perf_counter()
    for first in range(0, runs, 5000):
        with many.batch():
            for number in range(first, min(first + 5000, runs)):
                many.create_run(
                    f"{number:06d}",
                    status="done",
                    started_at=start + timedelta(minutes=number),
                    params={
                        "lr": rng.choice([0.1, 0.01, 0.001]),
                        "depth": rng.randint(1, 20),
                        "opt": rng.choice(["adam", "sgd"]),
                        "seed": number,
                        "batch": 64,
                    },
                    metrics={key: rng.random() for key in ("auc", "loss", "acc", "f1")},
                )
    found["recorded_s"] = time.perf_counter() - began
    query = "select run_id, auc from runs where auc > 0.99 and lr = 0.01 order by auc desc limit 1000"
    found["first_search_s"] = spent(lambda: many.sql(query).fetchall())
    found["search_s"] = min(spent(lambda: many.sql(query).fetchall()) for _ in range(5))
    whole = "select * from runs where auc > 0.99 and lr = 0.01"
    found["search_all_s"] = min(spent(lambda: many.sql(whole).pl()) for _ in range(3))
    found["hits"] = len(many.sql(query).fetchall())
    many.create_run(status="done", params={"lr": 0.01}, metrics={"auc": 0.999})
    found["next_search_s"] = spent(lambda: many.sql(query).fetchall())
    return found


def captured(folder: Path) -> tuple[float, float]:
    """Return the time to hash 100 MB, and what capture adds to a call with them beyond that, both medians."""
    import hashlib

    import numpy as np

    import lakefolio as lf

    lake = lf.open(folder / "captured")
    data = np.random.default_rng(0).random(12_500_000)

    @lake.capture
    def function(array: Any) -> None:
        return None

    function(data)
    pairs = [(spent(lambda: hashlib.sha256(data).digest()), spent(lambda: function(data))) for _ in range(9)]
    return statistics.median(one for one, _ in pairs), statistics.median(two - one for one, two in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=30_000)
    parser.add_argument("--mlflow", default="./.venv-mlflow/bin/python")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results: dict[str, dict[str, Any]] = {}
        if Path(options.mlflow).exists():
            for which in ("file", "sqlite"):
                place = Path(folder, which)
                place.mkdir()
                done = subprocess.run(
                    [options.mlflow, "-c", _MLFLOW, str(options.points), str(options.runs), str(place), which],
                    capture_output=True,
                    text=True,
                    check=False,
                )
                if done.returncode:
                    print(done.stderr[-2000:], file=sys.stderr)
                else:
                    results[which] = json.loads(done.stdout.splitlines()[-1])
        else:
            print(f"no MLflow at {options.mlflow}; see the head of this file", file=sys.stderr)
        own = ours(options.points, options.runs, Path(folder))
        hash_s, overhead_s = captured(Path(folder))
    file, sqlite = results.get("file", {}), results.get("sqlite", {})
    print(f"MLflow {file.get('version') or sqlite.get('version')}, {options.points:,} points, {options.runs:,} runs")
    print(f"{'':<42}{'MLflow file':>18}{'MLflow SQLite':>18}{'lakefolio':>12}")
    for name, key in (
        ("log points, one call each", "one_by_one_s"),
        ("log points, many a call", "batches_s"),
        ("start and finish an empty run", "empty_run_s"),
        ("search by parameter and metric, warm", "search_s"),
        ("the same as a data frame", "search_all_s"),
    ):
        cells = [f"{them[key]:.3f} s ({them[key] / own[key]:,.0f}x)" if key in them else "-" for them in (file, sqlite)]
        print(f"{name:<42}{cells[0]:>18}{cells[1]:>18}{own[key]:>10.4f} s")
    print(f"the points took {own['commits']} commits; recording {options.runs:,} runs took {own['recorded_s']:.1f} s,")
    print(f"the first search of a handle {own['first_search_s']:.2f} s, the first after a commit", end=" ")
    print(f"{own['next_search_s']:.2f} s; hits: {sqlite.get('hits')}, {own['hits']}")
    print(f"capture with an unchanged 100 MB input: hashing {hash_s * 1000:.0f} ms, and {overhead_s * 1000:.1f} ms")


if __name__ == "__main__":
    main()

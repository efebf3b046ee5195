"""What many runs and points cost to search: python tests/bench/bench_scale_runs.py [--runs 1000000] [--points 100]

Makes a lake through the format (see scale_runs), then asks it in a process of its own: memory is that of one handle,
mapped files among it. Times are wall and CPU milliseconds, the first time and then again. For curves of a hundred
million points: --runs 10000 --points 10000.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import scale_runs

import lakefolio as lf
from lakefolio.pages.answers import Answers

ASKED = 4
SEARCH = "select run_id, auc from runs where auc > 0.99 and lr = 0.01 order by auc desc limit 1000"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1_000_000, help="a multiple of 100")
    parser.add_argument("--points", type=int, default=100, help="of each run; an even number")
    parser.add_argument("--ask", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.ask:
        ask(given.ask, given.runs)
        return
    with tempfile.TemporaryDirectory() as folder:
        uri, began = f"{folder}/lake", time.perf_counter()
        at_once = max(5_000_000 // given.points // 100 * 100, 100)
        scale_runs.make(uri, given.runs, given.points, at_once=min(at_once, 50_000))
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
        took = time.perf_counter() - began
        print(
            f"{given.runs:,} runs, {given.points} points each: made in {took:.0f} s, {size / 2**20:,.0f} MiB",
            flush=True,
        )
        subprocess.run([sys.executable, __file__, "--ask", uri, "--runs", str(given.runs)], check=True)


def memory_mib() -> int:
    """Return the most that this process ever had resident."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def ask(uri: str, runs: int) -> None:
    """Open a lake and ask it."""
    began = time.perf_counter()
    lake = lf.open(uri)
    print(f"  open {(time.perf_counter() - began) * 1e3:.0f} ms, {memory_mib()} MiB resident")
    chosen = random.Random(1)

    def one() -> str:
        return scale_runs.run_id_of(chosen.randrange(runs))

    questions: dict[str, Callable[[], object]] = {
        "one curve": lambda: lake.metric_history(one(), "auc"),
        "one curve by SQL": lambda: lake.sql(f"select value from metrics where run_id = '{one()}'").fetchall(),
        "search by SQL": lambda: lake.sql(SEARCH).fetchall(),
        "lakefolio runs --where": lambda: lake.run_rows(where="auc > 0.99 and lr = 0.01", limit=101),
        "the newest 100 runs": lambda: lake.runs(limit=100),
        "100 runs that match": lambda: lake.runs(where="auc > 0.99", limit=100),
        "a run by its id": lambda: lake.get_run(one()),
        "a run by its name": lambda: lake.get_run(f"run {runs // 2}"),
        "the runs of the ui": lambda: Answers(lake).answer("runs", {}),
        "a run is recorded": lambda: lake.create_run(status="done", params={"lr": 0.01}, metrics={"auc": 0.999}),
        "search after that": lambda: (lake.create_run(status="done"), lake.sql(SEARCH).fetchall()),
    }
    for what, question in questions.items():
        taken = []
        for _ in range(ASKED):
            began, began_cpu = time.perf_counter(), time.process_time()
            question()
            taken.append(((time.perf_counter() - began) * 1e3, (time.process_time() - began_cpu) * 1e3))
        (first, first_cpu), (wall, cpu) = taken[0], min(taken)
        print(
            f"  {what:<24} {wall:7.1f} ms ({cpu:.1f} of CPU), first {first:.0f} ({first_cpu:.0f}); "
            f"{memory_mib()} MiB resident",
            flush=True,
        )


if __name__ == "__main__":
    main()

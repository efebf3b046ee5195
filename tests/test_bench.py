"""The scripts of ``tests/bench`` run: what they measure is looked at by people, that they still work is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lakefolio.testing.need import need, need_program

BENCH = Path(__file__).parent / "bench"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bench_check.py", "50"], "check of 50 blobs"),
        (["bench_commits.py", "--places", "local", "--writers", "1", "2", "--seconds", "0.1"], "two bare requests"),
        (["bench_diff.py", "--rows", "2000"], "equal content"),
        (["bench_fsync.py"], "add of 1 MiB"),
        (["bench_gc.py", "2000"], "2,000 objects"),
        (["bench_pages.py", "--runs", "20", "--points", "50", "--nodes", "9", "--entries", "0"], "done"),
        (["bench_records.py", "--appends", "3"], "times deltalake"),
        (["bench_runs.py", "--points", "100", "--runs", "30", "--mlflow", "none"], "the first after a commit"),
        (["bench_scale.py", "--entries", "3000", "--commits", "300"], "SQL, the facts"),
        (["bench_search.py", "--items", "100", "--questions", "2", "--peers", "fts5"], "done"),
        (["bench_status.py", "--entries", "500"], "done"),
    ],
    ids=lambda value: value[0].removesuffix(".py") if isinstance(value, list) else "",
)
def test_a_bench_runs_to_its_end(tmp_path: Path, arguments: list[str], said: str) -> None:
    if arguments[0] == "bench_pages.py":
        need("playwright", "test")
        need_program("chromium", "test")
    command = [sys.executable, str(BENCH / arguments[0]), *arguments[1:]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert said in done.stdout

"""Checks beside busy writers: ``python -m tests.soak.checks --checks 1000 --writers 8``. No check may find a problem.

Each writer adds, overwrites, logs, compacts and runs gc without grace, in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import lakefolio as lf
from lakefolio.errors import ConflictError

WRITER = """
import json, random, sys, warnings
import lakefolio as lf

warnings.simplefilter("ignore")
uri, options, number = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
rng = random.Random(number)
lake = lf.open(uri, storage_options=options)
folio = lake.folio(f"f{number}")
n = 0
while True:
    n += 1
    folio.add_json(f"i{n % 7}", {"n": n, "text": "x" * rng.choice([10, 6000])}, overwrite=True, metadata={"n": n})
    if n % 10 == 0:
        with lake.run("r", run_id=f"r{number}-{n}") as run:
            run.log(loss=float(n))
            run.log_event("step", metadata={"n": n})
    if n % 40 == 20:
        lake.compact()
    if n % 40 == 0:
        lake.gc(dry_run=False, grace=0, keep_last=2)
"""


def run(uri: str, options: dict[str, str], *, checks: int, writers: int, seconds: float = 1e9) -> dict[str, int]:
    """Check again and again while writers are at work; return the counts, the problems by kind among them."""
    command = [sys.executable, "-c", WRITER, uri, json.dumps(options)]
    lf.open(uri, storage_options=options)
    processes = [
        subprocess.Popen([*command, str(number)], stderr=subprocess.PIPE, cwd=Path(__file__).parents[2])
        for number in range(writers)
    ]
    counts = {"checks": 0, "versions": 0, "writers_that_failed": 0, "not_followed": 0}
    until = time.monotonic() + seconds
    try:
        lake = lf.open(uri, storage_options=options)
        while counts["checks"] < checks and time.monotonic() < until:
            checked = lake if counts["checks"] % 2 else lf.open(uri, storage_options=options)
            try:
                report = checked.check(read_data=counts["checks"] % 10 == 0)
            except ConflictError:
                counts["not_followed"] += 1
                continue
            counts["checks"] += 1
            for problem in report.problems:
                print(problem, flush=True)
                counts[problem.kind] = counts.get(problem.kind, 0) + 1
        counts["versions"] = lake.version
    finally:
        for process in processes:
            if process.poll() is not None:
                counts["writers_that_failed"] += 1
                assert process.stderr is not None
                print(process.stderr.read().decode()[-2000:], flush=True)
            process.kill()
            process.communicate()
    return counts


def main() -> None:
    """Run it on a local lake."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checks", type=int, default=1000)
    parser.add_argument("--writers", type=int, default=8)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_RUNTIME_DIR"] = folder
        counts = run(str(Path(folder) / "lake"), {}, checks=arguments.checks, writers=arguments.writers)
    print(json.dumps(counts))
    sys.exit(
        bool(set(counts) - {"checks", "versions", "writers_that_failed", "not_followed"})
        or counts["writers_that_failed"] > 0
    )


if __name__ == "__main__":
    main()

"""Checks beside busy writers, none of which may find a problem.

``python -m tests.soak.checks --checks 1000 --store local|s3``. Each writer adds, overwrites, deletes, logs, snapshots,
restores, compacts and runs gc without grace, in a process of its own. A new lake is begun after some checks or
versions: a small one is checked, merged and collected more often in the same time. Every other check opens the lake
anew, one in ten reads all data.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import lakefolio as lf
from lakefolio.errors import ConflictError
from lakefolio.testing import S3Server

WRITER = """
import json, os, random, sys, time, warnings
import lakefolio as lf
from lakefolio.errors import ConflictError, NotFoundError

warnings.simplefilter("ignore")
where, options, number, done, parent = sys.argv[1:6]
options, number, parent = json.loads(options), int(number), int(parent)
rng = random.Random(f"{where} {number}")
os.nice(5)  # eight of them leave little of two processors for a check
uri = ""
ledger = open(done, "a", buffering=1)

def act(n):
    what = "add" if n < 4 else rng.choices(*zip(*ACTS.items()))[0]
    if what == "add":
        folio.add_json(f"i{n % 7}", {"n": n, "text": "x" * rng.choice([10, 6000])}, overwrite=True, metadata={"n": n})
    elif what == "delete":
        folio.delete(rng.choice(list(folio)))
    elif what == "run":
        with lake.run("r", run_id=f"r{number}-{n}") as run:
            run.log(loss=float(n))
            run.log_event("step", metadata={"n": n, "text": "e" * rng.choice([1, 70_000])})
    elif what == "snapshot":
        folio.create_snapshot(f"s{n}")
    elif what == "restore":
        folio.restore_snapshot(rng.choice(folio.list_snapshots())["name"], confirm=True)
    elif what == "forget":
        folio.delete_snapshot(rng.choice(folio.list_snapshots())["name"])
    elif what == "compact":
        lake.compact()
    elif what == "gc":
        lake.gc(dry_run=False, grace=0, keep_last=2)
    return what

ACTS = {"add": 20, "delete": 3, "run": 3, "snapshot": 2, "restore": 1, "forget": 1, "compact": 2, "gc": 3}
n = 0
while os.getppid() == parent:
    n += 1
    with open(where) as file:
        now = file.read()
    if now != uri:
        uri, n, lake = now, 0, lf.open(now, storage_options=options)
        folio = lake.folio(f"f{number}")
    try:
        print(act(n), file=ledger)
    except (ConflictError, NotFoundError, IndexError) as exc:  # nothing to take, or others were faster many times
        print(f"refused: {type(exc).__name__}", file=ledger)
    time.sleep(rng.random() * PAUSE)
"""


def run(
    root: str,
    options: dict[str, str],
    *,
    checks: int,
    writers: int,
    of_a_lake: int = 25,
    versions: int = 300,
    pause: float = 2.0,
) -> Counter[str]:
    """Check again and again while writers are at work.

    Args:
        root: Where to make lakes.
        options: For their store.
        checks: How many.
        writers: How many processes write.
        of_a_lake: After how many checks to go on with another lake.
        versions: From which version on to go on with another lake.
        pause: For how long a writer rests at most after each act.

    Returns:
        The counts, with those of problems called ``PROBLEM kind``; anything else that is wrong is in capitals, too.
    """
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="checks-") as folder:
        where = Path(folder) / "where"
        command = [sys.executable, "-c", WRITER.replace("PAUSE", str(pause)), str(where), json.dumps(options)]
        processes: list[subprocess.Popen[bytes]] = []
        try:
            while counts["checks"] < checks:
                uri = f"{root}/lake{counts['lakes']}"
                lake = lf.open(uri, storage_options=options)
                (Path(folder) / "next").write_text(uri)
                (Path(folder) / "next").replace(where)
                processes = processes or [
                    subprocess.Popen(
                        [*command, str(number), f"{folder}/{number}.acts", str(os.getpid())],
                        stderr=subprocess.PIPE,
                        cwd=Path(__file__).parents[2],
                    )
                    for number in range(writers)
                ]
                while lf.open(uri, storage_options=options).version < writers:  # they import for a while
                    if any(process.poll() is not None for process in processes):
                        break
                    time.sleep(0.1)
                counts["lakes"] += 1
                try:
                    _check(uri, options, lake, counts, min(of_a_lake, checks - counts["checks"]), versions)
                finally:
                    counts["versions"] += lake.version
                    print(json.dumps(counts), flush=True)
        finally:
            for process in processes:
                if process.poll() is not None:
                    assert process.stderr is not None
                    print(process.stderr.read().decode()[-2000:], flush=True)
                    counts["WRITER FAILED"] += 1
                process.kill()
                process.communicate()
            for path in Path(folder).glob("*.acts"):
                counts.update(path.read_text().splitlines())
    return counts


def _check(uri: str, options: dict[str, str], lake: lf.Lake, counts: Counter[str], checks: int, versions: int) -> None:
    done = 0
    while done < checks and (not done or lake.version < versions):
        checked = lake if done % 2 else lf.open(uri, storage_options=options)
        read_data = counts["checks"] % 10 == 0
        try:
            report = checked.check(read_data=read_data)
        except ConflictError:
            counts["checks that could not follow"] += 1
            continue
        done += 1
        counts["checks"] += 1
        counts["checks that read all data"] += read_data
        for problem in report.problems:
            print(problem, flush=True)
            counts[f"PROBLEM {problem.kind}"] += 1


def main() -> None:
    """Check as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checks", type=int, default=1000)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--pause", type=float, default=2.0, help="how long a writer rests at most, in seconds")
    parser.add_argument("--store", choices=["local", "s3"], default="local")
    parser.add_argument("--checks-of-a-lake", type=int, default=25)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the writers end, and what was counted is said
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="checks-"))
        os.environ["XDG_RUNTIME_DIR"] = os.environ["XDG_CACHE_HOME"] = folder
        server = stack.enter_context(S3Server()) if arguments.store == "s3" else None
        counts = run(
            folder if server is None else server.uri("lakes"),
            {} if server is None else server.storage_options,
            checks=arguments.checks,
            writers=arguments.writers,
            of_a_lake=arguments.checks_of_a_lake,
            pause=arguments.pause,
        )
    for what, count in sorted(counts.items()):
        print(f"{count:>8,}  {what}")
    sys.exit(any(what.isupper() or what.startswith("PROBLEM") for what in counts))


if __name__ == "__main__":
    main()

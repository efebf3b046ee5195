"""Processes that write, log, snapshot, restore, collect garbage, compact and check a lake, through faults of all kinds.

``python -m tests.soak --minutes 10 --store local|s3``. At the end every acknowledged write is there once, no value is
wrong, no point is doubled, and a check that reads all data is clean. Prints what was counted; exits with 1 otherwise.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lakefolio as lf
from lakefolio.testing import CountingProxy, Fault, Request, S3Server

from .worker import ROLES


def faults(rng: random.Random, counts: Counter[str]) -> Callable[[Request], Fault | None]:
    """Return what goes wrong with requests: about one in twenty, each in another way."""
    kinds: list[Any] = ["drop_response", "refuse", "cut", "delay", "status", "flip", "swap"]

    def fault(request: Request) -> Fault | None:
        if rng.random() > 0.05:
            return None
        action = rng.choice(kinds)
        counts[f"fault {action}"] += 1
        return Fault(action, seconds=rng.uniform(0, 0.3), after_bytes=rng.randrange(200))

    return fault


class Soak:
    """The processes of one soak and what is done to them."""

    def __init__(self, uri: str, options: dict[str, str], folder: Path, processes: int, seed: int) -> None:
        self.uri, self.options, self.folder = uri, options, folder
        self.rng = random.Random(seed)
        self.counts: Counter[str] = Counter()
        roles = [*ROLES, "writer", "runs", "writer"]
        self.roles = [roles[n % len(roles)] for n in range(processes)]
        self.started = 0
        self.processes: list[tuple[str, subprocess.Popen[bytes]]] = []

    def start(self, role: str) -> None:
        self.started += 1
        command = [sys.executable, "-m", "tests.soak.worker", self.uri, json.dumps(self.options), role]
        self.processes.append(
            (
                role,
                subprocess.Popen(
                    [*command, f"p{self.started}", str(self.folder)],
                    cwd=Path(__file__).parents[2],
                    env={**os.environ, "XDG_RUNTIME_DIR": str(self.folder / "run")},
                ),
            )
        )

    def _has_begun(self, process: subprocess.Popen[bytes]) -> bool:
        """Say whether a process has imported all and begun to act."""
        assert isinstance(process.args, list)
        return (self.folder / f"{process.args[-2]}.ledger").exists()

    def live(self, seconds: float) -> None:
        """Let them work, and kill, stop and disturb them."""
        until = time.monotonic() + seconds
        for role in self.roles:
            self.start(role)
        while time.monotonic() < until:
            time.sleep(self.rng.uniform(0.1, 0.8))
            _, process = self.rng.choice(self.processes)
            happens = self.rng.random() if self._has_begun(process) else 1.0  # to kill what still imports shows nothing
            if happens < 0.25:
                self.counts["kill"] += 1
                process.kill()
            elif happens < 0.4:
                self.counts["stop"] += 1
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGSTOP)
                    time.sleep(self.rng.uniform(0.05, 0.7))
                    process.send_signal(signal.SIGCONT)
            elif happens < 0.5 and self.uri.startswith("/"):
                phase = self.rng.choice(["full", "readonly"])
                self.counts[phase] += 1
                (self.folder / phase).touch()
                time.sleep(self.rng.uniform(0.05, 0.5))
                (self.folder / phase).unlink()
            for one in list(self.processes):
                if one[1].poll() is not None:
                    if one[1].returncode not in (0, -signal.SIGKILL):
                        self.counts["died"] += 1
                    self.processes.remove(one)
                    self.start(one[0])
        (self.folder / "stop").touch()
        for _, process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(60)
            if process.poll() is None:
                self.counts["hung"] += 1
                process.kill()
                process.wait()


def lines(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give what all processes noted: (name of the process, line)."""
    for path in sorted(folder.glob("*.ledger")):
        for line in path.read_bytes().splitlines():
            with contextlib.suppress(ValueError):
                yield path.stem, json.loads(line)


def verify(uri: str, options: dict[str, str], folder: Path, counts: Counter[str]) -> list[str]:
    """Compare the lake with what was acknowledged; return what is wrong."""
    wrong: list[str] = []
    lake = lf.open(uri, storage_options=options)
    noted: dict[str, list[dict[str, Any]]] = {}
    for name, line in lines(folder):
        noted.setdefault(name, []).append(line)
        what = line["what"]
        counts[what] += what not in ("try", "overwriting", "run", "error")
        if what == "error":
            counts[f"error {line['kind']}"] += 1
            if "damaged" in line["kind"] and uri.startswith("/"):
                wrong.append(
                    f"{name}: nothing is damaged here, but {line['act']} said {line['message']}: {line['where']}"
                )
        if what in ("raw", "wrong"):
            wrong.append(f"{name}: {line}")
        if what == "check":
            wrong += [f"{name}: a check beside writers said {problem}" for problem in line["problems"]]
    metrics = Counter(lake.sql("select run_id, step from metrics").fetchall())
    events = Counter(row[0] for row in lake.sql("select run_id from events").fetchall())
    wrong += [f"point {point} is there {count} times" for point, count in metrics.items() if count > 1]
    for name, own in noted.items():
        folio = lake.folio(name)
        there = set(folio)
        attempted = last = 0
        for line in own:
            if line["what"] == "added":
                if line["item"] not in there:
                    wrong.append(f"{name}:{line['item']} was acknowledged and is missing")
                elif folio.get_json(line["item"]) != line["value"]:
                    wrong.append(f"{name}:{line['item']} has another value")
            elif line["what"] == "overwriting":
                attempted = line["number"]
            elif line["what"] == "overwritten":
                last = line["number"]
            elif line["what"] == "finished":
                run = line["run_id"]
                found = sorted(step for run_id, step in metrics if run_id == run)
                if found != list(range(line["points"])):
                    wrong.append(f"run {run} has points {found}, not 0 to {line['points'] - 1}")
                if events[run] != line["events"]:
                    wrong.append(f"run {run} has {events[run]} events, not {line['events']}")
            elif line["what"] == "snapshot":
                then = lake.folio(f"{name}-s").get_json("x", at=line["name"])
                if then != line["value"]:
                    wrong.append(f"snapshot {line['name']} of {name}-s holds another value")
        if last and not last <= folio.get_json("counter")["number"] <= attempted:
            wrong.append(f"{name}:counter is {folio.get_json('counter')['number']}, not {last} to {attempted}")
    report = lake.check(read_data=True)
    wrong += [f"check: {problem}" for problem in report.problems if problem.kind != "dated-ahead"]
    counts["versions"] = lake.version
    return wrong


def soak(store: str, seconds: float, *, processes: int = 8, seed: int = 0) -> tuple[Counter[str], list[str]]:
    """Run a soak and return what was counted and what is wrong."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-")))
        (folder / "run").mkdir(mode=0o700)
        if store == "local":
            uri, options, plain = str(folder / "lake"), dict[str, str](), dict[str, str]()
        else:
            server = stack.enter_context(S3Server())
            proxy = stack.enter_context(CountingProxy(server))
            uri, options, plain = server.uri("lakes/soak"), proxy.storage_options, server.storage_options
        lf.open(uri, storage_options=plain)
        whole = Soak(uri, options, folder, processes, seed)
        if store != "local":
            proxy.fault = faults(whole.rng, whole.counts)
        whole.live(seconds)
        wrong = verify(uri, plain, folder, whole.counts)
        wrong += [f"{whole.counts[what]} processes {what}" for what in ("hung", "died") if whole.counts[what]]
        return whole.counts, wrong


def main() -> None:
    """Soak as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--store", choices=["local", "s3"], default="local")
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    counts, wrong = soak(arguments.store, arguments.minutes * 60, processes=arguments.processes, seed=arguments.seed)
    for what, count in sorted(counts.items()):
        print(f"{count:>8,}  {what}")
    for one in wrong[:40]:
        print(f"WRONG: {one}")
    print(f"{arguments.store}, seed {arguments.seed}: " + ("as it must be" if not wrong else f"{len(wrong)} wrong"))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()

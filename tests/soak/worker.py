"""One process of the soak: it writes, says in its ledger what it tried and what was acknowledged, and goes on.

python -m tests.soak.worker URI OPTIONS ROLE NAME FOLDER
"""

from __future__ import annotations

import errno
import json
import os
import random
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import lakefolio as lf
from lakefolio.delta import commit_clock
from lakefolio.errors import LakefolioError

SMALL, LARGE = 12, 9_000


def value_of(name: str, large: bool) -> dict[str, Any]:
    """Return the value that belongs to a name: whoever reads it later knows what it must be."""
    return {"name": name, "text": (name * (LARGE // len(name) + 1))[: LARGE if large else SMALL]}


class Ledger:
    """What one process tried, and what was acknowledged; appended line by line, so that a kill loses no line."""

    def __init__(self, folder: Path, name: str) -> None:
        self._file = os.open(folder / f"{name}.ledger", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def note(self, what: str, **facts: Any) -> None:
        os.write(self._file, json.dumps({"what": what, **facts}).encode() + b"\n")


class Worker:
    """A process with one handle that is opened anew from time to time."""

    def __init__(self, uri: str, options: dict[str, str], name: str, folder: Path) -> None:
        self.uri, self.options, self.name, self.folder = uri, options, name, folder
        self.rng = random.Random(name)
        self.ledger = Ledger(folder, name)
        self.count = 0
        self._lake: lf.Lake | None = None

    @property
    def lake(self) -> lf.Lake:
        if self._lake is None or self.rng.random() < 0.02:
            self._lake = lf.open(self.uri, storage_options=self.options)
        return self._lake

    def work(self, acts: list[Callable[[], None]]) -> None:
        """Act until somebody says stop; every error of the library is noted, and everything else is a fault."""
        while not (self.folder / "stop").exists():
            act = self.rng.choice(acts)
            try:
                act()
            except LakefolioError as exc:
                where = [f"{at.name}:{at.lineno}" for at in traceback.extract_tb(exc.__traceback__)[-12:]]
                self.ledger.note("error", act=act.__name__, kind=exc.kind, message=str(exc)[:300], where=where)
                self._lake = None
                time.sleep(self.rng.uniform(0, 0.05))
            except Exception:
                self.ledger.note("raw", act=act.__name__, trace=traceback.format_exc()[-3000:])
                self._lake = None

    # -- what it does --------------------------------------------------------------------------------------

    def add(self) -> None:
        self.count += 1
        item = f"i{self.count}"
        value = value_of(f"{self.name}/{item}", self.rng.random() < 0.3)
        self.ledger.note("try", item=item)
        self.lake.folio(self.name).add_json(item, value, metadata={"n": self.count})
        self.ledger.note("added", item=item, value=value)

    def batch(self) -> None:
        first = self.count
        self.count += 5
        names = [f"i{first + n}" for n in range(1, 6)]
        values = {item: value_of(f"{self.name}/{item}", n == 2) for n, item in enumerate(names)}
        folio = self.lake.folio(self.name)
        with folio.batch():
            for item, value in values.items():
                folio.add_json(item, value)
        for item, value in values.items():
            self.ledger.note("added", item=item, value=value)

    def overwrite(self) -> None:
        self.count += 1
        number = self.count
        self.ledger.note("overwriting", number=number)
        value = value_of(f"{self.name}/counter/{number}", number % 2 == 0)
        self.lake.folio(self.name).add_json("counter", {**value, "number": number}, overwrite=True)
        self.ledger.note("overwritten", number=number)

    def read(self) -> None:
        folio = self.lake.folio(self.name)
        names = [name for name in folio if name.startswith("i")]
        if names:
            name = self.rng.choice(names)
            found = folio.get_json(name)
            if found["name"] != f"{self.name}/{name}" or not found["text"].startswith(found["name"][:SMALL]):
                self.ledger.note("wrong", item=name, found=str(found)[:200])

    def run(self) -> None:
        self.count += 1
        run_id = f"{self.name}-{self.count}"
        points = self.rng.randrange(1, 40)
        self.ledger.note("run", run_id=run_id, points=points)
        run = self.lake.create_run(run_id)
        for step in range(points):
            run.log(step, loss=float(step))
            if step % 10 == 0:
                run.log_event("step", metadata={"n": step, "text": "e" * (70_000 if step == 10 else 5)})
        for _ in range(20):
            try:
                run.finish()
                break
            except LakefolioError as exc:
                if exc.kind == "run-ended":
                    break
                time.sleep(0.05)
        else:
            return
        self.ledger.note("finished", run_id=run_id, points=points, events=len(range(0, points, 10)))

    def snapshot(self) -> None:
        self.count += 1
        folio = self.lake.folio(f"{self.name}-s")
        value = value_of(f"{self.name}-s/{self.count}", True)
        folio.add_json("x", value, overwrite=True)
        folio.create_snapshot(f"s{self.count}")
        self.ledger.note("snapshot", name=f"s{self.count}", value=value)

    def restore(self) -> None:
        folio = self.lake.folio(f"{self.name}-s")
        names = [one["name"] for one in folio.list_snapshots()]
        if names:
            folio.restore_snapshot(self.rng.choice(names), confirm=True)

    def gc(self) -> None:
        self.lake.gc(dry_run=False, grace=0, keep_last=2)
        self.ledger.note("gc")

    def compact(self) -> None:
        self.lake.compact()
        self.ledger.note("compact")

    def check(self) -> None:
        report = self.lake.check(read_data=self.rng.random() < 0.2)
        self.ledger.note("check", problems=[f"{one.kind}: {one.message}" for one in report.problems])


def shim(worker: Worker) -> None:
    """Let the disk be full or read-only while a file says so, and the clock of some processes be wrong."""
    opened, written, folder = os.open, os.write, str(worker.folder)

    def refuse(name: str, code: int) -> None:
        if os.path.exists(f"{folder}/{name}"):
            raise OSError(code, os.strerror(code))

    def open_(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if flags & os.O_CREAT and not str(path).startswith(folder):
            refuse("readonly", errno.EROFS)
        return opened(path, flags, mode, dir_fd=dir_fd)

    def write_(descriptor: int, data: Any) -> int:
        if descriptor != worker.ledger._file:
            refuse("full", errno.ENOSPC)
        return written(descriptor, data)

    os.supports_dir_fd.add(open_)
    os.open, os.write = open_, write_  # type: ignore[assignment]
    jump = worker.rng.choice([0, 0, 0, 0, 400, -400, 3600 * 24 * 3650])

    class Jumped(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz or UTC) + timedelta(seconds=jump)

    commit_clock.datetime = Jumped  # type: ignore[attr-defined]


ROLES: dict[str, list[str]] = {
    "writer": ["add", "add", "batch", "overwrite", "overwrite", "read"],
    "runs": ["run", "add", "read"],
    "snapshots": ["snapshot", "restore", "read", "add"],
    "gc": ["gc", "add", "add", "overwrite"],
    "upkeep": ["compact", "check", "add", "overwrite"],
}


def main() -> None:
    """Work as the arguments say."""
    uri, options, role, name, folder = sys.argv[1:6]
    warnings.simplefilter("ignore")
    worker = Worker(uri, json.loads(options), name, Path(folder))
    if uri.startswith("/"):
        shim(worker)
    worker.work([getattr(worker, act) for act in ROLES[role]])


if __name__ == "__main__":
    main()

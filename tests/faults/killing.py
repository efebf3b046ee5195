"""Programs that are killed (SIGKILL) at a chosen request to an S3 server.

Children are forked from a process that has imported everything and used nothing, so that each starts in no time; an S3
client itself can't be forked.
"""

from __future__ import annotations

import json
import os
import re
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from lakefolio.storage import open_store
from lakefolio.testing import CountingProxy, Fault, Request

__all__ = ["Freezing", "Nursery", "killed_at_each_request"]

PROGRAM = """
import json, os, sys, traceback
sys.path[:0] = ["tests/faults", "tests"]
import importlib
import lakefolio as lf, lakefolio.maintenance.gc, lakefolio.session.session, lakefolio.lake, lakefolio.items
module, uri, options = sys.argv[1], None, json.loads(sys.argv[2])
actions = importlib.import_module(module).CHILDREN
print("born", flush=True)
while line := sys.stdin.readline():
    uri, name = json.loads(line)
    child = os.fork()
    if child == 0:
        try:
            lake = lf.open(uri, storage_options=options)
            print("ready", os.getpid(), flush=True)
            sys.stdin.readline()
            actions[name](lake)
            print("done", flush=True)
            sys.stdin.readline()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    print("dead", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Nursery:
    """Starts children that run one of the ``CHILDREN`` of a test module on a lake; a context manager."""

    def __init__(self, module: str, options: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, module, json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        self._expect("born")

    def _say(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text + "\n")
        self._process.stdin.flush()

    def _expect(self, word: str) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.startswith(word), line
        return line

    def start(self, uri: str, name: str) -> int:
        """Let a child open a lake, and return its process id."""
        self._say(json.dumps([uri, name]))
        return int(self._expect("ready").split()[1])

    def runs_to_end_or(self, reached: threading.Event) -> bool:
        """Let the child begin, and say whether it got through before ``reached`` was set."""
        assert self._process.stdout is not None
        self._say("")
        with selectors.DefaultSelector() as selector:  # not select(), which ends at 1,024 descriptors
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while not reached.is_set():
                if selector.select(0.01):
                    self._expect("done")
                    return True
        return False

    def kill(self, child: int) -> None:
        """Send SIGKILL, and return when the process is no more and that is what it died of."""
        os.kill(child, signal.SIGKILL)
        assert int(self._expect("dead").split()[1]) == -signal.SIGKILL

    def __enter__(self) -> Nursery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()


Found = dict[str, tuple[int, str | None]]
"""Key -> size and checksum of an object."""


def objects(uri: str, options: dict[str, str]) -> Found:
    """Return what lies below a place."""
    return {info.key: (info.size_bytes, info.etag) for info in open_store(uri, options).list("")}


def state_of(found: Found, made: Found) -> frozenset[tuple[str, int, bool]]:
    """Return what a program has done to a lake, without the ids and times that are others each time it runs."""
    return frozenset(
        (re.sub("[0-9a-f]{32}", "id", key), size_bytes, key in made and made[key][1] != etag)
        for key, (size_bytes, etag) in found.items()
    )


class Freezing:
    """Holds the k-th request and those behind it until the program that made them is dead, and then refuses them.

    Attributes:
        reached: Set when the k-th request has come.
        dead: To be set when the program is dead.
    """

    def __init__(self, k: int) -> None:
        self.reached, self.dead = threading.Event(), threading.Event()
        self._left = k
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Fault | None:
        with self._lock:
            self._left -= 1
            if self._left > 0:
                return None
        self.reached.set()
        self.dead.wait(30)
        return Fault("refuse")


def killed_at_each_request(
    nursery: Nursery,
    proxy: CountingProxy,
    uri: str,
    name: str,
    prepare: Callable[[str], None],
    judged: Callable[[str, bool, str], None],
) -> int:
    """Freeze the k-th request of a child and kill it, for k = 1, 2, … until the child gets through.

    What was written before the k-th request has taken effect, so that every boundary between two effects is met. Each
    state that the objects of the lake are found in is judged once, and that of the child that got through.

    Returns:
        How many requests there were.
    """
    options = proxy.storage_options
    k, place, made = 1, "", Found()
    seen: set[frozenset[tuple[str, int, bool]]] = set()
    while True:
        if not place:
            place = f"{uri}/{k}"
            prepare(place)
            made = objects(place, options)
        child = nursery.start(place, name)
        freeze = Freezing(k)
        with proxy.faulty(freeze):
            finished = nursery.runs_to_end_or(freeze.reached)
            nursery.kill(child)
            freeze.dead.set()
        found = objects(place, options)
        state = state_of(found, made)
        if finished or state not in seen:
            seen.add(state)
            judged(place, finished, f"killed at request {k}")
            place = ""
        elif found != made:
            place = ""  # else the next child may have it
        if finished:
            return k - 1
        k += 1

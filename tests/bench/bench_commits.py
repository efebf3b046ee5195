"""Commits per second of many writer processes beside plain deltalake appends: python tests/bench/bench_commits.py

Every writer is a process with a warm handle; all start at one signal: start-up and imports are outside the clock.
Each adds small items one by one (an item is visible to everybody when its add returns); plain deltalake appends one row
per commit to one table, with conditional puts. Beside them: the same without combining on this host, as writers on many
hosts have it (``tickets/s``); and writers that are threads of one process and share a handle.
A place is a local folder, an S3 server on this machine, and that server with 20 ms added to every request.
One writer is measured five times, in turns with deltalake; the middle one counts: shared machines have slow moments.
``p99/alone`` is the 99th percentile of the latencies over the median of one writer alone. For one writer, the rate at
which the two requests of a commit can be sent, with nothing else done: no commit of a Delta table can be faster.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import platform
import queue
import statistics
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa

import lakefolio as lf
from lakefolio.session.session import session_of
from lakefolio.storage import open_store
from lakefolio.testing import CountingProxy, Fault, S3Server

ADDED_S = 0.020
ROUNDS = 5
WARM = 5


def ours(uri: str, options: dict[str, str] | None, number: int, seconds: float, ready: Any, results: Any) -> None:
    folio = lf.open(uri, storage_options=options).folio(f"f{os.getpid()}")
    for n in range(WARM):
        folio.add_json(f"warm-{n}", {"n": n})
    measure(lambda n: folio.add_json(f"i{number}-{n}", {"lr": 0.01, "n": n}), seconds, ready, results)


def apart(uri: str, options: dict[str, str] | None, number: int, seconds: float, ready: Any, results: Any) -> None:
    os.environ["LAKEFOLIO_COMBINE"] = "false"
    ours(uri, options, number, seconds, ready, results)


def bare(uri: str, options: dict[str, str] | None, number: int, seconds: float, ready: Any, results: Any) -> None:
    store = open_store(uri, options)

    def two(n: int) -> None:
        store.create(f"file-{number}-{n}", b"x" * 6000)
        store.create(f"entry-{number}-{n}", b"x" * 2500)

    two(-1)
    measure(two, seconds, ready, results)


def theirs(uri: str, options: dict[str, str] | None, number: int, seconds: float, ready: Any, results: Any) -> None:
    table = deltalake.DeltaTable(uri, storage_options=options)
    properties = deltalake.CommitProperties(max_commit_retries=1000)

    def append(n: int) -> None:
        row = pa.table({"writer": [number], "n": [n], "value": [0.01]})
        deltalake.write_deltalake(table, row, mode="append", commit_properties=properties)

    for n in range(WARM):
        append(n)
    measure(append, seconds, ready, results)


def measure(action: Any, seconds: float, ready: Any, results: Any) -> None:
    """Act for so long and send how long each took, then how long all took."""
    ready.wait()
    taken = []
    began = time.perf_counter()
    error = None
    while time.perf_counter() - began < seconds:
        start = time.perf_counter()
        try:
            action(len(taken))
        except Exception as exc:  # it is counted as what it is: a writer that could not go on
            error = f"{type(exc).__name__}: {str(exc)[:90]}"
            break
        taken.append(time.perf_counter() - start)
    results.put((taken, time.perf_counter() - began, error))


Options = dict[str, str] | None


@dataclass(frozen=True)
class Rate:
    """Commits per second of all writers together, and their latencies in milliseconds."""

    per_s: float
    p50: float
    p99: float
    errors: int

    @classmethod
    def of(cls, found: list[Any]) -> Rate:
        latencies = sorted(latency * 1e3 for taken, *_ in found for latency in taken)
        errors = [error for *_, error in found if error]
        for error in set(errors):
            print(f"    {error}")
        if not latencies:
            return cls(0.0, math.nan, math.nan, len(errors))
        per_s = len(latencies) / max(elapsed for _, elapsed, _ in found)
        return cls(per_s, statistics.median(latencies), latencies[int(len(latencies) * 0.99)], len(errors))


def typical(rates: list[Rate]) -> Rate:
    """Return the one in the middle."""
    return sorted(rates, key=lambda rate: rate.per_s)[len(rates) // 2]


def in_processes(target: Any, uri: str, options: Options, writers: int, seconds: float) -> Rate:
    """Measure writers that are processes, each with a handle of its own."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lakefolio.journal.journal", "deltalake", "obstore.store", "pyarrow.compute"])
    ready, results = context.Barrier(writers), context.Queue()
    processes = [
        context.Process(target=target, args=(uri, options, n, seconds, ready, results)) for n in range(writers)
    ]
    for process in processes:
        process.start()
    found = [results.get(timeout=600) for _ in processes]
    for process in processes:
        process.join()
    return Rate.of(found)


def in_threads(uri: str, options: Options, writers: int, seconds: float) -> Rate:
    """Measure writers that are threads which share one handle."""
    folio = lf.open(uri, storage_options=options).folio("f")
    folio.add_json("warm", 0)
    ready, results = threading.Barrier(writers), queue.Queue()

    def work(number: int) -> None:
        measure(lambda n: folio.add_json(f"i{number}-{n}", {"lr": 0.01, "n": n}), seconds, ready, results)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Rate.of([results.get() for _ in threads])


def warm_up(uri: str, options: Options) -> None:
    """Let a server that has just started make its volumes and buffers: whoever came first would pay for them."""
    store = open_store(uri, options)
    for number in range(500):
        store.create(f"object-{number}", b"x" * 6000)


HEADINGS = (
    "place     writers   lakefolio/s  p50 ms  p99 ms  p99/alone   deltalake/s   p50 ms   p99 ms   ratio"
    "   tickets/s  p99 ms   threads/s  p99 ms"
)


def compare(place: str, root: str, options: Options, sizes: list[int], seconds: float, plain: bool) -> None:
    alone, floor = math.nan, Rate(math.nan, math.nan, math.nan, 0)
    for writers in sizes:
        uri, other = f"{root}/{place}-ours-{writers}", f"{root}/{place}-theirs-{writers}"
        lake = lf.open(uri, storage_options=options)
        safe = session_of(lake).store.options_for_delta()
        empty = pa.table({"writer": [0], "n": [0], "value": [0.0]}).slice(0, 0)
        deltalake.DeltaTable.create(other, deltalake.Schema.from_arrow(empty.schema), storage_options=safe)
        found: dict[Any, list[Rate]] = {ours: [], theirs: [], bare: []}
        for number in range(ROUNDS if writers == 1 else 1):
            found[ours].append(in_processes(ours, uri, options, writers, seconds))
            if plain:
                found[theirs].append(in_processes(theirs, other, safe, writers, seconds))
            if writers == 1:
                found[bare].append(in_processes(bare, f"{root}/{place}-bare-{number}", options, 1, seconds))
        assert lake.check().ok
        rate = typical(found[ours])
        theirs_too = typical(found[theirs]) if plain else Rate(math.nan, math.nan, math.nan, 0)
        if writers == 1:
            alone, floor = rate.p50, typical(found[bare])
        by_ticket = Rate(math.nan, math.nan, math.nan, 0)
        if writers > 1:
            uri = f"{root}/{place}-apart-{writers}"
            lake = lf.open(uri, storage_options=options)
            by_ticket = in_processes(apart, uri, options, writers, seconds)
            assert lake.check().ok
        uri = f"{root}/{place}-threads-{writers}"
        shared = in_threads(uri, options, writers, seconds)
        assert lf.open(uri, storage_options=options).check().ok
        print(
            f"{place:<8}{writers:>9}{rate.per_s:>14.1f}{rate.p50:>8.1f}{rate.p99:>8.1f}{rate.p99 / alone:>11.1f}"
            f"{theirs_too.per_s:>14.1f}{theirs_too.p50:>9.1f}{theirs_too.p99:>9.1f}"
            f"{rate.per_s / (theirs_too.per_s or math.nan):>8.1f}{by_ticket.per_s:>12.1f}{by_ticket.p99:>8.1f}"
            f"{shared.per_s:>12.1f}{shared.p99:>8.1f}",
            flush=True,
        )
        if writers == 1:
            print(f"{place:<8}   two bare requests: {floor.per_s:.1f}/s, {floor.per_s / theirs_too.per_s:.1f} times")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two seconds each instead of five")
    parser.add_argument("--writers", type=int, nargs="*", default=[1, 8, 32])
    parser.add_argument("--places", nargs="*", default=["local", "s3", "s3+20ms"])
    parser.add_argument("--seconds", type=float, help="how long each is measured")
    parser.add_argument("--alone", action="store_true", help="without deltalake beside it")
    arguments = parser.parse_args()
    seconds = arguments.seconds or (2.0 if arguments.quick else 5.0)
    print(f"{platform.platform()}, Python {platform.python_version()}, {multiprocessing.cpu_count()} cores")
    print(HEADINGS, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        if "local" in arguments.places:
            compare("local", str(Path(folder)), None, arguments.writers, seconds, not arguments.alone)
    for place in ("s3", "s3+20ms"):
        if place in arguments.places:
            with S3Server() as server, CountingProxy(server) as proxy:
                options = server.storage_options
                if place != "s3":
                    options = proxy.storage_options
                    proxy.fault = lambda request: Fault("delay", seconds=ADDED_S)
                warm_up(f"{server.uri()}/warm-up", server.storage_options)
                compare(place, server.uri(), options, arguments.writers, seconds, not arguments.alone)


if __name__ == "__main__":
    main()

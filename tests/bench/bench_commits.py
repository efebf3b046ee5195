"""Commits per second of many writer processes beside plain deltalake appends: python tests/bench/bench_commits.py

Every writer is a process with a warm handle; all start at one signal: start-up and imports are outside the clock.
Each adds small items one by one (an item is visible to everybody when its add returns); plain deltalake appends one row
per commit to one table. A place is a local folder, an S3 server on this machine, and that server with 20 ms added to
every request (``delay``).
"""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from lakefolio.testing import CountingProxy, Fault, S3Server

ADDED_S = 0.020


def ours(uri: str, options: dict[str, str] | None, number: int, seconds: float, ready: Any, results: Any) -> None:
    import lakefolio as lf

    folio = lf.open(uri, storage_options=options).folio("f")
    folio.add_json(f"warm-{number}", {"n": number})
    measure(lambda n: folio.add_json(f"i{number}-{n}", {"lr": 0.01, "n": n}), seconds, ready, results)


def theirs(uri: str, options: dict[str, str] | None, number: int, seconds: float, ready: Any, results: Any) -> None:
    import deltalake
    import pyarrow as pa

    table = deltalake.DeltaTable(uri, storage_options=options)
    properties = deltalake.CommitProperties(max_commit_retries=1000)

    def append(n: int) -> None:
        row = pa.table({"writer": [number], "n": [n], "value": [0.01]})
        deltalake.write_deltalake(table, row, mode="append", commit_properties=properties)

    measure(append, seconds, ready, results)


def measure(action: Any, seconds: float, ready: Any, results: Any) -> None:
    """Act for so long and send how long each took, then how long all took."""
    ready.wait()
    taken = []
    worked = time.process_time()
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
    results.put((taken, time.perf_counter() - began, time.process_time() - worked, error))


Options = dict[str, str] | None


def run(target: Any, uri: str, options: Options, writers: int, seconds: float) -> tuple[float, float, float]:
    """Return commits per second, the median and the 99th percentile of the latencies in seconds."""
    context = multiprocessing.get_context("spawn")
    ready, results = context.Barrier(writers), context.Queue()
    processes = [
        context.Process(target=target, args=(uri, options, n, seconds, ready, results)) for n in range(writers)
    ]
    for process in processes:
        process.start()
    found = [results.get(timeout=600) for _ in processes]
    for process in processes:
        process.join()
    for error in {error for *_, error in found if error}:
        print(f"    {error}")
    latencies = sorted(latency for taken, *_ in found for latency in taken)
    if not latencies:
        return 0.0, float("nan"), float("nan")
    print("cpu ms per commit", sum(one[2] for one in found) / len(latencies) * 1e3)
    rate = len(latencies) / max(elapsed for _, elapsed, *_ in found)
    return rate, statistics.median(latencies), latencies[int(len(latencies) * 0.99)]


def compare(place: str, root: str, options: Options, sizes: list[int], seconds: float, plain: bool) -> None:
    import deltalake
    import pyarrow as pa

    import lakefolio as lf

    alone = None
    for writers in sizes:
        uri = f"{root}/{place}-ours-{writers}"
        lf.open(uri, storage_options=options)
        rate, median, p99 = run(ours, uri, options, writers, seconds)
        alone = alone or median
        lake = lf.open(uri, storage_options=options)
        assert lake.check().ok
        line = f"{place:<8}{writers:>3} writers: {rate:9.1f}/s, median {median * 1e3:8.1f} ms, p99 {p99 * 1e3:8.1f} ms"
        line += f" ({p99 / alone:5.1f} x median alone), {lake.version} versions"
        if plain:
            uri = f"{root}/{place}-theirs-{writers}"
            empty = pa.table({"writer": [0], "n": [0], "value": [0.0]}).slice(0, 0)
            deltalake.DeltaTable.create(uri, deltalake.Schema.from_arrow(empty.schema), storage_options=options)
            beside, _, their_p99 = run(theirs, uri, options, writers, seconds)
            ratio = rate / beside if beside else float("nan")
            line += f"; deltalake {beside:7.1f}/s, p99 {their_p99 * 1e3:8.1f} ms; {ratio:6.1f} x"
        print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two seconds each instead of ten")
    parser.add_argument("--writers", type=int, nargs="*", default=[1, 8, 32])
    parser.add_argument("--places", nargs="*", default=["local", "s3", "delay"])
    parser.add_argument("--seconds", type=float, help="how long each is measured")
    parser.add_argument("--alone", action="store_true", help="without deltalake beside it")
    arguments = parser.parse_args()
    seconds = arguments.seconds or (2.0 if arguments.quick else 10.0)
    print(f"{platform.platform()}, Python {platform.python_version()}, {multiprocessing.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        if "local" in arguments.places:
            compare("local", str(Path(folder)), None, arguments.writers, seconds, not arguments.alone)
    for place in ("s3", "delay"):
        if place in arguments.places:
            with S3Server() as server, CountingProxy(server) as proxy:
                options = server.storage_options
                if place == "delay":
                    options = proxy.storage_options
                    proxy.fault = lambda request: Fault("delay", seconds=ADDED_S)
                compare(place, server.uri(), options, arguments.writers, seconds, not arguments.alone)


if __name__ == "__main__":
    main()

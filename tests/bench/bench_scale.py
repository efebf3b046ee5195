"""What a lake of many entries costs to open and to ask: python tests/bench/bench_scale.py [--entries 1000000]

Makes lakes through the format (see scale_lake), then asks each in a process of its own: memory is that of one handle.
Counted figures (reads, bytes) are the same on every machine; times are CPU and wall milliseconds, uncached and then
cached. With --s3 a lake is made on a local S3 server, too, and requests are counted at its door.
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

import scale_lake

import lakefolio as lf
from lakefolio.readmodels.run_file import RunFile
from lakefolio.testing import CountingProxy, S3Server

ASKED = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--entries", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--commits", type=int, default=100_000)
    parser.add_argument("--s3", action="store_true", help="also count requests on a local S3 server, 10,000 entries")
    parser.add_argument("--ask", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.ask:
        ask(given.ask, given.entries[0])
        return
    for entries in given.entries:
        with tempfile.TemporaryDirectory() as folder:
            uri, began = f"{folder}/lake", time.perf_counter()
            scale_lake.make(uri, entries, min(given.commits, entries // 10), whole_log=True)
            size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
            took = time.perf_counter() - began
            print(f"\n{entries:,} entries: made in {took:.0f} s, {size / 2**20:,.0f} MiB", flush=True)
            subprocess.run([sys.executable, __file__, "--ask", uri, "--entries", str(entries)], check=True)
    if given.s3:
        requests()


def memory_mib() -> int:
    """Return the most that this process ever had resident."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def ask(uri: str, entries: int) -> None:
    """Open a lake and ask it, with an empty cache each time."""
    before, began = memory_mib(), time.perf_counter()
    lake = lf.open(uri)
    opened = time.perf_counter() - began
    print(f"  open {opened * 1e3:.0f} ms, {memory_mib()} MiB resident ({before} before)")
    session = lake._session
    models = session.journal.models
    reads: list[int] = []
    read = models.read

    def counted(model: str, file: RunFile, start: int, length: int) -> bytes:
        reads.append(length)
        return read(model, file, start, length)

    models.read = counted  # type: ignore[method-assign]
    chosen = random.Random(1)

    def names() -> tuple[str, str]:
        return scale_lake.names_of(chosen.randrange(entries * 9 // 10))

    state = session.journal.state
    questions: dict[str, Callable[[], object]] = {
        "one name": lambda: state.entry(*names()),
        "a name that is not there": lambda: state.entry(names()[0], "no such item"),
        "one folio (1,000 items)": lambda: state.entries(names()[0]),
        "history of a name": lambda: state.history(*names()),
        "one name, half way": lambda: state.at(state.version // 2).entry(*names()),
        "all folios": state.folios,
    }
    for what, question in questions.items():
        cpu, wall, most = [], [], (0, 0)
        for _ in range(ASKED):
            models.cache.clear()
            reads.clear()
            began, began_cpu = time.perf_counter(), time.process_time()
            question()
            wall.append(time.perf_counter() - began)
            cpu.append(time.process_time() - began_cpu)
            most = max(most, (len(reads), sum(reads)))
        print(
            f"  {what:<26} {min(wall) * 1e3:7.1f} ms ({min(cpu) * 1e3:.1f} of CPU), at most {most[0]} reads, "
            f"{most[1] / 1024:,.0f} KiB"
        )
    print(f"  {memory_mib()} MiB resident after that", flush=True)
    ask_more(lake, entries)


SQL = {
    "SQL over the items": "select kind, count(*), sum(size_bytes), max(committed_at) from items group by kind",
    "SQL over all entries": "select folio, max(committed_at) from entries group by folio",
    "SQL over the journal": "select count(distinct commit_id) from manifests",
    "SQL, the facts": "select count(*) from current_metadata",
}


def ask_more(lake: lf.Lake, entries: int) -> None:
    """Ask for what was made of what, for the past, and by SQL: the first time with an empty cache, then again."""
    folio, item = scale_lake.names_of(entries // 2)
    entry = lake.item(f"{folio}:{item}")
    base = lake._session.committed().base
    assert base is not None
    questions: dict[str, Callable[[], object]] = {
        "what an entry was made of": lambda: base.edges([("entry", entry.entry_id)]),
        "what was made of an entry": lambda: base.edges([("entry", entry.entry_id)], by_input=True),
        "log of 20 commits": lambda: lake.log(20),
        "history of an item": lambda: lake.history(f"{folio}:{item}"),
        "diff of 100 commits": lambda: lake.diff(-100),
    } | {what: lambda sql=sql: lake.sql(sql).fetchall() for what, sql in SQL.items()}
    for what, question in questions.items():
        lake._session.journal.models.cache.clear()
        taken = []
        for _ in range(ASKED):
            began, began_cpu = time.perf_counter(), time.process_time()
            question()
            taken.append(((time.perf_counter() - began) * 1e3, (time.process_time() - began_cpu) * 1e3))
        (first, first_cpu), (wall, cpu) = taken[0], min(taken)
        print(
            f"  {what:<26} {wall:7.1f} ms ({cpu:.1f} of CPU), first {first:.0f} ({first_cpu:.0f}); "
            f"{memory_mib()} MiB resident",
            flush=True,
        )


def requests() -> None:
    """Count what opening a lake and one get cost at an S3 server's door."""
    with S3Server() as server, CountingProxy(server) as proxy:
        uri = server.uri("lakes/scale")
        scale_lake.make(uri, 10_000, 1_000, server.storage_options)
        with proxy.count() as count:
            lf.open(uri, storage_options=proxy.storage_options)._session.entry(*scale_lake.names_of(1234))
        print(f"\nS3, open and one entry of 10,000: {count.total} requests ({count.by_operation})")


if __name__ == "__main__":
    main()

"""What it costs to ask which items are stale, in lakes of so many entries: one in ten items was overwritten.

Every entry has the entry before it as its input: in one chain, so that almost all items are stale, or in chains of ten.

Status neither sleeps nor waits for a disk: seconds on the clock beyond those of a processor were spent in line for one,
which is said, too.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from pathlib import Path

import scale_lake

import lakefolio as lf


def queued() -> float:
    """Return for how long other processes have kept the main thread from running, in seconds; 0 where nobody counts."""
    try:
        return int(Path("/proc/self/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, nargs="+", default=[100_000, 1_000_000])
    for entries, chain in itertools.product(parser.parse_args().entries, (10, None)):
        with tempfile.TemporaryDirectory() as folder:
            scale_lake.make(folder, entries, max(entries // 10, 1), chain=chain)
            lake = lf.open(folder)
            for what in ("first", "warm"):
                began, used, waited = time.perf_counter(), time.process_time(), queued()
                status = lake.status()
                seconds, cpu = time.perf_counter() - began, time.process_time() - used
                print(
                    f"{entries:,} entries, {status.item_count:,} items, {len(status):,} stale, {what}:"
                    f" {seconds:.2f} s, {cpu:.2f} s of a processor, {queued() - waited:.2f} s in line for one"
                )
    print("done")


if __name__ == "__main__":
    main()

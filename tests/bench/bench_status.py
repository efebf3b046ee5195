"""What it costs to ask which items are stale, in lakes of so many entries: one in ten items was overwritten.

Every entry has the entry before it as its input: in one chain, so that almost all items are stale, or in chains of ten.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time

import scale_lake

import lakefolio as lf


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, nargs="+", default=[100_000, 1_000_000])
    for entries, chain in itertools.product(parser.parse_args().entries, (10, None)):
        with tempfile.TemporaryDirectory() as folder:
            scale_lake.make(folder, entries, max(entries // 10, 1), chain=chain)
            lake = lf.open(folder)
            for what in ("first", "warm"):
                began, used = time.perf_counter(), time.process_time()
                status = lake.status()
                seconds, cpu = time.perf_counter() - began, time.process_time() - used
                print(
                    f"{entries:,} entries, {status.item_count:,} items, {len(status):,} stale, {what}:"
                    f" {seconds:.2f} s, {cpu:.2f} s of a processor"
                )
    print("done")


if __name__ == "__main__":
    main()

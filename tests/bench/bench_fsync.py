"""What it costs that a local lake survives a power cut: python tests/bench/bench_fsync.py [FOLDER]

Medians on the file system of FOLDER (a disk, not a RAM disk, or the figures say nothing).
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import lakefolio as lf

TIMES = 40


def median_ms(action: Callable[[int], object]) -> float:
    taken = []
    for number in range(TIMES):
        began = time.perf_counter()
        action(number)
        taken.append((time.perf_counter() - began) * 1e3)
    return statistics.median(taken)


def main(folder: str | None) -> None:
    print(f"{'':<28} {'fsync off':>12} {'fsync on':>12}")
    rows: dict[str, list[float]] = {}
    for fsync in (False, True):
        with tempfile.TemporaryDirectory(dir=folder) as place:
            lake = lf.open(Path(place) / "lake", storage_options={"fsync": fsync})
            folio = lake.folio("f")
            actions: dict[str, Callable[[int], object]] = {
                "add of a small value": lambda n, f=folio: f.add_json(f"s{n}", n),
                "the same with metadata": lambda n, f=folio: f.add_json(f"m{n}", n, metadata={"n": n}),
                "add of 1 MiB": lambda n, f=folio: f.add_artifact(f"b{n}", os.urandom(1 << 20)),
            }
            for name, action in actions.items():
                rows.setdefault(name, []).append(median_ms(action))
    for name, (off, on) in rows.items():
        print(f"{name:<28} {off:9.2f} ms {on:9.2f} ms   {on / off:5.1f} times")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)

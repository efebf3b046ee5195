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


def main(folder: str | None) -> None:
    """Do the same on a lake without and one with fsync, in turns, so that both see the same machine."""
    rows: dict[str, list[list[float]]] = {}
    with tempfile.TemporaryDirectory(dir=folder) as place:
        folios = [
            lf.open(Path(place) / str(fsync), storage_options={"fsync": fsync}).folio("f") for fsync in (False, True)
        ]
        actions: dict[str, Callable[[lf.Folio, int], object]] = {
            "add of a small value": lambda folio, n: folio.add_json(f"s{n}", n),
            "the same with metadata": lambda folio, n: folio.add_json(f"m{n}", n, metadata={"n": n}),
            "add of 1 MiB": lambda folio, n: folio.add_artifact(f"b{n}", os.urandom(1 << 20)),
        }
        for name, action in actions.items():
            taken: list[list[float]] = [[], []]
            for number in range(TIMES):
                for which, folio in enumerate(folios):
                    began = time.perf_counter()
                    action(folio, number)
                    taken[which].append((time.perf_counter() - began) * 1e3)
            rows[name] = taken
    print(f"{'':<28} {'fsync off':>12} {'fsync on':>12}")
    for name, taken in rows.items():
        off, on = map(statistics.median, taken)
        print(f"{name:<28} {off:9.2f} ms {on:9.2f} ms   {on / off:5.1f} times")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)

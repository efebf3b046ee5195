"""A folio beside datafolio 2.3.0, on the same data in the same run: python tests/bench/bench_folio.py [--quick]

Needs `pip install '.[bench]'`. Times are medians; the last column says how many times as fast lakefolio is (above 1:
faster). datafolio takes minutes to draw its lineage graph at 10,000 items: --only leaves parts out.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROWS: list[tuple[str, float, float | None]] = []


def median_s(action: Callable[[int], Any], times: int) -> float:
    taken = []
    for number in range(times):
        began = time.perf_counter()
        action(number)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def row(what: str, ours: float, theirs: float | None = None) -> None:
    ROWS.append((what, ours, theirs))
    ratio = "" if theirs is None else f"{theirs / ours:10.1f}x"
    shown = "" if theirs is None else f"{theirs * 1e3:12.2f} ms"
    print(f"{what:<58} {ours * 1e3:12.2f} ms {shown:>15} {ratio:>11}", flush=True)


def folios(folder: Path, name: str) -> tuple[Any, Any]:
    import datafolio

    import lakefolio

    return lakefolio.Folio(str(folder / f"ours-{name}")), datafolio.DataFolio(folder / f"theirs-{name}")


def small(folder: Path, times: int) -> None:
    ours, theirs = folios(folder, "small")
    for folio in (ours, theirs):
        folio.add("warm", {"x": 1})
    both = [
        median_s(lambda n, folio=folio: folio.add(f"i{n}", {"lr": 0.01, "n": n}), times) for folio in (ours, theirs)
    ]
    row("one small add", *both)

    def batch(folio: Any) -> Callable[[int], None]:
        def run(n: int) -> None:
            with folio.batch():
                for i in range(1000):
                    folio.add(f"b{n}-{i}", {"lr": 0.01, "n": i})

        return run

    row("a batch of 1,000 small dicts", median_s(batch(ours), 3), median_s(batch(theirs), 1))


def many(folder: Path, count: int, times: int) -> None:
    import datafolio

    import lakefolio

    ours, theirs = folios(folder, "many")
    for folio in (ours, theirs):
        for start in range(0, count, 2000):
            with folio.batch():
                for i in range(start, min(start + 2000, count)):
                    inputs = [f"i{i - 1}"] if i % 10 else None
                    folio.add(f"i{i}", {"n": i}, inputs=inputs)
    at = f"at {count:,} items: "
    for name, action in {
        "add": lambda folio: lambda n: folio.add(f"new{n}", {"n": n}),
        "get": lambda folio: lambda n: folio.get(f"i{n * 37 % count}"),
        "list": lambda folio: lambda n: folio.list_contents(),
        "lineage graph": lambda folio: lambda n: folio.get_lineage_graph(),
    }.items():
        # its lineage graph takes minutes at 10,000 items
        row(at + name, median_s(action(ours), times), median_s(action(theirs), 1 if name == "lineage graph" else 10))
    row(
        at + "open and list",
        median_s(lambda n: lakefolio.Folio(ours.path).list_contents(), 5),
        median_s(lambda n: datafolio.DataFolio(theirs.path).list_contents(), 5),
    )


def large(folder: Path, megabytes: int, times: int) -> None:
    ours, theirs = folios(folder, "large")
    random = np.random.default_rng(7)
    size = megabytes * 2**20 // 8

    def array(n: int) -> Any:
        return random.random(size)

    def frame(n: int) -> pd.DataFrame:
        rows = size // 8
        columns = {f"x{i}": random.random(rows) for i in range(5)}
        return pd.DataFrame(
            {
                **columns,
                "n": np.arange(rows),
                "g": random.integers(0, 100, rows),
                "s": random.integers(0, 999, rows).astype(str),
            }
        )

    for what, make in (("array", array), ("frame", frame)):
        taken: tuple[list[float], list[float]] = ([], [])
        for n in range(times):
            obj = make(n)
            for which, folio in enumerate((ours, theirs)):
                began = time.perf_counter()
                folio.add(f"{what}{n}", obj)
                taken[which].append(time.perf_counter() - began)
        row(f"add a {megabytes} MB {what}", *map(statistics.median, taken))
        both = [median_s(lambda n, f=f, what=what: f.get(f"{what}{n}"), times) for f in (ours, theirs)]
        row(f"get a {megabytes} MB {what} (ours verified)", *both)


def flat(folder: Path, short: int, long: int, times: int) -> None:
    import lakefolio

    folio = lakefolio.Folio(str(folder / "flat"))
    taken: dict[str, list[float]] = {"add": [], "get": []}
    done = 0
    for target in (short, long):
        while done < target:
            folio.add(f"i{done}", {"n": done})
            done += 1
        taken["add"].append(median_s(lambda n, t=target: folio.add(f"at{t}-{n}", {"n": n}), times))
        taken["get"].append(median_s(lambda n: folio.get(f"i{n % short}"), times))
    for what, (early, late) in taken.items():
        row(f"{what} one item at {short:,} commits", early)
        row(f"{what} one item at {long:,} commits ({late / early:.2f} times)", late)


def whole_process(folder: Path) -> None:
    code = "import lakefolio"
    taken = median_s(lambda n: subprocess.run([sys.executable, "-c", code], check=True), 7)
    bare = median_s(lambda n: subprocess.run([sys.executable, "-c", "pass"], check=True), 7)
    row("import lakefolio (interpreter start taken off)", taken - bare)
    big = folder / "big.bin"
    with big.open("wb") as file:
        block = np.random.default_rng(1).bytes(2**20)
        for number in range(1000):
            file.write(number.to_bytes(8) + block[8:])
    code = f"""
import lakefolio
folio = lakefolio.Folio({str(folder / "big-lake")!r})
folio.add_artifact("big", {str(big)!r})
path = folio.get_artifact_path("big")
print(next(int(line.split()[1]) // 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    print(f"add and get a 1 GB file: peak memory {done.stdout.strip()} MB, {time.perf_counter() - began:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    parser.add_argument("--only", default="small many large flat whole_process", help="the parts to run")
    arguments = parser.parse_args()
    quick, only = arguments.quick, arguments.only.split()
    print(f"{platform.platform()}, Python {platform.python_version()}")
    print(f"{'':<58} {'lakefolio':>15} {'datafolio 2.3.0':>15}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        parts: dict[str, Callable[[], None]] = {
            "small": lambda: small(folder, 20 if quick else 100),
            "many": lambda: many(folder, 1000 if quick else 10_000, 10 if quick else 40),
            "large": lambda: large(folder, 10 if quick else 100, 3 if quick else 5),
            "flat": lambda: flat(folder, 100, 1000 if quick else 10_000, 50 if quick else 200),
            "whole_process": lambda: whole_process(folder),
        }
        for name in only:
            parts[name]()


if __name__ == "__main__":
    main()

"""What it costs to compare two versions of a table, beside DuckDB's full outer join of them and daff, in the same run.

Each question is asked in a process of its own, whose processor seconds and peak memory are told, alternating with the
join, the best of two. ``ratio`` is how many times as fast as the join lakefolio is: above 1 it is faster.

Versions of so many rows of five columns:

* ``shifted``: one value in a thousand is another, the first thousand rows are gone and 500 are new, so that no row lies
  where it lay and no bytes are shared: the worst case;
* ``edited``: one value of a column in a thousand is another, everywhere;
* ``appended``: a hundredth more rows;
* ``one``: one value is another.

The join counts what differs in each column, with as much memory as the diff may hold; the diff also gives statistics of
the columns and examples. daff holds tables as lists of cells, so it is asked with fewer rows; it
needs ``pip install daff``. Each is asked for the first time in a process, which counts what it imports, and again. All
read the tables from Parquet files (daff for the second time: the first imports pandas), and Python compiles no module.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

COLUMNS = ("id", "v", "w", "s", "t")
CASES = ("shifted", "edited", "appended", "one")
KINDS = ("join", "key", "position", "join again", "key again", "position again")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--daff-rows", type=int, default=20_000)
    parser.add_argument("--turns", type=int, default=2, help="of which the best counts")
    parser.add_argument("--child", nargs=3, metavar=("WHAT", "FOLDER", "CASE"))
    given = parser.parse_args()
    if given.child:
        print(json.dumps(measured(given.child[0], Path(given.child[1]), given.child[2])))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        subprocess.run(_child("make", folder, str(given.rows)), check=True, stdout=subprocess.DEVNULL)
        for case in CASES:
            best: dict[str, dict[str, float]] = {}
            for what in KINDS * given.turns:
                found = asked(what, folder, case)
                if what not in best or found["cpu"] < best[what]["cpu"]:
                    best[what] = found
            ratios = ", ".join(
                f"{what} {best[join]['cpu'] / best[what]['cpu']:.2f}"
                for what in KINDS
                if what != (join := f"join{what.removeprefix(what.partition(' ')[0])}")
            )
            told = "; ".join(
                f"{what} {one['cpu']:.2f} s of a processor, {one['wall']:.2f} s, {one['peak']:.0f} MiB"
                for what, one in best.items()
            )
            print(f"{case}: {told}; ratios: {ratios}; {best['key']['shared']:,.0f} rows not decoded", flush=True)
        same = asked("key", folder, "same")
        print(f"equal content: {same['cpu']:.3f} s")
        if importlib.util.find_spec("daff") is not None:
            few = folder / "few"
            few.mkdir()
            subprocess.run(_child("make", few, str(given.daff_rows)), check=True, stdout=subprocess.DEVNULL)
            for when in ("", " again"):
                ours, theirs = (
                    min((asked(f"{what}{when}", few, "shifted") for _ in range(given.turns)), key=_cpu)
                    for what in ("key", "daff")
                )
                print(
                    f"{given.daff_rows:,} rows, shifted{when}: daff {theirs['cpu']:.3f} s and {theirs['peak']:.0f} MiB,"
                    f" by key {ours['cpu']:.3f} s and {ours['peak']:.0f} MiB; ratio {theirs['cpu'] / ours['cpu']:.1f}"
                )
    print("done")


def _cpu(found: dict[str, float]) -> float:
    return found["cpu"]


def _child(what: str, folder: Path, case: str) -> list[str]:
    return [sys.executable, __file__, "--child", what, str(folder), case]


def asked(what: str, folder: Path, case: str) -> dict[str, float]:
    """Measure in another process."""
    compiled = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(_child(what, folder, case), check=True, stdout=subprocess.PIPE, env=compiled)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def measured(what: str, folder: Path, case: str) -> dict[str, float]:
    """Do it, and return processor seconds, seconds, peak memory in MiB, and rows that were not decoded."""
    if what == "make":
        make(folder, int(case))
        return {}
    prepared = PREPARE[what](folder, case)
    began, used = time.perf_counter(), time.process_time()
    shared = RUN[what](prepared)
    wall, cpu = time.perf_counter() - began, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu": cpu, "wall": wall, "peak": peak, "shared": shared or 0}


def make(folder: Path, rows: int) -> None:
    """Make the lake and the same tables as files."""
    import lakefolio as lf

    folio = lf.open(folder / "lake").folio("a")
    old = table(rows)
    for case in ("old", *CASES):
        new = old if case == "old" else changed(old, case)
        pq.write_table(new, folder / f"{case}.parquet", row_group_size=122_880)
        folio.add("x", new, overwrite=case != "old")
    folio.add("x", old, overwrite=True)


def table(rows: int, start: int = 0) -> pa.Table:
    """Return so many rows."""
    rng = np.random.default_rng(start)
    words = pa.array(["a", "bb", "ccc", "dddd"]).take(pa.array(rng.integers(0, 4, rows)))
    columns = (np.arange(start, start + rows), rng.random(rows), rng.integers(0, 1000, rows), words, rng.random(rows))
    return pa.table(dict(zip(COLUMNS, columns, strict=True)))


def changed(old: pa.Table, case: str) -> pa.Table:
    """Return another version."""
    rows = old.num_rows
    if case == "appended":
        return pa.concat_tables([old, table(max(rows // 100, 1), rows)])
    values = old["v"].to_numpy().copy()
    values[rows // 2 if case == "one" else slice(None, None, 1000)] += 1
    new = old.set_column(1, "v", pa.array(values))
    return pa.concat_tables([new.slice(min(1000, rows // 2)), table(500, rows)]) if case == "shifted" else new


def opened(folder: Path, case: str) -> tuple[Any, int]:
    """Return the lake, and the version of a case."""
    import lakefolio as lf

    version = 1 if case == "same" else CASES.index(case) + 2
    return lf.open(folder / "lake"), version


def diff(prepared: tuple[Any, int], key: str | None) -> int:
    """Compare version 1 with another."""
    lake, version = prepared
    found = lake.diff(1 if version > 1 else lake.version, version, item="a:x", key=key)
    shared: int = found.summary.get("rows_shared", 0)
    return shared


def outer_join(prepared: tuple[Path, str]) -> None:
    """Count what differs, as one would write it."""
    import duckdb

    from lakefolio.views.table_changes import MEMORY_BYTES

    folder, case = prepared
    connection = duckdb.connect(config={"memory_limit": f"{MEMORY_BYTES}B", "temp_directory": str(folder / "spill")})
    each = ", ".join(
        f"count(*) filter (where a.id is not null and b.id is not null and a.{one} is distinct from b.{one})"
        for one in COLUMNS[1:]
    )
    a, b = (f"read_parquet('{folder / name}.parquet')" for name in ("old", case))
    counts = "count(*) filter (where a.id is null), count(*) filter (where b.id is null)"
    connection.execute(f"select {counts}, {each} from {a} a full outer join {b} b on a.id = b.id").fetchall()


def cells(folder: Path, case: str) -> list[list[list[Any]]]:
    """Return both tables as daff takes them."""
    found = []
    for name in ("old", case):
        rows = pq.read_table(folder / f"{name}.parquet").to_pylist()
        found.append([list(COLUMNS), *(list(row.values()) for row in rows)])
    return found


def with_daff(prepared: tuple[Path, str]) -> None:
    """Compare by the key, and lay the differences out as a table."""
    import daff

    one, other = map(daff.PythonTableView, cells(*prepared))
    flags = daff.CompareFlags()
    flags.addPrimaryKey("id")
    alignment = daff.Coopy.compareTables(one, other, flags).align()
    target = daff.PythonTableView([])
    daff.TableDiff(alignment, flags).hilite(target)
    assert target.get_height() > 1


def again(what: str) -> Any:
    """Return what prepares a question by asking it once: the first imports DuckDB or daff."""

    def prepared(folder: Path, case: str) -> Any:
        given = PREPARE[what](folder, case)
        RUN[what](given)
        return given

    return prepared


PREPARE: dict[str, Any] = {
    "key": opened,
    "position": opened,
    "join": lambda folder, case: (folder, case),
    "daff": lambda folder, case: cells(folder, case) and (folder, case),
}
RUN: dict[str, Any] = {
    "key": lambda prepared: diff(prepared, "id"),
    "position": lambda prepared: diff(prepared, None),
    "join": outer_join,
    "daff": with_daff,
}
for one in ("join", "key", "position", "daff"):
    PREPARE[f"{one} again"], RUN[f"{one} again"] = again(one), RUN[one]

if __name__ == "__main__":
    main()

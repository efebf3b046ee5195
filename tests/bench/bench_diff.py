"""What it costs to compare two versions of a table by key and by position, beside a full outer join by DuckDB.

The new version has other values in one row of a thousand, lacks the first thousand rows and has five hundred more, so
that no row lies where it lay. The join counts what differs in each column, with as much memory; it is run
first and last.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import lakefolio as lf
from lakefolio.views.table_changes import MEMORY_BYTES


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        making = multiprocessing.get_context("spawn").Process(target=make, args=(folder, rows))
        making.start()
        making.join()
        lake = lf.open(folder / "lake")
        begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        joined = measured("DuckDB's full outer join", lambda: outer_join(folder))
        by_key = measured("by key", lambda: lake.diff(1, item="a:x", key="id"))
        measured("by position", lambda: lake.diff(1, item="a:x"))
        joined = min(joined, measured("DuckDB's full outer join", lambda: outer_join(folder)))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        lake.folio("a").add("x", lake.get("a:x@1", as_="arrow"), overwrite=True)
        measured("equal content", lambda: lake.diff(1, item="a:x", key="id"))
        print(f"by key is {joined / by_key:.2f} times as fast as the join; peak memory {peak} MiB, {begun} before")
    print("done")


def make(folder: Path, rows: int) -> None:
    """Make the lake and the same tables as files, in a process of their own: its memory is not what is measured."""
    lake = lf.open(folder / "lake")
    for number, table in enumerate(versions(rows)):
        pq.write_table(table, folder / f"{number}.parquet", row_group_size=122_880)
        lake.folio("a").add("x", table, overwrite=bool(number))


def versions(rows: int) -> list[pa.Table]:
    """Return both versions."""
    rng = np.random.default_rng(1)
    values = rng.random(rows)
    words = pa.array(["a", "bb", "ccc", "dddd"]).take(pa.array(rng.integers(0, 4, rows)))
    columns = {"id": np.arange(rows), "v": values, "w": rng.integers(0, 1000, rows), "s": words, "t": rng.random(rows)}
    old = pa.table(columns)
    other = values.copy()
    other[::1000] += 1
    more = {"id": np.arange(rows, rows + 500), "v": rng.random(500), "w": np.arange(500), "s": ["z"] * 500}
    new = old.set_column(1, "v", pa.array(other)).slice(min(1000, rows // 2))
    return [old, pa.concat_tables([new, pa.table(more | {"t": rng.random(500)})])]


def outer_join(folder: Path) -> None:
    """Count what differs, as one would write it."""
    connection = duckdb.connect(config={"memory_limit": f"{MEMORY_BYTES}B", "temp_directory": str(folder / "spill")})
    each = ", ".join(
        f"count(*) filter (where a.id is not null and b.id is not null and a.{one} is distinct from b.{one})"
        for one in ("v", "w", "s", "t")
    )
    a, b = (f"read_parquet('{folder / name}.parquet')" for name in ("0", "1"))
    counts = "count(*) filter (where a.id is null), count(*) filter (where b.id is null)"
    connection.execute(f"select {counts}, {each} from {a} a full outer join {b} b on a.id = b.id").fetchall()


def measured(what: str, do: Callable[[], object]) -> float:
    """Print what it took and return the seconds of a processor, which a busy machine changes least."""
    began, used = time.perf_counter(), time.process_time()
    do()
    seconds, cpu = time.perf_counter() - began, time.process_time() - used
    print(f"{what}: {seconds:.2f} s, {cpu:.2f} s of a processor")
    return cpu


if __name__ == "__main__":
    main()

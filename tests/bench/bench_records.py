"""Appends of 100 rows to a record table, checked against its schema, beside appends by deltalake that check nothing.

``python tests/bench/bench_records.py [--appends N] [--place DIR]``. Both write the same rows, in turns, so that
a busy machine slows both; deltalake keeps its handle open, too.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import deltalake
import pyarrow as pa

import lakefolio as lf

ROWS = 100


def batch(number: int) -> pa.Table:
    start = number * ROWS
    return pa.table(
        {
            "id": pa.array(range(start, start + ROWS), pa.int64()),
            "score": pa.array([(start + one) % 997 / 997 for one in range(ROWS)], pa.float64()),
            "kind": pa.array([("a", "b", "c")[one % 3] for one in range(ROWS)], pa.string()),
            "note": pa.array([f"note {start + one}" for one in range(ROWS)], pa.string()),
        }
    )


def run(place: str, appends: int) -> None:
    folio = lf.open(f"{place}/lake").folio("bench")
    columns = {
        "id": "int64",
        "score": {"type": "double", "min": 0, "max": 1},
        "kind": {"type": "string", "values": ["a", "b", "c"]},
        "note": "string",
    }
    keyed = folio.create_table("keyed", columns, key="id", overwrite=True)
    plain = folio.create_table("plain", columns, overwrite=True)
    theirs = f"{place}/deltalake"
    deltalake.write_deltalake(theirs, batch(0).slice(0, 0))
    table = deltalake.DeltaTable(theirs)
    spent = {"record table, key and checks": 0.0, "record table, checks": 0.0, "deltalake": 0.0}
    for number in range(appends):
        rows = batch(number)
        for name, write in (
            ("record table, key and checks", lambda rows=rows: keyed.append(rows)),
            ("record table, checks", lambda rows=rows: plain.append(rows)),
            ("deltalake", lambda rows=rows: deltalake.write_deltalake(table, rows, mode="append")),
        ):
            before = time.perf_counter()
            write()
            spent[name] += time.perf_counter() - before
    base = spent["deltalake"]
    print(f"{appends} appends of {ROWS} rows to {place}")
    for name, seconds in spent.items():
        print(f"{name:<30} {appends / seconds:8.0f} /s {base / seconds:6.1f} times deltalake")
    for name, found in (("record table", keyed), ("deltalake", None)):
        before = time.perf_counter()
        count = deltalake.DeltaTable(theirs).to_pyarrow_table().num_rows if found is None else found.to_arrow().num_rows
        assert count == appends * ROWS
        print(f"reading all of it, {name:<18} {(time.perf_counter() - before) * 1000:8.0f} ms")
    rows = batch(appends // 2)
    before = time.perf_counter()
    done = keyed.upsert(rows)
    print(f"an upsert of {done.updated} rows {(time.perf_counter() - before) * 1000:14.0f} ms")
    before = time.perf_counter()
    count = len(keyed.query(f"id = {appends * ROWS // 2}", as_="arrow"))
    print(f"a row by its key ({count}) {(time.perf_counter() - before) * 1000:14.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--appends", type=int, default=1_000)
    parser.add_argument("--place")
    given = parser.parse_args()
    if given.place:
        run(given.place, given.appends)
        return
    with tempfile.TemporaryDirectory() as folder:
        run(str(Path(folder)), given.appends)


if __name__ == "__main__":
    main()

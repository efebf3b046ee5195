"""What gc plans in how long and how much memory, on synthetic tables: python tests/bench/bench_gc.py [ENTRIES …]

Each size runs in a process of its own, so that its peak memory is its own. Of the entries, a tenth shares content, half
is superseded, and as many objects as a tenth of them are orphans. With keep_last=1: mark, then judge each object.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa

from lakefolio.reach import HISTORY, NEEDED, ORPHAN, Keep, Reach
from lakefolio.schema import MANIFESTS_SCHEMA


def digests(numbers: np.ndarray) -> pa.Array:
    """Return a digest for each number, spread over all shards, without a Python object per entry."""
    parts = [(numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15 + 2 * n)) for n in range(4)]
    raw = np.stack(parts, axis=1).view(np.uint8).reshape(len(numbers), 32)
    hexadecimal = np.frombuffer(b"0123456789abcdef", np.uint8)
    text = np.empty((len(numbers), 71), np.uint8)
    text[:, :7] = np.frombuffer(b"sha256:", np.uint8)
    text[:, 7::2], text[:, 8::2] = hexadecimal[raw >> 4], hexadecimal[raw & 15]
    offsets = np.arange(0, 71 * (len(numbers) + 1), 71, dtype=np.int64)
    return pa.LargeStringArray.from_buffers(len(numbers), pa.py_buffer(offsets), pa.py_buffer(text)).cast(pa.string())


def journal(count: int) -> pa.Table:
    """Return a journal of ``count`` puts of half as many items, in chunks of a million rows."""
    chunks = []
    for start in range(0, count, 1_000_000):
        numbers = np.arange(start, min(start + 1_000_000, count))
        size = len(numbers)
        items = numbers % max(count // 2, 1)
        values = {
            "version": pa.array(numbers // 100 + 1),
            "ordinal": pa.array((numbers % 100).astype(np.int32)),
            "committed_at": pa.array(numbers // 100 * 1000, pa.timestamp("us", tz="UTC")),
            "op": pa.array(np.full(size, "put"), pa.string()),
            "storage": pa.array(np.full(size, "blob"), pa.string()),
            "folio": pa.array([f"folio {one}" for one in range(1000)]).take(pa.array(items % 1000)),
            "item": pa.array(items).cast(pa.string()),
            "entry_id": pa.array(numbers).cast(pa.string()),
            "blob_digest": digests(numbers - numbers % 10 // 9),
            "generation": pa.array(np.zeros(size, np.int32)),
            "stored_bytes": pa.array(np.full(size, 10_000)),
        }
        columns = [values.get(one.name) for one in MANIFESTS_SCHEMA]
        columns = [
            pa.nulls(size, field.type) if column is None else column.cast(field.type)
            for column, field in zip(columns, MANIFESTS_SCHEMA, strict=True)
        ]
        chunks.append(pa.Table.from_arrays(columns, schema=MANIFESTS_SCHEMA))
    return pa.concat_tables(chunks)


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(count: int) -> None:
    rows = journal(count)
    made = peak_mib()
    began = time.perf_counter()
    reach = Reach(rows, Keep(last=1))
    marked = time.perf_counter() - began
    found = {ORPHAN: 0, HISTORY: 0, NEEDED: 0}
    judging = 0.0
    objects = np.arange(count + count // 10)
    objects = objects[(objects % 10 != 9) | (objects >= count)]
    # one digest's shard is its first byte, which is the lowest byte of the product
    prefixes = ((objects.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) & np.uint64(255)).astype(np.uint8)
    order = np.argsort(prefixes, kind="stable")
    ends = np.cumsum(np.bincount(prefixes, minlength=256))
    for shard in range(256):
        some = digests(objects[order[(ends[shard - 1] if shard else 0) : ends[shard]]])
        began = time.perf_counter()
        verdicts = reach.judge(f"{shard:02x}", some, np.zeros(len(some), np.int64))
        judging += time.perf_counter() - began
        for verdict in found:
            found[verdict] += int((verdicts == verdict).sum())
    print(
        f"{count:>11,} entries: mark {marked:6.2f} s, judge {len(objects):>11,} objects {judging:6.2f} s; peak "
        f"{peak_mib():6,.0f} MiB (table alone: {made:6,.0f}); needed {found[NEEDED]:,}, history {found[HISTORY]:,}, "
        f"orphans {found[ORPHAN]:,}",
        flush=True,
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        run(int(sys.argv[2]))
    else:
        for size in sys.argv[1:] or ["100000", "1000000", "10000000"]:
            subprocess.run([sys.executable, __file__, "--one", size], check=True)

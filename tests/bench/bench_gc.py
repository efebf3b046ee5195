"""What gc plans in how long and how much memory, on synthetic tables: python tests/bench/bench_gc.py [ENTRIES …]

Each size runs in a process of its own, so that its peak memory is its own; the table is made by another one. Of the
entries, a tenth shares content, half is superseded, and as many objects as a tenth of them are orphans. The journal is
a real Delta table in a folder, in files of 200,000 rows; the listing of the objects is made up as it is asked for, and
the time that takes is taken off. It is ``lakefolio gc --keep-last 1``: read, mark, list, judge, report.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from lakefolio.delta.table import DeltaTable
from lakefolio.format.schema import MANIFESTS_SCHEMA, SPECS
from lakefolio.maintenance.gc import collect
from lakefolio.storage.local import LocalStore
from lakefolio.storage.store import ObjectInfo

FILE_ROWS = 200_000
GOLDEN = 0x9E3779B97F4A7C15
LAKE_ID = "0" * 32


def digests(numbers: np.ndarray, start: bytes = b"sha256:") -> pa.Array:
    """Return a digest for each number, spread over all shards, without a Python object per entry."""
    parts = [(numbers.astype(np.uint64) * np.uint64(GOLDEN + 2 * n)) for n in range(4)]
    raw = np.stack(parts, axis=1).view(np.uint8).reshape(len(numbers), 32)
    hexadecimal = np.frombuffer(b"0123456789abcdef", np.uint8)
    size = len(start) + 64
    text = np.empty((len(numbers), size), np.uint8)
    text[:, : len(start)] = np.frombuffer(start, np.uint8)
    text[:, len(start) :: 2], text[:, len(start) + 1 :: 2] = hexadecimal[raw >> 4], hexadecimal[raw & 15]
    offsets = np.arange(0, size * (len(numbers) + 1), size, dtype=np.int32)
    return pa.StringArray.from_buffers(len(numbers), pa.py_buffer(offsets), pa.py_buffer(text))


def rows(count: int, numbers: np.ndarray, version: int) -> pa.Table:
    """Return puts of half as many items as there are entries in all."""
    size = len(numbers)
    items = numbers % max(count // 2, 1)
    blobs = numbers - numbers % 10 // 9
    values = {
        "version": pa.array(np.full(size, version)),
        "ordinal": pa.array(np.arange(size, dtype=np.int32)),
        "committed_at": pa.array(np.full(size, version), pa.timestamp("us", tz="UTC")),
        "commit_id": pa.array(["c" * 32] * size),
        "op": pa.array(np.full(size, "put"), pa.string()),
        "reason": pa.array(np.full(size, "add"), pa.string()),
        "author": pa.array(np.full(size, "ada@host"), pa.string()),
        "storage": pa.array(np.full(size, "blob"), pa.string()),
        "kind": pa.array(np.full(size, "artifact"), pa.string()),
        "folio": pa.array([f"folio {one}" for one in range(1000)]).take(pa.array(items % 1000)),
        "item": pa.array(items).cast(pa.string()),
        "entry_id": pa.array([f"{one:032x}" for one in numbers]),
        "digest": digests(blobs),
        "blob_digest": digests(blobs),
        "generation": pa.array(np.zeros(size, np.int32)),
        "stored_bytes": pa.array(np.full(size, 10_000)),
    }
    columns = [values.get(one.name) for one in MANIFESTS_SCHEMA]
    columns = [
        pa.nulls(size, field.type) if column is None else column.cast(field.type)
        for column, field in zip(columns, MANIFESTS_SCHEMA, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=MANIFESTS_SCHEMA)


def make(folder: str, count: int) -> None:
    """Write the tables of a lake with ``count`` entries."""
    store = LocalStore(Path(folder))
    table = DeltaTable(store, LAKE_ID, SPECS["manifests"])
    table.create()
    table.load()
    for version, start in enumerate(range(0, count, FILE_ROWS), 1):
        numbers = np.arange(start, min(start + FILE_ROWS, count))
        file, key, body = table.encode(rows(count, numbers, version), version=version)
        store.create(key, body)
        table.commit(version, file, [f"{version:032x}"], datetime.fromtimestamp(version, UTC))


class Listed(LocalStore):
    """A folder whose blobs are only listed: made up, folder by folder."""

    def prepare(self, count: int) -> None:
        objects = np.arange(count + count // 10)
        objects = objects[(objects % 10 != 9) | (objects >= count)]
        # the first byte of a digest is the lowest of the product
        prefixes = ((objects.astype(np.uint64) * np.uint64(GOLDEN)) & np.uint64(255)).astype(np.uint8)
        self.objects = objects[np.argsort(prefixes, kind="stable")]
        self.ends = np.append(0, np.cumsum(np.bincount(prefixes, minlength=256)))
        self.spent_s = self.spent_cpu_s = 0.0

    def list(self, prefix: str, *, after: str | None = None) -> Iterator[ObjectInfo]:
        if not prefix.startswith("blobs/sha256/"):
            return super().list(prefix, after=after)
        began, began_cpu = time.perf_counter(), time.thread_time()
        if prefix == "blobs/sha256/":
            found = [one for shard in range(256) for one in self.shard(shard)]
        else:
            found = self.shard(int(prefix[-3:-1], 16))
        self.spent_s += time.perf_counter() - began
        self.spent_cpu_s += time.thread_time() - began_cpu
        return iter(found)

    def shard(self, number: int) -> list[ObjectInfo]:
        some = digests(self.objects[self.ends[number] : self.ends[number + 1]], b"").to_pylist()
        old = datetime(2020, 1, 1, tzinfo=UTC)
        return [ObjectInfo(f"blobs/sha256/{number:02x}/{one}", 10_000, None, old) for one in some]


def run(folder: str, count: int) -> None:
    store = Listed(Path(folder))
    store.prepare(count)
    phases: dict[str, float] = {}
    began, began_cpu = time.perf_counter(), time.process_time()

    def progress(what: str, _: int) -> None:
        phases.setdefault(what, time.perf_counter() - began)
        if what == "read":
            phases["read"] = time.perf_counter() - began

    report = collect(store, LAKE_ID, grace=0, keep_last=1, progress=progress)
    took, cpu = time.perf_counter() - began - store.spent_s, time.process_time() - began_cpu - store.spent_cpu_s
    history = report.reasons["history"]["blobs"]
    orphans = report.reasons["orphan"]["blobs"]
    # the shared entry of every ten refers to its neighbour's content
    assert (report.stored_blobs, orphans) == (count - count // 10 + count // 10, count // 10), report
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{count:>11,} entries, {report.stored_blobs:>11,} objects: {took:6.1f} s, CPU {cpu:6.1f} s "
        f"({cpu / count * 1e6:4.1f} s per million), of these read {phases['read']:5.1f} s; peak {peak:6,.0f} MiB; "
        f"history {history:,}, orphans {orphans:,}",
        flush=True,
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--make"]:
        make(sys.argv[2], int(sys.argv[3]))
    elif sys.argv[1:2] == ["--run"]:
        run(sys.argv[2], int(sys.argv[3]))
    else:
        for size in sys.argv[1:] or ["100000", "1000000", "3000000", "10000000"]:
            with tempfile.TemporaryDirectory(prefix="bench-gc-") as folder:
                for step in ("--make", "--run"):
                    subprocess.run([sys.executable, __file__, step, folder, size], check=True)

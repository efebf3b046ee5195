"""Rows dealt out to numbered shards, so that each is looked at by itself: memory is that of one shard."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lakefolio.format.arrow_rows import no_rows

__all__ = ["Shards"]


class Shards:
    """Rows dealt out to numbered shards, in memory or each in a temporary file."""

    def __init__(self, schema: pa.Schema, folder: Path | None, name: str) -> None:
        self._schema = schema
        self._folder = folder
        self._name = name
        self._held: dict[int, list[pa.Table]] = defaultdict(list)
        self._writers: dict[int, tuple[Any, Any]] = {}

    def _path(self, shard: int) -> Path:
        assert self._folder is not None
        return self._folder / f"{self._name}-{shard}"

    def deal(self, rows: pa.Table, numbers: Any) -> None:
        """Give each row to the shard of its number."""
        if not rows.num_rows:
            return
        rows = rows.cast(self._schema).combine_chunks()
        order = np.argsort(numbers, kind="stable")
        present, starts = np.unique(numbers[order], return_index=True)
        rows = rows.take(pa.array(order)) if len(present) > 1 else rows
        for shard, start, end in zip(present.tolist(), starts, [*starts[1:], len(order)], strict=True):
            some = rows.slice(start, end - start)
            if self._folder is None:
                self._held[shard].append(some)
                continue
            if shard not in self._writers:
                sink = pa.OSFile(str(self._path(shard)), "wb")
                self._writers[shard] = (sink, pa.ipc.new_stream(sink, self._schema))
            self._writers[shard][1].write_table(some)

    @property
    def numbers(self) -> set[int]:
        """The shards that have rows."""
        return {*self._held, *self._writers}

    def take(self, shard: int) -> pa.Table:
        """Return the rows of a shard and forget them."""
        if self._folder is None:
            parts = self._held.pop(shard, [])
            return pa.concat_tables(parts).combine_chunks() if parts else no_rows(self._schema)
        if shard not in self._writers:
            return no_rows(self._schema)
        self._end(shard)
        with pa.OSFile(str(self._path(shard)), "rb") as source:
            rows = pa.ipc.open_stream(source).read_all().combine_chunks()
        self._path(shard).unlink()
        return rows

    def _end(self, shard: int) -> None:
        sink, writer = self._writers.pop(shard)
        writer.close()
        sink.close()

    def close(self) -> None:
        """Close and remove the temporary files."""
        for shard in list(self._writers):
            self._end(shard)
        self._held.clear()

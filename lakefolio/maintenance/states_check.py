"""The rows that the read model ``run_states`` should have, made of a journal that is given part by part.

The state of a run follows from all rows about it. So they are dealt out by run, and folded run by run once all of the
journal has passed: memory is that of a shard.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.format.schema import MANIFESTS_SCHEMA
from lakefolio.maintenance.shards import Shards
from lakefolio.readmodels.merge import whole
from lakefolio.readmodels.run_states import READ_COLUMNS, READ_OPS, states_of

if TYPE_CHECKING:
    from lakefolio.views.row_hashes import RowHashes

__all__ = ["StatesCheck"]

_AT_ONCE_ROWS: Final = 20_000
_FINER: Final = 8
"""Rows with facts and inputs take more room than those of other shards."""


class StatesCheck:
    """Rows of the journal about runs, dealt out by run."""

    def __init__(self, hashes: RowHashes, folder: Path | None, count: int) -> None:
        self._hashes = hashes
        self._count = count * _FINER
        schema = pa.schema([MANIFESTS_SCHEMA.field(name) for name in READ_COLUMNS])
        self._shards = Shards(schema, folder, "of-runs")

    def add(self, rows: pa.Table) -> None:
        """Take rows of the journal."""
        about = pc.and_(pc.is_in(rows.column("op"), value_set=pa.array(READ_OPS)), pc.is_valid(rows.column("run_id")))
        rows = rows.select(READ_COLUMNS).filter(about)
        if rows.num_rows:
            (hashed,) = self._hashes.of(rows, ("run_id",))
            self._shards.deal(rows, (hashed.to_numpy() >> np.uint64(40)) % np.uint64(self._count))

    def states(self) -> Iterator[pa.Table]:
        """Yield the rows that the model should have, part by part. Called once, at the end."""
        for shard in sorted(self._shards.numbers):
            rows = self._shards.take(shard)
            rows = rows.sort_by([(name, "ascending") for name in ("run_id", "version", "ordinal")]).combine_chunks()
            codes = whole(rows.column("run_id")).dictionary_encode().indices.to_numpy()
            start = 0
            while start < rows.num_rows:
                last = min(start + _AT_ONCE_ROWS, rows.num_rows) - 1
                end = int(np.searchsorted(codes, codes[last], side="right"))  # no run in two parts
                yield states_of(rows.slice(start, end - start), lambda _: {})
                start = end

    def close(self) -> None:
        """Close and remove the temporary files."""
        self._shards.close()

"""The mark half of gc, out of core: what a journal of any length refers to, blob by blob.

Rows are read once, some columns of them, and partitioned by the name of their item. Each partition is marked by itself
(``reachability``), and its references are partitioned again, by the first two digits of the digest. So memory is that
of one partition, and cost grows with the rows. Beyond half a million rows the partitions lie in temporary files.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.delta.scan import scan
from lakefolio.format.schema import MANIFESTS_SCHEMA
from lakefolio.maintenance.reachability import (
    Keep,
    Reach,
    aliases_in,
    inline_history,
    judge,
    live_aliases,
    live_snapshots,
)
from lakefolio.maintenance.shards import Shards
from lakefolio.process.scratch import scratch_folder
from lakefolio.readmodels import bloom

if TYPE_CHECKING:
    import numpy.typing as npt

    from lakefolio.delta.table import DeltaTable
    from lakefolio.maintenance.reachability import Ints

__all__ = ["Marks"]

_COLUMNS: Final = (
    *("version", "ordinal", "committed_at", "op", "reason", "folio", "item", "entry_id"),
    *("storage", "blob_digest", "generation", "run_id", "size_bytes", "snapshot", "target_version"),
)
_ITEM_COLUMNS: Final = _COLUMNS[:13]
_ANNOTATED: Final = ["version", "ordinal", "op", "folio", "facts"]
_IN_MEMORY_ROWS: Final = 500_000
_SHARD_ROWS: Final = 200_000
_MOST_SHARDS: Final = 256
_PURGES: Final = pa.schema([("digest", pa.string()), ("generation", pa.int32())])
_REFERENCES: Final = pa.schema([*_PURGES, ("needed", pa.bool_()), ("inline_bytes", pa.int64()), ("since", pa.int64())])


class Marks:
    """The references to blobs in the journal at one version, shard by shard; a context manager.

    Attributes:
        version: The version that was looked at.
        row_count: The rows of the journal.
        committed_at: When that version was committed, or None for an empty lake.
        purged_inline: The inline content that was purged: digest -> highest generation.
        last_inline_purge: The newest version that purged some, -1 for none.
    """

    def __init__(self, table: DeltaTable, keep: Keep, progress: Callable[[int], None] = lambda count: None) -> None:
        """Read and mark a journal whose log has been read.

        Args:
            table: The journal's table; it is at the version that is looked at.
            keep: What retention keeps.
            progress: Called with the number of rows read so far.
        """
        self.version = table.version
        self.row_count = 0
        self.committed_at: Any = None
        self.purged_inline: dict[str, int] = {}
        self.last_inline_purge = -1
        expected = sum(file.row_count for file in table.files.listed)
        self._folder = None if expected <= _IN_MEMORY_ROWS else scratch_folder("lakefolio-gc-")
        shards = 1 if self._folder is None else min(_MOST_SHARDS, -(-expected // _SHARD_ROWS))
        self._by_digest = Shards(_REFERENCES, self._folder, "references")
        self._purges = Shards(_PURGES, self._folder, "purges")
        try:
            self._read(table, keep, shards, progress)
        except BaseException:
            self.close()
            raise

    def _read(self, table: DeltaTable, keep: Keep, shards: int, progress: Callable[[int], None]) -> None:
        schema = pa.schema([MANIFESTS_SCHEMA.field(name) for name in _ITEM_COLUMNS])
        by_name = Shards(schema, self._folder, "items")
        about_snapshots, about_folios = [], []
        for rows in scan(table, _COLUMNS if keep.everything else (*_COLUMNS, "facts")):
            op = rows.column("op")
            if not keep.everything:
                about_folios.append(rows.filter(pc.equal(op, "annotate")).select(_ANNOTATED))
                rows = rows.drop(["facts"])
            about_snapshots.append(rows.filter(_one_of(op, "snapshot", "drop_snapshot")))
            purges = rows.filter(pc.equal(op, "purge"))
            self._note(purges.filter(pc.equal(purges.column("storage"), "inline")))
            purges = purges.select(["blob_digest", "generation"])
            self._deal(self._purges, purges.rename_columns(["digest", "generation"]))
            telling = pc.or_(_one_of(op, "put", "delete"), pc.is_valid(rows.column("blob_digest")))
            of_items = rows.filter(pc.and_(telling, pc.not_equal(op, "purge"))).select(_ITEM_COLUMNS)
            by_name.deal(of_items, _spread(of_items, shards))
            if rows.num_rows:
                latest = pc.max(rows.column("committed_at")).as_py()
                self.committed_at = max(latest, self.committed_at or latest)
            self.row_count += rows.num_rows
            progress(self.row_count)
        order = [("version", "ascending"), ("ordinal", "ascending")]
        snapshots = live_snapshots(pa.concat_tables(about_snapshots).sort_by(order)) if about_snapshots else []
        noted = pa.concat_tables(about_folios) if about_folios else None
        noted = noted if noted is None else noted.take(pc.sort_indices(noted.select(["version", "ordinal"]), order))
        aliases = [] if noted is None else live_aliases(aliases_in(noted))
        for shard in range(shards):
            reach = Reach(by_name.take(shard).sort_by(order), keep, snapshots, aliases)
            self._deal(self._by_digest, reach.references())

    def _deal(self, shards: Shards, rows: pa.Table) -> None:
        """Partition rows by the first two digits of their digest; a malformed digest names no object."""
        digits = pc.utf8_slice_codeunits(pc.fill_null(rows.column("digest"), ""), 7, 9).combine_chunks()
        numbers = pc.fill_null(pc.index_in(digits, value_set=_PREFIXES), -1).to_numpy(zero_copy_only=False)
        rows = rows.set_column(1, "generation", pc.fill_null(rows.column("generation"), 0))
        if (numbers < 0).any():
            rows, numbers = rows.filter(pa.array(numbers >= 0)), numbers[numbers >= 0]
        shards.deal(rows, numbers)

    def _note(self, purges: pa.Table) -> None:
        """Take note of inline content that was purged."""
        for row in purges.select(["version", "blob_digest", "generation"]).to_pylist():
            if row["blob_digest"] is not None:
                self.note_inline_purge(row["blob_digest"], row["generation"] or 0, row["version"])

    def note_inline_purge(self, digest: str, generation: int, version: int) -> None:
        """Take note of inline content that was purged by a row of a version."""
        self.purged_inline[digest] = max(generation, self.purged_inline.get(digest, -1))
        self.last_inline_purge = max(version, self.last_inline_purge)

    def judge(self, prefix: str, digests: pa.Array, generations: Ints) -> tuple[npt.NDArray[np.int8], pa.Table]:
        """Judge the content of a shard. Each shard can be asked once.

        Args:
            prefix: The first two hex digits of all the digests.
            digests: ``sha256:<hex>`` of the objects.
            generations: Their generations.

        Returns:
            The verdict on each object, see :func:`reachability.judge`, and the inline content that nothing needs, see
            :func:`reachability.inline_history`.
        """
        number = int(prefix, 16)
        references, purges = self._by_digest.take(number), self._purges.take(number)
        return judge(references, purges, digests, generations), inline_history(references, purges)

    @property
    def prefixes(self) -> list[str]:
        """The shards of which rows refer to content, those that were not asked yet."""
        return [f"{number:02x}" for number in sorted(self._by_digest.numbers)]

    def close(self) -> None:
        """Remove the temporary files. Idempotent."""
        for shards in (self._by_digest, self._purges):
            shards.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Marks:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


_PREFIXES: Final = pa.array([f"{number:02x}" for number in range(256)])


def _one_of(column: pa.ChunkedArray, *values: str) -> pa.ChunkedArray:
    return pc.is_in(column, value_set=pa.array(values))


def _spread(rows: pa.Table, shards: int) -> Any:
    """Return a shard for each row, the same for all rows of an item."""
    if shards == 1:
        return np.zeros(rows.num_rows, np.int64)
    return bloom.hashes([pc.fill_null(rows.column(name), "") for name in ("folio", "item")]) % np.uint64(shards)

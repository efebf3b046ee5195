"""The contents that a state knows, and those of which gc purged the blobs (pure but for its base).

The methods of :class:`State` that ask for them. Each has two answers to combine, that of the rows in memory and that of
the base.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from lakefolio.format.schema import PURGEABLE
from lakefolio.model.entries import Entry, Stored, entry_from_row

if TYPE_CHECKING:
    from lakefolio.model.state import State

__all__ = ["blobs_put_since", "content", "generation", "is_purged", "purge_of", "purges"]


def content(state: State, /, digest: str, kind: str) -> Entry | None:
    """See StateView."""
    number = state.index.contents.get((kind, digest))
    if number is not None:
        entry: Entry | None = entry_from_row(state.rows.row(number))
    else:
        entry = None if state.base is None else state.base.newest_with(digest, kind)
    return None if entry is None or state.is_purged(entry) else entry


def generation(state: State, /, blob_digest: str) -> int:
    """See StateView."""
    before = 0 if state.base is None else state.base.generation(blob_digest)
    return max(before, state.index.purged.get(blob_digest, -1) + 1)


def is_purged(state: State, /, stored: Stored | Entry) -> bool:
    """See StateView."""
    return (
        stored.storage in PURGEABLE
        and stored.blob_digest is not None
        and max(stored.generation or 0, 0) < state.generation(stored.blob_digest)  # a negative one was forged
    )


def purges(state: State, /) -> pa.Table:
    """Return each blob that was purged, with the highest ``generation`` of it that was."""
    found = {} if state.base is None else state.base.purges()
    for digest, generation in state.index.purged.items():
        found[digest] = max(found.get(digest, -1), generation)
    columns = [pa.array(found.keys(), pa.string()), pa.array(found.values(), pa.int32())]
    return pa.table(columns, names=["blob_digest", "generation"])


def purge_of(state: State, /, blob_digest: str, generation: int) -> tuple[int, str | None] | None:
    """Return the version that purged a blob, and the reason, or None."""
    import pyarrow.compute as pc

    if state.base is not None and (found := state.base.purge_of(blob_digest, generation)) is not None:
        return found
    rows = state.rows.table().select(["version", "op", "blob_digest", "generation", "reason"])
    rows = rows.filter(pc.equal(rows.column("blob_digest"), blob_digest))
    for row in rows.to_pylist():
        if row["op"] == "purge" and (row["generation"] or 0) >= generation:
            return row["version"], row["reason"]
    return None


def blobs_put_since(state: State, /, version: int) -> set[tuple[str, int]]:
    """Return (digest, generation) of all content that rows above ``version`` need, whatever their op."""
    rows = state.rows_since(version).select(["op", "blob_digest", "generation"])
    columns = (column.to_pylist() for column in rows.columns)
    return {
        (digest, generation or 0) for op, digest, generation in zip(*columns, strict=True) if op != "purge" and digest
    }

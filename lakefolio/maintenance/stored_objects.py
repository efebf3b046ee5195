"""The entries whose objects a check reads: one for each object or reference, in a database that spills.

A lake of many blobs has as many such rows, of half a kilobyte each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from lakefolio.format.arrow_rows import dicts_of
from lakefolio.format.schema import MANIFESTS_SCHEMA
from lakefolio.model.entries import Entry, content_from_row
from lakefolio.views.workbench import Workbench

if TYPE_CHECKING:
    from lakefolio.model.state import State

__all__ = ["StoredObjects"]

_MEMORY_BYTES: Final = 128 << 20
_AT_ONCE: Final = 1_000
"""So many entries are Python values at once."""

_UNREAD: Final = ("content", "inputs", "facts")
"""The columns that a reader of content does not need."""
_SCHEMA: Final = pa.schema([field for field in MANIFESTS_SCHEMA if field.name not in _UNREAD])
_PLACE: Final = "version * 4294967296 + ordinal"


class StoredObjects:
    """The rows of entries with content outside of the journal, and of tables; a context manager. Not thread-safe."""

    def __init__(self) -> None:
        """Begin without rows."""
        self._bench = Workbench(_MEMORY_BYTES, few=True)
        self.clear()

    def __enter__(self) -> StoredObjects:
        return self

    def __exit__(self, *error: object) -> None:
        self._bench.close()

    def clear(self) -> None:
        """Forget all rows: they are going to be added anew."""
        with self._bench.part(_SCHEMA.empty_table()) as rows:
            self._bench.run(f"create or replace table stored as select *, {_PLACE} as place from {rows}")

    def add(self, rows: pa.Table) -> None:
        """Add rows of the journal, in their order; further columns are left out."""
        with self._bench.part(rows.select(_SCHEMA.names).cast(_SCHEMA)) as some:
            self._bench.run(f"insert into stored select *, {_PLACE} from {some}")

    def choose(self, state: State, sample: int | None) -> int:
        """Choose the first entry of each object and reference that was not purged, and return how many these are.

        Args:
            state: What was purged.
            sample: So many of them, by chance; all if None.
        """
        some = "" if sample is None else f"using sample reservoir({sample} rows)"
        with self._bench.part(state.purges()) as purged:
            self._bench.run(f"""
                create or replace table chosen as
                select place, row_number() over (order by place) - 1 as number from (
                    from (
                        select min(place) as place from stored as s
                        left join {purged} as p on s.blob_digest = p.blob_digest
                        where coalesce(s.generation, 0) > coalesce(p.generation, -1)
                        group by s.uri, s.digest, s.blob_digest, s.generation
                    ) {some}
                )""")
        return int(self._bench.run("select count(*) from chosen")[0][0])

    def __iter__(self) -> Iterator[Entry]:
        """Yield the chosen entries, in the order of the journal."""
        ends = self._bench.run(f"select min(place), max(place) from chosen group by number // {_AT_ONCE} order by 1")
        for first, last in ends:
            rows = self._bench.arrow(
                f"select {', '.join(_SCHEMA.names)} from stored semi join chosen using (place) "
                f"where place between {first} and {last} order by place"
            )
            for row in dicts_of(rows.cast(_SCHEMA)):
                entry = content_from_row(row)
                assert entry is not None, "all are rows that keep content"
                yield entry

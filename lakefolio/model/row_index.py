"""The rows of the journal in memory, and where to find in them what a state is asked for (pure: no I/O)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any, Final

import pyarrow as pa

from lakefolio.format.arrow_rows import RowLog, from_micros, values_of
from lakefolio.format.schema import MANIFESTS_SCHEMA
from lakefolio.model.entries import (
    Entry,
    RunInputEdge,
    Snapshot,
    edges_from_row,
    entries_from_rows,
    entry_from_row,
    facts_from_row,
    snapshot_from_row,
)
from lakefolio.model.persistent_map import PersistentMap
from lakefolio.model.run_rows import last_noted

__all__ = ["NOTHING", "RUNNING", "RowIndex", "numbers_of", "oldest"]

RUNNING: Final = '"running"'
"""The JSON text of a run's status while it goes on."""
NOTHING: PersistentMap[Any, Any] = PersistentMap()
_REPLAYED: Final = ("op", "folio", "item", "kind", "digest", "run_id")
_FEW_ITEMS: Final = 500
"""Up to so many, rows are read one by one: to import the function that takes some out of a table takes 50 ms."""
_head: Final = itemgetter(1)

Chain = tuple[int, "Chain | None"]
"""Numbers of rows, newest first: that of a row, and those before it."""


class RowIndex:
    """Rows of ``manifests`` in their order, with indexes over them. Immutable: further rows make another one.

    Two indexes share their common part. A thread reads one without a lock, and it never changes.

    Attributes:
        rows: The rows.
        committed_at: When the last of them was committed; None without rows.
        heads: Folio -> item -> the row that made the item live, by which items are in order, and that of its head.
        past: (folio, item) -> the rows that put or delete the item.
        contents: (kind, digest) -> the newest row that put such content.
        purged: Digest of a blob -> the highest generation of it that was purged.
        snapshots: (folio or None, name) -> the snapshot.
        dropped: The names of snapshots that were dropped, and not made again.
        notes: (kind, id) of the lake, a folio or a run -> the rows that say something of it.
        running: The runs whose status says so.
        sets_facts: Whether the last rows that were added say something of the lake or a folio.
    """

    __slots__ = (
        "committed_at",
        "contents",
        "dropped",
        "heads",
        "notes",
        "past",
        "purged",
        "rows",
        "running",
        "sets_facts",
        "snapshots",
    )

    def __init__(self) -> None:
        """Begin without rows."""
        self.rows = RowLog(MANIFESTS_SCHEMA)
        self.committed_at: datetime | None = None
        self.heads: PersistentMap[str, PersistentMap[str, tuple[int, int]]] = NOTHING
        self.past: PersistentMap[tuple[str, str], Chain] = NOTHING
        self.contents: PersistentMap[tuple[str, str], int] = NOTHING
        self.purged: PersistentMap[str, int] = NOTHING
        self.snapshots: PersistentMap[tuple[str | None, str], Snapshot] = NOTHING
        self.dropped: PersistentMap[tuple[str | None, str], bool] = NOTHING
        self.notes: PersistentMap[tuple[str, str], Chain] = NOTHING
        self.running: PersistentMap[str, bool] = NOTHING
        self.sets_facts = False

    def extended(self, rows: pa.Table, values: Sequence[Mapping[str, object]] | None = None) -> RowIndex:
        """Return the index of these rows and further ones, given in order.

        Args:
            rows: The rows.
            values: The same rows as Python values, if the caller has them: they need not be taken out of Arrow then.
        """
        index = RowIndex()
        index.rows = self.rows.appended(rows)
        replayed: Iterable[tuple[Any, ...]]
        if values is None:
            replayed = zip(*(rows.column(name).to_pylist() for name in _REPLAYED), strict=True)
        else:
            replayed = [tuple(map(row.get, _REPLAYED)) for row in values]
        heads: dict[str, dict[str, tuple[int, int] | None]] = {}
        past: dict[tuple[str, str], Chain] = {}
        contents: dict[tuple[str, str], int] = {}
        purged: dict[str, int] = {}
        snapshots: dict[tuple[str | None, str], Snapshot | None] = {}
        notes: dict[tuple[str, str], Chain] = {}
        runs = False
        none: dict[Any, Any] = {}  # a million rows are replayed in half the time where nothing can have been before
        known_heads, known_past, known_notes = (
            (self.heads, self.past, self.notes) if len(self.rows) else (none, none, none)
        )
        for number, (op, folio, item, kind, digest, run_id) in enumerate(replayed, start=len(self.rows)):
            if op in ("put", "delete"):
                if folio is None or item is None:
                    continue  # says nothing; `check` names it
                key = (folio, item)
                past[key] = (number, past.get(key) or known_past.get(key))
                items = heads.setdefault(folio, {})
                if op == "delete":
                    items[item] = None
                    continue
                head = items[item] if item in items else known_heads.get(folio, NOTHING).get(item)
                items[item] = (number if head is None else head[0], number)
                if digest:
                    contents[kind, digest] = number
            elif op == "snapshot":
                row = index.rows.row(number)
                if row["snapshot"] is not None and row["target_version"] is not None:
                    snapshots[folio, row["snapshot"]] = snapshot_from_row(row)
            elif op == "drop_snapshot":
                snapshots[folio, index.rows.value(number, "snapshot")] = None
            elif op == "annotate" or (op == "run" and run_id is not None):
                key = ("run", run_id) if op == "run" else ("lake", "") if folio is None else ("folio", folio)
                notes[key] = (number, notes.get(key) or known_notes.get(key))
                if op == "run":
                    runs = True
                else:
                    index.sets_facts = True
            elif op == "purge":
                blob = index.rows.value(number, "blob_digest")
                generation = index.rows.value(number, "generation") or 0
                if blob is not None:
                    purged[blob] = max(purged.get(blob, self.purged.get(blob, -1)), generation)
        index.heads = self.heads.updated(
            {folio: self.heads.get(folio, NOTHING).updated(items) for folio, items in heads.items()}
        )
        index.past = self.past.updated(past)
        index.contents = self.contents.updated(contents)
        index.purged = self.purged.updated(purged)
        index.snapshots = self.snapshots.updated(snapshots)
        index.dropped = self.dropped.updated({key: made is None or None for key, made in snapshots.items()})
        index.notes = self.notes.updated(notes)
        index.running = self.running
        if runs:
            last = last_noted(rows, "status")
            index.running = self.running.updated({one: text == RUNNING or None for one, text in last.items()})
        index.committed_at = self.committed_at
        if rows.num_rows:
            index.committed_at = from_micros(index.rows.micros(len(index.rows) - 1, "committed_at"))
        return index

    def numbers(self, folio: str) -> dict[str, int]:
        """Return the row of each live item of a folio that rows are about, in the order in which they were added."""
        items = self.heads.get(folio, NOTHING).items()
        return {item: number for item, (_, number) in sorted(items, key=_head)}

    def about(self, folio: str, item: str) -> Iterator[int]:
        """Give the numbers of the rows about an item, newest first."""
        return numbers_of(self.past.get((folio, item)))

    def entries_of(self, numbers: list[int]) -> list[Entry]:
        """Return the entries that rows put."""
        if len(numbers) < _FEW_ITEMS:
            return [entry_from_row(self.rows.row(number)) for number in numbers]
        return entries_from_rows(self.rows.table().take(numbers))

    def cells(self, numbers: list[int], columns: Sequence[str]) -> list[tuple[Any, ...]]:
        """Return some columns of rows; null is None."""
        if len(numbers) < _FEW_ITEMS:
            return [tuple(self.rows.value(number, name) for name in columns) for number in numbers]
        rows = self.rows.table().select(list(columns)).take(pa.array(numbers, pa.int64()))
        return list(zip(*map(values_of, rows.columns), strict=True))

    def noted(self, values: dict[str, str], kind: str, subject_id: str, version: int | None = None) -> dict[str, str]:
        """Return the facts of a subject, given those before the rows; only those up to a version if one is given."""
        for number in reversed(list(numbers_of(self.notes.get((kind, subject_id))))):
            if version is not None and self.rows.value(number, "version") > version:
                break
            for key, value in facts_from_row({"facts": self.rows.value(number, "facts")}):
                if value is None:
                    values.pop(key, None)
                else:
                    values[key] = value
        return values

    def inputs_of(self, run_id: str) -> list[RunInputEdge]:
        """Return the inputs of a run, oldest first, each with the version that told it."""
        return [
            {**edge, "version": self.rows.value(number, "version")}
            for number in reversed(list(numbers_of(self.notes.get(("run", run_id)))))
            for edge in edges_from_row({"inputs": self.rows.value(number, "inputs")})
        ]


def oldest(past: Chain) -> int:
    """Return the oldest number of a chain."""
    number, before = past
    while before is not None:
        number, before = before
    return number


def numbers_of(chain: Chain | None) -> Iterator[int]:
    """Give the numbers of rows, newest first."""
    while chain is not None:
        number, chain = chain
        yield number

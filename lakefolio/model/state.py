"""What the journal says at one version: the live items, the snapshots, the contents known (pure: no I/O).

Everything here is derived from ``manifests`` rows in their total order (version, ordinal) and can be derived again
from any prefix of them: the state at version V is the replay of the rows with ``version <= V`` (FORMAT.md, "As-of").
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from lakefolio.format.arrow_rows import RowLog, from_micros, to_micros
from lakefolio.format.schema import MANIFESTS_SCHEMA, PURGEABLE
from lakefolio.model.entries import (
    Entry,
    Snapshot,
    edges_from_row,
    entry_from_row,
    facts_from_row,
    snapshot_from_row,
)
from lakefolio.model.persistent_map import PersistentMap

if TYPE_CHECKING:
    from lakefolio.model.changes import Stored

__all__ = ["State"]


_REPLAYED = ("op", "folio", "item", "kind", "digest", "run_id")
_RUNNING = '"running"'


_NOTHING: PersistentMap[str, tuple[int, int]] = PersistentMap()
_head: Final = itemgetter(1)

Chain = tuple[int, "Chain | None"]
"""Numbers of rows, newest first: that of a row, and those before it."""


class State:
    """The replay of the journal up to ``version``. Immutable: what comes next makes another State.

    What two states have in common they share. A thread that holds one reads it without a lock, and it never moves.
    """

    __slots__ = (
        "_contents",
        "_heads",
        "_notes",
        "_past",
        "_purged",
        "_running",
        "_snapshots",
        "committed_at",
        "rows",
        "version",
    )

    def __init__(self, version: int = -1, committed_at: datetime | None = None) -> None:
        """Begin with no rows, at the time of the last commit below them."""
        self.version = version
        self.committed_at = committed_at
        self.rows = RowLog(MANIFESTS_SCHEMA)
        # live items: the row that made the item live, by which they are in order, and that of its head
        self._heads: PersistentMap[str, PersistentMap[str, tuple[int, int]]] = PersistentMap()
        self._past: PersistentMap[tuple[str, str], Chain] = PersistentMap()
        self._contents: PersistentMap[tuple[str, str], int] = PersistentMap()
        self._purged: PersistentMap[str, int] = PersistentMap()
        self._snapshots: PersistentMap[tuple[str | None, str], Snapshot] = PersistentMap()
        self._notes: PersistentMap[tuple[str, str], Chain] = PersistentMap()  # about the lake, each folio and each run
        self._running: PersistentMap[str, bool] = PersistentMap()  # the runs whose status says so

    def extended(self, rows: pa.Table, version: int, values: Sequence[Mapping[str, Any]] | None = None) -> State:
        """Return the state that further rows, given in order, lead to (compaction makes a version without rows).

        Args:
            rows: The rows.
            version: The version they lead to.
            values: The same rows as Python values, if the caller has them: they need not be taken out of Arrow then.
        """
        state = State(version, self.committed_at)
        state.rows = self.rows.appended(rows)
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
            (self._heads, self._past, self._notes) if len(self.rows) else (none, none, none)
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
                head = items[item] if item in items else known_heads.get(folio, _NOTHING).get(item)
                items[item] = (number if head is None else head[0], number)
                if digest:
                    contents[kind, digest] = number
            elif op == "snapshot":
                row = state.rows.row(number)
                if row["snapshot"] is not None and row["target_version"] is not None:
                    snapshots[folio, row["snapshot"]] = snapshot_from_row(row)
            elif op == "drop_snapshot":
                snapshots[folio, state.rows.value(number, "snapshot")] = None
            elif op == "annotate" or (op == "run" and run_id is not None):
                key = ("run", run_id) if op == "run" else ("lake", "") if folio is None else ("folio", folio)
                notes[key] = (number, notes.get(key) or known_notes.get(key))
                runs = runs or op == "run"
            elif op == "purge":
                blob = state.rows.value(number, "blob_digest")
                generation = state.rows.value(number, "generation") or 0
                if blob is not None:
                    purged[blob] = max(purged.get(blob, self._purged.get(blob, -1)), generation)
        state._heads = self._heads.updated(
            {folio: self._heads.get(folio, _NOTHING).updated(items) for folio, items in heads.items()}
        )
        state._past = self._past.updated(past)
        state._contents = self._contents.updated(contents)
        state._purged = self._purged.updated(purged)
        state._snapshots = self._snapshots.updated(snapshots)
        state._notes = self._notes.updated(notes)
        state._running = self._running
        if runs:
            last = _last_noted(rows, "status")
            state._running = self._running.updated({one: text == _RUNNING or None for one, text in last.items()})
        if rows.num_rows:
            state.committed_at = from_micros(state.rows.micros(len(state.rows) - 1, "committed_at"))
        return state

    def _numbers(self, folio: str) -> dict[str, int]:
        """Return the row of each live item of a folio, in the order in which they were added."""
        items = self._heads.get(folio, _NOTHING).items()
        return {item: number for item, (_, number) in sorted(items, key=_head)}

    # -- what is live -------------------------------------------------------------------------------------

    def entry(self, folio: str, item: str) -> Entry | None:
        """See View."""
        head = self._heads.get(folio, _NOTHING).get(item)
        return None if head is None else entry_from_row(self.rows.row(head[1]))

    def live(self, folio: str, item: str) -> bool:
        """See View."""
        return item in self._heads.get(folio, _NOTHING)

    def names(self, folio: str) -> list[str]:
        """See View."""
        return list(self._numbers(folio))

    def entries(self, folio: str) -> list[Entry]:
        """Return the live entries of a folio in the order of their first addition."""
        return self._entries_of(list(self._numbers(folio).values()))

    def listing(self, folio: str, columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
        """See View. Reads those columns instead of whole rows; null is None."""
        numbers = pa.array(list(self._numbers(folio).values()), pa.int64())
        rows = self.rows.table().select(list(columns)).take(numbers)
        return list(zip(*(column.to_pylist() for column in rows.columns), strict=True))

    def _entries_of(self, numbers: list[int]) -> list[Entry]:
        if len(numbers) < 32:
            return [entry_from_row(self.rows.row(number)) for number in numbers]
        return [entry_from_row(row) for row in self.rows.table().take(numbers).to_pylist()]

    def folios(self) -> list[str]:
        """See View."""
        return sorted(folio for folio, items in self._heads.items() if items)

    def content(self, digest: str, kind: str) -> Entry | None:
        """See View."""
        number = self._contents.get((kind, digest))
        if number is None:
            return None
        entry = entry_from_row(self.rows.row(number))
        return None if self.is_purged(entry) else entry

    def generation(self, blob_digest: str) -> int:
        """See View."""
        return self._purged.get(blob_digest, -1) + 1

    def is_purged(self, stored: Stored | Entry) -> bool:
        """See View."""
        return (
            stored.storage in PURGEABLE
            and stored.blob_digest is not None
            and max(stored.generation or 0, 0) < self.generation(stored.blob_digest)  # a negative one was forged
        )

    @property
    def purged(self) -> bool:
        """Whether any content was ever purged."""
        return bool(self._purged)

    def purge_of(self, blob_digest: str, generation: int) -> tuple[int, str | None] | None:
        """Return the version that gave a blob up, and why, or None."""
        import pyarrow.compute as pc

        rows = self.rows.table().select(["version", "op", "blob_digest", "generation", "reason"])
        rows = rows.filter(pc.equal(rows.column("blob_digest"), blob_digest))
        for row in rows.to_pylist():
            if row["op"] == "purge" and (row["generation"] or 0) >= generation:
                return row["version"], row["reason"]
        return None

    def blobs_put_since(self, version: int) -> set[tuple[str, int]]:
        """Return (digest, generation) of all content that rows above ``version`` need, whatever their op."""
        rows = self.rows.table().slice(self.row_count_at(version)).select(["op", "blob_digest", "generation"])
        columns = (column.to_pylist() for column in rows.columns)
        return {
            (digest, generation or 0)
            for op, digest, generation in zip(*columns, strict=True)
            if op != "purge" and digest
        }

    def snapshot(self, folio: str | None, name: str) -> Snapshot | None:
        """See View."""
        return self._snapshots.get((folio, name))

    def snapshots(self, folio: str | None = None) -> list[Snapshot]:
        """See View."""
        every = sorted(self._snapshots.values(), key=lambda one: (one.version, one.name))
        return [one for one in every if folio is None or one.folio == folio]

    # -- what is noted of the lake, of folios and of runs ------------------------------------------------------

    def metadata(self, kind: str, subject_id: str, version: int | None = None) -> dict[str, str]:
        """See View. Keys are in the order in which they were first set."""
        values: dict[str, str] = {}
        for number in reversed(list(_numbers_of(self._notes.get((kind, subject_id))))):
            if version is not None and self.rows.value(number, "version") > version:
                break
            for key, value in facts_from_row({"facts": self.rows.value(number, "facts")}):
                if value is None:
                    values.pop(key, None)
                else:
                    values[key] = value
        return values

    def run_inputs(self, run_id: str) -> list[dict[str, Any]]:
        """See View."""
        return [
            {**edge, "version": self.rows.value(number, "version")}
            for number in reversed(list(_numbers_of(self._notes.get(("run", run_id)))))
            for edge in edges_from_row({"inputs": self.rows.value(number, "inputs")})
        ]

    def runs_noting(self, key: str, text: str | None = None) -> list[str]:
        """Return the runs of which a fact was ever noted, in that order; ``text``: with this JSON text as its value."""
        return _noting(self.rows.table(), key, text)

    def running(self) -> dict[str, dict[str, str]]:
        """Return the runs whose status is ``running``, each with its facts; the cost is that of those runs alone."""
        return {run_id: self.metadata("run", run_id) for run_id in self._running}

    # -- the past -----------------------------------------------------------------------------------------

    def history(self, folio: str, item: str) -> list[Entry]:
        """Return every entry an item ever had, oldest first (deletions are left out)."""
        numbers = _numbers_of(self._past.get((folio, item)))
        return self._entries_of([number for number in numbers if self.rows.value(number, "op") == "put"][::-1])

    def entry_at(self, folio: str, item: str, version: int) -> Entry | None:
        """Return the entry of an item that was live at ``version``, or None."""
        for number in _numbers_of(self._past.get((folio, item))):
            if self.rows.value(number, "version") <= version:
                row = self.rows.row(number)
                return entry_from_row(row) if row["op"] == "put" else None
        return None

    def changes_of(self, folio: str, item: str) -> list[tuple[int, str]]:
        """Return the version and the op (``put`` or ``delete``) of every change of an item, newest first."""
        numbers = _numbers_of(self._past.get((folio, item)))
        return [(self.rows.value(number, "version"), self.rows.value(number, "op")) for number in numbers]

    def known(self, folio: str, item: str) -> bool:
        """Say whether an item exists or ever existed."""
        return (folio, item) in self._past

    def first_at(self) -> datetime | None:
        """Return when the first commit was made, or None for an empty lake."""
        return from_micros(self.rows.micros(0, "committed_at")) if len(self.rows) else None

    def version_at(self, when: datetime) -> int | None:
        """Return the last version committed at or before ``when``, or None before the first commit."""
        numbers = range(len(self.rows))
        count = bisect_right(numbers, to_micros(when), key=lambda number: self.rows.micros(number, "committed_at"))
        return None if count == 0 else int(self.rows.value(count - 1, "version"))

    def versions_up_to(self, version: int) -> int:
        """Return how many versions up to ``version`` have a commit. Looks through all rows."""
        return len(self._versions(version))

    def back(self, version: int, count: int) -> int | None:
        """Return the version ``count`` steps before ``version``, counting those with a commit, or None."""
        versions = self._versions(version)
        left = len(versions) - count
        return None if left < 0 else versions[left - 1].as_py() if left else 0

    def _versions(self, version: int) -> pa.Array:
        return self.rows.table(self.row_count_at(version)).column("version").unique()

    def time_of(self, version: int) -> datetime | None:
        """Return when the state at ``version`` was last changed."""
        count = self.row_count_at(version)
        return None if count == 0 else from_micros(self.rows.micros(count - 1, "committed_at"))

    def version_of(self, commit_id: str) -> int | None:
        """Return the version that carries a commit, or None. Looks through all rows."""
        import pyarrow.compute as pc

        rows = self.rows.table().select(["commit_id", "version"])
        number = pc.index(rows.column("commit_id"), commit_id).as_py()
        return None if number < 0 else int(rows.column("version")[number].as_py())

    def row_count_at(self, version: int) -> int:
        """Return how many rows the journal had at ``version``."""
        if version >= self.version:
            return len(self.rows)
        return bisect_right(range(len(self.rows)), version, key=lambda number: self.rows.value(number, "version"))

    def at(self, version: int) -> State:
        """Return the state as it was at ``version`` (a replay; cost linear in the rows up to there)."""
        return State().extended(self.rows.table(self.row_count_at(version)), version)

    def table(self) -> pa.Table:
        """Return the ``manifests`` rows in order, without copying."""
        return self.rows.table()


def _numbers_of(chain: Chain | None) -> Iterator[int]:
    """Give the numbers of rows, newest first."""
    while chain is not None:
        number, chain = chain
        yield number


def _noting(rows: pa.Table, key: str, text: str | None) -> list[str]:
    """Return the runs of which rows note a fact, in order; those with one value of it only, if that is given."""
    run_ids, values = _noted(rows, key)
    if text is not None:
        import pyarrow.compute as pc

        run_ids = run_ids.filter(pc.fill_null(pc.equal(values, text), False))
    return [run_id for run_id in run_ids.unique().to_pylist() if run_id is not None]


def _last_noted(rows: pa.Table, key: str) -> dict[str, str | None]:
    """Return the JSON text that rows note last of a fact of each run, None where they remove it."""
    run_ids, values = _noted(rows, key)
    return dict(zip(run_ids.to_pylist(), values.to_pylist(), strict=True))


def _noted(rows: pa.Table, key: str) -> tuple[pa.Array, pa.Array]:
    """Return the runs of which rows note a fact, and its JSON texts, in order."""
    import pyarrow.compute as pc

    rows = rows.select(["op", "run_id", "facts"])
    is_run = pc.and_(pc.equal(rows.column("op"), "run"), pc.is_valid(rows.column("run_id")))
    rows = rows.filter(is_run).combine_chunks()
    if not rows.num_rows:
        return pa.array([], pa.string()), pa.array([], pa.string())
    facts = rows.column("facts").chunk(0)
    flat, of_row = pc.list_flatten(facts), pc.list_parent_indices(facts)
    wanted = pc.fill_null(pc.equal(flat.field("key"), key), False)
    return rows.column("run_id").chunk(0).take(of_row.filter(wanted)), flat.field("value").filter(wanted)

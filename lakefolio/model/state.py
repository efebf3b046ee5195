"""The state of a lake at one version: live items, snapshots, known contents (pure but for its base).

Everything here follows from the ``manifests`` rows in their total order (version, ordinal): the state at version V is
the replay of the rows with ``version <= V`` (FORMAT.md, "As-of").

One long module: every question has two answers to combine, that of the rows in memory and that of the base.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from lakefolio.format.arrow_rows import RowLog, from_micros, to_micros
from lakefolio.format.schema import MANIFESTS_SCHEMA, PURGEABLE
from lakefolio.model.entries import (
    Entry,
    ItemPut,
    Snapshot,
    Stored,
    edges_from_row,
    entry_from_row,
    facts_from_row,
    snapshot_from_row,
)
from lakefolio.model.persistent_map import PersistentMap
from lakefolio.model.run_rows import joined_spans, last_noted, noting

if TYPE_CHECKING:
    from lakefolio.model.base_state import BaseState

__all__ = ["State"]


_REPLAYED: Final = ("op", "folio", "item", "kind", "digest", "run_id")
_RUNNING: Final = '"running"'
_PUT_COLUMNS: Final = [one for one in MANIFESTS_SCHEMA.names if one not in ("content", "snapshot", "target_version")]
_OF_FOLIO: Final = ("put", "delete", "annotate", "snapshot", "drop_snapshot")
_head: Final = itemgetter(1)
_NOTHING: PersistentMap[Any, Any] = PersistentMap()
_FEW_ITEMS: Final = 500
"""Up to so many, rows are read one by one: to import the function that takes some out of a table takes 50 ms."""
_MOST_FACTS = 1000
_MOST_ASKED = 5000

Chain = tuple[int, "Chain | None"]
"""Numbers of rows, newest first: that of a row, and those before it."""


class State:
    """The replay of the journal up to ``version``. Immutable: further rows make another State.

    Two states share their common part. A thread reads a state without a lock, and it never changes.
    A state may stand on a base, which answers for the rows up to some version; ``rows`` are then those since.
    """

    __slots__ = (
        "_asked",
        "_base",
        "_committed_at",
        "_contents",
        "_dropped",
        "_facts",
        "_heads",
        "_notes",
        "_past",
        "_purged",
        "_running",
        "_snapshots",
        "rows",
        "version",
    )

    def __init__(self, version: int = -1, committed_at: datetime | None = None, base: BaseState | None = None) -> None:
        """Begin with no rows but those of a base, at the time of the last commit below them."""
        self.version = version
        self._committed_at = committed_at
        self.rows = RowLog(MANIFESTS_SCHEMA)
        self._base = base
        # live items: the row that made the item live, by which they are in order, and that of its head
        self._heads: PersistentMap[str, PersistentMap[str, tuple[int, int]]] = _NOTHING
        self._past: PersistentMap[tuple[str, str], Chain] = _NOTHING
        self._contents: PersistentMap[tuple[str, str], int] = _NOTHING
        self._purged: PersistentMap[str, int] = _NOTHING
        self._snapshots: PersistentMap[tuple[str | None, str], Snapshot] = _NOTHING
        self._dropped: PersistentMap[tuple[str | None, str], bool] = _NOTHING
        self._notes: PersistentMap[tuple[str, str], Chain] = _NOTHING  # about the lake, each folio and each run
        self._running: PersistentMap[str, bool] = _NOTHING  # the runs whose status says so
        # what the lake and folios are known to say of themselves: states share it until one says something else
        self._facts: dict[tuple[str, str], Mapping[str, str]] = {}
        self._asked: dict[tuple[str, str], bool] = {}  # the last answers of the base whether a name is live

    def extended(self, rows: pa.Table, version: int, values: Sequence[Mapping[str, object]] | None = None) -> State:
        """Return the state that further rows, given in order, lead to (compaction makes a version without rows).

        Args:
            rows: The rows.
            version: The version they lead to.
            values: The same rows as Python values, if the caller has them: they need not be taken out of Arrow then.
        """
        state = State(version, self._committed_at, self._base)
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
        state._facts, state._asked = self._facts, self._asked
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
                if op == "run":
                    runs = True
                else:
                    state._facts = {}
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
        state._dropped = self._dropped.updated({key: made is None or None for key, made in snapshots.items()})
        state._notes = self._notes.updated(notes)
        state._running = self._running
        if runs:
            last = last_noted(rows, "status")
            state._running = self._running.updated({one: text == _RUNNING or None for one, text in last.items()})
        if rows.num_rows:
            state._committed_at = from_micros(state.rows.micros(len(state.rows) - 1, "committed_at"))
        return state

    @property
    def committed_at(self) -> datetime | None:
        """When the last commit was made, or None."""
        if self._committed_at is None and self._base is not None:
            return self._base.time_of(self._base.version)
        return self._committed_at

    @property
    def base_version(self) -> int:
        """The version up to which its base answers; -1 without one."""
        return -1 if self._base is None else self._base.version

    @property
    def base(self) -> BaseState | None:
        """The base that it stands on, or None."""
        return self._base

    def _numbers(self, folio: str) -> dict[str, int]:
        """Return the row of each live item of a folio that rows are about, in the order in which they were added."""
        items = self._heads.get(folio, _NOTHING).items()
        return {item: number for item, (_, number) in sorted(items, key=_head)}

    def _merged(self, folio: str, kept: Sequence[str]) -> dict[str, int | None]:
        """Return the live items of a folio in the order of their first addition, each with the number of its row.

        Args:
            folio: The folio.
            kept: The items that are live in the base, in their order. Their number is None if no row is about them.
        """
        heads = self._heads.get(folio, _NOTHING)
        merged: dict[str, int | None] = {}
        for item in kept:
            past = self._past.get((folio, item))
            if past is None:
                merged[item] = None
            elif (head := heads.get(item)) is not None and _oldest(past) == head[0]:
                merged[item] = head[1]  # it was put again before anything else: it went on to live
        for item, number in self._numbers(folio).items():
            merged.setdefault(item, number)
        return merged

    # -- live items ---------------------------------------------------------------------------------------

    def entry(self, folio: str, item: str) -> Entry | None:
        """See StateView."""
        head = self._heads.get(folio, _NOTHING).get(item)
        if head is not None:
            return entry_from_row(self.rows.row(head[1]))
        return None if self._base is None or (folio, item) in self._past else self._base.entry(folio, item)

    def entry_id(self, folio: str, item: str) -> str | None:
        """Return the id of the live entry of a name, or None. Of a row in memory nothing else is read."""
        head = self._heads.get(folio, _NOTHING).get(item)
        if head is not None:
            found: str | None = self.rows.value(head[1], "entry_id")
            return found
        row = None if self._base is None or (folio, item) in self._past else self._base.entry(folio, item)
        return None if row is None else row.entry_id

    def live(self, folio: str, item: str) -> bool:
        """See StateView."""
        if item in self._heads.get(folio, _NOTHING):
            return True
        key = (folio, item)
        if self._base is None or key in self._past:
            return False
        found = self._asked.get(key)  # who adds an item asks several times: before it is stored, and as it is planned
        if found is None:
            if len(self._asked) >= _MOST_ASKED:
                self._asked.clear()
            self._asked[key] = found = self._base.live(folio, item)
        return found

    def names(self, folio: str) -> list[str]:
        """See StateView."""
        if self._base is None:
            return list(self._numbers(folio))
        return list(self._merged(folio, self._base.heads_of(folio, ("item",)).column("item").to_pylist()))

    def entries(self, folio: str) -> list[Entry]:
        """Return the live entries of a folio in the order of their first addition."""
        return self._first_entries(folio, None)

    def _first_entries(self, folio: str, most: int | None) -> list[Entry]:
        if self._base is None:
            return self._entries_of(list(self._numbers(folio).values())[:most])
        heads = self._base.heads_of(folio)
        items = heads.column("item").to_pylist()
        merged = dict(islice(self._merged(folio, items).items(), most))
        if len(merged) < len(items):
            heads = heads.filter(pa.array([item in merged for item in items], pa.bool_()))
        return self._entries_from(heads, merged)

    def _entries_from(self, heads: pa.Table, merged: Mapping[str, int | None]) -> list[Entry]:
        """Return entries by the numbers of their rows, or by their rows in the base, in the order of ``merged``."""
        found = dict(zip(heads.column("item").to_pylist(), heads.to_pylist(), strict=True))
        return [entry_from_row(found[one] if at is None else self.rows.row(at)) for one, at in merged.items()]

    def entries_called(self, names: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Entry]:
        """Return the live entries of some names (folio, item), in their order."""
        base = [] if self._base is None else [one for one in names if one not in self._past]
        rows = self._base.heads_among(base).to_pylist() if self._base is not None and base else ()
        found = {(row["folio"], row["item"]): row for row in rows}
        for folio, item in names:
            if (head := self._heads.get(folio, _NOTHING).get(item)) is not None:
                found[folio, item] = self.rows.row(head[1])
        return {name: entry_from_row(found[name]) for name in names if name in found}

    def first_names(self, folio: str, most: int) -> list[str]:
        """Return the first ``most`` of :meth:`names`."""
        if self._base is None:
            return list(self._numbers(folio))[:most]
        return list(self._first(folio, most))

    def first_entries(self, folio: str, most: int) -> list[Entry]:
        """Return the first ``most`` of :meth:`entries`; of a large folio their rows are read, of others the names."""
        if self._base is None or not self._base.is_large(folio):
            return self._first_entries(folio, most)
        merged = self._first(folio, most)
        return self._entries_from(
            self._base.heads_among([(folio, item) for item, number in merged.items() if number is None]), merged
        )

    def _first(self, folio: str, most: int) -> dict[str, int | None]:
        """Return the first ``most`` of :meth:`_merged`, on a base."""
        assert self._base is not None
        items = self._base.heads_of(folio, ("item",)).column("item")
        if folio not in self._heads and not any(one == folio for one, _ in self._past):
            items = items.slice(0, most)
        return dict(islice(self._merged(folio, items.to_pylist()).items(), most))

    def listing(self, folio: str, columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
        """See StateView. Reads those columns instead of whole rows; null is None."""
        if self._base is None:
            numbers = list(self._numbers(folio).values())
            if len(numbers) < _FEW_ITEMS:
                return [tuple(self.rows.value(number, name) for name in columns) for number in numbers]
            rows = self.rows.table().select(list(columns)).take(pa.array(numbers, pa.int64()))
            return list(zip(*(column.to_pylist() for column in rows.columns), strict=True))
        heads = self._base.heads_of(folio, ("item", *columns))
        cells = zip(*(heads.column(name).to_pylist() for name in columns), strict=True)
        if folio not in self._heads:  # no row in memory is about it, be it of a delete
            return list(cells)
        items = heads.column("item").to_pylist()
        kept = dict(zip(items, cells, strict=True))
        return [
            kept[item] if number is None else tuple(self.rows.value(number, name) for name in columns)
            for item, number in self._merged(folio, items).items()
        ]

    def _entries_of(self, numbers: list[int]) -> list[Entry]:
        if len(numbers) < _FEW_ITEMS:
            return [entry_from_row(self.rows.row(number)) for number in numbers]
        return [entry_from_row(row) for row in self.rows.table().take(numbers).to_pylist()]

    def folios(self) -> list[str]:
        """See StateView."""
        found = {folio for folio, items in self._heads.items() if items}
        if self._base is not None:
            touched: dict[str, set[str]] = {}
            for folio, item in self._past:
                touched.setdefault(folio, set()).add(item)
            found |= {
                folio
                for folio in self._base.folios()
                if folio not in found and (folio not in touched or self._base.has_live(folio, touched[folio]))
            }
        return sorted(found)

    def content(self, digest: str, kind: str) -> Entry | None:
        """See StateView."""
        number = self._contents.get((kind, digest))
        if number is not None:
            entry: Entry | None = entry_from_row(self.rows.row(number))
        else:
            entry = None if self._base is None else self._base.newest_with(digest, kind)
        return None if entry is None or self.is_purged(entry) else entry

    def generation(self, blob_digest: str) -> int:
        """See StateView."""
        before = 0 if self._base is None else self._base.generation(blob_digest)
        return max(before, self._purged.get(blob_digest, -1) + 1)

    def is_purged(self, stored: Stored | Entry) -> bool:
        """See StateView."""
        return (
            stored.storage in PURGEABLE
            and stored.blob_digest is not None
            and max(stored.generation or 0, 0) < self.generation(stored.blob_digest)  # a negative one was forged
        )

    @property
    def purged(self) -> bool:
        """Whether any content was ever purged."""
        return bool(self._purged) or (self._base is not None and self._base.purged)

    def purges(self) -> pa.Table:
        """Return each blob that was purged, with the highest ``generation`` of it that was."""
        found = {} if self._base is None else self._base.purges()
        for digest, generation in self._purged.items():
            found[digest] = max(found.get(digest, -1), generation)
        columns = [pa.array(found.keys(), pa.string()), pa.array(found.values(), pa.int32())]
        return pa.table(columns, names=["blob_digest", "generation"])

    def purge_of(self, blob_digest: str, generation: int) -> tuple[int, str | None] | None:
        """Return the version that purged a blob, and the reason, or None."""
        import pyarrow.compute as pc

        if self._base is not None and (found := self._base.purge_of(blob_digest, generation)) is not None:
            return found
        rows = self.rows.table().select(["version", "op", "blob_digest", "generation", "reason"])
        rows = rows.filter(pc.equal(rows.column("blob_digest"), blob_digest))
        for row in rows.to_pylist():
            if row["op"] == "purge" and (row["generation"] or 0) >= generation:
                return row["version"], row["reason"]
        return None

    def blobs_put_since(self, version: int) -> set[tuple[str, int]]:
        """Return (digest, generation) of all content that rows above ``version`` need, whatever their op."""
        rows = self.rows_since(version).select(["op", "blob_digest", "generation"])
        columns = (column.to_pylist() for column in rows.columns)
        return {
            (digest, generation or 0)
            for op, digest, generation in zip(*columns, strict=True)
            if op != "purge" and digest
        }

    def snapshot(self, folio: str | None, name: str) -> Snapshot | None:
        """See StateView."""
        found = self._snapshots.get((folio, name))
        if found is not None or self._base is None or (folio, name) in self._dropped:
            return found
        return self._base.snapshot(folio, name)

    def snapshots(self, folio: str | None = None) -> list[Snapshot]:
        """See StateView."""
        every = dict(self._snapshots.items())
        if self._base is not None:
            kept = {(one.folio, one.name): one for one in self._base.snapshots(folio)}
            every = {key: one for key, one in kept.items() if key not in self._dropped} | every
        ordered = sorted(every.values(), key=lambda one: (one.version, one.name, one.folio or ""))
        return [one for one in ordered if folio is None or one.folio == folio]

    # -- metadata of the lake, of folios and of runs -----------------------------------------------------------

    def metadata(self, kind: str, subject_id: str, version: int | None = None) -> dict[str, str]:
        """See StateView. Keys are in the order in which they were first set."""
        values = {} if self._base is None else self._base.metadata(kind, subject_id, version)
        return self._noted_since(values, kind, subject_id, version)

    def facts(self, kind: str, subject_id: str) -> Mapping[str, str]:
        """See StateView. Every plan asks for the rules of its folios, which hardly any commit changes."""
        key = (kind, subject_id)
        if key in self._facts:
            return self._facts[key]
        found = self.metadata(kind, subject_id)
        if len(self._facts) < _MOST_FACTS:
            self._facts[key] = found
        return found

    def metadata_of_runs(self, run_ids: Collection[str]) -> dict[str, dict[str, str]]:
        """Return the metadata of runs, by their ids: in one read what ``metadata`` tells of each."""
        before = {} if self._base is None else self._base.metadata_of_runs(run_ids)
        return {run_id: self._noted_since(before.get(run_id, {}), "run", run_id) for run_id in run_ids}

    def _noted_since(
        self, values: dict[str, str], kind: str, subject_id: str, version: int | None = None
    ) -> dict[str, str]:
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
        """See StateView."""
        return self.inputs_of_runs([run_id])[run_id]

    def inputs_of_runs(self, run_ids: Collection[str]) -> dict[str, list[dict[str, Any]]]:
        """Return the inputs of runs, by their ids: in one read what ``run_inputs`` tells of each."""
        before = {} if self._base is None else self._base.inputs_of_runs(run_ids)
        return {run_id: before.get(run_id, []) + self._inputs_since(run_id) for run_id in run_ids}

    def _inputs_since(self, run_id: str) -> list[dict[str, Any]]:
        return [
            {**edge, "version": self.rows.value(number, "version")}
            for number in reversed(list(_numbers_of(self._notes.get(("run", run_id)))))
            for edge in edges_from_row({"inputs": self.rows.value(number, "inputs")})
        ]

    def runs_noting(self, key: str, texts: Collection[str] | None = None) -> list[str]:
        """Return the runs of which a fact was ever noted, in that order; ``texts``: with one of these JSON texts.

        Only keys by which runs are looked for: ``status``, ``memo`` and ``parent``.
        """
        before = [] if self._base is None else self._base.runs_noting(key, texts)
        return list(dict.fromkeys([*before, *noting(self.rows.table(), key, texts)]))

    def facts_of_runs(self, key: str) -> dict[str, str]:
        """Return the JSON text of one fact of every run that has it now; goes through the facts of all runs."""
        values = {} if self._base is None else self._base.facts_of_runs(key)
        for run_id, text in last_noted(self.rows.table(), key).items():
            if text is None:
                values.pop(run_id, None)
            else:
                values[run_id] = text
        return values

    def rows_about_runs(self, run_ids: Collection[str], columns: Sequence[str]) -> Iterator[pa.Table]:
        """Yield the ``manifests`` rows of ops ``run``, ``put`` and ``metrics`` about some runs, and others among them.

        Read are the parts of the journal from the first such row of a run to its last.

        Args:
            run_ids: The runs.
            columns: Only these; ``version`` and ``ordinal`` are added.
        """
        base = self.base_version
        for first, last in [] if self._base is None else joined_spans(self._base.spans_of_runs(run_ids)):
            yield from self.parts(columns, first - 1, min(last, base))
        yield from self.parts(columns, base)

    def runs_called(self, text: str) -> tuple[list[str], list[str]]:
        """Return the runs that a text names, and those whose id begins or ends with it, in no order."""
        named, alike = ([], []) if self._base is None else self._base.runs_called(text)
        rows = self.rows.table()
        named += [run_id for run_id, value in last_noted(rows, "name").items() if value is not None]
        alike += [one for one in noting(rows, "status") if one.startswith(text) or one.endswith(text)]
        return list(dict.fromkeys(named)), list(dict.fromkeys(alike))

    def newest_runs(self, count: int) -> list[str]:
        """Return some of the newest runs, the newest first as far as their ids tell."""
        since = list(reversed(noting(self.rows.table(), "status")))
        before = [] if self._base is None or len(since) >= count else self._base.newest_runs(count)
        return list(dict.fromkeys([*since, *before]))[:count]

    def running(self) -> dict[str, dict[str, str]]:
        """Return the runs whose status is ``running``, each with its facts; the cost is that of those runs alone."""
        before = [] if self._base is None else self._base.running_ids()
        facts = {run_id: self.metadata("run", run_id) for run_id in dict.fromkeys([*before, *self._running])}
        return {run_id: values for run_id, values in facts.items() if values.get("status") == _RUNNING}

    # -- the past -----------------------------------------------------------------------------------------

    def history(self, folio: str, item: str) -> list[Entry]:
        """Return every entry an item ever had, oldest first (deletions are left out)."""
        numbers = [number for number in self._about(folio, item) if self.rows.value(number, "op") == "put"]
        before = [] if self._base is None else self._base.history(folio, item)
        return before + self._entries_of(numbers[::-1])

    def puts(self, folio: str, item: str) -> list[ItemPut]:
        """See StateView."""
        numbers = [number for number in self._about(folio, item) if self.rows.value(number, "op") == "put"]
        before = [] if self._base is None else self._base.puts(folio, item)
        return before + [ItemPut(*(self.rows.value(one, name) for name in ItemPut._fields)) for one in numbers[::-1]]

    def entry_at(self, folio: str, item: str, version: int) -> Entry | None:
        """Return the entry of an item that was live at ``version``, or None."""
        for number in self._about(folio, item):
            if self.rows.value(number, "version") <= version:
                row = self.rows.row(number)
                return entry_from_row(row) if row["op"] == "put" else None
        return None if self._base is None else self._base.entry_at(folio, item, version)

    def _about(self, folio: str, item: str) -> Iterator[int]:
        """Give the numbers of the rows about an item, newest first."""
        return _numbers_of(self._past.get((folio, item)))

    def changes_of(self, folio: str, item: str) -> list[tuple[int, str]]:
        """Return the version and the op (``put`` or ``delete``) of the changes of an item, each once, newest first.

        A delete of an item that was not live may be left out.
        """
        own = [(self.rows.value(one, "version"), self.rows.value(one, "op")) for one in self._about(folio, item)]
        before = [] if self._base is None else self._base.changes_of(folio, item)[::-1]
        return list(dict.fromkeys([*own, *before]))

    def change_span(self, folio: str) -> tuple[int, int] | None:
        """Return the first and the last version that changed a folio or its metadata, or None."""
        import pyarrow.compute as pc

        found = None if self._base is None else self._base.change_span(folio)
        rows = self.rows.table().select(["folio", "op", "version"])
        ours = pc.and_kleene(
            pc.equal(rows.column("folio"), folio), pc.is_in(rows.column("op"), value_set=pa.array(_OF_FOLIO))
        )
        own = pc.min_max(rows.column("version").filter(ours)).as_py()
        if own["min"] is None:
            return found
        return (own["min"] if found is None else found[0], own["max"])

    def puts_of(self, names: Collection[tuple[str, str]]) -> pa.Table:
        """Return every row that put an item of some names (folio, item), without its content, in no order."""
        own = [
            one for name in names for one in _numbers_of(self._past.get(name)) if self.rows.value(one, "op") == "put"
        ]
        rows = self.rows.table().select(_PUT_COLUMNS).take(pa.array(own, pa.int64()))
        return rows if self._base is None else pa.concat_tables([_as_puts(self._base.puts_of(names)), rows])

    def heads_of(self, names: Collection[tuple[str, str]]) -> pa.Table:
        """Return the rows of the entries that are live among some names (folio, item), without content, in no order."""
        own = [head[1] for folio, item in names if (head := self._heads.get(folio, _NOTHING).get(item)) is not None]
        rows = self.rows.table().select(_PUT_COLUMNS).take(pa.array(own, pa.int64()))
        if self._base is None:
            return rows
        return pa.concat_tables(
            [_as_puts(self._base.heads_among([one for one in names if one not in self._past])), rows]
        )

    def live_count(self, folio: str | None = None) -> int | None:
        """Return how many items are live, in a folio or in all; None where that takes a look at all entries."""
        if folio is not None:
            return len(self.names(folio))
        return None if self._base is not None else sum(len(items) for _, items in self._heads.items())

    def known(self, folio: str, item: str) -> bool:
        """Say whether an item exists or ever existed."""
        return (folio, item) in self._past or (self._base is not None and self._base.known(folio, item))

    def first_at(self) -> datetime | None:
        """Return when the first commit was made, or None for an empty lake."""
        if self._base is not None and (found := self._base.first_at()) is not None:
            return found
        return from_micros(self.rows.micros(0, "committed_at")) if len(self.rows) else None

    def version_at(self, when: datetime) -> int | None:
        """Return the last version committed at or before ``when``, or None before the first commit."""
        numbers = range(len(self.rows))
        count = bisect_right(numbers, to_micros(when), key=lambda number: self.rows.micros(number, "committed_at"))
        if count == 0:
            return None if self._base is None else self._base.version_at(when)
        return int(self.rows.value(count - 1, "version"))

    def versions_up_to(self, version: int) -> int:
        """Return how many versions up to ``version`` have a commit."""
        before = 0 if self._base is None else self._base.versions_up_to(version)
        own = self.rows.table(self.row_count_at(version)).column("version")
        return before + len(own.unique())

    def back(self, version: int, count: int) -> int | None:
        """Return the version ``count`` steps before ``version``, counting those with a commit, or None."""
        own = self.rows.table(self.row_count_at(version)).column("version").unique().to_pylist()
        if count < len(own):
            return int(own[len(own) - count - 1])
        if self._base is None:
            return 0 if count == len(own) else None
        return self._base.back(version, count - len(own))

    def time_of(self, version: int) -> datetime | None:
        """Return when the state at ``version`` was last changed."""
        count = self.row_count_at(version)
        if count == 0:
            return None if self._base is None else self._base.time_of(version)
        return from_micros(self.rows.micros(count - 1, "committed_at"))

    def version_of(self, commit_id: str) -> int | None:
        """Return the version that carries a commit, or None. Looks through all rows."""
        import pyarrow.compute as pc

        rows = self.rows.table().select(["commit_id", "version"])
        number = pc.index(rows.column("commit_id"), commit_id).as_py()
        if number < 0:
            return None if self._base is None else self._base.version_of(commit_id)
        return int(rows.column("version")[number].as_py())

    def row_count_at(self, version: int) -> int:
        """Return how many of ``rows`` there were at ``version``."""
        if version >= self.version:
            return len(self.rows)
        return bisect_right(range(len(self.rows)), version, key=lambda number: self.rows.value(number, "version"))

    def at(self, version: int) -> State:
        """Return the state as it was at ``version`` (a replay; cost linear in the rows since the base, if any)."""
        if self._base is None:
            return State().extended(self.rows.table(self.row_count_at(version)), version)
        base = self._base.at(min(version, self._base.version))
        return State(version, base=base).extended(self.rows.table(self.row_count_at(version)), version)

    def on(self, base: BaseState) -> State:
        """Return the same state standing on a base, whose version it has reached."""
        return State(self.version, self._committed_at, base).extended(self.rows_since(base.version), self.version)

    def rows_since(self, version: int) -> pa.Table:
        """Return the ``manifests`` rows above ``version`` in order; without copying, if it is not below the base's."""
        own = self.rows.table()
        if self._base is not None and version < self._base.version:
            return pa.concat_tables([*self._base.parts(MANIFESTS_SCHEMA.names, version), own])
        return own.slice(self.row_count_at(version))

    def parts(
        self, columns: Sequence[str], after: int = -1, upto: int | None = None, *, newest_first: bool = False
    ) -> Iterator[pa.Table]:
        """Yield the ``manifests`` rows above a version, in order, part by part: never all of a journal lies in memory.

        Inline content is in them as far as it is at hand.

        Args:
            columns: Only these; ``version`` and ``ordinal`` are added.
            after: The version.
            upto: The last version; all by default.
            newest_first: Yield the parts in falling order; rows within a part rise in any case.
        """
        names = [name for name in MANIFESTS_SCHEMA.names if name in {*columns, "version", "ordinal"}]
        first = self.row_count_at(after)
        count = None if upto is None else max(self.row_count_at(upto) - first, 0)
        own = self.rows.table().slice(first, count).select(names)
        if newest_first and own.num_rows:
            yield own
        if self._base is not None and after < self._base.version:
            yield from self._base.parts(names, after, upto, newest_first=newest_first)
        if not newest_first and own.num_rows:
            yield own


def _as_puts(rows: pa.Table) -> pa.Table:
    """Return rows of entries as the rows of ``manifests`` that put them."""
    rows = rows.append_column("op", pa.array(["put"] * rows.num_rows, pa.string()))
    return rows.select(_PUT_COLUMNS).cast(pa.schema([MANIFESTS_SCHEMA.field(name) for name in _PUT_COLUMNS]))


def _oldest(past: Chain) -> int:
    number, before = past
    while before is not None:
        number, before = before
    return number


def _numbers_of(chain: Chain | None) -> Iterator[int]:
    """Give the numbers of rows, newest first."""
    while chain is not None:
        number, chain = chain
        yield number

"""The state of a lake at one version: live items, snapshots, known contents (pure but for its base).

Everything here follows from the ``manifests`` rows in their total order (version, ordinal): the state at version V is
the replay of the rows with ``version <= V`` (FORMAT.md, "As-of"). ``row_index`` replays them; the questions to a state
about contents, about facts and about the past are functions of the modules beside this one, bound in the class.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefolio.format.arrow_rows import values_of
from lakefolio.format.schema import MANIFESTS_SCHEMA
from lakefolio.model import state_contents, state_facts, state_past
from lakefolio.model.entries import Entry, Snapshot, entries_from_rows, entry_from_row
from lakefolio.model.row_index import NOTHING, RowIndex, oldest

if TYPE_CHECKING:
    from lakefolio.model.base_state import BaseState
    from lakefolio.model.totals import Total

__all__ = ["State"]

_MOST_FACTS = 1000
_MOST_ASKED = 5000


class State:
    """The replay of the journal up to ``version``. Immutable: further rows make another State.

    Two states share their common part. A thread reads a state without a lock, and it never changes.
    A state may stand on a base, which answers for the rows up to some version; ``rows`` are then those since.

    Attributes:
        version: The version.
        base: The base that it stands on, or None.
        rows: The rows in memory.
        index: The same rows, to be looked up.
    """

    __slots__ = ("_asked", "_committed_at", "_facts", "base", "index", "rows", "version")

    def __init__(self, version: int = -1, committed_at: datetime | None = None, base: BaseState | None = None) -> None:
        """Begin with no rows but those of a base, at the time of the last commit below them."""
        self.version = version
        self._committed_at = committed_at
        self.base = base
        self.index = RowIndex()
        self.rows = self.index.rows
        # what the lake and folios are known to say of themselves: states share it until one says something else
        self._facts: dict[tuple[str, str], Mapping[str, str]] = {}
        self._asked: dict[tuple[str, str], bool] = {}  # the last answers of the base whether a name is live

    def extended(self, rows: pa.Table, version: int, values: Sequence[Mapping[str, object]] | None = None) -> State:
        """Return the state that further rows, given in order, lead to (compaction makes a version without rows).

        Args:
            rows: The rows.
            version: The version they lead to.
            values: As for ``RowIndex.extended``.
        """
        state = State(version, self._committed_at, self.base)
        state.index = index = self.index.extended(rows, values)
        state.rows = index.rows
        if not index.sets_facts:
            state._facts = self._facts
        state._asked = self._asked
        return state

    @property
    def committed_at(self) -> datetime | None:
        """When the last commit was made, or None."""
        last = self.index.committed_at or self._committed_at
        return self.base.time_of(self.base.version) if last is None and self.base is not None else last

    @property
    def base_version(self) -> int:
        """The version up to which its base answers; -1 without one."""
        return -1 if self.base is None else self.base.version

    def row_count_at(self, version: int) -> int:
        """Return how many of ``rows`` there were at ``version``."""
        if version >= self.version:
            return len(self.rows)
        return bisect_right(range(len(self.rows)), version, key=lambda number: self.rows.value(number, "version"))

    def at(self, version: int) -> State:
        """Return the state as it was at ``version`` (a replay; cost linear in the rows since the base, if any)."""
        if self.base is None:
            return State().extended(self.rows.table(self.row_count_at(version)), version)
        base = self.base.at(min(version, self.base.version))
        return State(version, base=base).extended(self.rows.table(self.row_count_at(version)), version)

    def on(self, base: BaseState) -> State:
        """Return the same state standing on a base, whose version it has reached."""
        return State(self.version, self.index.committed_at or self._committed_at, base).extended(
            self.rows_since(base.version), self.version
        )

    def rows_since(self, version: int) -> pa.Table:
        """Return the ``manifests`` rows above ``version`` in order; without copying, if it is not below the base's."""
        own = self.rows.table()
        if self.base is not None and version < self.base.version:
            return pa.concat_tables([*self.base.parts(MANIFESTS_SCHEMA.names, version), own])
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
        if self.base is not None and after < self.base.version:
            yield from self.base.parts(names, after, upto, newest_first=newest_first)
        if not newest_first and own.num_rows:
            yield own

    # -- live items ---------------------------------------------------------------------------------------

    def entry(self, folio: str, item: str) -> Entry | None:
        """See StateView."""
        head = self.index.heads.get(folio, NOTHING).get(item)
        if head is not None:
            return entry_from_row(self.rows.row(head[1]))
        return None if self.base is None or (folio, item) in self.index.past else self.base.entry(folio, item)

    def entry_id(self, folio: str, item: str) -> str | None:
        """Return the id of the live entry of a name, or None. Of a row in memory nothing else is read."""
        head = self.index.heads.get(folio, NOTHING).get(item)
        if head is not None:
            found: str | None = self.rows.value(head[1], "entry_id")
            return found
        row = None if self.base is None or (folio, item) in self.index.past else self.base.entry(folio, item)
        return None if row is None else row.entry_id

    def live(self, folio: str, item: str) -> bool:
        """See StateView."""
        if item in self.index.heads.get(folio, NOTHING):
            return True
        key = (folio, item)
        if self.base is None or key in self.index.past:
            return False
        found = self._asked.get(key)  # who adds an item asks several times: before it is stored, and as it is planned
        if found is None:
            if len(self._asked) >= _MOST_ASKED:
                self._asked.clear()
            self._asked[key] = found = self.base.live(folio, item)
        return found

    def names(self, folio: str) -> list[str]:
        """See StateView."""
        if self.base is None:
            return list(self.index.numbers(folio))
        return list(self._merged(folio, self.base.heads_of(folio, ("item",)).column("item").to_pylist()))

    def _merged(self, folio: str, kept: Sequence[str]) -> dict[str, int | None]:
        """Return the live items of a folio in the order of their first addition, each with the number of its row.

        Args:
            folio: The folio.
            kept: The items that are live in the base, in their order. Their number is None if no row is about them.
        """
        heads = self.index.heads.get(folio, NOTHING)
        merged: dict[str, int | None] = {}
        for item in kept:
            past = self.index.past.get((folio, item))
            if past is None:
                merged[item] = None
            elif (head := heads.get(item)) is not None and oldest(past) == head[0]:
                merged[item] = head[1]  # it was put again before anything else: it went on to live
        for item, number in self.index.numbers(folio).items():
            merged.setdefault(item, number)
        return merged

    def entries(self, folio: str) -> list[Entry]:
        """Return the live entries of a folio in the order of their first addition."""
        return self._first_entries(folio, None)

    def _first_entries(self, folio: str, most: int | None) -> list[Entry]:
        if self.base is None:
            return self.index.entries_of(list(self.index.numbers(folio).values())[:most])
        heads = self.base.heads_of(folio)
        items = heads.column("item").to_pylist()
        merged = dict(islice(self._merged(folio, items).items(), most))
        if len(merged) < len(items):
            heads = heads.filter(pa.array([item in merged for item in items], pa.bool_()))
        return self._entries_from(heads, merged)

    def _entries_from(self, heads: pa.Table, merged: Mapping[str, int | None]) -> list[Entry]:
        """Return entries by the numbers of their rows, or by their rows in the base, in the order of ``merged``."""
        found = {one.item: one for one in entries_from_rows(heads)}
        return [found[one] if at is None else entry_from_row(self.rows.row(at)) for one, at in merged.items()]

    def entries_called(self, names: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Entry]:
        """Return the live entries of some names (folio, item), in their order."""
        base = [] if self.base is None else [one for one in names if one not in self.index.past]
        rows = entries_from_rows(self.base.heads_among(base)) if self.base is not None and base else ()
        found = {(one.folio, one.item): one for one in rows}
        for folio, item in names:
            if (head := self.index.heads.get(folio, NOTHING).get(item)) is not None:
                found[folio, item] = entry_from_row(self.rows.row(head[1]))
        return {name: found[name] for name in names if name in found}

    def first_names(self, folio: str, most: int) -> list[str]:
        """Return the first ``most`` of :meth:`names`."""
        if self.base is None:
            return list(self.index.numbers(folio))[:most]
        return list(self._first(folio, most))

    def first_entries(self, folio: str, most: int) -> list[Entry]:
        """Return the first ``most`` of :meth:`entries`; of a large folio their rows are read, of others the names."""
        if self.base is None or not self.base.is_large(folio):
            return self._first_entries(folio, most)
        merged = self._first(folio, most)
        return self._entries_from(
            self.base.heads_among([(folio, item) for item, number in merged.items() if number is None]), merged
        )

    def _first(self, folio: str, most: int) -> dict[str, int | None]:
        """Return the first ``most`` of :meth:`_merged`, on a base."""
        assert self.base is not None
        items = self.base.heads_of(folio, ("item",)).column("item")
        if folio not in self.index.heads and not any(one == folio for one, _ in self.index.past):
            items = items.slice(0, most)
        return dict(islice(self._merged(folio, items.to_pylist()).items(), most))

    def listing(self, folio: str, columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
        """See StateView. Reads those columns instead of whole rows; null is None."""
        if self.base is None:
            return self.index.cells(list(self.index.numbers(folio).values()), columns)
        heads = self.base.heads_of(folio, ("item", *columns))
        cells = zip(*(values_of(heads.column(name)) for name in columns), strict=True)
        if folio not in self.index.heads:  # no row in memory is about it, be it of a delete
            return list(cells)
        items = heads.column("item").to_pylist()
        kept = dict(zip(items, cells, strict=True))
        return [
            kept[item] if number is None else tuple(self.rows.value(number, name) for name in columns)
            for item, number in self._merged(folio, items).items()
        ]

    def folios(self) -> list[str]:
        """See StateView."""
        found = {folio for folio, items in self.index.heads.items() if items}
        if self.base is not None:
            touched: dict[str, set[str]] = {}
            for folio, item in self.index.past:
                touched.setdefault(folio, set()).add(item)
            found |= {
                folio
                for folio in self.base.folios()
                if folio not in found and (folio not in touched or self.base.has_live(folio, touched[folio]))
            }
        return sorted(found)

    def totals(self) -> dict[str, Total]:
        """Return what each folio holds that has a live item, sorted by name.

        Of items that rows in memory are about the base is asked what they were, all at once.
        """
        from lakefolio.model.totals import changes_in, replayed

        changes = changes_in(self.rows.table())
        before = {} if self.base is None else self.base.totals()
        names = {(folio, item) for _, folio, item, *_ in changes if folio in before}
        heads = self.base.sizes_among(names) if self.base is not None and names else {}
        found = before | {folio: total for folio, (total, _) in replayed(changes, heads, before).items()}
        return {folio: found[folio] for folio in sorted(found) if found[folio].item_count}

    # -- contents and snapshots -----------------------------------------------------------------------------

    content = state_contents.content
    generation = state_contents.generation
    is_purged = state_contents.is_purged
    purges = state_contents.purges
    purge_of = state_contents.purge_of
    blobs_put_since = state_contents.blobs_put_since

    @property
    def purged(self) -> bool:
        """Whether any content was ever purged."""
        return bool(self.index.purged) or (self.base is not None and self.base.purged)

    def snapshot(self, folio: str | None, name: str) -> Snapshot | None:
        """See StateView."""
        found = self.index.snapshots.get((folio, name))
        if found is not None or self.base is None or (folio, name) in self.index.dropped:
            return found
        return self.base.snapshot(folio, name)

    def snapshots(self, folio: str | None = None) -> list[Snapshot]:
        """See StateView."""
        every = dict(self.index.snapshots.items())
        if self.base is not None:
            kept = {(one.folio, one.name): one for one in self.base.snapshots(folio)}
            every = {key: one for key, one in kept.items() if key not in self.index.dropped} | every
        ordered = sorted(every.values(), key=lambda one: (one.version, one.name, one.folio or ""))
        return [one for one in ordered if folio is None or one.folio == folio]

    # -- facts of the lake, of folios and of runs ---------------------------------------------------------

    metadata = state_facts.metadata

    def facts(self, kind: str, subject_id: str) -> Mapping[str, str]:
        """See StateView. Every plan asks for the rules of its folios, which hardly any commit changes."""
        key = (kind, subject_id)
        if key in self._facts:
            return self._facts[key]
        found = self.metadata(kind, subject_id)
        if len(self._facts) < _MOST_FACTS:
            self._facts[key] = found
        return found

    metadata_of_runs = state_facts.metadata_of_runs
    run_inputs = state_facts.run_inputs
    inputs_of_runs = state_facts.inputs_of_runs
    runs_noting = state_facts.runs_noting
    facts_of_runs = state_facts.facts_of_runs
    rows_about_runs = state_facts.rows_about_runs
    runs_called = state_facts.runs_called
    newest_runs = state_facts.newest_runs
    running = state_facts.running

    # -- the past -----------------------------------------------------------------------------------------

    history = state_past.history
    puts = state_past.puts
    users = state_past.users
    entry_at = state_past.entry_at
    changes_of = state_past.changes_of
    change_span = state_past.change_span
    puts_of = state_past.puts_of
    heads_of = state_past.heads_of
    live_count = state_past.live_count
    known = state_past.known
    first_at = state_past.first_at
    version_at = state_past.version_at
    versions_up_to = state_past.versions_up_to
    back = state_past.back
    time_of = state_past.time_of
    version_of = state_past.version_of

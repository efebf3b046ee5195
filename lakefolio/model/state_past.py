"""The past of a state: the entries that items had, and the versions of a lake with their times (pure but for its base).

The methods of :class:`State` that ask for it. Each has two answers to combine, that of the rows in memory and that of
the base.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from lakefolio.format.arrow_rows import from_micros, to_micros
from lakefolio.format.schema import MANIFESTS_SCHEMA
from lakefolio.model.entries import Entry, ItemPut, entry_from_row
from lakefolio.model.row_index import NOTHING, numbers_of

if TYPE_CHECKING:
    from lakefolio.model.state import State

__all__ = [
    "back",
    "change_span",
    "changes_of",
    "entry_at",
    "first_at",
    "heads_of",
    "history",
    "known",
    "live_count",
    "puts",
    "puts_of",
    "time_of",
    "users",
    "version_at",
    "version_of",
    "versions_up_to",
]

_PUT_COLUMNS: Final = [one for one in MANIFESTS_SCHEMA.names if one not in ("content", "snapshot", "target_version")]
_OF_FOLIO: Final = ("put", "delete", "annotate", "snapshot", "drop_snapshot")


def history(state: State, /, folio: str, item: str) -> list[Entry]:
    """Return every entry an item ever had, oldest first (deletions are left out)."""
    numbers = [number for number in state.index.about(folio, item) if state.rows.value(number, "op") == "put"]
    before = [] if state.base is None else state.base.history(folio, item)
    return before + state.index.entries_of(numbers[::-1])


def puts(state: State, /, folio: str, item: str) -> list[ItemPut]:
    """See StateView."""
    numbers = [number for number in state.index.about(folio, item) if state.rows.value(number, "op") == "put"]
    before = [] if state.base is None else state.base.puts(folio, item)
    return before + [ItemPut(*(state.rows.value(one, name) for name in ItemPut._fields)) for one in numbers[::-1]]


def users(state: State, /, folio: str, item: str) -> list[tuple[str, str]]:
    """See StateView."""
    import pyarrow.compute as pc

    used = [one.entry_id for one in puts(state, folio, item)]
    found: dict[tuple[str, str], None] = {}
    if state.base is not None and used:
        edges = state.base.edges([("entry", one) for one in used], by_input=True)
        ends = ("output_folio", "output_item", "output_id", "input_folio", "input_item")
        for of_folio, of_item, entry_id, *named in zip(*(edges.column(end).to_pylist() for end in ends), strict=True):
            name = (of_folio, of_item)
            is_live = None not in name and name not in state.index.past and state.entry_id(*name) == entry_id
            if is_live and named == [folio, item]:
                found[name] = None
    inputs = state.rows.table().column("inputs").combine_chunks()
    edges = pc.list_flatten(inputs)
    is_used = pc.is_in(pc.struct_field(edges, "input_id"), value_set=pa.array(used, pa.string()))
    for end, value in (("input_folio", folio), ("input_item", item)):
        is_used = pc.and_kleene(is_used, pc.equal(pc.struct_field(edges, end), value))
    for number in pc.list_parent_indices(inputs).filter(is_used).unique().to_pylist():
        name = (state.rows.value(number, "folio"), state.rows.value(number, "item"))
        if state.index.heads.get(name[0], NOTHING).get(name[1], (number, -1))[1] == number:
            found[name] = None
    return list(found)


def entry_at(state: State, /, folio: str, item: str, version: int) -> Entry | None:
    """Return the entry of an item that was live at ``version``, or None."""
    for number in state.index.about(folio, item):
        if state.rows.value(number, "version") <= version:
            row = state.rows.row(number)
            return entry_from_row(row) if row["op"] == "put" else None
    return None if state.base is None else state.base.entry_at(folio, item, version)


def changes_of(state: State, /, folio: str, item: str) -> list[tuple[int, str]]:
    """Return the version and the op (``put`` or ``delete``) of the changes of an item, each once, newest first.

    A delete of an item that was not live may be left out.
    """
    own = [(state.rows.value(one, "version"), state.rows.value(one, "op")) for one in state.index.about(folio, item)]
    before = [] if state.base is None else state.base.changes_of(folio, item)[::-1]
    return list(dict.fromkeys([*own, *before]))


def change_span(state: State, /, folio: str) -> tuple[int, int] | None:
    """Return the first and the last version that changed a folio or its metadata, or None."""
    import pyarrow.compute as pc

    found = None if state.base is None else state.base.change_span(folio)
    rows = state.rows.table().select(["folio", "op", "version"])
    ours = pc.and_kleene(
        pc.equal(rows.column("folio"), folio), pc.is_in(rows.column("op"), value_set=pa.array(_OF_FOLIO))
    )
    own = pc.min_max(rows.column("version").filter(ours)).as_py()
    if own["min"] is None:
        return found
    return (own["min"] if found is None else found[0], own["max"])


def puts_of(state: State, /, names: Collection[tuple[str, str]]) -> pa.Table:
    """Return every row that put an item of some names (folio, item), without its content, in no order."""
    own = [
        one for name in names for one in numbers_of(state.index.past.get(name)) if state.rows.value(one, "op") == "put"
    ]
    rows = state.rows.table().select(_PUT_COLUMNS).take(pa.array(own, pa.int64()))
    return rows if state.base is None else pa.concat_tables([_as_puts(state.base.puts_of(names)), rows])


def heads_of(state: State, /, names: Collection[tuple[str, str]]) -> pa.Table:
    """Return the rows of the entries that are live among some names (folio, item), without content, in no order."""
    own = [head[1] for folio, item in names if (head := state.index.heads.get(folio, NOTHING).get(item)) is not None]
    rows = state.rows.table().select(_PUT_COLUMNS).take(pa.array(own, pa.int64()))
    if state.base is None:
        return rows
    return pa.concat_tables(
        [_as_puts(state.base.heads_among([one for one in names if one not in state.index.past])), rows]
    )


def live_count(state: State, /, folio: str | None = None) -> int | None:
    """Return how many items are live, in a folio or in all; None where that takes a look at all entries."""
    if folio is not None:
        return len(state.names(folio))
    return None if state.base is not None else sum(len(items) for _, items in state.index.heads.items())


def known(state: State, /, folio: str, item: str) -> bool:
    """Say whether an item exists or ever existed."""
    return (folio, item) in state.index.past or (state.base is not None and state.base.known(folio, item))


def first_at(state: State, /) -> datetime | None:
    """Return when the first commit was made, or None for an empty lake."""
    if state.base is not None and (found := state.base.first_at()) is not None:
        return found
    return from_micros(state.rows.micros(0, "committed_at")) if len(state.rows) else None


def version_at(state: State, /, when: datetime) -> int | None:
    """Return the last version committed at or before ``when``, or None before the first commit."""
    numbers = range(len(state.rows))
    count = bisect_right(numbers, to_micros(when), key=lambda number: state.rows.micros(number, "committed_at"))
    if count == 0:
        return None if state.base is None else state.base.version_at(when)
    return int(state.rows.value(count - 1, "version"))


def versions_up_to(state: State, /, version: int) -> int:
    """Return how many versions up to ``version`` have a commit."""
    before = 0 if state.base is None else state.base.versions_up_to(version)
    own = state.rows.table(state.row_count_at(version)).column("version")
    return before + len(own.unique())


def back(state: State, /, version: int, count: int) -> int | None:
    """Return the version ``count`` steps before ``version``, counting those with a commit, or None."""
    own = state.rows.table(state.row_count_at(version)).column("version").unique().to_pylist()
    if count < len(own):
        return int(own[len(own) - count - 1])
    if state.base is None:
        return 0 if count == len(own) else None
    return state.base.back(version, count - len(own))


def time_of(state: State, /, version: int) -> datetime | None:
    """Return when the state at ``version`` was last changed."""
    count = state.row_count_at(version)
    if count == 0:
        return None if state.base is None else state.base.time_of(version)
    return from_micros(state.rows.micros(count - 1, "committed_at"))


def version_of(state: State, /, commit_id: str) -> int | None:
    """Return the version that carries a commit, or None. Looks through all rows."""
    import pyarrow.compute as pc

    rows = state.rows.table().select(["commit_id", "version"])
    number = pc.index(rows.column("commit_id"), commit_id).as_py()
    if number < 0:
        return None if state.base is None else state.base.version_of(commit_id)
    return int(rows.column("version")[number].as_py())


def _as_puts(rows: pa.Table) -> pa.Table:
    """Return rows of entries as the rows of ``manifests`` that put them."""
    rows = rows.append_column("op", pa.array(["put"] * rows.num_rows, pa.string()))
    return rows.select(_PUT_COLUMNS).cast(pa.schema([MANIFESTS_SCHEMA.field(name) for name in _PUT_COLUMNS]))

"""How rows of the journal become rows of each read model (pure: no I/O).

Each function here takes rows of ``manifests`` in order and returns the rows of one model, unsorted.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import reduce
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.format.schema import INPUT_TYPE
from lakefolio.model.totals import Size, Total, changes_in, size_of
from lakefolio.readmodels.keys import Key, whole
from lakefolio.readmodels.merge import same_key_as_next, settled, sorted_rows
from lakefolio.readmodels.model import POSITION, REMOVED, Model
from lakefolio.readmodels.models import (
    COMMITS,
    CONTENTS,
    ENTRIES,
    FOLDED,
    FOLIOS,
    LINEAGE,
    METADATA,
    MODELS,
    PURGES,
    RUN_FACTS,
    RUNNING,
    SNAPSHOTS,
    USES,
)
from lakefolio.readmodels.run_states import RUN_STATES, states_of
from lakefolio.readmodels.totals import TOTALS, totals_rows

__all__ = ["Before", "fold", "source_of"]

_CONTIGUOUS_ROWS: Final = 100_000
"""Up to so many rows are made contiguous to be folded: those of small commits lie in as many pieces."""

_RUN_KEYS: Final = ("status", "memo", "parent")
_RUNNING: Final = '"running"'


def _where(rows: pa.Table, ops: tuple[str, ...], *present: str) -> pa.Table:
    mask = pc.is_in(rows.column("op"), value_set=pa.array(ops))
    for name in present:
        mask = pc.and_(mask, pc.is_valid(rows.column(name)))
    count = pc.sum(mask).as_py() or 0
    return rows.filter(mask) if 0 < count < rows.num_rows else rows.slice(0, count)  # often all of them, or none


def _fitted(rows: pa.Table, model: Model, **columns: object) -> pa.Table:
    """Return rows of the journal with the columns of a model; those that neither has are null."""
    arrays = []
    for field in model.schema:
        if field.name in columns:
            arrays.append(columns[field.name])
        elif field.name in rows.schema.names:
            arrays.append(rows.column(field.name))
        else:
            arrays.append(pa.nulls(rows.num_rows, field.type))
    return pa.Table.from_arrays(arrays, schema=model.schema)


def _entries(rows: pa.Table) -> pa.Table:
    rows = _where(rows, ("put", "delete"), "folio", "item")
    return _fitted(rows, ENTRIES, **{REMOVED: pc.equal(rows.column("op"), "delete")})


def _contents(rows: pa.Table) -> pa.Table:
    return _fitted(_where(rows, ("put",), "folio", "item", "digest", "kind"), CONTENTS)


def _purges(rows: pa.Table) -> pa.Table:
    return _fitted(_where(rows, ("purge",), "blob_digest"), PURGES)


def _commits(rows: pa.Table) -> pa.Table:
    # no group_by: it imports 0.6 s of modules, and the rows of a commit lie one behind the other
    found = rows.select(["version", "commit_id", "committed_at"]).combine_chunks()
    later, before = found.slice(1), found.slice(0, max(found.num_rows - 1, 0))
    same = [pc.equal(later.column(name), before.column(name)) for name in ("version", "commit_id")]
    first = pa.chunked_array([pa.array([True] * min(found.num_rows, 1), pa.bool_()), *pc.invert(pc.and_(*same)).chunks])
    found = found.filter(first)
    return pa.Table.from_arrays([found.column(name) for name in COMMITS.schema.names], schema=COMMITS.schema)


def _snapshots(rows: pa.Table) -> pa.Table:
    removed = _where(rows, ("drop_snapshot",), "snapshot")
    made = _where(rows, ("snapshot",), "snapshot", "target_version")
    found = pa.concat_tables([removed, made])
    flags = {REMOVED: pc.equal(found.column("op"), "drop_snapshot")}
    return _fitted(found, SNAPSHOTS, scope=pc.fill_null(found.column("folio"), ""), **flags)


def _lineage(rows: pa.Table) -> pa.Table:
    rows, inputs, places = _exploded(rows, "inputs")
    is_put = pc.equal(rows.column("op"), "put")
    columns = {
        "output_kind": pc.if_else(is_put, "entry", "run"),
        "output_id": pc.if_else(is_put, rows.column("entry_id"), rows.column("run_id")),
        "output_folio": rows.column("folio"),
        "output_item": rows.column("item"),
        "place": places,
        **{field.name: inputs.field(field.name) for field in INPUT_TYPE},
    }
    return _present(rows, LINEAGE, columns, "output_id")


def _uses(edges: pa.Table) -> pa.Table:
    """Return edges with their inputs as columns of the order."""
    columns = {"source_kind": edges.column("input_kind"), "source": source_of(edges)}
    return _present(edges, USES, columns, "source_kind", "source")


def source_of(edges: pa.Table) -> Any:
    """Return the ids of the inputs of edges; an external one has its URI."""
    one, uri = edges.column("input_id"), edges.column("input_uri")
    return pc.if_else(pc.equal(edges.column("input_kind"), "external"), pc.coalesce(uri, one), pc.coalesce(one, uri))


def _metadata(rows: pa.Table) -> pa.Table:
    rows, facts, places = _exploded(rows, "facts")
    op, value = rows.column("op"), facts.field("value")
    is_put, is_run = pc.equal(op, "put"), pc.equal(op, "run")
    names = pc.if_else(pc.is_valid(rows.column("folio")), "folio", "lake")
    noted = pc.if_else(is_run, rows.column("run_id"), pc.fill_null(rows.column("folio"), ""))
    columns = {
        "subject_kind": pc.if_else(is_put, "entry", pc.if_else(is_run, "run", names)),
        "subject_id": pc.if_else(is_put, rows.column("entry_id"), noted),
        "place": places,
        "key": facts.field("key"),
        "value": value,
        "value_number": facts.field("value_number"),
        REMOVED: pc.is_null(value),
    }
    return _present(rows, METADATA, columns, "subject_id", "key")


def _exploded(rows: pa.Table, column: str) -> tuple[pa.Table, Any, Any]:
    """Return for each member of a list column its row, the member, and its place in the list.

    An entry that is put again (a restore, an archive) says the same again: only the first row that puts it counts.
    """
    rows = rows.filter(pc.greater(pc.fill_null(pc.list_value_length(rows.column(column)), 0), 0))
    rows = _where(rows, ("put", "run", "annotate"))
    rows = rows.filter(pa.array(_first_puts(rows))).combine_chunks()
    lists = whole(rows.column(column))
    of_row = pc.list_parent_indices(lists)
    numbers = of_row.to_numpy(zero_copy_only=False)
    lengths = pc.list_value_length(lists).to_numpy(zero_copy_only=False)
    starts = np.cumsum(lengths) - lengths
    places = pa.array((np.arange(len(numbers)) - starts[numbers]).astype(np.int32))
    return rows.take(of_row), pc.list_flatten(lists), places


def _first_puts(rows: pa.Table) -> Any:
    ids = whole(pc.if_else(pc.equal(rows.column("op"), "put"), rows.column("entry_id"), None))
    codes = pc.fill_null(ids.dictionary_encode().indices, -1).to_numpy(zero_copy_only=False)
    first = codes < 0
    first[np.unique(codes, return_index=True)[1]] = True
    return first


def _present(rows: pa.Table, model: Model, columns: Mapping[str, Any], *names: str) -> pa.Table:
    """Return the rows that have some columns: a row written by hand may name no subject."""
    mask = reduce(pc.and_, (pc.is_valid(columns[name]) for name in names))
    fitted = {name: column.filter(mask) for name, column in columns.items()}
    return _fitted(rows.filter(mask), model, **fitted)


def _run_facts(rows: pa.Table) -> pa.Table:
    rows, facts, places = _exploded(_where(rows, ("run",), "run_id"), "facts")
    key, value = facts.field("key"), pc.fill_null(facts.field("value"), "")  # a removal is a fact, too
    asked = pc.if_else(pc.is_in(key, value_set=pa.array(_RUN_KEYS)), key, None)
    return _present(rows, RUN_FACTS, {"key": asked, "value": value, "place": places}, "key")


def _running(rows: pa.Table) -> pa.Table:
    rows, facts, places = _exploded(_where(rows, ("run",), "run_id"), "facts")
    status = pc.if_else(pc.equal(facts.field("key"), "status"), pc.fill_null(facts.field("value"), ""), None)
    return _present(
        rows, RUNNING, {"place": places, "status": status, REMOVED: pc.not_equal(status, _RUNNING)}, "status"
    )


_FOLDS: Final = {
    "entries": _entries,
    "contents": _contents,
    "purges": _purges,
    "commits": _commits,
    "snapshots": _snapshots,
    "lineage": _lineage,
    "uses": _lineage,
    "metadata": _metadata,
    "run_facts": _run_facts,
    "running": _running,
}

_LISTS: Final = {
    "lineage": "inputs",
    "uses": "inputs",
    "metadata": "facts",
    "run_facts": "facts",
    "running": "facts",
}
"""The column whose members are the rows of a model."""


class Before(Protocol):
    """What older runs say, for rows that come after them."""

    def head_row(self, model: Model, key: Key) -> Mapping[str, Any] | None:
        """Return the row of a key that holds, or None."""
        ...

    def present(self, model: Model, keys: Collection[Key]) -> Collection[Key]:
        """Return those of some beginnings of keys, all as long, that any row's key has."""
        ...

    def has_live(self, folio: str, besides: Collection[str]) -> bool:
        """Say whether a folio has a live item that is none of some."""
        ...

    def totals(self, folios: Collection[str]) -> Mapping[str, Total]:
        """Return what each of some folios holds that has a live item."""
        ...

    def run_states(self, run_ids: Collection[str]) -> Mapping[str, Mapping[str, Any]]:
        """Return the rows of ``run_states`` of some runs, by their ids."""
        ...


def fold(
    rows: pa.Table, before: Before, names: Collection[str] | None = None, *, linked: bool = True
) -> dict[str, pa.Table]:
    """Return the runs that rows of the journal make: the name of a model -> its rows, sorted and settled.

    Args:
        rows: Rows of ``manifests`` in their order, which follow those that older runs hold.
        before: The older runs.
        names: Only these models.
        linked: Whether rows name the heads in older runs that they replace. Merging them with all older runs clears
            these names.
    """
    heads = _Heads(before)
    rows = rows.select(FOLDED)
    if rows.num_rows <= _CONTIGUOUS_ROWS:
        rows = rows.combine_chunks()
    runs = {}
    for model in MODELS if names is None else (one for one in MODELS if one.name in names):
        column = _LISTS.get(model.name)
        if column is not None and not pc.sum(pc.list_value_length(rows.column(column))).as_py():
            runs[model.name] = model.nothing
            continue
        if model is FOLIOS:
            found = _folios(rows, before, heads)
        elif model is TOTALS:
            found = _totals(rows, before, heads)
        else:
            found = states_of(rows, before.run_states) if model is RUN_STATES else _FOLDS[model.name](rows)
        if model in (LINEAGE, METADATA, USES):
            found = _without_known(found, LINEAGE if model is USES else model, before)
        found = sorted_rows(_uses(found) if model is USES else found, model)
        found = settled(found, model)
        runs[model.name] = _linked(found, model, heads) if linked else found
    return runs


def _without_known(rows: pa.Table, model: Model, before: Before) -> pa.Table:
    """Leave out the rows of entries that were put before."""
    subjects = list(zip(*(rows.column(name).to_pylist() for name in model.key[:2]), strict=True))
    known = before.present(model, {one for one in subjects if one[0] == "entry"})
    return rows.filter(pa.array([one not in known for one in subjects], pa.bool_())) if known else rows


class _Heads:
    """The rows that hold before a fold, as far as it asks for them: entries are asked for several models."""

    def __init__(self, before: Before) -> None:
        self._before = before
        self._entries: dict[Key, tuple[Key, Size] | None] = {}

    def position(self, model: Model, key: Key) -> Key | None:
        """Return the position of the row of a key."""
        if model is ENTRIES:
            entry = self._entry(key)
            return None if entry is None else entry[0]
        row = self._before.head_row(model, key)
        return None if row is None else tuple(row[name] for name in model.position)

    def size(self, folio: str, item: str) -> Size | None:
        """Return the size of an item."""
        entry = self._entry((folio, item))
        return None if entry is None else entry[1]

    def _entry(self, key: Key) -> tuple[Key, Size] | None:
        if key not in self._entries:
            row = self._before.head_row(ENTRIES, key)
            self._entries[key] = None if row is None else (tuple(row[name] for name in POSITION), size_of(row))
        return self._entries[key]


def _linked(rows: pa.Table, model: Model, heads: _Heads) -> pa.Table:
    """Return settled rows that name the heads in older runs that they replace: the first row of each key does."""
    if not model.succeeding or not rows.num_rows:
        return rows
    first = np.flatnonzero(~np.insert(same_key_as_next(rows, model), 0, False))
    keys = zip(*(rows.column(name).take(pa.array(first)).to_pylist() for name in model.key), strict=True)
    found = [heads.position(model, key) for key in keys]
    for place, name in enumerate(model.replaces):
        values = np.full(rows.num_rows, -1, np.int64)
        values[first] = [-1 if position is None else position[place] for position in found]
        column = pa.array(values, mask=values < 0)
        rows = rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), column)
    return rows


def _totals(rows: pa.Table, before: Before, heads: _Heads) -> pa.Table:
    changes = changes_in(rows)
    totals = before.totals({folio for _, folio, *_ in changes})
    names = {(folio, item) for _, folio, item, *_ in changes if folio in totals}
    sizes = {name: size for name in names if (size := heads.size(*name)) is not None}
    return totals_rows(changes, sizes, totals)


def _folios(rows: pa.Table, before: Before, heads: _Heads) -> pa.Table:
    """Return a row for each time that a folio came to have a live item, and a removed one for each time it lost all."""
    changes = _where(rows, ("put", "delete"), "folio", "item").select([*POSITION, "op", "folio", "item"]).to_pylist()
    touched: dict[str, set[str]] = {}
    emptied = set()
    for row in changes:
        touched.setdefault(row["folio"], set()).add(row["item"])
        if row["op"] == "delete":
            emptied.add(row["folio"])
    was_live = {folio: heads.position(FOLIOS, (folio,)) is not None for folio in touched}
    live: dict[str, set[str]] = {
        folio: {item for item in touched[folio] if heads.position(ENTRIES, (folio, item)) is not None}
        for folio in touched
        if folio in emptied and was_live[folio]
    }
    # others of the folio are live throughout: nothing here can empty it
    settled_folios = {folio for folio in live if before.has_live(folio, touched[folio])}
    found = []
    for row in changes:
        folio, removed = row["folio"], row["op"] == "delete"
        if folio in settled_folios or (folio not in emptied and was_live[folio]):
            continue
        items = live.setdefault(folio, set())
        was = bool(items)
        (items.discard if removed else items.add)(row["item"])
        if was != bool(items):
            found.append({name: row[name] for name in ("folio", *POSITION)} | {REMOVED: removed})
    return pa.Table.from_pylist(found, schema=FOLIOS.schema)

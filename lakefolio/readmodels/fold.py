"""The read models of a lake, and how rows of the journal become rows of each (pure: no I/O).

Every function here takes rows of ``manifests`` in their order and returns what they say to one model, unsorted.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.format.schema import MANIFESTS_SCHEMA
from lakefolio.readmodels.merge import Key, same_key_as_next, settled, sorted_rows
from lakefolio.readmodels.model import POSITION, REMOVED, Model, succession

__all__ = ["COMMITS", "CONTENTS", "ENTRIES", "FOLIOS", "MODELS", "PURGES", "SNAPSHOTS", "Before", "fold"]

_LEFT_OUT: Final = {"op", "snapshot", "target_version", "inputs", "facts"}


def _taken(*names: str) -> list[pa.Field]:
    return [MANIFESTS_SCHEMA.field(name).with_nullable(True) for name in names]


def _required(*names: str) -> list[pa.Field]:
    return [MANIFESTS_SCHEMA.field(name).with_nullable(False) for name in names]


_ENTRY_KEYS: Final = ("folio", "item", *POSITION)

ENTRIES: Final = Model(
    name="entries",
    schema=pa.schema(
        [
            *_required(*_ENTRY_KEYS),
            *_taken(*(name for name in MANIFESTS_SCHEMA.names if name not in {*_ENTRY_KEYS, *_LEFT_OUT})),
            *succession(POSITION),
        ]
    ),
    key=("folio", "item"),
    filtered=2,
    succeeding=True,
    searched=("entry_id", "digest"),
)
"""One row per entry that ever was the head of a name."""

FOLIOS: Final = Model(
    name="folios",
    schema=pa.schema([*_required("folio", *POSITION), *succession(POSITION)]),
    key=("folio",),
    filtered=1,
    succeeding=True,
)
"""One row each time that a folio came to have a live item."""

CONTENTS: Final = Model(
    name="contents",
    schema=pa.schema([*_required("digest", "kind", *POSITION), *_required("folio", "item")]),
    key=("digest", "kind"),
    filtered=2,
)
"""One row per entry with a digest: where content is already stored."""

PURGES: Final = Model(
    name="purges",
    schema=pa.schema([*_required("blob_digest", *POSITION), *_taken("generation", "reason")]),
    key=("blob_digest",),
    filtered=1,
)
"""One row per ``purge``."""

COMMITS: Final = Model(
    name="commits",
    schema=pa.schema([*_required("version", "commit_id", "committed_at")]),
    key=(),
    position=("version", "commit_id"),
    searched=("commit_id",),
)
"""One row per commit of a version."""

SNAPSHOTS: Final = Model(
    name="snapshots",
    schema=pa.schema(
        [
            pa.field("scope", pa.string(), nullable=False),
            *_required("snapshot", *POSITION),
            *_taken("folio", "target_version", "committed_at", "author", "description", "tags", "extra"),
            *succession(POSITION),
        ]
    ),
    key=("scope", "snapshot"),
    filtered=2,
    succeeding=True,
)
"""One row per snapshot that ever was; ``scope`` is its folio, empty for the lake."""

MODELS: Final = (ENTRIES, FOLIOS, CONTENTS, PURGES, COMMITS, SNAPSHOTS)


def _where(rows: pa.Table, ops: tuple[str, ...], *present: str) -> pa.Table:
    mask = pc.is_in(rows.column("op"), value_set=pa.array(ops))
    for name in present:
        mask = pc.and_(mask, pc.is_valid(rows.column(name)))
    return rows.filter(mask)


def _fitted(rows: pa.Table, model: Model, **columns: Any) -> pa.Table:
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
    found = rows.select(["version", "commit_id", "committed_at"])
    found = found.group_by(["version", "commit_id"], use_threads=False).aggregate([("committed_at", "first")])
    return pa.Table.from_arrays([found.column(name) for name in ("version", "commit_id", "committed_at_first")], schema=COMMITS.schema)


def _snapshots(rows: pa.Table) -> pa.Table:
    removed = _where(rows, ("drop_snapshot",), "snapshot")
    made = _where(rows, ("snapshot",), "snapshot", "target_version")
    found = pa.concat_tables([removed, made])
    flags = {REMOVED: pc.equal(found.column("op"), "drop_snapshot")}
    return _fitted(found, SNAPSHOTS, scope=pc.fill_null(found.column("folio"), ""), **flags)


_FOLDS: Final = {
    "entries": _entries,
    "contents": _contents,
    "purges": _purges,
    "commits": _commits,
    "snapshots": _snapshots,
}
_BY_NAME: Final = {model.name: model for model in MODELS}


class Before(Protocol):
    """What older runs say, for rows that come after them."""

    def head(self, model: Model, key: Key) -> Key | None:
        """Return the position of the row of a key that holds, or None."""
        ...

    def has_live(self, folio: str, besides: Collection[str]) -> bool:
        """Say whether a folio has a live item that is none of some."""
        ...


def fold(rows: pa.Table, before: Before) -> dict[str, pa.Table]:
    """Return the runs that rows of the journal make: the name of a model -> its rows, sorted and settled.

    Args:
        rows: Rows of ``manifests`` in their order, which follow those that older runs hold.
        before: The older runs.
    """
    runs = {}
    for name, rows_for in _FOLDS.items():
        model = _BY_NAME[name]
        runs[name] = _linked(settled(sorted_rows(rows_for(rows), model), model), model, before)
    folios = sorted_rows(_folios(rows, before), FOLIOS)
    runs[FOLIOS.name] = _linked(settled(folios, FOLIOS), FOLIOS, before)
    return runs


def _linked(rows: pa.Table, model: Model, before: Before) -> pa.Table:
    """Return settled rows that name the heads in older runs that they replace: the first row of each key does."""
    if not model.succeeding or not rows.num_rows:
        return rows
    first = np.flatnonzero(~np.insert(same_key_as_next(rows, model), 0, False))
    keys = zip(*(rows.column(name).take(pa.array(first)).to_pylist() for name in model.key), strict=True)
    found = [before.head(model, key) for key in keys]
    for place, name in enumerate(model.replaces):
        values = np.full(rows.num_rows, -1, np.int64)
        values[first] = [-1 if position is None else position[place] for position in found]
        column = pa.array(values, mask=values < 0)
        rows = rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), column)
    return rows


def _folios(rows: pa.Table, before: Before) -> pa.Table:
    """Return a row for each time that a folio came to have a live item, and a removed one for each time it lost all."""
    changes = _where(rows, ("put", "delete"), "folio", "item").select([*POSITION, "op", "folio", "item"]).to_pylist()
    touched: dict[str, set[str]] = {}
    emptied = set()
    for row in changes:
        touched.setdefault(row["folio"], set()).add(row["item"])
        if row["op"] == "delete":
            emptied.add(row["folio"])
    was_live = {folio: before.head(FOLIOS, (folio,)) is not None for folio in touched}
    live: dict[str, set[str]] = {
        folio: {item for item in touched[folio] if before.head(ENTRIES, (folio, item)) is not None}
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

"""Comparing read models with the journal that they are functions of, in memory that does not grow with either.

A model and the rows that the journal makes of it are the same if they are as many and the sums of their rows' hashes
are equal (``row_hashes``): neither side is sorted or held, and the parts of the journal may come in any order. A row
that depends on others of its key (a superseded one, an entry that was put again) waits as a few numbers, dealt out by
the hash of its key, until all of the journal has passed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.errors import IntegrityError, NotFoundError
from lakefolio.format.layout import table_prefix
from lakefolio.maintenance.shards import Shards
from lakefolio.maintenance.states_check import StatesCheck
from lakefolio.process.scratch import scratch_folder
from lakefolio.readmodels.fold import ENTRIES, FOLIOS, LINEAGE, METADATA, MODELS, USES, folded_rows
from lakefolio.readmodels.merge import merged, same_key_as_next, settled, sorted_rows, whole
from lakefolio.readmodels.model import POSITION, REMOVED, Model, succession
from lakefolio.readmodels.run_states import RUN_STATES

if TYPE_CHECKING:
    from lakefolio.readmodels.runs import ModelRuns
    from lakefolio.readmodels.store import ReadModels
    from lakefolio.readmodels.table import Published
    from lakefolio.views.row_hashes import RowHashes

__all__ = ["ModelCheck"]

_FEW_ROWS: Final = 20_000
_IN_MEMORY_ROWS: Final = 500_000
_SHARD_ROWS: Final = 500_000
_ONCE: Final = {LINEAGE.name: ("output_kind", "output_id"), USES.name: ("output_kind", "output_id")}
"""The models whose rows do not depend on one another, but for entries that are put again, and the subject of a row."""


@dataclass(slots=True)
class _Sum:
    """How many rows there are, and the sum of their hashes."""

    count: int = 0
    total: int = 0

    def add(self, found: tuple[int, int]) -> None:
        self.count += found[0]
        self.total += found[1]


class ModelCheck:
    """Compares all read models with a journal whose rows it is given part by part; a context manager."""

    def __init__(self, models: ReadModels, published: Mapping[str, Published], row_count: int) -> None:
        """Begin.

        Args:
            models: The models.
            published: The versions of them to look at.
            row_count: About how many rows the journal has.
        """
        from lakefolio.views.row_hashes import RowHashes

        self._models = models
        self._published = dict(published)
        self._hashes: RowHashes = RowHashes(few=row_count <= _FEW_ROWS)
        self._folder = None if row_count <= _IN_MEMORY_ROWS else scratch_folder("lakefolio-check-")
        self._count = max(1, -(-row_count // _SHARD_ROWS))
        self._expected = {model.name: _Sum() for model in MODELS}
        self._waiting = {
            model.name: Shards(_waiting_schema(model), self._folder, model.name)
            for model in MODELS
            if model is not RUN_STATES and (model.succeeding or model.name in _ONCE)
        }
        self._states = StatesCheck(self._hashes, self._folder, self._count)

    def add(self, rows: pa.Table) -> None:
        """Take rows of the journal: whole commits, in order within the part."""
        rows = rows.drop([name for name in ("content",) if name in rows.schema.names])
        newest = pc.max(rows.column("version")).as_py()
        by_through: dict[int, pa.Table] = {}
        for model in MODELS:
            through = self._through(model)
            if model is FOLIOS or through < 0 or newest is None:
                continue
            if (some := by_through.get(through)) is None:
                bound = pc.less_equal(rows.column("version"), through)
                some = by_through[through] = rows if newest <= through else rows.filter(bound)
            if model is RUN_STATES:
                self._states.add(some)
            else:
                self._add(model, folded_rows(model, some))

    def _through(self, model: Model) -> int:
        """Return up to which version rows count: folios are found with the help of entries."""
        names = (ENTRIES.name, FOLIOS.name) if model is ENTRIES else (model.name,)
        return max((self._published[name].through for name in names if name in self._published), default=-1)

    def _add(self, model: Model, rows: pa.Table) -> None:
        if model.name not in self._waiting:
            self._expected[model.name].add(self._hashes.total(rows, model.schema.names))
            return
        subject = _subject(model)
        is_entry = pa.scalar(False)
        if model in (LINEAGE, USES, METADATA):
            is_entry = pc.equal(rows.column(subject[0]), "entry")
        if model.name in _ONCE:
            self._expected[model.name].add(self._hashes.total(rows.filter(pc.invert(is_entry)), model.schema.names))
            rows = rows.filter(is_entry)
        hashed = [subject, model.key or subject, _own_columns(model)]
        if model is ENTRIES:
            hashed += [FOLIOS.key, ("folio", *POSITION)]
        if not rows.num_rows:
            return
        hashes = self._hashes.of(rows, *hashed)
        schema = _waiting_schema(model)
        columns: dict[str, Any] = dict(
            zip(("subject", "hash_of_key", "own", "folio", "own_folio"), hashes, strict=False)
        )
        for name in (*model.position, REMOVED):
            if name in rows.schema.names:
                columns[name] = rows.column(name)
        if "is_entry" in schema.names:
            columns["is_entry"] = is_entry
        waiting = pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)
        numbers = hashes[0].to_numpy() >> np.uint64(40)
        self._waiting[model.name].deal(waiting, numbers % np.uint64(self._count))

    def _settle(self) -> None:
        """Look at the rows that wait."""
        for states in self._states.states():
            self._expected[RUN_STATES.name].add(self._total(RUN_STATES, states))
        folios = Shards(_FOLIO_SCHEMA, self._folder, "of-folios")
        for model in MODELS:
            if model is FOLIOS or model.name not in self._waiting:
                continue
            for shard in sorted(self._waiting[model.name].numbers):
                rows = self._waiting[model.name].take(shard)
                if model in (LINEAGE, USES, METADATA):
                    rows = rows.filter(pa.array(_of_first_put(rows)))
                if model.name in _ONCE:
                    self._expected[model.name].add(_sum_of(rows.column("own")))
                    continue
                rows = sorted_rows(rows, _waiting_model(model))
                if model is ENTRIES:
                    some = _upto(rows, self._published, FOLIOS)
                    changed = _changes(some)
                    numbers = whole(changed.column("folio")).to_numpy() >> np.uint64(40)
                    folios.deal(changed, numbers % np.uint64(self._count))
                    rows = _upto(rows, self._published, ENTRIES)
                self._add_settled(model, rows)
        for shard in sorted(folios.numbers):
            self._add_settled(FOLIOS, _folio_rows(folios.take(shard)))

    def _add_settled(self, model: Model, rows: pa.Table) -> None:
        fields = succession(model.position)
        columns = [
            rows.column(one.name) if one.name in rows.schema.names else pa.nulls(rows.num_rows, one.type)
            for one in fields
        ]
        names = ["hash_of_key", *model.position, "own"]
        arrays = [*(rows.column(name) for name in names), *columns]
        rows = pa.table(arrays, names=[*names, *(one.name for one in fields)])
        rows = settled(rows, _waiting_model(model), bottom=True)
        self._expected[model.name].add(self._hashes.total(rows, ("own", *(one.name for one in fields))))

    def problems(self, version: int) -> Iterator[tuple[str, str]]:
        """Yield (key, problem) of the models that are not as the journal says. Called once, at the end.

        Args:
            version: The version of the journal.
        """
        self._settle()
        for name, one in self._published.items():
            if one.through > version:
                yield table_prefix(name), f"read model {name!r} goes up to version {one.through}, beyond the journal"
                continue
            try:
                if self._found(self._models.anew(name, one.runs)) != self._expected[name]:
                    yield table_prefix(name), f"read model {name!r} says other things than the journal: delete it"
            except (IntegrityError, NotFoundError) as exc:
                yield str(exc.objects.get("key") or table_prefix(name)), exc.message

    def _found(self, reader: ModelRuns) -> _Sum:
        """Return the sum of the rows that a model has; every file is read and verified."""
        model, found = reader.model, _Sum()
        if not model.succeeding:
            for run in reader.runs:
                for rows in reader.parts(run):
                    found.add(self._hashes.total(rows, model.schema.names))
            return found
        for rows in merged([reader.parts(run) for run in reader.runs], model, bottom=True):
            found.add(self._total(model, rows))
        return found

    def _total(self, model: Model, rows: pa.Table) -> tuple[int, int]:
        names = [one.name for one in succession(model.position)]
        return self._hashes.total(rows, names, first=_own_columns(model))

    def __enter__(self) -> ModelCheck:
        return self

    def __exit__(self, *error: object) -> None:
        for shards in self._waiting.values():
            shards.close()
        self._states.close()
        self._hashes.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


_HASH: Final = pa.uint64()
_FOLIO_SCHEMA: Final = pa.schema(
    [
        ("folio", _HASH),
        *((name, FOLIOS.schema.field(name).type) for name in POSITION),
        ("change", pa.int8()),
        ("own", _HASH),
    ]
)


def _subject(model: Model) -> tuple[str, ...]:
    """Return the columns that rows are dealt out by; all rows of a key have the same."""
    return _ONCE.get(model.name, model.key[:2] if model is METADATA else model.key)


def _own_columns(model: Model) -> list[str]:
    """Return the columns of a row that do not depend on other rows."""
    others = {one.name for one in succession(model.position)} if model.succeeding else set()
    return [name for name in model.schema.names if name not in others]


def _waiting_schema(model: Model) -> pa.Schema:
    fields = [pa.field("subject", _HASH), pa.field("hash_of_key", _HASH), pa.field("own", _HASH)]
    fields += [pa.field(name, model.schema.field(name).type) for name in model.position]
    if model.succeeding:
        fields.append(pa.field(REMOVED, pa.bool_()))
    if model is METADATA:
        fields.append(pa.field("is_entry", pa.bool_()))
    if model is ENTRIES:
        fields += [pa.field("folio", _HASH), pa.field("own_folio", _HASH)]
    return pa.schema(fields)


def _waiting_model(model: Model) -> Model:
    """Return the model of the numbers that stand for the rows of a model."""
    return Model(
        name=model.name,
        schema=pa.schema([]),
        key=("hash_of_key",),
        position=model.position,
        succeeding=True,
        past=model.past,
    )


def _upto(rows: pa.Table, published: Mapping[str, Published], model: Model) -> pa.Table:
    through = published[model.name].through if model.name in published else -1
    return rows.filter(pc.less_equal(rows.column("version"), through))


def _of_first_put(rows: pa.Table) -> Any:
    """Say of each row whether it is of the first put of its entry, or of no entry: an entry put again says the same."""
    subjects, versions, ordinals = (whole(rows.column(name)).to_numpy() for name in ("subject", *POSITION))
    order = np.lexsort((ordinals, versions, subjects))
    begins = np.append(True, subjects[order][1:] != subjects[order][:-1])[: len(order)]
    first = order[np.flatnonzero(begins)[np.cumsum(begins) - 1]]
    kept = np.empty(len(order), np.bool_)
    kept[order] = (versions[first] == versions[order]) & (ordinals[first] == ordinals[order])
    if "is_entry" in rows.schema.names:
        kept |= ~whole(rows.column("is_entry")).to_numpy(zero_copy_only=False)
    return kept


def _changes(rows: pa.Table) -> pa.Table:
    """Return the sorted rows by which a folio has one live item more or less."""
    same = np.insert(same_key_as_next(rows, _waiting_model(ENTRIES)), 0, False)[: rows.num_rows]
    removed = whole(rows.column(REMOVED)).to_numpy(zero_copy_only=False)
    was = same & ~np.insert(removed, 0, True)[: rows.num_rows]
    change = pa.array((~removed & ~was).astype(np.int8) - (removed & was).astype(np.int8))
    columns = [rows.column("folio"), *(rows.column(name) for name in POSITION), change, rows.column("own_folio")]
    found = pa.Table.from_arrays(columns, schema=_FOLIO_SCHEMA)
    return found.filter(pc.not_equal(found.column("change"), 0))


def _folio_rows(changes: pa.Table) -> pa.Table:
    """Return the rows at which folios came to have a live item, or to have none."""
    changes = changes.sort_by([(name, "ascending") for name in ("folio", *POSITION)]).combine_chunks()
    folios, change = (whole(changes.column(name)).to_numpy() for name in ("folio", "change"))
    begins = np.append(True, folios[1:] != folios[:-1])[: len(folios)]
    counts = np.cumsum(change, dtype=np.int64)
    before = (counts - change)[np.flatnonzero(begins)[np.cumsum(begins) - 1]]  # those of the folios before
    now = counts - before
    turned = (now == 0) | (now - change == 0)
    found = changes.append_column(REMOVED, pa.array(change < 0)).rename_columns(
        ["hash_of_key", *POSITION, "change", "own", REMOVED]
    )
    return found.filter(pa.array(turned))


def _sum_of(hashes: pa.ChunkedArray) -> tuple[int, int]:
    values = whole(hashes).to_numpy()
    high, low = values >> np.uint64(32), values & np.uint64(0xFFFFFFFF)
    return len(values), (int(high.sum()) << 32) + int(low.sum())

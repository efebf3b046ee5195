"""What read models say of the journal up to the version that they hold: the folded part of a state.

Immutable, and bounded: nothing is held but the names of files; rows are read when they are asked for, through a cache.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.format.schema import INPUT_TYPE, PURGEABLE
from lakefolio.model.entries import Entry, Snapshot, entry_from_row, snapshot_from_row
from lakefolio.readmodels.fold import COMMITS, ENTRIES, FOLIOS, METADATA, RUN_FACTS, RUNNING, SNAPSHOTS
from lakefolio.readmodels.merge import Key, same_key_as_next, whole
from lakefolio.readmodels.model import REMOVED, SUPERSEDED_AT, SUPERSEDED_BY, Model
from lakefolio.readmodels.runs import ModelRuns

if TYPE_CHECKING:
    from lakefolio.model.changes import Stored

__all__ = ["Folded", "Items"]


@dataclass(frozen=True, slots=True)
class Items:
    """The rows of one folio's items at one version.

    Attributes:
        heads: The live rows, in the order in which their items came to be live.
        since: The journal position from which each of them has been live.
    """

    heads: pa.Table
    since: list[Key]


class Folded:
    """The state that the read models hold, at ``version`` or as it was at an earlier one."""

    def __init__(self, models: Mapping[str, ModelRuns], through: int, version: int | None = None) -> None:
        """Look at models.

        Args:
            models: By their names.
            through: The journal version that all of them hold.
            version: An earlier one, to see the state as it was then.
        """
        self._models = models
        self.through = through
        self.version = through if version is None else min(version, through)
        self._upto = None if self.version == through else self.version

    def at(self, version: int) -> Folded:
        """Return the state as it was at an earlier version. No request, no copy."""
        return Folded(self._models, self.through, version)

    def model(self, name: str) -> ModelRuns:
        """Return one of the models."""
        return self._models[name]

    # -- by key --------------------------------------------------------------------------------------------

    def head_row(self, model: Model, key: Key) -> dict[str, Any] | None:
        """Return the row of a key that holds, of a model whose rows supersede one another."""
        row = self._models[model.name].newest(key, self._upto)
        if row is None or row[REMOVED]:
            return None
        at = row[SUPERSEDED_AT]
        return None if at is not None and at <= self.version else row

    def head(self, model: Model, key: Key) -> Key | None:
        """Return the position of that row."""
        row = self.head_row(model, key)
        return None if row is None else tuple(row[name] for name in model.position)

    def heads(self, model: Model, prefix: Key = ()) -> pa.Table:
        """Return the rows that hold among those whose key begins with a prefix, sorted."""
        rows = self._models[model.name].rows(prefix, self._upto)
        return rows.filter(self._holds(rows))

    def _holds(self, rows: pa.Table) -> pa.ChunkedArray:
        at = rows.column(SUPERSEDED_AT)
        holds = at.is_null() if self._upto is None else pc.or_kleene(at.is_null(), pc.greater(at, self.version))
        return pc.and_(pc.fill_null(holds, False), pc.invert(rows.column(REMOVED)))

    # -- items ---------------------------------------------------------------------------------------------

    def entry(self, folio: str, item: str) -> Entry | None:
        """See View."""
        row = self.head_row(ENTRIES, (folio, item))
        return None if row is None else entry_from_row(row)

    def live(self, folio: str, item: str) -> bool:
        """See View."""
        return self.head_row(ENTRIES, (folio, item)) is not None

    def items(self, folio: str, columns: tuple[str, ...] | None = None) -> Items:
        """Return the live rows of a folio (see :class:`Items`), only some columns of them if asked for."""
        return self._lives(ENTRIES, self._models["entries"].rows((folio,), self._upto, columns))

    def _lives(self, model: Model, rows: pa.Table) -> Items:
        """Return the rows that hold, in the order in which their keys came to hold anything; and since when they do."""
        if not rows.num_rows:
            return Items(rows, [])
        removed = whole(rows.column(REMOVED)).to_numpy(zero_copy_only=False)
        by_put = pc.fill_null(pc.equal(whole(rows.column(SUPERSEDED_BY)), "put"), False)
        goes_on = same_key_as_next(rows, model) & by_put.to_numpy(zero_copy_only=False)[:-1] & ~removed[:-1]
        begins = np.insert(~goes_on, 0, True)
        first = np.flatnonzero(begins)[np.cumsum(begins) - 1]  # of each row, the one that its life began with
        kept = np.flatnonzero(self._holds(rows).to_numpy())
        since = [rows.column(name).to_numpy()[first[kept]] for name in model.position]
        order = np.lexsort(since[::-1])
        positions = list(zip(*(values[order].tolist() for values in since), strict=True))
        return Items(rows.take(pa.array(kept[order])), positions)

    def names(self, folio: str) -> list[str]:
        """See View."""
        found: list[str] = self.items(folio, ("item",)).heads.column("item").to_pylist()
        return found

    def entries(self, folio: str) -> list[Entry]:
        """See View."""
        return [entry_from_row(row) for row in self.items(folio).heads.to_pylist()]

    def listing(self, folio: str, columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
        """See View."""
        heads = self.items(folio, columns).heads.select(list(columns))
        return list(zip(*(column.to_pylist() for column in heads.columns), strict=True))

    def folios(self) -> list[str]:
        """See View."""
        found: list[str] = self.heads(FOLIOS).column("folio").to_pylist()
        return found

    def has_live(self, folio: str, besides: Collection[str] = ()) -> bool:
        """Say whether a folio has a live item that is none of some."""
        names = self.items(folio, ("item",)).heads.column("item")
        return bool(set(names.to_pylist()) - set(besides))

    # -- contents ------------------------------------------------------------------------------------------

    def content_row(self, digest: str, kind: str) -> dict[str, Any] | None:
        """Return the row of the newest entry with a content, whether it is purged or not."""
        at = self._models["contents"].newest((digest, kind), self._upto)
        if at is None:
            return None
        found = self._models["entries"].rows((at["folio"], at["item"], at["version"], at["ordinal"])).to_pylist()
        return found[0] if found else None

    def generation(self, blob_digest: str) -> int:
        """See View."""
        rows = self._models["purges"].rows((blob_digest,), self._upto)
        return max((generation or 0 for generation in rows.column("generation").to_pylist()), default=-1) + 1

    def content(self, digest: str, kind: str) -> Entry | None:
        """See View."""
        row = self.content_row(digest, kind)
        if row is None:
            return None
        entry = entry_from_row(row)
        return None if self.is_purged(entry) else entry

    def is_purged(self, stored: Stored | Entry) -> bool:
        """See View."""
        return (
            stored.storage in PURGEABLE
            and stored.blob_digest is not None
            and max(stored.generation or 0, 0) < self.generation(stored.blob_digest)
        )

    def purge_of(self, blob_digest: str, generation: int) -> tuple[int, str | None] | None:
        """See State."""
        for row in self._models["purges"].rows((blob_digest,), self._upto).to_pylist():
            if (row["generation"] or 0) >= generation:
                return row["version"], row["reason"]
        return None

    # -- snapshots -----------------------------------------------------------------------------------------

    def snapshot(self, folio: str | None, name: str) -> Snapshot | None:
        """See View."""
        row = self.head_row(SNAPSHOTS, (folio or "", name))
        return None if row is None else snapshot_from_row(row)

    def snapshots(self, folio: str | None = None) -> list[Snapshot]:
        """See View."""
        rows = self.heads(SNAPSHOTS, () if folio is None else (folio,)).to_pylist()
        return sorted((snapshot_from_row(row) for row in rows), key=lambda one: (one.version, one.name))

    # -- what is noted -------------------------------------------------------------------------------------

    def knows(self, model: Model, key: Key) -> bool:
        """See Before."""
        return self._models[model.name].newest(key) is not None

    def metadata(self, kind: str, subject_id: str, version: int | None = None) -> dict[str, str]:
        """See View."""
        if version is not None and version < self.version:
            return self.at(version).metadata(kind, subject_id)
        found = self._lives(METADATA, self._models["metadata"].rows((kind, subject_id), self._upto)).heads
        return dict(zip(found.column("key").to_pylist(), found.column("value").to_pylist(), strict=True))

    def run_inputs(self, run_id: str) -> list[dict[str, Any]]:
        """See View."""
        rows = self._models["lineage"].rows(("run", run_id), self._upto)
        return rows.select([*(field.name for field in INPUT_TYPE), "version"]).to_pylist()

    def runs_noting(self, key: str, text: str | None = None) -> list[str]:
        """See State."""
        rows = self._models["run_facts"].rows((key,) if text is None else (key, text), self._upto)
        rows = rows.sort_by([(name, "ascending") for name in RUN_FACTS.position])
        return list(dict.fromkeys(rows.column("run_id").to_pylist()))

    def running(self) -> dict[str, dict[str, str]]:
        """See State."""
        rows = self._lives(RUNNING, self._models["running"].rows(())).heads
        return {run_id: self.metadata("run", run_id) for run_id in rows.column("run_id").to_pylist()}

    # -- the past ------------------------------------------------------------------------------------------

    def history(self, folio: str, item: str) -> list[Entry]:
        """See View."""
        rows = self._models["entries"].rows((folio, item), self._upto)
        return [entry_from_row(row) for row in rows.to_pylist() if not row[REMOVED]]

    def entry_at(self, folio: str, item: str, version: int) -> Entry | None:
        """See View."""
        return self.at(min(version, self.version)).entry(folio, item)

    def known(self, folio: str, item: str) -> bool:
        """See State."""
        return self._models["entries"].newest((folio, item), self._upto) is not None

    def time_of(self, version: int) -> datetime | None:
        """See State."""
        row = self._last_commit("version", min(version, self.version))
        return None if row is None else row["committed_at"]

    def version_at(self, when: datetime) -> int | None:
        """See State."""
        row = self._last_commit("committed_at", when)
        if row is None:
            return None
        found = int(row["version"])
        return found if found <= self.version else self._last_version()

    def _last_version(self) -> int | None:
        row = self._last_commit("version", self.version)
        return None if row is None else int(row["version"])

    def _last_commit(self, column: str, bound: Any) -> dict[str, Any] | None:
        """Return the last row of ``commits`` whose column, which rises with the order, is not above a bound."""
        commits = self._models["commits"]
        at = COMMITS.schema.get_field_index(column)
        for run in reversed(commits.runs):
            for file, footer in reversed(list(commits.footers(run))):
                lowest = [
                    footer.metadata.row_group(number).column(at).statistics.min for number in range(len(footer.groups))
                ]
                number = bisect_right(lowest, bound) - 1
                if number < 0:
                    continue
                rows = commits.group(file, number)
                values = whole(rows.column(column))
                place = bisect_right(values, bound, key=lambda one: one.as_py()) - 1
                return rows.slice(place, 1).to_pylist()[0]
        return None

    def first_at(self) -> datetime | None:
        """See State."""
        commits = self._models["commits"]
        if not commits.runs:
            return None
        file, _ = next(commits.footers(commits.runs[0]))
        row = commits.group(file, 0).slice(0, 1).to_pylist()[0]
        return row["committed_at"] if row["version"] <= self.version else None

    def version_of(self, commit_id: str) -> int | None:
        """See State. Ids begin with their time, so that few row groups have bounds that admit one."""
        commits = self._models["commits"]
        at = COMMITS.schema.get_field_index("commit_id")
        for run in reversed(commits.runs):
            for file, footer in reversed(list(commits.footers(run))):
                for number in reversed(range(len(footer.groups))):
                    bounds = footer.metadata.row_group(number).column(at).statistics
                    if not bounds.min <= commit_id <= bounds.max:
                        continue
                    rows = commits.group(file, number)
                    place = pc.index(rows.column("commit_id"), commit_id).as_py()
                    if place >= 0:
                        found = int(rows.column("version")[place].as_py())
                        return found if found <= self.version else None
        return None

"""The folded part of a state: the journal up to the version that the read models hold.

Immutable and bounded: it holds names of files only; rows are read through a cache when they are asked for.

Longer than most modules: each question that a state asks of its read models is answered here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from typing import Any, Final, Protocol, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.errors import IntegrityError, NotFoundError
from lakefolio.format.arrow_rows import dicts_of
from lakefolio.format.schema import INPUT_TYPE
from lakefolio.model.entries import (
    Entry,
    ItemPut,
    RunInputEdge,
    Snapshot,
    entries_from_rows,
    entry_from_row,
    snapshot_from_row,
)
from lakefolio.model.totals import Size, Total, size_of
from lakefolio.readmodels.commits import first_commit, last_commit, version_before, version_with
from lakefolio.readmodels.keys import Key, whole
from lakefolio.readmodels.merge import same_key_as_next
from lakefolio.readmodels.model import REMOVED, SUPERSEDED_AT, SUPERSEDED_BY, Model
from lakefolio.readmodels.models import (
    COMMITS,
    CONTENTS,
    ENTRIES,
    FOLIOS,
    LINEAGE,
    METADATA,
    PURGES,
    RUN_FACTS,
    RUNNING,
    SNAPSHOTS,
    USES,
)
from lakefolio.readmodels.run_file import RunFile
from lakefolio.readmodels.run_questions import called, newest
from lakefolio.readmodels.run_states import RUN_STATES
from lakefolio.readmodels.runs import ModelRuns
from lakefolio.readmodels.totals import COUNTED, TOTALS, counted, totals_in

__all__ = ["Folded", "JournalParts", "Models"]

T = TypeVar("T")
_FEW_GROUPS: Final = 8
"""Row groups of a folio that are read and kept whole."""


class JournalParts(Protocol):
    """Reads some columns of the rows of the journal above one version and up to another; see State.parts."""

    def __call__(
        self, columns: Sequence[str], after: int, upto: int, *, newest_first: bool = False
    ) -> Iterator[pa.Table]:
        """Yield the rows part by part."""
        ...


class Models(Protocol):
    """The read models, by their names."""

    def __getitem__(self, name: str) -> ModelRuns:
        """Return a model."""
        ...

    def get(self, name: str) -> ModelRuns | None:
        """Return a model, or None if it is lacking."""
        ...

    def instead(self, name: str) -> ModelRuns:
        """Return a model in place of one that could not be read."""
        ...


class Folded:
    """The state that the read models hold, at ``version`` or as it was at an earlier one."""

    def __init__(
        self,
        models: Models,
        through: int,
        version: int | None = None,
        journal: JournalParts | None = None,
    ) -> None:
        """Look at models.

        Args:
            models: By their names.
            through: The journal version up to which they go.
            version: An earlier one, to see the state as it was then.
            journal: Reads rows of the journal, see :meth:`parts`.
        """
        self._spans: dict[str, tuple[int, int] | None] = {}
        self._journal = journal
        self._models = models
        self.through = through
        self.version = through if version is None else min(version, through)

    def at(self, version: int) -> Folded:
        """Return the state as it was at an earlier version. No request, no copy."""
        return Folded(self._models, self.through, version, self._journal)

    def parts(
        self, columns: Sequence[str], after: int = -1, upto: int | None = None, *, newest_first: bool = False
    ) -> Iterator[pa.Table]:
        """See BaseState."""
        assert self._journal is not None, "it was given no journal"
        last = self.version if upto is None else min(upto, self.version)
        return self._journal(columns, after, last, newest_first=newest_first)

    def files(self, model: Model) -> list[RunFile] | None:
        """Return the files of a model, for who scans them; None if it is one in memory."""
        runs = self._ask(model, lambda runs: runs)
        return [file for run in runs.runs for file in run.files] if runs.stored else None

    def discard(self, model: Model) -> None:
        """Look for a model anew whose files can't be read."""
        self._models.instead(model.name)

    def model(self, name: str) -> ModelRuns:
        """Return one of the models."""
        return self._models[name]

    # -- by key --------------------------------------------------------------------------------------------

    def head_row(self, model: Model, key: Key) -> dict[str, Any] | None:
        """Return the row of a key that holds, of a model whose rows supersede one another."""
        row = self._ask(model, lambda runs: runs.newest(key, self._bound(runs)))
        if row is None or row[REMOVED]:
            return None
        at = row[SUPERSEDED_AT]
        return None if at is not None and at <= self.version else row

    def heads(self, model: Model, prefix: Key = ()) -> pa.Table:
        """Return the rows that hold among those whose key begins with a prefix, sorted."""
        rows = self._rows(model, prefix)
        return rows.filter(self._holds(rows))

    def _holds(self, rows: pa.Table) -> pa.ChunkedArray:
        at = rows.column(SUPERSEDED_AT)
        holds = pc.or_kleene(at.is_null(), pc.greater(at, self.version))
        return pc.and_(pc.fill_null(holds, False), pc.invert(rows.column(REMOVED)))

    # -- items ---------------------------------------------------------------------------------------------

    def entry(self, folio: str, item: str) -> Entry | None:
        """See View."""
        row = self.head_row(ENTRIES, (folio, item))
        return None if row is None else entry_from_row(row)

    def live(self, folio: str, item: str) -> bool:
        """See View."""
        return self.head_row(ENTRIES, (folio, item)) is not None

    def _lives(self, model: Model, rows: pa.Table) -> pa.Table:
        """Return the rows that hold, in the order in which their keys came to hold anything."""
        if not rows.num_rows:
            return rows
        removed = whole(rows.column(REMOVED)).to_numpy(zero_copy_only=False)
        by_put = pc.fill_null(pc.equal(whole(rows.column(SUPERSEDED_BY)), "put"), False)
        goes_on = same_key_as_next(rows, model) & by_put.to_numpy(zero_copy_only=False)[:-1] & ~removed[:-1]
        begins = np.insert(~goes_on, 0, True)
        first = np.flatnonzero(begins)[np.cumsum(begins) - 1]  # of each row, the one that its life began with
        kept = np.flatnonzero(self._holds(rows).to_numpy())
        since = [rows.column(name).to_numpy()[first[kept]] for name in model.position]
        return rows.take(pa.array(kept[np.lexsort(since[::-1])]))

    def heads_of(self, folio: str, columns: tuple[str, ...] | None = None) -> pa.Table:
        """See BaseState."""
        return self._lives(ENTRIES, self._rows(ENTRIES, (folio,), columns))

    def is_large(self, folio: str) -> bool:
        """See BaseState."""
        count: int = self._ask(ENTRIES, lambda runs: runs.group_count((folio,)))
        return count > _FEW_GROUPS

    def folios(self) -> list[str]:
        """See View."""
        found: list[str] = self.heads(FOLIOS).column("folio").to_pylist()
        return found

    def has_live(self, folio: str, besides: Collection[str] = ()) -> bool:
        """Say whether a folio has a live item that is none of some."""
        names = self.heads_of(folio, ("item",)).column("item")
        return bool(set(names.to_pylist()) - set(besides))

    def totals(self, folios: Collection[str] | None = None) -> dict[str, Total]:
        """See BaseState; of some folios only. Without the model, or of an earlier version, entries are counted."""
        with contextlib.suppress(NotFoundError, IntegrityError):
            runs = self._models.get(TOTALS.name)
            if runs is not None and self._bound(runs) is None:
                return totals_in(runs.rows(()) if folios is None else runs.rows_of([(one,) for one in folios]))
        prefixes = [()] if folios is None else [(one,) for one in folios]
        return totals_in(counted((self._rows(ENTRIES, one, COUNTED) for one in prefixes), self.version))

    def sizes_among(self, names: Collection[tuple[str, str]]) -> dict[tuple[str, str], Size]:
        """See BaseState."""
        rows = self.heads_among(names).select(["folio", "item", "size_bytes", "archived"]).to_pylist()
        return {(row["folio"], row["item"]): size_of(row) for row in rows}

    # -- contents ------------------------------------------------------------------------------------------

    def newest_with(self, digest: str, kind: str) -> Entry | None:
        """See BaseState."""
        at = self._ask(CONTENTS, lambda runs: runs.newest((digest, kind), self._bound(runs)))
        if at is None:
            return None
        rows = self._rows(ENTRIES, (at["folio"], at["item"], at["version"], at["ordinal"]))
        return entries_from_rows(rows)[0] if rows.num_rows else None

    def generation(self, blob_digest: str) -> int:
        """See View."""
        if not self.purged:
            return 0  # asked for each content that is added
        rows = self._rows(PURGES, (blob_digest,))
        return max((generation or 0 for generation in rows.column("generation").to_pylist()), default=-1) + 1

    @property
    def purged(self) -> bool:
        """See State."""
        return bool(self._ask(PURGES, lambda runs: runs.runs))

    def purges(self) -> dict[str, int]:
        """See BaseState."""
        found: dict[str, int] = {}
        for row in self._rows(PURGES, (), ("blob_digest", "generation")).to_pylist():
            found[row["blob_digest"]] = max(found.get(row["blob_digest"], -1), row["generation"] or 0)
        return found

    def purge_of(self, blob_digest: str, generation: int) -> tuple[int, str | None] | None:
        """See State."""
        for row in self._rows(PURGES, (blob_digest,)).to_pylist():
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
        rows = dicts_of(self.heads(SNAPSHOTS, () if folio is None else (folio,)))
        return sorted(
            (snapshot_from_row(row) for row in rows), key=lambda one: (one.version, one.name, one.folio or "")
        )

    # -- metadata ------------------------------------------------------------------------------------------

    def present(self, model: Model, keys: Collection[Key]) -> Collection[Key]:
        """See Before."""
        rows = self._rows_of(model, keys)
        width = len(next(iter(keys), ()))
        return set(zip(*(rows.column(name).to_pylist() for name in model.key[:width]), strict=True))

    def metadata(self, kind: str, subject_id: str, version: int | None = None) -> dict[str, str]:
        """See View."""
        if version is not None and version < self.version:
            return self.at(version).metadata(kind, subject_id)
        found = self._lives(METADATA, self._rows(METADATA, (kind, subject_id)))
        return dict(zip(found.column("key").to_pylist(), found.column("value").to_pylist(), strict=True))

    def metadata_of_runs(self, run_ids: Collection[str]) -> dict[str, dict[str, str]]:
        """See State."""
        keys = [("run", run_id) for run_id in run_ids]
        found = self._lives(METADATA, self._rows_of(METADATA, keys))
        values: dict[str, dict[str, str]] = {}
        for run_id, key, value in zip(
            *(found.column(name).to_pylist() for name in ("subject_id", "key", "value")), strict=True
        ):
            values.setdefault(run_id, {})[key] = value
        return values

    def inputs_of_runs(self, run_ids: Collection[str]) -> dict[str, list[RunInputEdge]]:
        """See State."""
        rows = self.edges([("run", run_id) for run_id in run_ids])
        inputs = rows.select([*(field.name for field in INPUT_TYPE), "version"]).to_pylist()
        found: dict[str, list[RunInputEdge]] = {}
        for run_id, edge in zip(rows.column("output_id").to_pylist(), inputs, strict=True):
            found.setdefault(run_id, []).append(edge)
        return found

    def runs_noting(self, key: str, texts: Collection[str] | None = None) -> list[str]:
        """See State."""
        if texts is None:
            rows = self._rows(RUN_FACTS, (key,))
        else:
            keys = [(key, text) for text in texts]
            rows = self._rows_of(RUN_FACTS, keys)
        rows = rows.sort_by([(name, "ascending") for name in RUN_FACTS.position])
        return list(dict.fromkeys(rows.column("run_id").to_pylist()))

    def facts_of_runs(self, key: str) -> dict[str, str]:
        """See State."""
        rows = self.heads(METADATA, ("run",))
        rows = rows.filter(pc.equal(rows.column("key"), key)).filter(pc.field("value").is_valid())
        return dict(zip(rows.column("subject_id").to_pylist(), rows.column("value").to_pylist(), strict=True))

    def run_states(self, run_ids: Collection[str]) -> dict[str, dict[str, Any]]:
        """Return the rows of ``run_states`` of some runs, by their ids: their newest states, whatever the version."""
        keys = [(run_id,) for run_id in run_ids]
        found = dicts_of(self._ask(RUN_STATES, lambda runs: runs.rows_of(keys)))
        return {row["run_id"]: row for row in found}

    def spans_of_runs(self, run_ids: Collection[str]) -> list[tuple[int, int]]:
        """See BaseState."""
        keys = [(run_id,) for run_id in run_ids]
        rows = self._ask(RUN_STATES, lambda runs: runs.rows_of(keys))
        return list(zip(*(rows.column(name).to_pylist() for name in ("begun", "version")), strict=True))

    def runs_called(self, text: str) -> tuple[list[str], list[str]]:
        """See BaseState. Of an earlier version all names are read: only the newest state of a run is kept."""
        named, alike = self._ask(RUN_STATES, lambda runs: called(runs, text))
        if self._bound(self.model(RUN_STATES.name)) is not None:
            named = list(self.facts_of_runs("name"))
        return named, alike

    def newest_runs(self, count: int) -> list[str]:
        """See BaseState."""
        return self._ask(RUN_STATES, lambda runs: newest(runs, count))

    def running_ids(self) -> list[str]:
        """See BaseState."""
        found: list[str] = self.heads(RUNNING).column("run_id").to_pylist()
        return found

    # -- the past ------------------------------------------------------------------------------------------

    def history(self, folio: str, item: str) -> list[Entry]:
        """See View."""
        rows = self._rows(ENTRIES, (folio, item))
        return entries_from_rows(rows.filter(pc.invert(rows.column(REMOVED))))

    def puts(self, folio: str, item: str) -> list[ItemPut]:
        """See View."""
        rows = self._rows(ENTRIES, (folio, item), (*ItemPut._fields, REMOVED))
        columns = [rows.column(name).to_pylist() for name in (*ItemPut._fields, REMOVED)]
        return [ItemPut(*values) for *values, removed in zip(*columns, strict=True) if not removed]

    def entry_at(self, folio: str, item: str, version: int) -> Entry | None:
        """See View."""
        return self.at(min(version, self.version)).entry(folio, item)

    def changes_of(self, folio: str, item: str) -> list[tuple[int, str]]:
        """See BaseState."""
        rows = self._rows(ENTRIES, (folio, item), ("version", REMOVED, SUPERSEDED_AT, SUPERSEDED_BY))
        found = []
        for row in rows.to_pylist():
            found.append((row["version"], "delete" if row[REMOVED] else "put"))
            at = row[SUPERSEDED_AT]
            if row[SUPERSEDED_BY] == "delete" and at <= self.version:
                found.append((at, "delete"))  # its own row was left out, see ``settled``
        return list(dict.fromkeys(found))

    def change_span(self, folio: str) -> tuple[int, int] | None:
        """See BaseState. The cost is that of listing the folio, the first time."""
        if folio not in self._spans:
            versions: list[int] = []
            for model, prefix in ((ENTRIES, (folio,)), (METADATA, ("folio", folio)), (SNAPSHOTS, (folio,))):
                rows = self._rows(model, prefix, ("version", SUPERSEDED_AT))
                for name in ("version", SUPERSEDED_AT):
                    column = rows.column(name)
                    ends = pc.min_max(column.filter(pc.less_equal(column, self.version))).as_py()
                    versions += [one for one in ends.values() if one is not None]
            self._spans[folio] = (min(versions), max(versions)) if versions else None
        return self._spans[folio]

    def heads_among(self, names: Collection[tuple[str, str]]) -> pa.Table:
        """See BaseState."""
        rows = self._rows_of(ENTRIES, names)
        return rows.filter(self._holds(rows))

    def puts_of(self, names: Collection[tuple[str, str]]) -> pa.Table:
        """See BaseState."""
        rows = self._rows_of(ENTRIES, names)
        return rows.filter(pc.invert(rows.column(REMOVED)))

    def edges(
        self, nodes: Collection[tuple[str, str]], *, by_input: bool = False, limit: int | None = None
    ) -> pa.Table:
        """See BaseState."""
        rows = self._rows_of(USES if by_input else LINEAGE, nodes, limit)
        return rows.select(LINEAGE.schema.names).sort_by([(name, "ascending") for name in LINEAGE.position])

    def all_edges(
        self, nodes: Collection[tuple[str, str]], seen: Collection[tuple[str, str]], *, by_input: bool = False
    ) -> tuple[pa.Table, list[tuple[str, str]]]:
        """See BaseState."""
        from lakefolio.readmodels.reach import reached  # what lists and completes walks nothing

        model = USES if by_input else LINEAGE
        rows, new = self._ask(model, lambda runs: reached(runs, nodes, seen, self._bound(runs)))
        return rows.select(LINEAGE.schema.names), new

    def known(self, folio: str, item: str) -> bool:
        """See State."""
        return self._ask(ENTRIES, lambda runs: runs.newest((folio, item), self._bound(runs))) is not None

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

    def _last_commit(self, column: str, bound: datetime | int) -> dict[str, Any] | None:
        return self._ask(COMMITS, lambda runs: last_commit(runs, column, bound))

    def versions_up_to(self, version: int) -> int:
        """See State."""
        return len(self._rows(COMMITS, (), ("version",), min(version, self.version)).column("version").unique())

    def back(self, version: int, count: int) -> int | None:
        """See State. Reads as far back as it goes."""
        return self._ask(COMMITS, lambda runs: version_before(runs, min(version, self.version), count))

    def first_at(self) -> datetime | None:
        """See State."""
        row = self._ask(COMMITS, first_commit)
        return None if row is None or row["version"] > self.version else row["committed_at"]

    def version_of(self, commit_id: str) -> int | None:
        """See State."""
        found = self._ask(COMMITS, lambda runs: version_with(runs, commit_id))
        return None if found is None or found > self.version else found

    # -- the models ----------------------------------------------------------------------------------------

    def _ask(self, model: Model, question: Callable[[ModelRuns], T]) -> T:
        """Ask a model; one that can't be read is looked for anew, then made of the journal."""
        for _ in range(2):
            try:
                return question(self._models[model.name])
            except (NotFoundError, IntegrityError):
                self._models.instead(model.name)
        return question(self._models[model.name])

    def _rows(
        self, model: Model, prefix: Key, columns: Sequence[str] | None = None, upto: int | None = None
    ) -> pa.Table:
        return self._ask(model, lambda runs: runs.rows(prefix, self._bound(runs) if upto is None else upto, columns))

    def _rows_of(self, model: Model, keys: Collection[Key], limit: int | None = None) -> pa.Table:
        return self._ask(model, lambda runs: runs.rows_of(keys, self._bound(runs), limit))

    def _bound(self, runs: ModelRuns) -> int | None:
        """Return the version up to which rows of a model count, None if it has no later ones."""
        return self.version if runs.through > self.version else None  # one that was found anew may go further

"""The read models of a lake through one handle: finding, reading and advancing them.

Slightly longer than most modules: who advances a model finds, reads and publishes it under one lock.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from lakefolio.delta.checkpoint import parse_pointer
from lakefolio.errors import IntegrityError, NotFoundError
from lakefolio.format.layout import (
    JOURNAL,
    checkpoint_version,
    data_file_version,
    log_key,
    log_version,
    pointer_key,
    table_prefix,
)
from lakefolio.format.schema import MANIFESTS_SCHEMA
from lakefolio.process.fork import ForkLock
from lakefolio.readmodels.anew import made_of, of_whole_versions
from lakefolio.readmodels.cache import Cache
from lakefolio.readmodels.catalogue import Catalogue
from lakefolio.readmodels.fold import fold
from lakefolio.readmodels.levels import to_merge
from lakefolio.readmodels.merge import merged
from lakefolio.readmodels.model import Model
from lakefolio.readmodels.models import ENTRIES, FOLDED, FOLIOS, MODELS
from lakefolio.readmodels.run_file import RunFile, files_of
from lakefolio.readmodels.runs import ModelRuns, Run
from lakefolio.readmodels.table import NOTHING, ModelTable, Published
from lakefolio.readmodels.totals import COUNTED, TOTALS, counted
from lakefolio.readmodels.view import Folded, JournalParts

if TYPE_CHECKING:
    from lakefolio.storage import ObjectInfo, Store

__all__ = ["ReadModels"]

_TOGETHER_ROWS: Final = 50_000
_NAMES: Final = tuple(model.name for model in MODELS)


class ReadModels:
    """Safe to share between threads."""

    def __init__(self, store: Store, lake_id: str, cache: Cache | None = None) -> None:
        self._store = store
        self._tables: dict[str, ModelTable] = {model.name: ModelTable(store, lake_id, model) for model in MODELS}
        self.cache = Cache() if cache is None else cache
        self._busy = ForkLock()  # held by the thread that folds
        self._last: dict[str, Published] = {}  # the result of the last fold of this handle

    def read(self, model: str, file: RunFile, start: int, length: int) -> bytes:
        """See Ranges."""
        return self._store.get_range(f"{table_prefix(model)}/{file.path}", start, length)

    def place_of(self, model: str, file: RunFile) -> Path | None:
        """Return where a file of a local lake lies; None for a bucket."""
        root = self._store.local_path
        return None if root is None else root / f"{table_prefix(model)}/{file.path}"

    def newest(self) -> Catalogue:
        """Look for the newest versions: two requests for each model, all at once."""
        return Catalogue.of(self._of_this_journal(self.published(), ())[0])

    def folded(self, catalogue: Catalogue, journal: JournalParts) -> Folded:
        """Return the state that the models of a catalogue hold. No request; each model is opened when it is asked.

        Args:
            catalogue: Which versions of the models.
            journal: Reads rows of the journal, for questions that no model answers.
        """
        return Folded(_Opened(self, catalogue, journal), catalogue.through, journal=journal)

    def open(self, name: str, version: int, through: int) -> ModelRuns:
        """Return one model, in one request.

        Raises:
            NotFoundError: If that version does not exist, or goes less far.
            IntegrityError: If its log entry is damaged.
        """
        return self._reader(name, self._tables[name].at(version), through)

    def reopen(self, name: str, through: int) -> ModelRuns:
        """Return the newest version of a model, in two requests; see :meth:`open`."""
        return self._reader(name, self._tables[name].newest(), through)

    def _reader(self, name: str, published: Published, through: int) -> ModelRuns:
        if published.through < through:
            raise NotFoundError(
                f"read model {name!r} goes up to version {published.through} of the journal, expected {through}",
                kind="object-not-found",
                key=table_prefix(name),
            )
        return self.of_runs(name, published.runs)

    def of_runs(self, name: str, runs: Sequence[Run]) -> ModelRuns:
        """Return one model whose runs are known. No request."""
        return ModelRuns(self._tables[name].model, runs, self, self.cache)

    def advance(
        self, journal: Callable[[int], Iterable[pa.Table]], through: int, *, wait: bool = True
    ) -> Catalogue | None:
        """Fold further rows of the journal into the newest models, and merge runs that are due.

        Safe beside any writer and reader, and after being killed anywhere. A model whose files are missing or damaged,
        or that was folded of another journal, is made anew. Many rows are folded part by part, each of which makes a
        version of each model: memory is bounded by a part, and who goes on after a kill begins behind the last one.

        Args:
            journal: Returns the rows of ``manifests`` above a version, and up to ``through``, in order, in parts.
            through: The version they lead to.
            wait: Whether to wait for another thread that does the same.

        Returns:
            The catalogue of what there is now; None if another writer was faster.
        """
        if not self._busy.acquire(blocking=wait):
            return None
        try:
            found = self._advance(self._current(), journal, through)
            if found is None:  # another writer was faster since this handle folded last
                found = self._advance(self.published(), journal, through)
            return found
        finally:
            self._busy.release()

    def _count_totals(self, current: dict[str, Published]) -> bool:
        """Count totals that are lacking, or of a later version, off the entries; say whether no other was faster.

        Folding them of the whole journal would look up each item among all that came later.
        """
        entries, totals = current[ENTRIES.name], current[TOTALS.name]
        if 0 <= totals.through <= entries.through:
            return True
        current[TOTALS.name] = totals.emptied()
        if entries.through < 0:
            return True
        reader = self.of_runs(ENTRIES.name, entries.runs)
        try:
            rows = counted(merged([reader.parts(run, COUNTED) for run in entries.runs], ENTRIES, bottom=True))
        except (NotFoundError, IntegrityError):
            current[ENTRIES.name] = entries.emptied()  # both are made of the journal then
            return True
        nothing = self.of_runs(TOTALS.name, ())
        made = self._publish(nothing, current[TOTALS.name], rows, entries.through, entries.journal)
        if made is None:
            return False
        current[TOTALS.name] = made
        return True

    def _current(self) -> dict[str, Published]:
        """Return the versions to go on from: those made here last, if they are there still (one request each)."""
        if not self._last:
            return self.published()
        calls = [partial(self._tables[name].at, self._last[name].version) for name in _NAMES]
        return dict(zip(_NAMES, self._store.parallel(calls), strict=True))

    def _advance(
        self, current: dict[str, Published], journal: Callable[[int], Iterable[pa.Table]], through: int
    ) -> Catalogue | None:
        current, digests = self._of_this_journal(current, (through,))
        if current[ENTRIES.name].through < current[FOLIOS.name].through:
            current[FOLIOS.name] = current[FOLIOS.name].emptied()  # the one is made with the help of the other
        if not self._count_totals(current):
            return None
        made: dict[str, Published | None] = {}
        for held in sorted({one.through for one in current.values()}):
            names = [name for name, one in current.items() if one.through == held]
            if held >= through:
                made |= {name: current[name] for name in names}
                continue
            try:
                made |= self._advanced(current, names, journal(held), held, through, digests[through])
            except (NotFoundError, IntegrityError):
                fresh = {name: current[name].emptied() for name in names}
                made |= self._advanced(current | fresh, names, journal(-1), -1, through, digests[through])
        known = [one for name in _NAMES if (one := made[name]) is not None]
        self._last = dict(zip(_NAMES, known, strict=True)) if len(known) == len(_NAMES) else {}
        if not self._last:
            return None
        return Catalogue.of(self._last)

    def published(self) -> dict[str, Published]:
        """Return the newest version of each model: two LISTs, and a GET for each model that there is.

        Raises:
            IntegrityError: If a log entry is damaged.
        """
        return self._newest(self._listed())

    def _of_this_journal(
        self, found: Mapping[str, Published], versions: Collection[int]
    ) -> tuple[dict[str, Published], dict[int, str]]:
        """Empty models that were folded of other versions of the journal than there are. A request for each version.

        Such models lie in a copy that was made, or a bucket that was replicated, while the lake was written to: they
        may be newer than the journal beside them, which has gone on by itself since.

        Args:
            found: The models.
            versions: Further versions of the journal.

        Returns:
            The models, and the digests of the log entries of these versions and of those that the models reach; empty
            for one that does not exist.
        """
        digests = self._digests({*versions, *(one.through for one in found.values())} - {-1})

        def foreign(one: Published) -> bool:
            return bool(one.journal) and one.journal != digests[one.through]

        return {name: one.emptied() if foreign(one) else one for name, one in found.items()}, digests

    def _digests(self, versions: Collection[int]) -> dict[int, str]:
        bodies = self._store.get_many([log_key(JOURNAL, version) for version in versions])
        hexes = ["" if body is None else hashlib.sha256(body).hexdigest() for body in bodies]
        return dict(zip(versions, hexes, strict=True))

    def _listed(self) -> dict[str, list[ObjectInfo]]:
        """Return the objects of each model, without listing the journal, which lies among them."""
        listed: dict[str, list[ObjectInfo]] = {name: [] for name in _NAMES}
        journal = table_prefix(JOURNAL) + "/"
        before = takewhile(lambda info: info.key < journal, self._store.list("tables/"))
        for info in chain(before, self._store.list("tables/", after=journal + "~")):
            name = info.key.split("/")[1]
            if name in listed:
                listed[name].append(info)
        return listed

    def _newest(self, listed: Mapping[str, Sequence[ObjectInfo]]) -> dict[str, Published]:
        calls = []
        for name, infos in listed.items():
            versions = [version for info in infos if (version := log_version(info.key)) is not None]
            calls.append(partial(self._tables[name].at, max(versions)) if versions else lambda: NOTHING)
        return dict(zip(listed, self._store.parallel(calls), strict=True))

    def anew(self, name: str, runs: Sequence[Run]) -> ModelRuns:
        """Return one model that is read from its files, whatever is cached. No request."""
        return ModelRuns(self._tables[name].model, runs, self, Cache(0))

    def dead(self) -> Iterator[ObjectInfo]:
        """Yield the data files that no version to come names, and old checkpoints, which readers other than ours take.

        Whoever reads an older version takes a newer one then.

        Raises:
            IntegrityError: If a log entry is damaged.
        """
        from lakefolio.delta.orphans import needless_checkpoints

        listed = self._listed()
        old: dict[str, list[ObjectInfo]] = {}
        for name, infos in listed.items():
            newest = max((log_version(info.key) or 0 for info in infos), default=0)
            paths = {info.key.removeprefix(table_prefix(name) + "/"): info for info in infos}
            # keep the files of the newest version: looking for more costs a request
            versions = {path: version for path in paths if (version := data_file_version(path)) is not None}
            old[name] = [paths[path] for path, version in versions.items() if version < newest]
            if sum(checkpoint_version(path) is not None for path in paths) > 2:  # one is named, one is left beside it
                named = parse_pointer(self._store.find(pointer_key(name)))
                yield from needless_checkpoints(infos, -1 if named is None else named[0])
        for name, published in self._newest({name: listed[name] for name, infos in old.items() if infos}).items():
            active = {f"{table_prefix(name)}/{file.path}" for file in published.files}
            yield from (info for info in old[name] if info.key not in active)

    def _advanced(
        self,
        current: Mapping[str, Published],
        names: Sequence[str],
        journal: Iterable[pa.Table],
        held: int,
        through: int,
        digest: str,
    ) -> dict[str, Published | None]:
        """Fold all rows above ``held`` into some models, which all hold the rows up to there.

        ``digest`` is that of the journal's log entry of the version ``through``.
        """
        parts = of_whole_versions(journal)
        rows = next(parts, MANIFESTS_SCHEMA.empty_table())
        for following in parts:
            upto = rows.column("version")[-1].as_py()
            made = self._with_part(current, names, rows, held, upto, self._digests((upto,))[upto])
            known = {name: one for name, one in made.items() if one is not None}
            if len(known) < len(made):
                return made
            current, held, rows = {**current, **known}, upto, following
        return self._with_part(current, names, rows, held, through, digest)

    def _with_part(
        self,
        current: Mapping[str, Published],
        names: Sequence[str],
        rows: pa.Table,
        held: int,
        through: int,
        journal: str,
    ) -> dict[str, Published | None]:
        opened = {name: self.of_runs(name, one.runs) for name, one in current.items()}
        before = Folded(_Given(opened), max(one.through for one in current.values()), held)
        runs = fold(rows, before, names)
        calls = [partial(self._publish, opened[name], current[name], runs[name], through, journal) for name in names]
        # a merge holds part of its rows in memory: a few small models together, or one large one alone
        written = max((_written(current[name], runs[name]) for name in names), default=0)
        done = self._store.parallel(calls) if written < _TOGETHER_ROWS else [call() for call in calls]
        return dict(zip(names, done, strict=True))

    def _publish(
        self, reader: ModelRuns, before: Published, rows: pa.Table, through: int, journal: str
    ) -> Published | None:
        model, table = reader.model, self._tables[reader.model.name]
        runs = list(before.runs)
        if rows.num_rows:
            count = to_merge([*(run.row_count for run in runs), rows.num_rows])
            older = runs[len(runs) - max(count - 1, 0) :]
            kept = runs[: len(runs) - len(older)]
            parts: Iterator[pa.Table] = iter([rows])
            if older or not kept:
                parts = merged([*(reader.parts(run) for run in older), [rows]], model, bottom=not kept)
            after = older[0].after if older else before.through
            runs = [*kept, *self._stored(table, model, parts, before.version + 1, after, through)]
        return table.publish(before, runs, through, journal)

    def _stored(
        self, table: ModelTable, model: Model, parts: Iterator[pa.Table], version: int, after: int, through: int
    ) -> Sequence[Run]:
        files = []
        for file, body in files_of((part for part in parts if part.num_rows), model, after=after, through=through):
            named = table.named(version, file)
            table.store_file(named, body)
            files.append(named)
        return [Run(tuple(files))] if files else []


def _written(before: Published, rows: pa.Table) -> int:
    """Return how many rows a fold is going to write, those of runs that it merges included."""
    counts = [*(run.row_count for run in before.runs), rows.num_rows]
    return sum(counts[len(counts) - max(to_merge(counts), 1) :])


class _Opened:
    """The models of a catalogue, each opened when it is first asked for.

    One that can't be read is looked for anew: it was made again meanwhile, and gc took the old files away. Failing
    that it is made of the journal, part by part.
    """

    def __init__(self, models: ReadModels, catalogue: Catalogue, journal: JournalParts) -> None:
        self._models = models
        self._through = catalogue.through
        self._versions = dict(zip(_NAMES, catalogue.versions, strict=True))
        self._journal = journal
        self._known = {name: models.of_runs(name, runs) for name, runs in catalogue.runs.items()}
        self._replaced: set[str] = set()

    def __getitem__(self, name: str) -> ModelRuns:
        found = self._known.get(name)
        if found is None:
            try:
                found = self._models.open(name, self._versions[name], self._through)
            except (NotFoundError, IntegrityError):
                return self.instead(name)
            self._known[name] = found
        return found

    def get(self, name: str) -> ModelRuns | None:
        """Return a model, or None if it is lacking.

        Raises:
            NotFoundError: If the version of the catalogue is not there.
            IntegrityError: If its log entry is damaged.
        """
        if name not in self._known:
            if self._versions[name] < 0:
                return None
            self._known[name] = self._models.open(name, self._versions[name], self._through)
        return self._known[name]

    def instead(self, name: str) -> ModelRuns:
        """Return a model in place of one that could not be read."""
        if name not in self._replaced:
            self._replaced.add(name)
            with contextlib.suppress(NotFoundError, IntegrityError):
                self._known[name] = self._models.reopen(name, self._through)
                return self._known[name]
        self._known[name] = made_of(name, self._journal(FOLDED, -1, self._through), self._through)
        return self._known[name]


class _Given(dict[str, ModelRuns]):
    """Models that nothing stands in for: what can't be read is an error."""

    def instead(self, name: str) -> ModelRuns:
        return self[name]

"""A record table: rows appended, replaced, deleted and migrated, each time as one version of its Delta log.

Each write is a function that plans a :class:`Change` on a state; ``versions`` calls it until the change lands, and
``staging`` holds the data files meanwhile.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.errors import ConflictError, InvalidInputError, LakefolioError
from lakefolio.process.fork import ForkLock
from lakefolio.records.change import Change, Origin, Written, once_key
from lakefolio.records.expressions import condition, condition_errors
from lakefolio.records.files import DataFiles
from lakefolio.records.keys import KeyIndex, hashes
from lakefolio.records.merging import files_to_merge
from lakefolio.records.rows import check_rows, fitted
from lakefolio.records.staging import StagedFiles, StagedRows
from lakefolio.records.state import RecordFile, TableState
from lakefolio.records.versions import TableVersions

if TYPE_CHECKING:
    from lakefolio.records.schema import TableSchema
    from lakefolio.storage import Store

__all__ = ["RecordTable"]

_MAINTAINED_EVERY: Final = 50


@dataclass(frozen=True, slots=True)
class _Rest:
    """What a change leaves of a data file: another file, or None if no row is left or none is gone.

    Attributes:
        file: The other file.
        gone: How many rows are gone.
        keys: The keys of those, each once, of an upsert; of other changes None.
    """

    file: RecordFile | None
    gone: int
    keys: pa.Table | None


class RecordTable:
    """One record table through one handle. Safe to share between threads: commits of one handle stand in line.

    Attributes:
        name: What people call it, for errors.
        prefix: Its folder.
        files: Its data files.
        versions: Its past states, its log, and how it begins; the newest state is that of :meth:`state`.
    """

    def __init__(self, store: Store, prefix: str, name: str) -> None:
        """Name the table by its folder, and for errors as people call it."""
        self._lock = ForkLock()
        self.name = name
        self.prefix = prefix
        self.files = DataFiles(store, prefix)
        self.versions = TableVersions(store, prefix, name)
        self._index = KeyIndex()

    def state(self) -> TableState:
        """Return the newest state; one request if nothing is new.

        Raises:
            NotFoundError: kind ``table-not-found``: there is no log.
            FormatError: kind ``table-protocol``: another tool made it what this library can't read.
        """
        with self._lock:
            return self.versions.newest()

    # -- writing -------------------------------------------------------------------------------------------

    def append(self, rows: object, origin: Origin, *, once: str | None = None) -> Written:
        """Add rows; see the facade for the guarantee."""
        state = self.state()
        self.versions.check_writable(state, removes=False)
        if once is not None and once_key(once) in state.txns:
            return Written(state.version, repeated=True)
        with StagedFiles(self.files) as staged:
            new = StagedRows(staged, self.files, self.name)
            new.store(rows, state)

            def plan(state: TableState) -> Change:
                new.fit(state)
                if state.schema.key:
                    self._follow(state)
                    new.check_new(state, self._index)
                return Change("WRITE", new.files, rows=Written(-1, added=new.row_count), hashed=new.hashed)

            return self._commit(plan, staged, origin, once=once)

    def upsert(self, rows: object, origin: Origin, *, once: str | None = None) -> Written:
        """Add rows, and replace those that have the same key; see the facade."""
        state = self.state()
        self.versions.check_writable(state, removes=True)
        if not state.schema.key:
            raise InvalidInputError(
                f"table {self.name!r} has no key to find rows by", kind="no-key", hint="append, or declare key="
            )
        if once is not None and once_key(once) in state.txns:
            return Written(state.version, repeated=True)
        rests: dict[str, _Rest] = {}
        with StagedFiles(self.files) as staged:
            new = StagedRows(staged, self.files, self.name)
            new.store(rows, state)

            def plan(state: TableState) -> Change:
                if not state.schema.key:
                    raise ConflictError(f"table {self.name!r} has no key any more", kind="no-key")
                new.fit(state)
                self._follow(state)
                keys = new.keys
                paths = [] if keys is None else self._index.files_with(hashes(keys))
                added, removed, gone = self._without(paths, state, lambda found: _unlike(found, keys), rests, staged)
                # another engine may have doubled a key: then more rows go than are replaced
                updated = _distinct([rests[path].keys for path in paths])
                counts = Written(-1, added=new.row_count - updated, updated=updated, deleted=gone - updated)
                return Change("MERGE", [*new.files, *added], removed, rows=counts)

            return self._commit(plan, staged, origin, once=once)

    def delete_where(self, where: str, origin: Origin) -> Written:
        """Remove the rows of a condition; see the facade."""
        rests: dict[str, _Rest] = {}
        with StagedFiles(self.files) as staged:

            def plan(state: TableState) -> Change:
                wanted = condition(where, state.schema.arrow)
                candidates = self.files.matching(state.files.values(), state.schema.arrow, wanted.expression)
                with condition_errors(where):
                    paths = [file.path for file, rows in candidates if rows.count_rows(filter=wanted.expression)]
                others = pc.invert(pc.coalesce(wanted.expression, pc.scalar(False)))
                added, removed, gone = self._without(
                    paths, state, lambda found: (found.filter(others), None), rests, staged
                )
                return Change("DELETE", added, removed, rows=Written(-1, deleted=gone))

            return self._commit(plan, staged, origin, removes=True)

    def _without(
        self,
        paths: Sequence[str],
        state: TableState,
        change: Callable[[pa.Table], tuple[pa.Table, pa.Table | None]],
        rests: dict[str, _Rest],
        staged: StagedFiles,
    ) -> tuple[list[RecordFile], list[RecordFile], int]:
        """Take rows out of data files.

        Args:
            paths: The files.
            state: The state that has them.
            change: Returns the rows that stay, of those of a file, and the keys of others, see ``_Rest``.
            rests: What earlier plans of the same write left of files; added to.
            staged: Where files are written.

        Returns:
            The files that come, those that go, and how many rows are gone.
        """
        for path in paths:
            rest = rests.get(path)
            if rest is None or (rest.file is not None and not staged.is_fresh(rest.file, state.version)):
                rows = self.files.read(state.files[path], state.schema.arrow)
                left, keys = change(rows)
                some = 0 < left.num_rows < rows.num_rows
                file = staged.write(left, state.version) if some else None
                rests[path] = _Rest(file, rows.num_rows - left.num_rows, keys)
        changed = [path for path in paths if rests[path].gone]
        added = [file for path in changed if (file := rests[path].file) is not None]
        return added, [state.files[path] for path in changed], sum(rests[path].gone for path in changed)

    def migrate(
        self,
        step: Callable[[TableSchema], tuple[TableSchema, Callable[[pa.Table], pa.Table] | None]],
        change: str,
        origin: Origin,
        reason: str,
    ) -> Written:
        """Change the schema, and the rows with it where they must be; see the facade.

        Args:
            step: Returns the new schema, and what becomes of rows, or None if files stay as they are.
            change: The migration in words.
            origin: Who.
            reason: Why.
        """
        made: dict[str, RecordFile] = {}
        with StagedFiles(self.files) as staged:

            def plan(state: TableState) -> Change:
                schema, rewrite = step(state.schema)
                schema = _noted(schema, change, state, origin, reason)
                changed = Written(-1, schema_changed=True)
                if rewrite is None:
                    self._check_all(state, schema)
                    return Change("CHANGE SCHEMA", schema=schema, rows=changed)
                for path, file in state.files.items():
                    if path not in made or not staged.is_fresh(made[path], state.version):
                        rows = fitted(rewrite(self.files.read(file, state.schema.arrow)), schema, self.name)
                        check_rows(rows, schema, self.name)
                        made[path] = staged.write(rows, state.version)
                added = [made[path] for path in state.files]
                return Change("CHANGE SCHEMA", added, list(state.files.values()), schema, changed)

            return self._commit(plan, staged, origin)

    def _check_all(self, state: TableState, schema: TableSchema) -> None:
        """Raise InvalidInputError unless all rows keep the rules of a schema whose columns they have."""
        stricter = schema.checks != state.schema.checks or any(
            not one.nullable
            and (one.name not in state.schema.arrow.names or state.schema.arrow.field(one.name).nullable)
            for one in schema.arrow
        )
        for file in state.files.values() if stricter else ():
            check_rows(self.files.read(file, schema.arrow), schema, self.name)

    def restore(self, version: int, origin: Origin) -> Written:
        """Make rows and schema what they were at a version, as a new version."""
        made: dict[str, RecordFile] = {}
        with StagedFiles(self.files) as staged:

            def plan(state: TableState) -> Change:
                then = self.versions.at(version)
                back = [one for path, one in then.files.items() if path not in state.files]
                removed = [one for path, one in state.files.items() if path not in then.files]
                for one in back:  # copied: a file that was replaced is never named again, so gc may delete it
                    if one.path not in made or not staged.is_fresh(made[one.path], state.version):
                        made[one.path] = staged.write(self.files.read(one, then.schema.arrow), state.version)
                added = [made[one.path] for one in back]
                same = then.schema.arrow == state.schema.arrow and then.schema.checks == state.schema.checks
                schema = None if same else replace(then.schema, migrations=state.schema.migrations)
                if schema is not None:
                    schema = _noted(schema, f"restore version {version}", state, origin, "restore")
                changed = schema is not None
                counts = Written(-1, added=_row_count(added), deleted=_row_count(removed), schema_changed=changed)
                return Change("RESTORE", added, removed, schema, counts)

            return self._commit(plan, staged, origin, removes=True)

    def _commit(
        self,
        plan: Callable[[TableState], Change],
        staged: StagedFiles,
        origin: Origin,
        *,
        once: str | None = None,
        removes: bool = False,
    ) -> Written:
        with self._lock:
            change, written = self.versions.commit(plan, staged, origin, once=once, removes=removes)
            if change is not None:
                for path, hashed in change.hashed.items():
                    self._index.learn(path, hashed)
                if written.version % _MAINTAINED_EVERY == 0:
                    with contextlib.suppress(LakefolioError):  # the write landed, whatever becomes of its upkeep
                        self.maintain()
            return written

    def _follow(self, state: TableState) -> None:
        key = list(state.schema.key)
        self._index.follow(state.files, key, lambda file: self.files.read(file, state.schema.arrow, key))

    # -- maintenance ---------------------------------------------------------------------------------------

    def maintain(self, *, everything: bool = False) -> dict[str, int]:
        """Merge small files and write a checkpoint. Never changes a row; loses a race without harm.

        Returns:
            Counts: ``files_before``, ``files_after``, ``checkpoint_version``.

        Raises:
            FormatError: kind ``table-protocol``: another tool's table. A checkpoint would leave out what only that tool
                knows.
        """
        with self._lock:
            state = self.state()
            self.versions.check_writable(state, removes=False)
            if state.version == 0:
                self.versions.create()
            before = len(state.files)
            for chosen in files_to_merge(state, everything=everything):
                self._merge(chosen, state)
            state = self.state()
            self.versions.log.write_checkpoint(state)
            return {"files_before": before, "files_after": len(state.files), "checkpoint_version": state.version}

    def _merge(self, chosen: Sequence[RecordFile], state: TableState) -> None:
        """Make one data file of some, unless another writer replaced one of them."""
        rows = pa.concat_tables([self.files.read(one, state.schema.arrow) for one in chosen]).combine_chunks()
        merged: list[RecordFile] = []
        with StagedFiles(self.files) as staged:

            def plan(now: TableState) -> Change:
                if any(one.path not in now.files for one in chosen) or now.schema != state.schema:
                    return Change("OPTIMIZE")
                if not merged or not staged.is_fresh(merged[0], now.version):
                    merged[:] = [staged.write(rows, now.version)]
                return Change("OPTIMIZE", list(merged), chosen, data_change=False)

            change, _ = self.versions.commit(plan, staged, Origin())
        if change is not None and state.schema.key:
            self._index.moved([one.path for one in chosen], merged[0].path)


def _noted(schema: TableSchema, change: str, state: TableState, origin: Origin, reason: str) -> TableSchema:
    """Return a schema whose history says which change leads to it."""
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return schema.after(change, version=state.version + 1, at=at, author=origin.author, reason=reason)


def _row_count(files: Sequence[RecordFile]) -> int:
    return sum(one.row_count or 0 for one in files)


def _unlike(rows: pa.Table, keys: pa.Table | None) -> tuple[pa.Table, pa.Table | None]:
    """Return the rows that have none of some keys, and the keys of the others, each once."""
    import polars as pl

    if keys is None:
        return rows, None
    names = keys.schema.names
    numbered = pl.DataFrame(pl.from_arrow(rows.select(names))).with_row_index("lakefolio row")
    there = pl.DataFrame(pl.from_arrow(keys.replace_schema_metadata(None)))
    left = numbered.join(there, on=names, how="anti", maintain_order="left").get_column("lakefolio row")
    gone: pa.Table = there.join(numbered, on=names, how="semi").to_arrow()
    return rows.take(pa.array(left.to_numpy())), gone


def _distinct(keys: Sequence[pa.Table | None]) -> int:
    """Return how many different keys some tables have, each of which has a key once."""
    found = [one for one in keys if one is not None and one.num_rows]
    if len(found) < 2:
        return sum(one.num_rows for one in found)
    import polars as pl

    return pl.DataFrame(pl.from_arrow(pa.concat_tables(found))).n_unique()

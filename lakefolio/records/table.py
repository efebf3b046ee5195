"""A record table: rows appended, replaced, deleted and migrated, each time as one version of its Delta log.

A write is planned on a state, its data files are stored, and the next log entry is created if absent: winning proves
that nothing happened since that state, so every rule (the schema, the key) holds exactly. Who loses reads what
happened, plans again on that, and tries again. Appends plan on any state, so all of any number of them succeed.

Longer than most modules: every write goes through one loop of planning and committing, and all rules that it holds
stand beside it.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.delta.actions import now_ms
from lakefolio.errors import (
    AlreadyExistsError,
    ConflictError,
    FormatError,
    InvalidInputError,
    NotFoundError,
    StorageError,
)
from lakefolio.format.names import new_id
from lakefolio.process.fork import at_forks
from lakefolio.records.expressions import condition
from lakefolio.records.files import REACH, DataFiles, base_version
from lakefolio.records.keys import KeyIndex, all_different, hashes
from lakefolio.records.log import RecordLog
from lakefolio.records.rows import Problems, as_tables, check_rows, fitted, keys_twice
from lakefolio.records.state import RecordFile, TableState, moment_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lakefolio.records.schema import TableSchema
    from lakefolio.storage import Store

__all__ = ["Origin", "RecordTable", "Written"]

_TRIES: Final = 500
_MAINTAINED_EVERY: Final = 50
_LEVELS: Final = (2_500, 125_000)
_FULL_BYTES: Final = 32 << 20
_FANOUT: Final = 40
_MOST_ROWS: Final = 500_000
_ONCE: Final = "lakefolio:"
_LONGEST_KEY: Final = 200


@dataclass(frozen=True, slots=True)
class Origin:
    """Who writes, why, and what version of the lake the writer has seen (the write is dated after it)."""

    author: str | None = None
    message: str | None = None
    lake_version: int | None = None
    not_before_us: int = 0


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did.

    Attributes:
        version: The version of the table that has it.
        added, updated, deleted: How many rows.
        schema_changed: Whether it changed the schema.
        repeated: Whether an earlier call with the same ``once`` had done it, so that nothing was done now.
    """

    version: int
    added: int = 0
    updated: int = 0
    deleted: int = 0
    repeated: bool = False
    schema_changed: bool = False

    def __str__(self) -> str:
        """The result in words."""
        if self.repeated:
            return f"done before; the table is at version {self.version}"
        counts = {"added": self.added, "updated": self.updated, "deleted": self.deleted}
        said = ", ".join(f"{count} {word}" for word, count in counts.items() if count) or (
            "schema changed" if self.schema_changed else "nothing changed"
        )
        return f"{said}; the table is at version {self.version}"


@dataclass(slots=True)
class _Plan:
    """What the next log entry is to say; without ``actions`` there is nothing to say."""

    operation: str
    added: Sequence[RecordFile] = ()
    removed: Sequence[RecordFile] = ()
    schema: TableSchema | None = None
    rows: Written = field(default_factory=lambda: Written(-1))
    data_change: bool = True
    hashed: Mapping[str, NDArray[np.uint64]] = field(default_factory=dict)

    @property
    def says_nothing(self) -> bool:
        return not (self.added or self.removed or self.schema)


@dataclass(slots=True)
class _Part:
    """Rows on their way: stored as a data file, with their keys."""

    file: RecordFile
    keys: pa.Table | None
    hashed: NDArray[np.uint64] | None


class RecordTable:
    """One record table through one handle. Safe to share between threads: commits of one handle stand in line."""

    def __init__(self, store: Store, prefix: str, name: str) -> None:
        """Name the table by its folder, and for errors as people call it."""
        self.store = store
        self.prefix = prefix
        self.name = name
        self.log = RecordLog(store, prefix)
        self.files = DataFiles(store, prefix)
        self._state: TableState | None = None
        self._index = KeyIndex()
        self._lock = threading.RLock()
        at_forks(self)

    def before_fork(self) -> None:
        """Nothing has to come to an end."""

    def after_fork(self, *, child: bool) -> None:
        """Give a child a lock that no other thread holds."""
        if child:
            self._lock = threading.RLock()

    # -- states --------------------------------------------------------------------------------------------

    def create(self, schema: TableSchema, table_id: str, created_ms: int) -> None:
        """Create version 0. Idempotent: the same call by anyone creates the same."""
        metadata = schema.metadata(table_id, created_ms)
        info = {"timestamp": created_ms, "operation": "CREATE TABLE", "operationParameters": {}}
        ours = {"at": created_ms * 1000}
        self.store.create_if_absent(
            self.log.key(0), self.log.entry(0, info, ours, [{"protocol": schema.protocol}, {"metaData": metadata}])
        )

    def state(self) -> TableState:
        """Return the newest state; one request if nothing is new.

        Raises:
            NotFoundError: kind ``table-not-found``: there is no log.
            FormatError: kind ``table-protocol``: another tool made it what this library can't read.
        """
        with self._lock:
            known = self._state
            self._state = self.log.load() if known is None or known.version < 0 else self.log.refreshed(known)
            return self._readable(self._state)

    def state_at(self, version: int) -> TableState:
        """Return the state at a version; NotFoundError if there is none."""
        with self._lock:
            if self._state is not None and self._state.version == version:
                return self._readable(self._state)
        return self._readable(self.log.load(version))

    def moment(self, version: int) -> int:
        """Return when a version came to be, in microseconds since 1970: rises with every version."""
        noted = 0
        while True:
            info = self.log.info(version)
            ours = info.get("lakefolio")
            if (isinstance(ours, dict) and type(ours.get("at")) is int) or version <= 0:
                return max(noted, moment_of(info))
            noted = max(noted, moment_of(info) if info else 0)  # another engine's: not before the one it follows
            version -= 1

    def _readable(self, state: TableState) -> TableState:
        if state.version < 0:
            raise NotFoundError(f"table {self.name!r} has no log at {self.prefix}", kind="table-not-found")
        if state.reader:
            raise FormatError(
                f"table {self.name!r} can't be read: {state.reader}",
                kind="table-protocol",
                hint="another tool made it so; that tool reads it, or writes it plain again",
                table=self.name,
            )
        return state

    def _check_writable(self, state: TableState, *, removes: bool) -> None:
        self._readable(state)
        if state.writer:
            raise FormatError(
                f"table {self.name!r} can't be written to: {state.writer}", kind="table-protocol", table=self.name
            )
        if removes and state.append_only:
            raise InvalidInputError(
                f"table {self.name!r} is append-only", kind="append-only", hint="its property delta.appendOnly says so"
            )

    # -- writing -------------------------------------------------------------------------------------------

    def append(self, rows: object, origin: Origin, *, once: str | None = None) -> Written:
        """Add rows; see the facade for the guarantee."""
        state = self.state()
        self._check_writable(state, removes=False)
        if once is not None and _once(once) in state.txns:
            return Written(state.version, repeated=True)
        parts: list[_Part] = []
        used: set[str] = set()
        try:
            schema = state.schema
            self._store_parts(rows, schema, state.version, parts)
            plan = self._append_plan(parts, schema)
            return self._commit(plan, origin, once=once, used=used)
        finally:
            self._discard([part.file for part in parts], used)

    def _append_plan(self, parts: list[_Part], schema: TableSchema) -> Callable[[TableState], _Plan]:
        fitted_to = schema

        def plan(state: TableState) -> _Plan:
            nonlocal fitted_to
            self._renew(parts, fitted_to, state)
            fitted_to = state.schema
            if state.schema.key:
                self._check_keys(parts, state)
            added = sum(part.file.row_count or 0 for part in parts)
            hashed = {part.file.path: part.hashed for part in parts if part.hashed is not None}
            return _Plan("WRITE", [part.file for part in parts], rows=Written(-1, added=added), hashed=hashed)

        return plan

    def _store_parts(self, rows: object, schema: TableSchema, base: int, parts: list[_Part]) -> None:
        """Check rows and store them as data files, part by part."""
        first = 0
        for part in as_tables(rows, schema, self.name):
            table = fitted(part, schema, self.name, first)
            check_rows(table, schema, self.name, first)
            first += table.num_rows
            if table.num_rows:
                parts.append(self._part(table, schema, base))
        if schema.key and parts:
            self._check_twice(parts)

    def _part(self, rows: pa.Table, schema: TableSchema, base: int) -> _Part:
        keys = rows.select(list(schema.key)) if schema.key else None
        return _Part(self.files.write(rows, base), keys, None if keys is None else hashes(keys))

    def _check_twice(self, parts: Sequence[_Part]) -> None:
        keys = pa.concat_tables([part.keys for part in parts if part.keys is not None])
        if all_different([part.hashed for part in parts if part.hashed is not None]):
            return
        if twice := keys_twice(keys.combine_chunks()):
            self._refuse_keys(keys, twice, "is the key of two of the rows")

    def _refuse_keys(self, keys: pa.Table, rows: Sequence[int], problem: str) -> None:
        names = keys.schema.names
        values: Any = keys.column(0) if len(names) == 1 else [tuple(row.values()) for row in keys.to_pylist()]
        problems = Problems(self.name)
        problems.add(rows, ", ".join(names), values, problem)
        problems.check(keys.num_rows)

    def _renew(self, parts: list[_Part], schema: TableSchema, state: TableState) -> None:
        """Write parts again that were made for another schema, or too many versions ago."""
        same = (
            state.schema.arrow == schema.arrow
            and state.schema.checks == schema.checks
            and state.schema.key == schema.key
        )
        for number, part in enumerate(parts):
            base = base_version(part.file.path) or 0
            if same and state.version - base < REACH:
                continue
            rows = self.files.read(part.file, schema.arrow)
            rows = fitted(rows, state.schema, self.name)
            check_rows(rows, state.schema, self.name)
            parts.append(self._part(rows, state.schema, state.version))
            parts[number], parts[-1] = parts[-1], parts[number]
            self.store.delete([self.files.key(parts.pop().file.path)])

    def _check_keys(self, parts: Sequence[_Part], state: TableState) -> None:
        """Raise InvalidInputError for keys that the table has already."""
        self._follow(state)
        for part in parts:
            assert part.keys is not None
            wanted = part.hashed
            assert wanted is not None
            if not self._index.may_have(wanted):
                continue
            there = self._there(part.keys, state, self._index.files_with(wanted))
            if there:
                self._refuse_keys(part.keys, there, f"is the key of a row that the table has (version {state.version})")

    def _follow(self, state: TableState) -> None:
        key = list(state.schema.key)
        self._index.follow(state.files, key, lambda file: self.files.read(file, state.schema.arrow, key))

    def _there(self, keys: pa.Table, state: TableState, paths: Sequence[str]) -> list[int]:
        """Return which of some keys rows of some files have."""
        import polars as pl

        names = keys.schema.names
        wanted = pl.DataFrame(pl.from_arrow(keys.replace_schema_metadata(None))).with_row_index("lakefolio row")
        found: set[int] = set()
        for path in paths:
            there = pl.DataFrame(pl.from_arrow(self.files.read(state.files[path], state.schema.arrow, names)))
            found.update(wanted.join(there, on=names, how="semi").get_column("lakefolio row").to_list())
        return sorted(found)

    def upsert(self, rows: object, origin: Origin, *, once: str | None = None) -> Written:
        """Add rows, and replace those that have the same key; see the facade."""
        state = self.state()
        self._check_writable(state, removes=True)
        if not state.schema.key:
            raise InvalidInputError(
                f"table {self.name!r} has no key to find rows by", kind="no-key", hint="append, or declare key="
            )
        if once is not None and _once(once) in state.txns:
            return Written(state.version, repeated=True)
        parts: list[_Part] = []
        made: dict[str, tuple[RecordFile | None, int]] = {}
        used: set[str] = set()
        try:
            schema = state.schema
            self._store_parts(rows, schema, state.version, parts)

            def plan(state: TableState) -> _Plan:
                nonlocal schema
                if not state.schema.key:
                    raise ConflictError(f"table {self.name!r} has no key any more", kind="no-key")
                self._renew(parts, schema, state)
                schema = state.schema
                self._follow(state)
                keys = [part.keys for part in parts if part.keys is not None]
                wanted = pa.concat_tables(keys) if keys else None
                paths = [] if wanted is None else self._index.files_with(hashes(wanted))
                return self._replacing(
                    state, paths, lambda found: _without(found, wanted), made, [part.file for part in parts], "MERGE"
                )

            return self._commit(plan, origin, once=once, used=used)
        finally:
            self._discard([*(part.file for part in parts), *(one for one, _ in made.values() if one)], used)

    def delete_where(self, where: str, origin: Origin) -> Written:
        """Remove the rows of a condition; see the facade."""
        made: dict[str, tuple[RecordFile | None, int]] = {}
        used: set[str] = set()

        def plan(state: TableState) -> _Plan:
            wanted = condition(where, state.schema.arrow)
            candidates = self.files.matching(state.files.values(), state.schema.arrow, wanted.expression)
            paths = [file.path for file, rows in candidates if rows.count_rows(filter=wanted.expression)]
            keep = pc.invert(pc.coalesce(wanted.expression, pc.scalar(False)))
            return self._replacing(state, paths, lambda found: found.filter(keep), made, [], "DELETE")

        try:
            return self._commit(plan, origin, used=used, removes=True)
        finally:
            self._discard([one for one, _ in made.values() if one], used)

    def _replacing(
        self,
        state: TableState,
        paths: Sequence[str],
        change: Callable[[pa.Table], pa.Table],
        made: dict[str, tuple[RecordFile | None, int]],
        more: Sequence[RecordFile],
        operation: str,
    ) -> _Plan:
        """Plan that files are replaced by what a change leaves of them; ``made`` remembers it for the next try."""
        added, removed, gone = list(more), [], 0
        for path in paths:
            file = state.files[path]
            if path not in made or (made[path][0] and state.version - (base_version(made[path][0].path) or 0) >= REACH):  # type: ignore[union-attr]
                rows = self.files.read(file, state.schema.arrow)
                left = change(rows)
                stored = self.files.write(left, state.version) if 0 < left.num_rows < rows.num_rows else None
                made[path] = (stored, rows.num_rows - left.num_rows)
            left_file, count = made[path]
            if count:
                gone += count
                removed.append(file)
                added += [left_file] if left_file else []
        new = sum(one.row_count or 0 for one in more)
        written = Written(-1, deleted=gone) if operation == "DELETE" else Written(-1, added=new - gone, updated=gone)
        return _Plan(operation, added, removed, rows=written)

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
        used: set[str] = set()

        def plan(state: TableState) -> _Plan:
            schema, rewrite = step(state.schema)
            changed = Written(-1, schema_changed=True)
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            schema = schema.after(change, version=state.version + 1, at=at, author=origin.author, reason=reason)
            if rewrite is None:
                self._check_all(state, schema)
                return _Plan("CHANGE SCHEMA", schema=schema, rows=changed)
            for path, file in state.files.items():
                if path not in made:
                    rows = fitted(rewrite(self.files.read(file, state.schema.arrow)), schema, self.name)
                    check_rows(rows, schema, self.name)
                    made[path] = self.files.write(rows, state.version)
            added = [made[path] for path in state.files]
            return _Plan("CHANGE SCHEMA", added, list(state.files.values()), schema, changed)

        try:
            return self._commit(plan, origin, used=used)
        finally:
            self._discard(list(made.values()), used)

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
        used: set[str] = set()

        def plan(state: TableState) -> _Plan:
            then = self.state_at(version)
            back = [one for path, one in then.files.items() if path not in state.files]
            removed = [one for path, one in state.files.items() if path not in then.files]
            for one in back:  # copied: a file that was replaced is never named again, so gc may delete it
                if one.path not in made or state.version - (base_version(made[one.path].path) or 0) >= REACH:
                    made[one.path] = self.files.write(self.files.read(one, then.schema.arrow), state.version)
            added = [made[one.path] for one in back]
            same = then.schema.arrow == state.schema.arrow and then.schema.checks == state.schema.checks
            schema = None if same else replace(then.schema, migrations=state.schema.migrations)
            if schema is not None:
                at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
                schema = schema.after(
                    f"restore version {version}",
                    version=state.version + 1,
                    at=at,
                    author=origin.author,
                    reason="restore",
                )
            counts = Written(
                -1, added=sum(one.row_count or 0 for one in added), deleted=sum(one.row_count or 0 for one in removed)
            )
            return _Plan("RESTORE", added, removed, schema, counts)

        try:
            return self._commit(plan, origin, used=used, removes=True)
        finally:
            self._discard(list(made.values()), used)

    # -- the commit ----------------------------------------------------------------------------------------

    def _commit(
        self,
        plan: Callable[[TableState], _Plan],
        origin: Origin,
        *,
        once: str | None = None,
        used: set[str] | None = None,
        removes: bool = False,
    ) -> Written:
        """Plan on the newest state and create the next version, until that succeeds.

        Raises:
            LakefolioError: Of the plan: nothing was stored.
            StorageError: The store gave no answer; with ``once`` it is safe to try again.
            ConflictError: kind ``contended``: others were faster for too long.
        """
        commit_id = new_id()
        with self._lock:
            state = self._state or self.state()
            for attempt in range(_TRIES):
                if once is not None and _once(once) in state.txns:
                    return Written(state.version, repeated=True)
                self._check_writable(state, removes=removes)
                made = plan(state)
                if made.says_nothing and once is None:
                    return replace(made.rows, version=state.version)
                version = state.version + 1
                actions, body = _entry(self.log, made, state, commit_id, origin, once)
                try:
                    self.store.create(self.log.key(version), body)
                    landed = True
                except AlreadyExistsError:
                    landed = self._is_ours(version, commit_id)
                except StorageError:
                    if used is not None:
                        used.update(one.path for one in made.added)  # who knows
                    if not self._is_ours(version, commit_id):
                        raise
                    landed = True
                if landed:
                    if used is not None:
                        used.update(one.path for one in made.added)
                    self._state = state.after(version, actions, within=self.prefix)
                    for path, hashed in made.hashed.items():
                        self._index.learn(path, hashed)
                    if version % _MAINTAINED_EVERY == 0:
                        self.maintain()
                    return replace(made.rows, version=version)
                state = self.state()
                time.sleep(random.random() * min(0.1, 0.002 * 2 ** min(attempt, 6)))
        raise ConflictError(
            f"table {self.name!r}: other writers were faster {_TRIES} times", kind="contended", hint="try again"
        )

    def _is_ours(self, version: int, commit_id: str) -> bool:
        body = self.store.find(self.log.key(version))
        return body is not None and commit_id.encode() in body.partition(b"\n")[0]

    def _discard(self, files: Sequence[RecordFile], used: set[str]) -> None:
        """Delete data files that no log entry names."""
        unused = [self.files.key(one.path) for one in files if one.path not in used]
        if unused:
            try:
                self.store.delete(unused)
            except StorageError:
                return  # gc finds them

    # -- maintenance ---------------------------------------------------------------------------------------

    def maintain(self, *, everything: bool = False) -> dict[str, int]:
        """Merge small files and write a checkpoint. Never changes a row; loses a race without harm.

        Returns:
            Counts: ``files_before``, ``files_after``, ``checkpoint_version``.
        """
        with self._lock:
            before = len(self.state().files)
            state = self._state
            assert state is not None
            if not state.writer:
                for chosen in _to_merge(state, everything=everything):
                    self._merge(chosen)
            state = self.state()
            self.log.write_checkpoint(state)
            return {"files_before": before, "files_after": len(state.files), "checkpoint_version": state.version}

    def _merge(self, chosen: Sequence[RecordFile]) -> None:
        state = self._state
        assert state is not None
        rows = pa.concat_tables([self.files.read(one, state.schema.arrow) for one in chosen]).combine_chunks()
        merged: list[RecordFile] = []
        used: set[str] = set()

        def plan(now: TableState) -> _Plan:
            if any(one.path not in now.files for one in chosen) or now.schema != state.schema:
                return _Plan("OPTIMIZE")
            if not merged:
                merged.append(self.files.write(rows, now.version))
            return _Plan("OPTIMIZE", merged, chosen, data_change=False)

        try:
            self._commit(plan, Origin(), used=used)
        finally:
            self._discard(merged, used)
        if merged and merged[0].path in used and state.schema.key:
            self._index.moved([one.path for one in chosen], merged[0].path)


def _entry(
    log: RecordLog, made: _Plan, state: TableState, commit_id: str, origin: Origin, once: str | None
) -> tuple[list[dict[str, Any]], bytes]:
    """Return the actions of a log entry (its ``commitInfo`` among them) and its bytes."""
    at_us = max(time.time_ns() // 1000, state.at_us + 1, origin.not_before_us + 1)
    ours: dict[str, Any] = {"commit": commit_id, "at": at_us}
    for name, value in (("lake", origin.lake_version), ("author", origin.author), ("message", origin.message)):
        if value is not None:
            ours[name] = value
    now = now_ms()
    parameters = {"mode": "Append"} if made.operation == "WRITE" else {}
    blind = made.operation == "WRITE" and not state.schema.key
    info = {
        "timestamp": at_us // 1000,
        "operation": made.operation,
        "operationParameters": parameters,
        "isBlindAppend": blind,
    }
    actions: list[dict[str, Any]] = []
    if once is not None:
        actions.append({"txn": {"appId": _once(once), "version": 1, "lastUpdated": now}})
    if made.schema is not None:
        needed = _protocol(state.protocol, made.schema.protocol)
        if needed != state.protocol:
            actions.append({"protocol": needed})
        actions.append({"metaData": made.schema.metadata(state.table_id, state.created_ms)})
    actions += [{"remove": one.remove(now, data_change=made.data_change)} for one in made.removed]
    actions += [{"add": one.add(data_change=made.data_change)} for one in made.added]
    body = log.entry(state.version + 1, info, ours, actions)
    return [{"commitInfo": {"lakefolio": ours}}, *actions], body


def _protocol(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return the protocol that has all that two have."""
    found: dict[str, Any] = {
        name: max(old.get(name, 1), new.get(name, 1)) for name in ("minReaderVersion", "minWriterVersion")
    }
    for name in ("readerFeatures", "writerFeatures"):
        features = sorted({*(old.get(name) or ()), *(new.get(name) or ())})
        if name == "writerFeatures" and found["minWriterVersion"] >= 7 and old.get("minWriterVersion", 2) == 3:
            features = sorted({*features, "checkConstraints"})
        if features:
            found[name] = features
    return found


def _once(key: str) -> str:
    if not isinstance(key, str) or not key or len(key.encode()) > _LONGEST_KEY:
        raise InvalidInputError(
            f"once={key!r} is no text of 1 to {_LONGEST_KEY} bytes", kind="bad-arguments", hint="name the batch of rows"
        )
    return _ONCE + key


def _without(rows: pa.Table, keys: pa.Table | None) -> pa.Table:
    """Return the rows that have none of some keys."""
    import polars as pl

    if keys is None:
        return rows
    names = keys.schema.names
    numbered = pl.DataFrame(pl.from_arrow(rows.select(names))).with_row_index("lakefolio row")
    there = pl.DataFrame(pl.from_arrow(keys.replace_schema_metadata(None)))
    kept = numbered.join(there, on=names, how="anti", maintain_order="left").get_column("lakefolio row")
    return rows.take(pa.array(kept.to_numpy()))


def _to_merge(state: TableState, *, everything: bool) -> list[list[RecordFile]]:
    """Return lists of small files to be made one, in the order of their names."""
    files = sorted(state.files.values(), key=lambda one: one.path)
    small = [one for one in files if _level(one) < len(_LEVELS)]
    if not everything:
        levels = [_level(one) for one in small]
        full = [level for level in range(len(_LEVELS)) if levels.count(level) >= _FANOUT]
        if not full:
            return []
        small = [one for one in small if _level(one) <= max(full)]
    portions: list[list[RecordFile]] = []
    rows = size = 0
    for one in small:
        if not portions or rows + (one.row_count or 0) > _MOST_ROWS or size + one.size_bytes > 2 * _FULL_BYTES:
            portions.append([])
            rows = size = 0
        portions[-1].append(one)
        rows, size = rows + (one.row_count or 0), size + one.size_bytes
    return [one for one in portions if len(one) > 1]


def _level(file: RecordFile) -> int:
    if file.size_bytes >= _FULL_BYTES or file.row_count is None:
        return len(_LEVELS)
    return sum(file.row_count >= bound for bound in _LEVELS)

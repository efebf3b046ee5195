"""The versions of a record table: reads states, and creates the next version by optimistic concurrency.

A change is planned on a state, its data files are stored, and the next log entry is created if absent: winning proves
that nothing happened since that state, so every rule (the schema, the key) holds exactly. A writer that loses reads
what happened, plans again on that, and tries again. Appends plan on any state, so all of any number of them succeed.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from lakefolio.delta.commit_clock import CommitClock
from lakefolio.errors import (
    AlreadyExistsError,
    ConflictError,
    FormatError,
    InvalidInputError,
    NotFoundError,
    StorageError,
)
from lakefolio.format.arrow_rows import from_micros, to_micros
from lakefolio.format.names import new_id
from lakefolio.process.notice import notice
from lakefolio.records.change import Change, Origin, Written, log_entry, once_key
from lakefolio.records.log import RecordLog
from lakefolio.records.state import TableState, moment_of

if TYPE_CHECKING:
    from lakefolio.records.schema import TableSchema
    from lakefolio.records.staging import StagedFiles
    from lakefolio.storage import Store

__all__ = ["TableVersions"]

_TRIES: Final = 500
_LAST_US: Final = to_micros(datetime(9999, 1, 1, tzinfo=UTC))


class TableVersions:
    """The versions of one table through one handle. Not thread-safe: its owner holds a lock, except for ``at``."""

    def __init__(self, store: Store, prefix: str, name: str) -> None:
        """Name the table by its folder, and for errors as people call it."""
        self._store = store
        self._prefix = prefix
        self._name = name
        self.log = RecordLog(store, prefix)
        self._clock = CommitClock(store)
        self._newest: TableState | None = None

    def begin(self, schema: TableSchema, table_id: str, created_ms: int) -> None:
        """Say what version 0 is, which the first write creates. No request."""
        metadata = schema.metadata(table_id, created_ms)
        info = {"timestamp": created_ms, "operation": "CREATE TABLE", "operationParameters": {}}
        ours = {"at": created_ms * 1000}
        self.log.first = self.log.entry(0, info, ours, [{"protocol": schema.protocol}, {"metaData": metadata}])

    def create(self) -> None:
        """Create version 0, if absent. Idempotent: the same call by anyone creates the same."""
        if self.log.first is not None:
            self._store.create_if_absent(self.log.key(0), self.log.first)

    def newest(self) -> TableState:
        """Return the newest state; one request if nothing is new.

        Raises:
            NotFoundError: kind ``table-not-found``: there is no log.
            FormatError: kind ``table-protocol``: another tool made it what this library can't read.
        """
        known = self._newest
        self._newest = self.log.load() if known is None or known.version < 0 else self.log.refreshed(known)
        return self._readable(self._newest)

    def at(self, version: int) -> TableState:
        """Return the state at a version; NotFoundError if there is none. Thread-safe."""
        known = self._newest
        return self._readable(known if known is not None and known.version == version else self.log.load(version))

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

    def check_writable(self, state: TableState, *, removes: bool) -> None:
        """Raise unless rows can be added at a state, and, if asked for, removed."""
        self._readable(state)
        if state.writer:
            raise FormatError(
                f"table {self._name!r} can't be written to: {state.writer}", kind="table-protocol", table=self._name
            )
        if removes and state.append_only:
            raise InvalidInputError(
                f"table {self._name!r} is append-only", kind="append-only", hint="its property delta.appendOnly says so"
            )

    def _readable(self, state: TableState) -> TableState:
        if state.version < 0:
            raise NotFoundError(f"table {self._name!r} has no log at {self._prefix}", kind="table-not-found")
        if state.reader:
            raise FormatError(
                f"table {self._name!r} can't be read: {state.reader}",
                kind="table-protocol",
                hint="another tool made it so; that tool reads it, or writes it plain again",
                table=self._name,
            )
        return state

    def commit(
        self,
        plan: Callable[[TableState], Change],
        staged: StagedFiles,
        origin: Origin,
        *,
        once: str | None = None,
        removes: bool = False,
    ) -> tuple[Change | None, Written]:
        """Plan on the newest state and create the next version, until that succeeds.

        Returns:
            The change that landed, or None if there was nothing to do; and its outcome.

        Raises:
            LakefolioError: Of the plan: nothing was stored.
            StorageError: The store gave no answer; with ``once`` it is safe to try again.
            ConflictError: kind ``contended``: others were faster for too long.
        """
        commit_id = new_id()
        state = self._newest or self.newest()
        for attempt in range(_TRIES):
            if once is not None and once_key(once) in state.txns:
                return None, Written(state.version, repeated=True)
            self.check_writable(state, removes=removes)
            change = plan(state)
            if change.is_empty and once is None:
                return None, replace(change.rows, version=state.version)
            version = state.version + 1
            if version == 1:
                self.create()
            at_us = self._time(change, max(state.at_us, origin.not_before_us))
            actions, body = log_entry(self.log, change, state, commit_id, origin, once, at_us)
            if self._created(version, body, commit_id, change, staged):
                self._newest = state.after(version, actions, within=self._prefix)
                return change, replace(change.rows, version=version)
            state = self.newest()
            time.sleep(random.random() * min(0.1, 0.002 * 2 ** min(attempt, 6)))
        raise ConflictError(
            f"table {self._name!r}: other writers were faster {_TRIES} times", kind="contended", hint="try again"
        )

    def _time(self, change: Change, last_us: int) -> int:
        """Return the time of a change: after all that its writer saw, and by the store's clock if this one is wrong."""
        last = from_micros(min(last_us, _LAST_US)) if last_us else None
        at = self._clock.now(last)
        if change.added:  # the file was stored just now
            at = self._clock.corrected(last, f"{self._prefix}/{change.added[0].path}") or at
            if (warning := self._clock.take_warning()) is not None:
                notice(warning)
        return max(to_micros(at), last_us + 1)

    def _created(self, version: int, body: bytes, commit_id: str, change: Change, staged: StagedFiles) -> bool:
        """Create a log entry, and say whether it is there; False if another writer's is.

        The data files are kept before: an interrupt, or a store without an answer, may come after the entry landed.
        """
        staged.keep(change.added)
        try:
            self._store.create(self.log.key(version), body)
        except AlreadyExistsError:
            if self._is_ours(version, commit_id):
                return True
            staged.take_back(change.added)
            return False
        except StorageError:
            if not self._is_ours(version, commit_id):
                raise
        return True

    def _is_ours(self, version: int, commit_id: str) -> bool:
        body = self._store.find(self.log.key(version))
        return body is not None and commit_id.encode() in body.partition(b"\n")[0]

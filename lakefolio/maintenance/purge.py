"""Committing ``purge`` rows, with knowledge only of the rows committed since the collector looked.

The conditions of a purge (FORMAT.md, "Garbage collection") concern later rows; earlier rows were judged by the
collector. So it need not hold the journal. It commits directly and never takes a ticket of another writer, which it
could not plan. After a lost race it purges fewer blobs at a time.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal

import pyarrow as pa

from lakefolio.delta.commit_clock import CommitClock
from lakefolio.errors import AlreadyExistsError, ConflictError, StorageError
from lakefolio.format.names import new_id
from lakefolio.format.schema import MANIFESTS_SCHEMA
from lakefolio.maintenance.reachability import aliases_in
from lakefolio.model.state import State
from lakefolio.process.clock import SYSTEM_CLOCK, Clock
from lakefolio.process.notice import notice

if TYPE_CHECKING:
    from lakefolio.delta.table import DeltaTable

__all__ = ["PurgedBlob", "Purger"]

_AT_ONCE: Final = 10_000
_FEWEST: Final = 50
_PATIENCE_S: Final = 60.0
_PAUSE_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class PurgedBlob:
    """Content that a collector found unreachable: ``reason`` is ``orphan`` or ``history``."""

    digest: str
    generation: int
    reason: Literal["orphan", "history"]
    stored_bytes: int | None = None
    inline: bool = False

    @property
    def identity(self) -> tuple[str, int]:
        """Digest and generation."""
        return self.digest, self.generation


class Purger:
    """Purges blobs that were unreachable at the version of ``table``."""

    def __init__(
        self, table: DeltaTable, committed_at: datetime | None, author: str | None, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._table = table
        self._author = author
        self._clock = clock
        self._dates = CommitClock(table.store)
        self._seen = table.version
        # the rows after `seen`; the collector has judged the earlier ones
        self._since = State(table.version, committed_at)
        self._size = _AT_ONCE

    def purge(self, blobs: Sequence[PurgedBlob]) -> tuple[set[tuple[str, int]], set[tuple[str, int]]]:
        """Commit the rows that purge blobs, in as many commits as it takes.

        Each commit is atomic and exact: at its very version no row needs the content that it names.

        Returns:
            The (digest, generation) pairs that this call purged, and those that others purged since.

        Raises:
            ConflictError: kind ``gc-outdated``, if a snapshot of an older version was taken since; kind
                ``contention``, if other writers won for a minute on end. Earlier commits stay.
        """
        agreed: set[tuple[str, int]] = set()
        start, patient_until = 0, self._clock.monotonic() + _PATIENCE_S
        while start < len(blobs):
            some = blobs[start : start + self._size]
            purged = self._attempt(some)
            if purged is not None:
                agreed |= purged
                start += len(some)
                self._size = min(2 * self._size, _AT_ONCE)
                patient_until = self._clock.monotonic() + _PATIENCE_S
                continue
            self._size = max(len(some) // 4, _FEWEST)
            if self._clock.monotonic() > patient_until:
                raise ConflictError(
                    f"gc lost to other writers for {_PATIENCE_S:.0f} s",
                    kind="contention",
                    hint="run it again when fewer writers are active; blobs purged so far stay purged",
                    version=self._since.version,
                )
            self._clock.sleep(random.uniform(0, _PAUSE_S))
        named = {blob.identity for blob in blobs}
        others = {one for one in named - agreed if one[1] < self._since.generation(one[0])}
        return agreed, others

    def _attempt(self, some: Sequence[PurgedBlob]) -> set[tuple[str, int]] | None:
        """Try once; return the purged blobs, or None if another writer was faster."""
        table, version, commit_id = self._table, self._since.version + 1, new_id()
        at = self._dates.now(self._since.committed_at)
        agreed = self._agreed(some)
        if not agreed:
            return set()  # a needed or purged blob stays so at every later version
        common = {"version": version, "committed_at": at, "commit_id": commit_id, "op": "purge"}
        common |= {"author": self._author, "message": "gc"}
        rows = pa.Table.from_pylist(
            [
                {
                    **common,
                    "ordinal": ordinal,
                    "reason": blob.reason,
                    "blob_digest": blob.digest,
                    "generation": blob.generation,
                    "storage": "inline" if blob.inline else None,
                    "stored_bytes": blob.stored_bytes,
                }
                for ordinal, blob in enumerate(agreed)
            ],
            schema=MANIFESTS_SCHEMA,
        )
        file, key, body = table.encode(rows, version=version)
        table.store.create_if_absent(key, body)
        if self._dates.corrected(self._since.committed_at, key) is not None:
            if (warning := self._dates.take_warning()) is not None:
                notice(warning)
            return self._attempt(some)
        try:
            table.commit(version, file, [commit_id], at)
        except AlreadyExistsError:
            if not self._landed(commit_id):
                return None
        except StorageError as failure:
            try:
                landed = self._landed(commit_id)
            except StorageError:
                raise failure from None
            if not landed:
                raise
        else:
            self._since = self._since.extended(rows, version)
        return {blob.identity for blob in agreed}

    @property
    def version(self) -> int:
        """The newest version known."""
        return self._since.version

    def _agreed(self, some: Sequence[PurgedBlob]) -> list[PurgedBlob]:
        """Leave out blobs that became reachable, or were purged, since the collector looked."""
        if any(blob.reason == "history" for blob in some):
            moved = aliases_in(self._since.rows.table())
            if any(text is not None for text in moved.values()):
                raise ConflictError(
                    "an alias was set while gc looked",
                    kind="gc-outdated",
                    hint="look again from the newest version",
                    version=self._since.version,
                )
            for snapshot in self._since.snapshots():
                if snapshot.target_version < self._seen:
                    raise ConflictError(
                        f"snapshot {snapshot.name!r} of version {snapshot.target_version} was taken while gc looked",
                        kind="gc-outdated",
                        hint="look again from the newest version",
                        snapshot=snapshot.name,
                        version=snapshot.version,
                    )
        needed = self._since.blobs_put_since(self._seen)
        purged = self._since.generation
        return [blob for blob in some if blob.identity not in needed and blob.generation >= purged(blob.digest)]

    def _landed(self, commit_id: str) -> bool:
        """Read the new log entries and say whether a commit is in them."""
        entries, rows = self._table.poll()
        self._since = self._since.extended(rows, self._table.version)
        return any(commit_id in entry.commit_ids for entry in entries)

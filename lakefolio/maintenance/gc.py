"""Purge blobs that nothing needs, then delete their objects (FORMAT.md, "Garbage collection").

Safe without clocks, leases or locks. A blob that is unreachable at version v is purged by a row that is committed only
if the blob is still unreachable at the very version of that row; objects are deleted only after that commit. Every
writer checks the purge rows at the version it commits on, and stores a blob that was purged meanwhile again under its
next generation. So no later commit can refer to a deleted key. Killed anywhere, gc leaves objects that the next gc
deletes. Any number of collectors may run at once, beside any writers.

A collector does not hold the journal: it marks out of core (``mark``), and commits knowing only the later rows
(``purge``). Rows are never removed.

Slightly longer than most modules: the order of its steps is the proof that nothing needed is deleted.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import pyarrow as pa

from lakefolio.delta.commit_clock import CommitClock
from lakefolio.delta.orphans import needless_files
from lakefolio.delta.table import DeltaTable
from lakefolio.errors import ConflictError, FormatError, IntegrityError, InvalidInputError, StorageError
from lakefolio.format.arrow_rows import to_micros
from lakefolio.format.layout import BLOBS, JOURNAL, LOG_TABLES, PENDING, TABLES, table_prefix
from lakefolio.format.names import new_id
from lakefolio.format.schema import SPECS
from lakefolio.maintenance.erase import erase
from lakefolio.maintenance.mark import Marks
from lakefolio.maintenance.purge import PurgedBlob, Purger
from lakefolio.maintenance.reachability import AHEAD, HISTORY, NEEDED, ORPHAN, PURGED, Keep
from lakefolio.maintenance.record_tables import needless_record_files
from lakefolio.maintenance.reports import GcReport
from lakefolio.process.clock import SYSTEM_CLOCK, Clock
from lakefolio.process.notice import notice
from lakefolio.readmodels.store import ReadModels
from lakefolio.search.upkeep import forget, needless
from lakefolio.storage.conformance import PROBES
from lakefolio.terminal import shown_value

if TYPE_CHECKING:
    from lakefolio.storage import ObjectInfo, Store

__all__ = ["GRACE_S", "collect"]

GRACE_S: Final = 86_400.0
"""How long an object is left alone by default: new content is likely to be needed soon."""

_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_S: Final = 1_600_000_000.0
_TICKET_AGE_S: Final = 3_600.0
_INDEX_AGE_S: Final = 3_600.0
"""A search index without its last file may be on its way."""

_UNFINISHED_AGE_S: Final = 86_400.0
_AT_ONCE: Final = 10_000
_SHARDS_AT_ONCE: Final = 16
_MANY: Final = 20_000
_LOOKS: Final = 10
_SHOWN: Final = 20
_NAME: Final = re.compile(r"([0-9a-f]{64})(?:\.([1-9]\d{0,8}))?")
_REASONS: Final = {ORPHAN: "orphan", HISTORY: "history", PURGED: "purged-before"}

Progress = Callable[[str, int], None]
"""Called with the current step and its progress: ``read`` (rows), ``listed``, ``purging``, ``purged``, ``deleted``
(blobs)."""


@dataclass(slots=True)
class _Tally:
    blobs: int = 0
    bytes: int = 0

    def add(self, size_bytes: int, count: int = 1) -> None:
        self.blobs += count
        self.bytes += size_bytes


@dataclass(slots=True)
class _Found:
    """The counts of one look over the objects."""

    stored: _Tally = field(default_factory=_Tally)
    needed: _Tally = field(default_factory=_Tally)
    grace: _Tally = field(default_factory=_Tally)
    purged: _Tally = field(default_factory=_Tally)
    deleted: _Tally = field(default_factory=_Tally)
    reasons: dict[str, _Tally] = field(default_factory=dict)
    largest: list[tuple[int, str, str]] = field(default_factory=list)
    foreign: int = 0
    ahead: int = 0
    missed: _Tally = field(default_factory=_Tally)
    inline: _Tally = field(default_factory=_Tally)
    rewritten_files: int = 0

    def note(self, info: ObjectInfo, reason: str) -> None:
        self.reasons.setdefault(reason, _Tally()).add(info.size_bytes)
        self.largest = sorted([*self.largest, (info.size_bytes, info.key, reason)], reverse=True)[:_SHOWN]

    def anew(self) -> None:
        """Reset the counts for another look; blobs purged and deleted so far stay counted."""
        self.stored, self.needed, self.grace, self.missed = _Tally(), _Tally(), _Tally(), _Tally()
        self.foreign = self.ahead = 0


def collect(
    store: Store,
    lake_id: str,
    *,
    author: str | None = None,
    dry_run: bool = True,
    grace: float | None = None,
    keep_days: float | None = None,
    keep_last: int | None = None,
    keep_runs: bool = True,
    progress: Progress | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> GcReport:
    """Purge and delete unreachable content. Idempotent and resumable: run it again after any failure.

    Memory is bounded (measured: 10 million entries in under 1 GiB), whatever the lake holds.

    Args:
        store: The place of a lake; the caller has read its marker.
        lake_id: What its marker says.
        author: Who is noted for the ``purge`` rows.
        dry_run: Only say what would be deleted.
        grace: Age in seconds below which objects are left alone; default a day. An economy, not a safety argument: 0 is
            safe, an active writer then may have to store something twice.
        keep_days: Purge superseded entries that were not live within this number of days, and of
            record tables data files that were replaced before then and that no entry marks. The store's clock counts
            where this machine's is wrong.
        keep_last: Purge all but this number of newest entries of each item. With ``keep_days`` an entry stays if either
            keeps it; with neither all history stays.
        keep_runs: Never purge the inputs and outputs of runs. False lets retention decide about them, too.
        progress: See :data:`Progress`.
        clock: Waits after a lost race.

    Raises:
        InvalidInputError: A negative number.
        ConflictError: Snapshots of old versions were taken again and again while gc looked.
    """
    grace_s = min(_checked("grace", GRACE_S if grace is None else grace), _LONGEST_S)
    kept_days = _checked("keep_days", keep_days or 0)
    if keep_last is not None and (isinstance(keep_last, bool) or int(keep_last) != keep_last):
        raise InvalidInputError(f"keep_last is {shown_value(keep_last)}, expected a whole number", kind="bad-retention")
    _checked("keep_last", keep_last or 0)
    now = _now(store, exact=keep_days is not None and not dry_run)
    keep = Keep(None if keep_days is None else _before(now, kept_days * 86_400), keep_last, keep_runs)
    young = _before(now, grace_s)
    run = _Collection(store, lake_id, author, keep, dry_run, young, progress or (lambda what, count: None), clock)
    for look in range(_LOOKS):
        try:
            version = run.look()
            break
        except ConflictError as exc:
            if exc.kind != "gc-outdated" or look == _LOOKS - 1:
                raise
            run.found.anew()
    if not dry_run and (run.found.inline.blobs or _REASONS[HISTORY] in run.found.reasons):
        forget(store)
    replaced_before = None if keep_days is None else _before(now, kept_days * 86_400)
    rest = _sweep_rest(store, lake_id, datetime.now(UTC), grace_s, replaced_before, dry_run=dry_run)
    return _report(run.found, rest, version, dry_run=dry_run, grace_s=grace_s)


def _now(store: Store, *, exact: bool) -> datetime:
    """Return the time; if it must be exact, because retention goes by it, that of the store where ours is wrong."""
    clock = CommitClock(store)
    if exact:
        probe = f"{PROBES}{new_id()}"
        store.create(probe, b"lakefolio gc")
        try:
            clock.corrected(None, probe)
        finally:
            store.delete([probe])
        if (warning := clock.take_warning()) is not None:
            notice(warning)
    return clock.now(None)


def _checked(name: str, value: float) -> float:
    if not value >= 0:
        raise InvalidInputError(
            f"{name} is {shown_value(value)}, expected 0 or more", kind="bad-retention", hint="give a number"
        )
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _before(now: datetime, span_s: float) -> datetime:
    """Return the time ``seconds`` ago; the first of the calendar if that lies before it."""
    return now - timedelta(seconds=min(span_s, (now - _FIRST).total_seconds() - 1))


class _Collection:
    """One gc: look over all objects, purge the unreachable ones, delete the purged ones."""

    def __init__(
        self,
        store: Store,
        lake_id: str,
        author: str | None,
        keep: Keep,
        dry_run: bool,
        young: datetime,
        progress: Progress,
        clock: Clock,
    ) -> None:
        self.found = _Found()
        self._store = store
        self._lake_id = lake_id
        self._author = author
        self._keep = keep
        self._dry_run = dry_run
        self._young = young
        self._progress = progress
        self._clock = clock
        self._waiting: list[tuple[ObjectInfo, PurgedBlob]] = []
        self._dead: list[ObjectInfo] = []
        self._inline: list[PurgedBlob] = []

    def look(self) -> int:
        """Look once over all objects and return the version that was looked at."""
        self._waiting, self._dead, self._inline = [], [], []
        table = _table(self._store, self._lake_id, JOURNAL)
        with self._marks(table) as marks:
            purger = Purger(table, marks.committed_at, self._author, self._clock)
            for prefix, infos in shards(self._store, many=marks.row_count > _MANY):
                self._judge(marks, prefix, infos)
                self._progress("listed", self.found.stored.blobs)
                if len(self._waiting) >= _AT_ONCE or len(self._dead) >= _AT_ONCE:
                    self._act(purger)
                if len(self._inline) >= _AT_ONCE:
                    self._purge_inline(marks, purger)
            for prefix in marks.prefixes:  # references without an object
                self._judge(marks, prefix, [])
            self._act(purger)
            self._purge_inline(marks, purger)
            if marks.purged_inline:
                self._erase(table, marks)
            return marks.version

    def _marks(self, table: DeltaTable) -> Marks:
        try:
            return Marks(table, self._keep, lambda rows: self._progress("read", rows))
        except IntegrityError as exc:
            if not table.outdated(exc):
                raise
            raise ConflictError("data files were replaced while gc read them", kind="gc-outdated") from exc

    def _erase(self, table: DeltaTable, marks: Marks) -> None:
        """Take purged inline content out of the data files."""
        if not self._dry_run:
            table.poll()
        purged = marks.purged_inline
        self.found.rewritten_files += erase(
            table, lambda digest: purged.get(digest, -1) + 1, marks.last_inline_purge, dry_run=self._dry_run
        )

    def _purge_inline(self, marks: Marks, purger: Purger) -> None:
        """Commit the purge rows of inline content; data files that hold it are rewritten after that."""
        some, self._inline = self._inline, []
        agreed = {blob.identity for blob in some}
        if some and not self._dry_run:
            agreed, others = purger.purge(some)
            agreed |= others
        for blob in some:
            if blob.identity in agreed:
                self.found.inline.add(blob.stored_bytes or 0)
                marks.note_inline_purge(blob.digest, blob.generation, purger.version)

    def _judge(self, marks: Marks, prefix: str, infos: list[ObjectInfo]) -> None:
        found = self.found
        matched = [(info, match) for info in infos if (match := _NAME.fullmatch(info.key.rpartition("/")[2]))]
        matched = [(info, match) for info, match in matched if match[1].startswith(prefix)]
        found.foreign += len(infos) - len(matched)
        digests = pa.array(["sha256:" + match[1] for _, match in matched], pa.string())
        generations = np.array([int(match[2] or 0) for _, match in matched], np.int64)
        verdicts, inline = marks.judge(prefix, digests, generations)
        for row in inline.to_pylist():
            if row["since"] > to_micros(self._young):
                continue  # as objects are left alone that are young
            blob = PurgedBlob(row["digest"], row["generation"], "history", row["inline_bytes"], inline=True)
            self._inline.append(blob)
        for (info, match), generation, verdict in zip(matched, generations.tolist(), verdicts.tolist(), strict=True):
            found.stored.add(info.size_bytes)
            if verdict == NEEDED:
                found.needed.add(info.size_bytes)
            elif verdict == AHEAD:
                found.ahead += 1
            elif verdict == PURGED:
                found.note(info, _REASONS[PURGED])
                self._dead.append(info)
            elif info.modified_at > self._young:
                found.grace.add(info.size_bytes)
            else:
                reason: Literal["orphan", "history"] = "orphan" if verdict == ORPHAN else "history"
                blob = PurgedBlob("sha256:" + match[1], generation, reason, info.size_bytes)
                self._waiting.append((info, blob))

    def _act(self, purger: Purger) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._purge(purger, waiting)
        dead, self._dead = self._dead, []
        if not self._dry_run:
            self._store.delete([info.key for info in dead])
        self.found.deleted.add(sum(info.size_bytes for info in dead), len(dead))
        self._progress("deleted", self.found.deleted.blobs)

    def _purge(self, purger: Purger, some: list[tuple[ObjectInfo, PurgedBlob]]) -> None:
        """Commit the purge rows; the blobs they name are purged for good, whichever gc deletes them."""
        agreed: set[tuple[str, int]] = {blob.identity for _, blob in some}
        others: set[tuple[str, int]] = set()
        self._progress("purging", len(some))
        if not self._dry_run:
            agreed, others = purger.purge([blob for _, blob in some])
        for info, blob in some:
            if blob.identity in agreed:
                self.found.purged.add(info.size_bytes)
            elif blob.identity not in others:
                self.found.missed.add(info.size_bytes)  # needed again by somebody who came between
                continue
            self.found.note(info, blob.reason)
            self._dead.append(info)
        self._progress("purged", self.found.purged.blobs)


def _table(store: Store, lake_id: str, name: str) -> DeltaTable:
    """Return a table whose log has been read, but no data file."""
    table = DeltaTable(store, lake_id, SPECS[name])
    table.follow()
    return table


def shards(store: Store, *, many: bool) -> Iterator[tuple[str, list[ObjectInfo]]]:
    """Yield the objects below ``blobs/`` folder by folder: (first two hex digits, objects).

    One listing for a small lake; for a large one the folders are listed several at once.
    """

    def folder(info: ObjectInfo) -> str:
        return info.key[len(BLOBS) + 1 :].partition("/")[0]

    if not many:
        for name, infos in groupby(store.list(BLOBS + "/"), key=folder):
            yield name, list(infos)
        return
    names = [f"{number:02x}" for number in range(256)]
    for start in range(0, len(names), _SHARDS_AT_ONCE):
        some = names[start : start + _SHARDS_AT_ONCE]
        listed = store.parallel([lambda name=name: list(store.list(f"{BLOBS}/{name}/")) for name in some])  # type: ignore[misc]
        yield from zip(some, listed, strict=True)


def _sweep_rest(
    store: Store, lake_id: str, now: datetime, grace_s: float, replaced_before: datetime | None, *, dry_run: bool
) -> dict[str, Any]:
    """Remove leftovers of killed writers and merges: tickets, unfinished writes, data files that no version needs."""

    def older(infos: Iterator[ObjectInfo], age_s: float) -> Iterator[ObjectInfo]:
        return (info for info in infos if info.modified_at <= now - timedelta(seconds=age_s))

    tickets = list(older(store.list(PENDING + "/"), max(grace_s, _TICKET_AGE_S)))
    files: list[ObjectInfo] = []
    for table in (*TABLES, *LOG_TABLES):
        try:
            read = _table(store, lake_id, table)
        except FormatError as exc:
            if table in TABLES or exc.kind != "table-missing":
                raise
            continue  # nothing was logged yet
        listed = older(store.list(table_prefix(table) + "/"), grace_s)
        files += needless_files(read, listed, int((now.timestamp() - grace_s) * 1000))
    young = now - timedelta(seconds=grace_s)
    files += needless_record_files(store, lambda: _table(store, lake_id, JOURNAL), young, replaced_before, now)
    with contextlib.suppress(IntegrityError):  # `check` says so
        files += older(ReadModels(store, lake_id).dead(), grace_s)
    files += older(needless(store), max(grace_s, _INDEX_AGE_S))
    if not dry_run:
        store.delete([info.key for info in (*tickets, *files)])
    try:
        unfinished: int | None = store.discard_unfinished(
            now - timedelta(seconds=max(grace_s, _UNFINISHED_AGE_S)), dry_run=dry_run
        )
    except StorageError:
        unfinished = None  # not every user may list uploads; a later gc or a lifecycle rule removes them
    return {
        "tickets": len(tickets),
        "table_files": len(files),
        "table_files_bytes": sum(info.size_bytes for info in files),
        "unfinished_uploads": unfinished,
    }


def _report(found: _Found, rest: dict[str, object], version: int, *, dry_run: bool, grace_s: float) -> GcReport:
    unreachable = _Tally()
    for one in (found.grace, *found.reasons.values()):
        unreachable.add(one.bytes, one.blobs)
    counts: dict[str, Any] = {}
    for name, tally in (
        ("stored", found.stored),
        ("found", unreachable),
        ("kept_by_grace", found.grace),
        ("purged", found.purged),
        ("deleted", found.deleted),
        ("needed_meanwhile", found.missed),
    ):
        counts[f"{name}_blobs"], counts[f"{name}_bytes"] = tally.blobs, tally.bytes
    return GcReport(
        dry_run=dry_run,
        version=version,
        grace_s=grace_s,
        **counts,
        reasons={name: {"blobs": tally.blobs, "bytes": tally.bytes} for name, tally in sorted(found.reasons.items())},
        largest=[{"key": key, "bytes": size, "reason": reason} for size, key, reason in found.largest],
        foreign_objects=found.foreign,
        purged_inline=found.inline.blobs,
        purged_inline_bytes=found.inline.bytes,
        rewritten_files=found.rewritten_files,
        **rest,
    )

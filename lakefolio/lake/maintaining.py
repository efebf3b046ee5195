"""The maintenance of a lake: check, repair, gc and why, doctor, compact."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lakefolio.errors import InvalidInputError

if TYPE_CHECKING:
    from lakefolio.lake.lake import Lake
    from lakefolio.maintenance.check_report import CheckReport
    from lakefolio.maintenance.reports import CompactReport, DoctorReport, GcReport, RepairReport, WhyReport

__all__ = ["check", "compact", "doctor", "gc", "repair", "why"]


def check(
    lake: Lake,
    /,
    read_data: bool = False,
    sample: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CheckReport:
    """Verify the lake's invariants (FORMAT.md, "Invariants") at its newest version.

    Changes nothing; safe beside any writer.

    Args:
        read_data: Also read and verify every stored byte, not only that each object is there in its size.
        sample: Read and verify this many objects, chosen at random each time.
        progress: Called with (objects read, objects in all) while content is read.
    """
    from lakefolio.maintenance.check import check

    return check(lake._session, read_data=read_data, sample=sample, progress=progress)


def gc(
    lake: Lake,
    /,
    dry_run: bool = True,
    grace: float | None = None,
    keep_days: float | None = None,
    keep_last: int | None = None,
    *,
    keep_runs: bool = True,
    progress: Callable[[str, int], None] | None = None,
) -> GcReport:
    """Purge and delete content that nothing needs; by default only say which.

    Safe beside any writers and other gcs, also with ``grace=0``. All history stays unless ``keep_days`` or
    ``keep_last`` say otherwise; the content of the head, of snapshots and of versions that an alias names always does.

    Only content can be purged. The rows themselves stay for ever, because log entries with copies of them are
    never deleted: names, metadata, descriptions, parameters, metric points, messages, and events. Personal data belongs
    into items.

    Args:
        dry_run: Only list the content that would be deleted.
        grace: Leave content alone that was stored, and table files that were replaced, within this many seconds;
            default a day. It saves work only; 0 is safe.
        keep_days: Purge superseded entries that were not live within this many days.
        keep_last: Purge all but this many newest entries of each item. An entry stays if either option keeps it.
        keep_runs: Keep the inputs and outputs of runs; False applies retention to them as to other content.
        progress: Called with the present step and a count, see ``lakefolio.maintenance.gc.Progress``.

    Raises:
        InvalidInputError: A negative number, or an open batch.
        ConflictError: Other writers won for too long. Content purged by then stays purged; run it again.
    """
    from lakefolio.maintenance.gc import collect

    session = lake._session
    if session.in_batch:
        raise InvalidInputError("gc can't run inside a batch", kind="gc-in-batch", hint="run it after the block")
    if not dry_run or session.pinned is not None:
        session.check_writable()
    report = collect(
        session.store,
        session.marker.lake_id,
        author=session.author,
        dry_run=dry_run,
        grace=grace,
        keep_days=keep_days,
        keep_last=keep_last,
        keep_runs=keep_runs,
        progress=progress,
    )
    if report.purged_blobs:
        session.journal.refresh()  # so that content added again is stored at once under its next generation
    return report


def why(lake: Lake, /, ref: str) -> WhyReport:
    """Return which references (heads, snapshots, history) keep content alive, and the bytes that only this item keeps.

    Where an item comes from is another question: ``folio.why(name)``.

    Args:
        ref: ``sha256:<hex>``, ``folio:name`` (all entries it ever had) or ``folio:name@version``.

    Raises:
        NotFoundError: No entry ever had that digest, or there never was such an item.
    """
    from lakefolio.maintenance.explain import why

    return why(lake._session, ref)


def repair(
    lake: Lake,
    /,
    source: str | Path | Lake,
    *,
    storage_options: Mapping[str, object] | None = None,
    read_data: bool = True,
    dry_run: bool = False,
    progress: Callable[[str, int], None] | None = None,
) -> RepairReport:
    """Restore missing and damaged objects, each one verified, from a second copy of this lake.

    Args:
        source: The copy, which has the same ``lake_id``; only read.
        storage_options: Options of the copy's store.
        read_data: Read every blob, to find those that are damaged within.
        dry_run: Only list the objects that would be restored.
        progress: Called with the object that is looked at, and how many were before it.

    Raises:
        FormatError: ``source`` is no copy of this lake.
    """
    from lakefolio.maintenance.repair import repair
    from lakefolio.storage import open_store

    lake._session.check_writable()
    place = open_store(source, storage_options) if isinstance(source, str | Path) else source._session.store
    return repair(lake._session.store, place, read_data=read_data, dry_run=dry_run, progress=progress)


def doctor(lake: Lake, /) -> DoctorReport:
    """Examine whether the place of this lake keeps the promises that lakefolio rests on; see the command."""
    from lakefolio.maintenance.doctor import doctor

    return doctor(lake._session.uri, lake._session.store.options, write=not lake._session.read_only)


def compact(lake: Lake, /, progress: Callable[[str], None] | None = None) -> CompactReport:
    """Merge the small files of the tables and write checkpoints. Changes no row; safe beside any writer.

    A lake of 100,000 to 3,000,000 entries also gets an index for search, from which a handle reads what a query needs;
    it is made anew once a fiftieth of it has changed. Of a larger one none is made, which a warning says.

    Args:
        progress: Called with the name of each table before its turn.
    """
    from lakefolio.maintenance.reports import CompactReport
    from lakefolio.runs.liveness import notice
    from lakefolio.search.upkeep import make_index

    session = lake._session
    session.check_writable()
    session.journal.refresh()
    notice(session)
    say = progress or (lambda table: None)
    report = CompactReport(session.journal.compact(say))
    session.journal.refresh()
    make_index(session, lambda: say("search index"))
    return report

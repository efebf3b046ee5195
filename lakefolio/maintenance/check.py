"""Every invariant of FORMAT.md, verified; the oracle of the tests.

Structure by default: the marker, the tables, the audits in ``sql/90_audits``, and each object that a row refers to, by
one listing of the blobs instead of a request per blob. ``read_data`` also reads and verifies every stored byte,
``sample`` some blobs chosen at random. Nothing is changed, and no part of the lake vouches for another.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from lakefolio.errors import IntegrityError, LakefolioError, UntrustedContentError
from lakefolio.format.layout import JOURNAL, PENDING, log_key
from lakefolio.items.table import TableHandler
from lakefolio.maintenance.check_entries import EntryCheck
from lakefolio.maintenance.check_report import CheckReport, Problem
from lakefolio.maintenance.check_rows import check_rows
from lakefolio.maintenance.clock_skew import HINT_DATES, ahead_of
from lakefolio.maintenance.record_tables import check_record_tables
from lakefolio.maintenance.stored_objects import StoredObjects
from lakefolio.model.entries import Entry
from lakefolio.readmodels.table import Published
from lakefolio.render.text import counted
from lakefolio.search.upkeep import audit
from lakefolio.session.reading import about

if TYPE_CHECKING:
    from lakefolio.session.session import Session

__all__ = ["check"]

_TICKET_AGE_S: Final = 3_600

_LOOKS: Final = 3


def check(
    session: Session,
    *,
    read_data: bool = False,
    sample: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CheckReport:
    """Verify a lake at its newest version. Changes nothing; safe beside any writer.

    A problem is looked for again before it is reported: a problem of one look alone is the work of a writer or gc
    meanwhile, or a wrong answer of the store or the network.

    Args:
        session: The lake.
        read_data: Also read and verify every stored byte, and every reference.
        sample: Number of objects to read and verify instead of all, chosen at random each time.
        progress: Called with (entries read, entries in all) while data is read.

    Raises:
        ConflictError: kind ``table-restless``, if merges and a gc without grace were faster than this could read.
    """
    with ExitStack() as opened:
        stored = opened.enter_context(StoredObjects()) if read_data or sample is not None else None
        report = _checked(session, stored, read_data=read_data)
        if stored is not None:
            _check_data(session, stored, sample, report, progress)
    return report


def _checked(session: Session, stored: StoredObjects | None, *, read_data: bool) -> CheckReport:
    """Check everything but the stored bytes."""
    report, contents = _look(session, stored)
    for _ in range(_LOOKS - 1):
        if report.ok:
            break
        before = report.problems
        report, contents = _look(session, stored)
        report.problems = [problem for problem in report.problems if problem in before]
    records = contents.records()
    _look_again(report, lambda found: check_record_tables(session, records, found, read_data=read_data))
    _look_again(report, lambda found: _audit(session, found, read_data=read_data))
    return report


def _look(session: Session, stored: StoredObjects | None) -> tuple[CheckReport, EntryCheck]:
    """Check everything but the stored bytes once, as of one version."""
    session = session.steady()
    state = session.committed()
    report = CheckReport(state.version)
    contents = check_rows(session, report, _models(session, report), stored)
    _check_tickets(session, report)
    _check_dates(session, report)
    return report, contents


def _look_again(report: CheckReport, look: Callable[[CheckReport], None]) -> None:
    """Add what a look finds; problems only if another look finds them as well."""
    found = CheckReport(report.version)
    look(found)
    if before := found.problems:
        found = CheckReport(report.version)
        look(found)
        found.problems = [problem for problem in found.problems if problem in before]
    report.problems += found.problems
    report.notices += found.notices
    for name, count in found.counts.items():
        report.counts[name] = report.counts.get(name, 0) + count


def _audit(session: Session, report: CheckReport, *, read_data: bool) -> None:
    report.problems += [Problem("index-differs", *one) for one in audit(session, read_data=read_data)]


def _models(session: Session, report: CheckReport) -> dict[str, Published]:
    try:
        return session.journal.models.published()
    except IntegrityError as exc:
        report.problems.append(Problem(exc.kind, str(exc.objects.get("key", "")), exc.message))
        return {}


def _check_tickets(session: Session, report: CheckReport) -> None:
    """Report pending commits that no writer waits for (S1: a should, not a must)."""
    before = datetime.now(UTC) - timedelta(seconds=_TICKET_AGE_S)
    old = [one.key for one in session.store.list(f"{PENDING}/") if one.modified_at < before]
    if old:
        report.notices.append(
            f"{counted(len(old), 'pending commit')} of dead writers in {PENDING}/, such as {old[0]}: "
            "the next crowded commit decides them, gc takes them away"
        )


def _check_data(
    session: Session,
    stored: StoredObjects,
    sample: int | None,
    report: CheckReport,
    progress: Callable[[int, int], None] | None,
) -> None:
    count = stored.choose(session.committed(), sample)
    report.counts["objects_read"] = 0
    for number, entry in enumerate(stored):
        report.counts["objects_read"] += entry.storage != "inline"
        if progress is not None:
            progress(number, count)
        try:
            if entry.storage == "reference":
                session.references.check(entry)
            else:
                report.counts["bytes_read"] = report.counts.get("bytes_read", 0) + _verified(session, entry)
        except UntrustedContentError as exc:
            unfollowed = report.counts.get("references_not_followed", 0)
            report.counts["references_not_followed"] = unfollowed + 1
            if not unfollowed:
                report.notices.append(str(exc))
        except LakefolioError as exc:
            problem = Problem(exc.kind, str(exc.objects.get("key") or entry.ref), exc.message)
            known = exc.kind in ("blob-missing", "blob-truncated", "content-purged", "archived")
            if problem not in report.problems and not known:
                report.problems.append(problem)
    if progress is not None:
        progress(count, count)


def _verified(session: Session, entry: Entry) -> int:
    """Verify the stored bytes of an entry, twice if they are wrong; return their number."""
    with suppress(IntegrityError):
        return _read(session, entry)
    return _read(session, entry)


def _read(session: Session, entry: Entry) -> int:
    """Verify the stored bytes of an entry, and for a table its logical digest; return the number of bytes."""
    if entry.kind != "table" or entry.format != "parquet":
        return session.blobs.verify(entry)
    source = session.blobs.source(entry, use_cache=False)
    if not source.in_memory:
        session.blobs.verify(entry)  # the copy that is read below may come from the local cache
    try:
        TableHandler().check(source, entry.details, entry.digest or "")
    except IntegrityError as exc:
        if "item" in exc.objects:
            raise
        raise about(exc, entry.folio, entry.item, f"item {entry.ref}", version=entry.version) from exc
    return max(source.size_bytes, 0)


def _check_dates(session: Session, report: CheckReport) -> None:
    """Report commits dated ahead of the store's clock: such a commit dates all later ones."""
    state = session.committed()
    if state.committed_at is None or (version := state.version_at(state.committed_at)) is None:
        return
    key = log_key(JOURNAL, version)
    try:
        ahead = ahead_of(state.committed_at, session.store.head(key).modified_at)
    except LakefolioError:
        return  # reported as missing already
    if ahead is not None:
        report.problems.append(Problem("dated-ahead", key, f"version {version} is dated {ahead}: {HINT_DATES}"))

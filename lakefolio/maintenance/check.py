"""Every invariant of FORMAT.md, verified; the oracle of the tests.

Structure by default: the marker, the tables, the audits in ``sql/90_audits``, and each object that a row refers to, by
one listing of the blobs instead of a request per blob. ``read_data`` also reads and verifies every stored byte,
``sample`` some blobs chosen at random. Nothing is changed, and no part of the lake vouches for another.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from lakefolio.errors import (
    ConflictError,
    IntegrityError,
    LakefolioError,
    UntrustedContentError,
)
from lakefolio.format.layout import (
    BLOBS,
    JOURNAL,
    LOG_TABLES,
    MARKER,
    PENDING,
    README,
    TABLES,
    log_key,
    table_prefix,
)
from lakefolio.items.table import TableHandler
from lakefolio.maintenance.check_entries import EntryCheck
from lakefolio.maintenance.check_report import CheckReport, Problem
from lakefolio.maintenance.dates import HINT_DATES, ahead_of
from lakefolio.maintenance.large_check import is_large, look_at_large
from lakefolio.maintenance.large_entries import LargeEntries
from lakefolio.maintenance.model_check import ModelCheck
from lakefolio.maintenance.reachability import Keep, Reach
from lakefolio.maintenance.record_tables import check_record_tables
from lakefolio.model.entries import Entry, content_from_row
from lakefolio.readmodels.table import Published
from lakefolio.render.text import counted
from lakefolio.search.upkeep import audit
from lakefolio.session.reading import about

if TYPE_CHECKING:
    from lakefolio.session.session import Session

__all__ = ["check"]

_TICKET_AGE_S: Final = 3_600

_LOOKS: Final = 3

_PART_ROWS: Final = 100_000

_ENTRIES_AT_ONCE: Final = 1_000
"""So many of the entries whose objects are read are Python values at once; the others wait as columns."""

_OF_OBJECT: Final = ("uri", "digest", "blob_digest", "generation")
"""What tells the object of an entry, or what it refers to."""


def check(
    session: Session,
    *,
    read_data: bool = False,
    sample: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CheckReport:
    """Verify a lake at its newest version. Changes nothing; safe beside any writer.

    A problem is looked for again before it is reported: a problem of one look alone is the work of a writer or gc
    meanwhile.

    Args:
        session: The lake.
        read_data: Also read and verify every stored byte, and every reference.
        sample: Number of objects to read and verify instead of all, chosen at random each time.
        progress: Called with (entries read, entries in all) while data is read.

    Raises:
        ConflictError: kind ``table-restless``, if merges and a gc without grace were faster than this could read.
    """
    with_data = read_data or sample is not None
    report, contents = _look(session, with_data=with_data)
    for _ in range(_LOOKS - 1):
        if report.ok:
            break
        before = report.problems
        report, contents = _look(session, with_data=with_data)
        report.problems = [problem for problem in report.problems if problem in before]
    check_record_tables(session, contents.records(), report, read_data=read_data)
    report.problems += [Problem("index-differs", *one) for one in audit(session, read_data=read_data)]
    if with_data:
        _check_data(session, _stored_once(session, contents.sources(), sample), report, progress)
    return report


def _look(session: Session, *, with_data: bool) -> tuple[CheckReport, EntryCheck | LargeEntries]:
    """Check everything but the stored bytes once, as of one version."""
    session = session.still()
    state = session.committed()
    report = CheckReport(state.version)
    models = _models(session, report)
    if is_large(session):
        found = look_at_large(session, report, models, with_data=with_data)
        _check_tickets(session, report)
        _check_dates(session, report)
        return report, found
    contents = EntryCheck(state, report, with_data=with_data)
    read = _check_files(session, report)
    tables: dict[str, pa.Table] = {}
    try:
        tables[JOURNAL] = state.rows_since(-1) if read is None else _upto(read, state.version)
        tables |= {name: session.journal.log_rows(name, state.version) for name in LOG_TABLES}
    except IntegrityError:
        if not report.problems:
            raise
        if read is None:
            return report, contents  # the problem of the journal is reported; nothing else can be checked
        # the audits of rows need all tables
    else:
        for audit, named, message in session.audit(tables):
            report.problems.append(Problem(audit.replace("_", "-"), named, message))
    manifests = tables[JOURNAL]
    report.counts["rows"] = sum(rows.num_rows for rows in tables.values())
    for rows in _parts(manifests):
        contents.add(rows, inline=read is not None)
    report.counts["entries"] = contents.count
    _check_batches(manifests, report)
    _check_tickets(session, report)
    _check_blobs(session, contents, report)
    _check_snapshots(session, manifests, report)
    if read is not None:
        with ModelCheck(session.journal.models, models, read.num_rows) as compared:
            for rows in _parts(read):
                compared.add(rows)
            differ = list(compared.problems(state.version))
        report.problems += [Problem("model-differs", key, message) for key, message in differ]
    _check_dates(session, report)
    return report, contents


def _upto(rows: pa.Table, version: int) -> pa.Table:
    import pyarrow.compute as pc

    later = pc.greater(rows.column("version"), version)
    return rows.filter(pc.invert(later)) if pc.any(later).as_py() else rows


def _parts(rows: pa.Table) -> Iterator[pa.Table]:
    """Yield rows part by part, whole versions each."""
    versions = rows.column("version").to_numpy()
    start = 0
    while start < rows.num_rows:
        end = min(start + _PART_ROWS, rows.num_rows)
        while end < rows.num_rows and versions[end] == versions[end - 1]:
            end += 1
        yield rows.slice(start, end - start)
        start = end


def _models(session: Session, report: CheckReport) -> dict[str, Published]:
    try:
        return session.journal.models.published()
    except IntegrityError as exc:
        report.problems.append(Problem(exc.kind, str(exc.objects.get("key", "")), exc.message))
        return {}


def _check_files(session: Session, report: CheckReport) -> pa.Table | None:
    """Read all tables from their logs and files, and return the rows of the journal; None if they can't be read."""
    manifests = None
    for key in (MARKER, README):
        if session.store.find(key) is None:
            report.problems.append(Problem("file-missing", key, f"{key} is missing"))
    for table in (*TABLES, *LOG_TABLES):
        files = session.journal.data_files(table)  # before they are listed: what is listed may be more, never less
        listed = {info.key: info.size_bytes for info in session.store.list(table_prefix(table) + "/")}
        for path, size_bytes in files.items():
            key = f"{table_prefix(table)}/{path}"
            if key not in listed:
                report.problems.append(Problem("table-file-missing", key, f"data file {key} is missing"))
            elif listed[key] != size_bytes:
                report.problems.append(
                    Problem(
                        "table-file-damaged",
                        key,
                        f"data file {key} has {counted(listed[key], 'byte')}, expected {size_bytes}",
                    )
                )
        for look in (session.journal.audit_log, session.journal.reread):
            try:
                rows = look(table)
            except ConflictError:
                raise  # it says nothing of the lake, and what was not looked at is not well
            except LakefolioError as exc:
                problem = Problem(exc.kind, str(exc.objects.get("key", table)), exc.message)
                if problem not in report.problems:
                    report.problems.append(problem)
            else:
                manifests = rows if table == JOURNAL and isinstance(rows, pa.Table) else manifests
    return manifests


def _check_blobs(session: Session, contents: EntryCheck, report: CheckReport) -> None:
    state = session.committed()
    listed = {info.key: info for info in session.store.list_archives(BLOBS + "/")}
    expected = {one.key: one for one in contents.blobs() if one.generation >= state.generation(one.digest)}
    if any(key not in listed for key in expected):  # a gc beside this check may have purged them since
        newest = session.journal.refresh()
        expected = {key: one for key, one in expected.items() if one.generation >= newest.generation(one.digest)}
    for key, one in expected.items():
        if key not in listed:
            report.problems.append(Problem("blob-missing", key, f"blob {key} of {one.ref} is missing"))
        elif (size_bytes := listed[key].size_bytes) != one.stored_bytes:
            message = f"blob {key} of {one.ref} has {counted(size_bytes, 'byte')}, expected {one.stored_bytes}"
            report.problems.append(Problem("blob-truncated", key, message))
        elif (archive := listed[key].archive) is not None:
            message = f"blob {key} of {one.ref} lies in the storage class {archive}: restore it before it is read"
            report.problems.append(Problem("blob-archived", key, message))
    report.counts["blobs"] = len(expected)
    report.counts["blob_bytes"] = sum(listed[key].size_bytes for key in expected if key in listed)
    report.counts["orphans"] = len(listed.keys() - expected.keys())


def _check_batches(manifests: pa.Table, report: CheckReport) -> None:
    """Report batches of points or events that two rows name: a batch counts once."""
    import pyarrow.compute as pc

    rows = manifests.filter(pc.is_in(manifests.column("op"), value_set=pa.array(["metrics", "events"])))
    for one in rows.column("entry_id").drop_null().value_counts().to_pylist():
        if one["counts"] > 1:
            named = f"batch {one['values']}"
            report.problems.append(
                Problem("batch-doubled", named, f"{named} is named by {counted(one['counts'], 'row')}, expected 1")
            )


def _check_tickets(session: Session, report: CheckReport) -> None:
    """Report pending commits that no writer waits for (S1: a should, not a must)."""
    before = datetime.now(UTC) - timedelta(seconds=_TICKET_AGE_S)
    old = [one.key for one in session.store.list(f"{PENDING}/") if one.modified_at < before]
    if old:
        report.notices.append(
            f"{counted(len(old), 'pending commit')} of dead writers in {PENDING}/, such as {old[0]}: "
            "the next crowded commit decides them, gc takes them away"
        )


def _stored_once(session: Session, rows: pa.Table, sample: int | None) -> pa.Table:
    """Return the row of one entry for each object and reference to be read."""
    import numpy as np

    state = session.committed()
    named = rows.select(_OF_OBJECT).append_column("place", pa.array(np.arange(rows.num_rows)))
    firsts = named.group_by(_OF_OBJECT, use_threads=False).aggregate([("place", "min")])
    rows = rows.take(firsts.column("place_min"))
    if state.purged:
        digests, generations = rows.column("blob_digest"), rows.column("generation")
        kept = [
            (generation.as_py() or 0) >= state.generation(digest.as_py() or "")
            for digest, generation in zip(digests, generations, strict=True)
        ]
        rows = rows.filter(pa.array(kept, pa.bool_()))  # there may be none
    if sample is None:
        return rows
    return rows.take(random.sample(range(rows.num_rows), min(sample, rows.num_rows)))


def _each_entry(rows: pa.Table) -> Iterator[Entry]:
    for start in range(0, rows.num_rows, _ENTRIES_AT_ONCE):
        for row in rows.slice(start, _ENTRIES_AT_ONCE).to_pylist():
            entry = content_from_row(row)
            assert entry is not None, "all are rows that keep content"
            yield entry


def _check_data(
    session: Session, rows: pa.Table, report: CheckReport, progress: Callable[[int, int], None] | None
) -> None:
    report.counts["objects_read"] = sum(one.as_py() != "inline" for one in rows.column("storage"))
    for number, entry in enumerate(_each_entry(rows)):
        if progress is not None:
            progress(number, rows.num_rows)
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
        progress(rows.num_rows, rows.num_rows)


def _verified(session: Session, entry: Entry) -> int:
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


def _check_snapshots(session: Session, manifests: pa.Table, report: CheckReport) -> None:
    """Report purged content of snapshots (an audit in SQL reports that of heads)."""
    state = session.committed()
    if not state.purged:
        return
    rows = Reach(manifests, Keep()).protected().select(["folio", "item", "version", "blob_digest", "generation"])
    for row in rows.to_pylist():
        if (row["generation"] or 0) < state.generation(row["blob_digest"]):
            ref = f"{row['folio']}:{row['item']}@{row['version']}"
            report.problems.append(
                Problem("protected-purged", ref, f"{ref} is protected, but gc purged {row['blob_digest']}")
            )

"""Checking the rows of a lake: read once, file by file, and held nowhere, so that memory does not grow with the lake.

A row leaves a few numbers in a workbench (``row_numbers``); the audits (``row_audits``), the objects that entries refer
to (``check_entries``) and the read models (``model_check``) are judged by these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from lakefolio.delta.audit import audit
from lakefolio.errors import ConflictError, IntegrityError, LakefolioError
from lakefolio.format.layout import BLOBS, JOURNAL, LOG_TABLES, MARKER, README, TABLES, table_prefix
from lakefolio.format.schema import MANIFESTS_SCHEMA
from lakefolio.maintenance.check_entries import EntryCheck
from lakefolio.maintenance.check_report import CheckReport, Problem
from lakefolio.maintenance.model_check import ModelCheck
from lakefolio.maintenance.row_audits import RowAudits
from lakefolio.maintenance.row_numbers import RowNumbers
from lakefolio.maintenance.table_parts import LOOKS, each_part
from lakefolio.render.text import counted
from lakefolio.views.workbench import Workbench

if TYPE_CHECKING:
    from lakefolio.delta.table import DeltaTable
    from lakefolio.maintenance.stored_objects import StoredObjects
    from lakefolio.readmodels.table import Published
    from lakefolio.session.session import Session

__all__ = ["check_rows"]

_FEW_BYTES: Final = 8 << 20
"""Data files of so many bytes: to compute with their rows in several threads would cost more than it helps."""


def check_rows(
    session: Session, report: CheckReport, published: dict[str, Published], stored: StoredObjects | None
) -> EntryCheck:
    """Check everything but the stored bytes once, as of one version; see ``check``.

    Args:
        session: The lake at that version.
        report: Where problems and counts go.
        published: The versions of the read models to look at.
        stored: Where the rows of entries go whose objects are to be read.
    """
    for key in (MARKER, README):
        if session.store.find(key) is None:
            report.problems.append(Problem("file-missing", key, f"{key} is missing"))
    files = [session.journal.data_files(name) for name in (*TABLES, *LOG_TABLES)]
    few = sum(sum(sizes.values()) for sizes in files) <= _FEW_BYTES
    with Workbench(few=few) as bench:
        look = _Look(bench, session, report, published, stored)
        tables = {name: _check_log(session, name, report) for name in (*TABLES, *LOG_TABLES)}
        read = look.read_journal(tables[JOURNAL])
        if not read and not look.take_known():
            return look.contents  # the problem of the journal is reported; nothing else can be checked
        logged = look.read_logged([tables[name] for name in LOG_TABLES])
        look.judge(logged=logged)
        look.contents.check_blobs(session.store.list_archives(BLOBS + "/"), session.journal.refresh, report)
        if read:
            found = look.models.problems(report.version)
            report.problems += [Problem("model-differs", key, message) for key, message in found]
        return look.contents


class _Look:
    """One look at the rows of all tables, each file read once."""

    def __init__(
        self,
        bench: Workbench,
        session: Session,
        report: CheckReport,
        published: dict[str, Published],
        stored: StoredObjects | None,
    ) -> None:
        self._bench = bench
        self._session = session
        self._report = report
        self._published = published
        self._stored = stored
        self._each: Callable[[Callable[[str], None]], None] = lambda take: None
        self._begin()

    def _begin(self) -> None:
        """Begin anew: nothing was read."""
        session, bench = self._session, self._bench
        state = session.committed()
        self._partial = CheckReport(state.version)
        self.contents = EntryCheck(bench, state, self._partial, self._stored)
        self.numbers = RowNumbers(bench, state.version)
        self.audits = RowAudits(bench, self.numbers)
        self.models = ModelCheck(bench, session.journal.models, self._published)

    def read_journal(self, table: DeltaTable | None) -> bool:
        """Read and check the rows of the journal from its files; say whether they could all be read."""
        if table is None:
            return False

        def take(rows: str) -> None:
            self._take(rows, inline=True)
            self.models.add(rows)

        self._each = partial(self._read, table)
        try:
            self._read(table, take, begin=self._begin)
        except IntegrityError as exc:
            _report(self._report, exc, table.name)
            return False
        self._report.problems += self._partial.problems
        return True

    def _take(self, rows: str, *, inline: bool) -> None:
        self.numbers.add(rows)
        self.audits.add(rows)
        rows = f"(from {rows} where version <= {self._report.version})"
        self.contents.add(rows, inline=inline)

    def _read(
        self, table: DeltaTable, take: Callable[[str], None], *, begin: Callable[[], None] = lambda: None
    ) -> None:
        """Hand out the rows of a table; from the start if a gc deleted files that a merge had replaced."""
        for _ in range(LOOKS):
            try:
                each_part(table, self._bench, take)
                return
            except IntegrityError as exc:
                if not table.outdated(exc):
                    raise
                table.look()
                begin()
        raise table.restless()

    def take_known(self) -> bool:
        """Check the rows that this handle knows of a journal that is damaged; say whether it knows them."""
        state = self._session.committed()

        def each(take: Callable[[str], None]) -> None:
            for part in state.parts(MANIFESTS_SCHEMA.names):
                with self._bench.copied(part) as rows:
                    take(rows)

        self._begin()
        self._each = each
        try:
            each(partial(self._take, inline=False))
        except IntegrityError:
            if not self._report.problems:
                raise
            return False
        self._report.problems += self._partial.problems
        return True

    def read_logged(self, tables: Sequence[DeltaTable | None]) -> bool:
        """Read the rows of points and events from their files; say whether they could all be read."""
        return [table is not None and self._read_logged(table) for table in tables].count(False) == 0

    def _read_logged(self, table: DeltaTable) -> bool:
        if table.version < 0:
            return True  # nothing was logged yet
        take, begin = (partial(act, table.name) for act in (self.audits.add_logged, self.audits.forget_logged))
        try:
            self._read(table, take, begin=begin)
        except IntegrityError as exc:
            _report(self._report, exc, table.name)
            return False
        return True

    def judge(self, *, logged: bool) -> None:
        """Ask the audits, now that all rows were read."""
        report = self._report
        self.numbers.complete()
        report.counts["rows"] = self.audits.counted
        report.counts["entries"] = self.contents.count
        for rule, named, message in self.audits.problems(self._each, logged=logged):
            report.problems.append(Problem(rule.replace("_", "-"), named, message))
        for batch, count in self.audits.doubled():
            named = f"batch {batch}"
            message = f"{named} is named by {counted(count, 'row')}, expected 1"
            report.problems.append(Problem("batch-doubled", named, message))


def _report(report: CheckReport, exc: LakefolioError, table: str) -> None:
    problem = Problem(exc.kind, str(exc.objects.get("key", table)), exc.message)
    if problem not in report.problems:
        report.problems.append(problem)


def _check_log(session: Session, name: str, report: CheckReport) -> DeltaTable | None:
    """Read the log of a table from its start, and see that its files are there; None if the log can't be read.

    Of a table that the lake lacks, because nothing was logged yet, the version is below zero.
    """
    files = session.journal.data_files(name)  # before they are listed: what is listed may be more, never less
    expected = {f"{table_prefix(name)}/{path}": size_bytes for path, size_bytes in files.items()}
    listed = {
        info.key: info.size_bytes for info in session.store.list(table_prefix(name) + "/") if info.key in expected
    }
    for key, size_bytes in expected.items():
        if key not in listed:
            report.problems.append(Problem("table-file-missing", key, f"data file {key} is missing"))
        elif listed[key] != size_bytes:
            message = f"data file {key} has {counted(listed[key], 'byte')}, expected {size_bytes}"
            report.problems.append(Problem("table-file-damaged", key, message))
    table = session.journal.anew(name)
    try:
        audit(table)
    except ConflictError:
        raise  # it says nothing of the lake, and what was not looked at is not well
    except LakefolioError as exc:
        if name in LOG_TABLES and exc.kind == "table-missing":
            return table
        _report(report, exc, name)
        return table if table.version >= 0 else None
    return table

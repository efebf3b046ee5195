"""Repairing record tables: their log entries, and the data files that the newest and the marked versions need.

What a gc has given up does not come back: a file that no such version needs is left alone, and so is a table whose
entries were all purged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from lakefolio.errors import LakefolioError
from lakefolio.format.layout import record_prefix
from lakefolio.format.names import is_id
from lakefolio.maintenance.record_tables import marked_versions
from lakefolio.records.log import RecordLog

if TYPE_CHECKING:
    from lakefolio.delta.table import DeltaTable
    from lakefolio.maintenance.repair_work import RepairWork
    from lakefolio.records.state import RecordFile

__all__ = ["repair_record_tables"]


def repair_record_tables(work: RepairWork, journal: Callable[[], DeltaTable | None], *, read_data: bool) -> None:
    """Repair the record tables that the journal names. Idempotent.

    Args:
        work: The lake, its copy, and the account.
        journal: Gives the repaired journal; None if it can't be read.
        read_data: Read every data file, to find those that are damaged within.
    """
    known = journal()
    if known is None:
        return
    for table, marks in sorted(marked_versions(known).items()):
        if marks and is_id(table):
            _repair_log(work, table)
            _repair_files(work, table, marks, read_data=read_data)


def _repair_log(work: RepairWork, table: str) -> None:
    log = RecordLog(work.store, record_prefix(table))
    work.log_entries(f"records/{table}", log.folder, log.key, log.problem, is_whole=False)


def _repair_files(work: RepairWork, table: str, marks: Iterable[int], *, read_data: bool) -> None:
    prefix = record_prefix(table)
    needed = _needed(work, table, marks)
    if not needed:
        return
    sizes = {info.key: info.size_bytes for info in work.store.list(prefix + "/")}
    for file in needed.values():
        key = f"{prefix}/{file.path}"
        work.look(key)
        if sizes.get(key) == file.size_bytes and (not read_data or file.is_body(work.store.find(key) or b"")):
            continue
        other = work.source.find(key)
        if other is not None and file.is_body(other):
            work.write(key, other, "record-file")
        else:
            work.lost("record-file", key, f"data file {key} is lost, and the source has no good one")


def _needed(work: RepairWork, table: str, marks: Iterable[int]) -> dict[str, RecordFile]:
    """Return the files that the newest and the marked versions name."""
    problem: LakefolioError | None = None
    for place in work.places:
        log = RecordLog(place, record_prefix(table))
        try:
            newest = log.load()
            states = [newest, *(log.load(one) for one in marks if one < newest.version)]
            return {path: file for state in states for path, file in state.files.items()}
        except LakefolioError as exc:
            problem = problem or exc
    if problem is not None:
        work.lost(problem.kind, str(problem.objects.get("key") or record_prefix(table)), problem.message)
    return {}

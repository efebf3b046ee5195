"""Record tables in gc and check: which of their files nothing needs, and whether the others are there.

The journal says which tables there are and which of their versions are marked. A table goes when all entries that named
it were purged: no entry can name it again, because content that is purged can't be put, and a mark needs a live entry.
Of the others a file goes that no log entry names and none can name any more (``records.files``), and, if history is
given up at all, one that was replaced so long ago and that no marked version needs: a file that was replaced is never
named again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.delta.scan import scan
from lakefolio.errors import LakefolioError
from lakefolio.format.layout import RECORDS, data_file_version, record_prefix
from lakefolio.format.names import is_id
from lakefolio.format.table_formats import RECORDS as KIND
from lakefolio.maintenance.check_report import CheckReport, Problem
from lakefolio.records.files import REACH
from lakefolio.records.log import RecordLog
from lakefolio.records.rows import keys_twice
from lakefolio.records.table import RecordTable
from lakefolio.session.record_commits import unfinished_restores
from lakefolio.session.record_tables import content_of, is_frozen, table_of

if TYPE_CHECKING:
    from lakefolio.delta.table import DeltaTable
    from lakefolio.model.entries import Entry
    from lakefolio.records.state import TableState
    from lakefolio.session.session import Session
    from lakefolio.storage import ObjectInfo, Store

__all__ = ["check_record_tables", "marked_versions", "needless_record_files"]

_LEAST_AGE: Final = timedelta(days=1)
"""A file that was replaced less long ago stays, whatever is asked for: a snapshot that is being taken may name it."""
_COLUMNS: Final = ("op", "kind", "details", "blob_digest", "generation")


def needless_record_files(
    store: Store, journal: Callable[[], DeltaTable], young: datetime, replaced_before: datetime | None, now: datetime
) -> Iterator[ObjectInfo]:
    """Yield the objects of record tables that nothing needs.

    Args:
        store: The lake.
        journal: Gives its journal, read after contents were purged.
        young: What was stored later stays.
        replaced_before: Data files that were replaced before may go; None if all history stays.
        now: The time.
    """
    there = groupby(store.list(f"{RECORDS}/"), key=lambda info: info.key.split("/")[1])
    marks: Mapping[str, set[int]] | None = None
    for table, infos in there:
        if not is_id(table):
            continue
        marks = marked_versions(journal()) if marks is None else marks
        if table not in marks:
            continue  # the journal does not know it: not ours to judge
        if not marks[table]:
            yield from infos
            continue
        try:
            needed, replaced, version = _needed(store, table, marks[table])
        except LakefolioError:  # `check` says so
            continue
        cut = None if replaced_before is None else min(replaced_before, now - _LEAST_AGE)
        logged: tuple[set[str], dict[str, int]] | None = None
        for info in infos:
            path = info.key.removeprefix(f"{record_prefix(table)}/")
            base = data_file_version(path)
            if path in needed or info.modified_at > young:
                continue
            if path not in replaced and (cut is not None or (base is not None and base + REACH < version)):
                logged = logged or _logged(store, table, version)
                if path not in logged[0]:
                    if base is not None and base + REACH < version:
                        yield info
                    continue
                replaced = logged[1]
            if cut is not None and path in replaced and replaced[path] <= cut.timestamp() * 1000:
                yield info


def marked_versions(journal: DeltaTable) -> dict[str, set[int]]:
    """Return the versions of each table that the entries name whose content was not purged."""
    found: dict[str, dict[tuple[str, int], int]] = {}
    purged: dict[str, int] = {}
    for rows in scan(journal, _COLUMNS):
        ours = pc.or_kleene(pc.equal(rows.column("kind"), KIND), pc.equal(rows.column("op"), "purge"))
        for row in rows.filter(ours.fill_null(fill_value=False)).to_pylist():
            digest, generation = row["blob_digest"] or "", row["generation"] or 0
            if row["op"] == "purge":
                purged[digest] = max(purged.get(digest, -1), generation)
                continue
            try:
                said = json.loads(row["details"] or "{}")
                table, version = said["table"], int(said["version"])
            except (ValueError, KeyError, TypeError):
                continue
            found.setdefault(str(table), {})[digest, generation] = version
    return {
        table: {version for (digest, generation), version in some.items() if generation > purged.get(digest, -1)}
        for table, some in found.items()
    }


def _needed(store: Store, table: str, marks: Iterable[int]) -> tuple[set[str], Mapping[str, int], int]:
    """Return the files that the newest and the marked versions need, when the others were replaced, and the newest."""
    opened = RecordTable(store, record_prefix(table), table)
    newest = opened.state()
    needed = set(newest.files)
    for version in marks:
        if version < newest.version:
            needed.update(opened.versions.at(version).files)
    replaced = {path: when for path, (when, _) in newest.tombstones.items()}
    return needed, replaced, newest.version


def _logged(store: Store, table: str, version: int) -> tuple[set[str], dict[str, int]]:
    """Return the files that any log entry adds, and when those that one removes were, in milliseconds since 1970."""
    added: set[str] = set()
    removed: dict[str, int] = {}
    for _, actions in RecordLog(store, record_prefix(table)).entries(0, version):
        for action in actions:
            if isinstance(said := action.get("add"), dict):
                added.add(unquote(str(said.get("path"))))
            elif isinstance(said := action.get("remove"), dict):
                when = said.get("deletionTimestamp")
                removed[unquote(str(said.get("path")))] = when if type(when) is int else 0
    return added, removed


def check_record_tables(session: Session, entries: Sequence[Entry], report: CheckReport, *, read_data: bool) -> None:
    """Check the tables that entries name: their logs, their marked versions, that data files are there; their rows."""
    state = session.committed()
    tables: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.kind != KIND or state.is_purged(entry):
            continue
        try:
            tables.setdefault(content_of(session, entry).table, []).append(entry)
        except LakefolioError as exc:
            report.problems.append(Problem(exc.kind, entry.ref, exc.message))
    for table, named in tables.items():
        owner = next((entry for entry in named if not is_frozen(session, entry)), named[0])
        try:
            _check_table(session, table, owner, named, report, read_data=read_data)
        except LakefolioError as exc:
            report.problems.append(Problem(exc.kind, str(exc.objects.get("key") or owner.ref), exc.message))
    for restore in unfinished_restores(session):
        message = f"a restore {restore} ended before it was done, so tables and other items may be apart: restore again"
        report.problems.append(Problem("restore-unfinished", session.uri, message))
    if tables:
        report.counts["record_tables"] = len(tables)


def _check_table(
    session: Session, table: str, owner: Entry, named: Sequence[Entry], report: CheckReport, *, read_data: bool
) -> None:
    prefix = record_prefix(table)
    if next(iter(session.store.list(prefix + "/")), None) is None:
        if any(content_of(session, entry).version for entry in named):
            message = f"the table of {owner.folio}:{owner.item} is missing, and versions of it are marked"
            report.problems.append(Problem("table-not-found", prefix, message))
        return  # it was never used
    opened = table_of(session, owner)
    newest = opened.state()
    states = {newest.version: newest}
    for entry in named:
        version = content_of(session, entry).version
        if version not in states:
            states[version] = opened.versions.at(version)
    # listed after the log was read: what is written meanwhile is there, and none of the states names it
    there = {info.key: info.size_bytes for info in session.store.list(prefix + "/")}
    for version, one in sorted(states.items()):
        for path, file in one.files.items():
            key = f"{prefix}/{path}"
            if there.get(key) != file.size_bytes:
                how = "is missing" if key not in there else f"has {there[key]} bytes, expected {file.size_bytes}"
                message = f"data file {key} of {owner.folio}:{owner.item}, version {version}, {how}"
                report.problems.append(Problem("record-file", key, message))
    for key, problem in opened.versions.log.checkpoint_problems(newest.version, every=read_data).items():
        report.problems.append(Problem("record-checkpoint", key, f"{key} of {owner.folio}:{owner.item}: {problem}"))
    if read_data:
        _check_rows(opened, states, report)


def _check_rows(opened: RecordTable, states: Mapping[int, TableState], report: CheckReport) -> None:
    """Check that every data file of some versions is what was written, and the rules of the newest version's rows."""
    from lakefolio.records.rows import check_rows

    newest = states[max(states)]
    keys: list[pa.Table] = []
    latest = {path: one for _, one in sorted(states.items()) for path in one.files}
    for path, state in latest.items():
        file = state.files[path]
        try:
            rows = opened.files.read(file, state.schema.arrow)
            report.counts["bytes_read"] = report.counts.get("bytes_read", 0) + file.size_bytes
            check_rows(rows, state.schema, opened.name)
        except LakefolioError as exc:
            key = opened.files.key(path)
            if not any(problem.object == key for problem in report.problems):
                report.problems.append(Problem(exc.kind, key, exc.message))
            continue
        if newest.schema.key and state is newest:
            keys.append(rows.select(list(newest.schema.key)))
    if keys and (twice := keys_twice(pa.concat_tables(keys).combine_chunks())):
        message = f"{len(twice)} rows of {opened.name} have the key of another: another tool wrote them"
        report.problems.append(Problem("record-key", opened.name, message))

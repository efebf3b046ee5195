"""Restoring lost objects of a lake, one by one, from a second copy of it.

No copy is trusted, and nothing is repaired by forgetting it: an object that neither copy has stays a problem. Log
entries come back only where the copies tell the same history; data files and blobs only with their exact digest (data
files of record tables that another engine wrote have none: their size must be right).
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.delta.objects import log_problem
from lakefolio.delta.seal import Seals
from lakefolio.delta.table import lake_id_of
from lakefolio.errors import (
    FormatError,
    IntegrityError,
    InvalidInputError,
    LakefolioError,
    LakeNotFoundError,
    NotFoundError,
)
from lakefolio.format.digest import sha256_of_parts
from lakefolio.format.layout import (
    BLOBS,
    LOG_TABLES,
    MARKER,
    README,
    SPECIFICATION,
    TABLES,
    VIEWS_FILE,
    blob_key,
    log_key,
    log_prefix,
    table_prefix,
)
from lakefolio.format.marker import parse_marker
from lakefolio.format.schema import MANIFESTS_SCHEMA
from lakefolio.journal.journal import Journal
from lakefolio.maintenance.repair_records import repair_record_tables
from lakefolio.maintenance.repair_work import RepairWork
from lakefolio.maintenance.reports import RepairReport
from lakefolio.model.entries import content_from_row
from lakefolio.views.workbench import Workbench

if TYPE_CHECKING:
    from lakefolio.delta.actions import DataFile
    from lakefolio.delta.table import DeltaTable
    from lakefolio.model.state import State
    from lakefolio.storage import Store

__all__ = ["repair"]

_WANTED: Final = {"place": pa.int64(), "key": pa.string(), "digest": pa.string(), "size_bytes": pa.int64()}
_LISTED: Final = {"key": pa.string(), "size_bytes": pa.int64()}
_BLOBS: Final = """
select w.* exclude (place), l.size_bytes from (
    select min(place) as place, key, any_value(digest) as digest, arg_min(size_bytes, place) as size_bytes
    from wanted group by key
) as w left join listed as l using (key) order by place
"""
"""The blobs that are needed, in the order of the entries that need them first, each with the size of the object."""


def repair(
    store: Store,
    source: Store,
    *,
    read_data: bool = True,
    dry_run: bool = False,
    progress: Callable[[str, int], None] | None = None,
) -> RepairReport:
    """Repair the lake in ``store`` from the copy in ``source``. Idempotent; run it again after any failure.

    Args:
        store: The lake with losses; it need not be openable.
        source: Another copy of the same lake (the same ``lake_id``); only read.
        read_data: Read every blob, to find those that are damaged within; without it only missing and truncated ones.
        dry_run: Only say what would be brought back.
        progress: Called with the object that is looked at, and how many were before it.

    Raises:
        LakeNotFoundError: ``source`` is no lake.
        InvalidInputError: It is not a copy of this one (kind ``other-lake``), or this one itself (``same-lake``).
    """
    work = RepairWork(store, source, dry_run, progress or (lambda key, count: None))
    run = _Repair(work)
    run.identity()
    for table in (*TABLES, *LOG_TABLES):
        run.log(table)
    for table in (*TABLES, *LOG_TABLES):
        run.data_files(table)
    run.blobs(read_data=read_data)
    repair_record_tables(work, run.journal, read_data=read_data)
    left = work.left
    return RepairReport(dry_run=dry_run, ok=not left, repaired=work.repaired, left=left, looked_at=work.looked_at)


class _Repair:
    def __init__(self, work: RepairWork) -> None:
        self._work = work
        self._store = work.store
        self._source = work.source
        self._lake_id = ""

    # -- which lake it is ----------------------------------------------------------------------------------

    def identity(self) -> None:
        """Make sure that both are copies of one lake, and bring back the marker and the readme."""
        if self._source.uri == self._store.uri:
            raise InvalidInputError(
                f"{self._source.uri} is the lake itself, not a copy of it",
                kind="same-lake",
                hint="name another place that holds a copy",
            )
        theirs = self._source.find(MARKER)
        if theirs is None:
            raise LakeNotFoundError(
                f"{self._source.uri} is no lake: it has no {MARKER}",
                kind="no-lake",
                hint="name a whole copy of this lake",
                key=MARKER,
            )
        marker = parse_marker(theirs, self._source.uri, writing=False)
        self._lake_id = marker.lake_id
        ours = self._store.find(MARKER)
        try:
            own = None if ours is None else parse_marker(ours, self._store.uri, writing=True)
        except FormatError as exc:
            if exc.kind != "marker-damaged":
                raise
            own = None
        if own is None:
            # without a marker the first log entry tells, which holds the lake's id
            if lake_id_of(self._store) != marker.lake_id:
                raise self._other()
            self._work.write(MARKER, theirs, "marker")
        elif own.lake_id != marker.lake_id:
            raise self._other()
        for key in (README, SPECIFICATION, VIEWS_FILE):
            if self._store.find(key) is None and (text := self._source.find(key)) is not None:
                self._work.write(key, text, "readme")

    def _other(self) -> InvalidInputError:
        return InvalidInputError(
            f"{self._source.uri} is not a copy of the lake {self._store.uri}",
            kind="other-lake",
            hint="name a copy of this lake: its lakefolio.json has the same lake_id",
        )

    # -- the tables ----------------------------------------------------------------------------------------

    def log(self, table: str) -> None:
        """Bring back log entries that are missing or damaged, as far as the copies tell the same history."""
        seals = Seals(self._lake_id, table)
        self._work.log_entries(
            table,
            log_prefix(table),
            lambda version: log_key(table, version),
            lambda version, body: log_problem(body, seals, version),
        )

    def data_files(self, table: str) -> None:
        """Bring back data files that log entries name and that are missing or damaged."""
        within = table_prefix(table)
        for file in self._active(table):
            key = f"{within}/{file.path}"
            self._work.look(key)
            seals = Seals(self._lake_id, table)
            if _is(self._store.find(key), file, seals):
                continue
            other = self._source.find(key)
            if other is not None and _is(other, file, seals):
                self._work.write(key, other, "table-file")
            else:
                self._work.lost("table-file-missing", key, f"data file {key} is lost, and the source has no good one")

    def _active(self, table: str) -> list[DataFile]:
        for place in (self._store, self._source):  # in a dry run the own log may still have gaps
            try:
                return Journal(place, self._lake_id).files_of(table)
            except (IntegrityError, FormatError):
                continue
        self._work.lost("log-damaged", log_prefix(table), f"the log of {table!r} can't be read in either copy")
        return []

    def journal(self) -> DeltaTable | None:
        """Return the journal's table of the lake, or in a dry run the source's; None if it can't be read."""
        for place in self._work.places:
            try:
                read = Journal(place, self._lake_id)
                read.load()
                return read.manifests_table
            except LakefolioError:
                continue
        return None  # ``blobs`` says so

    # -- blobs ---------------------------------------------------------------------------------------------

    def blobs(self, *, read_data: bool) -> None:
        """Bring back blobs that are missing, truncated or damaged."""
        try:
            state = Journal(self._store, self._lake_id).load()
        except LakefolioError as exc:
            if not self._work.dry_run:
                self._work.lost(exc.kind, str(exc.objects.get("key") or TABLES[0]), exc.message)
                return
            state = Journal(self._source, self._lake_id).load()
        with Workbench() as bench:
            bench.keep("wanted", _WANTED, self._wanted(state))
            bench.keep("listed", _LISTED, ((info.key, info.size_bytes) for info in self._store.list(f"{BLOBS}/")))
            for key, digest, size_bytes, found_bytes in bench.each(_BLOBS):
                self._work.look(key)
                if found_bytes != size_bytes or (read_data and not _verified(self._store, key, digest)):
                    self._fetch(key, digest, size_bytes or 0)

    def _wanted(self, state: State) -> Iterator[tuple[int, str, str, int | None]]:
        """Give the blobs that entries need, as rows of :data:`_WANTED`; what no entry can be made of is lost."""
        for place, row in enumerate(_stored(state)):
            try:
                if (entry := content_from_row(row)) is None:
                    continue
                digest, generation = entry.blob_digest or "", entry.generation or 0
                if generation >= state.generation(digest):
                    yield place, blob_key(digest, generation), digest, entry.stored_bytes
            except IntegrityError as exc:
                self._work.lost(exc.kind, f"{row['folio']}:{row['item']}@{row['version']}", exc.message)

    def _fetch(self, key: str, digest: str, size_bytes: int) -> None:
        with tempfile.TemporaryDirectory(prefix="lakefolio-") as folder:
            path = Path(folder) / "content"
            hasher = hashlib.sha256()
            try:
                self._source.fetch_to(key, path, on_chunk=hasher.update)
                good = "sha256:" + hasher.hexdigest() == digest and path.stat().st_size == size_bytes
            except NotFoundError:
                good = False
            if not good:
                self._work.lost("blob-missing", key, f"blob {key} is lost, and the source has no good one")
                return
            if not self._work.dry_run:

                def pieces() -> Any:
                    with path.open("rb") as file:
                        while piece := file.read(8 << 20):
                            yield piece

                self._store.delete([key])  # an object that lies there has other content
                self._store.upload(key, pieces, size_bytes)
        self._work.done("blob", key)


def _is(body: bytes | None, file: DataFile, seals: Seals) -> bool:
    if body is None or len(body) != file.size_bytes:
        return False
    return not file.seal or seals.of_bytes(file.path, body) == file.seal


def _verified(store: Store, key: str, digest: str) -> bool:
    try:
        return sha256_of_parts(store.get_stream(key)) == digest
    except NotFoundError:
        return False


def _stored(state: State) -> Iterator[dict[str, Any]]:
    """Yield the rows of a journal whose content lies in a blob."""
    for rows in state.parts([name for name in MANIFESTS_SCHEMA.names if name != "content"]):
        yield from rows.filter(pc.equal(rows.column("storage"), "blob")).to_pylist()

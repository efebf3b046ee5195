"""A Delta table of a lake as one handle knows it: its log, its checkpoint, its data files, up to one version.

``objects`` reads and verifies each of them; ``table`` also writes. One long module: loading, following, skipping ahead
and starting again after a gc all change the same few attributes.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefolio.delta.actions import (
    DataFile,
    LogEntry,
    Total,
    check_protocol,
    file_of,
    metadata_of,
    removed_by,
)
from lakefolio.delta.checkpoint import actions_in, note_of, parse_pointer
from lakefolio.delta.objects import TableObjects
from lakefolio.delta.seal import Seals
from lakefolio.errors import ConflictError, FormatError, IntegrityError
from lakefolio.format.arrow_rows import no_rows
from lakefolio.format.layout import (
    checkpoint_name,
    data_file_version,
    log_key,
    log_prefix,
    table_prefix,
)
from lakefolio.render.text import counted

if TYPE_CHECKING:
    from lakefolio.format.schema import TableSpec
    from lakefolio.storage import Store

__all__ = ["DeltaLog"]

_LOOKED_AT_ROWS = 2_000
_MANY_ENTRIES = 100
_LOOKS = 20
"""How often files may be replaced and deleted while they are read: each time it takes a merge and a gc."""
_ENTRY_BYTES = 4 << 10
"""The cost of reading one log entry, in bytes of merged files: a request and a replay."""
_KEPT_TOMBSTONES = 500
"""A checkpoint with all of them would be as large as the history is long."""


class DeltaLog:
    """One Delta table below a lake, as far as this handle has read it. Not thread-safe: its owner holds a lock.

    Attributes:
        spec: The definition of the table.
        name: Its name, ``"manifests"``.
        version: The newest version read, -1 before :meth:`load`.
    """

    def __init__(self, store: Store, lake_id: str, spec: TableSpec) -> None:
        self.store = store
        self.spec = spec
        self.name = spec.name
        self.schema = spec.schema
        self.seals = Seals(lake_id, spec.name)
        self._objects = TableObjects(store, self.seals, spec)
        self.version = -1
        self.checkpoint_version = -1
        self._due = False
        self._total = Total()
        self._files: dict[str, DataFile] = {}
        self._tombstones: dict[str, tuple[DataFile, int]] = {}
        self._table_metadata: dict[str, Any] = {}

    def data_files(self) -> dict[str, int]:
        """Return the active data files: path in the table -> size in bytes."""
        return {file.path: file.size_bytes for file in self._files.values()}

    @property
    def replaced(self) -> dict[str, int]:
        """The paths of recently replaced files with the time of their replacement, in milliseconds since 1970."""
        return {path: at for path, (_, at) in self._tombstones.items()}

    def active(self) -> list[DataFile]:
        """Return the active data files by the log, read from its start; the files are not read."""
        self._forget()
        for entry in self._objects.each_entry():
            self._replay(entry)
        return list(self._files.values())

    def verified(self, file: DataFile) -> bytes | None:
        """Return the bytes of a data file that has a seal; None if they are not what was written. One request."""
        return self._objects.body_of(file)

    def place_of(self, file: DataFile) -> Path | None:
        """Return where a data file of a local lake lies; None for a bucket."""
        root = self.store.local_path
        return None if root is None else root / f"{table_prefix(self.name)}/{file.path}"

    def compared(self, files: Sequence[DataFile]) -> pa.Table:
        """Return the rows of data files, read from the files and compared with the copies in the log, in no order.

        Raises:
            IntegrityError: If a data file is missing or damaged, or differs from the copy.
        """
        tables = self._objects.tables_of([replace(file, rows=None) for file in files], self.schema)
        for file, rows in zip(files, tables, strict=True):
            self._compare(file, rows)
        return pa.concat_tables([no_rows(self.schema), *tables])

    def audit(self) -> None:
        """Read the log from its start and compare its checkpoint and totals with it; the data files are not read.

        The handle is at the newest version then, also if the log can be read and says something else than it should.

        Raises:
            FormatError: If the table is missing.
            IntegrityError: kind ``log-differs``, if a log entry says of the table what does not follow from the log;
                kind ``checkpoint-differs``, if the checkpoint holds other files than the log; kind
                ``checkpoint-damaged``, if it can't be read. This library reads the log then, other readers fail.
        """
        place = f"{log_prefix(self.name)}/_last_checkpoint"
        named = self.store.find(place)
        pointer = parse_pointer(named)
        claimed = type(self)(self.store, self.seals.lake_id, self.spec)
        if pointer is not None:
            claimed._load_checkpoint(*pointer)
        self._forget()
        problem: IntegrityError | None = None
        try:
            for entry in self._objects.each_entry():
                self._replay(entry)
                if problem is not None:
                    continue
                if entry.total is not None and entry.total != self._total:
                    problem = self._differs(log_key(self.name, entry.version), "log-differs", entry.total)
                elif entry.version == claimed.version and claimed._total != self._total:
                    key = f"{log_prefix(self.name)}/{checkpoint_name(entry.version)}"
                    problem = self._differs(key, "checkpoint-differs", claimed._total)
        except BaseException:
            self._forget()
            raise
        if problem is not None:
            raise problem
        if self.version < 0:
            raise self._missing()
        if named is not None and claimed.version < 0:
            key = place if pointer is None else f"{log_prefix(self.name)}/{checkpoint_name(pointer[0])}"
            raise IntegrityError(
                f"{key} is missing or damaged: nothing is lost, but other readers of the Delta table "
                f"{self.name!r} may not open it",
                kind="checkpoint-damaged",
                hint="lakefolio compact writes another",
                key=key,
                table=self.name,
            )

    def _differs(self, key: str, kind: str, found: Total) -> IntegrityError:
        expected = self._total
        return IntegrityError(
            f"{key} says that table {self.name!r} has {counted(found.files, 'file')} with "
            f"{counted(found.rows, 'row')}, by the log it has {expected.files:,} with {expected.rows:,}"
            + ("" if found.digest == expected.digest else ", not all the same"),
            kind=kind,
            hint="delete the checkpoint, the log tells all"
            if kind == "checkpoint-differs"
            else "restore the table from a copy",
            key=key,
            table=self.name,
        )

    def with_version(self, version: int) -> list[DataFile]:
        """Return the data files that may hold rows of a version, first those that hold no others.

        Recently replaced files are among them: they are smaller than their replacements.
        """
        known = [*(file for file, _ in self._tombstones.values() if file.versions), *self._files.values()]
        found = [file for file in known if file.versions is None or file.versions[0] <= version <= file.versions[1]]
        return sorted(found, key=lambda file: (file.versions or (-1, -1)) != (version, version))

    def load(self, *, trust_copies: bool = True, after: Callable[[str], int] = lambda note: -1) -> pa.Table:
        """Read the table from its newest checkpoint on and return all its rows, or those after a version, in order.

        Three requests (the checkpoint's name, the checkpoint, one LIST), then the entries since and the data files.

        Args:
            trust_copies: Take the rows of small commits from their log entries, without reading their files. False
                reads the log from its start and every file, and compares them with the copies.
            after: Given what ``_last_checkpoint`` notes, the version up to which rows are not wanted; it is called when
                the checkpoint was read, and nothing behind it; again, at version -1, if the log contradicts it.

        Raises:
            FormatError: If the table is missing, or asks for a newer protocol than is known here.
            IntegrityError: If a log entry, a checkpoint or a data file is missing or damaged.
        """
        for _ in range(_LOOKS):
            self._forget()
            try:
                return self._load_once(trust_copies, after)
            except IntegrityError as exc:
                if not self.outdated(exc):
                    raise
        raise self.restless()

    def outdated(self, error: IntegrityError) -> bool:
        """Say whether an error is about a data file that is no longer needed: replaced by a merge, then deleted by gc.

        A caller that chose files from an older version then chooses again.
        """
        return self._ahead_of(error) is not None

    def _ahead_of(self, error: IntegrityError) -> DeltaLog | None:
        """Return the table as of its newest version if that does not name the data file of an error, else None."""
        if error.kind != "table-file-damaged":
            return None
        ahead = self._newest()
        return None if str(error.key).rpartition("/")[2] in ahead._files else ahead

    def _newest(self) -> DeltaLog:
        """Return a new handle that has read the log to the newest version, and no data file."""
        ahead = DeltaLog(self.store, self.seals.lake_id, self.spec)
        ahead.follow()
        return ahead

    def restless(self) -> ConflictError:
        """Return the error for a table whose files are replaced and deleted faster than they are read."""
        return ConflictError(
            f"data files of table {self.name!r} of {self.store.uri} were replaced and deleted {_LOOKS} times "
            "while they were read",
            kind="table-restless",
            hint="give gc a grace: what readers may still need then stays that long",
            table=self.name,
        )

    def _load_once(self, trust_copies: bool, after: Callable[[str], int]) -> pa.Table:
        pointer = self.store.find(f"{log_prefix(self.name)}/_last_checkpoint") if trust_copies else None
        try:
            if (found := parse_pointer(pointer)) is not None:
                self._load_checkpoint(*found)
            note = note_of(pointer, self.seals)
            since = after(note)
            if self.version < 0:
                return self._load(trust_copies=trust_copies, after=since)
            try:
                return self._load(trust_copies=True, after=since)
            except (IntegrityError, FormatError):
                self._forget()  # a checkpoint only saves time: the log tells the error
                return self._load(trust_copies=True, after=after(note))
        except BaseException:
            self._forget()  # so that the next look does not take a half-read table for a whole one
            raise

    def _forget(self) -> None:
        self.version = self.checkpoint_version = -1  # first: an interrupt must not leave a version without its files
        self._files.clear()
        self._tombstones.clear()
        self._total = Total()

    def follow(self) -> None:
        """Read the log, from its newest checkpoint on, and no data file: ``delta_scan`` reads those part by part.

        Raises:
            FormatError: If the table is missing, or asks for a newer protocol than is known here.
            IntegrityError: If a log entry is missing or damaged.
        """
        found = parse_pointer(self.store.find(f"{log_prefix(self.name)}/_last_checkpoint"))
        try:
            if found is not None:
                self._load_checkpoint(*found)
            if self.version >= 0:
                try:
                    self._catch_up()
                    return
                except (IntegrityError, FormatError):
                    self._forget()
            self._catch_up()
        except BaseException:
            self._forget()
            raise

    def read(self, files: Sequence[DataFile], schema: pa.Schema | None = None, *, whole: bool = False) -> pa.Table:
        """Return the rows of data files, in no order; only the columns of ``schema`` if it is given.

        Args:
            files: Which; rows that are known without a request are taken as they are.
            schema: The columns wanted.
            whole: Read also the files whose rows are known without the columns that lie in the file alone.

        Raises:
            IntegrityError: If a data file is missing or damaged.
        """
        return self._rows_of(files, schema, whole=whole)

    @property
    def known_files(self) -> list[DataFile]:
        """The active data files at this handle's version."""
        return list(self._files.values())

    def _load(self, *, trust_copies: bool, after: int) -> pa.Table:
        self._catch_up()
        if trust_copies:
            return self.rows_after(after)
        for _ in range(_LOOKS):
            files = list(self._files.values())
            try:
                return self._ordered(self.compared(files))
            except IntegrityError as exc:
                if not self.outdated(exc):
                    raise
                self.look()
        raise self.restless()

    def note(self) -> str:
        """Return the note beside the checkpoint in the newest ``_last_checkpoint``. One request."""
        return note_of(self.store.find(f"{log_prefix(self.name)}/_last_checkpoint"), self.seals)

    def rows_after(self, version: int, upto: int | None = None) -> pa.Table:
        """Return the rows after a version, and only up to another if given, in order; rows must carry a version.

        Only data files that may hold such rows are read. A file that was replaced and deleted since this handle read
        the log is read from its replacement, which has the same rows, as of this handle's version or ``upto``.

        Raises:
            IntegrityError: If a data file that the newest log names is missing or damaged.
            ConflictError: If files were replaced and deleted again and again meanwhile.
        """
        return self._rows_between(version, upto, self)

    def _rows_between(self, version: int, upto: int | None, table: DeltaLog) -> pa.Table:
        """Return the rows of :meth:`rows_after` in order, from the files that a handle of the table knows."""
        for _ in range(_LOOKS):
            bound = self.version if upto is None and table is not self else upto
            files = [
                file
                for file in table._files.values()
                if file.versions is None
                or (file.versions[1] > version and (bound is None or file.versions[0] <= bound))
            ]
            try:
                rows = self._ordered(table._rows_of(sorted(files, key=_first_version)))
            except IntegrityError as exc:
                ahead = self._ahead_of(exc) if "version" in self.schema.names else None
                if ahead is None:
                    raise
                table = ahead
                continue
            if not rows.num_rows or (version < 0 and bound is None):
                return rows
            versions = rows.column("version")
            start = bisect_right(range(len(versions)), version, key=lambda at: versions[at].as_py())
            stop = len(versions)
            if bound is not None:
                stop = bisect_right(range(len(versions)), bound, key=lambda at: versions[at].as_py())
            return rows.slice(start, stop - start)
        raise self.restless()

    def _catch_up(self) -> None:
        """Read the log entries above this handle's version, which is that of a checkpoint, or none."""
        entries = self._entries_since_checkpoint()
        if self.version < 0 and not entries:
            raise self._missing()
        for entry in entries:
            self._replay(entry)

    def _missing(self) -> FormatError:
        return FormatError(
            f"table {self.name!r} of {self.store.uri} has no log",
            kind="table-missing",
            hint="the lake was copied or deleted in part; restore it from a copy",
            table=self.name,
        )

    def _entries_since_checkpoint(self) -> list[LogEntry]:
        """Return the log entries above this handle's version, once that of the checkpoint has confirmed it.

        Raises:
            IntegrityError: If the checkpoint says anything else than the log entry of its version.
        """
        first = max(self.version, 0)
        after = log_key(self.name, first - 1) if first else None
        entries = self._objects.read_entries(self._objects.list_versions(after), first=first)
        if self.version < 0:
            return entries
        if not entries or entries[0].total != self._total:
            raise self._differs(log_key(self.name, first), "checkpoint-differs", self._total)
        return entries[1:]

    def _compare(self, file: DataFile, found: pa.Table) -> None:
        if file.rows is not None and not found.drop(list(file.lacks)).equals(file.rows.drop(list(file.lacks))):
            raise IntegrityError(
                f"data file {file.path!r} of table {self.name!r} differs from the copy of its rows in the log",
                kind="table-copy-differs",
                hint="one of the two was edited; restore both from a copy of the lake",
                key=f"{table_prefix(self.name)}/{file.path}",
                table=self.name,
            )

    def poll(self, *, one: bool = False, skip: bool = False) -> tuple[list[LogEntry], pa.Table]:
        """Read the new log entries and return them and their rows, in order.

        One GET that finds nothing when nothing is new; else two to find one more entry, and one LIST for many.

        Args:
            one: Read the next entry only, for a caller that expects no other: one GET.
            skip: Take the rows of many entries from the files that they were merged into, if that is less to read.
                Only where rows carry their version. The first of the entries returned is then not the next one.
        """
        entries, more = self._next_entries(1 if one else 2)
        if not entries:
            return [], no_rows(self.schema)
        if skip and len(more) > _MANY_ENTRIES and (skipped := self._skip(more[-1])) is not None:
            return skipped
        entries += self._objects.read_entries(more, first=self.version + 3)
        try:
            rows = self._rows_of([file for entry in entries for file in entry.added])
        except IntegrityError:
            rows = self._rows_now(entries)
        for entry in entries:
            self._replay(entry)
        return entries, self._ordered(rows)

    def look(self) -> list[LogEntry]:
        """Read the new log entries, but no data file, and return them.

        One GET that finds nothing when nothing is new; else two to find one more entry, and one LIST for many.
        """
        entries, more = self._next_entries(2)
        entries += self._objects.read_entries(more, first=self.version + 3)
        for entry in entries:
            self._replay(entry)
        return entries

    def _next_entries(self, count: int) -> tuple[list[LogEntry], list[int]]:
        """Read up to ``count`` new log entries; return them, and the versions behind the second, if that is one."""
        entries: list[LogEntry] = []
        key = ""
        for version in range(self.version + 1, self.version + 1 + count):
            key = log_key(self.name, version)
            found = self.store.find(key)
            if found is None:
                break
            entries.append(self._objects.parse(version, found, key))
        return entries, self._objects.list_versions(key) if len(entries) == 2 else []

    def _rows_now(self, entries: Sequence[LogEntry]) -> pa.Table:
        """Return the rows that log entries added, from the files that hold them now; the files they named may be gone.

        Raises:
            IntegrityError: If rows carry no version to tell them by, or none of the files was replaced since.
        """
        ahead = self._newest()
        added = {file.path for entry in entries for file in entry.added}
        if "version" not in self.schema.names or added <= ahead._files.keys():
            raise self.damaged(f"{table_prefix(self.name)}/{min(added)}", "or one beside it is missing or damaged")
        return self._rows_between(self.version, entries[-1].version, ahead)

    def _skip(self, newest: int) -> tuple[list[LogEntry], pa.Table] | None:
        """Catch up through the newest checkpoint; None, with nothing changed, if that reads more than the log."""
        found = parse_pointer(self.store.find(f"{log_prefix(self.name)}/_last_checkpoint"))
        ahead = DeltaLog(self.store, self.seals.lake_id, self.spec)
        if found is not None:
            ahead._load_checkpoint(*found)
        # no data file holds rows later than the version in its name
        merged = [one for one in ahead.known_files if (data_file_version(one.path) or newest) > self.version]
        if ahead.version < newest - _MANY_ENTRIES:
            return None
        if sum(file.size_bytes for file in merged) > (ahead.version - self.version) * _ENTRY_BYTES:
            return None
        import pyarrow.compute as pc

        try:
            entries = ahead._entries_since_checkpoint()
        except IntegrityError:
            return None  # a checkpoint saves time, nothing else
        try:
            rows, later = self._rows_of(merged), ahead._rows_of([one for entry in entries for one in entry.added])
        except IntegrityError:
            return None  # some were replaced meanwhile; any other error shows the other way too
        rows = rows.filter(pc.greater(rows.column("version"), self.version))
        rows = self._ordered(pa.concat_tables([rows, later]))
        for entry in entries:
            ahead._replay(entry)
        self.version, self.checkpoint_version = ahead.version, ahead.checkpoint_version
        self._files, self._tombstones, self._total = ahead._files, ahead._tombstones, ahead._total
        return entries, rows

    def entries(self, first: int, last: int) -> list[LogEntry]:
        """Read the log entries ``first`` to ``last`` again, one request each; changes nothing in this handle."""
        return self._objects.read_entries(range(first, last + 1), first=first)

    def _replay(self, entry: LogEntry, total: Total | None = None) -> None:
        """Move on by a log entry; ``total`` is that of the table from then on, if the caller made it up already."""
        removed = [gone for path in entry.removed if (gone := self._files.pop(path, None)) is not None]
        for gone in removed:
            self._tombstones[gone.path] = (gone.without_rows(), entry.removed[gone.path])
        if len(self._tombstones) > _KEPT_TOMBSTONES:
            self._forget_tombstones()
        if entry.metadata is not None:
            self._table_metadata = dict(entry.metadata)
        added = (*entry.added, *entry.compacted)
        for file in added:
            self._files[file.path] = file
        self._total = self._total.with_changes(added, removed) if total is None else total
        self.version = entry.version

    def _forget_tombstones(self) -> None:
        """Keep the newest: the order of a dict is that of insertion."""
        for path in list(self._tombstones)[: max(0, len(self._tombstones) - _KEPT_TOMBSTONES)]:
            del self._tombstones[path]

    def _rows_of(self, files: Sequence[DataFile], schema: pa.Schema | None = None, *, whole: bool = False) -> pa.Table:
        schema = schema or self.schema
        tables = self._objects.tables_of(
            [replace(one, rows=None) if whole and one.lacks else one for one in files], schema
        )
        if tables:
            return pa.concat_tables(tables)
        return no_rows(schema)

    def damaged(self, key: str, problem: str) -> IntegrityError:
        """Return the error for a data file with damaged bytes."""
        return self._objects.damaged(key, problem)

    def _ordered(self, rows: pa.Table) -> pa.Table:
        if rows.num_rows <= _LOOKED_AT_ROWS:  # they nearly always are in order, and sorting imports Arrow's functions
            keys = list(zip(*(rows.column(column).to_pylist() for column in self.spec.order), strict=True))
            with contextlib.suppress(TypeError):  # nulls have no order in Python
                if keys == sorted(keys):
                    return rows
        return rows.sort_by([(column, "ascending") for column in self.spec.order])

    def _load_checkpoint(self, version: int, seal: str) -> None:
        name = checkpoint_name(version)
        body = self.store.find(f"{log_prefix(self.name)}/{name}")
        if body is None or (seal and self.seals.of_bytes(name, body) != seal):
            return  # the log itself is complete: a lost checkpoint costs time, nothing else
        try:
            for kind, action in actions_in(body):
                if kind == "protocol":
                    check_protocol(action, self.name)
                elif kind == "metaData":
                    self._table_metadata = metadata_of(action)
                elif kind == "add":
                    file = file_of(action, version)
                    self._files[file.path] = file
                else:
                    path, size, when = removed_by(action)
                    self._tombstones[path] = (DataFile(path, size, 0, "", 0), when)
            self._forget_tombstones()
            self._total = Total().with_changes(self._files.values(), ())
        except (pa.ArrowException, FormatError, KeyError, ValueError, TypeError, AttributeError, OSError):
            self._forget()
            return
        self.version = self.checkpoint_version = version


def _first_version(file: DataFile) -> int:
    return -1 if file.versions is None else file.versions[0]

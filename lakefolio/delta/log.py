"""A Delta table of a lake as one handle knows it: its log, its checkpoint, its data files, up to one version.

``file_set`` says which files there are, ``objects`` reads and verifies each, ``table`` also writes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from lakefolio.delta.actions import DataFile, LogEntry
from lakefolio.delta.checkpoint import note_of, parse_pointer
from lakefolio.delta.file_set import FileSet
from lakefolio.delta.objects import TableObjects
from lakefolio.delta.seal import Seals
from lakefolio.errors import ConflictError, FormatError, IntegrityError
from lakefolio.format.arrow_rows import no_rows
from lakefolio.format.layout import (
    checkpoint_key,
    checkpoint_name,
    data_file_version,
    log_key,
    pointer_key,
    table_prefix,
)

if TYPE_CHECKING:
    from lakefolio.format.schema import TableSpec
    from lakefolio.storage import Store

__all__ = ["DeltaLog"]

_MANY_ENTRIES = 100
_LOOKS = 20
"""How often files may be replaced and deleted while they are read: each time it takes a merge and a gc."""
_ENTRY_BYTES = 4 << 10
"""The cost of reading one log entry, in bytes of merged files: a request and a replay."""


class DeltaLog:
    """One Delta table below a lake, as far as this handle has read it. Not thread-safe: its owner holds a lock.

    Attributes:
        spec: The definition of the table.
        name: Its name, ``"manifests"``.
        files: The files that it has at the newest version read; none before :meth:`load`.
    """

    def __init__(self, store: Store, lake_id: str, spec: TableSpec) -> None:
        self.store = store
        self.spec = spec
        self.name = spec.name
        self.schema = spec.schema
        self.seals = Seals(lake_id, spec.name)
        self.objects = TableObjects(store, self.seals, spec)
        self.files = FileSet(spec.name)
        self._due = False

    @property
    def version(self) -> int:
        """The newest version read, -1 before :meth:`load`."""
        return self.files.version

    def active(self) -> list[DataFile]:
        """Return the active data files by the log, read from its start; the files are not read."""
        for _ in self.replayed():
            pass
        return self.files.listed

    def replayed(self) -> Iterator[LogEntry]:
        """Read the log from its start, and give each entry when this handle has moved on by it; no data file is read.

        A handle whose log can't be read to its end has read nothing.
        """
        self._forget()
        try:
            for entry in self.objects.each_entry():
                self.files.replay(entry)
                yield entry
        except BaseException:
            self._forget()
            raise

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

    def _ahead_of(self, error: IntegrityError) -> FileSet | None:
        """Return the files of the newest version if the data file of an error is none of them, else None."""
        if error.kind != "table-file-damaged":
            return None
        ahead = self._newest()
        return None if str(error.key).rpartition("/")[2] in ahead.active else ahead

    def _newest(self) -> FileSet:
        """Return the files of the newest version; this handle stays where it is."""
        ahead = DeltaLog(self.store, self.seals.lake_id, self.spec)
        ahead.follow()
        return ahead.files

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
        pointer = self.store.find(pointer_key(self.name)) if trust_copies else None
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
        self.files = FileSet(self.name)

    def follow(self) -> None:
        """Read the log, from its newest checkpoint on, and no data file: ``delta_scan`` reads those part by part.

        Raises:
            FormatError: If the table is missing, or asks for a newer protocol than is known here.
            IntegrityError: If a log entry is missing or damaged.
        """
        found = parse_pointer(self.store.find(pointer_key(self.name)))
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

    def _load(self, *, trust_copies: bool, after: int) -> pa.Table:
        self._catch_up()
        if trust_copies:
            return self.rows_after(after)
        for _ in range(_LOOKS):
            files = self.files.listed
            try:
                return self.objects.ordered(self.objects.compared(files))
            except IntegrityError as exc:
                if not self.outdated(exc):
                    raise
                self.look()
        raise self.restless()

    def note(self) -> str:
        """Return the note beside the checkpoint in the newest ``_last_checkpoint``. One request."""
        return note_of(self.store.find(pointer_key(self.name)), self.seals)

    def rows_after(self, version: int) -> pa.Table:
        """Return the rows after a version, in order; rows must carry a version.

        Only data files that may hold such rows are read. A file that was replaced and deleted since this handle read
        the log is read from its replacement, which has the same rows, as of this handle's version.

        Raises:
            IntegrityError: If a data file that the newest log names is missing or damaged.
            ConflictError: If files were replaced and deleted again and again meanwhile.
        """
        return self._rows_between(version, None, self.files)

    def _rows_between(self, version: int, upto: int | None, files: FileSet) -> pa.Table:
        """See :meth:`rows_after`; up to a version if given, from the files that the table had at some version."""
        for _ in range(_LOOKS):
            bound = self.version if upto is None and files is not self.files else upto
            try:
                rows = self.objects.ordered(self.objects.read(files.between(version, bound)))
            except IntegrityError as exc:
                ahead = self._ahead_of(exc) if "version" in self.schema.names else None
                if ahead is None:
                    raise
                files = ahead
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
            raise self.missing()
        for entry in entries:
            self.files.replay(entry)

    def missing(self) -> FormatError:
        """Return the error for a table without a log."""
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
        versions = self.objects.list_versions(after)
        entries = self.objects.read_entries(versions, first=first, confirming=self.version >= 0)
        if self.version < 0:
            return entries
        if not entries or entries[0].total != self.files.total:
            raise self.files.differs(log_key(self.name, first), "checkpoint-differs", self.files.total)
        return entries[1:]

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
        entries += self.objects.read_entries(more, first=self.version + 3)
        try:
            rows = self.objects.read([file for entry in entries for file in entry.added])
        except IntegrityError:
            rows = self._rows_now(entries)
        for entry in entries:
            self.files.replay(entry)
        return entries, self.objects.ordered(rows)

    def look(self) -> list[LogEntry]:
        """Read the new log entries, but no data file, and return them.

        One GET that finds nothing when nothing is new; else two to find one more entry, and one LIST for many.
        """
        entries, more = self._next_entries(2)
        entries += self.objects.read_entries(more, first=self.version + 3)
        for entry in entries:
            self.files.replay(entry)
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
            entries.append(self.objects.parse(version, found, key))
        return entries, self.objects.list_versions(key) if len(entries) == 2 else []

    def _rows_now(self, entries: Sequence[LogEntry]) -> pa.Table:
        """Return the rows that log entries added, from the files that hold them now; the files they named may be gone.

        Raises:
            IntegrityError: If rows carry no version to tell them by, or none of the files was replaced since.
        """
        ahead = self._newest()
        added = {file.path for entry in entries for file in entry.added}
        if "version" not in self.schema.names or added <= ahead.active.keys():
            key = f"{table_prefix(self.name)}/{min(added)}"
            raise self.objects.damaged(key, "or one beside it is missing or damaged")
        return self._rows_between(self.version, entries[-1].version, ahead)

    def _skip(self, newest: int) -> tuple[list[LogEntry], pa.Table] | None:
        """Catch up through the newest checkpoint; None, with nothing changed, if that reads more than the log."""
        found = parse_pointer(self.store.find(pointer_key(self.name)))
        ahead = DeltaLog(self.store, self.seals.lake_id, self.spec)
        if found is not None:
            ahead._load_checkpoint(*found)
        # no data file holds rows later than the version in its name
        merged = [one for one in ahead.files.listed if (data_file_version(one.path) or newest) > self.version]
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
            rows = self.objects.read(merged)
            later = self.objects.read([one for entry in entries for one in entry.added])
        except IntegrityError:
            return None  # some were replaced meanwhile; any other error shows the other way too
        rows = rows.filter(pc.greater(rows.column("version"), self.version))
        rows = self.objects.ordered(pa.concat_tables([rows, later]))
        for entry in entries:
            ahead.files.replay(entry)
        self.files = ahead.files
        return entries, rows

    def entries(self, first: int, last: int) -> list[LogEntry]:
        """Read the log entries ``first`` to ``last`` again, one request each; changes nothing in this handle."""
        return self.objects.read_entries(range(first, last + 1), first=first)

    def _load_checkpoint(self, version: int, seal: str) -> None:
        found = self.checkpointed(version, seal)
        if found is not None:
            self.files = found

    def checkpointed(self, version: int, seal: str) -> FileSet | None:
        """Return the files that the checkpoint of a version names; None if it can't be read or believed.

        The log itself is complete: a lost checkpoint costs time, nothing else.
        """
        body = self.store.find(checkpoint_key(self.name, version))
        if body is None or (seal and self.seals.of_bytes(checkpoint_name(version), body) != seal):
            return None
        try:
            return FileSet.of_checkpoint(self.name, version, body)
        except (pa.ArrowException, FormatError, KeyError, ValueError, TypeError, AttributeError, OSError):
            return None

"""Reading a Delta table of a lake: its log, its checkpoints, its data files; see ``delta``, which also writes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pyarrow as pa

from lakefolio.delta.actions import (
    DataFile,
    LogEntry,
    brief,
    check_protocol,
    check_seal,
    file_of,
    from_parquet,
    now_ms,
    parse_pointer,
    plain_metadata,
    rows_from_plain,
)
from lakefolio.errors import FormatError, IntegrityError
from lakefolio.format.layout import check_key, data_file_version, log_key, log_prefix, log_version, table_prefix

if TYPE_CHECKING:
    from lakefolio.storage import Store

__all__ = ["DeltaLog", "log_problem"]

_COPIED_ROWS = 100
_MANY_ENTRIES = 100
_ENTRY_BYTES = 4 << 10
"""What reading a log entry by itself is worth in bytes of merged files: a request, and a replay of its own."""
_KEPT_TOMBSTONES = 500
"""A checkpoint with all of them would be as large as the history is long."""


def log_problem(body: bytes) -> str | None:
    """Return what is wrong with the bytes of a log entry, or None."""
    try:
        check_seal(body)
        if not all(isinstance(json.loads(line), dict) for line in body.splitlines()) or not body.strip():
            return "is truncated or damaged"
    except (ValueError, RecursionError) as exc:
        return f"is truncated or damaged: {brief(exc)}"
    return None


class DeltaLog:
    """One Delta table below a lake, as far as this handle has read it. Not thread-safe: its owner holds a lock.

    Attributes:
        name: The table's name, ``"manifests"``.
        version: The newest version read, -1 before :meth:`load`.
    """

    def __init__(self, store: Store, name: str, schema: pa.Schema, order: Sequence[str]) -> None:
        self.store = store
        self.name = name
        self.schema = schema
        self.version = -1
        self.checkpoint_version = -1
        self._due = False
        self.order = tuple(order)
        self._nothing = schema.empty_table()  # made once: it takes as long as 40 looks at the log
        self._files: dict[str, DataFile] = {}
        self._tombstones: dict[str, tuple[DataFile, int]] = {}
        self._table_metadata: dict[str, Any] = {}

    def data_files(self) -> dict[str, int]:
        """Return the active data files: path in the table -> size in bytes."""
        return {file.path: file.size_bytes for file in self._files.values()}

    @property
    def tombstones(self) -> set[str]:
        """The paths of files that were replaced not long ago; what was before only the log tells."""
        return set(self._tombstones)

    def active(self) -> list[DataFile]:
        """Return the active data files as the log tells, read from its start; the files are not read."""
        self._forget()
        for entry in self._read_entries(self._list_versions(None)):
            self._replay(entry)
        return list(self._files.values())

    def load(self, *, trust_copies: bool = True) -> pa.Table:
        """Read the table from its newest checkpoint on and return all its rows, in order.

        Three requests (the checkpoint's name, the checkpoint, one LIST), then the entries since and the data files.

        Args:
            trust_copies: Take the rows of small commits from their log entries, without reading their files. False
                reads the log from its start and every file, and compares them with the copies.

        Raises:
            FormatError: If the table is missing, or asks for a newer protocol than is known here.
            IntegrityError: If a log entry, a checkpoint or a data file is missing or damaged.
        """
        pointer = self.store.find(f"{log_prefix(self.name)}/_last_checkpoint") if trust_copies else None
        try:
            if (found := parse_pointer(pointer)) is not None:
                self._load_checkpoint(*found)
            if self.version < 0:
                return self._load(trust_copies=trust_copies)
            try:
                return self._load(trust_copies=True)
            except (IntegrityError, FormatError):
                self._forget()  # a checkpoint saves time, nothing else: what is wrong is for the log to say
                return self._load(trust_copies=True)
        except BaseException:
            self._forget()  # so that the next look does not take a half-read table for a whole one
            raise

    def _forget(self) -> None:
        self.version = self.checkpoint_version = -1
        self._files.clear()
        self._tombstones.clear()

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

    def read(self, files: Sequence[DataFile], schema: pa.Schema | None = None) -> pa.Table:
        """Return the rows of data files, in no order; only the columns of ``schema`` if it is given.

        Raises:
            IntegrityError: If a data file is missing or damaged.
        """
        return self._rows_of(files, schema)

    @property
    def known_files(self) -> list[DataFile]:
        """The active data files at this handle's version."""
        return list(self._files.values())

    def _load(self, *, trust_copies: bool) -> pa.Table:
        self._catch_up()
        files = list(self._files.values())
        if trust_copies:
            return self._ordered(self._rows_of(files))
        rows = self._rows_of([replace(file, rows=None) for file in files])
        for file in files:
            if file.rows is not None:
                self._compare(file)
        return self._ordered(rows)

    def _catch_up(self) -> None:
        """Read the log entries above this handle's version."""
        after = log_key(self.name, self.version) if self.version >= 0 else None
        entries = self._read_entries(self._list_versions(after))
        if self.version < 0 and not entries:
            raise FormatError(
                f"table {self.name!r} of {self.store.uri} has no log",
                kind="table-missing",
                hint="the lake was copied or deleted in part; restore it from a copy",
                table=self.name,
            )
        for entry in entries:
            self._replay(entry)

    def _compare(self, file: DataFile) -> None:
        assert file.rows is not None
        if not self._rows_of([replace(file, rows=None)]).equals(file.rows):
            raise IntegrityError(
                f"data file {file.path!r} of table {self.name!r} differs from the copy of its rows in the log",
                kind="table-copy-differs",
                hint="one of the two was edited; restore both from a copy of the lake",
                key=f"{table_prefix(self.name)}/{file.path}",
                table=self.name,
            )

    def poll(self, *, one: bool = False, skip: bool = False) -> tuple[list[LogEntry], pa.Table]:
        """Read what is new since the last look and return the log entries and their rows, in order.

        One GET that finds nothing when nothing is new; else two to find one more entry, and one LIST for many.

        Args:
            one: Read the next entry only, for who expects no other: one GET.
            skip: Take the rows of many entries from the files that they were merged into, if that is less to read.
                Only where rows carry their version. The first of the entries returned is then not the next one.
        """
        entries: list[LogEntry] = []
        key = log_key(self.name, self.version + 1)
        found = self.store.find(key)
        if found is None:
            return [], self._nothing
        entries.append(self._parse(self.version + 1, found, key))
        key = log_key(self.name, self.version + 2)
        found = None if one else self.store.find(key)
        if found is not None:
            entries.append(self._parse(self.version + 2, found, key))
            versions = self._list_versions(key)
            if skip and len(versions) > _MANY_ENTRIES and (skipped := self._skip(versions[-1])) is not None:
                return skipped
            entries += self._read_entries(versions, first=self.version + 3)
        rows = self._ordered(self._rows_of([file for entry in entries for file in entry.added]))
        for entry in entries:
            self._replay(entry)
        return entries, rows

    def _skip(self, newest: int) -> tuple[list[LogEntry], pa.Table] | None:
        """Catch up by way of the newest checkpoint; None if that is not worth it. Changes nothing in that case."""
        found = parse_pointer(self.store.find(f"{log_prefix(self.name)}/_last_checkpoint"))
        ahead = type(self)(self.store, self.name, self.schema, self.order)
        if found is not None:
            ahead._load_checkpoint(*found)
        # no data file holds rows later than the version in its name
        merged = [one for one in ahead.known_files if (data_file_version(one.path) or newest) > self.version]
        if ahead.version < newest - _MANY_ENTRIES:
            return None
        if sum(file.size_bytes for file in merged) > (ahead.version - self.version) * _ENTRY_BYTES:
            return None
        import pyarrow.compute as pc

        rows = self._rows_of(merged)
        rows = rows.filter(pc.greater(rows.column("version"), self.version))
        after = log_key(self.name, ahead.version)
        entries = ahead._read_entries(ahead._list_versions(after))
        rows = self._ordered(
            pa.concat_tables([rows, ahead._rows_of([one for entry in entries for one in entry.added])])
        )
        for entry in entries:
            ahead._replay(entry)
        self.version, self.checkpoint_version = ahead.version, ahead.checkpoint_version
        self._files, self._tombstones = ahead._files, ahead._tombstones
        return entries, rows

    def entries(self, first: int, last: int) -> list[LogEntry]:
        """Read the log entries ``first`` to ``last`` again, one request each; changes nothing in this handle."""
        return self._read_entries(range(first, last + 1), first=first)

    def _list_versions(self, after: str | None) -> list[int]:
        listed = self.store.list(log_prefix(self.name) + "/", after=after)
        versions = [log_version(info.key) for info in listed]
        return sorted(version for version in versions if version is not None)

    def _read_entries(self, versions: Sequence[int], first: int | None = None) -> list[LogEntry]:
        expected = self.version + 1 if first is None else first
        # what is created while a folder is listed may be listed without what was created just before it: ask
        versions = range(expected, max(versions, default=expected - 1) + 1)
        keys = [log_key(self.name, version) for version in versions]
        bodies = self.store.get_many(keys)
        if None in bodies:
            missing = versions[bodies.index(None)]
            raise IntegrityError(
                f"log of table {self.name!r} in {self.store.uri} lacks version {missing}",
                kind="log-gap",
                hint="a log entry was deleted; `lakefolio repair --from COPY` brings it back from a copy of the lake",
                table=self.name,
                version=missing,
            )
        return [self._parse(version, body, key) for version, body, key in zip(versions, bodies, keys, strict=True)]

    def _parse(self, version: int, body: bytes | memoryview | None, key: str) -> LogEntry:
        if body is None:
            raise IntegrityError(f"log entry {key!r} is missing", kind="log-gap", key=key, version=version)
        added: list[DataFile] = []
        compacted: list[DataFile] = []
        removed: list[str] = []
        info: Mapping[str, Any] = {}
        try:
            check_seal(bytes(body))
            for line in bytes(body).splitlines():
                action = json.loads(line)
                if "add" in action:
                    file = file_of(action["add"])
                    (added if action["add"].get("dataChange", True) else compacted).append(file)
                elif "remove" in action:
                    removed.append(unquote(action["remove"]["path"]))
                elif "protocol" in action:
                    check_protocol(action["protocol"], self.name)
                elif "metaData" in action:
                    self._table_metadata = action["metaData"]
                elif "commitInfo" in action:
                    info = action["commitInfo"].get("lakefolio") or {}
            if added and info.get("rows") is not None and len(added) == 1:
                rows = rows_from_plain(info["rows"], self.schema)
                added = [replace(added[0], rows=rows)]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, pa.ArrowException) as exc:
            raise IntegrityError(
                f"log entry {key!r} is truncated or damaged: {brief(exc)}",
                kind="log-damaged",
                hint="restore this object from a copy of the lake",
                key=key,
                version=version,
            ) from exc
        commits, refused = tuple(info.get("commits", ())), tuple(info.get("refused", ()))
        return LogEntry(version, commits, tuple(added), tuple(compacted), tuple(removed), refused)

    def _replay(self, entry: LogEntry) -> None:
        for path in entry.removed:
            gone = self._files.pop(path, None)
            if gone is not None:
                self._tombstones[path] = (gone, now_ms())
        if len(self._tombstones) > _KEPT_TOMBSTONES:
            self._forget_tombstones()
        for file in (*entry.added, *entry.compacted):
            self._files[file.path] = file
        self.version = entry.version

    def _forget_tombstones(self) -> None:
        """Keep the newest: the order of a dict is that of insertion."""
        for path in list(self._tombstones)[: max(0, len(self._tombstones) - _KEPT_TOMBSTONES)]:
            del self._tombstones[path]

    def _rows_of(self, files: Sequence[DataFile], schema: pa.Schema | None = None) -> pa.Table:
        schema = schema or self.schema
        wanted = [file for file in files if file.rows is None]
        keys = [check_key(f"{table_prefix(self.name)}/{file.path}", within=table_prefix(self.name)) for file in wanted]
        bodies = self.store.get_many(keys)
        tables = [file.rows for file in files if file.rows is not None]
        for file, key, body in zip(wanted, keys, bodies, strict=True):
            tables.append(self._read_parquet(file, key, body, schema))
        if tables:
            return pa.concat_tables(tables)
        return self._nothing if schema is self.schema else schema.empty_table()

    def _read_parquet(self, file: DataFile, key: str, body: bytes | None, schema: pa.Schema) -> pa.Table:
        problem = "is missing"
        if body is not None and len(body) != file.size_bytes:
            problem = f"has {len(body)} bytes, expected {file.size_bytes}"
        elif body is not None and file.sha256 and file.sha256 != (found := hashlib.sha256(body).hexdigest()):
            problem = f"has the digest {found[:16]}…, expected {file.sha256[:16]}…"
        elif body is not None:
            try:
                return from_parquet(body, schema)
            except (pa.ArrowException, KeyError, ValueError, OSError) as exc:
                problem = f"is truncated or damaged: {brief(exc)}"
        raise self.damaged(key, problem)

    def damaged(self, key: str, problem: str) -> IntegrityError:
        """Return the error that says so of a data file."""
        return IntegrityError(
            f"data file {key!r} of table {self.name!r} {problem}",
            kind="table-file-damaged",
            hint="restore this object from a copy of the lake",
            key=key,
            table=self.name,
        )

    def _ordered(self, rows: pa.Table) -> pa.Table:
        if rows.num_rows <= _COPIED_ROWS:  # they nearly always are in order: looking costs a tenth of sorting
            keys = list(zip(*(rows.column(column).to_pylist() for column in self.order), strict=True))
            if keys == sorted(keys):
                return rows
        return rows.sort_by([(column, "ascending") for column in self.order])

    def _load_checkpoint(self, version: int, sha256: str) -> None:
        import pyarrow.parquet as pq

        key = f"{log_prefix(self.name)}/{version:020d}.checkpoint.parquet"
        body = self.store.find(key)
        if body is None or (sha256 and hashlib.sha256(body).hexdigest() != sha256):
            return  # the log itself is complete: a lost checkpoint costs time, nothing else
        try:
            actions = pq.ParquetFile(pa.BufferReader(pa.py_buffer(body))).read(use_threads=False).to_pylist()
            for action in actions:
                if action.get("protocol"):
                    check_protocol(action["protocol"], self.name)
                elif action.get("metaData"):
                    self._table_metadata = plain_metadata(action["metaData"])
                elif action.get("add"):
                    file = file_of(action["add"])
                    self._files[file.path] = file
                elif action.get("remove"):
                    gone = action["remove"]
                    file = DataFile(unquote(gone["path"]), gone.get("size") or 0, 0, "", 0)
                    self._tombstones[file.path] = (file, gone.get("deletionTimestamp") or 0)
            self._forget_tombstones()
        except (pa.ArrowException, FormatError, KeyError, ValueError, TypeError, AttributeError, OSError):
            self._forget()
            return
        self.version = self.checkpoint_version = version

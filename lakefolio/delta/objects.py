"""Reading the objects of a Delta table: log entries and data files, each verified before use.

``log`` decides which objects to read, and combines their contents.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefolio.delta.actions import (
    DataFile,
    LogEntry,
    Total,
    check_protocol,
    file_of,
    is_data_change,
    metadata_of,
    removed_by,
    rows_from_plain,
    total_of,
    versions_of,
)
from lakefolio.delta.parquet_rows import from_parquet
from lakefolio.errors import IntegrityError, brief
from lakefolio.format.arrow_rows import no_rows
from lakefolio.format.checked_json import mapped, texts
from lakefolio.format.layout import check_key, log_key, log_prefix, log_version, table_prefix
from lakefolio.render.text import counted

if TYPE_CHECKING:
    from lakefolio.delta.seal import Seals
    from lakefolio.format.schema import TableSpec
    from lakefolio.storage import Store

__all__ = ["TableObjects", "log_problem"]

_ENTRIES_AT_ONCE = 1_000
_LOOKED_AT_ROWS = 10_000


def log_problem(body: bytes, seals: Seals, version: int) -> str | None:
    """Return the problem with the bytes of the log entry of a version, or None."""
    try:
        seals.is_sealed(version, body)
        if not all(isinstance(json.loads(line), dict) for line in body.splitlines()) or not body.strip():
            return "is truncated or damaged"
    except (ValueError, RecursionError) as exc:
        return f"is truncated or damaged: {brief(exc)}"
    return None


@dataclass(frozen=True)
class TableObjects:
    """The objects of one table of a lake. Reads only and keeps no state; safe to share between threads."""

    store: Store
    seals: Seals
    spec: TableSpec

    @property
    def name(self) -> str:
        """The name of the table."""
        return self.spec.name

    def list_versions(self, after: str | None) -> list[int]:
        """List the versions that have a log entry, in order, behind the key ``after`` if given."""
        listed = self.store.list(log_prefix(self.name) + "/", after=after)
        versions = [log_version(info.key) for info in listed]
        return sorted(version for version in versions if version is not None)

    def read_entries(self, versions: Sequence[int], first: int, *, confirming: bool = False) -> list[LogEntry]:
        """Read the log entries of these versions, from ``first`` on.

        Args:
            versions: Those that were listed.
            first: The first that is wanted.
            confirming: Of the first the total alone is wanted: a checkpoint says the rest, which may be the removal of
                thousands of files.

        Raises:
            IntegrityError: kinds ``log-gap`` and ``log-damaged``.
        """
        listed = [version for version in versions if version >= first]
        found = self._unlisted(first, listed)
        keys = [log_key(self.name, version) for version in listed]
        found |= zip(listed, self.store.get_many(keys), strict=True)
        entries: list[LogEntry] = []
        for version, body in sorted(found.items()):
            if body is None:
                raise self._gap(version)
            entries.append(self.parse(version, body, log_key(self.name, version), headed=confirming and not entries))
        return entries

    def each_entry(self) -> Iterator[LogEntry]:
        """Yield all log entries in order; a thousand are held at once. See :meth:`read_entries` for the errors."""
        versions, first = self.list_versions(None), 0
        for start in range(0, len(versions), _ENTRIES_AT_ONCE):
            some = versions[start : start + _ENTRIES_AT_ONCE]
            yield from self.read_entries(some, first)
            first = some[-1] + 1

    def _unlisted(self, expected: int, listed: Sequence[int]) -> dict[int, bytes | None]:
        """Return the log entries that a listing lacks below its last, up to the first that does not exist.

        An object created during a listing may be listed without an object created just before it. Missing entries are
        read one after the other: an object may lie there under the name of any version, however far.
        """
        found: dict[int, bytes | None] = {}
        for version in listed:
            while expected < version:
                body = self.store.find(log_key(self.name, expected))
                if body is None:
                    raise self._gap(expected)
                found[expected] = body
                expected += 1
            expected = version + 1
        return found

    def _gap(self, version: int) -> IntegrityError:
        return IntegrityError(
            f"log of table {self.name!r} in {self.store.uri} lacks version {version}",
            kind="log-gap",
            hint="a log entry was deleted; `lakefolio repair --from COPY` brings it back from a copy of the lake",
            table=self.name,
            version=version,
        )

    def parse(self, version: int, body: bytes | memoryview | None, key: str, *, headed: bool = False) -> LogEntry:
        """Verify and parse the bytes of a log entry, or only its line with the total; see :meth:`read_entries`.

        Wrong bytes are read once more: the answer may have been damaged, and not the object.
        """
        try:
            return self._parsed(version, body, key, headed)
        except IntegrityError:
            again = self.store.find(key)
            if again is None or again == body:
                raise
            return self._parsed(version, again, key, headed)

    def _parsed(self, version: int, body: bytes | memoryview | None, key: str, headed: bool) -> LogEntry:
        if body is None:
            raise IntegrityError(f"log entry {key!r} is missing", kind="log-gap", key=key, version=version)
        added: list[DataFile] = []
        compacted: list[DataFile] = []
        removed: dict[str, int] = {}
        info: Mapping[str, Any] = {}
        metadata: Mapping[str, Any] | None = None
        total: Total | None = None
        try:
            lines = bytes(body).splitlines()
            if not self.seals.is_sealed(version, bytes(body)):
                self._confirm(key, body)
            elif headed:
                del lines[1:]
            for line in lines:
                action = mapped(json.loads(line))
                if "add" in action:
                    file = file_of(action["add"], version)
                    if not is_data_change(action["add"]):
                        compacted.append(file)
                    elif file.versions in (None, (version, version)):
                        added.append(file)
                    else:
                        raise ValueError("it adds rows of other versions")
                elif "remove" in action:
                    path, _, removed[path] = removed_by(action["remove"])
                elif "protocol" in action:
                    check_protocol(action["protocol"], self.name)
                elif "metaData" in action:
                    metadata = metadata_of(action["metaData"])
                elif "commitInfo" in action:
                    info = mapped(mapped(action["commitInfo"]).get("lakefolio") or {})
            apart, commits, refused = (texts(info.get(name, [])) for name in ("apart", "commits", "refused"))
            if added and info.get("rows") is not None and len(added) == 1:
                rows = rows_from_plain(info["rows"], self.spec.schema)
                if rows.num_rows != added[0].row_count:
                    raise ValueError(f"it has {counted(rows.num_rows, 'row')} of {added[0].row_count}")
                if versions_of(rows) not in (None, (version, version)):
                    raise ValueError("its rows are of other versions")
                lacks = tuple(name for name in self.spec.apart if name in apart)
                added = [replace(added[0], rows=rows, lacks=lacks)]
            total = total_of(info["total"]) if "total" in info else None
        except (ValueError, KeyError, TypeError, RecursionError, pa.ArrowException) as exc:
            raise IntegrityError(
                f"log entry {key!r} is truncated or damaged: {brief(exc)}",
                kind="log-damaged",
                hint="restore this object from a copy of the lake",
                key=key,
                version=version,
            ) from exc
        return LogEntry(version, commits, tuple(added), tuple(compacted), removed, refused, total, metadata)

    def _confirm(self, key: str, body: bytes | memoryview) -> None:
        """Read an object without a seal a second time; ValueError if it is not the same."""
        if self.store.find(key) != bytes(body):
            raise ValueError("the store gave two different answers")

    def tables_of(self, files: Sequence[DataFile], schema: pa.Schema) -> list[pa.Table]:
        """Return the rows of each file, in order. Damaged bytes are read once more, as in :meth:`parse`."""
        wanted = [file for file in files if file.rows is None]
        keys = [self.key_of(file) for file in wanted]
        bodies = iter(zip(keys, self.store.get_many(keys), strict=True))
        tables = []
        for file in files:
            if file.rows is not None:
                tables.append(file.rows if file.rows.schema.equals(schema) else file.rows.select(schema.names))
                continue
            key, body = next(bodies)
            try:
                tables.append(self._read_parquet(file, key, body, schema))
            except IntegrityError:
                again = None if body is None else self.store.find(key)
                if again is None or again == body:
                    raise
                tables.append(self._read_parquet(file, key, again, schema))
        return tables

    def read(self, files: Sequence[DataFile], schema: pa.Schema | None = None, *, whole: bool = False) -> pa.Table:
        """Return the rows of data files, in no order; only the columns of ``schema`` if it is given.

        Args:
            files: Which; rows that are known without a request are taken as they are.
            schema: The columns wanted.
            whole: Read also the files whose rows are known without the columns that lie in the file alone.

        Raises:
            IntegrityError: If a data file is missing or damaged.
        """
        schema = schema or self.spec.schema
        tables = self.tables_of([replace(one, rows=None) if whole and one.lacks else one for one in files], schema)
        return pa.concat_tables(tables) if tables else no_rows(schema)

    def compared(self, files: Sequence[DataFile]) -> pa.Table:
        """Return the rows of data files, read from the files and compared with the copies in the log, in no order.

        Raises:
            IntegrityError: If a data file is missing or damaged, or differs from the copy.
        """
        tables = self.tables_of([replace(file, rows=None) for file in files], self.spec.schema)
        for file, rows in zip(files, tables, strict=True):
            self._compare(file, rows)
        return pa.concat_tables([no_rows(self.spec.schema), *tables])

    def _compare(self, file: DataFile, found: pa.Table) -> None:
        if file.rows is not None and not found.drop(list(file.lacks)).equals(file.rows.drop(list(file.lacks))):
            raise IntegrityError(
                f"data file {file.path!r} of table {self.name!r} differs from the copy of its rows in the log",
                kind="table-copy-differs",
                hint="one of the two was edited; restore both from a copy of the lake",
                key=f"{table_prefix(self.name)}/{file.path}",
                table=self.name,
            )

    def ordered(self, rows: pa.Table) -> pa.Table:
        """Return rows in the order of the table."""
        if rows.num_rows <= _LOOKED_AT_ROWS:  # they nearly always are in order, and sorting imports Arrow's functions
            keys = list(zip(*(rows.column(column).to_pylist() for column in self.spec.order), strict=True))
            with contextlib.suppress(TypeError):  # nulls have no order in Python
                if keys == sorted(keys):
                    return rows
        return rows.sort_by([(column, "ascending") for column in self.spec.order])

    def key_of(self, file: DataFile) -> str:
        """Return the key of a data file; IntegrityError for a path that leads out of the table."""
        return check_key(f"{table_prefix(self.name)}/{file.path}", within=table_prefix(self.name))

    def place_of(self, file: DataFile) -> Path | None:
        """Return where a data file of a local lake lies; None for a bucket."""
        root = self.store.local_path
        return None if root is None else root / f"{table_prefix(self.name)}/{file.path}"

    def body_of(self, file: DataFile) -> bytes | None:
        """Return the bytes of a data file that has a seal, verified; None if they are not what was written."""
        body = self.store.find(self.key_of(file))
        return body if file.seal and self._problem(file, body) is None else None

    def _problem(self, file: DataFile, body: bytes | None) -> str | None:
        """Return the problem with the bytes of a data file, whatever they say."""
        if body is None:
            return "is missing"
        if len(body) != file.size_bytes:
            return f"has {counted(len(body), 'byte')}, expected {file.size_bytes}"
        if file.seal and file.seal != (found := self.seals.of_bytes(file.path, body)):
            return f"has the seal {found[:16]}…, expected {file.seal[:16]}…"
        return None

    def _read_parquet(self, file: DataFile, key: str, body: bytes | None, schema: pa.Schema) -> pa.Table:
        problem = self._problem(file, body)
        if problem is None:
            assert body is not None
            try:
                if not file.seal:
                    self._confirm(key, body)
                rows = from_parquet(body, schema)
                if file.seal and rows.num_rows != file.row_count:
                    raise ValueError(f"it has {counted(rows.num_rows, 'row')}, expected {file.row_count}")
                if file.versions is not None and "version" in schema.names and versions_of(rows) != file.versions:
                    raise ValueError("its rows are of other versions than the log says")
                return rows
            except (pa.ArrowException, KeyError, ValueError, OSError) as exc:
                problem = f"is truncated or damaged: {brief(exc)}"
        raise self.damaged(key, problem)

    def damaged(self, key: str, problem: str) -> IntegrityError:
        """Return the error for a data file with damaged bytes."""
        return IntegrityError(
            f"data file {key!r} of table {self.name!r} {problem}",
            kind="table-file-damaged",
            hint="restore this object from a copy of the lake",
            key=key,
            table=self.name,
        )

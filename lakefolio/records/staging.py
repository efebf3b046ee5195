"""Data files on their way into a record table: stored before the log entry that names them.

A change is planned again whenever another writer was faster. Files that it has written serve the next plan too, as
long as their names are young enough; those that no log entry came to name are deleted when the change ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefolio.errors import StorageError
from lakefolio.format.layout import data_file_version
from lakefolio.records.files import REACH, DataFiles
from lakefolio.records.keys import KeyIndex, all_different, hashes
from lakefolio.records.problems import Problems
from lakefolio.records.rows import as_tables, check_rows, fitted, keys_twice
from lakefolio.records.state import RecordFile, TableState

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lakefolio.records.schema import TableSchema

__all__ = ["StagedFiles", "StagedRows"]


class StagedFiles:
    """The data files that one change writes. A context: its end deletes those that no log entry may name."""

    def __init__(self, files: DataFiles) -> None:
        """Write into a table's folder."""
        self._files = files
        self._written: dict[str, RecordFile] = {}

    def __enter__(self) -> StagedFiles:
        """Begin with no file."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Delete the files that were not named; gc finds them if the store fails now."""
        self.drop(list(self._written.values()))

    def write(self, rows: pa.Table, version: int) -> RecordFile:
        """Store rows as a file that the log entries after a version may name."""
        file = self._files.write(rows, version)
        self._written[file.path] = file
        return file

    def is_fresh(self, file: RecordFile, version: int) -> bool:
        """Say whether the log entry after a version may name a file."""
        return version - (data_file_version(file.path) or 0) < REACH

    def keep(self, files: Iterable[RecordFile]) -> None:
        """Keep files from now on: a log entry that names them is about to be created."""
        for file in files:
            self._written.pop(file.path, None)

    def take_back(self, files: Iterable[RecordFile]) -> None:
        """Own files again: it is certain that no log entry names them."""
        self._written.update((file.path, file) for file in files)

    def drop(self, files: Sequence[RecordFile]) -> None:
        """Delete files that no log entry names."""
        if not files:
            return
        for file in files:
            self._written.pop(file.path, None)
        try:
            self._files.delete(files)
        except StorageError:
            return  # gc finds them


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows that are stored as one data file, with their keys."""

    file: RecordFile
    keys: pa.Table | None
    hashed: NDArray[np.uint64] | None


class StagedRows:
    """The rows of one append or upsert: checked, and stored part by part for the schema of a state."""

    def __init__(self, staged: StagedFiles, files: DataFiles, table: str) -> None:
        """Hold no row yet; ``table`` is the table's name in errors."""
        self._staged = staged
        self._files = files
        self._table = table
        self._parts: list[_Part] = []
        self._schema: TableSchema | None = None

    def store(self, rows: object, state: TableState) -> None:
        """Check rows against the schema of a state, and store them.

        Raises:
            InvalidInputError: Rows break the schema, or two of them have the same key.
        """
        schema = self._schema = state.schema
        first = 0
        for part in as_tables(rows, schema, self._table):
            table = fitted(part, schema, self._table, first)
            check_rows(table, schema, self._table, first)
            first += table.num_rows
            if table.num_rows:
                self._parts.append(self._part(table, schema, state.version))
        if schema.key and self._parts:
            self._check_different()

    def fit(self, state: TableState) -> None:
        """Store those parts again that were made for another schema, or too many versions ago.

        A column that is gone by now is no concern of rows that have no value there.
        """
        schema = self._schema
        assert schema is not None
        rules = (schema.arrow, schema.checks, schema.key)
        same = (state.schema.arrow, state.schema.checks, state.schema.key) == rules
        for number, part in enumerate(self._parts):
            if same and self._staged.is_fresh(part.file, state.version):
                continue
            there = self._files.read(part.file, schema.arrow)
            names = state.schema.arrow.names
            told = [one for one in there.column_names if one in names or there[one].null_count < there.num_rows]
            rows = fitted(there.select(told), state.schema, self._table)
            check_rows(rows, state.schema, self._table)
            self._parts[number] = self._part(rows, state.schema, state.version)
            self._staged.drop([part.file])
        self._schema = state.schema

    def check_new(self, state: TableState, index: KeyIndex) -> None:
        """Raise InvalidInputError for keys that the table has already; ``index`` is that of the state."""
        for part in self._parts:
            assert part.keys is not None
            assert part.hashed is not None
            if not index.may_have(part.hashed):
                continue
            if known := self._known(part.keys, state, index.files_with(part.hashed)):
                self._refuse(part.keys, known, f"is the key of a row that the table has (version {state.version})")

    @property
    def files(self) -> list[RecordFile]:
        """The data files, in the order of the rows."""
        return [part.file for part in self._parts]

    @property
    def row_count(self) -> int:
        """How many rows."""
        return sum(part.file.row_count or 0 for part in self._parts)

    @property
    def keys(self) -> pa.Table | None:
        """The key columns of all rows; None without a key or rows."""
        keys = [part.keys for part in self._parts if part.keys is not None]
        return pa.concat_tables(keys) if keys else None

    @property
    def hashed(self) -> dict[str, NDArray[np.uint64]]:
        """The hashes of the keys of each data file."""
        return {part.file.path: part.hashed for part in self._parts if part.hashed is not None}

    def _part(self, rows: pa.Table, schema: TableSchema, version: int) -> _Part:
        keys = rows.select(list(schema.key)) if schema.key else None
        return _Part(self._staged.write(rows, version), keys, None if keys is None else hashes(keys))

    def _check_different(self) -> None:
        if all_different(list(self.hashed.values())):
            return
        keys = self.keys
        assert keys is not None
        if twice := keys_twice(keys.combine_chunks()):
            self._refuse(keys, twice, "is the key of two of the rows")

    def _known(self, keys: pa.Table, state: TableState, paths: Sequence[str]) -> list[int]:
        """Return which of some keys rows of some files have."""
        import polars as pl

        names = keys.schema.names
        wanted = pl.DataFrame(pl.from_arrow(keys.replace_schema_metadata(None))).with_row_index("lakefolio row")
        found: set[int] = set()
        for path in paths:
            there = pl.DataFrame(pl.from_arrow(self._files.read(state.files[path], state.schema.arrow, names)))
            found.update(wanted.join(there, on=names, how="semi").get_column("lakefolio row").to_list())
        return sorted(found)

    def _refuse(self, keys: pa.Table, rows: Sequence[int], problem: str) -> None:
        names = keys.schema.names
        values: Any = keys.column(0) if len(names) == 1 else [tuple(row.values()) for row in keys.to_pylist()]
        problems = Problems(self._table)
        problems.add(rows, ", ".join(names), values, problem)
        problems.check(keys.num_rows)

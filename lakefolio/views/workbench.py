"""A DuckDB database in bounded memory, for whoever computes with more rows than memory holds.

What does not fit lies in temporary files. Rows come part by part: as Arrow tables, or as a Parquet file that was
verified, which DuckDB decodes in a quarter of the time of Arrow where columns are nested. A file of a local lake is
read where it lies, the bytes of one of a bucket from a temporary file.

Two tables hold the same rows, in whatever order, if their counts and the sums of their rows' hashes are equal. Hashes
have 64 bits and are the same for equal values of equal types. They tell damage and bugs, not an attack.
"""

from __future__ import annotations

import glob
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from lakefolio.format.sql_text import sql_id, sql_text
from lakefolio.process.scratch import named_if_full, scratch_folder
from lakefolio.views.binding import open_tables
from lakefolio.views.kept_database import EmptyDatabase
from lakefolio.views.resource_errors import resource_error
from lakefolio.views.sql_guard import first_line
from lakefolio.views.sql_result import interruptible
from lakefolio.views.view_files import create_view, load_views

if TYPE_CHECKING:
    import duckdb

__all__ = ["MEMORY_BYTES", "UnreadableRowsError", "Workbench", "hash_of"]

MEMORY_BYTES: Final = 256 << 20
_THREADS: Final = 4
"""More would each want their share of the memory."""
_ROWS_AT_ONCE: Final = 20_000


class UnreadableRowsError(Exception):
    """DuckDB can't read or compute with rows; it never leaves the library."""


class Workbench:
    """A database of one caller; a context manager. Not thread-safe."""

    def __init__(self, memory_bytes: int = MEMORY_BYTES, *, few: bool = False) -> None:
        """Begin with an empty database.

        Args:
            memory_bytes: How much it holds before it spills.
            few: Whether it is going to have few rows, which one thread computes with in less time than several.
        """
        opened = partial(_opened, memory_bytes, few=few)
        self._database = EmptyDatabase((memory_bytes, few), opened) if few else opened()
        self._connection = self._database.connection if isinstance(self._database, EmptyDatabase) else self._database
        self._folder = scratch_folder("lakefolio-rows-")
        self._parts = 0

    def run(self, sql: str) -> list[Any]:
        """Run a statement and return its rows as tuples.

        Raises:
            UnreadableRowsError: If DuckDB objects.
            StorageError: kind ``no-memory`` or ``no-scratch``: there is no room, see ``resource_error``.
        """
        import duckdb

        try:
            with interruptible(self._connection):
                return self._connection.execute(sql).fetchall()
        except duckdb.Error as exc:
            raise self._failed(exc) from exc

    def some(self, rows: str, conditions: Mapping[str, str]) -> set[str]:
        """Return the names of the conditions that any of some rows meets, found in one pass; see :meth:`run`."""
        asked = ", ".join(f"coalesce(bool_or({condition}), false)" for condition in conditions.values())
        met = self.run(f"select {asked} from {rows}")[0]
        return {name for name, is_met in zip(conditions, met, strict=True) if is_met}

    def arrow(self, sql: str) -> pa.Table:
        """Run a statement and return its rows as Arrow, which hold as much memory as they need; see :meth:`run`."""
        import duckdb

        try:
            with interruptible(self._connection):
                return self._connection.execute(sql).to_arrow_table()
        except duckdb.Error as exc:
            raise self._failed(exc) from exc

    def each(self, sql: str) -> Iterator[tuple[Any, ...]]:
        """Run a statement and give its rows as they are asked for, before the next statement; see :meth:`run`."""
        import duckdb

        try:
            with interruptible(self._connection):
                found = self._connection.execute(sql)
            while True:
                with interruptible(self._connection):
                    some = found.fetchmany(_ROWS_AT_ONCE)
                if not some:
                    return
                yield from some
        except duckdb.Error as exc:
            raise self._failed(exc) from exc

    def _failed(self, exc: Exception) -> Exception:
        """Return the error to raise; that there is no room says nothing of the rows."""
        return resource_error(exc, "a merge of rows") or UnreadableRowsError(first_line(exc))

    @contextmanager
    def part(self, rows: pa.Table | bytes | Path) -> Iterator[str]:
        """Give what stands for rows in a FROM clause, as long as the block goes on.

        Args:
            rows: An Arrow table, or a Parquet file: its bytes, or where it lies.
        """
        self._parts += 1
        if isinstance(rows, pa.Table):
            name = f"part_{self._parts}"
            self._connection.register(name, rows)
            try:
                yield name
            finally:
                self._connection.unregister(name)
            return
        path = rows if isinstance(rows, Path) else self._folder / f"{self._parts}.parquet"
        try:
            if isinstance(rows, bytes):
                with named_if_full():
                    path.write_bytes(rows)
            yield f"read_parquet({sql_text(glob.escape(str(path)))}, hive_partitioning = false)"
        finally:
            if isinstance(rows, bytes):
                path.unlink(missing_ok=True)

    def keep(self, name: str, columns: Mapping[str, pa.DataType], rows: Iterable[Sequence[object]]) -> None:
        """Make a table of rows, of which some are Python values at once; see :meth:`run`."""
        schema, rest = pa.schema(list(columns.items())), iter(rows)
        begin = f"create or replace table {name} as from"
        while (some := list(islice(rest, _ROWS_AT_ONCE))) or begin:
            values = zip(*some, strict=True) if some else [()] * len(schema)
            arrays = [pa.array(column, kind) for column, kind in zip(values, schema.types, strict=True)]
            with self.part(pa.Table.from_arrays(arrays, schema=schema)) as given:
                self.run(f"{begin or f'insert into {name} from'} {given}")
            begin = ""

    @contextmanager
    def copied(self, rows: pa.Table) -> Iterator[str]:
        """Give the name of a table with rows, as :meth:`part`; many questions are faster to it than to Arrow."""
        with self.part(rows) as given:
            del rows
            name = f"copy_{self._parts}"
            self.run(f"create temp table {name} as from {given}")
        try:
            yield name
        finally:
            self._connection.execute(f"drop table if exists {name}")

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """Keep what the block inserts, unless an error leaves it."""
        self._connection.execute("begin")
        try:
            yield
        except BaseException:
            self._connection.execute("rollback")
            raise
        self._connection.execute("commit")

    def make_views(self, *names: str) -> None:
        """Make views of ``sql/`` and those they read, over ``manifests``, ``metric_rows`` and ``event_rows``."""
        views = {view.name: view for view in load_views()}
        wanted, more = set[str](), set(names)
        while more:
            wanted |= more
            more = {read for name in more for read in views[name].reads if read in views} - wanted
        for name, view in views.items():
            if name in wanted:
                self._connection.execute(create_view(view))

    def close(self) -> None:
        """End; remove all temporary files."""
        self._database.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Workbench:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _opened(memory_bytes: int, *, few: bool) -> duckdb.DuckDBPyConnection:
    connection = open_tables({}, (), memory_bytes=memory_bytes)
    threads = connection.execute("select current_setting('threads')").fetchall()[0][0]
    connection.execute(f"set threads = {1 if few else min(int(threads), _THREADS)}")
    connection.execute("set preserve_insertion_order = false")
    return connection


def hash_of(columns: Sequence[str], schema: pa.Schema) -> str:
    """Return the expression of the hash of some columns; to DuckDB's, no list and an empty one are the same."""
    lists = [name for name in columns if pa.types.is_list(schema.field(name).type)]
    return f"hash({', '.join([*map(sql_id, columns), *(f'{sql_id(name)} is null' for name in lists)])})"

"""Tables as DuckDB's relations: rows in memory, or Parquet files that are scanned where they lie.

A scan reads the row groups and columns that a query needs, and nothing of it stays in memory. Its files are looked at
before each query: DuckDB reads nothing that was not verified (see ``content.local_files``). They are held open for as
long as a relation lives that scans them: its rows may be fetched after a merge or gc removed the files.
"""

from __future__ import annotations

import ctypes
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import TYPE_CHECKING, TypeAlias

import pyarrow as pa

from lakefolio.format.sql_text import sql_id, sql_text
from lakefolio.views.arrow_relation import relation_of
from lakefolio.views.bounded_json import DEPTH_LIMIT, shallow

if TYPE_CHECKING:
    import duckdb

__all__ = ["FileScan", "Rows", "bind", "bind_shallow", "scan_of"]

Key = tuple[object, ...]
_IN_MEMORY = " in memory"
_FILES = " files"


@dataclass(frozen=True, eq=False)
class FileScan:
    """A table whose rows lie in Parquet files, and the few of them that are in memory.

    Attributes:
        paths: The files, of any order of rows; a column that one lacks is null.
        rows: The rows in memory, with all columns of the table.
        hold: Sees to it that the files lie there as they were written, and raises IntegrityError otherwise. Gives where
            they can be read in the order of ``paths``, and what must be kept for as long as they are.
        holds: What rows of the files must meet, as SQL; others are in memory instead.
        upto: Rows of the files with a later version are left out, and nothing is superseded by them; None if there are
            none such.
        purged: The content that rows of the files must not show any more: ``blob_digest`` and the highest
            ``generation``; None if that of all rows is hidden.
        bounds: Of each file, the first and the last key of its rows; empty if they are in no order.
        alike: Whether no file lacks a column. Else DuckDB reads and holds the footers of all of them beforehand: 2 MB
            each where they are as large as those of read models.
    """

    paths: tuple[str, ...]
    rows: pa.Table
    hold: Callable[[], tuple[Sequence[str], object]]
    holds: str = "true"
    upto: int | None = None
    purged: pa.Table | None = None
    bounds: tuple[tuple[Key, Key], ...] = ()
    alike: bool = False

    def parted(self, keys: Collection[Key]) -> tuple[FileScan, FileScan]:
        """Return a scan of the files that may hold rows of some keys, and one of the others and the rows in memory."""
        known = sorted(keys)
        may = [bisect_left(known, first) < bisect_right(known, last) for first, last in self.bounds]
        return self._of(may, self.rows.slice(0, 0)), self._of([not one for one in may], self.rows)

    def _of(self, chosen: Sequence[bool], rows: pa.Table) -> FileScan:
        def hold() -> tuple[Sequence[str], object]:
            paths, kept = self.hold()
            return list(compress(paths, chosen)), kept

        paths = tuple(compress(self.paths, chosen))
        return replace(self, paths=paths, rows=rows, hold=hold, bounds=tuple(compress(self.bounds, chosen)))


Rows: TypeAlias = "pa.Table | FileScan"
"""A table, as it is bound."""


def bind(connection: duckdb.DuckDBPyConnection, name: str, rows: Rows) -> None:
    """Make a relation of a table.

    Raises:
        IntegrityError: A file is missing or damaged.
    """
    if isinstance(rows, pa.Table):
        relation_of(connection, shallow(name, rows)).create_view(name, replace=True)
        return
    relation_of(connection, shallow(name, rows.rows)).create_view(name + _IN_MEMORY)
    if not rows.paths:
        connection.execute(f"create or replace view {sql_id(name)} as select * from {sql_id(name + _IN_MEMORY)}")
        return
    paths, kept = rows.hold()
    connection.from_arrow(_owning(kept)).create_view(name + _FILES, replace=True)
    files = scan_of(paths, alike=rows.alike)
    there = {row[0] for row in connection.execute(f"describe select * from {files}").fetchall()}
    columns, joined = [], ""
    for column in rows.rows.schema.names:
        if column not in there:
            columns.append(f"null as {sql_id(column)}")
        elif column == "superseded_at" and rows.upto is not None:
            columns.append(f"if(files.superseded_at <= {rows.upto}, files.superseded_at, null) as superseded_at")
        elif column != "content":
            columns.append(f"files.{sql_id(column)}")
        elif rows.purged is None:
            columns.append("null as content")
        elif not rows.purged.num_rows:
            columns.append("files.content")
        else:
            connection.from_arrow(rows.purged).create_view(name + " purged")
            joined = f" left join {sql_id(name + ' purged')} as purged on files.blob_digest = purged.blob_digest"
            columns.append("if(coalesce(files.generation, 0) <= purged.generation, null, files.content) as content")
    holds = rows.holds if rows.upto is None else f"{rows.holds} and files.version <= {rows.upto}"
    connection.execute(
        f"create or replace view {sql_id(name)} as\nselect {', '.join(columns)} from {files} as files{joined}\n"
        f"where {holds} union all select * from {sql_id(name + _IN_MEMORY)}"
    )


def bind_shallow(connection: duckdb.DuckDBPyConnection, name: str, rows: FileScan) -> None:
    """Make a relation anew of rows in memory if its files have texts that may be nested too deep; see ``shallow``.

    For statements that call what such a text would end the process in: other functions read any text. The lengths of
    all texts are read for it.
    """
    long = " or ".join(
        _is_long(sql_id(column.name), column.type) for column in rows.rows.schema if _has_text(column.type)
    )
    paths, _ = rows.hold()
    files = scan_of(paths, alike=rows.alike)
    if paths and connection.execute(f"select count(*) from {files} where {long}").fetchone() != (0,):
        bind(connection, name, connection.sql(f"from {sql_id(name)}").to_arrow_table().cast(rows.rows.schema))


def scan_of(paths: Sequence[str], *, alike: bool, filename: bool = False) -> str:
    """Return SQL that reads Parquet files; with a column ``filename`` if asked for."""
    union = "false" if alike else "true"
    named = ", filename = true" if filename else ""
    listed = ", ".join(map(sql_text, paths))
    return f"read_parquet([{listed}], union_by_name = {union}, hive_partitioning = false{named})"


def _owning(kept: object) -> pa.Table:
    """Return a table that keeps something alive for as long as connections and relations need it: as its memory."""
    memory = ctypes.create_string_buffer(8)
    buffer = pa.foreign_buffer(ctypes.addressof(memory), 8, base=(memory, kept))
    return pa.table({"kept": pa.Array.from_buffers(pa.int64(), 1, [None, buffer])})


def _has_text(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind):
        return _has_text(kind.value_type)
    if pa.types.is_struct(kind):
        return any(_has_text(field.type) for field in kind)
    return bool(pa.types.is_string(kind))


def _is_long(value: str, kind: pa.DataType) -> str:
    """Return the condition that a value has a text with so many brackets that it may be nested too deep."""
    if pa.types.is_list(kind):
        return f"len(list_filter({value}, one -> {_is_long('one', kind.value_type)})) > 0"
    if pa.types.is_struct(kind):
        inner = [_is_long(f"{value}.{sql_id(field.name)}", field.type) for field in kind if _has_text(field.type)]
        return f"({' or '.join(inner)})"
    brackets = f"length({value}) - length(replace(replace({value}, '[', ''), '{{', ''))"
    return f"coalesce(strlen({value}) > {DEPTH_LIMIT} and {brackets} > {DEPTH_LIMIT}, false)"

"""Tables of SQLite files: read as data alone, and written.

A SQLite file can hold views, triggers and virtual tables, whose SQL would run where it is read. Only the rows of a
plain table are read, by one SELECT of its columns, with everything else refused by SQLite's own authorizer. Columns
that are generated are columns too: of the schema's expressions only those of SQLite's own harmless functions are
computed (``trusted_schema``), within the limits of the process.
"""

from __future__ import annotations

import contextlib
import errno
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pyarrow as pa

from lakefolio.errors import InvalidInputError, nearest
from lakefolio.format.sql_text import sql_id
from lakefolio.items.guessed_columns import checked_names, reader_of

__all__ = ["chosen_table", "open_sqlite", "write_sqlite"]

_LONGEST_VALUE: Final = 64 << 20
_LONGEST_MADE: Final = 1 << 20
"""No value that is computed is longer, or twice the file: one that is stored never is."""
_PLAIN: Final = re.compile(r"create\s+table\b", re.IGNORECASE)


@contextlib.contextmanager
def open_sqlite(path: Path, table: str | None) -> Iterator[pa.RecordBatchReader]:
    """Open a table of a SQLite file, its only one by default; memory does not grow with it."""
    for ending in ("-wal", "-journal"):  # what the file lacks still, and what it has and was not committed
        beside = path.with_name(path.name + ending)
        if beside.exists() and beside.stat().st_size:
            raise InvalidInputError(
                f"{path.name!r} is being written: {beside.name!r} lies beside it",
                kind="bad-table-file",
                hint="close the program that writes it, or open it once with sqlite3, which brings it in order",
                path=str(path),
            )
    try:
        connection = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1", uri=True)
        with contextlib.closing(connection):
            longest = min(_LONGEST_VALUE, max(_LONGEST_MADE, 2 * path.stat().st_size))
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, longest)
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.text_factory = lambda raw: raw.decode("utf-8")
            yield _reader(connection, path, table)
    except (sqlite3.Error, UnicodeError, OverflowError) as exc:
        raise InvalidInputError(
            f"{path.name!r} can't be read as SQLite: {exc}", kind="bad-table-file", path=str(path)
        ) from exc


def _reader(connection: sqlite3.Connection, path: Path, table: str | None) -> pa.RecordBatchReader:
    there = dict(
        connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        ).fetchall()
    )
    plain = [name for name, sql in there.items() if isinstance(sql, str) and _PLAIN.match(sql)]
    chosen = chosen_table(plain, table, path.name)
    columns = connection.execute(f"PRAGMA table_xinfo({sql_id(chosen)})").fetchall()  # table_info lacks generated ones
    names = checked_names([one[1] for one in columns], f"table {chosen!r}")
    connection.set_authorizer(_allowed)
    select = f"SELECT {', '.join(map(sql_id, names))} FROM {sql_id(chosen)} NOT INDEXED"

    def rows() -> Iterator[tuple[Any, ...]]:
        yield from connection.execute(select)

    return reader_of(names, rows)


def _allowed(action: int, *_: object) -> int:
    """Allow reading; functions stand in the expressions of generated columns alone."""
    allowed = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION)
    return sqlite3.SQLITE_OK if action in allowed else sqlite3.SQLITE_DENY


def chosen_table(there: list[str], table: str | None, where: str) -> str:
    """Return the table that is meant of those of a file.

    Raises:
        InvalidInputError: kind ``unknown-table``: it has none of that name, none at all, or several and none is named.
    """
    if table is None and len(there) == 1:
        return there[0]
    if table in there and table is not None:
        return table
    what = "no table" if not there else f"no table {table!r}" if table is not None else f"{len(there)} tables"
    hint = nearest(table or "", there) if there else "keep it as it is, as an artifact"
    if table is None and there:
        hint = "name one with table= (--table): " + ", ".join(map(repr, there[:10]))
    raise InvalidInputError(f"{where!r} has {what}", kind="unknown-table", hint=hint, table=table)


def write_sqlite(table: pa.Table, target: Path) -> None:
    """Write a table to a new SQLite file. Decimals, dates and times become texts, true and false 1 and 0.

    Raises:
        OSError: The file can't be written.
    """
    from lakefolio.items.table_export import plain_rows

    with contextlib.closing(sqlite3.connect(target)) as connection:
        columns = ", ".join(f"{sql_id(one.name)} {_declared(one.type)}" for one in table.schema)
        marks = ", ".join("?" * len(table.schema))
        insert = f"INSERT INTO data VALUES ({marks})"
        try:
            connection.execute(f"CREATE TABLE data ({columns})")
            for rows in plain_rows(table, keep=(bytes,)):
                connection.executemany(insert, [tuple(map(_stored, row)) for row in rows])
            connection.commit()
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY):
                raise
            raise OSError(errno.EIO, str(exc)) from exc


def _stored(value: object) -> Any:
    return str(value) if isinstance(value, int) and not -(2**63) <= value < 2**63 else value


def _declared(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind):
        return "INTEGER" if kind != pa.uint64() else "TEXT"
    if pa.types.is_floating(kind):
        return "REAL"
    if pa.types.is_boolean(kind):
        return "BOOLEAN"
    return "BLOB" if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) else "TEXT"

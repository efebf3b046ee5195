"""Tables of DuckDB files: read, in the child process of ``items/isolated_reader``, and written.

A DuckDB file can hold views, macros and defaults, and its reader is a whole database. So it is opened without files,
network, extensions and settings, and one table is read.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from lakefolio.errors import UnsupportedTypeError
from lakefolio.format.sql_text import sql_id
from lakefolio.items.conversions import checked
from lakefolio.items.table_sqlite import chosen_table
from lakefolio.views.arrow_types import AS_TEXT, check_finite, is_cut, projected

__all__ = ["open_duckdb", "write_duckdb"]

_OTHERWISE: Final = "export it as parquet"
_BATCH_ROWS: Final = 2_048
_MEMORY: Final = "1GiB"
_CARRIED: Final = {**AS_TEXT, "INTERVAL": "VARCHAR"}
"""A HUGEINT would become a decimal that it does not fit, and Parquet has no interval."""


@contextmanager
def open_duckdb(path: Path, table: str | None) -> Iterator[pa.RecordBatchReader]:
    """Open a table of a DuckDB file, its only one by default; memory does not grow with it."""
    connection = duckdb.connect(
        str(path),
        read_only=True,
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "enable_external_access": "false",
            "threads": "1",
            "memory_limit": _MEMORY,
            "temp_directory": "",
        },
    )
    connection.execute(
        "set TimeZone = 'UTC'; set enable_progress_bar = false; set python_enable_replacements = false;"
        " set lock_configuration = true"
    )
    found = connection.execute(
        "select schema_name, table_name from duckdb_tables() where not internal and not temporary order by all"
    ).fetchall()
    names = {name if schema == "main" else f"{schema}.{name}": (schema, name) for schema, name in found}
    schema, name = names[chosen_table(sorted(names), table, path.name)]
    there = connection.sql(f"select * from {sql_id(schema)}.{sql_id(name)}")
    rows, _ = projected(there, _CARRIED)
    reader = rows.to_arrow_reader(_BATCH_ROWS)
    yield pa.RecordBatchReader.from_batches(reader.schema, _finite(reader))


def _finite(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    for batch in reader:
        check_finite(batch)
        yield batch


def write_duckdb(table: pa.Table, target: Path) -> None:
    """Write a table to a new DuckDB file.

    Raises:
        UnsupportedTypeError: If DuckDB can't hold a value of a column; ``column`` names it.
        OSError: The file can't be written.
    """
    for lost in (one for one in table.schema if is_cut(table.column(one.name))):
        raise UnsupportedTypeError(
            f"duckdb can't hold column {lost.name!r} of the type {lost.type}: it cuts off nanoseconds of such times",
            kind="unsupported-column",
            hint=_OTHERWISE,
            column=lost.name,
        )
    try:
        _write(table, target)
    except (duckdb.DataError, duckdb.NotSupportedError, duckdb.InvalidInputException):
        checked(table, "duckdb", lambda part: _write(part, target), _OTHERWISE)
        raise


def _write(table: pa.Table, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        with duckdb.connect(str(target)) as connection:
            connection.execute("set enable_progress_bar = false")
            connection.register("lakefolio_rows", table)
            connection.execute("create table data as select * from lakefolio_rows")
    except (duckdb.IOException, duckdb.TransactionException, duckdb.FatalException) as exc:
        target.with_name(f"{target.name}.wal").unlink(missing_ok=True)
        raise OSError(errno.EIO, str(exc).rpartition(": ")[2]) from exc

"""Tables of DuckDB files: read, in the child process of ``items/isolated_reader``, and written.

A DuckDB file can hold views, macros and defaults, and its reader is a whole database. So it is opened without files,
network, extensions and settings, and one table is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from lakefolio.format.sql_text import sql_id
from lakefolio.items.table_sqlite import chosen_table
from lakefolio.views.sandbox_child import CARRIED

__all__ = ["open_duckdb", "write_duckdb"]

_BATCH_ROWS: Final = 2_048
_MEMORY: Final = "1GiB"


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
    columns = connection.execute(
        "select column_name, data_type from duckdb_columns() where schema_name = ? and table_name = ?"
        " order by column_index",
        [schema, name],
    ).fetchall()
    # what Arrow or Parquet lacks or changes goes as text: a HUGEINT would become a double
    chosen = [
        f"cast({sql_id(one)} as varchar) as {sql_id(one)}" if kind in CARRIED or kind == "INTERVAL" else sql_id(one)
        for one, kind in columns
    ]
    rows = connection.sql(f"select {', '.join(chosen)} from {sql_id(schema)}.{sql_id(name)}")
    yield rows.to_arrow_reader(_BATCH_ROWS)


def write_duckdb(table: pa.Table, target: Path, name: str = "data") -> None:
    """Write a table to a new DuckDB file."""
    target.unlink(missing_ok=True)
    with duckdb.connect(str(target)) as connection:
        connection.execute("set enable_progress_bar = false")
        connection.register("lakefolio_rows", table)
        connection.execute(f"create table {sql_id(name)} as select * from lakefolio_rows")

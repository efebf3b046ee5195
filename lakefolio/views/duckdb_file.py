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
from duckdb.sqltypes import DuckDBPyType

from lakefolio.format.sql_text import sql_id, sql_text
from lakefolio.items.table_sqlite import chosen_table
from lakefolio.views.sandbox_child import CARRIED

__all__ = ["open_duckdb", "write_duckdb"]

_BATCH_ROWS: Final = 2_048
_MEMORY: Final = "1GiB"
_NESTED: Final = frozenset({"array", "list", "map", "struct"})


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
    chosen = [f"{_chosen(one, kind)} as {sql_id(one)}" for one, kind in zip(there.columns, there.types, strict=True)]
    rows = there.project(", ".join(chosen))
    yield rows.to_arrow_reader(_BATCH_ROWS)


def _chosen(name: str, kind: DuckDBPyType) -> str:
    """Return what a column is read as; an infinite time, which Arrow lacks, is an error, not a day far ahead."""
    column = sql_id(name)
    if kind.id in _NESTED or not str(kind).startswith(("DATE", "TIMESTAMP")):
        return f"cast({column} as {_carried(kind)})"
    return (
        f"case when isinf({column}) then error({sql_text(f'column {name!r} holds an infinite time')}) else {column} end"
    )


def _carried(kind: object) -> str:
    """Return the type that goes through Arrow to Parquet unchanged: text for what they lack or change, also in nested.

    A HUGEINT would become a decimal that it does not fit, a time would lose its zone.
    """
    if not isinstance(kind, DuckDBPyType):
        return str(kind)
    inner = {name: _carried(one) for name, one in kind.children} if kind.id in _NESTED else {}
    match kind.id:
        case "list":
            return f"{inner['child']}[]"
        case "array":
            return f"{inner['child']}[{inner['size']}]"
        case "map":
            return f"MAP({inner['key']}, {inner['value']})"
        case "struct":
            return f"STRUCT({', '.join(f'{sql_id(name)} {one}' for name, one in inner.items())})"
    return "VARCHAR" if str(kind) in CARRIED or kind.id == "interval" else str(kind)


def write_duckdb(table: pa.Table, target: Path, name: str = "data") -> None:
    """Write a table to a new DuckDB file."""
    target.unlink(missing_ok=True)
    with duckdb.connect(str(target)) as connection:
        connection.execute("set enable_progress_bar = false")
        connection.register("lakefolio_rows", table)
        connection.execute(f"create table {sql_id(name)} as select * from lakefolio_rows")

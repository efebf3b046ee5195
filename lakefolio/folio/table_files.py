"""Table files of every format, read as streams and written: DuckDB's where DuckDB is, the others by ``items``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from lakefolio.errors import InvalidInputError, LocalFileNotFoundError
from lakefolio.format.table_formats import format_of
from lakefolio.items.table_export import write_table
from lakefolio.items.table_import import Types, open_table_file

__all__ = ["open_any_table", "write_any_table"]


@contextmanager
def open_any_table(
    path: Path,
    table_format: str | None,
    block_size: int | None = None,
    *,
    types: Types = None,
    encoding: str | None = None,
    delimiter: str | None = None,
    table: str | None = None,
) -> Iterator[Any]:
    """Open a table file of any format; arguments and errors as of ``open_table_file``."""
    if (table_format or format_of(path.name)) != "duckdb":
        with open_table_file(
            path, table_format, block_size, types=types, encoding=encoding, delimiter=delimiter, table=table
        ) as reader:
            yield reader
        return
    if not path.is_file():
        raise LocalFileNotFoundError(f"there is no table file {str(path)!r}", hint="check the path", path=str(path))
    if types is not None or encoding is not None or delimiter is not None:
        raise InvalidInputError(
            f"types, encoding and delimiter are for CSV files; {path.name!r} is read as duckdb", kind="bad-option"
        )
    from lakefolio.views.duckdb_file import open_duckdb

    with open_duckdb(path, table) as reader:
        yield reader


def write_any_table(table: pa.Table, target: Path, form: str, compression: str | None = None) -> None:
    """Write a table in any format; see ``write_table``."""
    if form != "duckdb":
        write_table(table, target, form, compression)
        return
    from lakefolio.views.duckdb_file import write_duckdb

    write_duckdb(table, target)

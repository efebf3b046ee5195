"""DuckDB connections over the tables of a lake, and views made in them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from lakefolio.errors import StorageError
from lakefolio.format.schema import SCHEMAS
from lakefolio.format.sql_text import sql_id, sql_text
from lakefolio.process.held_files import DESCRIPTORS
from lakefolio.process.scratch import bounded_options, spill_options
from lakefolio.views.connecting import connect_in_memory
from lakefolio.views.relations import Rows, bind
from lakefolio.views.run_columns import KEY_VIEWS, KEYS_OF_RUNS, LOST, KeyCounts, called_lost, new_columns
from lakefolio.views.view_files import ViewFile, create_view

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import duckdb

__all__ = [
    "NONE_LOST",
    "count_keys",
    "describe",
    "lock",
    "make_view",
    "name_lost",
    "open_tables",
    "relation_exists",
]

NONE_LOST: Final[frozenset[str]] = frozenset()
_OFFLINE: Final[dict[str, Any]] = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}


def open_tables(
    tables: Mapping[str, Rows], names: Iterable[str] = SCHEMAS, *, memory_bytes: int | None = None
) -> duckdb.DuckDBPyConnection:
    """Return a new connection with tables as relations of their names, read in place.

    Args:
        tables: The tables.
        names: Which of them.
        memory_bytes: How much it may hold before it spills; by default as much as DuckDB takes, most of all there is.
    """
    options = spill_options() if memory_bytes is None else bounded_options(memory_bytes)
    connection = connect_in_memory(_OFFLINE | options)
    connection.execute("set global TimeZone = 'UTC'")  # of cursors, too, which queries run on
    # DuckDB 1.5 hands the Bloom filter of a large join to scans of Arrow tables, which know none, and fails
    connection.execute("set disabled_optimizers = 'join_filter_pushdown'")
    for name in names:
        bind(connection, name, tables[name])
    return connection


def lock(connection: duckdb.DuckDBPyConnection, paths: Iterable[str] = ()) -> None:
    """Keep the SQL of a connection from files but some, the network, Python variables and settings.

    Args:
        connection: The connection.
        paths: The files that relations scan.

    Raises:
        StorageError: kind ``no-working-directory``: DuckDB wants to know it for this, and it was deleted.
    """
    import duckdb

    try:
        connection.execute(f"set allowed_paths = [{', '.join(map(sql_text, paths))}]")
        if DESCRIPTORS is not None:  # as what is held open is called; SQL that names a path is refused before
            connection.execute(f"set allowed_directories = [{sql_text(DESCRIPTORS)}]")
        connection.execute(
            "set python_enable_replacements = false;set enable_external_access = false;set lock_configuration = true"
        )
    except duckdb.IOException as exc:
        raise StorageError(
            "SQL can't be asked: the working directory was deleted",
            kind="no-working-directory",
            hint="go to another folder: cd",
        ) from exc


def relation_exists(connection: duckdb.DuckDBPyConnection, name: str) -> bool:
    """Say whether a connection has a relation of that name."""
    import duckdb

    try:
        connection.execute(f"describe {sql_id(name)}")
    except duckdb.CatalogException:
        return False
    return True


def make_view(
    connection: duckdb.DuckDBPyConnection, view: ViewFile, keys: list[tuple[str, str]], *, lost: bool = False
) -> None:
    """Make one of the library's views.

    Args:
        connection: Where.
        view: The view.
        keys: Parameters and metrics, which become columns of a view of runs.
        lost: Whether the connection has a relation of the runs to be called lost; see :func:`name_lost`.
    """
    if lost and view.name == "runs":
        view = replace(view, sql=called_lost(view.sql))
    connection.execute(create_view(view))
    if keys and "metrics" in view.words:
        described = {column.lower() for column, _ in describe(connection, view.name)}
        if {"params", "metrics"} <= described and (columns := new_columns(keys, described)):
            connection.execute(create_view(view, columns))


def name_lost(connection: duckdb.DuckDBPyConnection, lost: frozenset[str]) -> None:
    """Bind the ids of the runs to be called lost, for the view of runs to read."""
    import pyarrow as pa

    connection.from_arrow(pa.table({"run_id": pa.array(sorted(lost), pa.string())})).create_view(LOST)


def describe(connection: duckdb.DuckDBPyConnection, name: str) -> list[tuple[str, str]]:
    """Return the columns of a relation as (name, type)."""
    return [(row[0], row[1]) for row in connection.execute(f"describe {sql_id(name)}").fetchall()]


def count_keys(connection: duckdb.DuckDBPyConnection, files: Iterable[ViewFile]) -> dict[str, KeyCounts]:
    """Return the parameters and metrics that the runs of a connection have, and the sort of their values."""
    for view in files:
        if view.name in KEY_VIEWS:
            make_view(connection, view, [])
    return {key: tuple(counts) for key, *counts in connection.execute(KEYS_OF_RUNS).fetchall()}

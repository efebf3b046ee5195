"""The views of ``sql/``, bound by name to the tables of a lake in DuckDB.

A raw relation has the name of its table. Every other relation is a SQL file, one bare SELECT, made into a view of the
file's name in the order of the paths. The same files run over Arrow tables (here), over any other relations of these
names (``install``), and over empty tables. Nothing is downloaded: DuckDB's extensions are neither installed nor loaded
on their own. View files that users wrote never run in this process: one of their own gives their rows (``sandbox``).
"""

from __future__ import annotations

import re
import threading
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING, Any

from lakefolio.errors import InvalidInputError, nearest
from lakefolio.format.schema import LOG_SCHEMAS, SCHEMAS
from lakefolio.process.fork import at_forks
from lakefolio.views.binding import (
    NONE_LOST,
    count_keys,
    describe,
    lock,
    make_view,
    name_lost,
    open_tables,
    relation_exists,
)
from lakefolio.views.bound_views import CORE, FACTS, BoundViews, run_changes
from lakefolio.views.item_tables import ItemRows
from lakefolio.views.model_runs import STATES
from lakefolio.views.relations import FileScan, Rows, bind_shallow
from lakefolio.views.run_columns import run_columns
from lakefolio.views.sandbox import Limits
from lakefolio.views.sql_guard import check_select, first_line, is_text, shown
from lakefolio.views.sql_result import Use, as_relation, translated
from lakefolio.views.view_files import ViewFile, comment_view, load_views

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import duckdb

__all__ = [
    "Views",
    "default_views",
    "described",
    "described_view",
]

_KEPT_BINDINGS = 4
_FURTHER = frozenset((*LOG_SCHEMAS, *FACTS, STATES))
_OF_FACTS = "current_metadata"
"""The view that reads them."""
_RECURSING = re.compile(r"(?i)json_(contains|merge_patch|structure)")
"""The functions that a text which is nested too deep would end the process in; see ``shallow``."""


def described() -> list[dict[str, Any]]:
    """Return the library's public views as plain values: ``name``, ``description``, ``grain``, ``columns``."""
    found = default_views()
    columns = found.columns()
    return [described_view(view, columns[view.name]) for view in found.files if view.public]


def described_view(view: ViewFile, columns: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return a view as plain values; ``columns`` are ``name`` and DuckDB's ``type``."""
    return {
        "name": view.name,
        "description": view.description,
        "grain": view.grain,
        "columns": [{"name": name, "type": kind} for name, kind in columns],
    }


_LIMITS = Limits(seconds=30, memory_mib=1024)


class Views:
    """The views, and the DuckDB connections they are bound in.

    Safe to use from many threads: a query runs on a cursor of its own.
    """

    def __init__(self, given: Sequence[ViewFile] = (), limits: Limits = _LIMITS) -> None:
        """Find the views.

        Args:
            given: View files of others, which may read the library's views and one another.
            limits: How much each of those may take.
        """
        self._lock = threading.RLock()
        at_forks(self)
        self._limits = limits
        self._given = tuple(given)
        self._bindings: dict[tuple[Any, ...], BoundViews] = {}

    def before_fork(self) -> None:
        """Wait for nothing."""

    def after_fork(self, *, child: bool) -> None:
        """Let a child begin without connections: the threads that answer on them are its parent's."""
        if child:
            self._lock = threading.RLock()
            _inherited.extend(self._bindings.values())
            self._bindings = {}

    @cached_property
    def files(self) -> tuple[ViewFile, ...]:
        """Every view of the library, in the order they build on one another."""
        return load_views()

    def names(self) -> list[str]:
        """Return the names of the views that people query, in path order."""
        return [view.name for view in self.files if view.public]

    def columns(self) -> dict[str, list[tuple[str, str]]]:
        """Return the columns of every public view as (name, DuckDB type), bound on empty tables."""
        return {name: list(self._columns[name]) for name in self.names()}

    @cached_property
    def _columns(self) -> dict[str, list[tuple[str, str]]]:
        connection = self.connect({name: schema.empty_table() for name, schema in SCHEMAS.items()}, locked=True)
        return {name: describe(connection, name) for name in self.names()}

    def connect(
        self, tables: Mapping[str, Rows], *, locked: bool = False, lost: frozenset[str] = NONE_LOST
    ) -> duckdb.DuckDBPyConnection:
        """Return a new DuckDB connection with all views over ``tables``, which are read in place.

        Args:
            tables: Those of ``lakefolio.format.schema``.
            lost: Runs that the views call lost where they are recorded as running.
            locked: Whether SQL in it is kept from files, the network, Python variables and the settings. An
                unlocked one is the caller's own: it may read other files and make tables, in memory only.
        """
        scans = {name: rows for name, rows in tables.items() if isinstance(rows, FileScan)}
        connection = open_tables(tables)
        for name, rows in scans.items():
            bind_shallow(connection, name, rows)
        self.install(connection, lost=lost)
        if locked:
            lock(connection)
        return connection

    def install(self, connection: duckdb.DuckDBPyConnection, *, lost: frozenset[str] = NONE_LOST) -> None:
        """Make the views in a connection with a relation named ``manifests``.

        Args:
            connection: Where; the relation may be anything, a ``delta_scan`` view for instance. ``metric_rows`` and
                ``event_rows`` may be missing.
            lost: See :meth:`connect`.
        """
        for name, schema in LOG_SCHEMAS.items():  # a lake that never logged lacks them
            if not relation_exists(connection, name):
                connection.from_arrow(schema.empty_table()).create_view(name)
        keys = run_columns(count_keys(connection, self.files)) if run_changes(connection) else []
        if lost:
            name_lost(connection, lost)
        for view in self.files:
            make_view(connection, view, keys, lost=bool(lost))
        connection.execute(";\n".join(map(comment_view, self.files)))

    def query(
        self,
        tables: Mapping[str, Rows],
        sql: str,
        params: Sequence[object] | Mapping[str, object] | None = None,
        *,
        lost: frozenset[str] = NONE_LOST,
        items: ItemRows | None = None,
    ) -> duckdb.DuckDBPyRelation:
        """Return the relation that a reading statement describes; it may outlive everything it was made with.

        The connection of the same tables (the same objects) is used again, so a query of an unchanged lake
        pays for nothing but itself. Nothing can be written: neither files, nor views, nor settings. What DuckDB objects
        to when the rows are fetched is an error of this library too.

        Args:
            tables: As for ``connect``.
            sql: One SELECT, FROM, WITH, VALUES, TABLE, PIVOT, DESCRIBE, SHOW, SUMMARIZE or EXPLAIN.
            params: Values for ``?`` and ``$1`` (a sequence) or ``$name`` (a mapping).
            lost: See :meth:`connect`.
            items: Gives the rows of the items that the statement names, for this version; see ``item_tables``.

        Raises:
            InvalidInputError: Of kind ``"sql"``, if it is not one valid reading statement over the views.
        """
        if not is_text(sql):
            raise InvalidInputError(
                f"SQL {str(sql)[:60]!r} is not a text", kind="sql", hint="write it like: select * from items", sql=sql
            )
        failed = partial(self._error, sql)
        with translated(failed) as cursors:
            judged = check_select(sql)
            named = frozenset() if items is None else frozenset(map(str.lower, judged.items))
            if file := next((name for name in judged.reads - named if "/" in name or "\\" in name), None):
                raise InvalidInputError(
                    f"SQL {shown(sql)} reads the file {file!r}, which is no view",
                    kind="sql",
                    hint="a lake's own SQL reads its views only; connect() gives a connection that may read files",
                    sql=sql,
                )
            rows = {} if items is None else {name: items(name) for name in judged.items}
            further = _FURTHER if judged.catalogue else self._further(judged.reads)
            binding, use = self._binding(tables, lost, {name: entry for name, (entry, _) in rows.items()}, further)
            cursor = binding.connection.cursor()
            cursors.append(cursor)
            if judged.catalogue:
                binding.require_all()
            recursing = bool(_RECURSING.search(sql))
            binding.require(judged.reads, shallow=recursing)
            binding.require_items(rows, shallow=recursing)
            try:
                relation = cursor.sql(sql) if params is None else cursor.sql(sql, params=params)
            except ValueError as exc:  # DuckDB takes a long integer for its digits, which Python does not write
                message = f"SQL {shown(sql)} can't be run with these parameters: an integer is too long"
                raise InvalidInputError(message, kind="sql", hint="pass it as a text", sql=sql) from exc
            if relation is not None and binding.is_given(judged.reads):
                relation.execute()  # errors of view files of others are raised here
        if relation is None:  # a statement with nothing to return, which check_select should have refused
            raise InvalidInputError(f"SQL {shown(sql)} returns no rows", kind="sql", sql=sql)
        return as_relation(relation, failed, cursor, use)

    def metric_names(self, tables: Mapping[str, Rows], *, lost: frozenset[str] = NONE_LOST) -> list[str]:
        """Return the names of the metrics that any run has, sorted."""
        with translated(partial(self._error, "of runs")) as cursors:
            binding, _use = self._binding(tables, lost, {}, self._further(["runs"]))
            cursors.append(binding.connection)
            return binding.metric_names()

    def _further(self, names: Iterable[str]) -> frozenset[str]:
        """Return the relations beside the journal that are read; what view files of others read is not known."""
        read = set(names)
        if not {view.name.lower() for view in self._given}.isdisjoint(read):
            return _FURTHER
        for view in reversed(self.files):
            if view.name in read:
                read |= view.reads
        logs: tuple[str, ...] = () if read.isdisjoint(LOG_SCHEMAS) else tuple(LOG_SCHEMAS)
        facts = FACTS if _OF_FACTS in read else ()
        return frozenset((*logs, *facts, *((STATES,) if "runs" in read else ())))

    def _binding(
        self, tables: Mapping[str, Rows], lost: frozenset[str], entries: Mapping[str, str], further: frozenset[str]
    ) -> tuple[BoundViews, Use]:
        wanted = tuple(tables[name] for name in CORE)
        same = (*map(id, wanted), lost)
        with self._lock:
            # a binding holds its tables, so an id can't have been given to another table meanwhile
            keys = (key for key in self._bindings if key[:-1] == same and key[-1] >= further)
            key: tuple[Any, ...] = next(keys, (*same, further))
            found = self._bindings.pop(key, None)
            if found is None or not found.fits(entries):  # relations made of the other one keep reading what it reads
                found = self._former(tables, lost, entries, key[-1])
            if found is None:
                items = bool(entries)
                found = BoundViews(self.files, tables, lost, self._given, self._limits, key[-1], items=items)
            self._bindings[key] = found
            return found, found.uses.begin()

    def _former(
        self, tables: Mapping[str, Rows], lost: frozenset[str], entries: Mapping[str, str], further: frozenset[str]
    ) -> BoundViews | None:
        """Make room for a binding, and return the one that made it if it could be bound to these tables."""
        if len(self._bindings) < _KEPT_BINDINGS:
            return None
        former = self._bindings.pop(next(iter(self._bindings)))
        return former if former.fits(entries) and former.bind_anew(tables, lost, further) else None

    def _error(self, sql: str, exc: Exception) -> InvalidInputError:
        text = str(exc)
        hint = None
        unknown = re.search(r"Table with name (\S+?) does not exist", text)
        candidates = re.search(r"(Did you mean .*|Candidate .*)", text)
        if unknown:
            hint = nearest(unknown[1], [*self.names(), *SCHEMAS])
        elif candidates:
            hint = candidates[1].strip()
        elif "'pandas' is required" in text:
            hint = "pip install pandas, or ask for .pl(), .arrow() or .fetchall()"
        elif "with nanoseconds" in text or "interval of months" in text or "than the float" in text:
            hint = "ask for .arrow(), or cast the column to varchar in the SQL"
        elif re.search(r"infinite time|time 24:00|to DECIMAL\(38|INT128 .*INT64|month_day_nano|create series", text):
            hint = "cast the column to varchar in the SQL"
        elif "disabled by configuration" in text:
            hint = "a lake's own SQL reads its views only; connect() gives a connection that may read files"
        message = f"SQL {shown(sql)} can't be run: {first_line(exc)}"
        if isinstance(exc, TypeError | RuntimeError):  # of what it was given, DuckDB objects so
            message = f"SQL {shown(sql)} can't be run with these parameters: {first_line(exc).partition(' (#')[0]}"
        return InvalidInputError(message, kind="sql", hint=hint, sql=sql, unknown=unknown and unknown[1])


_inherited: list[BoundViews] = []
"""Connections that a forked child inherits; never closed, as closing waits for threads that the child lacks."""


@cache
def default_views() -> Views:
    """Return the library's own views, shared by the process."""
    return Views()

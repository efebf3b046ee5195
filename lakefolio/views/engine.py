"""The views of ``sql/``, bound by name to tables: on DuckDB for SQL, on Polars for frames.

The raw relations are called as the tables are. Everything else is a SQL file,
one bare SELECT each, made into a view of the file's name in the order of the paths. The same files run over
Arrow tables (here), over any other relations of these names (``install``), and over empty tables. Nothing is
downloaded: DuckDB's extensions are neither installed nor loaded on their own.
"""

from __future__ import annotations

import re
import threading
import weakref
from contextlib import nullcontext
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.errors import InvalidInputError, nearest
from lakefolio.format.schema import LOG_SCHEMAS, SCHEMAS
from lakefolio.process.fork import at_forks
from lakefolio.views.binding import NONE_LOST, count_keys, describe, lock, make_view, open_tables, relation_exists
from lakefolio.views.polars_scan import scan
from lakefolio.views.query_limits import Limits, answered, limit_memory, within
from lakefolio.views.run_columns import RUN_COLUMNS_LIMIT, run_columns
from lakefolio.views.runs_cache import KeptRuns, gathered, renewed
from lakefolio.views.sql_guard import check_select, first_line, half_a_character, shown
from lakefolio.views.view_files import AUDITS, View, comment_view, load_views

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import duckdb

__all__ = [
    "RUN_COLUMNS_LIMIT",
    "View",
    "Views",
    "connect",
    "default_views",
    "described",
    "described_view",
    "query",
    "scan",
]

_KEPT_BINDINGS = 4
_MANY_CHANGES = 60
"""From so many changes of runs on, the rows of the view ``runs`` are kept; see ``runs_cache``."""
_CORE = tuple(name for name in SCHEMAS if name not in LOG_SCHEMAS)
_POINTS = frozenset({"metrics", "events"})
"""Views that are also columns' names: a table of points is not read for the sake of a column."""
_CATALOGUE = {"show", "describe", "information_schema", "sqlite_master", "pg_catalog", "pragma", "query_table"}


def described() -> list[dict[str, Any]]:
    """Return the library's public views as plain values: ``name``, ``description``, ``grain``, ``columns``."""
    found = default_views()
    columns = found.columns()
    return [described_view(view, columns[view.name]) for view in found.files if view.public]


def described_view(view: View, columns: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return a view as plain values; ``columns`` are ``name`` and DuckDB's ``type``."""
    return {
        "name": view.name,
        "description": view.description,
        "grain": view.grain,
        "columns": [{"name": name, "type": kind} for name, kind in columns],
    }


class Views:
    """The views, and the DuckDB connections they are bound in.

    Safe to use from many threads: a query runs on a cursor of its own.
    """

    def __init__(self, extra: Sequence[Path] = (), given: Sequence[View] = (), limits: Limits | None = None) -> None:
        """Find the views.

        Args:
            extra: Folders with further ``.sql`` files (not searched deeper), made after the library's own;
                they may read any of those. A file of a name that is taken is refused.
            given: Further views that are read already, made last.
            limits: What an answer may take that reads one of ``given``.
        """
        self._limits = limits
        self._given = tuple(given)
        self._extra = tuple(extra)
        self._lock = threading.Lock()
        self._bindings: dict[tuple[Any, ...], _Binding] = {}
        at_forks(self)

    def before_fork(self) -> None:
        """Nothing has to come to an end: a child begins anew."""

    def after_fork(self, *, child: bool) -> None:
        """Let a child begin without connections: the threads that answer on them are its parent's."""
        if child:
            _inherited.extend(self._bindings.values())
            self._lock = threading.Lock()
            self._bindings = {}

    @cached_property
    def files(self) -> tuple[View, ...]:
        """Every view, in the order they build on one another."""
        return load_views(self._extra, self._given)

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
        self, tables: Mapping[str, pa.Table], *, locked: bool = False, lost: frozenset[str] = NONE_LOST
    ) -> duckdb.DuckDBPyConnection:
        """Return a new DuckDB connection with all views over ``tables``, which are read in place.

        Args:
            tables: Those of ``lakefolio.format.schema``.
            lost: Runs that the views call lost where they are recorded as running.
            locked: Whether SQL in it is kept from files, the network, Python variables and the settings. An
                unlocked one is the caller's own: it may read other files and make tables, in memory only.
        """
        connection = open_tables(tables)
        self.install(connection, run_keys=_run_changes(tables) > 0, lost=lost)
        if locked:
            lock(connection)
        return connection

    def install(
        self, connection: duckdb.DuckDBPyConnection, *, run_keys: bool = True, lost: frozenset[str] = NONE_LOST
    ) -> None:
        """Make the views in a connection with a relation named ``manifests``.

        Args:
            connection: Where; the relation may be anything, a ``delta_scan`` view for instance. ``metric_rows`` and
                ``event_rows`` may be missing.
            run_keys: Whether to give the run views a column for each parameter and metric found.
            lost: See :meth:`connect`.

        Raises:
            InvalidInputError: If a user's view file is not one valid SELECT over the views before it.
        """
        for name, schema in LOG_SCHEMAS.items():  # a lake that never logged lacks them
            if not relation_exists(connection, name):
                connection.from_arrow(schema.empty_table()).create_view(name)
        keys = run_columns(count_keys(connection, self.files)) if run_keys else []
        for view in self.files:
            make_view(connection, view, keys, lost)
        connection.execute(";\n".join(map(comment_view, self.files)))

    def query(
        self,
        tables: Mapping[str, pa.Table],
        sql: str,
        params: Sequence[Any] | Mapping[str, Any] | None = None,
        *,
        lost: frozenset[str] = NONE_LOST,
    ) -> duckdb.DuckDBPyRelation:
        """Return the relation that a reading statement describes; it may outlive everything it was made with.

        The connection of the same tables (the same objects) is used again, so a query of an unchanged lake
        pays for nothing but itself. Nothing can be written: neither files, nor views, nor settings.

        Args:
            tables: As for ``connect``.
            sql: One SELECT, FROM, WITH, VALUES, TABLE, PIVOT, DESCRIBE, SHOW, SUMMARIZE or EXPLAIN.
            params: Values for ``?`` and ``$1`` (a sequence) or ``$name`` (a mapping).
            lost: See :meth:`connect`.

        Raises:
            InvalidInputError: Of kind ``"sql"``, if it is not one valid reading statement over the views.
        """
        import duckdb

        if not isinstance(sql, str) or (not sql.isascii() and half_a_character(sql)):
            raise InvalidInputError(
                f"SQL {str(sql)[:60]!r} is not a text", kind="sql", hint="write it like: select * from items", sql=sql
            )
        binding = self._binding(tables, lost)
        cursor = binding.connection.cursor()
        limits, files = self._limits, self._given_in(sql)
        try:
            check_select(cursor, sql)
            whole = binding.require_for(sql)
            with nullcontext() if limits is None or not files else within(limits, cursor, files):
                while True:
                    try:
                        relation = cursor.sql(sql) if params is None else cursor.sql(sql, params=params)
                        break
                    except duckdb.InterruptException:
                        raise
                    except duckdb.Error:
                        # perhaps it reads a view in a way that the parser does not tell
                        if whole:
                            raise
                        binding.require_all()
                        whole = True
                if limits is not None and files and relation is not None:
                    relation = answered(binding.connection.cursor(), relation, limits, files)
        except duckdb.Error as exc:
            error = self._error(exc, sql)
            raise binding.broken.get(str(error.unknown).lower(), error) from exc
        if relation is None:  # a statement with nothing to return, which check_select should have refused
            raise InvalidInputError(f"SQL {shown(sql)} returns no rows", kind="sql", sql=sql)
        return relation

    def _given_in(self, sql: str) -> list[View]:
        """Return the given views that a statement names: it reads none that it does not reach by one of them."""
        words = set(re.findall(r"\w+", sql.lower()))
        return [view for view in self._given if view.name.lower() in words]

    def audit(self, tables: Mapping[str, pa.Table]) -> list[tuple[str, str, str]]:
        """Return the problems that the audits find as (audit, object, message); none on a healthy lake."""
        audits = [view.name for view in self.files if view.folder == AUDITS]
        binding = self._binding(tables)
        binding.require(audits)
        cursor = binding.connection.cursor()
        return [
            (name.removeprefix("audit_"), *row)
            for name in audits
            for row in cursor.execute(f"select object, message from {name} order by all").fetchall()
        ]

    def _binding(self, tables: Mapping[str, pa.Table], lost: frozenset[str] = NONE_LOST) -> _Binding:
        wanted = tuple(tables[name] for name in _CORE)
        key = (*map(id, wanted), lost)
        with self._lock:
            # a binding holds its tables, so an id can't have been given to another table meanwhile
            found = self._bindings.pop(key, None) or _Binding(self.files, tables, lost, self._limits)
            self._bindings[key] = found
            while len(self._bindings) > _KEPT_BINDINGS:
                del self._bindings[next(iter(self._bindings))]
        return found

    def _error(self, exc: Exception, sql: str) -> InvalidInputError:
        text = str(exc)
        hint = None
        unknown = re.search(r"Table with name (\S+) does not exist", text)
        candidates = re.search(r"(Did you mean .*|Candidate .*)", text)
        if unknown:
            hint = nearest(unknown[1], [*self.names(), *SCHEMAS])
        elif candidates:
            hint = candidates[1].strip()
        elif "disabled by configuration" in text:
            hint = "a lake's own SQL reads its views only; connect() gives a connection that may read files"
        message = f"SQL {shown(sql)} can't be run: {first_line(exc)}"
        return InvalidInputError(message, kind="sql", hint=hint, sql=sql, unknown=unknown and unknown[1])


class _Binding:
    """A locked connection over one state of the tables, in which a view is made when it is first read.

    Making a view costs about a millisecond and there are dozens, while a query reads two or three.
    """

    def __init__(
        self, files: Sequence[View], tables: Mapping[str, pa.Table], lost: frozenset[str], limits: Limits | None
    ) -> None:
        self.tables = tuple(tables[name] for name in _CORE)
        self._lazy = dict.fromkeys(LOG_SCHEMAS, tables)
        self.connection = open_tables(tables, _CORE)
        if limits is not None:
            limit_memory(self.connection, limits)
        lock(self.connection)
        self._limited = limits is not None
        self._files = files
        self._lost = lost
        self._known = {view.name for view in files}
        self._made: set[str] = set()
        self.broken: dict[str, InvalidInputError] = {}
        self._lock = threading.Lock()
        self._core = {name: tables[name] for name in _CORE}
        self._keys: list[tuple[str, str]] | None = None if (changes := _run_changes(tables)) else []
        self.runs: KeptRuns | None = None
        self._keeps = self._keys is None and changes > _MANY_CHANGES

    def require(self, names: Iterable[str]) -> None:
        """Make these views and those they read."""
        with self._lock:
            read = set(names)
            for view in reversed(self._files):
                if view.name in read:
                    read |= self._reads(view)
            wanted = self._known & read
            for name in self._lazy.keys() & read:
                self.connection.from_arrow(self._lazy.pop(name)[name]).create_view(name)
            if self._keys is None and any(not view.own or "metrics" in view.words for view in self._named(wanted)):
                self._keys = self._find_keys()
            for view in self._files:
                if view.name in wanted - self._made:
                    try:
                        if view.name == "runs" and self.runs is not None:
                            self.runs.make(self.connection, view, self._lost)
                        else:
                            make_view(self.connection, view, self._keys or [], self._lost)
                    except InvalidInputError as exc:
                        if view.own:
                            raise
                        self.broken[view.name.lower()] = (
                            exc  # told about only to who reads it, not just its name's word
                        )
                        continue
                    self._made.add(view.name)

    def _named(self, names: set[str]) -> Iterable[View]:
        return (view for view in self._files if view.name in names)

    def _find_keys(self) -> list[tuple[str, str]]:
        """Find the parameters and metrics of the runs; of many runs, the runs themselves, which are kept."""
        if not self._keeps:
            return run_columns(count_keys(self.connection, self._files))
        before = [one.runs for one in list(_bindings) if one.runs is not None and one.runs.precedes(self._core)]
        newest = max(before, key=lambda one: one.tables["manifests"].num_rows, default=None)
        found = None if newest is None else renewed(newest, self._core, self._files)
        if found is None:  # not with the memory of those who may use little
            with open_tables(self._core, _CORE) if self._limited else nullcontext(self.connection) as connection:
                found = gathered(connection, self._core, self._files)
        self.runs = found
        _bindings.add(self)
        return run_columns(self.runs.counts)

    def require_for(self, sql: str) -> bool:
        """Make the views that a statement may read, going by its words; say whether those are all there are."""
        words = set(re.findall(r"\w+", sql.lower()))
        names = words if _POINTS.isdisjoint(words) else _relations(self.connection, sql) or words
        whole = any(word in _CATALOGUE or word.startswith(("duckdb_", "pragma_")) for word in words)
        if whole:
            self.require_all()
        else:
            self.require(names)
        return whole

    def _reads(self, view: View) -> set[str]:
        """Return the relations that a view reads, or more."""
        if view.own:
            return set(view.reads)
        if _POINTS.isdisjoint(view.words):
            return set(view.words)
        return _relations(self.connection, view.sql) or set(view.words)

    def require_all(self) -> None:
        """Make what views can be made; a user's broken one stays out until it is asked for by name."""
        for view in self._files:
            try:
                self.require([view.name])
            except InvalidInputError:
                continue


_bindings: weakref.WeakSet[_Binding] = weakref.WeakSet()
"""Those that keep runs: what one has, the next version's begins with, whichever views it is of."""


_inherited: list[_Binding] = []
"""What a forked child has of its parent; never closed, as that waits for threads that are not there."""


def _run_changes(tables: Mapping[str, pa.Table]) -> int:
    """Return how many rows of the journal are about runs."""
    return int(pc.sum(pc.equal(tables["manifests"].column("op"), "run")).as_py() or 0)


def _relations(connection: duckdb.DuckDBPyConnection, sql: str) -> set[str]:
    """Return the names of the relations that a statement reads, as DuckDB's parser sees it; empty if it does not."""
    import duckdb

    try:
        return {name.lower() for name in connection.cursor().get_table_names(sql)}
    except duckdb.Error:
        return set()


# -- without user views --------------------------------------------------------------------------------


@cache
def default_views() -> Views:
    """Return the library's own views, shared by the process."""
    return Views()


def connect(tables: Mapping[str, pa.Table], *, locked: bool = False) -> duckdb.DuckDBPyConnection:
    """See Views.connect."""
    return default_views().connect(tables, locked=locked)


def query(
    tables: Mapping[str, pa.Table], sql: str, params: Sequence[Any] | Mapping[str, Any] | None = None
) -> duckdb.DuckDBPyRelation:
    """See Views.query."""
    return default_views().query(tables, sql, params)

"""The views of ``sql/``, bound by name to tables: on DuckDB for SQL, on Polars for frames.

The raw relations are called as the tables are. Everything else is a SQL file,
one bare SELECT each, made into a view of the file's name in the order of the paths. The same files run over
Arrow tables (here), over any other relations of these names (``install``), and over empty tables. Nothing is
downloaded: DuckDB's extensions are neither installed nor loaded on their own. View files of others never run here: a
process of their own gives their rows (``cage``).
"""

from __future__ import annotations

import re
import threading
import weakref
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from lakefolio.errors import ConflictError, InvalidInputError, nearest
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
from lakefolio.views.cage import Limits, rows_of_view
from lakefolio.views.item_tables import ItemContent, ItemRows, ItemTables
from lakefolio.views.polars_scan import scan
from lakefolio.views.relations import FileScan, Rows, bind, bind_shallow
from lakefolio.views.run_columns import RUN_COLUMNS_LIMIT, run_columns
from lakefolio.views.runs_cache import KeptRuns, gathered, renewed
from lakefolio.views.sql_guard import check_select, first_line, is_text, shown
from lakefolio.views.view_files import AUDITS, View, comment_view, load_model_views, load_views, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import duckdb
    import pyarrow as pa

__all__ = [
    "RUN_COLUMNS_LIMIT",
    "View",
    "Views",
    "connect",
    "default_views",
    "described",
    "described_view",
    "fetched",
    "query",
    "scan",
]

_KEPT_BINDINGS = 4
MEMORY_BYTES = 512 << 20
"""What the SQL of a lake may hold; what takes more is spilled to a temporary folder."""
_RECURSING = re.compile(r"(?i)json_(contains|merge_patch|structure)")
"""The functions that a text which is nested too deep would end the process in; see ``shallow``."""
_MANY_CHANGES = 60
"""From so many changes of runs on, the rows of the view ``runs`` are kept; see ``runs_cache``."""
_CORE = tuple(name for name in SCHEMAS if name not in LOG_SCHEMAS)
_REPLACED = "replaced_heads"
"""The view of a model whose rows are computed once: they are few, and read by every query."""
_MODELS = ("entries_model", "manifests_since")
"""The relations of a read model, beside the journal: its rows, and those of the journal that it does not hold yet."""


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


def fetched(relation: duckdb.DuckDBPyRelation) -> pa.Table:
    """Return the rows of a relation.

    Raises:
        InvalidInputError: kind ``sql``: a row has a value that the statement can't compute with.
        ConflictError: kind ``files-replaced``: a file that the rows lie in was removed since the statement was given,
            and was not held (see ``process.held_files``).
    """
    import duckdb

    try:
        return relation.to_arrow_table()
    except (duckdb.IOException, duckdb.PermissionException) as exc:
        raise ConflictError(
            f"the rows can't be read: a merge or gc removed a file of theirs: {first_line(exc)}",
            kind="files-replaced",
            hint="ask again, which reads the files that took its place",
        ) from exc
    except duckdb.Error as exc:
        raise InvalidInputError(f"the rows can't be computed: {first_line(exc)}", kind="sql") from exc


_LIMITS = Limits(seconds=30, memory_mib=1024)


class Views:
    """The views, and the DuckDB connections they are bound in.

    Safe to use from many threads: a query runs on a cursor of its own.
    """

    def __init__(self, given: Sequence[View] = (), limits: Limits = _LIMITS) -> None:
        """Find the views.

        Args:
            given: View files of others, which may read the library's views and one another.
            limits: How much each of those may take.
        """
        self._limits = limits
        self._given = tuple(given)
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
        keys = run_columns(count_keys(connection, self.files)) if _run_changes(connection) else []
        if lost:
            name_lost(connection, lost)
        for view in self.files:
            make_view(connection, view, keys, lost=bool(lost))
        connection.execute(";\n".join(map(comment_view, self.files)))

    def query(
        self,
        tables: Mapping[str, Rows],
        sql: str,
        params: Sequence[Any] | Mapping[str, Any] | None = None,
        *,
        lost: frozenset[str] = NONE_LOST,
        items: ItemRows | None = None,
    ) -> duckdb.DuckDBPyRelation:
        """Return the relation that a reading statement describes; it may outlive everything it was made with.

        The connection of the same tables (the same objects) is used again, so a query of an unchanged lake
        pays for nothing but itself. Nothing can be written: neither files, nor views, nor settings.

        Args:
            tables: As for ``connect``.
            sql: One SELECT, FROM, WITH, VALUES, TABLE, PIVOT, DESCRIBE, SHOW, SUMMARIZE or EXPLAIN.
            params: Values for ``?`` and ``$1`` (a sequence) or ``$name`` (a mapping).
            lost: See :meth:`connect`.
            items: Gives the rows of the items that the statement names, for this version; see ``item_tables``.

        Raises:
            InvalidInputError: Of kind ``"sql"``, if it is not one valid reading statement over the views.
        """
        import duckdb

        if not is_text(sql):
            raise InvalidInputError(
                f"SQL {str(sql)[:60]!r} is not a text", kind="sql", hint="write it like: select * from items", sql=sql
            )
        try:
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
            logs = judged.catalogue or self._reads_logs(judged.reads)
            binding = self._binding(tables, lost, {name: entry for name, (entry, _) in rows.items()}, logs=logs)
            cursor = binding.connection.cursor()
            if judged.catalogue:
                binding.require_all()
            recursing = bool(_RECURSING.search(sql))
            binding.require(judged.reads, shallow=recursing)
            binding.require_items(rows, shallow=recursing)
            relation = cursor.sql(sql) if params is None else cursor.sql(sql, params=params)
            if relation is not None and binding.is_given(judged.reads):
                relation.execute()  # what the rows of others don't fit is said here
        except duckdb.Error as exc:
            raise self._error(exc, sql) from exc
        if relation is None:  # a statement with nothing to return, which check_select should have refused
            raise InvalidInputError(f"SQL {shown(sql)} returns no rows", kind="sql", sql=sql)
        return relation

    def audit(self, tables: Mapping[str, Rows]) -> list[tuple[str, str, str]]:
        """Return the problems that the audits find as (audit, object, message); none on a healthy lake."""
        audits = [view.name for view in self.files if view.folder == AUDITS]
        binding = self._binding(tables, NONE_LOST, {}, logs=True)
        binding.require(audits)
        cursor = binding.connection.cursor()
        return [
            (name.removeprefix("audit_"), *row)
            for name in audits
            for row in cursor.execute(f"select object, message from {name} order by all").fetchall()
        ]

    def _reads_logs(self, names: Iterable[str]) -> bool:
        """Say whether metric points or events are read; what view files of others read is not known."""
        read = set(names)
        if not {view.name.lower() for view in self._given}.isdisjoint(read):
            return True
        for view in reversed(self.files):
            if view.name in read:
                read |= view.reads
        return not read.isdisjoint(LOG_SCHEMAS)

    def _binding(
        self, tables: Mapping[str, Rows], lost: frozenset[str], entries: Mapping[str, str], *, logs: bool
    ) -> _Binding:
        wanted = tuple(tables[name] for name in _CORE)
        keys = [(*map(id, wanted), lost, with_logs) for with_logs in (True, False)]
        with self._lock:
            # a binding holds its tables, so an id can't have been given to another table meanwhile
            key = next((key for key in keys if key in self._bindings), None)
            if key is None or (logs and not key[-1]):
                key = keys[0] if logs else keys[1]
            found = self._bindings.pop(key, None)
            if found is None or not found.fits(entries):  # relations made of the other one keep reading what it reads
                found = _Binding(self.files, tables, lost, self._given, self._limits, logs=logs)
            self._bindings[key] = found
            while len(self._bindings) > _KEPT_BINDINGS:
                del self._bindings[next(iter(self._bindings))]
        return found

    def _error(self, exc: Exception, sql: str) -> InvalidInputError:
        text = str(exc)
        hint = None
        unknown = re.search(r"Table with name (\S+?) does not exist", text)
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
        self,
        files: Sequence[View],
        tables: Mapping[str, Rows],
        lost: frozenset[str],
        given: Sequence[View],
        limits: Limits,
        *,
        logs: bool,
    ) -> None:
        self.tables = tuple(tables[name] for name in _CORE)
        names = [*_CORE, *(name for name in _MODELS if name in tables), *(LOG_SCHEMAS if logs else ())]
        self._relations = {name: tables[name] for name in names}
        self._bound: set[str] = set()
        self._shallow: set[str] = set()  # those of which it is known that no text is nested too deep
        self.connection = open_tables({}, (), memory_bytes=MEMORY_BYTES)
        if lost:
            name_lost(self.connection, lost)
        lock(
            self.connection,
            (path for one in self._relations.values() if isinstance(one, FileScan) for path in one.paths),
        )
        models = load_model_views() if _MODELS[0] in self._relations else {}
        own = {view.name for view in files}
        helpers = [models[name] for name in (_REPLACED, *sorted(models.keys() - own - {_REPLACED})) if name in models]
        self._files = [*helpers, *(models.get(view.name, view) for view in files)]
        self._given = {view.name.lower(): view for view in given}
        self._limits = limits
        self._is_any_lost = bool(lost)
        self._known = {view.name for view in self._files}
        self._made: set[str] = set()
        self._lock = threading.Lock()
        self._items = ItemTables(self.connection)
        self._caged = threading.Lock()  # of the thread that lets a view file run
        self._keys: list[tuple[str, str]] | None = None
        self.runs: KeptRuns | None = None

    def require(self, names: Iterable[str], *, shallow: bool = False) -> None:
        """Make these views, in lower case, and those they read.

        Args:
            names: The views.
            shallow: Whether no text in what they read may be nested too deep.

        Raises:
            InvalidInputError: kinds ``bad-view`` and ``view-limit``, for view files of others among them.
        """
        read = set(names)
        with self._lock:
            for view in reversed(self._files):
                if view.name in read:
                    read |= view.reads
            wanted = self._known & read
            for name in self._relations.keys() & read:
                self._bind(name, shallow=shallow)
            missing = [view for view in self._files if view.name in wanted - self._made]
            if self._keys is None and any("metrics" in view.words for view in missing):
                self._keys = self._find_keys()
            for view in missing:
                if view.name == _REPLACED:
                    self.connection.from_arrow(self.connection.sql(view.sql).to_arrow_table()).create_view(view.name)
                elif view.name == "runs" and self.runs is not None:
                    self.runs.make(self.connection, view, lost=self._is_any_lost)
                else:
                    make_view(self.connection, view, self._keys or [], lost=self._is_any_lost)
                self._made.add(view.name)
        for name in self._given.keys() & read:
            self._require_given(name)

    def _bind(self, name: str, *, shallow: bool) -> None:
        rows = self._relations[name]
        if name in self._bound:
            if isinstance(rows, FileScan):
                rows.hold()
        else:
            bind(self.connection, name, rows)
            self._bound.add(name)
        if shallow and isinstance(rows, FileScan) and name not in self._shallow:
            bind_shallow(self.connection, name, rows)
            self._shallow.add(name)

    def _require_given(self, name: str) -> None:
        """Let a view file run, once, and bind its rows."""
        with self._caged:
            if name in self._made:
                return
            view, relations = self._given[name], [*self._known, *_CORE, *LOG_SCHEMAS]
            rows = rows_of_view(view, self._given.values(), relations, self._all_of, self._limits)
            with self._lock:
                rows.bind(self.connection, view.name)
                self._made.add(name)

    def _all_of(self, relation: str) -> duckdb.DuckDBPyRelation:
        self.require([relation])
        return self.connection.cursor().sql(f"from {quoted(relation)}")

    def _find_keys(self) -> list[tuple[str, str]]:
        """Find the parameters and metrics of the runs; of many runs, the runs themselves, which are kept."""
        changes = _run_changes(self.connection)
        if not changes:
            return []
        if changes <= _MANY_CHANGES:
            return run_columns(count_keys(self.connection, self._files))
        before = [one.runs for one in list(_bindings) if one.runs is not None and one.runs.precedes(self.connection)]
        newest = max(before, key=lambda one: one.last, default=None)
        found = None if newest is None else renewed(newest, self.connection, self._files)
        self.runs = gathered(self.connection, self._files) if found is None else found
        _bindings.add(self)
        return run_columns(self.runs.counts)

    def fits(self, entries: Mapping[str, str]) -> bool:
        """Say whether no item is bound as another entry than these."""
        return self._items.fit(entries)

    def require_items(self, rows: Mapping[str, ItemContent], *, shallow: bool) -> None:
        """Make items relations, by their references; ``shallow``: with texts that any function can take."""
        for name, (entry, load) in rows.items():
            with self._lock:
                self._items.bind(name, entry, load, shallow=shallow)

    def is_given(self, names: Iterable[str]) -> bool:
        """Say whether a view file of others is among these views."""
        return not self._given.keys().isdisjoint(names)

    def require_all(self) -> None:
        """Make all views of the library."""
        self.require({*self._known, *LOG_SCHEMAS})


_bindings: weakref.WeakSet[_Binding] = weakref.WeakSet()
"""Those that keep runs: what one has, the next version's begins with, whichever views it is of."""


_inherited: list[_Binding] = []
"""What a forked child has of its parent; never closed, as that waits for threads that are not there."""


def _run_changes(connection: duckdb.DuckDBPyConnection) -> int:
    """Return how many rows of the journal are about runs."""
    found = connection.execute("select count(*) from manifests where op = 'run'").fetchone()
    return int(found[0]) if found else 0


# -- without user views --------------------------------------------------------------------------------


@cache
def default_views() -> Views:
    """Return the library's own views, shared by the process."""
    return Views()


def connect(tables: Mapping[str, Rows], *, locked: bool = False) -> duckdb.DuckDBPyConnection:
    """See Views.connect."""
    return default_views().connect(tables, locked=locked)


def query(
    tables: Mapping[str, Rows], sql: str, params: Sequence[Any] | Mapping[str, Any] | None = None
) -> duckdb.DuckDBPyRelation:
    """See Views.query."""
    return default_views().query(tables, sql, params)

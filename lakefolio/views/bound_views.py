"""The views over one state of a lake's tables: a locked connection in which each view is made when it is first read.

Making a view costs about a millisecond and there are dozens, while a query reads two or three.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from lakefolio.format.schema import LOG_SCHEMAS, SCHEMAS
from lakefolio.format.sql_text import sql_id
from lakefolio.views.arrow_relation import relation_of
from lakefolio.views.binding import count_keys, lock, make_view, name_lost, open_tables
from lakefolio.views.item_tables import ItemContent, ItemTables
from lakefolio.views.kept_rows import keep_view
from lakefolio.views.model_runs import STATES, count_states, make_runs
from lakefolio.views.relations import FileScan, Rows, bind, bind_shallow
from lakefolio.views.run_columns import KEY_VIEWS, KeyCounts, run_columns
from lakefolio.views.sandbox import Limits, rows_of_view
from lakefolio.views.sql_result import Uses
from lakefolio.views.view_files import ViewFile, load_model_views

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import duckdb

__all__ = ["CORE", "FACTS", "BoundViews", "run_changes"]

CORE = tuple(name for name in SCHEMAS if name not in LOG_SCHEMAS)
_MEMORY_BYTES = 512 << 20
"""The memory limit of a lake's SQL; larger intermediate results are spilled to a temporary folder."""
_PARTS = ("entries_replaced", "entries_unreplaced")
"""The model's rows in two: those of files in which some may have been replaced, and the others, which need no join."""
_MANY_NAMES = 50_000
"""So many replaced names lie in nearly all files."""
_FEW_ROWS = 1_000
"""Of relations of no more rows, one thread answers in less time than several, which have to be woken for each step."""
_MANY_CHANGES = 60
"""From so many changes of runs on, the rows of the view ``runs`` are kept: they are gathered from many facts."""
_REPLACED = "replaced_heads"
_ONCE = (_REPLACED, "replaced_facts", "replaced_states")
"""The views of models whose rows are computed once: they are few, and read by every query."""
FACTS = ("metadata_model", "commits_model")
"""The relations of the read models that facts are read from."""
_ENTRIES = "entries_model"
_MODELS = (_ENTRIES, "manifests_since")
"""The relations of a read model, beside the journal: its rows, and those of the journal that it does not hold yet."""


class BoundViews:
    """A locked connection over one state of the tables. Safe to share between threads.

    Attributes:
        tables: The tables that every lake has; held, so that no other object gets their ids.
        connection: The connection; queries run on cursors of it.
        uses: Who reads the tables.
    """

    def __init__(
        self,
        files: Sequence[ViewFile],
        tables: Mapping[str, Rows],
        lost: frozenset[str],
        given: Sequence[ViewFile],
        limits: Limits,
        further: frozenset[str],
        *,
        items: bool,
    ) -> None:
        self.tables = tuple(tables[name] for name in CORE)
        self._relations = _relations_of(tables, further)
        self._has_one_thread = not items and _are_few(self._relations)  # which can't be changed once it is locked
        self._bound: set[str] = set()
        self._shallow: set[str] = set()  # those of which it is known that no text is nested too deep
        self.connection = open_tables({}, (), memory_bytes=_MEMORY_BYTES)
        if self._has_one_thread:
            self.connection.execute("set threads = 1")
        self.uses = Uses(self.connection)
        scans = [one for one in self._relations.values() if isinstance(one, FileScan)]
        if lost:
            name_lost(self.connection, lost)
        lock(self.connection, (path for one in scans for path in one.paths))
        models = load_model_views() if _ENTRIES in self._relations else {}
        models = {name: view for name, view in models.items() if self._relations.keys() >= _models_of(view)}
        own = {view.name for view in files}
        helpers = [models[name] for name in (*_ONCE, *sorted(models.keys() - own - {*_ONCE})) if name in models]
        self._of_journal = files
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
        self._counts: Mapping[str, KeyCounts] = {}
        self._keeps_runs = False

    def require(self, names: Iterable[str], *, shallow: bool = False) -> None:
        """Make these views, in lower case, and those they read.

        Args:
            names: The views.
            shallow: Whether texts that are nested too deep must be left out of their relations.

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
            is_of_states = STATES in self._relations
            if self._keys is None and not is_of_states and any(view.name == "runs" for view in missing):
                self._keys = self._find_keys()
            for view in missing:
                if view.name in _ONCE:
                    relation_of(self.connection, self.connection.sql(view.sql).to_arrow_table()).create_view(view.name)
                    if view.name == _REPLACED:
                        self._part()
                elif view.name == "runs" and is_of_states:
                    self._counts = count_states(self.connection, self._relations[STATES])
                    make_runs(self.connection, view, self._counts, lost=self._is_any_lost)
                elif view.name == "runs" and self._keeps_runs:
                    make_view(self.connection, view, self._keys or [])
                    keep_view(self.connection, view, lost=self._is_any_lost)
                else:
                    make_view(self.connection, view, self._keys or [], lost=self._is_any_lost)
                self._made.add(view.name)
        for name in self._given.keys() & read:
            self._require_given(name)

    def bind_anew(self, tables: Mapping[str, Rows], lost: frozenset[str], further: frozenset[str]) -> bool:
        """Become the views over other tables, if nobody reads these any more; nobody else may use the object meanwhile.

        A connection and the views in it take three quarters of the time of a query of a small lake. Only what is in
        memory and came of the library alone is bound anew.

        Returns:
            Whether that could be done; if not, nothing was.
        """
        relations = _relations_of(tables, further)
        plain = self._relations.keys() == relations.keys() and relations.keys().isdisjoint((_ENTRIES, STATES))
        if not plain or lost or self._is_any_lost or self._items.are_any() or not self.uses.are_over():
            return False
        if not self._given.keys().isdisjoint(self._made) or (self._has_one_thread and not _are_few(relations)):
            return False
        if any(isinstance(one, FileScan) for one in relations.values()):
            return False  # a connection may read the files alone that there were when it was made
        for name in self._bound:
            old, new = self._relations[name], relations[name]
            if isinstance(old, FileScan) or isinstance(new, FileScan) or not old.schema.equals(new.schema):
                return False
        self.tables = tuple(tables[name] for name in CORE)
        self._relations, self._bound = relations, set()
        self._keys, self._counts = None, {}
        for view in self._files:  # with a column for each parameter and metric, or made of such views
            if view.name == "runs" or "metrics" in view.words or not view.reads <= self._made | relations.keys():
                self._made.discard(view.name)
        return True

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
            if name == _ENTRIES and _REPLACED in self._made:
                self._part()

    def _part(self) -> None:
        """Tell the files of the model that need a join from the others."""
        rows = self._relations[_ENTRIES]
        names = self.connection.sql(load_model_views()["replaced_names"].sql).limit(_MANY_NAMES).fetchall()
        if isinstance(rows, FileScan) and _ENTRIES not in self._shallow and len(names) < _MANY_NAMES:
            for name, some in zip(_PARTS, rows.parted(names), strict=True):
                bind(self.connection, name, some)
        else:
            for name, limit in zip(_PARTS, ("", " limit 0"), strict=True):
                self.connection.execute(f"create or replace view {name} as from {_ENTRIES}{limit}")

    def _require_given(self, name: str) -> None:
        """Let a view file run, once, and bind its rows."""
        with self._caged:
            if name in self._made:
                return
            view, relations = self._given[name], [*self._known, *CORE, *LOG_SCHEMAS]
            rows = rows_of_view(view, self._given.values(), relations, self._all_of, self._limits)
            with self._lock:
                rows.bind(self.connection, view.name)
                self._made.add(name)

    def _all_of(self, relation: str) -> duckdb.DuckDBPyRelation:
        self.require([relation])
        return self.connection.cursor().sql(f"from {sql_id(relation)}")

    def _find_keys(self) -> list[tuple[str, str]]:
        """Find the parameters and metrics of the runs, and whether the rows of the view of runs are kept."""
        changes = run_changes(self.connection)
        if not changes:
            return []
        self._made -= KEY_VIEWS  # made of the journal here
        self._counts = count_keys(self.connection, self._of_journal)
        self._keeps_runs = changes > _MANY_CHANGES
        return run_columns(self._counts)

    def metric_names(self) -> list[str]:
        """Return the names of the metrics that any run has, sorted."""
        self.require(["runs"])
        found = (key.partition(".") for key in self._counts if key.startswith("metrics."))
        return sorted(name for _, _, name in found if name)

    def fits(self, entries: Mapping[str, str]) -> bool:
        """Say whether no item is bound as another entry than these, and the rows of any may be read."""
        return self._items.fit(entries) and not (entries and self._has_one_thread)

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


def _relations_of(tables: Mapping[str, Rows], further: frozenset[str]) -> dict[str, Rows]:
    names = [*CORE, *(name for name in (*_MODELS, *further) if name in tables)]
    return {name: tables[name] for name in names}


def _are_few(relations: Mapping[str, Rows]) -> bool:
    return all(not isinstance(rows, FileScan) and rows.num_rows <= _FEW_ROWS for rows in relations.values())


def _models_of(view: ViewFile) -> frozenset[str]:
    """Return the relations of read models that a view of a model reads itself."""
    return view.reads & {*_MODELS, *FACTS, STATES}


def run_changes(connection: duckdb.DuckDBPyConnection) -> int:
    """Return how many rows of the journal are about runs."""
    found = connection.execute("select count(*) from manifests where op = 'run'").fetchone()
    return int(found[0]) if found else 0

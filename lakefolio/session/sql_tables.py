"""The tables of a lake at one version, and SQL over the views that are bound to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakefolio.config.settings import setting
from lakefolio.errors import InvalidInputError
from lakefolio.format.arrow_rows import rows_of
from lakefolio.format.layout import JOURNAL, LOG_TABLES, TABLES
from lakefolio.format.schema import MANIFESTS_SCHEMA
from lakefolio.model.derived import DERIVED, derive
from lakefolio.session.batches import pending_view

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from lakefolio.session.session import Session
    from lakefolio.views.engine import Views
    from lakefolio.views.user_views import OwnViews

__all__ = ["Tables", "audit", "bare_tables", "connect", "edges", "own_views", "query", "tables"]

_KEPT_TABLES = 4


def edges(session: Session, /) -> pa.Table:
    """Return every lineage row (schema LINEAGE_SCHEMA), those of an open batch included."""
    import pyarrow as pa

    rows = session.tables()["lineage"]
    pending = pending_view(session)
    if pending is not None and (new := pending.pending_rows()):
        rows = pa.concat_tables([rows, derive("lineage", rows_of(MANIFESTS_SCHEMA, new))])
    return rows


def tables(session: Session, /, *, content: bool = False) -> Tables:
    """Return the rows of the tables that count at this session's version, without copying.

    Metric points and events are read when they are asked for, ``lineage`` and ``metadata`` derived. The same
    objects as last time if the lake has not moved, so that what was bound to them can be used again.

    Args:
        content: Whether the inline content of all items is wanted too; what is not at hand is read from data files.
    """
    state = session.committed()
    version = state.version
    kept = session.opened.tables.get((version, content))
    if kept is not None:
        return kept
    rows = session.tables()[JOURNAL] if content else state.table()
    whole = session.journal.erase(session.journal.with_contents(rows)) if content else rows
    tables = Tables(whole, lambda name: _log_rows(session, name, version, texts=True))
    session.opened.tables[version, content] = tables
    for old in list(session.opened.tables)[:-_KEPT_TABLES]:
        session.opened.tables.pop(old, None)
    return tables


def bare_tables(session: Session, /) -> Tables:
    """Return the same without the texts of events that lie in blobs: for looking at what may be damaged."""
    manifests = session.tables()["manifests"].slice(0)  # another object: what is bound to it is bound apart
    version = session.committed().version
    return Tables(manifests, lambda name: _log_rows(session, name, version, texts=False))


def _log_rows(session: Session, name: str, version: int, *, texts: bool) -> pa.Table:
    rows = session.journal.log_rows(name, version)
    if name != "event_rows" or not rows.num_rows or not texts:
        return rows
    from lakefolio.content.event_text import whole

    return whole(rows, session.journal.state.table(), session.blobs)


def query(session: Session, /, sql: str, params: Any = None) -> duckdb.DuckDBPyRelation:
    """Answer one reading SQL statement over the views (InvalidInputError of kind ``sql`` otherwise).

    The view files of the user and of the lake are looked for only if it names a view that there is not.
    """
    views = _views()
    named = isinstance(sql, str) and "content" in sql.lower()
    try:
        relation = views.query(session.tables(content=named), sql, params, lost=session.lost)
    except InvalidInputError as exc:
        if not exc.objects.get("unknown"):
            raise
        own = session.own_views()
        if not any(view.name.lower() in sql.lower() for view in own.views):
            raise
        views, named = own.all(), named or own.ask_for_content
        relation = views.query(session.tables(content=named), sql, params, lost=session.lost)
    if named or "content" not in relation.columns:
        return relation
    return views.query(session.tables(content=True), sql, params, lost=session.lost)


def own_views(session: Session, /) -> OwnViews:
    """Return the view files of the user and of the lake, as they are now."""
    from lakefolio.views.user_views import own_views

    folder = setting("views")
    return own_views(session.store, None if folder is None else Path(folder))


def connect(session: Session, /) -> duckdb.DuckDBPyConnection:
    """Return a DuckDB connection with the views bound at this session's version."""
    return _views().connect(session.tables(content=True), lost=session.lost)


def audit(session: Session, /) -> list[tuple[str, str, str]]:
    """Return what the audits of ``sql/`` object to, as (audit, object, message)."""
    return _views().audit(session.bare_tables())


class Tables(Mapping[str, "pa.Table"]):
    """The tables of a lake at one version, by name; what is not the journal is read or derived when it is asked for."""

    def __init__(self, manifests: pa.Table, load: Callable[[str], pa.Table]) -> None:
        self._known = {JOURNAL: manifests}
        self._load = load

    def __getitem__(self, name: str) -> pa.Table:
        """Return the rows of a table."""
        if name not in self._known:
            if name in DERIVED:
                self._known[name] = derive(name, self._known[JOURNAL])
            elif name in LOG_TABLES:
                self._known[name] = self._load(name)
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        """Give the names."""
        return iter((*TABLES, *LOG_TABLES, *DERIVED))

    def __len__(self) -> int:
        """Say how many there are."""
        return len(TABLES) + len(LOG_TABLES) + len(DERIVED)


@cache
def _views() -> Views:
    from lakefolio.views.engine import Views

    return Views()

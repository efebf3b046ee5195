"""The tables of a lake at one version, and SQL over the views that are bound to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lakefolio.config.settings import setting
from lakefolio.errors import IntegrityError, InvalidInputError
from lakefolio.format.layout import JOURNAL
from lakefolio.format.names import parse_ref
from lakefolio.format.table_formats import RECORDS
from lakefolio.session.record_tables import dataset_of, reader_of, state_of
from lakefolio.session.relations import LakeTables

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from lakefolio.session.session import Session
    from lakefolio.views.engine import Views
    from lakefolio.views.user_views import OwnViews

__all__ = ["connect", "metric_names", "own_views", "query", "tables"]

T = TypeVar("T")
_KEPT_TABLES = 4
_LOOKS = 4
_OF_CONTENT = ("content", "storage_savings")
"""SQL that names inline content, or computes with it."""


def tables(session: Session, /, *, content: bool = False, texts: bool = True) -> LakeTables:
    """Return the tables at this session's version, as SQL reads them.

    The same objects as last time if the lake has not moved, so that connections bound to them can be used again.

    Args:
        content: Whether the inline content of all items is wanted too.
        texts: Whether the whole texts of events that lie in blobs are wanted.
    """
    state = session.committed()
    key = (state.version, state.base_version, content, texts)
    known = session.opened.tables
    kept = known.get(key)
    if kept is None:
        known[key] = kept = LakeTables(session.journal, state, session.blobs, content=content, texts=texts)
        for old in list(known)[:-_KEPT_TABLES]:
            known.pop(old, None)
    return kept


def query(
    session: Session,
    /,
    sql: str,
    params: object = None,
    *,
    given: Mapping[str, pa.Table] | None = None,
    texts: bool = True,
) -> duckdb.DuckDBPyRelation:
    """Answer one reading SQL statement over the views (InvalidInputError of kind ``sql`` otherwise).

    Tables of the lake are relations too, called by their references: ``"folio:name"``, ``"folio:name@version"``.

    The view files of the user and of the lake are looked for only if it names a view that there is not. ``given`` are
    further relations, by names that hold a colon and are no references; ``texts`` as for :func:`tables`.
    """
    return _of_files(session, lambda: _query(session, sql, params, given or {}, texts))


def _of_files(session: Session, ask: Callable[[], T]) -> T:
    """Return the answer of a question to the tables; replaced and deleted files are chosen anew."""
    for _ in range(_LOOKS):
        try:
            return ask()
        except IntegrityError as exc:
            if exc.objects.get("table") == JOURNAL and not session.journal.outdated(exc):
                raise
            session.opened.tables.clear()
    return ask()


def _query(
    session: Session, sql: str, params: Any, given: Mapping[str, pa.Table], texts: bool
) -> duckdb.DuckDBPyRelation:
    views = _views()

    def items(name: str) -> tuple[str, Callable[[], Any]]:
        return (name, lambda: given[name]) if name in given else _item_rows(session, name)

    named = isinstance(sql, str) and any(word in sql.lower() for word in _OF_CONTENT)
    try:
        relation = views.query(session.tables(content=named, texts=texts), sql, params, lost=session.lost, items=items)
    except InvalidInputError as exc:
        if not exc.objects.get("unknown"):
            raise
        own = session.own_views()
        if not any(view.name.lower() in sql.lower() for view in own.views):
            exc.hint = _meant_item(session, str(exc.objects["unknown"])) or exc.hint
            raise
        views, named = own.all(), named or own.ask_for_content
        relation = views.query(session.tables(content=named, texts=texts), sql, params, lost=session.lost, items=items)
    if named or "content" not in relation.columns:
        return relation
    return views.query(session.tables(content=True, texts=texts), sql, params, lost=session.lost, items=items)


def _meant_item(session: Session, name: str) -> str | None:
    """Return how the table of an item is written, if that is what an unknown name means."""
    sql = "select folio, item from items where kind = 'table' and lower(item) = lower($1) and folio is not null limit 1"
    item, joined, at = name.partition("@")
    found = _views().query(session.tables(), sql, [item], lost=session.lost).fetchone()
    if found is None:
        return None
    return f'the table of an item is written "folio:item": "{found[0]}:{found[1]}{joined}{at}"'


def _item_rows(session: Session, name: str) -> tuple[str, Callable[[], Any]]:
    """Return the entry of an item that SQL names, and a function that loads its rows; each call records the read.

    Raises:
        NotFoundError: There is no such item.
        InvalidInputError: kind ``wrong-kind`` if it is no table.
    """
    ref = parse_ref(name)
    entry = session.entry(ref.folio or "", ref.item, ref.at)
    if entry.kind == RECORDS:
        session.was_read(entry)
        shown = reader_of(session, entry, ref.at)
        now = state_of(shown, entry)
        return f"{entry.entry_id}@{now.version}", lambda: dataset_of(shown, entry, now)
    if entry.kind != "table":
        raise InvalidInputError(
            f"SQL reads tables, and {entry.ref} is of kind {entry.kind!r}",
            kind="wrong-kind",
            hint="lake.get reads items of every kind",
            item=entry.item,
            folio=entry.folio,
        )
    session.was_read(entry)
    return entry.entry_id, lambda: session.load(entry, as_="arrow" if entry.storage == "reference" else "dataset")


def metric_names(session: Session, /) -> list[str]:
    """Return the names of the metrics that any run has, sorted."""
    return _of_files(session, lambda: _views().metric_names(session.tables(), lost=session.lost))


def own_views(session: Session, /) -> OwnViews:
    """Return the view files of the user and of the lake, as they are now."""
    from lakefolio.views.user_views import own_views

    folder = setting("views")
    return own_views(session.store, None if folder is None else Path(folder))


def connect(session: Session, /) -> duckdb.DuckDBPyConnection:
    """Return a DuckDB connection with the views bound at this session's version."""
    return _of_files(session, lambda: _views().connect(session.tables(content=True), lost=session.lost))


@cache
def _views() -> Views:
    from lakefolio.views.engine import Views

    return Views()

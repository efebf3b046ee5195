"""``search('late flights')`` as a table function of SQL: its hits are rows, best first."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from lakefolio.errors import InvalidInputError, nearest
from lakefolio.search.reading import search_of
from lakefolio.views.table_calls import TableCall, replaced_calls

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from lakefolio.session.session import Session

__all__ = ["query"]

_NAME: Final = "search"
_OPTIONS: Final = ("folio", "kind", "limit", "meaning")


def query(session: Session, sql: str, params: Any = None) -> duckdb.DuckDBPyRelation:
    """Answer one reading SQL statement, in which ``search(…)`` may stand for the hits of a search.

    Args:
        session: Fixed to one version, which is searched and read.
        sql: See ``Session.query``.
        params: Values of its parameters.

    Raises:
        InvalidInputError: kind ``sql``, or what a search raises.
        NotFoundError: As a search does.
    """
    replaced, calls = replaced_calls(sql, _NAME)
    if not calls:
        return session.query(sql, params)
    given = {name: _hits(session, sql, call) for name, call in calls.items()}
    return session.query(replaced, params, given=given)


def _hits(session: Session, sql: str, call: TableCall) -> pa.Table:
    if len(call.values) != 1:
        raise InvalidInputError(
            f"search() in SQL takes one text, got {len(call.values)} values",
            kind="sql",
            hint="write options by name: search('late flights', kind := 'table')",
            sql=sql,
        )
    if wrong := next((name for name in call.named if name not in _OPTIONS), None):
        raise InvalidInputError(
            f"search() in SQL has no option {wrong!r}", kind="sql", hint=nearest(wrong, _OPTIONS), sql=sql
        )
    return partial(search_of, session, call.values[0])(**call.named).to_arrow()

"""What a text of SQL is, going by DuckDB's own parser: one statement that reads, or one expression."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lakefolio.errors import InvalidInputError

if TYPE_CHECKING:
    import duckdb

# Functions that change the connection though a SELECT calls them, whatever is locked: with logging to a file enabled,
# no statement of the connection works any more. query() could call them by a text put together at run time.
_CHANGING = re.compile(
    r"(?i)\b((?:en|dis)able_(?:logging|profiling)|truncate_duckdb_logs|write_log)\b|\b(query)\"?\s*\("
)

__all__ = ["check_expression", "check_select", "first_line", "half_a_character", "shown"]


def check_select(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Refuse everything but one statement that reads, going by DuckDB's own parser."""
    import duckdb

    _check_functions(sql)
    kinds = duckdb.StatementType
    statements = connection.extract_statements(sql)
    # PIVOT without a list of values is parsed as two, without texts: the making of an enum, and the SELECT
    if len(statements) > 1 and not any(one.query for one in statements):
        statements = [one for one in statements if one.type != kinds.CREATE] or statements
    if len(statements) != 1:
        raise InvalidInputError(f"SQL {shown(sql)} has {len(statements)} statements, expected one", kind="sql", sql=sql)
    kind = statements[0].type
    if kind == kinds.EXPLAIN:
        # EXPLAIN ANALYZE runs what it explains
        rest = re.sub(r"(?is)^\s*(--[^\n]*\n|/\*.*?\*/|\s)*explain\s+(analyze\s+|\([^)]*\)\s*)?", "", sql, count=1)
        if rest == sql:
            kind = kinds.INVALID
        else:
            check_select(connection, rest)
            return
    if kind != kinds.SELECT:
        raise InvalidInputError(
            f"SQL {shown(sql)} is not a statement that reads, but {kind.name.replace('_', ' ')}",
            kind="sql",
            hint="views can't be written; change the lake by its methods, make scratch tables in connect()",
            sql=sql,
        )


def half_a_character(sql: str) -> bool:
    """Say whether a text holds a lone surrogate, which no SQL can."""
    return any(0xD800 <= ord(one) <= 0xDFFF for one in sql)


def shown(sql: str) -> str:
    """Return SQL as an error shows it."""
    text = " ".join(sql.split())
    return repr(text if len(text) <= 60 else text[:59] + "…")


def first_line(exc: Exception) -> str:
    """Return what DuckDB objects to, in one line."""
    line = next(iter(str(exc).splitlines()), "").strip()
    return re.sub(r"^[A-Z][A-Za-z ]* Error: ", "", line)


def check_expression(text: object) -> str:
    """Return a text if it is one SQL expression, so that it can stand in parentheses in a statement of ours.

    It must be parsed alone and in parentheses: no list, no clause, no parenthesis that closes ours passes both.

    Raises:
        InvalidInputError: kind ``sql``, for anything else.
    """
    import duckdb

    hint = "write one condition that is true or false of an item, such as size_bytes > 1000 and folio like 'exp%'"
    if not isinstance(text, str) or half_a_character(text):
        raise InvalidInputError(f"where={text!r} is not an SQL expression", kind="sql", hint=hint, sql=str(text))
    try:
        for form in (text, f"({text}\n)"):
            parsed = str(duckdb.SQLExpression(form))
    except duckdb.Error as exc:
        reason = first_line(exc)
        raise InvalidInputError(
            f"where {shown(text)} is not one SQL expression: {reason}", kind="sql", hint=hint, sql=text
        ) from exc
    if re.search(r"\$\d|\$\w", re.sub(r"'(?:[^']|'')*'", "", parsed)):
        raise InvalidInputError(
            f"where {shown(text)} has a parameter",
            kind="sql",
            hint="write the value, or use the other fields",
            sql=text,
        )
    _check_functions(text)
    return text


def _check_functions(sql: str) -> None:
    found = _CHANGING.search(sql)
    if found:
        raise InvalidInputError(
            f"SQL {shown(sql)} calls {found[1] or found[2]}, which does more than read",
            kind="sql",
            hint="connect() gives a connection of your own",
            sql=sql,
        )

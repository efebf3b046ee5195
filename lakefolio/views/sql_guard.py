"""A check of SQL by DuckDB's own parser: one statement that only reads, or one expression."""

from __future__ import annotations

import json
import os
import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final

from lakefolio.errors import InvalidInputError
from lakefolio.process.scratch import spill_options
from lakefolio.terminal import has_surrogate
from lakefolio.views.connecting import connect_in_memory
from lakefolio.views.sql_rules import Judgement, judge, judge_words

if TYPE_CHECKING:
    import duckdb

__all__ = ["about_where", "check_expression", "check_select", "first_line", "is_text", "serialised", "shown", "to_sql"]

_EXPLAIN: Final = re.compile(r"(?is)^\s*(--[^\n]*\n|/\*.*?\*/|\s)*explain\s+(analyze\s+|\([^)]*\)\s*)?")
_NAME: Final = re.compile(r'"((?:[^"]|"")*)"|(\w+)')


@lru_cache(maxsize=256)
def check_select(sql: str) -> Judgement:
    """Return the relations that a statement reads; refuse all but one reading statement with allowed functions.

    Raises:
        InvalidInputError: kind ``sql``.
        duckdb.Error: It is no SQL.
    """
    import duckdb

    kinds = duckdb.StatementType
    statements = _parser().extract_statements(sql)
    # PIVOT without a list of values is parsed as two, without texts: the making of an enum, and the SELECT
    is_pivot = len(statements) > 1 and not any(one.query for one in statements)
    if is_pivot:
        statements = [one for one in statements if one.type != kinds.CREATE] or statements
    if len(statements) != 1:
        raise InvalidInputError(f"SQL {shown(sql)} has {len(statements)} statements, expected one", kind="sql", sql=sql)
    kind = statements[0].type
    if kind == kinds.EXPLAIN:
        # EXPLAIN ANALYZE runs the statement it explains
        rest = _EXPLAIN.sub("", sql, count=1)
        if rest != sql:
            return check_select(rest)
    if kind != kinds.SELECT:
        raise InvalidInputError(
            f"SQL {shown(sql)} is not a statement that reads, but {kind.name.replace('_', ' ')}",
            kind="sql",
            hint="views can't be written; change the lake by its methods, make scratch tables in connect()",
            sql=sql,
        )
    found = judge_words(_words(sql)) if is_pivot else _judged(sql)
    if found.refused is not None:
        raise _refused(f"SQL {shown(sql)}", found.refused, sql)
    return found


def is_text(sql: object) -> bool:
    """Say whether something is a text that can be SQL: without lone surrogates and without NUL, which ends a parse."""
    return isinstance(sql, str) and "\0" not in sql and not has_surrogate(sql)


def shown(sql: str) -> str:
    """Return SQL as an error shows it."""
    text = " ".join(sql.split())
    return repr(text if len(text) <= 60 else text[:59] + "…")


def first_line(exc: Exception) -> str:
    """Return DuckDB's error as one line."""
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
    if not isinstance(text, str) or not is_text(text):
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
    found = _judged(f"select (\n{text}\n)")
    if found.refused is not None:
        raise _refused(f"where {shown(text)}", found.refused, text)
    return text


def about_where(exc: InvalidInputError, where: str, columns: str) -> InvalidInputError:
    """Return the error of a statement as one of the expression that a caller gave for it, who knows no more of it.

    Args:
        exc: The error of the statement.
        where: The expression.
        columns: The columns it may use, for the hint.
    """
    reason = exc.message.partition("can't be run: ")[2] or exc.message
    hint = exc.hint or f"it sees {columns}"
    if (unknown := re.match(r'Referenced column "(\w+)" not found', reason)) is not None and re.search(
        rf"=\s*{unknown[1]}\b", where
    ):
        hint = f"a text stands in single quotes: '{unknown[1]}'; else {hint[:1].lower()}{hint[1:]}"
    if "explicit cast" in reason and "metadata" in where:
        hint = "values of metadata are JSON: write (metadata ->> 'key')::double"
    return InvalidInputError(f"where {shown(where)} can't be run: {reason}", kind="sql", hint=hint, sql=where)


def _parser() -> duckdb.DuckDBPyConnection:
    """Return a connection that only parses."""
    return _parser_of(os.getpid()).cursor()


@cache
def _parser_of(pid: int) -> duckdb.DuckDBPyConnection:
    config: dict[str, Any] = {"threads": 1}
    connection = connect_in_memory(config | spill_options())
    return connection.execute("set enable_external_access = false")  # among the options it needs a working directory


def _judged(sql: str) -> Judgement:
    return judge(_serialised(sql))


def _serialised(sql: str) -> str:
    return _answer("select json_serialize_sql(?)", sql)


def _answer(question: str, text: str) -> str:
    row = _parser().execute(question, [text]).fetchone()
    assert row is not None
    return str(row[0])


def serialised(sql: str) -> dict[str, Any]:
    """Return the tree of a statement as DuckDB's parser gives it; without ``statements`` if it is none."""
    try:
        found: dict[str, Any] = json.loads(_serialised(sql))
    except RecursionError:
        return {}
    return found


def to_sql(tree: dict[str, Any]) -> str:
    """Return the SQL of such a tree."""
    return _answer("select json_deserialize_sql(?)", json.dumps(tree))


def _words(sql: str) -> list[tuple[str, bool]]:
    """Return the names in a text, each with whether an opening parenthesis follows."""
    import duckdb

    data = sql.encode()
    starts = [start for start, _ in duckdb.tokenize(sql)]
    tokens = [data[start:end].decode() for start, end in zip(starts, [*starts[1:], len(data)], strict=True)]
    words = []
    for token, following in zip(tokens, [*tokens[1:], ""], strict=True):
        name = _NAME.match(token)
        if name is not None:
            words.append(((name[1] or name[2] or "").replace('""', '"'), following.startswith("(")))
    return words


def _refused(what: str, reason: str, sql: str) -> InvalidInputError:
    return InvalidInputError(
        f"{what} can't be run: {reason}", kind="sql", hint="connect() gives a connection of your own", sql=sql
    )

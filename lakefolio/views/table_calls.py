"""Calls of a table function of our own in SQL, replaced by relations that hold its rows.

DuckDB's parser gives the tree of the statement; a call in it becomes a relation of a name that no item has, and the
tree becomes SQL again. What is not SQL is left to DuckDB to refuse.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from lakefolio.errors import InvalidInputError
from lakefolio.format.digest import sha256_of_bytes
from lakefolio.views.sql_guard import is_text, serialised, shown, to_sql

__all__ = ["TableCall", "replaced_calls"]

_DEEPEST: Final = 600


@dataclass(frozen=True, slots=True)
class TableCall:
    """One call.

    Attributes:
        values: Its arguments in their order: texts, numbers, truth values.
        named: Its named arguments (``name := value``).
    """

    values: tuple[Any, ...]
    named: dict[str, Any]


def replaced_calls(sql: str, name: str) -> tuple[str, dict[str, TableCall]]:
    """Return SQL with relations in place of the calls of a table function, and the call of each relation.

    Args:
        sql: A statement.
        name: The name of the function.

    Raises:
        InvalidInputError: kind ``sql``: an argument is no constant.
    """
    if not is_text(sql) or name not in sql.lower():
        return sql, {}
    document = serialised(sql)
    calls: dict[str, TableCall] = {}
    left: list[tuple[Any, int]] = [(document.get("statements") or [], 0)]
    while left:
        node, depth = left.pop()
        if depth > _DEEPEST:
            return sql, {}  # the guard refuses it
        if isinstance(node, dict) and node.get("type") == "TABLE_FUNCTION":
            called = node.get("function") or {}
            if str(called.get("function_name", "")).lower() == name:
                call = _call(sql, name, called)
                said = json.dumps([call.values, call.named], sort_keys=True).encode()
                relation = f"{name}?:{sha256_of_bytes(said)[7:23]}"
                calls[relation] = call
                alias = {"alias": node.get("alias") or name, "sample": node.get("sample"), "query_location": 0}
                columns = {"column_name_alias": node.get("column_name_alias") or []}
                node.clear()
                node |= {"type": "BASE_TABLE", "schema_name": "", "catalog_name": "", "table_name": relation}
                node |= alias | columns
        inner = node.values() if isinstance(node, dict) else node
        left += [(one, depth + 1) for one in inner if isinstance(one, dict | list)]
    return (to_sql(document), calls) if calls else (sql, {})


def _call(sql: str, name: str, called: dict[str, Any]) -> TableCall:
    values: list[Any] = []
    named: dict[str, Any] = {}
    for node in called.get("children") or []:
        value = node.get("value") or {}
        if node.get("class") == "CAST":  # true and false
            value = (node.get("child") or {}).get("value") or {}
        found = value.get("value")
        if value.get("is_null") is not False or not isinstance(found, str | int | float | bool):
            raise InvalidInputError(
                f"SQL {shown(sql)} calls {name}() with something else than constants",
                kind="sql",
                hint=f"write the texts and numbers out: {name}('late flights', kind := 'table')",
                sql=sql,
            )
        found = found == "t" if node.get("class") == "CAST" and found in ("t", "f") else found
        if node.get("alias"):
            named[str(node["alias"]).lower()] = found
        else:
            values.append(found)
    return TableCall(tuple(values), named)

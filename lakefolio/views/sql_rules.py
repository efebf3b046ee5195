"""Which SQL may run, judged by its parsed tree against lists of allowed names (pure: standard library only).

DuckDB's ``json_serialize_sql`` gives the tree of a statement. Everything in the tree must be on a list: node types,
functions, table functions, types and, for the SQL of others, relations. Names that a newer DuckDB adds are refused
until they are listed in ``sql_allowed``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from lakefolio.views.sql_allowed import (
    CATALOGUE,
    EXPRESSIONS,
    FUNCTIONS,
    GRAMMAR,
    LITERAL_ONLY,
    NODES,
    PLAIN_KEYS,
    TABLE_FUNCTIONS,
    TYPES,
)

__all__ = ["Judgement", "judge", "judge_words"]

_DEPTH_LIMIT: Final = 600
"""Levels of the tree's JSON; an expression in another adds two or three."""
_BEFORE_RELATIONS: Final = frozenset({"from", "join", "pivot", "pivot_wider"})


@dataclass(frozen=True, slots=True)
class Judgement:
    """The parts of a statement that decide whether it may run.

    Attributes:
        refused: Why it may not run, or None.
        reads: The relations it names, in lower case; names of its own CTEs are left out.
        catalogue: Whether it lists the relations of the connection.
        items: Those of ``reads`` that are written as items of the lake, ``"folio:name"``, as they are written.
    """

    refused: str | None
    reads: frozenset[str] = frozenset()
    catalogue: bool = False
    items: frozenset[str] = frozenset()


def judge(serialised: str, *, known: frozenset[str] | None = None) -> Judgement:
    """Judge the result of ``json_serialize_sql`` for a text.

    Args:
        serialised: Its answer.
        known: The relations that the SQL of others may read, in lower case; None for one's own SQL, which may
            also have parameters, describe and summarise, and name whatever there is.
    """
    try:
        document = json.loads(serialised)
    except RecursionError:
        return Judgement("it is nested too deep")
    if document.get("error"):
        return Judgement(str(document.get("error_message", "it is no SQL")))
    statements = document["statements"]
    if len(statements) != 1:
        return Judgement(f"it has {len(statements)} statements, expected one")
    found = _Found(known)
    try:
        for node in _nodes(statements[0]):
            found.look_at(node)
    except _RefusedError as exc:
        return Judgement(str(exc))
    reads = frozenset(found.reads - found.ctes)
    if known is not None and not reads <= known:
        return Judgement(f"it reads {min(reads - known)!r}, which is no view here")
    return Judgement(None, reads, found.catalogue, frozenset(one for one in found.items if one.lower() in reads))


def judge_words(words: list[tuple[str, bool]]) -> Judgement:
    """Judge one's own SQL by its words, where DuckDB gives no tree (PIVOT that looks for its values itself).

    Args:
        words: Each name with whether an opening parenthesis follows it.

    Returns:
        Refused if it calls anything that is on no list; ``reads`` are all of its words, ``items`` those where a
        relation stands.
    """
    names = [word.lower() for word, _ in words]
    for name, (_, is_called) in zip(names, words, strict=True):
        if is_called and name not in FUNCTIONS | TABLE_FUNCTIONS | GRAMMAR:
            return Judgement(f"it calls {name}, which is not allowed")
    after = zip(names, [word for word, _ in words[1:]], strict=False)
    items = frozenset(word for before, word in after if before in _BEFORE_RELATIONS and _is_item(word))
    return Judgement(None, frozenset(names), items=items)


def _is_item(name: str) -> bool:
    return ":" in name and "://" not in name and "\\" not in name


class _RefusedError(Exception):
    """The reason."""


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Give every object of a tree, without recursion."""
    left = [(tree, 0)]
    while left:
        node, depth = left.pop()
        if depth > _DEPTH_LIMIT:
            raise _RefusedError("it is nested too deep")
        if isinstance(node, dict):
            yield node
            left += [(one, depth + 1) for one in node.values() if isinstance(one, dict | list)]
        else:
            left += [(one, depth + 1) for one in node if isinstance(one, dict | list)]


class _Found:
    def __init__(self, known: frozenset[str] | None) -> None:
        self.foreign = known is not None
        self.reads: set[str] = set()
        self.items: set[str] = set()
        self.ctes: set[str] = set()
        self.catalogue = False
        self._table_calls: set[int] = set()

    def look_at(self, node: dict[str, Any]) -> None:
        kind = node.get("type")
        if "class" in node:
            self._expression(node)
        elif isinstance(kind, str):
            self._node(node, kind)
        elif node.keys() <= PLAIN_KEYS:
            if "id" in node and str(node["id"]).lower() not in TYPES:
                raise _RefusedError(f"it uses the type {str(node['id'])!r}, which is not allowed")
            if "query" in node and "key_targets" not in node and "materialized" not in node:
                raise _RefusedError("it holds a part that is not known")
        else:
            raise _RefusedError(f"it holds a part that is not known: {min(node.keys() - PLAIN_KEYS)}")
        for pair in (node.get("cte_map") or {}).get("map", ()):
            self.ctes.add(str(pair["key"]).lower())

    def _expression(self, node: dict[str, Any]) -> None:
        form, kind = node["class"], node.get("type")
        if form == "PARAMETER" and not self.foreign:
            return
        if kind not in EXPRESSIONS.get(form, ()):
            raise _RefusedError(f"it holds an expression {form} {kind}, which is not allowed")
        if form not in ("FUNCTION", "WINDOW"):
            return
        name = str(node.get("function_name", "")).lower()
        if node.get("export_state"):
            raise _RefusedError(f"it asks for the state of {name}")
        if id(node) not in self._table_calls and name not in FUNCTIONS:
            raise _RefusedError(f"it calls {name}, which is not allowed")

    def _node(self, node: dict[str, Any], kind: str) -> None:
        if kind == "SHOW_REF" and not self.foreign:
            self.catalogue = self.catalogue or not node.get("query")
            return
        if kind not in NODES:
            raise _RefusedError(f"it holds {kind}, which is not allowed")
        if kind.endswith("_TYPE_INFO") and str(node.get("alias") or "any").lower() not in TYPES:
            raise _RefusedError(f"it uses the type {node['alias']!r}, which is not allowed")
        if kind == "BASE_TABLE":
            self._table(node)
        elif kind == "TABLE_FUNCTION":
            self._call(node)
        elif kind == "RECURSIVE_CTE_NODE":
            self.ctes.add(str(node.get("cte_name", "")).lower())
        elif kind == "UNBOUND_TYPE_INFO":
            name = str(node.get("name", "")).lower()
            if name not in TYPES or node.get("catalog") or node.get("schema"):
                raise _RefusedError(f"it uses the type {name!r}, which is not allowed")

    def _table(self, node: dict[str, Any]) -> None:
        name = str(node["table_name"]).lower()
        schema, catalog = str(node.get("schema_name", "")).lower(), str(node.get("catalog_name", "")).lower()
        if node.get("at_clause"):
            raise _RefusedError(f'it reads {name!r} AT a version; that of an item is written "folio:item@version"')
        of_connection = schema in ("information_schema", "pg_catalog") or (
            not schema and name.startswith(("duckdb_", "pg_", "sqlite_", "pragma_"))
        )
        if of_connection and not self.foreign:
            self.catalogue = True
        elif catalog or schema not in ("", "main"):
            raise _RefusedError(f'it reads {name!r} of a schema; the table of an item is written "folio:item"')
        else:
            self.reads.add(name)
            if _is_item(name):
                self.items.add(str(node["table_name"]))

    def _call(self, node: dict[str, Any]) -> None:
        call = node.get("function") or {}
        name = str(call.get("function_name", "")).lower()
        if call.get("class") != "FUNCTION":
            raise _RefusedError("it reads an expression that is no function")
        self._table_calls.add(id(call))
        if name in CATALOGUE and not self.foreign:
            if name == "query_table":
                self.reads |= {str(one).lower() for one in _texts(call.get("children") or [])}
            self.catalogue = True
        elif name not in TABLE_FUNCTIONS:
            raise _RefusedError(f"it reads {name}(), which is not allowed")
        elif name in LITERAL_ONLY and self.foreign and not all(map(_is_literal, call.get("children") or [])):
            raise _RefusedError(f"it reads {name}() with bounds that are no literals")


def _is_literal(node: object) -> bool:
    """Say whether an argument is written out: a constant, also negative, cast, or an interval."""
    while isinstance(node, dict):
        form = node.get("class")
        if form == "CONSTANT":
            return True
        if form == "CAST":
            node = node.get("child")
        elif form == "FUNCTION" and str(node.get("function_name")).startswith(("-", "trunc", "to_")):
            children = node.get("children") or []
            node = children[0] if len(children) == 1 else None
        else:
            return False
    return False


def _texts(nodes: list[Any]) -> Iterator[str]:
    for node in _nodes(nodes):
        if node.get("class") == "CONSTANT":
            value = (node.get("value") or {}).get("value")
            if isinstance(value, str):
                yield value

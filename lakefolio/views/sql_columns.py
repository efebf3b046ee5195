"""Which columns of items the columns of a query are computed from, by DuckDB's parsed tree (pure).

Sound rather than complete: a statement with anything that is not understood here (views, pivots, recursion, lambdas,
table functions) has no answer, and of one with an answer every column that can matter is in it. *Rows* are the columns
that decide which rows there are: of conditions, joins, groups and limits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from lakefolio.views.sql_allowed import AGGREGATES

__all__ = ["QueryColumns", "columns_of_query"]

Column = tuple[str, str]
"""A relation, as the statement names it, and a column of it."""
Sources = frozenset[Column]
_NONE: Final[Sources] = frozenset()
_MULTIPLYING: Final = {"unnest", "generate_subscripts", "regexp_split_to_table"}
"""Functions in a SELECT list that make any number of rows of one."""


@dataclass(frozen=True, slots=True)
class QueryColumns:
    """The columns that each column of a query is computed from, by position, and those that decide over its rows."""

    outputs: tuple[Sources, ...]
    rows: Sources


def columns_of_query(tree: Mapping[str, Any], schemas: Mapping[str, Sequence[str]]) -> QueryColumns | None:
    """Return the columns that a statement uses, or None if it can't be told.

    Args:
        tree: The answer of ``json_serialize_sql`` for one SELECT.
        schemas: The names of the columns of each relation that is to be told of, by the name that the statement has.
    """
    known = {name.lower(): (name, tuple(columns)) for name, columns in schemas.items()}
    try:
        (statement,) = tree["statements"]
        found = _Query(known).read(statement["node"], {}, None)
    except (_UnknownError, KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return None
    return QueryColumns(tuple(sources for _, sources in found.columns), found.rows)


class _UnknownError(Exception):
    """There is something in the statement that is not understood."""


@dataclass(frozen=True, slots=True)
class _Table:
    """The columns of a relation, in order: name in lower case, and what it is computed from."""

    columns: tuple[tuple[str, Sources], ...]
    rows: Sources = _NONE


@dataclass(slots=True)
class _Scope:
    """The relations that a name may belong to, what is around, the aliases so far, and the columns that joins use.

    Where ``either`` is set, a name that is a column's and an alias stands for both: DuckDB takes the one that fits.
    """

    tables: list[tuple[str, _Table]]
    outer: _Scope | None
    aliases: dict[str, Sources] = field(default_factory=dict)
    using: set[str] = field(default_factory=set)
    either: bool = False

    def find(self, names: Sequence[str]) -> Sources:
        parts = [name.lower() for name in names]
        scope: _Scope | None = self
        while scope is not None:
            for alias, table in scope.tables:
                if len(parts) > 1 and alias == parts[0]:
                    found = [sources for name, sources in table.columns if name == parts[1]]
                    if found:
                        return found[0]
            matches = [sources for _, table in scope.tables for name, sources in table.columns if name == parts[0]]
            if matches:  # more than one where a join uses it
                return _NONE.union(*matches, scope.aliases.get(parts[0], _NONE) if scope.either else _NONE)
            if parts[0] in scope.aliases:
                return scope.aliases[parts[0]]
            scope = scope.outer
        raise _UnknownError


Ctes = Mapping[str, _Table]


class _Query:
    def __init__(self, known: Mapping[str, tuple[str, tuple[str, ...]]]) -> None:
        self._known = known

    def read(self, node: Mapping[str, Any], ctes: Ctes, outer: _Scope | None) -> _Table:
        named = dict(ctes)
        for one in node.get("cte_map", {}).get("map", ()):
            made = self.read(one["value"]["query"]["node"], named, outer)
            named[one["key"].lower()] = _renamed(made, one["value"].get("aliases") or ())
        match node["type"]:
            case "SELECT_NODE":
                return self._select(node, named, outer)
            case "SET_OPERATION_NODE":
                parts = [self.read(one, named, outer) for one in node.get("children") or (node["left"], node["right"])]
                columns = tuple(
                    (column[0][0], _NONE.union(*(sources for _, sources in column)))
                    for column in zip(*(one.columns for one in parts), strict=True)
                )
                if "BY_NAME" in node["setop_type"]:
                    raise _UnknownError
                rows = _NONE.union(*(one.rows for one in parts))
                if node["setop_type"] != "UNION" or not node["setop_all"]:  # values decide which rows are left
                    rows = rows.union(*(sources for _, sources in columns))
                places = filter(None, map(_place, _ordered(node["modifiers"])))
                by_place = (columns[place - 1][1] for place in places if 0 < place <= len(columns))
                deciding = self._modifiers(node["modifiers"], columns, _Scope([("", _Table(columns))], outer), named)
                return _Table(columns, rows.union(deciding, *by_place))
            case _:
                raise _UnknownError

    def _select(self, node: Mapping[str, Any], ctes: Ctes, outer: _Scope | None) -> _Table:
        scope, rows = self._from(node["from_table"], ctes, outer)
        columns: list[tuple[str, Sources]] = []
        by_all: list[Sources] = []
        for one in node["select_list"]:
            if one["class"] == "STAR":
                columns += (found := self._star(one, scope))
                by_all += [sources for _, sources in found]
                continue
            sources = self._of(one, scope, ctes)
            name = (one["alias"] or (one["column_names"][-1] if one["class"] == "COLUMN_REF" else "")).lower()
            columns.append((name, sources))
            by_all += [] if _calls(one, AGGREGATES) else [sources]
            rows |= sources if _calls(one, _MULTIPLYING) else _NONE
            if one["alias"]:
                scope.aliases[name] = sources
        deciding = self._of(node.get("where_clause"), scope, ctes)
        scope.either = True
        deciding |= self._of([node.get(key) for key in ("group_expressions", "having", "qualify")], scope, ctes)
        deciding |= self._modifiers(node["modifiers"], columns, scope, ctes)
        places = [*node["group_expressions"], *_ordered(node["modifiers"])]
        by_place = (columns[place - 1][1] for place in filter(None, map(_place, places)) if 0 < place <= len(columns))
        keys = by_all if node["aggregate_handling"] == "FORCE_AGGREGATES" else ()
        return _Table(tuple(columns), rows.union(deciding, *by_place, *keys))

    def _star(self, star: Mapping[str, Any], scope: _Scope) -> list[tuple[str, Sources]]:
        if any(star.get(key) for key in ("replace_list", "rename_list", "expr", "columns", "qualified_exclude_list")):
            raise _UnknownError
        left_out = {str(one).lower() for one in star["exclude_list"]}
        of = star["relation_name"].lower()
        found: list[tuple[str, Sources]] = []
        for alias, table in scope.tables:
            for name, sources in table.columns:
                merged = not of and name in scope.using
                if name in left_out or (of and alias != of) or (merged and any(one == name for one, _ in found)):
                    continue
                found.append((name, scope.find([name]) if merged else sources))
        return found

    def _from(self, node: Mapping[str, Any], ctes: Ctes, outer: _Scope | None) -> tuple[_Scope, Sources]:
        """Return the relations of a FROM clause, and the columns that decide which rows it has."""
        match node["type"]:
            case "EMPTY":
                return _Scope([], outer), _NONE
            case "BASE_TABLE":
                name = node["table_name"].lower()
                if node["schema_name"] or node["catalog_name"] or node.get("at_clause"):
                    raise _UnknownError
                table = ctes.get(name)
                if table is None:
                    if name not in self._known:
                        raise _UnknownError
                    called, columns = self._known[name]
                    table = _Table(tuple((one.lower(), frozenset({(called, one)})) for one in columns))
                alias = node["alias"].lower() or name
            case "SUBQUERY":
                table = self.read(node["subquery"]["node"], ctes, outer)
                alias = node["alias"].lower()
            case "JOIN":
                return self._join(node, ctes, outer)
            case _:
                raise _UnknownError
        return _Scope([(alias, _renamed(table, node["column_name_alias"]))], outer), table.rows

    def _join(self, node: Mapping[str, Any], ctes: Ctes, outer: _Scope | None) -> tuple[_Scope, Sources]:
        if node["ref_type"] not in ("REGULAR", "CROSS", "ASOF") or node.get("alias"):
            raise _UnknownError
        left, rows = self._from(node["left"], ctes, outer)
        right, more = self._from(node["right"], ctes, left)  # it may be lateral
        using = {name.lower() for name in node["using_columns"]}
        both = _Scope([*left.tables, *right.tables], outer, using=left.using | right.using | using)
        deciding = rows.union(more, self._of(node["condition"], both, ctes), *(both.find([name]) for name in using))
        if node["join_type"] in ("SEMI", "ANTI"):
            return left, deciding
        return both, deciding

    def _modifiers(
        self, modifiers: Sequence[Mapping[str, Any]], columns: Sequence[tuple[str, Sources]], scope: _Scope, ctes: Ctes
    ) -> Sources:
        """Return what DISTINCT, ORDER BY and LIMIT use: a name that stands alone is first an alias there."""
        found = _NONE
        for one in modifiers:
            chosen = one.get("distinct_on_targets")
            if chosen == []:  # values decide which rows are left
                found = found.union(*(sources for _, sources in columns))
            for part in [*(chosen or ()), *_ordered([one])]:
                names: Sequence[str] = part["column_names"] if part["class"] == "COLUMN_REF" else ()
                alias = scope.aliases.get(names[0].lower()) if len(names) == 1 else None
                found |= self._of(part, scope, ctes) if alias is None else alias
            rest = [value for key, value in one.items() if key not in ("distinct_on_targets", "orders")]
            found |= self._of(rest, scope, ctes)
        return found

    def _of(self, part: object, scope: _Scope, ctes: Ctes) -> Sources:
        """Return the columns that stand anywhere in an expression."""
        if isinstance(part, list):
            return _NONE.union(*(self._of(one, scope, ctes) for one in part))
        if not isinstance(part, dict):
            return _NONE
        match part.get("class"):
            case "COLUMN_REF":
                return scope.find(part["column_names"])
            case "STAR" | "LAMBDA" | "LAMBDA_REF" | "POSITIONAL_REFERENCE":
                raise _UnknownError
            case "SUBQUERY":
                made = self.read(part["subquery"]["node"], ctes, scope)
                inner = made.rows.union(*(sources for _, sources in made.columns))
                return inner | self._of(part.get("child"), scope, ctes)
            case _:
                return _NONE.union(*(self._of(one, scope, ctes) for one in part.values()))


def _ordered(modifiers: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Give the expressions that rows are ordered by."""
    for one in modifiers:
        for order in one.get("orders", ()):
            yield order["expression"]


def _place(expression: Mapping[str, Any]) -> int | None:
    """Return the place of a column of the result, from 1, that stands for it in ``group by 1`` and ``order by 1``."""
    value = expression["value"]["value"] if expression["class"] == "CONSTANT" else None
    return value if type(value) is int else None


def _calls(part: Any, functions: Collection[str]) -> bool:
    """Say whether a call of one of some functions stands in an expression, windows and subqueries aside."""
    if isinstance(part, list):
        return any(_calls(one, functions) for one in part)
    if not isinstance(part, dict) or part.get("class") in ("SUBQUERY", "WINDOW"):
        return False
    return part.get("function_name") in functions or any(_calls(one, functions) for one in part.values())


def _renamed(table: _Table, names: Sequence[str]) -> _Table:
    called = [*(name.lower() for name in names), *(name for name, _ in table.columns[len(names) :])]
    columns = zip(called, (sources for _, sources in table.columns), strict=True)
    return _Table(tuple(columns), table.rows)

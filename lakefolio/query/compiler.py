"""From conditions to one parametrised, reading SQL statement over the views (pure: no I/O).

Values travel as parameters, never as text; names come from the tables below. ``where`` is the one text of the caller's,
and is checked to be a single expression before it gets here (``views.check_expression``). Every comparison is true or
false: where there is nothing to compare it is false.

Slightly longer than most modules: the tables of names stand beside the SQL that they become.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final

from lakefolio.errors import UnsupportedTypeError, nearest
from lakefolio.query.comparisons import FUNCTIONS, TEXT_OR_TIME, Comparisons, period, text_value
from lakefolio.query.conditions import (
    AllOf,
    AnyOf,
    Comparison,
    Condition,
    Not,
    Q,
    bad_query,
    check_depth,
    flattened,
    parse_value,
)
from lakefolio.terminal import shown_value

__all__ = ["FIELDS", "Compiler"]

_TEXT: Final = "text"
_NUMBER: Final = "number"
_TIME: Final = "time"
_SWITCH: Final = "switch"

FIELDS: Final[Mapping[str, tuple[str, str]]] = {
    "folio": (_TEXT, "found.folio"),
    "name": (_TEXT, "found.item"),
    "kind": (_TEXT, "found.kind"),
    "format": (_TEXT, "found.format"),
    "media_type": (_TEXT, "found.media_type"),
    "storage": (_TEXT, "found.storage"),
    "author": (_TEXT, "found.author"),
    "description": (_TEXT, "found.description"),
    "digest": (_TEXT, "found.digest"),
    "entry_id": (_TEXT, "found.entry_id"),
    "run": (_TEXT, "found.run_id"),
    "version": (_NUMBER, "found.version"),
    "size_bytes": (_NUMBER, "found.size_bytes"),
    "row_count": (_NUMBER, "found.row_count"),
    "created_at": (_TIME, "found.committed_at"),
    "archived": (_SWITCH, "found.archived"),
}
"""The fields that are columns: their type, and the column."""

_SETS: Final = {"tag": "", "type": "types", "source": "sources"}
"""The fields that may hold several texts, of which one must do, and the part of the statement that has them."""

_AMONG: Final = "coalesce(found.entry_id in (select entry_id from"
"""Begins the condition that an entry is among some; correlated with it, a question would hold all entries."""

_NAMED: Final = "fields."
_WORDS: Final = (*FIELDS, *_SETS, "metadata", "fields")
_PARTS: Final = {
    "notes": """
notes as (
    select entry_id, fact.key as key, fact.value as value, try_cast(fact.value as json) as document,
        case fact.value
            when '{"$type":"float","value":"inf"}' then cast('inf' as double)
            when '{"$type":"float","value":"-inf"}' then cast('-inf' as double)
            else fact.value_number + 0  -- minus zero is zero, which filters that are pushed down don't know
        end as double,
        case when starts_with(fact.value, '{"$type":"decimal"') then regexp_extract(fact.value, '"value":"([^"]*)"', 1)
            else fact.value end as digits,
        -- a number beyond all doubles is stored without one: it is an infinity here, and compared by its digits
        coalesce(double, case
            when regexp_matches(digits, '^-?([0-9]|Infinity$)') then try_cast(digits as double)
            when starts_with(digits, '{"$type":"int"') then cast(if(contains(digits, '"-0x'), '-inf', 'inf') as double)
        end) as number
    from (select entry_id, unnest(facts) as fact from stg_manifests where op = 'put' and len(facts) > 0)
    where fact.value is not null
)""",
    "types": """
types as (
    select entry_id, kind as one from items
    union all
    select entry_id, document ->> '$' from notes where key = 'type'
)""",
    "sources": """
sources as (
    select entry_id, document ->> '$' as one from notes where key in ('source', 'source_id')
    union all
    select entry_id, uri from items where uri is not null
    union all
    select output_id, coalesce(input_uri, input_folio || ':' || input_item) from lineage_edges
    where output_kind = 'entry'
    union all
    select output_id, input_folio || ':' || input_item || '@' || input_version from lineage_edges
    where output_kind = 'entry'
)""",
    "documents": """
documents as (
    select entry_id, to_json(map_from_entries(list((key, case when starts_with(value, '{"$type":"decimal"')
        then coalesce(case when length(digits) < 17 then try_cast(digits as json) end, to_json(digits))
        else document end)))) as metadata
    -- an entry that is put again says the same again
    from (select distinct entry_id, key, value, document, digits from notes) group by entry_id
)""",
}
_COLUMNS: Final = """
    found.folio || ':' || found.item || '@' || found.version as ref,
    found.folio,
    found.name,
    found.kind,
    found.created_at,
    found.version,
    found.size_bytes,
    found.row_count,
    found.description,
    found.tags,
    found.author,
    found.run_id,
    found.uri,
    found.digest,
    found.entry_id,
    found.archived"""
_ORDERS: Final = {name: column for name, (_, column) in FIELDS.items()} | {"type": "found.kind", "item": "found.item"}


_BESIDE_FIELDS: Final = ("where", "between", "order_by", "limit", "offset")
"""The arguments of ``Lake.query`` that are not fields."""

_MOST: Final = 2**62


class Compiler:
    """Collects conditions; :attr:`sql` and :attr:`params` are then the statement. Grain: one row per live item."""

    def __init__(self) -> None:
        self._compare = Comparisons()
        self._conditions: list[str] = []
        self._orders: list[str] = []
        self._joins: list[str] = []
        self._limit = ""
        self._parts: set[str] = set()
        self.asked: list[tuple[str, str, Any]] = []  # what metadata must be: key, operator, value
        self.keys: list[str] = []  # those of metadata that there must be

    @property
    def params(self) -> dict[str, Any]:
        """The values of the statement's parameters, by name."""
        return self._compare.params

    @property
    def sql(self) -> str:
        """The statement: one row per matching item with its facts but not its metadata, in order."""
        parts = "".join(f"{text},\n" for name, text in _PARTS.items() if name in self._parts)
        metadata = ", documents.metadata" if "documents" in self._parts else ""
        join = "left join documents on items.entry_id = documents.entry_id" if metadata else ""
        where = "\n    and ".join(["true", *self._conditions])
        order = ", ".join([*self._orders, "found.folio", "found.item"])
        return (
            f"with {parts}found as (\n    select items.*, items.item as name, items.kind as type,"
            f" items.committed_at as created_at{metadata}\n    from items {join}\n)\n"
            f"select {_COLUMNS}\nfrom found{''.join(self._joins)}\nwhere {where}\norder by {order}{self._limit}"
        )

    def add(self, condition: object) -> None:
        """Ask that a condition holds too.

        Raises:
            InvalidInputError: kind ``bad-query``: a field or operator there is not, or a value a field can't have.
        """
        self._conditions.append(self._condition(condition, 0))

    def add_expression(self, text: str) -> None:
        """Ask that an SQL expression, known to be one, is true. It sees the columns of ``items`` and ``metadata``."""
        if re.search(r"\bmetadata\b", text, re.IGNORECASE):
            self._need("documents")
        self._conditions.append(f"coalesce((\n{text}\n), false)")

    def order(self, by: str | Iterable[str]) -> None:
        """Sort the result by field names; prefix - for descending order. Missing values come last."""
        for text in [by] if isinstance(by, str) or not isinstance(by, Iterable) else list(by):
            if not isinstance(text, str):
                raise bad_query(
                    f"order_by holds {text!r}, expected the names of fields", "write order_by='-created_at'"
                )
            name, direction = text.removeprefix("-").strip(), "desc" if text.startswith("-") else "asc"
            if name.startswith("metadata."):
                source, key = self._noted_under(name.removeprefix("metadata."))
                place = len(self._joins)
                self._joins.append(
                    f" left join (select entry_id as noted_{place}, max(number) as number_{place},"
                    f" max(document ->> '$') as text_{place} from {source} where key = {key} group by entry_id)"
                    f" on noted_{place} = found.entry_id"
                )
                self._orders += [f"{what}_{place} {direction} nulls last" for what in ("number", "text")]
            elif name in _ORDERS:
                self._orders.append(f"{_ORDERS[name]} {direction} nulls last")
            else:
                hint = nearest(name, [*_ORDERS, "metadata.<key>"])
                raise bad_query(f"order_by names {name!r}, which is no field", hint, field=name)

    def limit(self, count: object, offset: object = 0) -> None:
        """Limit the number of results, after an offset."""
        most = []
        for what, value in (("limit", count), ("offset", offset)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise bad_query(f"{what}={shown_value(value)} is not a number of items", f"write {what}=10")
            most.append(self._compare.param(min(value, _MOST)))
        self._limit = f"\nlimit {most[0]} offset {most[1]}"

    # -- trees ---------------------------------------------------------------------------------------------

    def _condition(self, condition: object, depth: int) -> str:
        check_depth(depth)
        if isinstance(condition, Q):
            return self._join("and", [self._field(name, value) for name, value in condition.fields.items()])
        if isinstance(condition, AllOf | AnyOf):
            word = "and" if isinstance(condition, AllOf) else "or"
            return self._join(word, [self._condition(part, depth + 1) for part in condition.parts])
        if isinstance(condition, Not):
            return f"(not {self._condition(condition.part, depth + 1)})"
        raise bad_query(
            f"{shown_value(condition)} is not a condition", "write Q(tag='raw'), any_of(Q(…), Q(…)) or not_(Q(…))"
        )

    def _join(self, word: str, parts: list[str]) -> str:
        return "(" + (f" {word} ".join(parts) or ("true" if word == "and" else "false")) + ")"

    def _field(self, name: str, value: object) -> str:
        if name == "metadata":
            if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
                raise bad_query(
                    f"metadata={shown_value(value)} is not a dict of keys",
                    'write metadata={"score": (">=", 0.9)}',
                    field=name,
                )
            asked = [part for key, one in value.items() for part in flattened(key, one)]
            return self._join("and", [self._tree(f"metadata.{key}", one) for key, one in asked])
        if name == "fields":
            if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
                hint = 'write fields={"subject": "s01"}'
                raise bad_query(f"fields={shown_value(value)} is not a dict of fields of names", hint, field=name)
            return self._join("and", [self._tree(f"{_NAMED}{key}", one) for key, one in value.items()])
        if name not in _WORDS:
            raise UnsupportedTypeError(
                f"there is no field {name!r} to query",
                kind="bad-query",
                hint=nearest(name, [*_WORDS, *_BESIDE_FIELDS]),
                field=name,
            )
        return self._tree(name, value)

    def _tree(self, field: str, value: object) -> str:
        return self._leaves(field, parse_value(field, value))

    def _leaves(self, field: str, tree: Condition | Comparison) -> str:
        if isinstance(tree, AllOf | AnyOf):
            return self._join(
                "and" if isinstance(tree, AllOf) else "or", [self._leaves(field, part) for part in tree.parts]
            )
        if isinstance(tree, Not):
            return f"(not {self._leaves(field, tree.part)})"
        assert isinstance(tree, Comparison)
        if field.startswith("metadata."):
            return self._of_metadata(field, tree)
        if field in _SETS or field.startswith(_NAMED):
            return self._of_set(field, tree)
        kind, column = FIELDS[field]
        if kind == _TIME and tree.value is not None and tree.operator in _TIMED:
            return f"coalesce({self._timed(field, column, tree.operator, tree.value)}, false)"
        if tree.operator == "exists":
            return f"({column} is not null)" if tree.value else f"({column} is null)"
        if tree.operator == "=" and tree.value is None:
            return f"({column} is null)"
        compared = self._compared(tree, lambda operator, value: f"{column} {operator} {value}", field, kind, column)
        return f"coalesce({compared}, false)"

    def _of_set(self, field: str, tree: Comparison) -> str:
        if field == "tag":
            some, end = "(coalesce(len(list_filter(found.tags, lambda one: one is not null and ", ")), 0) > 0)"
        elif field in _SETS:
            self._need("notes", _SETS[field])
            some, end = f"{_AMONG} {_SETS[field]} where entry_id is not null and one is not null and ", "), false)"
        else:
            key = self._compare.param(text_value(field.removeprefix(_NAMED)))
            some = (
                "exists (select 1 from (select value as one from item_fields as named where named.folio = found.folio"
                f" and named.item = found.item and named.field = {key}) where one is not null and "
            )
            end = ")"
        if tree.operator == "exists":
            return f"{some}true{end}" if tree.value else f"(not {some}true{end})"
        if tree.operator == "=" and tree.value is None:
            return f"(not {some}true{end})"
        return some + self._compared(tree, lambda operator, value: f"one {operator} {value}", field, _TEXT, "one") + end

    def _compared(self, tree: Comparison, made: Any, field: str, kind: str, column: str) -> str:
        """Return a comparison of a column of one kind."""
        operator, value = tree.operator, tree.value
        if operator in ("in", "not in"):
            parts = [made("=", self._value(field, kind, one)) for one in value]
            joined = self._join("or", parts)
            return joined if operator == "in" else f"({column} is not null and not {joined})"
        if operator == "between":
            low, high = (self._value(field, kind, one) for one in value)
            return f"({made('>=', low)} and {made('<=', high)})"
        if operator in ("like", "startswith", "contains"):
            if kind != _TEXT or not isinstance(value, str):
                raise bad_query(f"field {field!r} can't be asked with {operator} {shown_value(value)}", field=field)
            return self._compare.matched(column, operator, value)
        return f"({made(operator, self._value(field, kind, value))})"

    def _value(self, field: str, kind: str, value: Any) -> str:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if kind == _TEXT and isinstance(value, str):
            return self._compare.param(text_value(value))
        if kind == _NUMBER and number and not (isinstance(value, float) and math.isnan(value)):
            if abs(value) < 2**63:
                return self._compare.param(value)
            return f"cast({self._compare.param(_double(value))} as double)"
        if kind == _SWITCH and isinstance(value, bool):
            return self._compare.param(value)
        raise bad_query(f"field {field!r} is compared with {shown_value(value)}, expected a {kind}", field=field)

    def _timed(self, field: str, column: str, operator: str, value: Any) -> str:
        """Return a comparison of a column of times with a time, which may be a period: a day, a minute."""
        if operator in ("in", "not in"):
            joined = self._join("or", [self._timed(field, column, "=", one) for one in value])
            return joined if operator == "in" else f"({column} is not null and not {joined})"
        if operator == "between":
            ends = zip((">=", "<="), value, strict=True)
            return self._join("and", [self._timed(field, column, sign, end) for sign, end in ends])
        if not isinstance(value, str | date):
            raise bad_query(f"field {field!r} is compared with {shown_value(value)}, expected a time", field=field)
        return self._compare.within(column, operator, *period(value))

    # -- metadata ------------------------------------------------------------------------------------------

    def _noted_under(self, name: str) -> tuple[str, str]:
        """Return a relation ``notes`` with the values under a key, and the key: ``a.b`` is also ``b`` in ``a``."""
        self._need("notes")
        key = self._compare.param(text_value(name))
        parts = name.split(".")
        if len(parts) == 1 or not all(parts):
            return "notes", key
        inside = []
        for count in range(1, min(len(parts), _NESTING_LIMIT)):
            pointer = "".join("/" + one.replace("~", "~0").replace("/", "~1") for one in parts[count:])
            inside.append(
                f"select entry_id, {key} as key, cast(document as varchar) as value, document from (select entry_id,"
                f" json_extract(document, {self._compare.param(pointer)}) as document from notes"
                f" where key = {self._compare.param('.'.join(parts[:count]))}) where document is not null"
            )
        nested = (
            f"select *, case when {_IS_DECIMAL} then document ->> '$.value' else value end as digits,"
            f" case when {_IS_NUMBER} then try_cast(digits as double) + 0"
            f" when {_IS_INFINITE} then try_cast(document ->> '$.value' as double)"
            f" when {_IS_HUGE} then cast(if(contains(digits, '\"-0x'), '-inf', 'inf') as double) end as number"
            f" from ({' union all '.join(inside)})"
        )
        some = f"select entry_id, key, value, document, digits, number from notes where key = {key}"
        return f"({some} union all {nested}) as notes", key

    def _of_metadata(self, field: str, tree: Comparison) -> str:
        source, key = self._noted_under(field.removeprefix("metadata."))
        some = f"{_AMONG} {source} where entry_id is not null and notes.key = {key} and "
        operator, value = tree.operator, tree.value
        if operator == "exists":
            return f"{some}true), false)" if value else f"(not {some}true), false))"
        self.keys.append(field.removeprefix("metadata."))
        if operator == "in":
            test = self._join("or", [self._noted(field, "=", one) for one in value])
        elif operator == "not in":
            test = f"not {self._join('or', [self._noted(field, '=', one) for one in value])}"
        elif operator == "between":
            test = self._join(
                "and", [self._noted(field, sign, end) for sign, end in zip((">=", "<="), value, strict=True)]
            )
        elif operator == "!=":
            test = f"not {self._noted(field, '=', value)}"
        elif operator == "contains":
            test = self._compare.holds(field, value)
        elif operator in FUNCTIONS or operator == "like":
            test = f"coalesce({self._compare.matched(TEXT_OR_TIME, operator, value)}, false)"
        else:
            test = self._noted(field, operator, value)
        return f"{some}{test}), false)"

    def _noted(self, field: str, operator: str, value: object) -> str:
        if isinstance(value, str | bool | int | float | Decimal):
            self.asked.append((field.removeprefix("metadata."), operator, value))
        return self._compare.noted(field, operator, value)

    def _need(self, *parts: str) -> None:
        self._parts.update(("notes", *parts))


_TIMED: Final = frozenset({"=", "!=", "<", "<=", ">", ">=", "in", "not in", "between"})
_NESTING_LIMIT: Final = 10
_IS_NUMBER: Final = "regexp_matches(digits, '^-?([0-9]|Infinity$)')"
_IS_INFINITE: Final = """regexp_matches(value, '^[{]"[$]type":"float","value":"-?inf"')"""
_IS_DECIMAL: Final = """starts_with(value, '{"$type":"decimal"')"""
_IS_HUGE: Final = """starts_with(digits, '{"$type":"int"')"""


def _double(value: float) -> float:
    """Return a number as a double; infinity stands for an integer beyond them."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf

"""What a query may ask for: conditions on fields, and all, any and not of them (pure: no I/O, no SQL).

A field is compared with a value, which it must equal; with a pair of an operator and a value; with a list, of which one
must equal it; or with :func:`any_of`, :func:`all_of`, :func:`not_` of such. The same three combine whole conditions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lakefolio.errors import InvalidInputError, nearest

__all__ = [
    "OPERATORS",
    "AllOf",
    "AnyOf",
    "Comparison",
    "Condition",
    "Not",
    "Q",
    "all_of",
    "any_of",
    "bad_query",
    "not_",
]

OPERATORS: Final = {
    "=": "=",
    "==": "=",
    "!=": "!=",
    "<>": "!=",
    "<": "<",
    "<=": "<=",
    ">": ">",
    ">=": ">=",
    "in": "in",
    "not in": "not in",
    "between": "between",
    "like": "like",
    "startswith": "startswith",
    "contains": "contains",
    "exists": "exists",
}
"""What may stand before a value. ``!=`` and ``not in`` want another value; ``not_`` is also content with none."""

_DEPTH_LIMIT: Final = 100


@dataclass(frozen=True, slots=True)
class Comparison:
    """One operator with its value."""

    operator: str
    value: Any


class Condition:
    """Something that holds of an item or does not. ``&``, ``|`` and ``~`` combine conditions."""

    __slots__ = ()

    def __and__(self, other: Condition) -> Condition:
        """Both hold."""
        return all_of(self, other)

    def __or__(self, other: Condition) -> Condition:
        """At least one holds."""
        return any_of(self, other)

    def __invert__(self) -> Condition:
        """It does not hold."""
        return not_(self)

    def __bool__(self) -> bool:
        """Refuse ``and``, ``or`` and ``not``, which Python would decide here and now."""
        raise TypeError("conditions are combined with &, | and ~, not with and, or and not")


@dataclass(frozen=True, slots=True)
class AllOf(Condition):
    """All of the parts hold; true of none."""

    parts: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class AnyOf(Condition):
    """At least one of the parts holds; false of none."""

    parts: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Not(Condition):
    """The part does not hold."""

    part: Any


@dataclass(frozen=True, slots=True, init=False)
class Q(Condition):
    """Conditions on fields, all of which hold: ``Q(type="table", metadata={"score": (">=", 0.9)})``.

    The fields are those of :meth:`lakefolio.Lake.query`.
    """

    fields: Mapping[str, Any]

    def __init__(self, **fields: Any) -> None:
        object.__setattr__(self, "fields", dict(fields))


def any_of(*parts: Any) -> AnyOf:
    """Ask that at least one of some conditions, or of some values of a field, holds."""
    return AnyOf(tuple(parts))


def all_of(*parts: Any) -> AllOf:
    """Ask that all of some conditions, or of some values of a field, hold."""
    return AllOf(tuple(parts))


def not_(part: Any) -> Not:
    """Ask that a condition, or a value of a field, does not hold; nothing at all is content with that too."""
    return Not(part)


def bad_query(what: str, hint: str | None = None, **objects: Any) -> InvalidInputError:
    """Make the error for a query that can't be asked."""
    return InvalidInputError(what, kind="bad-query", hint=hint, **objects)


def parse_value(field: str, value: Any, depth: int = 0) -> Condition | Comparison:
    """Return the tree of comparisons that a field's value means: AllOf, AnyOf, Not and Comparison.

    Raises:
        InvalidInputError: kind ``bad-query``: an operator there is not, or one with a value that it can't have.
    """
    check_depth(depth)
    if isinstance(value, AllOf | AnyOf):
        return type(value)(tuple(parse_value(field, part, depth + 1) for part in value.parts))
    if isinstance(value, Not):
        return Not(parse_value(field, value.part, depth + 1))
    if isinstance(value, Condition):
        raise bad_query(
            f"field {field!r} is compared with a condition", "write any_of(Q(…), Q(…)) outside of fields", field=field
        )
    if isinstance(value, list | set | frozenset | range):
        return Comparison("in", _list(field, "in", value))
    if isinstance(value, tuple):
        return _of_tuple(field, value)
    return Comparison("=", _plain(value))


def check_depth(depth: int) -> None:
    """Refuse conditions that are nested too deep to be run."""
    if depth > _DEPTH_LIMIT:
        raise bad_query(f"a query is nested more than {_DEPTH_LIMIT} deep", "any_of and all_of take many parts")


def _of_tuple(field: str, value: tuple[Any, ...]) -> Comparison:
    if len(value) != 2 or not isinstance(value[0], str):
        raise bad_query(
            f"field {field!r} is compared with the tuple {value!r}",
            'write a pair such as (">=", 0.9), or a list of values',
            field=field,
        )
    written = " ".join(value[0].lower().split())
    operator, operand = OPERATORS.get(written), value[1]
    if operator is None:
        raise bad_query(
            f"field {field!r}: there is no operator {value[0]!r}",
            nearest(written, OPERATORS) if written else "operators are " + ", ".join(OPERATORS),
            field=field,
        )
    if operator in ("in", "not in"):
        return Comparison(operator, _list(field, operator, operand))
    if operator == "between":
        ends = _list(field, operator, operand)
        if len(ends) != 2:
            raise bad_query(f"field {field!r}: between needs two ends, not {operand!r}", field=field)
        return Comparison(operator, ends)
    if operator == "exists" and not isinstance(operand, bool):
        raise bad_query(f"field {field!r}: exists is asked with True or False, not {operand!r}", field=field)
    if operator in ("like", "startswith") and not isinstance(operand, str):
        raise bad_query(f"field {field!r}: {operator} needs a text, not {operand!r}", field=field)
    return Comparison(operator, _plain(operand))


def _list(field: str, operator: str, values: Any) -> tuple[Any, ...]:
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise bad_query(f"field {field!r}: {operator} needs a list of values, not {values!r}", field=field)
    return tuple(_plain(value) for value in values)


def _plain(value: Any) -> Any:
    """Return a NumPy or pandas scalar as the Python value it is."""
    if hasattr(value, "to_pydatetime"):
        return value.to_pydatetime()
    return value.item() if hasattr(value, "item") and not hasattr(value, "__len__") else value

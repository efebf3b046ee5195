"""The conditions of a query: comparisons of fields, and all, any and not of conditions (pure: no I/O, no SQL).

A field is compared with a value, which it must equal; with a pair of an operator and a value, or a dict of such pairs,
all of which must hold; with a list, of which one must equal it; or with :func:`any_of`, :func:`all_of`, :func:`not_` of
such. The same three combine whole conditions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lakefolio.errors import InvalidInputError, nearest
from lakefolio.format.json_scalars import plain_scalar
from lakefolio.terminal import shown_value

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
    "flattened",
    "names_folio",
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
"""The operators before a value. ``!=`` and ``not in`` need another value to be there; ``not_`` also matches none."""

_OTHERS: Final = {
    "$eq": "=", "$ne": "!=", "$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<=", "$in": "in", "$nin": "not in",
    "eq": "=", "ne": "!=", "gt": ">", "gte": ">=", "ge": ">=", "lt": "<", "lte": "<=", "le": "<=", "=>": ">=",
    "=<": "<=", "===": "=", "!==": "!=", "$exists": "exists", "$regex": "like", "not_in": "not in", "nin": "not in",
}  # fmt: skip
"""How others write operators, and how they are written here."""
_WRITTEN: Final = re.compile(r"\s*(<=|>=|!=|==|=|<|>)\s*$|__(gte|lte|gt|lt|ne|eq|in|contains|startswith|like|exists)$")
_DEPTH_LIMIT: Final = 100
_PATH_LIMIT: Final = 8


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

    def __init__(self, **fields: object) -> None:
        object.__setattr__(self, "fields", dict(fields))


def any_of(*parts: object) -> AnyOf:
    """Ask that at least one of some conditions, or of some values of a field, holds."""
    return AnyOf(tuple(parts))


def all_of(*parts: object) -> AllOf:
    """Ask that all of some conditions, or of some values of a field, hold."""
    return AllOf(tuple(parts))


def not_(part: object) -> Not:
    """Ask that a condition, or a value of a field, does not hold; nothing at all is content with that too."""
    return Not(part)


def bad_query(what: str, hint: str | None = None, **objects: object) -> InvalidInputError:
    """Make the error for a query that can't be asked."""
    return InvalidInputError(what, kind="bad-query", hint=hint, **objects)


def parse_value(field: str, value: object, depth: int = 0) -> Condition | Comparison:
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
    if isinstance(value, Mapping) and value and any(map(_is_operator, value)):
        if not all(map(_is_operator, value)):
            raise bad_query(
                f"field {field!r} is compared with {shown_value(value)}, of which some keys are operators", field=field
            )
        return AllOf(tuple(_of_tuple(field, (operator, operand)) for operator, operand in value.items()))
    return Comparison("=", _plain(value))


def flattened(name: str, value: object, depth: int = 0) -> list[tuple[str, Any]]:
    """Return a key of metadata with the value it is compared with; for a dict, the paths to its values.

    All of them must hold, so that a dict finds those that say more, too. One with a key that a path can't say is
    compared as a whole.

    Raises:
        InvalidInputError: kind ``bad-query``: an operator is written into the key.
    """
    check_depth(depth)
    written = _WRITTEN.search(name)
    if written:
        operator = _OTHERS.get(written[2] or "", written[1] or written[2])
        key = name[: written.start()].rstrip()
        raise bad_query(
            f"metadata key {name!r} ends with an operator",
            f"write metadata={{{key!r}: {{{operator!r}: …}}}}",
            field=name,
        )
    if isinstance(value, Mapping) and not any(map(_is_operator, value)):
        if _are_paths(value, name.count(".") + 1) or _holds_operators(value, depth):
            return [part for key, one in value.items() for part in flattened(f"{name}.{key}", one, depth + 1)]
    elif depth and isinstance(value, list):  # of its own it means one of several; in a dict it is a value
        return [(name, ("=", value))]
    return [(name, value)]


def _are_paths(value: Mapping[object, object], depth: int) -> bool:
    """Say whether a path of names leads to each value in a dict."""
    if not value or depth > _PATH_LIMIT:
        return False
    if not all(isinstance(key, str) and key and "." not in key and key[0] != "$" for key in value):
        return False
    inner = [one for one in value.values() if isinstance(one, Mapping) and not any(map(_is_operator, one))]
    return all(_are_paths(one, depth + 1) for one in inner)


def _holds_operators(value: object, depth: int) -> bool:
    check_depth(depth)
    if isinstance(value, Condition):
        return True
    return isinstance(value, Mapping) and (
        any(map(_is_operator, value)) or any(_holds_operators(one, depth + 1) for one in value.values())
    )


def _is_operator(key: object) -> bool:
    """Say whether a key of a dict is meant as an operator, one that there is not among them."""
    if not isinstance(key, str):
        return False
    written = " ".join(key.lower().split())
    return written in OPERATORS or written in _OTHERS or not any(one.isalnum() for one in written)


def names_folio(begin: str, *parts: object, depth: int = 0) -> bool:
    """Say whether conditions, or the fields of some, ask for folios whose names begin so."""
    check_depth(depth)
    for part in parts:
        if isinstance(part, Mapping):
            if _begins(begin, part.get("folio"), depth):
                return True
        elif isinstance(part, Q):
            if names_folio(begin, part.fields, depth=depth + 1):
                return True
        elif isinstance(part, AllOf | AnyOf | list | tuple):
            inside = part if isinstance(part, list | tuple) else part.parts
            if names_folio(begin, *inside, depth=depth + 1):
                return True
        elif isinstance(part, Not) and names_folio(begin, part.part, depth=depth + 1):
            return True
    return False


def _begins(begin: str, value: object, depth: int) -> bool:
    check_depth(depth)
    if isinstance(value, str):
        return value.startswith(begin)
    if isinstance(value, Not):
        return _begins(begin, value.part, depth + 1)
    if isinstance(value, AllOf | AnyOf):
        value = value.parts
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return any(_begins(begin, one, depth + 1) for one in value)
    return False


def check_depth(depth: int) -> None:
    """Refuse conditions that are nested too deep to be run."""
    if depth > _DEPTH_LIMIT:
        raise bad_query(f"a query is nested more than {_DEPTH_LIMIT} deep", "any_of and all_of take many parts")


def _of_tuple(field: str, value: tuple[object, ...]) -> Comparison:
    if len(value) != 2 or not isinstance(value[0], str):
        raise bad_query(
            f"field {field!r} is compared with the tuple {shown_value(value)}",
            'write a pair such as (">=", 0.9), or a list of values',
            field=field,
        )
    written = " ".join(value[0].lower().split())
    operator, operand = OPERATORS.get(written), value[1]
    if operator is None:
        meant = _OTHERS.get(written)
        raise bad_query(
            f"field {field!r}: there is no operator {value[0]!r}",
            f"write {meant!r}" if meant else nearest(written, OPERATORS) or "operators are " + ", ".join(OPERATORS),
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


def _list(field: str, operator: str, values: object) -> tuple[object, ...]:
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise bad_query(f"field {field!r}: {operator} needs a list of values, not {values!r}", field=field)
    return tuple(_plain(value) for value in values)


def _plain(value: object) -> object:
    """Return a scalar of another library as the Python value it is."""
    found = plain_scalar(value)
    if found is not None:
        return found
    return value.to_pydatetime() if hasattr(value, "to_pydatetime") else value

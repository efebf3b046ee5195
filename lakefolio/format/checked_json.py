"""JSON values of unknown writers, checked for their types (pure: no I/O).

``json.loads`` gives any value at any place. Each function here returns a value of its one type, or raises a ValueError
that names the expected type; the reader of an object of a lake turns that into an error that names the object.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["flag", "listed", "mapped", "need", "number", "optional", "strings", "text", "texts"]

T = TypeVar("T")


def need(holds: bool, otherwise: str) -> None:
    """Raise ValueError with a message unless a condition holds."""
    if not holds:
        raise ValueError(otherwise)


def text(value: Any) -> str:
    """Return a text that can be stored: one without lone surrogates."""
    need(type(value) is str, "a text is expected")
    value.encode()
    return str(value)


def number(value: Any, least: int = -(2**63)) -> int:
    """Return a whole number that fits 64 bits, and is not below ``least``."""
    need(type(value) is int and least <= value < 2**63, "a number is expected")
    return int(value)


def flag(value: object) -> bool:
    """Return True or False."""
    need(type(value) is bool, "true or false is expected")
    return bool(value)


def listed(value: Any) -> list[Any]:
    """Return a list of anything."""
    need(type(value) is list, "a list is expected")
    return list(value)


def texts(value: object) -> tuple[str, ...]:
    """Return a list of texts."""
    return tuple(map(text, listed(value)))


def mapped(value: Any) -> dict[str, Any]:
    """Return an object with any values."""
    need(type(value) is dict, "an object is expected")
    return dict(value)


def strings(value: object) -> dict[str, str]:
    """Return a map of texts, which Parquet gives as a list of pairs; empty for null, and without null values."""
    if type(value) is list:
        need(all(type(pair) is tuple and len(pair) == 2 for pair in value), "pairs are expected")
        value = dict(value)
    return {text(key): text(one) for key, one in mapped({} if value is None else value).items() if one is not None}


def optional(reader: Callable[[Any], T], value: object) -> T | None:
    """Return ``reader(value)``, or None for null."""
    return None if value is None else reader(value)

"""Differences between two values of JSON, or of anything that is made of mappings, lists and arrays (pure: no I/O)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from itertools import zip_longest
from typing import Any, Final

import numpy as np

from lakefolio.compare.arrays import told_array, told_difference
from lakefolio.compare.item_diff import ContentChange, Differences
from lakefolio.terminal import shown_value

__all__ = ["compare_values"]

_ABSENT: Final = object()


def compare_values(
    old: object, new: object, root: str = "$", parsed: Callable[[str | bytes], object] = lambda one: one
) -> Differences:
    """Compare values: mappings by key, sets by member, arrays as wholes, everything else by what it prints.

    Lists are compared by position; of lists of different lengths the equal beginnings and ends are matched first, so
    that one inserted member is one. A number equals a number of another type only if it prints alike: ``1`` and
    ``1.0`` differ. NaN equals NaN. Nothing recurses. ``parsed`` returns what a text or bytes stand for.
    """
    changes: list[ContentChange] = []
    work: list[tuple[str, Any, Any]] = [(root, old, new)]
    while work:
        path, one, other = work.pop()
        if is_dataclass(one) and type(one) is type(other):
            one, other = ({part.name: getattr(side, part.name) for part in fields(one)} for side in (one, other))
        if (
            isinstance(one, str | bytes)
            and isinstance(other, str | bytes)
            and type(one) is type(other)
            and one != other
        ):
            one, other = parsed(one), parsed(other)
        below: list[tuple[str, Any, Any]] = []
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            names = dict.fromkeys([*one, *other])
            below = [(f"{path}{_step(name)}", one.get(name, _ABSENT), other.get(name, _ABSENT)) for name in names]
        elif isinstance(one, Set) and isinstance(other, Set):
            below = [(path, member, _ABSENT) for member in sorted(one - other, key=shown_value)]
            below += [(path, _ABSENT, member) for member in sorted(other - one, key=shown_value)]
        elif isinstance(one, list | tuple) and isinstance(other, list | tuple):
            below = [(f"{path}[{place}]", *pair) for place, pair in _matched(one, other)]
        elif isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
            if (told := told_difference(one, other)) is not None:
                changes.append(ContentChange("changed", path, None, *told))
        elif one is not other and not _same(one, other):
            change = "added" if one is _ABSENT else "removed" if other is _ABSENT else "changed"
            changes.append(ContentChange(change, path, None, _text(one), _text(other)))
        work += reversed(below)
    counts = {f"values_{what}": sum(one.change == what for one in changes) for what in ("added", "removed", "changed")}
    return Differences(counts, changes)


def _matched(old: Sequence[object], new: Sequence[object]) -> list[tuple[int, tuple[Any, Any]]]:
    """Return pairs of members with their place, in the new list if it has one."""
    start = end = 0
    if len(old) != len(new):
        shorter = min(len(old), len(new))
        try:
            while start < shorter and _same(old[start], new[start]):
                start += 1
            while end < shorter - start and _same(old[-1 - end], new[-1 - end]):
                end += 1
        except RecursionError:  # nested deeper than can be printed
            start = end = 0
    middle = zip_longest(old[start : len(old) - end], new[start : len(new) - end], fillvalue=_ABSENT)
    return list(enumerate(middle, start))


def _same(one: object, other: object) -> bool:
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return isinstance(one, np.ndarray) and isinstance(other, np.ndarray) and told_difference(one, other) is None
    if type(one) is int and type(other) is int:  # which may be too long to print
        return one == other
    return type(one) is type(other) and shown_value(one) == shown_value(other)


def _step(name: object) -> str:
    return f".{name}" if isinstance(name, str) and name.isidentifier() else f"[{name!r}]"


def _text(value: object) -> str | None:
    if value is _ABSENT:
        return None
    if isinstance(value, np.ndarray):
        return told_array(value)
    if isinstance(value, dt.date | dt.time):
        return str(value)
    try:
        return shown_value(value)
    except RecursionError:
        return f"a {type(value).__name__} that is nested too deeply to be shown"

"""Find the argument that has no type its parameter's annotation accepts (pure).

The library looks after a call has failed with an exception that is not its own: the error then names the wrong
argument, and not a consequence of it. A call that succeeds costs nothing and is not checked.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Final

from lakefolio.terminal import has_surrogate, shown_value

__all__ = ["misfit"]

_CHECKS: Final[Mapping[str, Callable[[object], bool]]] = {
    "Any": lambda value: True,
    "object": lambda value: True,
    "None": lambda value: value is None,
    "bool": lambda value: isinstance(value, bool) or type(value).__name__ == "bool_",
    "int": lambda value: hasattr(value, "__index__") and not isinstance(value, bool),
    "float": lambda value: hasattr(value, "__float__") and not isinstance(value, bool),
    "Path": lambda value: isinstance(value, os.PathLike),
    "PathLike": lambda value: isinstance(value, os.PathLike),
    "Callable": callable,
    "Registrar": callable,
    "Iterable": lambda value: isinstance(value, Iterable),
    "Sequence": lambda value: isinstance(value, Iterable),
    "Mapping": lambda value: isinstance(value, Mapping),
    "At": lambda value: value is None or isinstance(value, int | str | date),
    "When": lambda value: isinstance(value, int | str | date),
    "Time": lambda value: value is None or isinstance(value, str | date),
    "Tags": lambda value: value is None or isinstance(value, Iterable),
    "Inputs": lambda value: value is None or isinstance(value, Iterable),
    "ColumnsFrom": lambda value: value is None or isinstance(value, Mapping),
    "Types": lambda value: value is None or isinstance(value, str | Mapping) or type(value).__name__ == "DataType",
}
"""By the name of a type; any other is that of a class."""
_OF_TEXTS: Final = re.compile(r"(Iterable|Sequence|list|tuple)\[str\b|Mapping\[str,|dict\[str,|^Tags$")
_INSIDE: Final = re.compile(r"\[[^\[\]]*\]")


def misfit(function: Callable[..., object], args: tuple[object, ...], kwargs: Mapping[str, object]) -> str | None:
    """Return which argument has a wrong type, in words; None if all fit, or if that can't be told."""
    signature = inspect.signature(function)
    try:
        given = signature.bind(*args, **kwargs).arguments
    except TypeError:
        return None
    for name, value in given.items():
        parameter = signature.parameters[name]
        if not isinstance(parameter.annotation, str):
            continue
        values: Iterable[object] = (value,)
        if parameter.kind is parameter.VAR_POSITIONAL and isinstance(value, tuple):
            values = value
        if parameter.kind is parameter.VAR_KEYWORD and isinstance(value, dict):
            values = value.values()
        for one in values:
            if isinstance(one, str) and has_surrogate(one):
                return f"{name}={shown_value(one):.60}, which holds half a character: no text of a lake does"
            if "Path" in parameter.annotation and isinstance(one, str | os.PathLike) and "\0" in str(one):
                return f"{name}={shown_value(one):.60}, which holds a NUL: no path does"
            if not _fits(parameter.annotation, one):
                said = re.sub(r"\bAt\b", "version, time or snapshot", parameter.annotation.replace(" | ", " or "))
                return f"{name}={shown_value(one):.60}, expected {said}"
    return None


def _fits(annotation: str, value: object) -> bool:
    bare = annotation
    while bare != (bare := _INSIDE.sub("", bare)):
        pass
    names = [one.strip().rpartition(".")[2] for one in bare.split("|")]
    if not any(_is_one(name, value) for name in names):
        return False
    if _OF_TEXTS.search(annotation) and isinstance(value, list | tuple | set | dict):
        return all(isinstance(one, str) for one in value)
    return True


def _is_one(name: str, value: object) -> bool:
    check = _CHECKS.get(name)
    if check is not None:
        return check(value)
    if name == "Literal":
        return isinstance(value, str)
    return name.endswith("T") or any(one.__name__ == name for one in type(value).__mro__)

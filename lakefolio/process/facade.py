"""Facade classes, whose methods are functions of other modules: whole docstrings, errors that name the right keyword.

The text for an argument that many methods share is written once, for the class. A method's docstring describes only the
arguments that are its own.
"""

from __future__ import annotations

import functools
import inspect
import re
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, cast

from lakefolio.errors import LakefolioError, ReadOnlyError, UnsupportedTypeError
from lakefolio.process.keywords import explained

__all__ = ["closed", "facade", "maker", "obtained", "with_arguments"]

C = TypeVar("C", bound=type[Any])
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

_ENTRY: Final = re.compile(r"    \*{0,2}(\w+): ")
_WRAP: Final = textwrap.TextWrapper(110, initial_indent="    ", subsequent_indent="        ")
_SECTION: Final = re.compile(r"(?:Args|Returns|Raises|Yields):")


def facade(arguments: Mapping[str, str]) -> Callable[[C], C]:
    """Decorate a class: complete the docstrings of its public methods, and let them say which keyword was meant.

    Args:
        arguments: Name -> what it is, for those that a docstring does not describe itself.
    """

    def made(owner: C) -> C:
        for name in dir(owner):
            found = inspect.getattr_static(owner, name)
            if name.startswith("_") and name != "__init__":
                continue
            shown = owner.__name__ if name == "__init__" else f"{owner.__name__}.{name}"
            if inspect.isfunction(found):
                setattr(owner, name, _method(found, shown, arguments))
            elif isinstance(found, classmethod):
                setattr(owner, name, classmethod(_method(found.__func__, shown, arguments)))
        return owner

    return made


def closed(*attributes: str) -> Callable[[C], C]:
    """Decorate a class: what is no attribute of it can't be set, since nothing would be recorded (ReadOnlyError).

    Args:
        attributes: The public attributes that its objects have besides those of the class.
    """

    def made(owner: C) -> C:
        def set_attribute(self: object, name: str, value: object) -> None:
            if name[:1] != "_" and name not in attributes:
                known = inspect.getattr_static(owner, name, None)
                if known is None or (isinstance(known, property) and known.fset is None):
                    raise ReadOnlyError(
                        f"{owner.__name__}.{name} can't be set: nothing would be recorded",
                        kind="attribute-read-only",
                        hint=f"help({owner.__name__}) lists the methods that record",
                    )
            object.__setattr__(self, name, value)

        setattr(owner, "__setattr__", set_attribute)  # noqa: B010 - mypy: a method
        return owner

    return made


def obtained(how: str) -> Callable[[C], C]:
    """Decorate a class whose objects the library makes: who calls it is told how to get one (UnsupportedTypeError).

    Args:
        how: The hint, such as ``lake.run(name) starts one``.
    """

    def made(owner: C) -> C:
        init = owner.__init__

        @functools.wraps(init)
        def call(self: object, *args: object, **kwargs: object) -> None:
            try:
                init(self, *args, **kwargs)
            except LakefolioError:
                raise
            except (TypeError, AttributeError) as exc:
                message = f"{owner.__name__} can't be made by calling its class"
                raise UnsupportedTypeError(message, kind="bad-argument", hint=how) from exc

        setattr(owner, "__init__", call)  # noqa: B010 - mypy: a method
        return owner

    return made


def maker(owner: Callable[..., T]) -> Callable[..., T]:
    """Return the constructor of a class with :func:`obtained` for the library itself: errors are as they are."""
    cls = cast("Any", owner)
    init = cls.__init__.__wrapped__

    def make(**values: object) -> T:
        one: T = cls.__new__(cls)
        init(one, **values)
        return one

    return make


def _method(function: F, shown: str, arguments: Mapping[str, str]) -> F:
    call = explained(function, shown)
    call.__doc__ = with_arguments(function, arguments)
    return call


def with_arguments(function: Callable[..., object], arguments: Mapping[str, str]) -> str:
    """Return the docstring of a function with an entry for each argument: its own, else that of ``arguments``."""
    lines = inspect.cleandoc(function.__doc__ or "").split("\n")
    start = next((number for number, line in enumerate(lines) if _SECTION.match(line)), len(lines))
    own: dict[str, list[str]] = {}
    head, rest = lines[:start], lines[start:]
    if rest and rest[0] == "Args:":
        end = next((number for number, line in enumerate(rest) if number and not line.startswith("    ")), len(rest))
        name = ""
        for line in rest[1:end]:
            found = _ENTRY.match(line)
            name = name if found is None else found[1]
            own.setdefault(name, []).append(line)
        rest = rest[end:]
    entries: list[str] = []
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        text = arguments.get(parameter.name)
        stars = "*" * ((parameter.kind is parameter.VAR_POSITIONAL) + 2 * (parameter.kind is parameter.VAR_KEYWORD))
        shared = [] if text is None else _WRAP.wrap(f"{stars}{parameter.name}: {text}")
        entries += own.get(parameter.name) or shared
    while head and not head[-1]:
        head.pop()
    while rest and not rest[0]:
        rest.pop(0)
    parts = [head, ["Args:", *entries] if entries else [], rest]
    return "\n\n".join("\n".join(part) for part in parts if part)

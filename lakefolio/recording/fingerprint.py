"""What a captured function's result depends on besides its arguments: its code, and the values it reads around it.

Followed are functions, classes and modules of one's own (what is not installed): those that the code names, and theirs.
Values are what such code reads from globals, closures and defaults. Each is known by its content as far as that can be
told (plain values, tables, arrays, models, objects of one's own classes); of anything else only the type counts.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import sys
import sysconfig
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path, PurePath
from types import CodeType, FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any, Final

from lakefolio.format import json_encode
from lakefolio.recording.call_arguments import is_read_once
from lakefolio.runs.content import digest_of_object

__all__ = ["Reads", "reads_of"]

_DEEPEST: Final = 4
_MOST_MEMBERS: Final = 1_000
_LIBRARY: Final = __name__.partition(".")[0]


class Reads:
    """The code of a function and the values around it, at one moment.

    Attributes:
        code: A digest of its code and of all code of one's own that it reaches.
        values: What it reads -> a digest of its content.
    """

    def __init__(self, code: str, values: Mapping[str, str]) -> None:
        self.code = code
        self.values = dict(values)

    def unchanged(self, after: Reads) -> dict[str, str]:
        """Return the values that are the same after a call: what the call itself changes is none of its inputs."""
        return {name: one for name, one in self.values.items() if after.values.get(name) == one}


def reads_of(function: Callable[..., Any]) -> Reads:
    """Look at a function and everything of one's own that it reaches, as they are now."""
    walk = _Walk(getattr(function, "__module__", None))
    walk.value("", function, ())
    return Reads(walk.hasher.hexdigest(), walk.values)


class _Walk:
    def __init__(self, module: str | None) -> None:
        self.hasher = hashlib.sha256()
        self.values: dict[str, str] = {}
        self._module = module
        self._seen: set[tuple[int, int]] = set()

    def value(self, name: str, value: Any, names: tuple[str, ...]) -> None:
        """Take in what ``name`` stands for, in code that mentions ``names``."""
        if isinstance(value, staticmethod | classmethod):
            value = value.__func__
        if callable(value) and not isinstance(value, type):
            value = _unwrapped(value)
        if isinstance(value, FunctionType):
            self._function(name, value)
        elif isinstance(value, type):
            self._class(name, value)
        elif isinstance(value, ModuleType):
            self._module_of_names(name, value, names)
        elif isinstance(value, MethodType):
            self.value(name, value.__func__, ())
            self.value(f"{name}.__self__", value.__self__, ())
        elif isinstance(value, functools.partial):
            self.value(name, value.func, ())
            self.value(f"{name}.args", [*value.args, value.keywords], ())
        elif isinstance(value, property):
            for part in (value.fget, value.fset):
                if part is not None:
                    self.value(name, part, ())
        else:
            self._plain(name, value)

    def _plain(self, name: str, value: Any) -> None:
        if callable(value) and isinstance(getattr(value, "__qualname__", None), str):  # one written in C
            self._say(f"{name} is {value.__module__}.{value.__qualname__}")
        digest = _digest(value)
        members = _members(value) if digest is None else None
        if members is None:
            self.values[name] = digest or _type(value)
            if digest is None and callable(value) and self._own(type(value).__module__):
                self._class(name, type(value))
            return
        self.values[name] = f"{_type(value)}:{len(members)}"
        if self._first(value, None):
            for key, one in members:
                self.value(f"{name}[{key}]", one, ())

    def _function(self, name: str, one: FunctionType) -> None:
        self._say(f"{name} is {one.__module__}.{one.__qualname__}")
        if not self._own(one.__module__) or not self._first(one, None):
            return
        code = one.__code__
        for part in _parts(code):
            self.hasher.update(part)
        known = tuple(_names(code))
        for variable, cell in zip(code.co_freevars, one.__closure__ or (), strict=True):
            self.value(f"{one.__qualname__}.{variable}", _cell(cell), known)
        defaults = zip(reversed(code.co_varnames[: code.co_argcount]), reversed(one.__defaults__ or ()), strict=False)
        for variable, value in (*defaults, *(one.__kwdefaults__ or {}).items()):
            self.value(f"{one.__qualname__}({variable})", value, ())
        for variable in dict.fromkeys(known):
            if variable in one.__globals__ and not variable.startswith("__"):
                self.value(f"{one.__module__}.{variable}", one.__globals__[variable], known)

    def _class(self, name: str, one: type) -> None:
        self._say(f"{name} is {one.__module__}.{one.__qualname__}")
        if not self._own(one.__module__) or not self._first(one, None):
            return
        for attribute, value in sorted(vars(one).items()):
            if isinstance(value, FunctionType | property | staticmethod | classmethod) or attribute[:2] != "__":
                self.value(f"{one.__qualname__}.{attribute}", value, ())
        for base in one.__bases__:
            self._class(f"{one.__qualname__}.__base__", base)

    def _module_of_names(self, name: str, one: ModuleType, names: tuple[str, ...]) -> None:
        self._say(f"{name} is module {one.__name__}")
        if self._own(one.__name__) and self._first(one, names):
            for attribute in dict.fromkeys(names):
                if attribute in vars(one):
                    self.value(f"{one.__name__}.{attribute}", vars(one)[attribute], names)

    def _say(self, text: str) -> None:
        self.hasher.update(text.encode(errors="replace") + b"\0")

    def _own(self, module: str | None) -> bool:
        return module == self._module or _is_own(module)

    def _first(self, one: Any, names: tuple[str, ...] | None) -> bool:
        """Say whether this is met for the first time."""
        key = (id(one), hash(names))
        new = key not in self._seen
        self._seen.add(key)
        return new


@cache
def _is_own(module: str | None) -> bool:
    """Say whether a module is its user's own: neither installed, nor Python's, nor this library."""
    if not module or module.partition(".")[0] in (_LIBRARY, *sys.builtin_module_names):
        return module == "__main__"
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        return module not in sys.stdlib_module_names
    path = Path(file)
    installed = [sysconfig.get_path(one) for one in ("stdlib", "platstdlib", "purelib", "platlib")]
    return not any(path.is_relative_to(one) for one in installed) and not {"site-packages", "dist-packages"} & {
        *path.parts
    }


def _unwrapped(value: Any) -> Any:
    try:
        return inspect.unwrap(value)
    except ValueError:  # it wraps itself
        return value


def _cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _type(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _members(value: Any) -> list[tuple[Any, Any]] | None:
    """Return the members of a plain container that is not too large, with what each is called."""
    if type(value) in (list, tuple) and len(value) <= _MOST_MEMBERS:
        return list(enumerate(value))
    if type(value) is dict and len(value) <= _MOST_MEMBERS:
        return [(repr(key)[:80], one) for key, one in value.items()]
    return None


def _digest(value: Any, depth: int = 0) -> str | None:
    """Return a digest of a value's content; None if it can't be told."""
    if isinstance(value, PurePath):
        return _sha256(f"path {value}".encode(errors="replace"))
    try:
        return _sha256(_type(value).encode() + json_encode.dumps(value))
    except Exception:  # whatever an object does when it is looked at, the function is none the worse
        if isinstance(value, FunctionType | type | ModuleType):
            return None
    if not is_read_once(value):
        with suppress(Exception):
            return digest_of_object(value)
    if depth < _DEEPEST and (isinstance(value, SimpleNamespace | Namespace) or _is_own(type(value).__module__)):
        facts = getattr(value, "__dict__", None)
        if facts is not None and len(facts) <= _MOST_MEMBERS:
            parts = [f"{key}={_digest(one, depth + 1) or _type(one)}" for key, one in facts.items()]
            return _sha256("\0".join([_type(value), *parts]).encode(errors="replace"))
    return None


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


def _parts(code: CodeType) -> Iterator[bytes]:
    yield code.co_code
    yield repr((code.co_names, code.co_varnames, code.co_flags)).encode()
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _parts(constant)
        else:
            yield repr(sorted(constant, key=repr) if isinstance(constant, frozenset) else constant).encode(
                errors="replace"
            )


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)

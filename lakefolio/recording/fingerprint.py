"""The code of a captured function and the values that it reads: its result depends on them besides its arguments.

The walk follows the user's own functions, classes and modules (those that are not installed, and the function's own
package): all that the code names, directly and indirectly; the functions that decorators wrap and the decorators; the
classes of objects. Values are read by such code from globals, closures, defaults, attributes and environment variables.
The digest of a table, an array or a model is that of its stored form, that of another object comes from its reduction
as :mod:`pickle` would ask for it; nothing is pickled. A value without a digest is named: an answer that depends on it
is not used again.

The walk does not see versions of installed packages, files, networks, and names that code composes when it runs.

The walk is one class, and this module longer than others, because values, functions, classes and modules lead to one
another.
"""

from __future__ import annotations

import copyreg
import enum
import functools
import hashlib
import importlib
import inspect
import io
import logging
import os
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import PurePath
from types import BuiltinFunctionType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any, Final

from lakefolio.errors import type_name
from lakefolio.items.handler import is_read_once
from lakefolio.recording.call_arguments import is_data
from lakefolio.recording.code_objects import code_globals, code_imports, code_names, code_parts, code_texts
from lakefolio.recording.own_code import LIBRARY, OwnCode, cell_content, is_own_package
from lakefolio.recording.plain_values import digest_of_plain, is_plain, key_text, sha256_of
from lakefolio.runs.given_data import digest_of_object
from lakefolio.session.session import Session

__all__ = ["Fingerprint", "fingerprint_of"]

_MOST_MEMBERS: Final = 1_000
_MOST_VALUES: Final = 5_000
_DEEPEST: Final = 60
_LOCKS: Final = (type(threading.Lock()), type(threading.RLock()), threading.Event, threading.Condition)
_NO_INPUT: Final = (*_LOCKS, logging.Logger, logging.LoggerAdapter, logging.Handler)
"""Objects that no result depends on: they are known by their type alone."""
_SKIPPED: Final = frozenset({"_abc_impl", "__module__", "__dict__", "__weakref__", "__doc__", "__annotations__"})
_FINDERS: Final = frozenset({"eval", "exec", "__import__"})
"""What takes code by a text, so that it is not known before a function runs."""
_VARIABLE: Final = re.compile(r"[A-Z_][A-Z0-9_]*")


class Fingerprint:
    """The code of a function and the values around it, at one moment.

    Attributes:
        code: A digest of its code and of all code of one's own that it reaches.
        values: Name of a value that it reads -> a digest of its content.
        unknown: Name and type of a value that can't be compared; None if there is none.
    """

    def __init__(self, code: str, values: Mapping[str, str], unknown: str | None) -> None:
        self.code = code
        self.values = dict(values)
        self.unknown = unknown

    def unchanged(self, after: Fingerprint) -> dict[str, str]:
        """Return the values that are the same after a call: a value that the call changes is no input of it."""
        return {name: one for name, one in self.values.items() if after.values.get(name) == one}


def fingerprint_of(function: Callable[..., object], arguments: Iterable[object] = ()) -> Fingerprint:
    """Look at a function and everything of one's own that it reaches, as they are now.

    Args:
        function: The function.
        arguments: Its arguments: their classes are code that it reaches. Their content is not looked at.
    """
    root = inspect.unwrap(function)
    walk = _Walk(getattr(root, "__globals__", {}).get("__name__"))
    try:
        walk.value("", function, ())
        for one in arguments:
            walk.classes_of(one)
    except RecursionError:
        walk.unknown = walk.unknown or "an object that refers to others too deeply"
    return Fingerprint(walk.hasher.hexdigest(), walk.values, walk.unknown)


class _Walk:
    def __init__(self, module: str | None) -> None:
        self.hasher = hashlib.sha256()
        self.values: dict[str, str] = {}
        self.unknown: str | None = None
        self._own = OwnCode(module)
        self._seen: dict[tuple[int, int], Any] = {}  # holds the objects: an id is theirs only while they live
        self._aside: dict[tuple[int, int], Any] | None = None  # the same within an object that code names
        self._depth = 0
        self._lenient = 0

    # -- any value -----------------------------------------------------------------------------------------

    def value(self, name: str, value: object, names: tuple[str, ...]) -> None:
        """Take in the value of ``name``, in code that mentions ``names``."""
        with self._deeper():
            if isinstance(value, FunctionType):
                self._function(name, value)
            elif isinstance(value, type):
                self._class(name, value)
            elif isinstance(value, ModuleType):
                self._module_of_names(name, value, names)
            elif isinstance(value, staticmethod | classmethod):
                self.value(name, value.__func__, names)
            elif isinstance(value, MethodType):
                self.value(name, value.__func__, ())
                self.value(f"{name}.__self__", value.__self__, ())
            elif isinstance(value, property):
                self._parts_of(name, {"get": value.fget, "set": value.fset, "delete": value.fdel})
            elif isinstance(value, functools.cached_property):
                self.value(name, value.func, ())
            elif isinstance(value, functools.partialmethod):
                self._parts_of(name, {"func": value.func, "args": value.args, "keywords": value.keywords})
            elif isinstance(value, functools.singledispatchmethod):
                self._parts_of(name, {"func": value.func, "dispatcher": value.dispatcher})
            elif isinstance(value, BuiltinFunctionType):
                self._say(f"{name} is {value.__module__}.{value.__qualname__}")
                if value.__self__ is not None and not isinstance(value.__self__, ModuleType):
                    self.value(f"{name}.__self__", value.__self__, ())
            elif is_plain(value):
                self._note(name, digest_of_plain(value))
            elif self._aside is not None:
                self._object(name, value)
            else:
                self._root_object(name, value)

    def _root_object(self, name: str, value: object) -> None:
        """Take in an object and all it reaches as one value: a change of its content is no change of code."""
        outer, self.hasher, self._aside = self.hasher, hashlib.sha256(), {}
        try:
            self._object(name, value)
            self._note(f"{name}:code", self.hasher.hexdigest()[:32])
        finally:
            self.hasher, self._aside = outer, None

    def _object(self, name: str, value: Any) -> None:
        wrapped = inspect.getattr_static(value, "__wrapped__", None) if callable(value) else None
        if isinstance(wrapped, FunctionType | MethodType):  # such as functools.lru_cache
            self._say(f"{name} is a {type_name(value)}")
            self.value(name, wrapped, ())
            return
        if isinstance(value, _NO_INPUT) or any(value is one for one in (sys.stdout, sys.stderr, sys.stdin)):
            self._note(name, type_name(value))
            return
        session = getattr(value, "_session", None) if type(value).__module__.startswith(f"{LIBRARY}.") else None
        if isinstance(session, Session):  # reads through it are traced
            self._note(
                name, sha256_of(repr((type_name(value), session.place, session.pinned, _name_of(value))).encode())
            )
            return
        if not self._first(value, None):
            return
        if self._own.has(type(value).__module__):
            self._class(f"{name}.__class__", type(value))
        if isinstance(value, PurePath):
            self._note(name, sha256_of(f"path {value}".encode(errors="surrogateescape")))
        elif isinstance(value, enum.Enum):
            self._note(name, sha256_of(f"{type_name(value)}.{value.name}".encode()))
        elif isinstance(value, dict | MappingProxyType) and type(value) in (dict, MappingProxyType):
            self._members(name, value, ((key_text(key), one) for key, one in value.items()))
        elif type(value) in (list, tuple):
            self._members(name, value, enumerate(value))
        elif type(value) in (set, frozenset):
            self._members(name, value, enumerate(sorted(value, key=lambda one: (type_name(one), repr(one)))))
        elif is_read_once(value) or isinstance(value, io.IOBase):
            self._give_up(name, value)
        elif not self._as_data(name, value):
            self._by_reduction(name, value)

    def _as_data(self, name: str, value: object) -> bool:
        """Take a table, an array or a model in by the content that it would be stored as."""
        if (
            self._own.has(type(value).__module__)
            and not isinstance(value, Mapping)
            and not hasattr(value, "get_params")
        ):
            return False
        with suppress(Exception):  # an object that fails when it is looked at must not fail the function
            if is_data(value):
                self._note(name, digest_of_object(value))
                return True
        return False

    def _members(self, name: str, whole: Any, members: Iterable[tuple[Any, Any]]) -> None:
        if len(whole) > _MOST_MEMBERS:
            self._give_up(name, whole)
            return
        self._note(name, f"{type_name(whole)}:{len(whole)}")
        for key, one in members:
            self.value(f"{name}[{key}]", one, ())

    def _parts_of(self, name: str, parts: Mapping[str, object]) -> None:
        for key, one in parts.items():
            if one is not None:
                self.value(f"{name}.{key}", one, ())

    def _by_reduction(self, name: str, value: object) -> None:
        """Take an object in by its reduction for pickle: its constructor, its state and its members."""
        try:
            registered = copyreg.dispatch_table.get(type(value))
            reduced = value.__reduce_ex__(4) if registered is None else registered(value)
        except Exception:
            self._give_up(name, value)
            return
        self._say(f"{name} is a {type_name(value)}")
        if isinstance(reduced, str):
            self._say(f"{name} is {reduced}")
            return
        parts: list[Any] = [*reduced, None, None, None, None]
        make, args, state, items, pairs = parts[:5]
        self._say(f"{name} is made by {getattr(make, '__module__', '')}.{getattr(make, '__qualname__', make)}")
        for number, one in enumerate(args or ()):
            if one is not type(value):
                self.value(f"{name}.{number}", one, ())
        is_pair = type(state) is tuple and len(state) == 2
        states = state if is_pair and all(one is None or type(one) is dict for one in state) else (state,)
        attributes = [str(key) for part in states if type(part) is dict for key in part]
        self._note(f"{name}.{{}}", digest_of_plain(sorted(attributes)))  # one more may hide one of the class
        for part in states:
            if type(part) is dict:
                for key, one in part.items():
                    self.value(f"{name}.{key}", one, ())
            elif part is not None:
                self.value(f"{name}.state", part, ())
        if items is not None:
            self._sequence(name, items)
        if pairs is not None:
            self._sequence(name, pairs)

    def _sequence(self, name: str, items: Iterator[object]) -> None:
        count = 0
        for one in items:
            if count == _MOST_MEMBERS:
                self._give_up(name, items)
                return
            self.value(f"{name}[{count}]", one, ())
            count += 1
        self._note(f"{name}[]", str(count))

    # -- code ----------------------------------------------------------------------------------------------

    def _function(self, name: str, one: FunctionType) -> None:
        self._say(f"{name} is {one.__module__}.{one.__qualname__}")
        if not self._first(one, None):
            return
        wrapped = vars(one).get("__wrapped__")
        if not self._own.has(one.__globals__.get("__name__")):
            self._borrowed(name, one, wrapped)
            return
        code, where = one.__code__, one.__globals__.get("__name__")
        for part in code_parts(code):
            self.hasher.update(part)
        known = tuple(dict.fromkeys(code_names(code)))
        finders = {"import_module"}.intersection(known) | code_globals(code, _FINDERS).difference(one.__globals__)
        finders |= {"sys.modules"} if {"sys", "modules"}.issubset(known) else set()
        if finders and not self._lenient:
            self.unknown = self.unknown or f"code that {min(finders)} finds when it runs"
        for variable, cell in zip(code.co_freevars, one.__closure__ or (), strict=True):
            self.value(f"{one.__qualname__}.{variable}", cell_content(cell), known)
        positional = code.co_varnames[: code.co_argcount]
        defaults = zip(reversed(positional), reversed(one.__defaults__ or ()), strict=False)
        for variable, value in (*defaults, *(one.__kwdefaults__ or {}).items()):
            self.value(f"{one.__qualname__}({variable})", value, ())
        if wrapped is not None:
            self.value(f"{name}.__wrapped__", wrapped, ())
        for variable in known:
            if variable in one.__globals__ and not variable.startswith("__"):
                self.value(f"{where}.{variable}", one.__globals__[variable], known)
            if variable in vars(one) and variable != "__wrapped__":
                self.value(f"{one.__qualname__}.{variable}", vars(one)[variable], ())
        if "environ" in known or "getenv" in known:
            for variable in sorted(
                {text for text in code_texts(code) if _VARIABLE.fullmatch(text) or text in os.environ}
            ):
                self._note(f"environ[{variable}]", digest_of_plain(os.environ.get(variable)))
        for module in dict.fromkeys(code_imports(code, one.__globals__.get("__package__") or "")):
            self._import(module, known)

    def _borrowed(self, name: str, one: FunctionType, wrapped: object) -> None:
        """Take in the user's own code that a library's function holds: the function it decorates, its arguments."""
        cells = dict(zip(one.__code__.co_freevars, map(cell_content, one.__closure__ or ()), strict=True))
        held = {key: cell for key, cell in cells.items() if self._own.leads_to(cell)}
        if wrapped is not None and wrapped not in held.values() and self._own.leads_to(wrapped):
            self.value(f"{name}.__wrapped__", wrapped, ())
        elif not held:
            return
        self._lenient += 1
        for key, cell in cells.items():
            if key in held or is_plain(cell):
                self.value(f"{name}.{key}", cell, ())
        self._lenient -= 1

    def _class(self, name: str, one: type) -> None:
        self._say(f"{name} is {one.__module__}.{one.__qualname__}")
        if not self._own.has(one.__module__) or not self._first(one, None):
            return
        is_enum = isinstance(one, enum.EnumMeta)
        if isinstance(one, enum.EnumMeta):
            self.value(f"{one.__qualname__}.members", {key: member.value for key, member in _members_of(one)}, ())
        for attribute, value in sorted(vars(one).items()):
            if attribute in _SKIPPED or (is_enum and not isinstance(value, _METHODS)):
                continue
            if attribute[:2] != "__" or isinstance(value, _METHODS):
                self.value(f"{one.__qualname__}.{attribute}", value, ())
        for base in one.__bases__:
            self._class(f"{one.__qualname__}.__base__", base)
        if type(one) is not type:
            self._class(f"{one.__qualname__}.__class__", type(one))

    def classes_of(self, value: Any, depth: int = 0) -> None:
        """Take in the classes of an argument and of its members, as far as they are of one's own."""
        if type(value) in (list, tuple, set, frozenset, dict) and depth < 4 and len(value) <= _MOST_MEMBERS:
            for one in value.values() if type(value) is dict else value:
                self.classes_of(one, depth + 1)
        elif self._own.has(type(value).__module__):
            self._class("argument", type(value))
            for one in list(getattr(value, "__dict__", {}).values())[:_MOST_MEMBERS] if depth < 4 else ():
                self.classes_of(one, depth + 1)

    def _module_of_names(self, name: str, one: ModuleType, names: tuple[str, ...]) -> None:
        self._say(f"{name} is module {one.__name__}")
        if self._own.has(one.__name__) and self._first(one, names):
            for attribute in names:
                if attribute in vars(one):
                    self.value(f"{one.__name__}.{attribute}", vars(one)[attribute], names)

    def _import(self, module: tuple[str, tuple[str, ...]], names: tuple[str, ...]) -> None:
        """Take in a module that a function imports when it runs."""
        path, wanted = module
        parts = path.split(".")
        if not is_own_package(parts[0]):
            self._say(f"imports {path}")
            return
        paths = [".".join(parts[:number]) for number in range(1, len(parts) + 1)]
        found = [self._imported(one) for one in paths][-1]
        for one in wanted:
            if found is not None and one not in vars(found) and hasattr(found, "__path__"):
                self._imported(f"{path}.{one}")
        for one in paths:  # only now, when each is an attribute of the one above
            if one in sys.modules:
                self._module_of_names(one, sys.modules[one], names)

    def _imported(self, path: str) -> ModuleType | None:
        try:
            return importlib.import_module(path)
        except Exception:
            self.unknown = self.unknown or f"module {path!r}, which can't be imported"
            return None

    # -- the result ---------------------------------------------------------------------------------------

    def _say(self, text: str) -> None:
        self.hasher.update(text.encode(errors="replace") + b"\0")

    def _note(self, name: str, digest: str) -> None:
        self.values[name] = digest
        if len(self.values) > _MOST_VALUES:
            self.unknown = self.unknown or f"more than {_MOST_VALUES:,} values"

    def _give_up(self, name: str, value: object) -> None:
        self._note(name, type_name(value))
        if not self._lenient:
            self.unknown = self.unknown or f"{name.lstrip('.')} of type {type(value).__qualname__}"

    def _first(self, one: object, names: tuple[str, ...] | None) -> bool:
        """Say whether this is met for the first time."""
        key = (id(one), hash(names))
        seen = self._seen if self._aside is None else self._aside
        new = key not in seen
        seen[key] = one
        return new

    @contextmanager
    def _deeper(self) -> Iterator[None]:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise RecursionError
        try:
            yield
        finally:
            self._depth -= 1


_METHODS: Final = (
    FunctionType,
    property,
    staticmethod,
    classmethod,
    functools.partialmethod,
    functools.cached_property,
    functools.singledispatchmethod,
)


def _members_of(one: enum.EnumMeta) -> Iterable[tuple[str, Any]]:
    members: Mapping[str, Any] = one.__members__
    return members.items()


def _name_of(value: object) -> str:
    return str(getattr(value, "_name", getattr(value, "run_id", "")))

"""The kinds of items: which handler stores an object, and which one reads a stored kind.

Importing this package loads no handler. Built-in handlers come first, then those that other packages register
under the entry point group ``lakefolio.items``::

    [project.entry-points."lakefolio.items"]
    audio = "mypackage.audio:AudioHandler"      # a class or an instance with kind, accepts, encode and decode

A package whose handler can't be loaded is named in one warning and left out; it never breaks the others.
"""

from __future__ import annotations

import importlib
import sys
import threading
import warnings
from collections.abc import Iterator
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

from lakefolio.errors import AlreadyExistsError, InvalidInputError, UnsupportedTypeError, nearest, type_name

if TYPE_CHECKING:
    from lakefolio.items.handler import Handler

__all__ = ["ENTRY_POINT_GROUP", "handler_for", "handler_of", "handlers", "kinds", "register"]

ENTRY_POINT_GROUP: Final = "lakefolio.items"

_BUILT_IN: Final = {
    "table": "table:TableHandler",
    "array": "array:ArrayHandler",
    "sparse": "sparse:SparseHandler",
    "torch": "torch:TorchHandler",
    "model": "sklearn:SklearnHandler",
    "figure": "figure:FigureHandler",
    "timestamp": "timestamp:TimestampHandler",
    "directory": "directory:DirectoryHandler",
    "artifact": "artifact:ArtifactHandler",
    "json": "json_data:JsonHandler",
}
"""Kind -> module and class, in the order in which they are asked (a state dict is a dict, so torch before json)."""

_PLAIN: Final = frozenset({list, str, int, float, bool, type(None)})
"""Types that are always JSON, with any content."""

_SUPPORTED: Final = (
    "tables (pandas, polars, pyarrow), numpy arrays, models (scikit-learn, torch), figures, dicts, lists, text, "
    "numbers, dates, Enums, dataclasses, bytes, and the Path of a file or folder"
)

_lock: Final = threading.RLock()
_loaded: Final[dict[str, Handler]] = {}
_registered: Final[dict[str, Handler]] = {}
_found: list[Handler] | None = None
_broken: Final[set[str]] = set()


def handlers() -> list[Handler]:
    """Return every handler in the order in which they are asked: built-in, registered, of other packages."""
    return [*map(_built_in, _BUILT_IN), *_registered.values(), *_entry_points()]


def handler_for(obj: object) -> Handler:
    """Return the handler that stores ``obj``.

    Raises:
        UnsupportedTypeError: If there is none; also a TypeError.
    """
    # a dict may be torch's state dict, but only where torch is imported
    if type(obj) in _PLAIN or (type(obj) is dict and "torch" not in sys.modules):
        return _built_in("json")
    for kind in _BUILT_IN:
        handler = _built_in(kind)
        if handler.accepts(obj):
            return handler
    for handler in (*_registered.values(), *_entry_points()):
        if _accepts(handler, obj):
            return handler
    name = type_name(obj)
    instead = f"lakefolio stores {_SUPPORTED}"
    if isinstance(obj, Iterator):
        instead = "add a list or a table of what it yields"
    elif isinstance(obj, FunctionType):
        instead = "add what it returns; @lake.capture records its code"
    raise UnsupportedTypeError(
        f"nothing stores objects of type {name}",
        hint=f"{instead}; for others register a handler under {ENTRY_POINT_GROUP!r}",
        type=name,
    )


def handler_of(kind: str) -> Handler:
    """Return the handler that reads items of ``kind``.

    Raises:
        UnsupportedTypeError: If no handler has this kind.
    """
    if kind in _BUILT_IN:
        return _built_in(kind)
    others = {handler.kind: handler for handler in (*_entry_points(), *_registered.values())}
    if kind in others:
        return others[kind]
    hint = f"install the package that registers it under the entry point group {ENTRY_POINT_GROUP!r}"
    close = nearest(kind, kinds())
    raise UnsupportedTypeError(
        f"there is no handler for items of kind {kind!r}",
        kind="unknown-kind",
        hint=f"{hint}; {close}" if close and close.startswith("did you mean") else hint,
        item_kind=kind,
    )


def kinds() -> list[str]:
    """Return every kind of item that can be read here."""
    return [*_BUILT_IN, *(one.kind for one in (*_registered.values(), *_entry_points()))]


def register(handler: Handler) -> None:
    """Use ``handler`` in this process, as if a package had registered it.

    Raises:
        InvalidInputError: If it isn't a handler.
        AlreadyExistsError: If its kind is a built-in one.
    """
    problem = _problem(handler)
    if problem:
        raise InvalidInputError(f"{handler!r} is no item handler: {problem}", kind="bad-handler")
    if handler.kind in _BUILT_IN:
        raise AlreadyExistsError(f"the kind {handler.kind!r} is built in", item_kind=handler.kind)
    with _lock:
        _registered[handler.kind] = handler


def _built_in(kind: str) -> Handler:
    handler = _loaded.get(kind)
    if handler is None:
        module, _, name = _BUILT_IN[kind].partition(":")
        handler = getattr(importlib.import_module(f"lakefolio.items.{module}"), name)()
        _loaded[kind] = handler
    return handler


def _entry_points() -> list[Handler]:
    global _found
    if _found is None:
        with _lock:
            if _found is None:
                _found = _load_entry_points()
    return _found


def _load_entry_points() -> list[Handler]:
    from importlib.metadata import entry_points  # which reads mail: only where a kind is not built in

    found: dict[str, Handler] = {}
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        try:
            loaded: Any = entry.load()
            handler = loaded() if isinstance(loaded, type) else loaded
            problem = _problem(handler)
        except Exception as exc:  # no error of another package's import may stop a reader
            problem = f"{type(exc).__name__}: {exc}"
        if problem is None and (handler.kind in _BUILT_IN or handler.kind in found):
            problem = f"the kind {handler.kind!r} is taken"
        if problem is None:
            found[handler.kind] = handler
        else:
            _warn_once(entry.value, problem)
    return list(found.values())


def _problem(handler: Any) -> str | None:
    if not isinstance(getattr(handler, "kind", None), str) or not handler.kind:
        return "it has no kind"
    missing = [name for name in ("accepts", "encode", "decode") if not callable(getattr(handler, name, None))]
    return f"it has no {', '.join(missing)}" if missing else None


def _accepts(handler: Handler, obj: object) -> bool:
    try:
        return bool(handler.accepts(obj))
    except Exception as exc:
        _warn_once(f"{type(handler).__module__}:{type(handler).__qualname__}", f"{type(exc).__name__}: {exc}")
        return False


def _warn_once(name: str, problem: str) -> None:
    if name not in _broken:
        _broken.add(name)
        warnings.warn(f"the lakefolio item handler {name} is left out: {problem}", RuntimeWarning, stacklevel=4)

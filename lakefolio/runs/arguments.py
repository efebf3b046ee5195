"""Which arguments of a captured call are data, which are parameters, and when two calls are the same."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, Final

from lakefolio import items
from lakefolio.errors import LakefolioError
from lakefolio.items import json_encode
from lakefolio.refs import is_uri

if TYPE_CHECKING:
    from lakefolio.session import Session

__all__ = ["Call", "call_of", "code_digest", "is_data", "memo_key"]

_PLAIN_KINDS: Final = ("json", "timestamp")
_SMALL_BYTES: Final = 4_096
_SHOWN: Final = 200


@dataclass(slots=True)
class Call:
    """What a call was given.

    Attributes:
        inputs: Name -> data, or a reference to it.
        params: Name -> plain value.
        left_out: What could not be kept, in words.
    """

    inputs: dict[str, Any] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def is_data(value: object) -> bool:
    """Say whether a value is data: a table, an array, a model, bytes, a file; not a number, a text or a small dict."""
    if value is None or isinstance(value, str | int | float | bool | complex):
        return False
    if isinstance(value, Path):
        return value.exists()
    if isinstance(getattr(value, "ref", None), str):
        return True
    try:
        return items.handler_for(value).kind not in _PLAIN_KINDS
    except LakefolioError:
        return False


def call_of(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Call:
    """Sort the arguments of a call, defaults included. Never fails for what an argument is; says what it left out."""
    call = Call()
    try:
        bound = inspect.signature(function).bind(*args, **kwargs)
    except (TypeError, ValueError):
        return call  # the call itself will fail, and say why
    bound.apply_defaults()
    for name, value in bound.arguments.items():
        kind = bound.signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            for number, one in enumerate(value):
                _sort(call, f"{name}.{number}", one)
        elif kind is inspect.Parameter.VAR_KEYWORD:
            for key, one in value.items():
                _sort(call, key, one)
        elif name in ("self", "cls") and next(iter(bound.arguments)) == name:
            call.params[name] = f"{type(value).__qualname__}" if name == "self" else getattr(value, "__qualname__", "")
        else:
            _sort(call, name, value)
    return call


def _sort(call: Call, name: str, value: Any) -> None:
    name = name.replace("/", ".")
    if is_data(value):
        call.inputs[name] = value
        return
    if isinstance(value, dict) and value and all(isinstance(key, str) and is_data(one) for key, one in value.items()):
        for key, one in value.items():
            call.inputs[f"{name}.{key}"] = one
        return
    try:
        text = json_encode.dumps(value)
    except LakefolioError as exc:
        call.params[name] = _shown(value)
        call.left_out.append(f"argument {name!r} but for its repr: {exc.message}")
        return
    if len(text) > _SMALL_BYTES and not (isinstance(value, str) and is_uri(value)):
        call.inputs[name] = value
    else:
        call.params[name] = value


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:
        text = f"<{type(value).__qualname__}>"
    return text[:_SHOWN].encode(errors="replace").decode()


# -- the same call? ------------------------------------------------------------------------------------------


def memo_key(function: Callable[..., Any], call: Call, refs: Mapping[str, str], session: Session) -> str | None:
    """Return what is equal for two calls of the same code with the same inputs and parameters.

    Args:
        function: What is called.
        call: Its arguments.
        refs: For each input what names it: ``folio:item@version``.
        session: The lake, which knows the content of the inputs.

    Returns:
        A digest; None if an argument is not known well enough to say.
    """
    if call.left_out or "self" in call.params or "cls" in call.params:
        return None
    content = {}
    for name, ref in refs.items():
        if is_uri(ref):
            return None  # it may change unseen
        folio, _, rest = ref.partition(":")
        item, _, at = rest.rpartition("@")
        entry = session.entry(folio, item or at, int(at) if item else None)
        if entry.digest is None:
            return None
        content[name] = [entry.kind, entry.digest]
    code = code_digest(function)
    params = json_encode.dumps(call.params).decode()
    text = json.dumps([code, sorted(content.items()), params], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def code_digest(function: Callable[..., Any]) -> str:
    """Return a digest of what a function does: its code, its defaults, and the functions of its module that it calls.

    Code of other modules does not count: name what matters in ``version=`` of the decorator.
    """
    hasher = hashlib.sha256()
    seen: set[int] = set()

    def add(one: Any) -> None:
        if id(one) in seen:
            return
        seen.add(id(one))
        hasher.update(f"{one.__module__}.{one.__qualname__}".encode())
        for part in _parts(one.__code__):
            hasher.update(part)
        hasher.update(repr((one.__defaults__, one.__kwdefaults__)).encode(errors="replace"))
        for cell in one.__closure__ or ():
            value = _cell(cell)
            add(value) if isinstance(value, FunctionType) else hasher.update(_plain(value))
        for name in _names(one.__code__):
            value = one.__globals__.get(name)
            value = inspect.unwrap(value) if callable(value) else value
            if isinstance(value, FunctionType) and value.__module__ == one.__module__:
                add(value)
            elif isinstance(value, str | int | float | bool | tuple | frozenset | type(None)):
                hasher.update(f"{name}={value!r}".encode(errors="replace"))

    add(inspect.unwrap(function))
    return hasher.hexdigest()


def _cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _plain(value: Any) -> bytes:
    """Return what a value adds to the code that closes over it: of what may change meanwhile only its type."""
    constant = isinstance(value, str | bytes | int | float | bool | tuple | frozenset | type(None))
    return (repr(value) if constant else type(value).__qualname__).encode(errors="replace")


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

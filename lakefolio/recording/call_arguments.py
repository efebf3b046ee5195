"""Which arguments of a captured call are data, which are parameters, and when two calls are the same."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
import unicodedata
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lakefolio import items
from lakefolio.errors import LakefolioError
from lakefolio.format import json_encode
from lakefolio.format.names import is_uri, parse_ref
from lakefolio.items.handler import is_read_once
from lakefolio.redaction import MASK, is_secret_name, scrub, scrub_value

if TYPE_CHECKING:
    from lakefolio.session.session import Session

__all__ = ["Call", "call_of", "free_name", "is_data", "memo_key", "parts_of"]

_PLAIN_KINDS: Final = ("json", "timestamp")
_SMALL_BYTES: Final = 4_096
_SHOWN: Final = 200
_MOST_PARTS: Final = 1_000
_DEEPEST: Final = 4
_LONGEST_NAME: Final = 160
_UNFIT: Final = re.compile(r'[\x00-\x1f\x7f-\x9f:@\\"<>|?*]')


@dataclass(slots=True)
class Call:
    """The arguments of a call.

    Attributes:
        inputs: Name -> data, or a reference to it.
        params: Name -> plain value.
        left_out: Arguments that could not be kept, each with the reason.
        forms: Containers that hold data, whose members are kept one by one: name -> their type.
        values: All arguments, as they were given.
        hidden: The inputs that held a secret, which is left out of them.
    """

    inputs: dict[str, Any] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    forms: dict[str, str] = field(default_factory=dict)
    values: tuple[Any, ...] = ()
    hidden: list[str] = field(default_factory=list)

    def name(self, name: str) -> str:
        """Return an argument's name as a run may have it: one that an item may have, and not taken yet."""
        return free_name(name, self.inputs.keys() | self.params.keys())


def is_data(value: object) -> bool:
    """Say whether a value is data: a table, an array, a model, bytes, a file; not a number, a text or a small dict."""
    if value is None or isinstance(value, str | int | float | bool | complex):
        return False
    if isinstance(value, Path):
        return value.exists()
    if isinstance(getattr(value, "ref", None), str):
        return True
    if is_read_once(value):
        return False
    try:
        return items.handler_for(value).kind not in _PLAIN_KINDS
    except LakefolioError:
        return False


def call_of(function: Callable[..., object], args: tuple[object, ...], kwargs: Mapping[str, object]) -> Call:
    """Sort the arguments of a call, defaults included. No argument makes it fail; those left out are named."""
    call = Call()
    try:
        bound = inspect.signature(function).bind(*args, **kwargs)
    except (TypeError, ValueError):
        return call  # the call itself will fail, and say why
    bound.apply_defaults()
    call.values = tuple(bound.arguments.values())
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


def _sort(call: Call, name: str, value: object) -> None:
    name = call.name(name)
    if isinstance(value, bytes | bytearray | Path) and is_secret_name(name):
        call.params[name] = MASK
        call.left_out.append(f"argument {name!r}: its name says that it is a secret")
        return
    if is_data(value):
        call.inputs[name] = value
        return
    parts = parts_of(value)
    if parts is not None:
        call.forms[name] = f"{type(value).__qualname__} {list(value) if isinstance(value, dict) else len(parts)!r}"
        for key, one in parts:
            _sort(call, f"{name}.{key}", one)
        return
    if is_read_once(value):
        call.params[name] = _shown(value)
        call.left_out.append(
            f"argument {name!r} but for its repr: it can be read only once, which is left to the function"
        )
        return
    try:
        text = json_encode.dumps(value)
    except LakefolioError as exc:
        call.params[name] = _shown(value)
        call.left_out.append(f"argument {name!r} but for its repr: {exc.message}")
        return
    plain = isinstance(value, str) and (is_uri(value) or is_secret_name(name))
    if len(text) > _SMALL_BYTES and not plain:
        call.inputs[name] = clean = scrub_value(value, name)
        if clean is not value:  # the value itself still tells calls apart
            call.hidden.append(name)
            call.forms[name] = hashlib.sha256(text).hexdigest()
    else:
        call.params[name] = value


def parts_of(value: object) -> list[tuple[str, Any]] | None:
    """Return the members of a dict, list or tuple that holds data, each with its name; None of anything else."""
    if not isinstance(value, dict | list | tuple) or not 0 < len(value) <= _MOST_PARTS or not _holds_data(value):
        return None
    if isinstance(value, dict):
        return [(str(key), one) for key, one in value.items()]
    names = getattr(value, "_fields", range(len(value)))
    return [(str(name), one) for name, one in zip(names, value, strict=True)]


def _holds_data(value: object, depth: int = 0) -> bool:
    if isinstance(value, dict | list | tuple):
        members = value.values() if isinstance(value, dict) else value
        return depth < _DEEPEST and len(value) <= _MOST_PARTS and any(_holds_data(one, depth + 1) for one in members)
    return is_data(value)


def _item_name(text: str) -> str:
    """Return a text as the name of an item, without the characters that a name can't have."""
    plain = unicodedata.normalize("NFC", _UNFIT.sub("_", text.encode(errors="replace").decode().replace("/", ".")))
    cut = plain.strip().encode()[:_LONGEST_NAME].decode(errors="ignore").strip()
    return cut if cut.strip(".") else f"_{cut}"


def free_name(text: str, taken: Collection[str]) -> str:
    """Return a text as the name of an item, with a number if that is taken."""
    free = wanted = _item_name(text)
    number = 1
    while free in taken:
        number += 1
        free = f"{wanted}_{number}"
    return free


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except Exception:
        text = f"<{type(value).__qualname__}>"
    return scrub(text)[:_SHOWN].encode(errors="replace").decode()


# -- the same call? ------------------------------------------------------------------------------------------


def memo_key(code: str, call: Call, refs: Mapping[str, str], session: Session) -> str | None:
    """Return the key that two calls of the same code with the same inputs and parameters share.

    Args:
        code: A digest of the code that is called.
        call: Its arguments.
        refs: The reference of each input: ``folio:item@version``.
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
        named = parse_ref(ref)
        entry = session.entry(named.folio or "", named.item, named.at)
        if entry.digest is None:
            return None
        content[name] = [entry.kind, entry.digest]
    params = json_encode.dumps(call.params).decode()
    text = json.dumps([code, sorted(content.items()), params, call.forms], separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()

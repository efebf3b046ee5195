"""Python values as strict JSON text (FORMAT.md, "Kind json"); ``json_decode`` reads it back.

Plain values (dict with text keys, list, str, int, finite float, bool, None) are plain JSON, so that any
reader understands them. Everything else is an object with a ``$type``::

    {"$type": "tuple", "value": [1, 2]}

A dict that has a key ``$type`` or a key that is no text is itself written so:
``{"$type": "dict", "value": [[key, value], …]}``. The order of dicts is kept. The text is valid RFC 8259
JSON: no NaN, no lone surrogates.

Integers up to 300 digits are JSON numbers, longer ones tagged, in hexadecimal. (DuckDB types an integer beyond 64
bits as DOUBLE, but keeps its digits: as text, or cast to HUGEINT, it is exact.)

An Enum member, a dataclass or a namedtuple is stored with its class as ``module:qualname`` beside its plain
value; ``json_decode`` says when it comes back as that class. Instances of other subclasses of dict, list,
tuple, set, str, int, float and bytes come back as the base type; those with attributes of their own are refused.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import fractions
import functools
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from lakefolio.errors import InvalidInputError, UnsupportedTypeError
from lakefolio.format.json_scalars import (
    MAX_FACT_INT,
    MAX_PLAIN_INT,
    SCALARS,
    TYPE,
    atom,
    library_scalar,
    name_of_zone,
    plain_scalar,
    short_path,
    tag,
)

__all__ = ["FACTORIES", "MAX_DEPTH", "dumps", "dumps_fact", "encode"]

MAX_DEPTH: Final = 200
"""Deeper nesting is refused on writing: a reader with a deep stack of its own must still get it back."""
FACTORIES: Final[dict[str, Any]] = {
    "None": None,
    "bool": bool,
    "dict": dict,
    "float": float,
    "int": int,
    "list": list,
    "set": set,
    "str": str,
    "tuple": tuple,
}
"""The factories that a ``defaultdict`` may have, by name."""

_ATOMS: Final = frozenset({str, int, float, bool, type(None)})


def dumps(obj: object) -> bytes:
    """Return ``obj`` as JSON text in UTF-8; equal objects of equal order give equal bytes.

    Raises:
        UnsupportedTypeError: If a value inside can't be stored; ``path`` says which (``$.a[3].b``).
        InvalidInputError: For cycles, lone surrogates, arrays and tables inside, too deep nesting, and a container that
            another thread changes meanwhile.
    """
    return _quickly(obj) or _text(encode(obj)).encode()


def dumps_fact(obj: object) -> bytes:
    """Return a fact (metadata, a parameter, an event) as JSON text, scalars of other libraries as plain values.

    A query finds a number as a number, of any type: NumPy scalars, and arrays and tensors without dimensions, become
    bool, int, float, str, datetime or date; a pandas Timestamp without nanoseconds becomes a datetime. All else,
    including a NumPy scalar that Python has no type for, is encoded as by :func:`dumps`, which raises the same errors.
    An integer of more than 4,300 digits is refused (kind ``long-integer``), because Python could not print it.
    """
    if quickly := _quickly(obj):
        return quickly
    with _unchanged():
        return _text(_Encoder(scalars_are_plain=True).value(obj, "$", 0)).encode()


def encode(obj: object) -> Any:
    """Return ``obj`` as a document of plain JSON values; raises like :func:`dumps`."""
    with _unchanged():
        return _Encoder().value(obj, "$", 0)


def _quickly(obj: object) -> bytes | None:
    """Return plain values as JSON text; None for others. Most items are plain: no context manager is made for them."""
    try:
        if _plain(obj, 0):
            return _text(obj).encode()
    except (ValueError, TypeError):
        pass  # NaN, an infinity, a lone surrogate: the slow way can write it, or says where it is
    except RuntimeError as exc:
        _refuse_changed(exc)
        raise
    return None


@contextmanager
def _unchanged() -> Iterator[None]:
    """Refuse a dict, set or deque that another thread changes while it is walked."""
    try:
        yield
    except RuntimeError as exc:
        _refuse_changed(exc)
        raise


def _refuse_changed(exc: RuntimeError) -> None:
    """Raise InvalidInputError in place of an error that tells of a container which changed."""
    if str(exc).endswith("during iteration"):  # as Python words it, for every container
        raise InvalidInputError(
            "the value changed while it was being added",
            kind="content-changed",
            hint="add it again when nothing changes it, or add a copy",
        ) from exc


# made once: json.dumps makes one at each call with other options than its defaults
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _text(document: object) -> str:
    return _ENCODER.encode(document)


def _plain(obj: Any, depth: int) -> bool:
    """Say whether JSON itself can hold ``obj`` and give the same object back (floats are checked on writing)."""
    kind = type(obj)
    if kind in _ATOMS:
        return kind is not int or -MAX_PLAIN_INT < obj < MAX_PLAIN_INT
    if depth > MAX_DEPTH:
        return False
    if kind is dict:
        if TYPE in obj:
            return False
        for key, value in obj.items():
            if type(key) is not str or not (type(value) in (str, bool, float) or _plain(value, depth + 1)):
                return False
        return True
    return kind is list and all(_plain(value, depth + 1) for value in obj)


class _Encoder:
    """Walks one object; knows where it is, for errors and cycles."""

    def __init__(self, *, scalars_are_plain: bool = False) -> None:
        self._open: set[int] = set()
        self._scalars_are_plain = scalars_are_plain

    def value(self, obj: object, path: str, depth: int) -> object:
        """Return the document of ``obj``, which lies at ``path``."""
        if self._scalars_are_plain:
            _check_length(obj, path)
        if type(obj) in _ATOMS:
            return atom(obj, path)
        if depth > MAX_DEPTH:
            raise InvalidInputError(
                f"the value at {short_path(path)} is nested deeper than {MAX_DEPTH} levels",
                kind="too-deep",
                hint="store it flatter, or as a file",
                path=path,
            )
        if id(obj) in self._open:
            raise InvalidInputError(
                f"the value at {short_path(path)} contains itself",
                kind="cycle",
                hint="break the circle, for instance by names in place of the objects",
                path=path,
            )
        self._open.add(id(obj))
        try:
            return self._compound(obj, type(obj), path, depth)
        finally:
            self._open.discard(id(obj))

    def _compound(self, obj: Any, kind: type, path: str, depth: int) -> object:
        scalar = SCALARS.get(kind)
        if scalar is not None:
            return scalar(obj)
        if kind is list:
            return self._items(obj, path, depth)
        if kind is dict:
            return self._dict(obj, path, depth)
        if kind is tuple:
            return tag("tuple", self._items(obj, path, depth))
        if kind is collections.deque:
            return tag("deque", self._items(obj, path, depth), maxlen=obj.maxlen)
        if kind in (set, frozenset):
            return tag(kind.__name__, sorted(self._items(obj, path, depth), key=_text))
        if kind in (collections.OrderedDict, collections.Counter):
            return tag(kind.__name__, self._pairs(obj, path, depth))
        if kind is collections.defaultdict:
            names = [name for name, factory in FACTORIES.items() if factory is obj.default_factory]
            if names:
                return tag("defaultdict", self._pairs(obj, path, depth), factory=names[0])
            if not self._scalars_are_plain:
                raise UnsupportedTypeError(
                    f"the value at {short_path(path)} is a defaultdict whose factory would not come back; it "
                    f"can be one of {', '.join(FACTORIES)}",
                    hint="turn it into a dict first",
                    path=path,
                    type="collections.defaultdict",
                )
        return self._instance(obj, kind, path, depth)

    def _instance(self, obj: object, kind: type, path: str, depth: int) -> object:
        if isinstance(obj, enum.Enum):
            value = self.value(obj.value, path, depth + 1)
            name = obj.name if obj.name in kind.__members__ else None  # type: ignore[attr-defined]
            return {**tag("enum", value), "class": _class_name(kind), "name": name}
        if dataclasses.is_dataclass(obj) and not isinstance(obj, type):
            _check_attributes(obj, path, {field.name for field in dataclasses.fields(obj)})
            names = [field.name for field in dataclasses.fields(obj) if hasattr(obj, field.name)]
            pairs = [[name, self.value(getattr(obj, name), f"{path}.{name}", depth + 1)] for name in names]
            return {**tag("dataclass", pairs), "class": _class_name(kind)}
        if isinstance(obj, dt.tzinfo):
            return tag("timezone", name_of_zone(obj, None))
        if self._scalars_are_plain and (plain := plain_scalar(obj)) is not None:
            return self.value(plain, path, depth)
        found = library_scalar(obj, path)
        if found is not None:
            return found
        if isinstance(obj, tuple) and isinstance(getattr(kind, "_fields", None), tuple):
            _check_attributes(obj, path, set())
            return {**tag("namedtuple", self._items(obj, path, depth)), "class": _class_name(kind)}
        for base, plain in _BASES.items():
            if isinstance(obj, base):
                _check_attributes(obj, path, set())
                return self.value(plain(obj), path, depth)
        name = f"{kind.__module__}.{kind.__qualname__}"
        raise UnsupportedTypeError(
            f"the value at {short_path(path)} is a {name}, which JSON can't hold",
            hint="store it as an item of its own, or turn it into plain values first",
            path=path,
            type=name,
        )

    def _items(self, obj: Iterable[object], path: str, depth: int) -> list[object]:
        return [self.value(value, f"{path}[{index}]", depth + 1) for index, value in enumerate(obj)]

    def _dict(self, obj: dict[object, object], path: str, depth: int) -> object:
        if TYPE not in obj and all(type(key) is str for key in obj):
            return {
                atom(key, f"{path} (a key)"): self.value(value, f"{path}.{key}", depth + 1)
                for key, value in obj.items()
            }
        return tag("dict", self._pairs(obj, path, depth))

    def _pairs(self, obj: dict[object, object], path: str, depth: int) -> list[object]:
        pairs: list[object] = []
        for key, value in obj.items():
            text = _key_text(key)
            pairs.append(
                [
                    self.value(key, f"{path} (the key {text})", depth + 1),
                    self.value(value, f"{path}[{text}]", depth + 1),
                ]
            )
        return pairs


def _check_length(obj: object, path: str) -> None:
    """Refuse an integer in a fact that Python could not print; content may hold any integer."""
    numbers: tuple[int, ...] = ()
    if isinstance(obj, int):
        numbers = (obj,)
    elif isinstance(obj, fractions.Fraction):
        numbers = (obj.numerator, obj.denominator)
    elif isinstance(obj, range):
        numbers = (obj.start, obj.stop, obj.step)
    if any(not -MAX_FACT_INT < number < MAX_FACT_INT for number in numbers):
        raise InvalidInputError(
            f"the value at {short_path(path)} has an integer of more than 4,300 digits",
            kind="long-integer",
            hint="write it as a text, or add it as an item",
            path=path,
        )


def _check_attributes(obj: object, path: str, known: set[str]) -> None:
    """Refuse an object with attributes, or with content of a container, that decoding would lose."""
    kind = type(obj)
    inside = getattr(obj, "__dict__", None)
    more = [
        name
        for name, value in (inside.items() if isinstance(inside, dict) else ())
        if name not in known and value and not isinstance(getattr(kind, name, None), functools.cached_property)
    ]
    if not more and not (known and isinstance(obj, tuple(_BASES))):
        return
    what = f"the attribute {more[0]!r}" if more else "what it holds besides its fields"
    raise UnsupportedTypeError(
        f"the value at {short_path(path)} is a {kind.__module__}.{kind.__qualname__}, of which {what} would not come "
        "back",
        hint="turn it into a dict, or into a dataclass with a field for it",
        path=path,
        type=f"{kind.__module__}.{kind.__qualname__}",
    )


def _key_text(key: Any) -> str:
    try:
        return repr(key)[:60]
    except ValueError:  # Python writes no integer of more than 4,300 digits
        return f"an int of {key.bit_length()} bits"


def _class_name(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


_BASES: Final[dict[type, Callable[[Any], Any]]] = {
    dict: lambda obj: dict(dict.items(obj)),
    list: lambda obj: list(list.__iter__(obj)),
    tuple: lambda obj: tuple(tuple.__iter__(obj)),
    set: lambda obj: set(set.__iter__(obj)),
    frozenset: lambda obj: frozenset(frozenset.__iter__(obj)),
    int: int.__int__,
    float: float.__float__,
    str: str.__str__,
    bytes: bytes.__bytes__,
    dt.datetime: lambda obj: dt.datetime.combine(obj.date(), obj.timetz()),
    dt.date: lambda obj: dt.date(obj.year, obj.month, obj.day),
}
"""How to get the plain value of an instance of a subclass, whatever methods the subclass overrides."""

"""Strict JSON text back to the Python values that ``json_encode`` wrote (FORMAT.md, "Kind json").

**Classes.** A stored Enum member, dataclass or namedtuple comes back as its class if the reader's process has
the class's module imported already, or if the reader names the module or class in ``trusted`` (then it is
imported).
Otherwise, and when the class no longer fits what is stored, it comes back as the plain value: an Enum member
    as its
value, a dataclass as a dict, a namedtuple as a tuple. So the content of a bucket never makes a reader import
anything, and no method of a class runs: fields are set directly, the way ``copy`` and pickle do it.
"""

from __future__ import annotations

import base64
import collections
import contextlib
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import importlib
import json
import pathlib
import uuid
import zoneinfo
from collections.abc import Callable, Iterable
from typing import Any, Final

from lakefolio.errors import FormatError, IntegrityError, InvalidInputError
from lakefolio.format.json_encode import FACTORIES
from lakefolio.format.json_scalars import TYPE
from lakefolio.process.imports import imported
from lakefolio.terminal import printable_numbers

__all__ = ["decode", "find_class", "is_trusted", "loads", "loads_fact", "trusted_names", "zone_of"]


def loads(text: bytes | memoryview, *, trusted: Iterable[object] = ()) -> Any:
    """Return the object that ``dumps`` was given.

    Args:
        text: JSON text in UTF-8.
        trusted: Modules or classes that may be imported, see :func:`find_class`.

    Raises:
        IntegrityError: If the text is not what ``dumps`` writes.
        FormatError: If it holds a type that only a newer library knows.
    """
    data = bytes(text)
    try:
        document = _PLAIN.decode(data.decode(json.detect_encoding(data), "surrogatepass"))
    except (ValueError, RecursionError) as exc:
        raise IntegrityError(f"the stored JSON can't be read: {exc}", kind="bad-content") from exc
    return decode(document, trusted=trusted) if b'"$type"' in data else document


def loads_fact(text: str | bytes) -> Any:
    """Return the value of a fact; integers that only old lakes hold in facts, of more than 4,300 digits, print too.

    Raises:
        IntegrityError, FormatError: See :func:`loads`.
    """
    found = loads(text.encode() if isinstance(text, str) else text)
    return found if len(text) < _LONG_CHARACTERS else printable_numbers(found)


def decode(document: object, *, trusted: Iterable[object] = ()) -> Any:
    """Return the object of a document that ``encode`` made; raises like :func:`loads`."""
    try:
        return _Decoder(trusted_names(trusted)).value(document)
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError) as exc:
        if isinstance(exc, InvalidInputError):
            raise
        raise IntegrityError(f"the stored JSON holds a value that can't be read: {exc}", kind="bad-content") from exc


def trusted_names(trusted: Iterable[object]) -> frozenset[str]:
    """Return the reader's trust list as names.

    Raises:
        InvalidInputError: If it is no list of names or classes. ``True`` is refused: it would trust whatever
            the file happens to hold.
    """
    if isinstance(trusted, (str, bytes, bool)) or not isinstance(trusted, Iterable):
        raise InvalidInputError(
            f"trusted is {trusted!r}, expected a list of module or class names",
            kind="bad-trust-list",
            hint='name what you have reviewed: trusted=["mypackage.models"]',
        )
    names = set()
    for one in trusted:
        if isinstance(one, str):
            names.add(one.replace(":", "."))
        elif hasattr(one, "__qualname__") and hasattr(one, "__module__"):
            names.add(f"{one.__module__}.{one.__qualname__}")
        elif hasattr(one, "__name__"):
            names.add(one.__name__)
        else:
            raise InvalidInputError(f"trusted holds {one!r}, expected names, classes or modules", kind="bad-trust-list")
    return frozenset(names)


def find_class(name: str, trusted: frozenset[str]) -> type | None:
    """Return the class ``module:qualname`` if the reader has its module, or None.

    Never imports a module that ``trusted`` doesn't name (itself, a package around it, or the class), and
    never runs a module's ``__getattr__``.
    """
    module_name, _, qualname = name.partition(":")
    module = imported(module_name)
    if module is None and is_trusted(f"{module_name}.{qualname}", trusted):
        with contextlib.suppress(ImportError):
            module = importlib.import_module(module_name)
    found: Any = module
    for part in qualname.split("."):
        found = getattr(found, "__dict__", {}).get(part)
    return found if isinstance(found, type) else None


def is_trusted(name: str, trusted: frozenset[str]) -> bool:
    """Say whether ``trusted`` names ``package.module.Class``, its module, or a package around it."""
    parts = name.split(".")
    return any(".".join(parts[:count]) in trusted for count in range(1, len(parts) + 1))


_LONG_CHARACTERS: Final = 2_000  # an integer that Python does not write takes more of them


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_PLAIN: Final = json.JSONDecoder(parse_constant=_refuse_constant)
"""One for all texts: to make it takes longer than to decode a number."""


_PADDED_BYTES: Final = 1 << 16
"""numpy's bytes drop zeros at their end, which only the dtype tells of."""


Document = dict[str, Any]
"""The JSON object of a value that JSON has no type for: ``$type``, mostly ``value``, and what else makes it."""


class _Decoder:
    def __init__(self, trusted: frozenset[str]) -> None:
        self._trusted = trusted

    def value(self, document: object) -> Any:
        """Return the object of a document."""
        if type(document) is list:
            return [self.value(one) for one in document]
        if type(document) is not dict:
            return document
        name = document.get(TYPE)
        if name is None:
            return {key: self.value(value) for key, value in document.items()}
        scalar = _SCALARS.get(name)
        if scalar is not None:
            return scalar(document["value"])
        compound = _COMPOUNDS.get(name)
        if compound is None:
            raise FormatError(
                f"the stored JSON holds a value of the type {str(name)[:80]!r}, unknown to this library",
                kind="unknown-type",
                hint="read it with a newer lakefolio",
            )
        return compound(self, document)

    def members(self, document: Document) -> list[Any]:
        """Return the members of a container, which are written out: no short text stands for a billion members."""
        members = document["value"]
        if type(members) is not list:
            raise TypeError(f"the members of a {document[TYPE]} are no list")
        return [self.value(one) for one in members]

    def pairs(self, document: Document) -> dict[Any, Any]:
        """Return the keys and values of a mapping, in order."""
        return {self.value(key): self.value(value) for key, value in document["value"]}

    def enum(self, document: Document) -> Any:
        """Return a member of an Enum, or its value."""
        value, found = self.value(document["value"]), find_class(document["class"], self._trusted)
        if found is None or not issubclass(found, enum.Enum):
            return value
        member = found.__members__.get(document.get("name") or "")
        if member is not None and (member.value == value or member.value != member.value):
            return member
        if document.get("name") is None and issubclass(found, enum.Flag) and type(value) is int:
            with contextlib.suppress(ValueError):
                return found(value)
        return value

    def dataclass(self, document: Document) -> Any:
        """Return a dataclass, or its fields as a dict."""
        fields = {str(name): self.value(value) for name, value in document["value"]}
        found = find_class(document["class"], self._trusted)
        if found is None or not dataclasses.is_dataclass(found):
            return fields
        if not fields.keys() <= {field.name for field in dataclasses.fields(found)}:
            return fields
        made = object.__new__(found)
        for field in dataclasses.fields(found):
            if field.name in fields:
                object.__setattr__(made, field.name, fields[field.name])
            elif field.default is not dataclasses.MISSING:
                object.__setattr__(made, field.name, field.default)  # a field that the class got since
            elif field.init:
                return fields
        return made

    def namedtuple(self, document: Document) -> Any:
        """Return a namedtuple, or a tuple."""
        values = tuple(self.members(document))
        found = find_class(document["class"], self._trusted)
        if found is None or not issubclass(found, tuple) or len(getattr(found, "_fields", ())) != len(values):
            return values
        return tuple.__new__(found, values)

    def numpy(self, document: Document) -> Any:
        """Return a scalar of NumPy."""
        import numpy as np

        dtype, value = np.dtype(document["dtype"]), document["value"]
        if dtype.kind in "biuf" and dtype.itemsize <= 8:
            return np.array(self.value(value), dtype)[()]
        if dtype.kind == "S" and dtype.itemsize <= max(_PADDED_BYTES, len(value)):
            return np.frombuffer(base64.b64decode(value).ljust(dtype.itemsize, b"\0"), dtype)[0]
        if dtype.kind in "mMcf":
            return np.frombuffer(base64.b64decode(value), dtype)[0]
        if dtype.kind == "U":
            return np.str_(value)
        raise ValueError(f"numpy dtype {dtype}")


def _datetime(document: Document) -> dt.datetime:
    found = dt.datetime.fromisoformat(document["value"])
    zone = document.get("zone")
    if isinstance(zone, str) and (named := zone_of(zone)) is not None:
        wall = found.replace(tzinfo=named, fold=1 if document.get("fold") else 0)
        # the instant counts, should the rules of the zone have changed; near the year 9999 there may be none in UTC
        found = wall if wall.utcoffset() == found.utcoffset() else found.astimezone(named)
    return found.replace(fold=1) if document.get("fold") else found


def _time(document: Document) -> dt.time:
    zone = document.get("zone")
    found = dt.time.fromisoformat(document["value"])
    tzinfo = None if zone is None else zone_of(zone) or dt.UTC
    return found.replace(tzinfo=tzinfo, fold=1 if document.get("fold") else 0)


def _pandas(document: Document) -> Any:
    import pandas as pd

    return {"NaT": pd.NaT, "NA": pd.NA}[document["value"]]


def _pandas_timestamp(document: Document) -> Any:
    import numpy as np
    import pandas as pd

    found = pd.Timestamp(np.datetime64(int(document["value"]), document["unit"]))
    zone = document.get("zone")
    return found if zone is None else found.tz_localize("UTC").tz_convert(zone_of(zone) or dt.UTC)


def _pandas_timedelta(document: Document) -> Any:
    import numpy as np
    import pandas as pd

    return pd.Timedelta(np.timedelta64(int(document["value"]), document["unit"]))


_COMPOUNDS: Final[dict[str, Callable[[_Decoder, Document], Any]]] = {
    "dict": _Decoder.pairs,
    "tuple": lambda decoder, document: tuple(decoder.members(document)),
    "set": lambda decoder, document: set(decoder.members(document)),
    "frozenset": lambda decoder, document: frozenset(decoder.members(document)),
    "deque": lambda decoder, document: collections.deque(decoder.members(document), document.get("maxlen")),
    "OrderedDict": lambda decoder, document: collections.OrderedDict(decoder.pairs(document)),
    "Counter": lambda decoder, document: collections.Counter(decoder.pairs(document)),
    "defaultdict": lambda decoder, document: collections.defaultdict(
        FACTORIES[document["factory"]], decoder.pairs(document)
    ),
    "enum": _Decoder.enum,
    "dataclass": _Decoder.dataclass,
    "namedtuple": _Decoder.namedtuple,
    "datetime": lambda _, document: _datetime(document),
    "time": lambda _, document: _time(document),
    "numpy": _Decoder.numpy,
    "pandas": lambda _, document: _pandas(document),
    "pandas.Timestamp": lambda _, document: _pandas_timestamp(document),
    "pandas.Timedelta": lambda _, document: _pandas_timedelta(document),
}


def zone_of(zone: object) -> dt.tzinfo | None:
    """Return the time zone of a key or an offset in seconds; None if this machine doesn't know the key."""
    if isinstance(zone, (int, float)):
        return dt.timezone(dt.timedelta(seconds=zone)) if zone else dt.UTC
    try:
        return zoneinfo.ZoneInfo(str(zone))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _integer(value: str) -> int:
    return int(value, 16)


def _complex(value: Any) -> complex:
    real, imaginary = (decode(part) for part in value)
    return complex(real, imaginary)


def _timezone(value: object) -> dt.tzinfo:
    zone = zone_of(value)
    if zone is None:
        raise ValueError(f"time zone {value!r} is unknown here; pip install tzdata")
    return zone


def _fraction(value: Any) -> fractions.Fraction:
    numerator, denominator = (decode(part) for part in value)
    return fractions.Fraction(numerator, denominator)


_SCALARS: Final[dict[Any, Callable[[Any], Any]]] = {
    "int": _integer,
    "float": float,
    "bytes": base64.b64decode,
    "bytearray": lambda value: bytearray(base64.b64decode(value)),
    "complex": _complex,
    "decimal": decimal.Decimal,
    "fraction": _fraction,
    "uuid": uuid.UUID,
    "range": lambda value: range(*(decode(part) for part in value)),
    "date": dt.date.fromisoformat,
    "timedelta": lambda value: dt.timedelta(*value),
    "timezone": _timezone,
    "path": pathlib.Path,
    "pure_posix_path": pathlib.PurePosixPath,
    "pure_windows_path": pathlib.PureWindowsPath,
}

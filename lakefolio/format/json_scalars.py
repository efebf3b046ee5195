"""Scalars of Python, numpy and pandas as documents of plain JSON values (FORMAT.md, "Kind json").

``json_encode`` walks the containers around them.
"""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import fractions
import math
import pathlib
import uuid
from collections.abc import Callable
from typing import Any, Final

from lakefolio.errors import InvalidInputError, UnsupportedTypeError, type_name
from lakefolio.process.imports import imported

__all__ = [
    "MAX_FACT_INT",
    "MAX_PLAIN_INT",
    "SCALARS",
    "TYPE",
    "atom",
    "library_scalar",
    "name_of_zone",
    "plain_scalar",
    "short_path",
    "tag",
]

TYPE: Final = "$type"
MAX_FACT_INT: Final = 10**4300  # Python writes no longer ones, so that no fact could be shown
MAX_PLAIN_INT: Final = 10**300  # below the 4,300 digits that Python converts, and within the range of a double


def tag(name: str, value: object, **extra: object) -> dict[str, object]:
    """Return the document of a value that JSON does not have."""
    return {TYPE: name, "value": value, **extra}


def short_path(path: str) -> str:
    """Return the place of a value in an object, short enough for an error."""
    text = path.encode(errors="backslashreplace").decode()
    return text if len(text) <= 120 else f"{text[:60]}…{text[-50:]}"


def atom(obj: Any, path: str) -> object:
    """Return the document of a str, int, float, bool or None, which lies at ``path``."""
    kind = type(obj)
    if kind is str and not obj.isascii():
        try:
            obj.encode()
        except UnicodeEncodeError as exc:
            raise InvalidInputError(
                f"the text at {short_path(path)} holds a lone surrogate (half of a character) at position {exc.start}",
                kind="lone-surrogate",
                hint="decode the bytes it came from with errors='replace', or store them as bytes",
                path=short_path(path),
            ) from None
    elif kind is float and not math.isfinite(obj):
        return tag("float", repr(obj))
    elif kind is int and not -MAX_PLAIN_INT < obj < MAX_PLAIN_INT:
        return tag("int", hex(obj))
    return obj


def name_of_zone(zone: dt.tzinfo, at: dt.datetime | None) -> str | float:
    """Return the name of a time zone: its key, or its offset from UTC in seconds."""
    key = getattr(zone, "key", None) or getattr(zone, "zone", None)
    if isinstance(key, str):
        return key
    offset = zone.utcoffset(at)
    if offset is None:
        raise InvalidInputError(
            f"the time zone {zone!r} has neither a name nor a fixed offset",
            kind="unknown-time-zone",
            hint="use zoneinfo.ZoneInfo",
        )
    return offset.total_seconds()


def _datetime(obj: dt.datetime) -> dict[str, object]:
    document = tag("datetime", obj.isoformat())
    if obj.tzinfo is not None and isinstance(zone := name_of_zone(obj.tzinfo, obj), str):
        document["zone"] = zone  # beside the offset in the text, so that the instant needs no zone database
    return {**document, "fold": 1} if obj.fold else document


def _time(obj: dt.time) -> dict[str, object]:
    document = tag("time", obj.replace(tzinfo=None).isoformat())
    if obj.tzinfo is not None:
        document["zone"] = name_of_zone(obj.tzinfo, None)
    return {**document, "fold": 1} if obj.fold else document


def _base64(obj: bytes | bytearray) -> str:
    return base64.b64encode(obj).decode()


SCALARS: Final[dict[type, Callable[[Any], dict[str, object]]]] = {
    bytes: lambda obj: tag("bytes", _base64(obj)),
    bytearray: lambda obj: tag("bytearray", _base64(obj)),
    complex: lambda obj: tag("complex", [atom(obj.real, ""), atom(obj.imag, "")]),
    decimal.Decimal: lambda obj: tag("decimal", str(obj)),
    fractions.Fraction: lambda obj: tag("fraction", [atom(obj.numerator, ""), atom(obj.denominator, "")]),
    uuid.UUID: lambda obj: tag("uuid", str(obj)),
    range: lambda obj: tag("range", [atom(part, "") for part in (obj.start, obj.stop, obj.step)]),
    dt.date: lambda obj: tag("date", obj.isoformat()),
    dt.datetime: _datetime,
    dt.time: _time,
    dt.timedelta: lambda obj: tag("timedelta", [obj.days, obj.seconds, obj.microseconds]),
    type(pathlib.Path()): lambda obj: tag("path", obj.as_posix()),
    pathlib.PurePosixPath: lambda obj: tag("pure_posix_path", str(obj)),
    pathlib.PureWindowsPath: lambda obj: tag("pure_windows_path", str(obj)),
}
"""Type -> how its values become documents."""


def plain_scalar(obj: Any) -> Any:
    """Return the Python value equal to a scalar of another library, or None if no Python value is.

    A float longer than a double is rounded to one, as facts are compared as doubles; None if it lies beyond them.
    """
    if getattr(obj, "shape", None) == () and hasattr(obj, "item"):
        dtype = getattr(obj, "dtype", None)
        kind = getattr(dtype, "kind", "f")  # a tensor's has none
        if kind == "U" or (kind in "biufM" and getattr(dtype, "itemsize", 8) <= 8):
            found = obj.item()
            wanted = dt.date if kind == "M" else bool | int | float | str
            return found if isinstance(found, wanted) else None
        if kind == "f":
            rounded = float(obj)
            return rounded if rounded == obj or not math.isinf(rounded) else None
    pandas = imported("pandas")
    if pandas is not None and isinstance(obj, pandas.Timestamp) and obj is not pandas.NaT and not obj.nanosecond:
        return obj.to_pydatetime()
    return None


def library_scalar(obj: object, path: str) -> dict[str, object] | None:
    """Return the document of a scalar of numpy or pandas, which lies at ``path``, or None for other objects.

    Raises:
        InvalidInputError: kind ``array-in-json``, for an array or a table.
        UnsupportedTypeError: For a scalar that JSON can't hold.
    """
    return _numpy_value(obj, path) or _pandas_value(obj)


def _numpy_value(obj: object, path: str) -> dict[str, object] | None:
    """Return the document of a numpy scalar; refuse arrays and frames, which have kinds of their own."""
    library = type(obj).__module__.partition(".")[0]
    if library in ("numpy", "pandas", "polars", "pyarrow", "torch", "scipy") and hasattr(obj, "shape"):
        numpy = imported("numpy")
        if numpy is not None and isinstance(obj, numpy.generic):
            return _numpy_scalar(obj, path)
        raise InvalidInputError(
            f"the value at {short_path(path)} is a {type_name(obj)}",
            kind="array-in-json",
            hint="add arrays and tables as items of their own"
            + (", or use .tolist() if it is small" if hasattr(obj, "tolist") else ""),
            path=path,
        )
    return None


def _numpy_scalar(obj: Any, path: str) -> dict[str, object]:
    dtype = obj.dtype
    if dtype.kind in "biuf" and dtype.itemsize <= 8:
        return {**tag("numpy", atom(obj.item(), path)), "dtype": dtype.str}
    if dtype.kind in "US":
        value = atom(str(obj), path) if dtype.kind == "U" else _base64(bytes(obj))
        return {**tag("numpy", value), "dtype": dtype.str}
    if dtype.kind in "mMcf":
        return {**tag("numpy", _base64(obj.tobytes())), "dtype": dtype.str}
    raise UnsupportedTypeError(
        f"the value at {short_path(path)} is a numpy scalar of dtype {dtype}, which JSON can't hold", path=path
    )


def _pandas_value(obj: object) -> dict[str, object] | None:
    pandas = imported("pandas")
    if pandas is None or type(obj).__module__.partition(".")[0] != "pandas":
        return None
    if obj is pandas.NaT or obj is pandas.NA:
        return tag("pandas", "NaT" if obj is pandas.NaT else "NA")
    if isinstance(obj, pandas.Timestamp):
        zone = {} if obj.tzinfo is None else {"zone": name_of_zone(obj.tzinfo, obj)}
        return {**tag("pandas.Timestamp", int(obj.asm8.view("i8"))), "unit": obj.unit, **zone}
    if isinstance(obj, pandas.Timedelta):
        return {**tag("pandas.Timedelta", int(obj.asm8.view("i8"))), "unit": obj.unit}
    return None

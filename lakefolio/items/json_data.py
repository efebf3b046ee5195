"""Kind ``json``: dicts, lists, text, numbers and the values people put into them (FORMAT.md, "Kind json")."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

from lakefolio.errors import LakefolioError, UnsupportedTypeError
from lakefolio.format.json_decode import loads
from lakefolio.format.json_encode import dumps
from lakefolio.items.handler import Buffers, Encoded, Source
from lakefolio.process.imports import imported

__all__ = ["JsonHandler"]

_TYPES: Final = (
    dict,
    list,
    tuple,
    str,
    int,
    float,
    bool,
    type(None),
    set,
    frozenset,
    complex,
    range,
    collections.deque,
    dt.date,
    dt.time,
    dt.timedelta,
    dt.tzinfo,
    decimal.Decimal,
    fractions.Fraction,
    uuid.UUID,
    enum.Enum,
)


class JsonHandler:
    """Stores plain Python values as strict JSON; the same value comes back."""

    kind: ClassVar[str] = "json"
    uses_scratch: ClassVar[bool] = False

    def accepts(self, obj: object) -> bool:
        """Say whether ``obj`` is a plain value; its members are checked when it is stored."""
        if isinstance(obj, _TYPES) or (dataclasses.is_dataclass(obj) and not isinstance(obj, type)):
            return True
        numpy, pandas = imported("numpy"), imported("pandas")
        if numpy is not None and isinstance(obj, numpy.generic):
            return True
        return pandas is not None and (obj is pandas.NaT or obj is pandas.NA or isinstance(obj, pandas.Timedelta))

    def encode(self, obj: object, *, scratch: Path) -> Encoded:
        """Turn ``obj`` into JSON text; takes no options.

        Raises:
            UnsupportedTypeError: If a value inside can't be stored, or would not come back; ``path`` says which.
            InvalidInputError: For cycles, lone surrogates, arrays and tables inside, and too deep nesting.
        """
        text = dumps(obj)
        _check_comes_back(text)
        details: dict[str, object] = {"type": type(obj).__name__}
        if isinstance(obj, (dict, list, tuple, str, set, frozenset)):
            details["length"] = len(obj)
        return Encoded(
            kind=self.kind,
            format="json",
            media_type="application/json",
            payload=Buffers((text,)),
            details=details,
        )

    def decode(self, source: Source, details: Mapping[str, object], *, trusted: Iterable[object] = ()) -> Any:
        """Return the object.

        Args:
            source: The text.
            details: Not used.
            trusted: Modules or classes that may be imported to bring back Enum members, dataclasses and
                namedtuples; those of modules that are imported already come back without.
        """
        return loads(source.read(), trusted=trusted)


def _check_comes_back(text: bytes) -> None:
    """Refuse a text that would be read as a value of another type; plain JSON always comes back unchanged."""
    if b'"$type"' not in text:
        return
    try:
        back = loads(text)
        # a class that this process can't find again gives its plain value
        same = b'"class":' in text or dumps(back) == text
    except LakefolioError as exc:
        raise UnsupportedTypeError(
            f"a value inside can't be read back: {exc.message}", hint="turn it into text or plain numbers first"
        ) from exc
    if not same:
        raise UnsupportedTypeError("a value inside would come back changed", hint="turn it into plain values first")

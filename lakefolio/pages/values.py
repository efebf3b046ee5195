"""Values of a lake as JSON that a browser reads without loss: what JSON or a double can't hold becomes text (pure)."""

from __future__ import annotations

import json
import math
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from lakefolio.render.text import format_bytes, interval_text
from lakefolio.terminal import text_of

__all__ = ["as_json", "cell", "column_value", "cut", "data_uri", "heading", "plain"]

_EXACT: Final = 2**53
_DEPTH: Final = 40
CELL_CHARS: Final = 300
_UNNAMED_INDEX: Final = re.compile(r"__index_level_(\d+)___*")


def heading(column: str) -> str:
    """Return what stands above a column: one that holds an index without a name of a pandas frame is ``(index)``."""
    unnamed = _UNNAMED_INDEX.fullmatch(column)
    return column if unnamed is None else f"(index {unnamed[1]})".replace(" 0", "")


def as_json(value: object) -> bytes:
    """Return a value as JSON bytes; what is no JSON becomes text."""
    return json.dumps(plain(value), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode(
        "utf-8", "replace"
    )


def plain(value: object, depth: int = _DEPTH) -> Any:
    """Return a value made of what JSON has: NaN, infinities and integers that a double can't hold become text."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value if -_EXACT <= value <= _EXACT else text_of(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{format_bytes(len(value))} of binary data"
    if type(value).__name__ == "MonthDayNano":  # Arrow's interval, which is a tuple
        return interval_text(*value)  # type: ignore[misc]
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        if depth == 0:
            return "…"
        if isinstance(value, Mapping):
            return {text_of(key): plain(one, depth - 1) for key, one in value.items()}
        return [plain(one, depth - 1) for one in value]
    to_dict = getattr(value, "to_dict", None)
    return plain(to_dict(), depth - 1) if callable(to_dict) and depth else text_of(value)


def cell(value: object) -> Any:
    """Return a value as one cell of a table: a number, a truth value, None, or a text of bounded length."""
    found = plain(value)
    if isinstance(found, str):
        return cut(found)
    if isinstance(found, list | dict):
        return cut(json.dumps(found, ensure_ascii=False))
    return found


def column_value(value: object) -> object:
    """Return a value of a column: a number, a text or None; times are milliseconds since 1970, lists one text."""
    if isinstance(value, datetime):
        return round(value.timestamp() * 1000)
    if isinstance(value, list | tuple):
        return ", ".join(text_of(one) for one in value)
    if isinstance(value, bool):
        return "yes" if value else ""
    return cell(value)


def cut(text: str, chars: int = CELL_CHARS) -> str:
    """Return a text, its end replaced by an ellipsis if it is longer than ``chars``."""
    return text if len(text) <= chars else text[: chars - 1] + "…"


def data_uri(media_type: str, content: bytes | Iterable[int]) -> str:
    """Return content as an address that holds it."""
    return f"data:{media_type};base64,{b64encode(bytes(content)).decode()}"

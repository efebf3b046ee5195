"""Amounts as text for people (pure: no I/O)."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["counted", "counted_as", "format_bytes", "interval_text", "parse_bytes"]

_BYTES: Final = re.compile(r"(\d[\d_,]*(?:\.\d+)?)\s*([KMGT])?(i)?B?", re.IGNORECASE)


def format_bytes(count: float) -> str:
    """Return a number of bytes for people: ``1.5 MiB``."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(count) < 1024 or unit == "TiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError


def parse_bytes(text: str) -> int | None:
    """Return the bytes that a text says, or None: ``1048576``, ``10GB`` (by 1,000), ``1.5 GiB`` (by 1,024)."""
    match = _BYTES.fullmatch(text.strip())
    if match is None:
        return None
    power = " KMGT".index((match[2] or " ").upper())
    return int(float(match[1].replace("_", "").replace(",", "")) * (1024 if match[3] else 1000) ** power)


def counted(count: int, what: str) -> str:
    """Return a number with its word: ``1 item``, ``2,000 entries``."""
    many = what[:-1] + "ies" if what.endswith("y") else what + "s"
    return f"{count:,} {what if count == 1 else many}"


def interval_text(months: int, days: int, nanoseconds: int) -> str:
    """Return an interval of SQL as DuckDB reads it: ``14 months 3 days -01:00:00.5``."""
    parts = [f"{number} {unit}{'s' * (number != 1)}" for number, unit in ((months, "month"), (days, "day")) if number]
    if nanoseconds or not parts:
        seconds, rest = divmod(abs(nanoseconds), 10**9)
        clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        parts.append(f"{'-' * (nanoseconds < 0)}{clock}{f'.{rest:09}'.rstrip('0') if rest else ''}")
    return " ".join(parts)


def counted_as(count: float, unit: str) -> str:
    """Return an amount with its unit: ``1 day``, ``1.5 hours``."""
    return f"{count:,.3g} {unit}" + ("" if count == 1 else "s")

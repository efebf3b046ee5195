"""Times as people write and read them, in the local zone unless they name another (pure but for clock and zone).

A text means the period that it names: ``2026-11-25`` a day, ``21:27`` a minute, ``21:27:39.123`` a millisecond. What
happened in that period belongs to it, so a state "at" a text is the state at the end of the period, and every time that
:func:`shown_time` prints leads back to the commit beside which it stands.
"""

from __future__ import annotations

import calendar
import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from lakefolio.errors import InvalidInputError

__all__ = ["is_time", "last_instant", "parse_time", "period_of", "shown_time"]

_STEP: Final = timedelta(microseconds=1)
_ZONE: Final = r"\s*(?P<zone>[+-]\d\d(?::?\d\d)?|Z|[A-Za-z][A-Za-z_]*(?:/[A-Za-z0-9_+-]+)*)?"
_CLOCK: Final = r"(?P<clock>\d{1,2}:\d\d(?::\d\d(?:[.,]\d{1,9})?)?)"
_ISO: Final = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d|\d{8})(?:[T\s]\s*(?P<clock>\d\d(?::?\d\d(?::?\d\d(?:[.,]\d{1,9})?)?)?))?" + _ZONE
)
_CLOCK_ALONE: Final = re.compile(_CLOCK + _ZONE)
_DAY: Final = re.compile(rf"(?P<day>today|yesterday)(?:\s+(?:at\s+)?{_CLOCK})?" + _ZONE, re.IGNORECASE)
_AGO: Final = re.compile(r"(?P<count>\d{1,6}|an?)\s*(?P<unit>[a-z]+)\s+ago", re.IGNORECASE)
_UNITS: Final = {
    "s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hr": 3600, "hour": 3600,
    "d": 86_400, "day": 86_400, "w": 604_800, "week": 604_800,
}  # fmt: skip
_MONTHS: Final = {"month": 1, "year": 12}
_EARLY: Final = "before the first year"
_LONGEST_S: Final = 60_000_000_000


def parse_time(value: str | date | datetime) -> datetime:
    """Return the first instant that a time means, in UTC.

    Args:
        value: A datetime, a date, or a text in ISO 8601. The local zone is meant unless another is named: an offset,
            ``Z``, ``UTC`` or a name such as ``Europe/Berlin``.

    Raises:
        InvalidInputError: kind ``bad-time``: it is none of these, or lies beyond the calendar.
    """
    try:
        found = _period(value, _ISO) if isinstance(value, str | date) and value == value else None  # NaT equals nothing
    except OverflowError as exc:
        raise InvalidInputError(
            f"time {str(value)!r} lies beyond the calendar in UTC",
            kind="bad-time",
            hint="times go from the year 1 to 9999; leave an end open with None",
            time=value,
        ) from exc
    if found is None:
        raise InvalidInputError(
            f"time {value!r} is not ISO 8601",
            kind="bad-time",
            hint="write it like 2026-11-01T10:00Z, or 2026-11-01 10:00 for the local zone",
            time=value,
        )
    return found[0]


def period_of(value: str | date | datetime) -> tuple[datetime, datetime] | None:
    """Return the first and the last instant that a time means, in UTC; None if :func:`parse_time` refuses it."""
    try:
        return _period(value, _ISO) if value == value else None
    except OverflowError:
        return None


def last_instant(value: str | date | datetime) -> datetime | None:
    """Return the last instant that a time means, in UTC (of ``21:27`` the end of the minute); None for other texts.

    A time beyond either end of the calendar is that end.

    Args:
        value: As for :func:`parse_time`, or ``now``, ``today``, ``yesterday`` (also with a clock time), ``21:27`` (the
            last time that the clock showed it) or ``2 days ago``.
    """
    try:
        found = _period(value, _ISO, _DAY, _CLOCK_ALONE)
    except OverflowError as exc:
        early = str(exc) == _EARLY or (isinstance(value, date) and value.year == 1) or str(value).startswith("0001")
        return (datetime.min if early else datetime.max).replace(tzinfo=UTC)
    return None if found is None else found[1]


def is_time(text: str) -> bool:
    """Say whether a text means a time."""
    return last_instant(text) is not None


def shown_time(moment: datetime, timespec: str = "microseconds") -> str:
    """Return a time as text in the local zone, with its offset, to the microsecond; :func:`parse_time` reads it.

    Args:
        moment: The time.
        timespec: How exactly, as of ``datetime.isoformat``; what is finer is cut off.
    """
    try:
        local = moment.astimezone()
        offset = local.utcoffset() or timedelta()
    except (OverflowError, ValueError, OSError):  # at the ends of the calendar
        local, offset = moment, timedelta()
    if offset % timedelta(minutes=1):  # local mean time, before there were zones
        local, offset = moment.astimezone(UTC), timedelta()
    zone = "Z" if not offset else local.isoformat()[-6:].removesuffix(":00")
    return local.replace(tzinfo=None).isoformat(" ", timespec) + zone


def _period(value: str | date | datetime, *forms: re.Pattern[str]) -> tuple[datetime, datetime] | None:
    """Return the first and the last instant that a time means, in UTC, or None if a text has none of the forms.

    Raises:
        OverflowError: It lies beyond the calendar.
    """
    if isinstance(value, datetime):
        moment = _utc(datetime.combine(value.date(), value.timetz()).replace(fold=value.fold))
        return moment, moment
    if isinstance(value, date):
        return _day(value, None)
    text, now = value.strip(), datetime.now(UTC)
    if _DAY in forms:
        if text.lower() == "now":
            return now, now
        if match := _AGO.fullmatch(text):
            then = _ago(now, match["count"], match["unit"].lower())
            return None if then is None else (then, then)
    match = next((found for form in forms if (found := form.fullmatch(text))), None)
    if match is None:
        return None
    named = match.groupdict()
    try:
        zone = _zone(named["zone"])
        day = date.fromisoformat(named["date"]) if named.get("date") else now.astimezone(zone).date()
        clock, length = (time(), None) if named["clock"] is None else _clock(named["clock"])
    except (ValueError, KeyError):  # no such day, clock time or zone
        return None
    if (named.get("day") or "").lower() == "yesterday":
        day -= timedelta(days=1)
    if length is None:
        return _day(day, zone)
    first = _utc(datetime.combine(day, clock, zone))
    if match.re is _CLOCK_ALONE and first > now:
        day -= timedelta(days=1)
        first = _utc(datetime.combine(day, clock, zone))
    again = _utc(datetime.combine(day, clock.replace(fold=1), zone))
    return first, max(first, again) + length - _STEP  # clocks that are set back show a time twice


def _ago(now: datetime, count: str, unit: str) -> datetime | None:
    number = 1 if count.lower() in ("a", "an") else int(count)
    unit = unit if unit in _UNITS else unit.removesuffix("s")
    if unit in _UNITS:
        if number * _UNITS[unit] > _LONGEST_S:
            raise OverflowError(_EARLY)
        return now - timedelta(seconds=number * _UNITS[unit])
    if unit not in _MONTHS:
        return None
    local = now.astimezone()
    year, month = divmod(local.year * 12 + local.month - 1 - number * _MONTHS[unit], 12)
    if year < 1:
        raise OverflowError(_EARLY)
    day = min(local.day, calendar.monthrange(year, month + 1)[1])
    return _utc(local.replace(year=year, month=month + 1, day=day, tzinfo=None))


def _clock(text: str) -> tuple[time, timedelta]:
    """Return a clock time, and the length of the period it names."""
    text = text.replace(",", ".")
    digits, _, fraction = text.partition(".")
    digits = digits.replace(":", "").zfill(6 if digits.count(":") == 2 else 4 if ":" in digits else len(digits))
    hour, minute, second = (int(digits[at : at + 2] or 0) for at in (0, 2, 4))
    length = (timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1))[len(digits) // 2 - 1]
    if fraction:
        length = max(timedelta(microseconds=10 ** (6 - len(fraction[:6]))), _STEP)
    return time(hour, minute, second, int(fraction[:6].ljust(6, "0") or 0)), length


def _zone(text: str | None) -> tzinfo | None:
    """Return the zone of a name; without a name None, which Python takes for the local zone."""
    if not text:
        return None
    if text.upper() in ("Z", "UTC", "GMT"):
        return UTC
    if text[0] in "+-":
        found = datetime.strptime(text if ":" in text or len(text) == 5 else f"{text}00", "%z").tzinfo
        assert found is not None
        return found
    return ZoneInfo(text)


def _day(day: date, zone: tzinfo | None) -> tuple[datetime, datetime]:
    first = _utc(datetime.combine(day, time(), zone))
    try:
        return first, _utc(datetime.combine(day + timedelta(days=1), time(), zone)) - _STEP
    except OverflowError:
        return first, datetime.max.replace(tzinfo=UTC)


def _utc(moment: datetime) -> datetime:
    """Return a moment in UTC; OverflowError if it lies beyond the calendar there."""
    try:
        return moment.astimezone(UTC)
    except (ValueError, OSError) as exc:  # what Python raises at the ends, for the local zone
        raise OverflowError(str(exc)) from exc

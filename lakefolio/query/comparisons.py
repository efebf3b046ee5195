"""One comparison as SQL. Its values travel as parameters, never as text; numbers and times are compared exactly."""

from __future__ import annotations

import math
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from lakefolio.errors import LakefolioError
from lakefolio.format import json_encode
from lakefolio.format.times import parse_time, period_of
from lakefolio.query.conditions import bad_query
from lakefolio.terminal import has_surrogate, shown_value

__all__ = ["FUNCTIONS", "TEXT_OR_TIME", "Comparisons", "period", "text_value"]

_DIGITS_LIMIT: Final = 400
_MIRRORED: Final = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
_ZONED: Final = r"'(Z|[+-]\d\d:\d\d(:\d\d(\.\d+)?)?)$'"
_TAGGED_TIME: Final = (
    "case when notes.document ->> '$.\"$type\"' in ('datetime', 'date') then notes.document ->> '$.value' end"
)
TEXT_OR_TIME: Final = f"(case when notes.value[1] = '\"' then notes.document ->> '$' else {_TAGGED_TIME} end)"
_ANY_TIME: Final = (
    r"case when notes.value[1] = '\"' then regexp_extract(notes.document ->> '$', '^\d{4}-\d\d-\d\d([T ].*)?$')"
    f" else {_TAGGED_TIME} end"
).replace('\\"', '"')
FUNCTIONS: Final = {"startswith": "starts_with", "contains": "contains"}
_PLAIN: Final = "(notes.document ->> '$')"
_DIGITS: Final = ", ".join(f"'{one}'" for one in "-0123456789")
_AS_NUMBER: Final = "try_cast(one as double)"

_HUGE: Final = 1e300
"""Integers from here on are noted in hexadecimal (FORMAT.md)."""
_MOST_DIGITS: Final = 1_000_000
"""A number of more is greater than every integer that is noted."""
_WIDTH: Final = 25
_INFINITE: Final = "~"
_DECIMAL: Final = (
    r"list_transform([regexp_extract(notes.digits, '^-?([0-9]+)\.?([0-9]*)(?:[eE]([+-]?[0-9]+))?$',"
    " ['whole', 'part', 'power'])], lambda one: case when one.whole = '' then '~' else lpad(cast("
    "coalesce(try_cast(ltrim(one.power, '+') as hugeint), 0) + len(one.whole) - len(one.whole || one.part)"
    f" + len(ltrim(one.whole || one.part, '0')) as varchar), {_WIDTH}, '0') || ':'"
    " || trim(one.whole || one.part, '0') end)[1]"
)
"""Orders huge numbers as texts: how many digits stand before the point, and the digits; infinity comes last."""
_HEXADECIMAL: Final = (
    'list_transform([regexp_extract(notes.digits, \'"value":"-?0x([0-9a-f]+)"\', 1)],'
    f" lambda one: lpad(cast(len(one) as varchar), {_WIDTH}, '0') || ':' || one)[1]"
)
"""Orders integers that are noted in hexadecimal."""


class Comparisons:
    """Makes comparisons and collects their parameters.

    Attributes:
        params: Name -> value, for the names that the comparisons hold.
    """

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}

    def param(self, value: object) -> str:
        """Return the name of a new parameter with a value."""
        name = f"value_{len(self.params)}"
        self.params[name] = value
        return f"${name}"

    def matched(self, column: str, operator: str, value: str) -> str:
        """Return a match of a column of texts: ``like``, ``startswith`` or ``contains``."""
        word = self.param(text_value(value))
        return f"({column} like {word})" if operator == "like" else f"{FUNCTIONS[operator]}({column}, {word})"

    def within(self, column: str, operator: str, first: datetime, last: datetime) -> str:
        """Return a comparison of times with the period from ``first`` to ``last``, both included."""
        if operator in ("=", "!="):
            inside = f"({column} between {self.param(first)} and {self.param(last)})"
            return inside if operator == "=" else f"(not {inside})"
        return f"({column} {operator} {self.param(first if operator in ('<', '>=') else last)})"

    def noted(self, field: str, operator: str, value: object) -> str:
        """Return a comparison of a noted value, which may be of any type, with a value of one."""
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool) and value == value:
            return self._as_number(operator, value)
        if isinstance(value, str):
            text = f"(notes.value[1] = '\"' and {_PLAIN} {operator} {self.param(text_value(value))})"
            span = period_of(value)
            return text if span is None else f"({text} or {self._as_time(operator, _TAGGED_TIME, span)})"
        if isinstance(value, date):  # a datetime is one too
            return self._as_time(operator, _ANY_TIME, period(value))
        if operator != "=":
            raise bad_query(
                f"field {field!r}: {shown_value(value)} has no order",
                "compare with a number, text or time",
                field=field,
            )
        return f"(notes.value = {self.param(_encoded(field, value))})"

    def holds(self, field: str, value: Any) -> str:
        """Return whether a noted text or list holds a value."""
        text = f"contains({_PLAIN}, {self.param(text_value(value))})" if isinstance(value, str) else "false"
        elements = "cast(json_extract(notes.document, '$[*]') as varchar[])"
        if isinstance(value, bool):
            number = False
        elif isinstance(value, int):
            number = abs(value) <= 2**53
        else:
            number = isinstance(value, float) and math.isfinite(value)
        if number:  # 1 is 1.0, however it was written
            numbers = f"list_transform({elements}, lambda one: case when one[1] in ({_DIGITS}) then {_AS_NUMBER} end)"
            within = f"list_contains({numbers}, cast({self.param(float(value) + 0.0)} as double))"
        else:
            within = f"list_contains({elements}, {self.param(_encoded(field, value))})"
        return f"case notes.value[1] when '\"' then {text} when '[' then {within} else false end"

    def _as_number(self, operator: str, value: int | float | Decimal) -> str:
        """Return an exact comparison of numbers: as doubles, and where those are equal by their digits."""
        try:
            near = float(value) + 0.0
        except OverflowError:
            near = math.inf if value > 0 else -math.inf
        given = f"cast({self.param(near)} as double)"
        compared = f"notes.number {operator} {given}"
        if abs(near) >= _HUGE:
            both = f"notes.number {'>=' if near > 0 else '<='} {math.copysign(_HUGE, near):g}"
            compared = f"case when {both} then {self._by_magnitude(operator, value)} else {compared} end"
        elif isinstance(value, Decimal) or abs(value) >= 2**53:
            compared = f"case when notes.number = {given} then {self._by_digits(operator, value)} else {compared} end"
        return f"coalesce({compared}, false)"

    def _by_digits(self, operator: str, value: int | float | Decimal) -> str:
        """Return a comparison of numbers of one sign that are the same double."""
        same = "true" if operator in ("=", "<=", ">=") else "false"
        if not math.isfinite(value):
            return same
        if value != int(value):
            side = "try_cast({} as decimal(38, 18))"
            return f"coalesce({side.format('notes.digits')} {operator} {side.format(self.param(str(value)))}, {same})"
        flipped = _MIRRORED.get(operator, operator) if value < 0 else operator
        whole = (
            "case when regexp_full_match(notes.digits, '-?[0-9]+') then notes.digits"
            " when abs(notes.number) >= 9007199254740992 then cast(try_cast(notes.number as hugeint) as varchar) end"
        )
        digits = f"lpad(ltrim({whole}, '-'), {_DIGITS_LIMIT}, '0')"
        found = f"{digits} {flipped} {self.param(str(abs(int(value))).rjust(_DIGITS_LIMIT, '0'))}"
        broken = "try_cast(notes.digits as decimal(38, 18))"
        return f"coalesce({found}, {broken} {operator} try_cast({self.param(str(value))} as decimal(38, 18)), {same})"

    def _by_magnitude(self, operator: str, value: int | float | Decimal) -> str:
        """Return a comparison of huge numbers of one sign, also beyond all doubles, and infinities among them."""
        flipped = _MIRRORED.get(operator, operator) if value < 0 else operator
        exact = Decimal(repr(value) if isinstance(value, float) else value)
        decimal = hexadecimal = _INFINITE
        if exact.is_finite():
            _, digits, power = exact.as_tuple()
            text = "".join(map(str, digits)).lstrip("0")
            places = len(text) + int(power)
            decimal = f"{places:0{_WIDTH}}:{text.rstrip('0')}"
            is_broken = int(power) < 0 and any(digits[int(power) :])
            if places < _MOST_DIGITS:
                whole = f"{abs(value if isinstance(value, int) else int(exact)):x}"
                hexadecimal = f"{len(whole):0{_WIDTH}}:{whole}{'.' if is_broken else ''}"
        return (
            f'case when starts_with(notes.digits, \'{{"$type":"int"\') then {_HEXADECIMAL} {flipped}'
            f" {self.param(hexadecimal)} else {_DECIMAL} {flipped} {self.param(decimal)} end"
        )

    def _as_time(self, operator: str, told: str, span: tuple[datetime, datetime]) -> str:
        """Return a comparison of a time that is noted; one without a zone is meant in the local zone, as everywhere."""
        zoned = self.within(f"try_cast({told} as timestamptz)", operator, *span)
        local = self.within(f"try_cast({told} as timestamp)", operator, *map(_local, span))
        return f"coalesce(case when regexp_matches({told}, {_ZONED}) then {zoned} else {local} end, false)"


def period(value: str | date) -> tuple[datetime, datetime]:
    """Return the first and the last moment that a time means, which may be a day or a minute."""
    found = period_of(value)
    if found is None:
        moment = parse_time(value)  # raises the error
        return moment, moment
    return found


def _local(moment: datetime) -> datetime:
    """Return the time in the local zone, without a zone."""
    try:
        return moment.astimezone().replace(tzinfo=None)
    except (OverflowError, ValueError, OSError):  # at the ends of the calendar
        return moment.replace(tzinfo=None)


def text_value(value: str) -> str:
    """Return a text that a parameter can have; InvalidInputError for a lone surrogate."""
    if has_surrogate(value):
        raise bad_query(f"{shown_value(value)} holds a lone surrogate, which no text in a lake does")
    return value


def _encoded(field: str, value: object) -> str:
    try:
        return json_encode.dumps(value).decode()
    except (LakefolioError, UnicodeError) as exc:
        raise bad_query(
            f"field {field!r} can't hold {type(value).__name__} {shown_value(value):.60}", field=field
        ) from exc

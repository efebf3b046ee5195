"""Choose types for the columns of a CSV file so that no digit of its text is lost.

A column gets the first type of this list that holds all of its cells: bool, int64, uint64, float64, decimal128, date32,
timestamp, time, string. Cells of numbers with leading zeros or a plus sign (postal codes, telephone numbers) are text,
and so are numbers with more digits than a decimal of 38 digits. An empty cell is missing, and so are ``NA``, ``null``
and the like in columns that are not text; in a column of words an empty cell is the
empty text, unless the file writes its texts in quotes.
"""

from __future__ import annotations

import decimal
import re
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["Choice", "ColumnTypes", "converted", "type_named"]

_MISSING: Final = ("#N/A", "#N/A N/A", "#NA", "<NA>", "N/A", "NA", "NULL", "None", "n/a", "null")
_INTEGER: Final = r"^(0|-?[1-9][0-9]*)$"
_PLAIN: Final = r"^-?([0-9]+\.?[0-9]*|\.[0-9]+)$"
_PADDED: Final = r"^(\+.*|-?0[0-9].*)$"
_NUMBER: Final = r"^[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?$"
_DATE: Final = r"^\d{4}-\d{2}-\d{2}$"
_TIMESTAMP: Final = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}(:?\d{2})?)?$"
_TIME: Final = r"^\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?$"
_EXACT_DIGITS: Final = 15  # a double gives back any number of as many digits
_SMALLEST_NORMAL: Final = 2.3e-308
_DECIMAL_DIGITS: Final = 38
_UNITS: Final = {0: "s", 3: "ms", 6: "us", 9: "ns"}


@dataclass(frozen=True, slots=True)
class Choice:
    """The type of a column, and why it is not the one that readers expect for numbers; None where it is."""

    type: pa.DataType
    reason: str | None = None


class ColumnTypes:
    """The types that the cells of one column, given in batches, allow."""

    def __init__(self) -> None:
        self._possible = {"bool", "integer", "double", "decimal", "date", "timestamp", "time"}
        self._cells = 0
        self._words = 0
        self._widest: pa.DataType | None = pa.int64()
        self._negative = False
        self._integer_digits = 0
        self._fraction_digits = 0
        self._exact = True
        self._padded: str | None = None
        self._second_digits = 0
        self._zones: set[str] = set()
        self._edges = pa.array([], pa.string())

    def update(self, cells: pa.Array) -> None:
        """Look at cells: texts, or nulls for empty ones."""
        texts = pc.utf8_trim_whitespace(cells.drop_null())
        words = pc.is_in(texts, pa.array(_MISSING))
        self._words += pc.sum(words).as_py() or 0
        texts = texts.filter(pc.invert(words))
        if not len(texts):
            return
        self._cells += len(texts)
        if self._padded is None and self._possible & {"integer", "double"}:
            self._find_padded(texts)
        for kind in sorted(self._possible):
            if not getattr(self, f"_is_{kind}")(texts):
                self._possible.discard(kind)

    def choice(self) -> Choice:
        """Return the type that holds every cell so far."""
        if not self._cells:
            return Choice(pa.string() if self._words else pa.null())
        if self._padded is not None and self._possible & {"integer", "double"}:
            return Choice(pa.string(), f"cells such as {self._padded!r} would lose their leading zeros or sign")
        if "bool" in self._possible:
            return Choice(pa.bool_())
        if "integer" in self._possible:
            return self._integer()
        if "double" in self._possible and self._exact:
            return Choice(pa.float64())
        if self._possible & {"double", "decimal"}:
            return self._wide_number()
        return Choice(self._moment())

    # -- numbers -------------------------------------------------------------------------------------------

    def _find_padded(self, texts: pa.Array) -> None:
        padded = texts.filter(pc.match_substring_regex(texts, _PADDED))
        numbers = padded.filter(pc.match_substring_regex(padded, _NUMBER))
        if len(numbers):
            self._padded = numbers[0].as_py()

    def _integer(self) -> Choice:
        if self._widest is not None:
            return Choice(self._widest)
        return self._wide_number()

    def _wide_number(self) -> Choice:
        digits = self._integer_digits + self._fraction_digits
        if "decimal" in self._possible and digits <= _DECIMAL_DIGITS:
            return Choice(
                pa.decimal128(max(digits, 1), self._fraction_digits),
                f"{'int64' if 'integer' in self._possible else 'float64'} would lose digits",
            )
        return Choice(pa.string(), "no type of numbers holds all their digits")

    def _is_bool(self, texts: pa.Array) -> bool:
        return bool(pc.all(pc.is_in(pc.utf8_lower(texts), pa.array(["true", "false"]))).as_py())

    def _is_integer(self, texts: pa.Array) -> bool:
        if not _all_match(texts, _INTEGER):
            return False
        self._negative = self._negative or _any_starts(texts, "-")
        if self._widest == pa.int64() and _cast(texts, self._widest) is None:
            self._widest = pa.uint64()
        if self._widest == pa.uint64() and (self._negative or _cast(texts, self._widest) is None):
            self._widest = None
        return True

    def _is_double(self, texts: pa.Array) -> bool:
        numbers = _cast(texts, pa.float64())
        if numbers is None:
            return False
        if self._exact:
            self._exact = _keeps_digits(texts, numbers)
        return True

    def _is_decimal(self, texts: pa.Array) -> bool:
        if not _all_match(texts, _PLAIN):
            return False
        digits = pc.replace_substring(texts, "-", "")
        whole, fraction = (pc.replace_substring_regex(digits, part, "") for part in (r"\..*$", r"^[^.]*\.?"))
        self._integer_digits = max(self._integer_digits, pc.max(pc.utf8_length(whole)).as_py())
        self._fraction_digits = max(self._fraction_digits, pc.max(pc.utf8_length(fraction)).as_py())
        return True

    # -- times ---------------------------------------------------------------------------------------------

    def _is_date(self, texts: pa.Array) -> bool:
        return _all_match(texts, _DATE) and _cast(texts, pa.date32()) is not None and not _any_starts(texts, "0000")

    def _is_timestamp(self, texts: pa.Array) -> bool:
        if not _all_match(texts, _TIMESTAMP) or _any_starts(texts, "0000"):
            return False
        self._note_fraction(texts)
        self._zones |= set(pc.unique(pc.replace_substring_regex(texts, r"^.{16}[0-9:.]*", "")).to_pylist())
        zone = _zone(self._zones)
        # the first and the last moment so far too: a finer unit spans fewer years
        texts = pa.concat_arrays([texts, self._edges])
        self._edges = pa.array(pc.min_max(texts).as_py().values(), pa.string())
        return zone is not False and _cast(texts, pa.timestamp(self._unit(), zone)) is not None

    def _is_time(self, texts: pa.Array) -> bool:
        if not _all_match(texts, _TIME):
            return False
        self._note_fraction(texts)
        return _cast(pc.binary_join_element_wise("1970-01-01", texts, " "), pa.timestamp(self._unit())) is not None

    def _note_fraction(self, texts: pa.Array) -> None:
        fractions = pc.replace_substring_regex(texts, r"^[^.]*(\.([0-9]*))?.*$", r"\2")
        self._second_digits = max(self._second_digits, pc.max(pc.utf8_length(fractions)).as_py())

    def _unit(self) -> str:
        return next(unit for digits, unit in _UNITS.items() if digits >= self._second_digits)

    def _moment(self) -> pa.DataType:
        if "date" in self._possible:
            return pa.date32()
        if "timestamp" in self._possible:
            return pa.timestamp(self._unit(), _zone(self._zones) or None)
        if "time" in self._possible:
            return pa.time32("s") if not self._second_digits else pa.time64("us" if self._second_digits <= 6 else "ns")
        return pa.string()


def converted(cells: pa.Array, kind: pa.DataType, *, words: bool) -> pa.Array:
    """Return cells as values of a type that was chosen or asked for.

    Args:
        cells: Texts, or nulls for empty ones.
        kind: The type.
        words: Whether an empty cell of a text column is the empty text.

    Raises:
        pa.ArrowInvalid: If a cell is no value of it.
    """
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return (cells.fill_null("") if words else cells).cast(kind)
    texts = pc.utf8_trim_whitespace(cells)
    texts = pc.if_else(pc.is_in(texts, pa.array(_MISSING)), pa.scalar(None, pa.string()), texts)
    if pa.types.is_null(kind):
        if texts.null_count != len(texts):
            raise pa.ArrowInvalid("a cell is not empty")
        return pa.nulls(len(texts))
    if pa.types.is_boolean(kind):
        texts = pc.utf8_lower(texts)
    if pa.types.is_time(kind):
        unit = pa.timestamp(kind.unit)
        return pc.binary_join_element_wise("1970-01-01", texts, " ").cast(unit).cast(kind)
    return texts.cast(kind)


def type_named(name: str | pa.DataType) -> pa.DataType:
    """Return the Arrow type of a name: ``string``, ``int64``, ``decimal128(20, 4)``, ``timestamp[us, tz=UTC]``.

    Raises:
        ValueError: If there is no such type.
    """
    if isinstance(name, pa.DataType):
        return name
    text = name.strip().lower()
    if found := re.fullmatch(r"decimal(?:128)?\((\d+),\s*(-?\d+)\)", text):
        return pa.decimal128(int(found[1]), int(found[2]))
    if found := re.fullmatch(r"timestamp\[(s|ms|us|ns),\s*tz=([^\]]+)\]", name.strip()):
        return pa.timestamp(found[1], found[2])
    return pa.type_for_alias({"text": "string", "str": "string", "int": "int64", "float": "float64"}.get(text, text))


def _all_match(texts: pa.Array, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(texts, pattern)).as_py())


def _any_starts(texts: pa.Array, start: str) -> bool:
    return bool(pc.any(pc.starts_with(texts, start)).as_py())


def _cast(texts: pa.Array, kind: pa.DataType) -> pa.Array | None:
    try:
        return texts.cast(kind)
    except pa.ArrowInvalid:
        return None


def _zone(zones: set[str]) -> str | bool | None:
    """Return the one time zone of all cells, None if none has one, False if they differ."""
    named = {"UTC" if zone in ("Z", "+00", "+00:00", "+0000") else zone for zone in zones}
    if len(named) != 1:
        return False
    (zone,) = named
    if zone in ("", "UTC"):
        return zone or None
    digits = zone[1:].replace(":", "").ljust(4, "0")
    return f"{zone[0]}{digits[:2]}:{digits[2:]}"


def _keeps_digits(texts: pa.Array, numbers: pa.Array) -> bool:
    """Say whether doubles give back every digit of the texts they were made from."""
    digits = pc.replace_substring_regex(texts, r"[eE].*$|[^0-9eE]", "")
    digits = pc.utf8_ltrim(digits, "0")
    size = pc.abs(numbers)
    extreme = pc.or_(pc.and_(pc.less(size, _SMALLEST_NORMAL), pc.greater(pc.utf8_length(digits), 0)), pc.is_inf(size))
    doubtful = pc.or_(pc.greater(pc.utf8_length(digits), _EXACT_DIGITS), extreme)
    doubtful = pc.and_(doubtful, pc.not_equal(numbers.cast(pa.string()), texts))
    return all(map(keeps_digits, texts.filter(doubtful).to_pylist()))


def keeps_digits(text: str) -> bool:
    """Say whether a float gives back every digit of the number in ``text``."""
    digits = text.lower().partition("e")[0].lstrip("+-").replace(".", "").lstrip("0")
    if not digits.isdecimal():  # zero, NaN or an infinity
        return True
    try:
        return decimal.Decimal(f"{float(text):.{len(digits) - 1}e}") == decimal.Decimal(text)
    except (ArithmeticError, ValueError):
        return False

"""What a terminal, a notebook or a page is shown of texts that others wrote (pure: no I/O).

A lake is not trusted, and neither are names, messages and cells in it: a control character could move the cursor, set
the clipboard (OSC 52) or restyle the terminal, and an invisible or direction-changing one could make a text look like
another. They are written out as escapes, the same everywhere.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, TypeGuard

__all__ = [
    "UNSEEN",
    "cell_count",
    "digits",
    "has_surrogate",
    "padded",
    "printable_numbers",
    "shown_value",
    "text_of",
    "visible",
    "visible_json",
]

UNSEEN: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0")
"""Letters and marks that show nothing; Unicode lists them as default ignorable."""
_EMOJI: Final = "[\u2194\u2195\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff]"
_JOINER: Final = re.compile(rf"(?:(?<={_EMOJI})|(?<={_EMOJI}\ufe0f))\u200d(?={_EMOJI})")
"""Zero width joiners that make one picture of two emoji."""
_DECIMAL_BITS: Final = 100_000
_DEPTH: Final = 20


def digits(number: int) -> str:
    """Return the text of an integer, which Python itself refuses to write beyond 4,300 digits.

    One that would take long to write in decimal is written in hexadecimal.
    """
    return format(Decimal(int(number)), "f") if number.bit_length() <= _DECIMAL_BITS else hex(number)


def text_of(value: object) -> str:
    """Return ``str(value)``, also of a value with integers that Python refuses to write."""
    return _written(str, value)


def shown_value(value: object) -> str:
    """Return ``repr(value)`` for a message, also of a value with integers that Python refuses to write."""
    return f"an int of {value.bit_length()} bits" if _is_long(value) else _written(repr, value)


class _Digits(str):
    """Digits that stand in a container as the number would."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _is_long(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and value.bit_length() > 14_000


def _written(write: Callable[[object], str], value: object) -> str:
    try:
        return write(value)
    except ValueError:  # an integer of too many digits
        pass
    except RecursionError:
        return f"a {type(value).__name__} that is nested too deeply"
    try:
        return write(_with_digits(value, _DEPTH))
    except ValueError:
        return f"a {type(value).__name__} with an integer of more than 4,300 digits"


class _LongInt(int):
    """An integer of more digits than Python writes: it writes them itself, so that what holds it can be printed."""

    def __repr__(self) -> str:
        return digits(self)

    __str__ = __repr__

    def __reduce__(self) -> tuple[Any, ...]:
        return _LongInt, (int(self),)


def printable_numbers(value: Any) -> object:
    """Return plain values as equal ones that Python can print, whatever integers are in them.

    A ``Fraction`` or a ``range`` of such integers is a text.
    """
    if isinstance(value, dict):
        return {printable_numbers(key): printable_numbers(one) for key, one in value.items()}
    if type(value) in (list, tuple, set, frozenset):
        return type(value)(map(printable_numbers, value))
    if _is_long(value):
        return _LongInt(value)
    try:
        str(value)
    except ValueError:  # an integer of too many digits
        return text_of(value)
    return value


def _with_digits(value: Any, depth: int) -> object:
    if _is_long(value):
        return _Digits(digits(value))
    if depth and isinstance(value, Mapping):
        return {_with_digits(key, depth - 1): _with_digits(one, depth - 1) for key, one in value.items()}
    if depth and type(value) in (list, tuple, set, frozenset):
        return type(value)(_with_digits(one, depth - 1) for one in value)
    return value


def _hidden(one: str) -> bool:
    return one in UNSEEN or (not one.isprintable() and unicodedata.category(one) != "Zs")


def _written_out(text: str, escaped: Callable[[str], str], keep: str) -> str:
    joiners = {found.start() for found in _JOINER.finditer(text)}
    return "".join(
        escaped(one) if one not in keep and _hidden(one) and place not in joiners else one
        for place, one in enumerate(text)
    )


def cell_count(text: str) -> int:
    """Return how many cells of a terminal a text takes: wide characters take two, marks on others none."""
    if text.isascii():
        return len(text)
    marks = sum(unicodedata.category(one) in ("Mn", "Me", "Cf") for one in text)
    return len(text) + sum(unicodedata.east_asian_width(one) in ("W", "F") for one in text) - marks


def padded(text: str, size: int) -> str:
    """Return a text with spaces behind it, so that it takes some cells of a terminal."""
    return text + " " * (size - cell_count(text))


def visible(text: str, *, keep: str = "\n\t") -> str:
    """Return ``text`` with every character that does something or shows nothing written out, such as ``ESC``.

    Control characters (C0, C1, DEL), marks of direction, zero-width and other invisible characters, lone surrogates and
    unassigned code points. Spaces of any width stay, and a zero width joiner between two emoji, which makes them one.

    Args:
        text: What somebody wrote.
        keep: Control characters that stay.
    """
    if text.isprintable() and UNSEEN.isdisjoint(text):
        return text
    return _written_out(text, _escaped, keep)


def visible_json(document: str) -> str:
    """Return a JSON document with the same characters as JSON escapes; it means the same."""
    if document.isascii() and "\x7f" not in document:
        return document
    return _written_out(document, _json_escaped, "\n")


def has_surrogate(text: str) -> bool:
    """Say whether a text holds a lone surrogate, which no UTF-8 text can."""
    return not text.isascii() and any(0xD800 <= ord(one) <= 0xDFFF for one in text)


def _escaped(one: str) -> str:
    code = ord(one)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_escaped(one: str) -> str:
    code = ord(one)
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"

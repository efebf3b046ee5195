"""The tokens of texts, in order, without case, accents and the s of plurals (pure: no I/O).

A mark that combines with a letter is a part of its word, as in file names of macOS and in the scripts of India, and so
are hyphens that are not shown and joiners.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

__all__ = ["WORD", "compounds", "spans", "stem", "tokens"]

_JOINERS: Final = "\u00ad\u200c\u200d\u2060"
_BLOCKS: Final = (range(0x300, 0x3100), range(0xA660, 0xAC00), range(0xFB1E, 0xFE30))
"""Where the marks of living scripts are; all of Unicode would be gone through for 40 ms."""
_MARKS: Final = _JOINERS + "".join(
    chr(one) for block in _BLOCKS for one in block if unicodedata.category(chr(one)).startswith("M")
)
WORD: Final = rf"[^\W_]+(?:[{_MARKS}]+[^\W_]*)*"
"""A regular expression of one word."""
_WORD: Final = re.compile(WORD)
_ENDINGS: Final = re.compile(
    r"(?<=^...)(.*?)(?:i[sz](?:ations?|ers?|ing|ed|es?)|ations?|ators?|ating|ated|ates?|ments?|ingly|edly|ings?|ions?|ers?"
    r"|ors?|ied|ed|ly|able|ible|ives?|ity|ical|ics?|als?|e)$"
)
_PARTS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def tokens(text: str) -> Sequence[str]:
    """Return the tokens of a text: ``FlightDelays_2013`` is flight, delay, 2013."""
    return _short(text) if len(text) < 64 else _all(text)


def _all(text: str) -> tuple[str, ...]:
    if text.isascii() and text.islower():
        return tuple(map(_token, _WORD.findall(text)))
    return tuple(token for _, _, token in spans(text))


_short: Final = lru_cache(maxsize=100_000)(_all)


def spans(text: str) -> list[tuple[int, int, str]]:
    """Return where each token begins and ends, and the token."""
    if text.isascii() and text.islower():
        return [(one.start(), one.end(), _token(one[0])) for one in _WORD.finditer(text)]
    found = []
    for word in _WORD.finditer(text):
        parts = list(_PARTS.finditer(word[0])) if word[0].isascii() else []
        if len(parts) < 2 or word[0].isupper():
            found.append((word.start(), word.end(), _token(word[0])))
        else:
            found += [(word.start() + one.start(), word.start() + one.end(), _token(one[0])) for one in parts]
    return found


def compounds(text: str) -> list[tuple[int, int, str]]:
    """Return the words that are taken apart, whole, as :func:`spans` does: ``OpenDocument`` is opendocument, too."""
    if text.islower():
        return []
    parted = {start for start, _, _ in spans(text)} - {one.start() for one in _WORD.finditer(text)}
    return [
        (one.start(), one.end(), _token(one[0]))
        for one in _WORD.finditer(text)
        if parted and any(one.start() < start < one.end() for start in parted)
    ]


@lru_cache(maxsize=200_000)
def _token(word: str) -> str:
    """Return a word without case, accents and the s of a plural.

    Source: Harman, How effective is suffixing? (1991), the S stemmer.
    """
    if not word.isascii():
        decomposed = unicodedata.normalize("NFKD", word.casefold())
        word = "".join(one for one in decomposed if not unicodedata.combining(one) and one not in _JOINERS)
    word = word.lower()
    if len(word) < 4 or not word.endswith("s"):
        return word
    if word.endswith("ies") and not word.endswith(("eies", "aies")):
        return word[:-3] + "y"
    return word if word.endswith(("us", "ss")) else word[:-1]


@lru_cache(maxsize=100_000)
def stem(token: str) -> str:
    """Return what a token has in common with its other forms: *download* of downloading, downloaded and downloader.

    A rough one: those forms are looked for beside the token itself, and count less.
    """
    if not token.isascii() or not token.isalpha():
        return token
    found = _ENDINGS.sub(r"\1", token)
    return found[:-1] if len(found) > 4 and found[-1] == found[-2] and found[-1] not in "sl" else found

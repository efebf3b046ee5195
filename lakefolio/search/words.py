"""The tokens of texts, in order, without case, accents and the s of plurals (pure: no I/O).

Texts in Chinese and Japanese have no blanks between words, so any two letters beside each other are a token: who looks
for more than two looks for those tokens one after the other. Which tokens a word has depends on the word alone.

A mark that combines with a letter is a part of its word, as in file names of macOS and in the scripts of India, and so
are hyphens that are not shown and joiners.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final

__all__ = ["WORD", "all_tokens", "compounds", "has_forms", "is_letter", "spans", "stem", "tokens"]

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
_DENSE: Final = "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9d\U00020000-\U0003ffff"
_LETTER: Final = rf"[{_DENSE}][{_MARKS}\uff9e\uff9f]*"
"""A letter of scripts that write words without blanks between them: Han, Hiragana, Katakana."""
_LETTERS: Final = re.compile(_LETTER)
_RUNS: Final = re.compile(rf"(?P<dense>(?:{_LETTER})+)|[^{_DENSE}]+")


def tokens(text: str) -> Sequence[str]:
    """Return the tokens of a text: ``FlightDelays_2013`` is flight, delay, 2013; and 東京都 is 東京, 京都."""
    return _short(text) if len(text) < 64 else _all(text)


def _all(text: str) -> tuple[str, ...]:
    return (_token(text),) if _is_whole(text) else tuple(token for _, _, token in spans(text))


def _is_whole(text: str) -> bool:
    """Say at once of most words that they are one token and no compound."""
    return text.isascii() and text.isalnum() and (text.islower() or text.isupper() or text.isdigit())


_short: Final = lru_cache(maxsize=100_000)(_all)


def spans(text: str) -> list[tuple[int, int, str]]:
    """Return where each token begins and ends, and the token."""
    return [
        (word.start() + start, word.start() + end, token)
        for word in _WORD.finditer(text)
        for start, end, token in _parts(word[0])
    ]


@lru_cache(maxsize=100_000)
def _parts(word: str) -> tuple[tuple[int, int, str], ...]:
    """Return where the tokens of a word begin and end in it: what they are depends on nothing beside it."""
    if word.isascii():
        some = [] if word.islower() or word.isupper() else list(_PARTS.finditer(word))
        places = [one.span() for one in some] if len(some) > 1 else [(0, len(word))]
        return tuple((start, end, _token(word[start:end])) for start, end in places)
    found: list[tuple[int, int, str]] = []
    for run in _RUNS.finditer(word):
        first = run.start()
        if run["dense"]:
            letters = [one.span() for one in _LETTERS.finditer(run[0])]
            pairs = pairwise(letters) if len(letters) > 1 else zip(letters, letters, strict=True)
            places = [(first + one[0], first + other[1]) for one, other in pairs]
            found += [(start, end, _token(word[start:end])) for start, end in places]
        elif run[0] == word:
            found.append((0, len(word), _token(word)))
        else:
            found += [(first + start, first + end, token) for start, end, token in _parts(run[0])]
    return tuple(found)


def compounds(text: str) -> list[tuple[int, int, str]]:
    """Return further tokens, as :func:`spans` does: words that are taken apart, whole, and the last of several letters.

    ``OpenDocument`` is opendocument, too; and 東京 is found by 京, as it is by 東 with which it begins.
    """
    if (text.isascii() and text.islower()) or _is_whole(text):
        return []
    found = []
    for word in _WORD.finditer(text):
        if word[0].isascii():
            if len(_parts(word[0])) > 1:
                found.append((word.start(), word.end(), _token(word[0])))
            continue
        for run in _RUNS.finditer(word[0]):
            letters = list(_LETTERS.finditer(run[0])) if run["dense"] else []
            if len(letters) > 1:
                first = word.start() + run.start()
                found.append((first + letters[-1].start(), first + letters[-1].end(), _token(letters[-1][0])))
    return found


def is_letter(token: str) -> bool:
    """Say whether a token is one letter of a script that writes words without blanks: others begin with it."""
    return _LETTERS.fullmatch(token) is not None


@lru_cache(maxsize=200_000)
def _token(word: str) -> str:
    """Return a word without case, accents and the s of a plural."""
    if not word.isascii():
        decomposed = unicodedata.normalize("NFKD", word.casefold())
        word = "".join(one for one in decomposed if not unicodedata.combining(one) and one not in _JOINERS)
    return _singular(word.lower())


def _singular(word: str) -> str:
    """Return a word without the s of a plural.

    Source: Harman, How effective is suffixing? (1991), the S stemmer.
    """
    if len(word) < 4 or word[-1] != "s":
        return word
    if word.endswith("ies") and not word.endswith(("eies", "aies")):
        return word[:-3] + "y"
    return word if word.endswith(("us", "ss")) else word[:-1]


def all_tokens(word: str) -> Sequence[str]:
    """Return the tokens of a word, or of what may be several, and its compounds."""
    if _is_whole(word):
        return (_singular(word.lower()),)
    return [*tokens(word), *(token for _, _, token in compounds(word))]


def has_forms(token: str) -> bool:
    """Say whether a token may have other forms, which begin with its stem: numbers have none."""
    return token.isascii() and token.isalpha()


@lru_cache(maxsize=100_000)
def stem(token: str) -> str:
    """Return what a token has in common with its other forms: *download* of downloading, downloaded and downloader.

    A rough one: those forms are looked for beside the token itself, and count less.
    """
    if not has_forms(token):
        return token
    found = _ENDINGS.sub(r"\1", token)
    return found[:-1] if len(found) > 4 and found[-1] == found[-2] and found[-1] not in "sl" else found

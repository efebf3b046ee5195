"""What LightGBM and XGBoost write a booster as, read as facts, trees and arrays (pure: no I/O, none of their code)."""

from __future__ import annotations

import re
from typing import Any, Final

import numpy as np

__all__ = ["booster"]

_TREE: Final = re.compile(r"\n+Tree=\d+\n")
_NUMBERS: Final = {
    b"i": ">i1", b"U": ">u1", b"I": ">i2", b"l": ">i4", b"L": ">i8", b"d": ">f4", b"D": ">f8"
}  # fmt: skip
_WORDS: Final = {b"Z": None, b"T": True, b"F": False}


def booster(content: str | bytes) -> object:
    """Return what LightGBM's text or XGBoost's UBJSON of a booster says; other content as it is."""
    if isinstance(content, str):
        return _of_lightgbm(content)
    try:
        return _of_xgboost(_Ubjson(content).whole())
    except (ValueError, RecursionError):
        return content


def _of_xgboost(found: dict[str, Any]) -> dict[str, Any]:
    """Return what is told of a booster with the parts that are learned on top, without the four names above them."""
    told = dict(found)
    for name in ("Model", "learner", "gradient_booster", "model"):
        below = told.get(name)
        if isinstance(below, dict):
            told = {**below, **{other: told[other] for other in told if other != name}}
    return told


def _of_lightgbm(text: str) -> object:
    head, *trees = _TREE.split(text)
    if not trees:
        return text
    trees[-1] = trees[-1].partition("\n\n")[0]
    return {**_facts(head), "trees": [_facts(tree) for tree in trees]}


def _facts(text: str) -> dict[str, str]:
    return {name: value for name, sign, value in (line.partition("=") for line in text.splitlines()) if sign}


class _Ubjson:
    """Reads UBJSON, in which lists of numbers of one type are arrays. Raises ValueError if something else is there.

    Source: https://ubjson.org/type-reference/.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def whole(self) -> dict[str, Any]:
        """Return the object that is the whole content."""
        found = self._value(self._take(1))
        if not isinstance(found, dict) or self._at != len(self._content):
            raise ValueError("no object")
        return found

    def _value(self, mark: bytes) -> Any:
        if mark in _NUMBERS:
            return self._numbers(mark, 1)[0].item()
        if mark in _WORDS:
            return _WORDS[mark]
        if mark == b"S":
            return self._text()
        if mark == b"[":
            return self._list()
        if mark != b"{":
            raise ValueError("an unknown type")
        found = {}
        while not self._comes(b"}"):
            name = self._text()
            found[name] = self._value(self._take(1))
        return found

    def _list(self) -> Any:
        if self._comes(b"$"):
            mark = self._take(1)
            if mark not in _NUMBERS or not self._comes(b"#"):
                raise ValueError("a list of an unknown type")
            return self._numbers(mark, self._count())
        if self._comes(b"#"):
            return [self._value(self._take(1)) for _ in range(self._count())]
        found = []
        while not self._comes(b"]"):
            found.append(self._value(self._take(1)))
        return found

    def _numbers(self, mark: bytes, count: int) -> np.ndarray[Any, np.dtype[Any]]:
        kind = np.dtype(_NUMBERS[mark])
        return np.frombuffer(self._take(count * kind.itemsize), kind).astype(kind.newbyteorder("="))

    def _text(self) -> str:
        return self._take(self._count()).decode()

    def _count(self) -> int:
        found = self._value(self._take(1))
        if not isinstance(found, int):
            raise ValueError("a size that is no number")
        return found

    def _comes(self, mark: bytes) -> bool:
        """Step over a mark if it comes next."""
        is_next = self._content[self._at : self._at + 1] == mark
        self._at += is_next
        return is_next

    def _take(self, size: int) -> bytes:
        found = self._content[self._at : self._at + size]
        if size < 0 or len(found) != size:
            raise ValueError("an end too early")
        self._at += size
        return found

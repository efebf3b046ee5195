"""Why a query found nothing: a key that no item has; or a text, which is no number however alike they look.

A query compares metadata by type, as JSON tells it: ``"3"`` is not ``3`` and ``"true"`` is not
``true``. Converting one into the other would find ids of digits under numbers, and lose leading zeros; so nothing is
converted; a query that finds nothing for this reason says so. Nor does a list equal its members.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, Final

from lakefolio.process.notice import LakefolioWarning, notice
from lakefolio.render.text import counted
from lakefolio.terminal import text_of

__all__ = ["tell_near_misses", "tell_unknown_keys", "tell_unknown_words"]

_NUMBER: Final = re.compile(r"-?(0|[1-9]\d{0,17})(\.\d{1,17})?")
_SWITCHES: Final = {"true": True, "True": True, "false": False, "False": False}
_TOLD: Final = 8


def _alike(value: object) -> tuple[Any, ...]:
    """Return the values of other types that look like a value."""
    if isinstance(value, bool):
        return str(value).lower(), int(value)
    if isinstance(value, int | float | Decimal):
        return (text_of(value), *((bool(value),) if value in (0, 1) else ()))
    if isinstance(value, str):
        if value in _SWITCHES:
            return (_SWITCHES[value],)
        if _NUMBER.fullmatch(value):
            return (float(value) if "." in value else int(value),)
    return ()


def tell_near_misses(asked: Iterable[tuple[str, str, object]], count: Callable[[str, str, Any], int]) -> None:
    """Warn of metadata that a query asked for in another type than items have it in.

    Args:
        asked: Keys, operators and values.
        count: Returns how many items have metadata that an operator and a value are true of.
    """
    for key, operator, value in list(dict.fromkeys(asked))[:_TOLD]:
        equal = operator == "="
        sign = "" if equal else f"{operator} "
        for other in _alike(value):
            if (equal or not isinstance(other, bool)) and (found := count(key, operator, other)):
                has = f"but {counted(found, 'item')} {_has(found)} {sign}{other!r}"
                message = f"nothing has {sign}{value!r} as metadata {key!r}, {has}"
                hint = f"texts, numbers and true are never equal: ask for {sign}{other!r}"
                notice(LakefolioWarning(message, kind="types-differ", hint=hint))
                break
        else:
            if equal and not isinstance(value, bool) and (found := count(key, "contains", value)):
                has = f"but {counted(found, 'item')} {_has(found)} one that contains it"
                message = f"nothing has {value!r} as metadata {key!r}, {has}"
                hint = f"ask for ('contains', {value!r})"
                notice(LakefolioWarning(message, kind="types-differ", hint=hint))


def tell_unknown_keys(asked: Iterable[str], known: Callable[[str], Iterable[str]]) -> None:
    """Warn of keys of metadata that no item has, where one is called nearly so, or lies below what holds none.

    Args:
        asked: Keys; ``a.b`` is ``b`` in ``a``.
        known: Returns the keys there are in the value of a key, or at all for an empty text.
    """
    for key in list(dict.fromkeys(asked))[:_TOLD]:
        name, _, rest = key.partition(".")
        names = set(known(""))
        within = ""
        if rest and name in names and key not in names:
            within, (name, _, _) = f"{name}.", rest.partition(".")
            names = set(known(key.partition(".")[0]))
            if not names:
                message = f"no item has metadata {within + name!r}: what is noted as {within[:-1]!r} holds no names"
                hint = f"compare it by an operator: {{{within[:-1]!r}: {{'>=': …}}}}"
                notice(LakefolioWarning(message, kind="key-unknown", hint=hint))
                continue
        if key not in names and name not in names and (near := get_close_matches(name, names, n=1)):
            message = f"no item has metadata {within + name!r}"
            notice(LakefolioWarning(message, kind="key-unknown", hint=f"did you mean {within + near[0]!r}?"))


def tell_unknown_words(asked: Mapping[str, object], known: Callable[[str], Iterable[str]], what: str) -> None:
    """Warn of words that nothing has in a field, where another is written nearly so.

    Args:
        asked: Field -> what was asked for; only plain texts are looked at.
        known: Returns the words there are in a field.
        what: What was looked for, ``item`` or ``run``.
    """
    for field, word in asked.items():
        if isinstance(word, str) and word not in (names := set(known(field))):
            near = get_close_matches(word, names, n=1) or [one for one in names if one.lower() == word.lower()]
            if near:
                message = f"no {what} has the {field} {word!r}"
                notice(LakefolioWarning(message, kind="word-unknown", hint=f"did you mean {near[0]!r}?"))


def _has(count: int) -> str:
    return "has" if count == 1 else "have"

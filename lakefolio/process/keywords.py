"""Keywords that a call does not take: a TypeError that names the nearest one, where Python names none before 3.13."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any, TypeVar

from lakefolio.errors import UnsupportedTypeError

__all__ = ["check_keywords", "explained", "keywords_of", "nearest"]

F = TypeVar("F", bound=Callable[..., Any])


@functools.cache
def keywords_of(function: Callable[..., object]) -> frozenset[str] | None:
    """Return the names that may be given as keywords, or None if any may."""
    named = inspect.signature(function).parameters.values()
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in named):
        return None
    return frozenset(one.name for one in named if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY))


def check_keywords(function: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raise UnsupportedTypeError (a TypeError) if a keyword is given that is not known; it names the nearest that is.

    Args:
        function: How the call is named.
        given: The keywords of the call.
        known: Those that it takes.
    """
    names = sorted(known)
    for name in given:
        if name not in names:
            raise UnsupportedTypeError(
                f"{function} got an unexpected keyword argument {name!r}",
                kind="unknown-keyword",
                hint=nearest(name, names),
                keyword=name,
            )


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the hint for a keyword that is not known: the nearest one, or all."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.5) or [one for one in names if name in one][:1]
    return f"did you mean {close[0]!r}?" if close else f"it takes {', '.join(names) or 'none'}"


def explained(function: F, shown: str | None = None) -> F:
    """Return a function that says which keyword was meant; one that takes any, or none, as it is."""
    known = keywords_of(function)
    if known is None:
        return function
    known -= {"self", "cls"}

    @functools.wraps(function)
    def call(*args: object, **kwargs: object) -> Any:
        if not known.issuperset(kwargs):
            check_keywords(f"{shown or function.__name__}()", kwargs, known)
        return function(*args, **kwargs)

    return call  # type: ignore[return-value]  # it takes and returns what the function does

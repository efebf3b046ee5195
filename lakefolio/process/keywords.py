"""Unknown keywords of a call: a TypeError that names the nearest known one, as Python does from 3.13 on."""

from __future__ import annotations

import errno
import functools
import inspect
import threading
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any, TypeVar

from lakefolio.errors import InvalidInputError, LakefolioError, UnsupportedTypeError, one_line
from lakefolio.process.arguments import misfit
from lakefolio.process.signals import HeldSignals
from lakefolio.terminal import shown_value

__all__ = ["check_keywords", "explained", "keywords_of", "nearest"]

F = TypeVar("F", bound=Callable[..., Any])
_RAW = (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, RuntimeError)
"""What code raises that was given something it does not expect."""
_NO_PATH = (errno.ENAMETOOLONG, errno.ELOOP)
_NAMED = 5
_ELSEWHERE = {"message": "a message is that of a commit: with lake.batch('…'): …"}
"""What many expect of a call that another one takes."""


@functools.cache
def keywords_of(function: Callable[..., object]) -> frozenset[str] | None:
    """Return the names that a function accepts as keywords, or None if it accepts any."""
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
    """Return the hint for an unknown keyword: the nearest known one, or all."""
    if name in _ELSEWHERE:
        return _ELSEWHERE[name]
    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.5) or [one for one in names if name in one][:1]
    return f"did you mean {close[0]!r}?" if close else f"it takes {', '.join(names) or 'none'}"


def _too_many(function: Callable[..., object], args: tuple[object, ...]) -> str | None:
    """Return which argument has to be named; None if no more are given by their position than the function takes."""
    named = list(inspect.signature(function).parameters.values())
    if any(one.kind is one.VAR_POSITIONAL for one in named):
        return None
    taken = [one for one in named if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    others = [one.name for one in named if one.kind is one.KEYWORD_ONLY]
    if len(args) <= len(taken) or not others:
        return None
    written = " or ".join(f"{one}=" for one in others[:_NAMED]) + " or …" * (len(others) > _NAMED)
    return f"{shown_value(args[len(taken)])}, one argument too many without a name: write {written}"


def explained(function: F, shown: str | None = None) -> F:
    """Return a function that raises errors which name the keyword that was meant, or the argument of a wrong type.

    The first call in the main thread, where signals are handled, holds them: it may import what the function needs.
    """
    any_keyword = keywords_of(function) is None
    known = (keywords_of(function) or frozenset()) - {"self", "cls"}
    name = f"{shown or function.__name__}()"
    was_called = False

    @functools.wraps(function)
    def call(*args: object, **kwargs: object) -> Any:
        nonlocal was_called
        if not any_keyword and not known.issuperset(kwargs):
            check_keywords(name, kwargs, known)
        try:
            if was_called:
                return function(*args, **kwargs)
            with HeldSignals():
                result = function(*args, **kwargs)
            was_called = threading.current_thread() is threading.main_thread()
            return result
        except LakefolioError:
            raise
        except _RAW as exc:
            wrong = misfit(function, args, kwargs) or _too_many(function, args)
            if wrong is None:
                raise
            raise UnsupportedTypeError(f"{name} got {wrong}", kind="bad-argument") from exc
        except OSError as exc:
            if exc.errno not in _NO_PATH or exc.filename is None:
                raise
            path = one_line(str(exc.filename), 80)
            raise InvalidInputError(f"{name}: {path!r} is no path: {exc.strerror}", kind="bad-path") from exc

    return call  # type: ignore[return-value]  # it takes and returns what the function does

"""Recorded facts as they are handed out: copies that say so when they are changed, since nobody would record it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from lakefolio.errors import ReadOnlyError

__all__ = ["ReadOnlyDict", "ReadOnlyList", "read_only"]

T = TypeVar("T")


def read_only(value: T, what: str, hint: str) -> T:
    """Return a value in which all dicts and lists refuse to be changed; equal to the value, and of its classes.

    Args:
        value: Values of plain containers.
        what: What they are, for the message.
        hint: What records a change.
    """
    given: Any = value
    found: Any
    if type(value) is dict:
        found = ReadOnlyDict({key: read_only(one, what, hint) for key, one in given.items()})
    elif type(value) is list:
        found = ReadOnlyList(read_only(one, what, hint) for one in given)
    else:
        return value
    found.what, found.hint = what, hint
    result: T = found
    return result


def _refuse(self: ReadOnlyDict | ReadOnlyList, *args: object, **kwargs: object) -> NoReturn:
    raise ReadOnlyError(f"{self.what} can't be changed here", kind="read-only-copy", hint=self.hint)


class ReadOnlyDict(dict[Any, Any]):
    """A dict that refuses to be changed; ``dict(…)`` of it, and its copies, are plain."""

    __slots__ = ("hint", "what")
    what: str
    hint: str

    __setitem__ = __delitem__ = update = pop = popitem = clear = setdefault = __ior__ = _refuse

    def __reduce_ex__(self, protocol: object) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Be copied and pickled as a plain dict."""
        return dict, (list(self.items()),)


class ReadOnlyList(list[Any]):
    """A list that refuses to be changed; ``list(…)`` of it, and its copies, are plain."""

    __slots__ = ("hint", "what")
    what: str
    hint: str

    __setitem__ = __delitem__ = append = extend = insert = remove = pop = clear = _refuse
    sort = reverse = __iadd__ = __imul__ = _refuse

    def __reduce_ex__(self, protocol: object) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Be copied and pickled as a plain list."""
        return list, (list(self),)

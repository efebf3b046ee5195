"""The metadata of a folio as a dict that commits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

__all__ = ["FolioMetadata"]

Commit = Callable[[Mapping[str, Any], Iterable[str], bool], None]
"""Commits values to set, keys to remove, and whether to remove all others; refuses if the folio is read-only."""

_TIMES = ("created_at", "updated_at")


class FolioMetadata(dict[str, Any]):
    """A dict of JSON values; every change of it is one commit (or joins the open batch).

    It holds what the folio's metadata were when ``folio.metadata`` was last looked up, and always holds what
    was changed through it. ``created_at`` and ``updated_at`` are always there: when the folio was first and
    last changed, as the journal knows it, unless values of one's own were given for them.
    """

    def __init__(self, commit: Commit) -> None:
        super().__init__()
        self._commit = commit

    def show(self, values: Mapping[str, Any]) -> None:
        """Hold ``values`` from now on, without committing anything."""
        super().clear()
        super().update(values)

    def __setitem__(self, key: str, value: Any) -> None:
        self._commit({key: value}, (), False)

    def __delitem__(self, key: str) -> None:
        known = key in self
        self._commit({}, (key,) if known else (), False)
        if not known:
            raise KeyError(key)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set several keys in one commit."""
        self._commit(dict(*args, **kwargs), (), False)

    def __ior__(self, other: Any) -> FolioMetadata:  # type: ignore[override,misc]
        self.update(other)
        return self

    def clear(self) -> None:
        """Remove all keys in one commit."""
        self._commit({}, (), True)

    def pop(self, key: str, *default: Any) -> Any:
        """Remove a key, in one commit, and return its value."""
        if key not in self and default:
            return default[0]
        value = self.get(key)
        del self[key]
        return value

    def popitem(self) -> tuple[str, Any]:
        """Remove the last key that is not a time, in one commit, and return it with its value."""
        for key in reversed(self):
            if key not in _TIMES:
                return key, self.pop(key)
        raise KeyError("popitem(): the metadata are empty")

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Return the value of a key, setting it, in one commit, if it is missing."""
        if key not in self:
            self[key] = default
        return self[key]

    def copy(self) -> dict[str, Any]:
        """Return a plain dict."""
        return dict(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)

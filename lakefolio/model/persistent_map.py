"""Immutable maps that share their common part: a state and its successor differ by a few keys (pure: no I/O).

A map is three dicts, newest first. A change copies the newest, which holds at most 64 keys. The middle one is copied
once for 64 changes, the large one once for 4,096 or a 64th of its size. So a change costs amortised constant time, a
lookup looks in at most three dicts, and no reader ever sees a dict that is being changed.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping, ValuesView
from typing import Any, Final, TypeVar, overload

__all__ = ["PersistentMap"]

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")

_NEWEST: Final = 64
_MIDDLE: Final = 4096


class PersistentMap(Mapping[K, V]):
    """An immutable map. No value is None: that marks a key that was removed."""

    __slots__ = ("_base", "_middle", "_newest")

    def __init__(
        self,
        base: Mapping[K, V | None] | None = None,
        middle: Mapping[K, V | None] | None = None,
        newest: Mapping[K, V | None] | None = None,
    ) -> None:
        """Make a map of layers that nobody changes any more."""
        self._base: Mapping[K, V | None] = base or {}
        self._middle: Mapping[K, V | None] = middle or {}
        self._newest: Mapping[K, V | None] = newest or {}

    def updated(self, changes: Mapping[K, V | None]) -> PersistentMap[K, V]:
        """Return a map with other values for some keys; None removes a key. The map itself stays as it is."""
        if not changes:
            return self
        newest = {**self._newest, **changes}
        if len(newest) <= _NEWEST:
            return PersistentMap(self._base, self._middle, newest)
        middle = {**self._middle, **newest}
        if len(middle) <= max(_MIDDLE, len(self._base) // 64):
            return PersistentMap(self._base, middle)
        base = {**self._base, **middle}
        for key in [key for key, value in middle.items() if value is None]:
            del base[key]
        return PersistentMap(base)

    @overload
    def get(self, key: K) -> V | None: ...
    @overload
    def get(self, key: K, default: V | T) -> V | T: ...

    def get(self, key: K, default: object = None) -> Any:
        """Return the value of a key, or ``default``."""
        if key in self._newest:  # subscripts: methods of dicts take twice as long, and a commit looks up twenty keys
            value = self._newest[key]
        elif key in self._middle:
            value = self._middle[key]
        elif key in self._base:
            value = self._base[key]
        else:
            return default
        return default if value is None else value

    def __getitem__(self, key: K) -> V:
        """Return the value of a key, or raise KeyError."""
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def __contains__(self, key: object) -> bool:
        return self.get(key) is not None  # type: ignore[arg-type]

    def _merged(self) -> dict[K, V]:
        if not self._middle and not self._newest:
            return self._base  # type: ignore[return-value]
        merged = {**self._base, **self._middle, **self._newest}
        return {key: value for key, value in merged.items() if value is not None}

    def __iter__(self) -> Iterator[K]:
        """Go through the keys, in no order."""
        return iter(self._merged())

    def items(self) -> ItemsView[K, V]:
        """Return the keys and their values, in no order."""
        return self._merged().items()

    def values(self) -> ValuesView[V]:
        """Return the values, in no order."""
        return self._merged().values()

    def __len__(self) -> int:
        return len(self._merged())

    def __bool__(self) -> bool:
        """Say whether there is any key; cheaper than counting them."""
        for layer in (self._newest, self._middle):
            if any(value is not None for value in layer.values()):
                return True
        if not self._base:
            return False
        gone = {key for layer in (self._middle, self._newest) for key, value in layer.items() if value is None}
        return len(self._base) > len(gone & self._base.keys())

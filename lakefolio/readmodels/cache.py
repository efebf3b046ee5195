"""A cache of decoded parts of immutable files: bounded by bytes, least recently used first out."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Final

from lakefolio.process.fork import at_forks

__all__ = ["CACHE_BYTES", "Cache"]

CACHE_BYTES: Final = 24 << 20
"""How much a handle keeps by default."""


class Cache:
    """A bounded map from a part of a file to its decoded form. Safe to share between threads.

    Two threads that miss at once both read; the results are equal, and one is dropped.
    """

    def __init__(self, limit_bytes: int = CACHE_BYTES) -> None:
        self._lock = threading.RLock()
        at_forks(self)
        self._limit_bytes = limit_bytes
        self._kept: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._size_bytes = 0

    def before_fork(self) -> None:
        """Wait for nothing."""

    def after_fork(self, *, child: bool) -> None:
        """Let a child begin empty: another thread of its parent may have been changing the map."""
        if child:
            self._lock = threading.RLock()
            self._kept = OrderedDict()
            self._size_bytes = 0

    @property
    def size_bytes(self) -> int:
        """How much is kept now."""
        return self._size_bytes

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._kept.clear()
            self._size_bytes = 0

    def get(self, key: Hashable) -> Any | None:
        """Return the value under a key, or None."""
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                return None
            self._kept.move_to_end(key)
            return found[0]

    def put(self, key: Hashable, value: object, size_bytes: int) -> None:
        """Keep a value, unless it is larger than half of the room: one scan would push out all that is asked."""
        if size_bytes > self._limit_bytes // 2:
            return
        with self._lock:
            if key in self._kept:
                return
            self._kept[key] = (value, size_bytes)
            self._size_bytes += size_bytes
            while self._size_bytes > self._limit_bytes:
                _, (_, freed) = self._kept.popitem(last=False)
                self._size_bytes -= freed

    def get_or(self, key: Hashable, read: Callable[[], tuple[object, int]]) -> Any:
        """Return the value under a key; read and keep it if it is missing."""
        found = self.get(key)
        if found is None:
            found, size_bytes = read()
            self.put(key, found, size_bytes)
        return found

"""A large object fetched in parallel ranges, because one connection to a bucket is slow, and yielded in order.

Memory is bounded by the ranges in flight. A range that fails is fetched again by itself, not the whole object.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Final

from lakefolio.storage.store import CHUNK_BYTES
from lakefolio.storage.threads import submit

__all__ = ["in_ranges"]

_AT_ONCE: Final = 3


def in_ranges(fetch: Callable[[int, int], memoryview], size_bytes: int) -> Iterator[memoryview]:
    """Yield an object in pieces of ``CHUNK_BYTES``, in order; up to three of them are in flight or wait to be taken.

    Args:
        fetch: Returns the bytes from a start, of a length; fewer where the object ends.
        size_bytes: The size that the object should have. If it is longer, one byte more is given; if it is shorter,
            fewer are: the caller counts.
    """
    starts = iter(range(0, size_bytes, CHUNK_BYTES))
    waiting: deque[Future[memoryview]] = deque()

    def ask() -> None:
        start = next(starts, None)
        if start is not None:
            last = start + CHUNK_BYTES >= size_bytes
            length = size_bytes - start + 1 if last else CHUNK_BYTES
            waiting.append(submit(lambda: fetch(start, length)))

    try:
        for _ in range(_AT_ONCE):
            ask()
        while waiting:
            piece = waiting.popleft().result()
            ask()
            yield piece
    finally:
        for one in waiting:
            one.cancel()

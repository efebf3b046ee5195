"""Bytes as a readable file: a block of memory without a copy of the whole, or ranges fetched on demand."""

from __future__ import annotations

import io
import mmap
import os
from collections.abc import Callable
from typing import Final

import pyarrow as pa

__all__ = ["MemoryFile", "RangeFile", "piece_file"]

_MOST_BYTES: Final = 1 << 46
"""No file is larger, and no more can be mapped."""


class RangeFile(io.RawIOBase):
    """A readable file of which only the requested ranges are fetched."""

    def __init__(self, size_bytes: int, fetch: Callable[[int, int], bytes]) -> None:
        """Begin at the start.

        Args:
            size_bytes: The size of the whole file.
            fetch: Returns the bytes from a start, of a length greater than 0. Its errors reach the reader.
        """
        super().__init__()
        self._size_bytes = size_bytes
        self._fetch = fetch
        self._place = 0

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that it can be read in any order."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Return up to ``size`` bytes, by default all that are left."""
        left = max(0, self._size_bytes - self._place)
        length = left if size is None or size < 0 else min(size, left)
        found = self._fetch(self._place, length) if length else b""
        self._place += len(found)
        return found

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position, which may lie behind the end."""
        place = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size_bytes}[whence]
        if place < 0:
            raise ValueError(f"a place before the start: {place}")
        self._place = place
        return place

    def tell(self) -> int:
        """Return the position."""
        return self._place


class MemoryFile(RangeFile):
    """A readable file over a block of memory that it owns."""

    def __init__(self, content: memoryview) -> None:
        """Begin at the start of ``content``."""
        super().__init__(len(content), lambda start, length: bytes(content[start : start + length]))
        self._content = content

    def readinto(self, target: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer as far as bytes are left, and return how many were written."""
        room = memoryview(target).cast("B")
        found = self._content[self._place : self._place + len(room)]
        room[: len(found)] = found
        self._place += len(found)
        return len(found)


def piece_file(start: int, body: bytes) -> pa.BufferReader:
    """Return a file that has some bytes from ``start`` on, and zeros before; it takes no more memory than these.

    Arrow reads files that are no memory in a thread of its own, and a process that ends soon after may abort (pyarrow
    26: "terminate called without an active exception", apache/arrow#34314).

    Raises:
        OSError: If no file can be as long.
    """
    if not (body and 0 <= start < _MOST_BYTES):
        raise OSError(f"a piece of {len(body)} bytes can't begin at {start}")
    # private, which takes half the time of shared; pages that nobody wrote to or reads are not there
    memory = mmap.mmap(-1, start + len(body), access=mmap.ACCESS_COPY)
    memory[start:] = body
    return pa.BufferReader(pa.py_buffer(memory))

"""Compressed text that is read piece by piece, as long as it does not unpack to far more than it is."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from lakefolio.errors import InvalidInputError

__all__ = ["unpacked"]

_RATIO: Final = 200
_FREE_BYTES: Final = 64 << 20


@contextmanager
def unpacked(path: Path, compression: str) -> Iterator[io.BufferedIOBase]:
    """Open a compressed file for its text; reading it raises InvalidInputError (kind ``too-large``) for a bomb."""
    with (
        pa.input_stream(str(path), compression=compression) as stream,
        io.BufferedReader(_Counted(stream, path)) as file,
    ):
        yield file


class _Counted(io.RawIOBase):
    def __init__(self, stream: Any, path: Path) -> None:
        self._stream = stream
        self._path = path
        self._left = max(_FREE_BYTES, _RATIO * path.stat().st_size)

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        found: bytes = self._stream.read(len(target))
        self._left -= len(found)
        if self._left < 0:
            raise InvalidInputError(
                f"{self._path.name!r} unpacks to more than {_RATIO} times its size",
                kind="too-large",
                hint="unpack it yourself, and import what comes out",
                path=str(self._path),
            )
        target[: len(found)] = found
        return len(found)

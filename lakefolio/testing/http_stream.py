"""HTTP/1.1 messages as they pass through a proxy: heads, headers and bodies, and a connection that is kept."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from io import IOBase
from typing import Final

__all__ = ["PIECE_BYTES", "Upstream", "body_of", "headers_of", "read_head", "readable"]

PIECE_BYTES: Final = 1 << 18
"""How much is read and passed on at a time."""


class Upstream:
    """A connection to the server that is made again when the server has closed it."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._socket: socket.socket | None = None
        self._file: IOBase | None = None

    def connect(self) -> tuple[socket.socket, IOBase]:
        """Return the connection, made anew if need be, and a file to read from it."""
        if self._socket is not None and readable(self._socket):
            self.close()  # between two requests only an end of file makes it readable
        if self._socket is None or self._file is None:
            self._socket = socket.create_connection(self._address, timeout=None)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._file = self._socket.makefile("rb", buffering=PIECE_BYTES)
        return self._socket, self._file

    def close(self) -> None:
        """Close the connection. Idempotent."""
        if self._file is not None:
            self._file.close()
        if self._socket is not None:
            self._socket.close()
        self._socket = self._file = None


def read_head(source: IOBase) -> bytes:
    """Read up to and including the empty line; b"" at the end of the stream."""
    lines = []
    while line := source.readline(PIECE_BYTES):
        lines.append(line)
        if line in (b"\r\n", b"\n"):
            return b"".join(lines)
    return b""


def headers_of(head: bytes) -> dict[str, str]:
    """Return the headers in a head, their names in lower case."""
    result = {}
    for line in head.decode("latin-1").split("\r\n")[1:]:
        name, separator, value = line.partition(":")
        if separator:
            result[name.strip().lower()] = value.strip()
    return result


def body_of(source: IOBase, headers: dict[str, str], *, unbounded: bool = False) -> Iterator[bytes]:
    """Yield the raw bytes of a body, chunk frames included.

    Raises:
        ConnectionError: If the stream ends before the body does.
    """
    if "chunked" in headers.get("transfer-encoding", "").lower():
        while True:
            line = source.readline(PIECE_BYTES)
            size = int(line.split(b";", 1)[0], 16) if line.strip() else -1
            if size < 0:
                raise ConnectionError("the body ended within a chunk")
            yield line
            if size == 0:
                while (trailer := source.readline(PIECE_BYTES)) not in (b"\r\n", b""):
                    yield trailer
                yield b"\r\n"
                return
            yield from _exactly(source, size + 2)
    elif unbounded:
        while piece := source.read(PIECE_BYTES):
            yield piece
    else:
        yield from _exactly(source, int(headers.get("content-length", "0") or 0))


def _exactly(source: IOBase, count: int) -> Iterator[bytes]:
    while count > 0:
        piece = source.read(min(count, PIECE_BYTES))
        if not piece:
            raise ConnectionError("the body ended early")
        count -= len(piece)
        yield piece


def readable(connection: socket.socket) -> bool:
    """Say whether there is something to read, or the other side has hung up; select() knows 1,024 descriptors only."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))

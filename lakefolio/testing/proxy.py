"""A proxy at an S3 server's door that counts what passes and can make it go wrong.

Everything passes unchanged, the Host header included, so that signatures still hold. One thread serves one
connection and keeps one connection to the server.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import IOBase
from types import TracebackType
from typing import Final, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from lakefolio.testing.http_stream import PIECE_BYTES, Upstream, body_of, headers_of, read_head
from lakefolio.testing.s3 import S3Server

__all__ = ["Count", "CountingProxy", "Fault", "Request", "kind_of_key"]

_KINDS: Final = (
    ("log", re.compile(r"/_delta_log/\d{20}\.json$|/_delta_log/?$")),
    ("checkpoint", re.compile(r"/_delta_log/")),
    ("data", re.compile(r"/?tables/")),
    ("blob", re.compile(r"/?blobs/")),
    ("pending", re.compile(r"/?pending/")),
    ("marker", re.compile(r"/?lakefolio\.json$")),
)


def kind_of_key(key: str) -> str:
    """Return what a key of a lake is for: log, checkpoint, data, blob, pending, marker or other."""
    return next((kind for kind, pattern in _KINDS if pattern.search(key)), "other")


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came in, before its body was read.

    Attributes:
        method: The HTTP method.
        operation: The method, or ``LIST``, ``DELETE_MANY``, ``START_UPLOAD``, ``PART``, ``COMPLETE_UPLOAD`` or
            ``ABORT_UPLOAD`` where S3 says more by its query.
        bucket: The bucket.
        key: The key, or the prefix of a LIST.
        query: The query, values joined.
        headers: Names in lower case.
        number: The how-manieth request of the proxy it is, from 1.
    """

    method: str
    operation: str
    bucket: str
    key: str
    query: dict[str, str]
    headers: dict[str, str]
    number: int

    @property
    def kind(self) -> str:
        """What the key is for, see :func:`kind_of_key`."""
        return kind_of_key(self.key)


@dataclass(frozen=True, slots=True)
class Fault:
    """What to do to a request.

    Attributes:
        action: ``drop_response``: let it have its effect, then close the connection without an answer. ``refuse``:
            close the connection before it reaches the server. ``cut``: pass ``after_bytes`` of the answer's body.
            ``delay``: wait ``seconds`` before passing it on. ``status``: answer ``status`` instead of passing it on.
            ``flip``: change one bit of a GET's body. ``swap``: answer a GET with the body of another object of the same
            kind that passed before, if one did.
        seconds: For ``delay``.
        status: For ``status``.
        code: The S3 error code in the answer of ``status``.
        after_bytes: For ``cut``; for ``flip`` which byte, counted from the start again behind the end.
    """

    action: Literal["drop_response", "refuse", "cut", "delay", "status", "flip", "swap"]
    seconds: float = 0.0
    status: int = 503
    code: str = "SlowDown"
    after_bytes: int = 0


@dataclass(slots=True)
class Count:
    """The requests seen while it was open."""

    requests: list[Request] = field(default_factory=list)

    @property
    def total(self) -> int:
        """How many."""
        return len(self.requests)

    @property
    def by_operation(self) -> Counter[str]:
        """How many of each operation."""
        return Counter(request.operation for request in self.requests)

    @property
    def by_kind(self) -> Counter[tuple[str, str]]:
        """How many of each operation on each kind of key."""
        return Counter((request.operation, request.kind) for request in self.requests)

    def __str__(self) -> str:
        return ", ".join(f"{request.operation} {request.key}" for request in self.requests) or "no requests"


class CountingProxy:
    """Stands before an S3 server, as a context manager.

    Attributes:
        fault: Asked for each request, in the thread of its connection; returns what to do to it, or None.
    """

    def __init__(self, server: S3Server | str) -> None:
        """Listen on a free port.

        Args:
            server: The server, or its endpoint (http only).
        """
        self._server = server if isinstance(server, S3Server) else None
        upstream = urlsplit(server.endpoint if isinstance(server, S3Server) else server)
        self._upstream = (upstream.hostname or "127.0.0.1", upstream.port or 80)
        self.fault: Callable[[Request], Fault | None] | None = None
        self._counts: list[Count] = []
        self._lock = threading.Lock()
        self._number = 0
        self._passed: dict[str, tuple[str, bytes]] = {}  # kind of key -> the last object of it that was read
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name="counting-proxy", daemon=True).start()

    @property
    def endpoint(self) -> str:
        """The URL to use instead of the server's."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def storage_options(self) -> dict[str, str]:
        """The server's options with this endpoint."""
        return (self._server.storage_options if self._server else {}) | {
            "aws_endpoint_url": self.endpoint,
            "aws_allow_http": "true",
        }

    @contextlib.contextmanager
    def count(self) -> Iterator[Count]:
        """Count the requests that come in while the block runs."""
        count = Count()
        with self._lock:
            self._counts.append(count)
        try:
            yield count
        finally:
            with self._lock:
                self._counts = [one for one in self._counts if one is not count]

    @contextlib.contextmanager
    def faulty(self, fault: Callable[[Request], Fault | None]) -> Iterator[None]:
        """Set ``fault`` while the block runs."""
        before, self.fault = self.fault, fault
        try:
            yield
        finally:
            self.fault = before

    def close(self) -> None:
        """Stop listening and close all connections. Idempotent."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> CountingProxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        link = Upstream(self._upstream)
        try:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with client.makefile("rb", buffering=PIECE_BYTES) as incoming:
                while self._exchange(client, incoming, link):
                    pass
        except OSError:
            pass  # either side closed; the other is closed below
        finally:
            link.close()
            with self._lock:
                self._open.discard(client)
            client.close()

    def _exchange(self, client: socket.socket, incoming: IOBase, link: Upstream) -> bool:
        """Pass one request and its answer; say whether the connection stays open."""
        head = read_head(incoming)
        if not head:
            return False
        request = self._note(head)
        fault = self.fault(request) if self.fault is not None else None
        if fault is not None:
            if fault.action == "delay":
                time.sleep(fault.seconds)
            elif fault.action == "refuse":
                return False
        if "100-continue" in request.headers.get("expect", "").lower():
            client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if fault is not None and fault.action == "status":
            for _ in body_of(incoming, request.headers):
                pass
            body = f"<?xml version='1.0'?><Error><Code>{fault.code}</Code><Message>injected</Message></Error>".encode()
            head = f"HTTP/1.1 {fault.status} Injected\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            client.sendall(head if request.method == "HEAD" else head + body)
            return True
        server, outgoing = link.connect()
        server.sendall(head)
        for piece in body_of(incoming, request.headers):
            server.sendall(piece)
        return self._answer(client, outgoing, request, fault)

    def _answer(self, client: socket.socket, outgoing: IOBase, request: Request, fault: Fault | None) -> bool:
        while True:
            head = read_head(outgoing)
            if not head:
                return False
            status = int(head.split(b" ", 2)[1])
            if status >= 200:
                break  # the interim answer was given already
        headers = headers_of(head)
        silent = request.method == "HEAD" or status in (204, 304)
        unbounded = not silent and "content-length" not in headers and "transfer-encoding" not in headers
        body = iter(()) if silent else body_of(outgoing, headers, unbounded=unbounded)
        if fault is not None and fault.action == "drop_response":
            for _ in body:
                pass
            return False
        passed = status == 200 or (status == 206 and fault is not None and fault.action == "flip")
        if self.fault is not None and request.operation == "GET" and passed and "content-length" in headers:
            head, whole = self._changed(head, b"".join(body), request, fault)
            body = iter((whole,))
        left = fault.after_bytes if fault is not None and fault.action == "cut" else None
        client.sendall(head)
        for piece in body:
            if left is not None:
                piece, left = piece[:left], left - len(piece[:left])
            client.sendall(piece)
            if left == 0:
                return False
        closing = unbounded or headers.get("connection", "").lower() == "close"
        return left is None and not closing and request.headers.get("connection", "").lower() != "close"

    def _changed(self, head: bytes, body: bytes, request: Request, fault: Fault | None) -> tuple[bytes, bytes]:
        """Return the answer to a GET as the fault wants it, and remember the object for later ones."""
        action = None if fault is None else fault.action
        if action == "flip" and fault is not None and body:
            at = fault.after_bytes % len(body)
            return head, body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        key, other = self._passed.get(request.kind, (request.key, b""))
        if len(body) <= PIECE_BYTES:
            self._passed[request.kind] = (request.key, body)
        if action == "swap" and key != request.key:
            return re.sub(rb"(?i)content-length: *\d+", b"Content-Length: %d" % len(other), head), other
        return head, body

    def _note(self, head: bytes) -> Request:
        method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
        parts = urlsplit(target)
        query = {name: ",".join(values) for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
        operation = _operation(method, query, key)
        if operation == "LIST":
            key = query.get("prefix", "")
        with self._lock:
            self._number += 1
            request = Request(method, operation, bucket, key, query, headers_of(head), self._number)
            for count in self._counts:
                count.requests.append(request)
        return request


def _operation(method: str, query: dict[str, str], key: str) -> str:
    if method == "GET" and not key and ("list-type" in query or "prefix" in query or not query):
        return "LIST"
    if method == "POST" and "delete" in query:
        return "DELETE_MANY"
    if method == "POST" and "uploads" in query:
        return "START_UPLOAD"
    if "uploadId" in query:
        named = {"PUT": "PART", "POST": "COMPLETE_UPLOAD", "DELETE": "ABORT_UPLOAD"}
        return named.get(method, method)
    return method

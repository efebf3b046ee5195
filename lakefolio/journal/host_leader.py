"""One process of a host, the leader, commits for all that write to the same lake there (DESIGN.md, "On one host").

Processes exchange bytes, one message and one answer at a time, through a socket in a folder that only this user may
enter. The leader is the process that holds a file lock; the operating system frees the lock when the process dies.
Nothing here decides the outcome of a commit: a writer that gets no answer reads the log, as after any lost answer.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import selectors
import socket
import stat
import struct
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lakefolio.process.exit import at_exit

try:
    import fcntl
except ImportError:  # Windows: every process is for itself
    fcntl = None  # type: ignore[assignment]

__all__ = ["HostPeers", "resign_all"]

_MOST_BYTES = 64 << 10
"""A longer message is not sent: its writer commits by itself, which takes longer than waiting for the leader."""
_ANSWER_S = 2.0
_AVOIDED_S = 10.0
"""How long no leader is asked after an answer that did not come in time: the leader is stopped, or busy."""
_TAKEOVER_S = 1.0
_PAUSE_S = 0.002
_IDLE_S = 5.0
_GATHERED = 0.25
_LONGEST_GATHERED_S = 0.01
_HEAD = struct.Struct(">I")
_registered = False
_everyone: weakref.WeakSet[HostPeers] = weakref.WeakSet()


class HostPeers:
    """The other processes of this host that write to the same lake, as one handle sees them.

    Its owner calls it from one thread at a time; the leader's thread calls ``serve``.
    """

    def __init__(
        self,
        identity: str,
        serve: Callable[[Sequence[bytes]], Sequence[bytes]],
        *,
        after: Callable[[], None] = lambda: None,
        waiting: Callable[[], int] = lambda: 0,
    ) -> None:
        """Note the identity of the lake; no file is opened before it is needed.

        Args:
            identity: The common identity of peers: the lake, its place, and the rights to write there.
            serve: Answers messages, in order, if this process leads. If it raises, the askers get no answer.
            after: Called after answers were sent.
            waiting: Counts the commits that wait in this process, to be made along with the messages.
        """
        self.path = _socket_path(identity)
        self._duties = _Duties(serve, after, waiting)
        self._link: socket.socket | None = None
        self._server: _Server | None = None
        self._avoid_until = 0.0
        _everyone.add(self)

    @property
    def leading(self) -> bool:
        """Whether this process answers the others."""
        return self._server is not None and self._server.alive

    def nudge(self) -> bool:
        """Let the leader's thread make the commits that wait here; return whether it runs and other processes ask it.

        Safe to call from any thread.
        """
        server = self._server
        return server is not None and server.alive and server.asked_lately() > 0 and server.wake()

    @property
    def count(self) -> int:
        """How many others have asked this process within the last second."""
        return self._server.asked_lately() if self._server is not None and self._server.alive else 0

    def ask_or_lead(self, message: bytes) -> bytes | None:
        """Send a message to the leader and return the answer; become the leader if there is none.

        None means that this process leads now, or that no answer came; then the outcome of the message is open.
        """
        until = time.monotonic() + _TAKEOVER_S
        while self.path is not None and len(message) <= _MOST_BYTES and time.monotonic() >= self._avoid_until:
            answer = self._ask(self.path, message)
            if answer is not None:
                return answer
            if self.lead() or time.monotonic() > until:
                break
            time.sleep(_PAUSE_S)  # one that has just died still has its lock, one that has just got it does not listen
        return None

    def _ask(self, path: str, message: bytes) -> bytes | None:
        # taken out, and put back with its answer read: an exception in between must not leave an answer to be taken for
        # that of the next question
        link, self._link = self._link, None
        try:
            if link is None:
                link = _connected(path)
            link.sendall(_HEAD.pack(len(message)) + message)
            answer = _received(link)
        except TimeoutError:
            self._avoid_until = time.monotonic() + _AVOIDED_S
        except OSError:
            pass
        else:
            self._link = link
            return answer
        if link is not None:
            link.close()
        return None

    def lead(self) -> bool:
        """Answer other processes from now on, unless another process does; return whether this process does."""
        global _registered
        if not self.leading and self.path is not None:
            if not _registered:
                _registered = True
                at_exit(resign_all)
            self.resign()  # one that an exception kept from its start
            try:
                self._server = _Server(self.path, self._duties)
                self._server.start()
            except OSError:
                pass
            except RuntimeError:  # no thread can be started: nobody may wait for its answers
                self.resign()
        return self.leading

    def leave(self) -> None:
        """Close the connection to the leader."""
        if self._link is not None:
            self._link.close()
            self._link = None

    def resign(self) -> None:
        """Stop answering after the current answer; wait for that a few seconds at most."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def _forget(self) -> None:
        """In a forked child: close the connections, which are its parent's."""
        self.leave()
        if self._server is not None:
            self._server.close()
            self._server = None


@dataclass(frozen=True, slots=True)
class _Duties:
    serve: Callable[[Sequence[bytes]], Sequence[bytes]]
    after: Callable[[], None]
    waiting: Callable[[], int]


class _Server:
    """Answers messages until none has come for a while. Holds its lock as long as its files are open."""

    def __init__(self, path: str, duties: _Duties) -> None:
        """Take the lock and listen; :meth:`start` begins to answer.

        Raises:
            OSError: If another process has it.
        """
        self._duties = duties
        self._took_s = 0.0
        self._path = path
        self._asked: dict[int, float] = {}
        self._buffers: dict[socket.socket, bytearray] = {}
        self._stopping = False
        # a file object, and not a descriptor: whatever comes between here and the start, it is closed with its owner
        self._lock = open(f"{path}.lock", "ab", opener=_opened_for_us)  # noqa: SIM115
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # of one that died
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(path)
        self._listener.listen(256)
        self._listener.setblocking(False)
        self._waker, self._woken = socket.socketpair()
        self._waker.setblocking(False)
        self._woken.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._closed = False
        self._begun = threading.Event()
        self._unowned = threading.Lock()  # its owner closes the files: the thread, or stop() before the thread began
        self._thread = threading.Thread(target=self._run, name="lakefolio-peers", daemon=True)

    def start(self) -> None:
        """Begin to answer, in a thread."""
        self._thread.start()
        self._begun.wait()

    @property
    def alive(self) -> bool:
        # not Thread.is_alive: interrupted by Ctrl-C, it takes a living thread for ended from then on (CPython 3.11)
        return self._begun.is_set() and not self._closed

    def asked_lately(self) -> int:
        since = time.monotonic() - 1.0
        return sum(1 for at in list(self._asked.values()) if at > since)

    def wake(self) -> bool:
        try:
            self._waker.send(b"x")
        except BlockingIOError:
            pass  # it has enough to wake up from
        except OSError:
            return False
        return not self._stopping

    def stop(self) -> None:
        self._stopping = True
        self.wake()
        if self._unowned.acquire(blocking=False):
            self.close()  # its thread has not begun and won't
        else:
            self._thread.join(_IDLE_S)

    def close(self) -> None:
        """Close all files, which frees the lock if no forked process has them too."""
        self._closed = True
        for one in (self._listener, self._waker, self._woken, *self._buffers):
            one.close()
        self._selector.close()
        self._lock.close()

    def _run(self) -> None:
        self._begun.set()
        if not self._unowned.acquire(blocking=False):
            return
        try:
            while ready := self._selector.select(0.0 if self._stopping else _IDLE_S):  # waiting askers get their answer
                asked = self._gathered(ready)
                if asked or self._duties.waiting():
                    began = time.monotonic()
                    self._answer(asked)
                    self._took_s = time.monotonic() - began
                    self._duties.after()
        finally:
            # no socket without its lock: the next one to lead would find it in its way
            with contextlib.suppress(OSError):
                os.unlink(self._path)
            self.close()

    def _gathered(self, ready: list[Any]) -> list[tuple[socket.socket, bytes]]:
        """Read the messages that have come, and those of the next moment: processes just answered soon ask again.

        As in any group commit, waiting a small part of a commit's time saves most processes a second commit.
        """
        until = time.monotonic() + min(_GATHERED * self._took_s, _LONGEST_GATHERED_S)
        asked = [one for key, _ in ready for one in self._read(key.fileobj)]
        expected = self.asked_lately()
        while len(asked) < expected and (left := until - time.monotonic()) > 0:
            asked += [one for key, _ in self._selector.select(left) for one in self._read(key.fileobj)]
        return asked

    def _read(self, ready: Any) -> list[tuple[socket.socket, bytes]]:
        """Accept a connection, or return the messages that are complete."""
        try:
            if ready is self._woken:
                ready.recv(4096)
                return []
            if ready is self._listener:
                link, _ = self._listener.accept()
                link.setblocking(False)
                self._buffers[link] = bytearray()
                self._selector.register(link, selectors.EVENT_READ)
                return []
            data = ready.recv(_MOST_BYTES)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        buffer = self._buffers[ready]
        buffer += data
        if len(buffer) < _HEAD.size:
            if not data:
                self._drop(ready)
            return []
        (size,) = _HEAD.unpack_from(buffer)
        if not data or size > _MOST_BYTES:
            self._drop(ready)
            return []
        if len(buffer) < _HEAD.size + size:
            return []
        self._buffers[ready] = buffer[_HEAD.size + size :]  # empty: an asker waits for the answer
        self._asked[ready.fileno()] = time.monotonic()
        return [(ready, bytes(buffer[_HEAD.size : _HEAD.size + size]))]

    def _answer(self, asked: list[tuple[socket.socket, bytes]]) -> None:
        try:
            answers = self._duties.serve([message for _, message in asked])
        except Exception:  # each asker reads the log, and meets the error by itself
            for link, _ in asked:
                self._drop(link)
            return
        for (link, _), answer in zip(asked, answers, strict=True):
            try:
                link.sendall(_HEAD.pack(len(answer)) + answer)
            except OSError:
                self._drop(link)

    def _drop(self, link: socket.socket) -> None:
        self._asked.pop(link.fileno(), None)
        self._buffers.pop(link, None)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(link)
        link.close()


def _opened_for_us(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _connected(path: str) -> socket.socket:
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        link.settimeout(_ANSWER_S)
        link.connect(path)
    except OSError:
        link.close()
        raise
    return link


def _received(link: socket.socket) -> bytes:
    until = time.monotonic() + _ANSWER_S
    data = bytearray()
    while len(data) < _HEAD.size or len(data) < _HEAD.size + _HEAD.unpack_from(data)[0]:
        link.settimeout(max(until - time.monotonic(), 0.001))
        more = link.recv(_MOST_BYTES)
        if not more:
            raise ConnectionResetError
        data += more
    return bytes(data[_HEAD.size :])


def _socket_path(identity: str) -> str | None:
    """Return the path of the socket; None if the system lacks such sockets, or a folder for this user alone."""
    if fcntl is None or not hasattr(socket, "AF_UNIX"):
        return None
    folder = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"lakefolio-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        return None
    path = str(folder / hashlib.sha256(identity.encode()).hexdigest()[:32])
    return path if len(os.fsencode(path)) < 100 else None


def _forget_all() -> None:
    for one in list(_everyone):
        one._forget()


def resign_all() -> None:
    """Let every handle of this process stop answering other processes."""
    for one in list(_everyone):
        one.resign()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)

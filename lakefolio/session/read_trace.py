"""The reads of code in lakes while it runs, so that an answer is used again only if it would read the same.

Apart from the inputs of a run: those say what to record, in one lake; this says whether an answer still holds. A trace
sees the reads of the block it is opened for, of blocks inside, and of threads that were started meanwhile.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lakefolio.format.digest import sha256_of_file

if TYPE_CHECKING:
    from lakefolio.model.entries import Entry

__all__ = [
    "FILE",
    "ReadTrace",
    "changed",
    "content_of",
    "digest_of_file",
    "looked_at",
    "read_entry",
    "read_file",
    "read_known",
    "read_version",
    "status_of",
    "traced",
    "unwatched",
    "watching",
]

Place = tuple[str, str]
Status = tuple[int, int, int]


class ReadTrace:
    """The reads of one block of code. Safe to share between threads.

    Attributes:
        place: The lake whose items can be looked up again: its id and its address.
        found: ``folio:item`` -> what identifies its content, None where there was no such item; ``folio@name`` -> the
            version that a snapshot's name or a time stood for.
        files: Local files that were read -> their :func:`status_of` when they were opened.
        recent: Those of them that had been written moments before -> their digest then: a second write in the same
            tick of the file system's clock leaves the same status.
        unknown: Why the reads can't be compared later; None if they can.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.found: dict[str, str | None] = {}
        self.files: dict[str, Status | None] = {}
        self.recent: dict[str, str | None] = {}
        self.unknown: str | None = None
        self._written: set[str] = set()
        self._before = frozenset(threading.enumerate())

    def saw(self, place: Place, name: str, content: str | None) -> None:
        """Take note of one item."""
        if place != self.place:
            self.unknown = "it reads another lake"
        elif self.found.setdefault(name, content) != content:
            self.unknown = f"{name!r} changed while it was read"

    def opened(self, path: str, *, is_written: bool) -> None:
        """Take note of a local file, unless the block wrote it itself."""
        if is_written:
            self._written.add(path)
            if path in self.files:
                self.unknown = changed(path)
        elif path not in self._written and path not in self.files and os.path.isfile(path):
            status = self.files[path] = status_of(path)
            if status is not None and time.time_ns() - status[2] < _MOMENT:
                self.recent[path] = digest_of_file(path)

    def began_before(self, thread: threading.Thread) -> bool:
        """Say whether a thread ran before the block did, so that it works for others."""
        return thread in self._before


_MOMENT: Final = 2_000_000_000
"""Nanoseconds within which two writes of a file may leave the same time, on the coarsest file systems."""
FILE: Final = "file://"
"""What the name of a local file begins with among the things that an answer depends on."""
_TRACES: ContextVar[tuple[ReadTrace, ...]] = ContextVar("lakefolio_read_traces", default=())
_UNWATCHED: Final = ReadTrace(("", ""))
_open: Final[dict[int, ReadTrace]] = {}
"""The traces of all threads; each change and each copy of it is one operation, which the interpreter makes atomic."""


@contextmanager
def traced(trace: ReadTrace | None) -> Iterator[None]:
    """Let a trace see the reads in the block; blocks of one trace may follow each other. None sees nothing."""
    if trace is None:
        yield
        return
    token = _TRACES.set((*_TRACES.get(), trace))
    _open[id(trace)] = trace
    try:
        yield
    finally:
        _open.pop(id(trace), None)
        _TRACES.reset(token)


@contextmanager
def unwatched() -> Iterator[None]:
    """Let no trace see what the library reads for itself in the block."""
    token = _TRACES.set((_UNWATCHED,))
    try:
        yield
    finally:
        _TRACES.reset(token)


def watching() -> tuple[ReadTrace, ...]:
    """Return the traces that see what this thread reads now."""
    if not _open:
        return ()
    traces = _TRACES.get()
    if traces:
        return () if traces[-1] is _UNWATCHED else traces
    thread = threading.current_thread()
    return tuple(one for one in tuple(_open.values()) if not one.began_before(thread))


def content_of(entry: Entry) -> str | None:
    """Return the identity of an entry's content; None for a reference, whose content may change unseen."""
    return None if entry.digest is None or entry.storage == "reference" else f"{entry.kind} {entry.digest}"


def read_entry(place: Place, folio: str, item: str, entry: Entry | None) -> None:
    """Take note of the newest entry of an item that code looked up; None if there is none."""
    for trace in watching():
        content = None if entry is None else content_of(entry)
        if entry is not None and content is None:
            trace.unknown = f"'{folio}:{item}' lies outside of the lake and may change unseen"
        else:
            trace.saw(place, f"{folio}:{item}", content)


def read_file(path: str, *, is_written: bool) -> None:
    """Take note of a local file that code opens, to read it only or not."""
    for trace in watching():
        trace.opened(path, is_written=is_written)


def status_of(path: str) -> Status | None:
    """Return what is another once a file was changed or replaced; None if there is no such file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None


def changed(path: str) -> str:
    """Return how it is said that a file is another than was read."""
    return f"file {path!r} changed while it was read"


def digest_of_file(path: str) -> str | None:
    """Return the digest of a file's bytes, None if it can't be read."""
    with suppress(OSError):
        return sha256_of_file(Path(path))
    return None


def read_version(place: Place, folio: str | None, at: str, version: int) -> None:
    """Take note of the version that a snapshot's name or a time stood for: a snapshot may be taken anew."""
    for trace in watching():
        trace.saw(place, f"{folio or ''}@{at}", str(version))


def read_known(place: Place, found: Mapping[str, str | None]) -> None:
    """Record the reads of an earlier call whose answer is used again."""
    for trace in watching():
        for name, content in found.items():
            if name.startswith(FILE):
                trace.opened(name.removeprefix(FILE), is_written=False)
            else:
                trace.saw(place, name, content)


def looked_at(what: str) -> None:
    """Take note that code looked at something that can't be compared later."""
    for trace in watching():
        trace.unknown = f"it reads {what}, which is not compared"

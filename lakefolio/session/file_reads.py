"""Local files that code reads while a read trace is open, told by the interpreter (an audit hook) as it opens them.

Listings of folders, other programs, connections and databases, which the interpreter tells too, can't be compared
later; of listings and programs only those count that code outside of installed packages asks for.

What libraries open without the interpreter (Arrow, Polars, DuckDB and HDF5 do) is not seen. Left out are files of
Python and its packages, what is no regular file, what lakefolio itself reads, and what the same code wrote before.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Final

from lakefolio.session.read_trace import (
    FILE,
    ReadTrace,
    changed,
    digest_of_file,
    looked_at,
    read_file,
    status_of,
    watching,
)

__all__ = ["digests", "watch_files"]

_OWN: Final = str(Path(__file__).parents[1]) + os.sep
_ENTRANCE: Final = os.path.join(_OWN, "recording", "decorator.py")
_PYTHON: Final = tuple(
    {os.path.realpath(path) + os.sep for path in (sys.prefix, sys.base_prefix)} | {"/proc/", "/sys/", "/dev/"}
)


@cache
def watch_files() -> None:
    """Begin to tell traces of the files that are opened; for good, as such a hook can't be taken away."""
    sys.addaudithook(_on_event)


def _on_event(event: str, values: tuple[object, ...]) -> None:
    if event in _TOLD and watching():
        with suppress(Exception):  # what goes wrong here must not reach who opens a file
            if event == "open":
                _opened(*values)
            elif not _is_own() and (event not in _BY_USERS or _is_of_user()):
                looked_at(_TOLD[event])


_TOLD: Final = {
    "open": "",
    "os.listdir": "the names in a folder",
    "os.scandir": "the names in a folder",
    "subprocess.Popen": "what another program says",
    "os.system": "what another program says",
    "os.posix_spawn": "what another program says",
    "socket.connect": "from a connection",
    "socket.getaddrinfo": "from a connection",
    "sqlite3.connect": "a database",
}
"""Events of the interpreter -> what code reads by them."""
_BY_USERS: Final = frozenset({"os.listdir", "os.scandir", "subprocess.Popen", "os.system", "os.posix_spawn"})


def _is_of_user() -> bool:
    """Say whether the nearest caller that is no module of Python itself lies in no installed package."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        if "site-packages" in name or "dist-packages" in name:
            return False
        if not name.startswith((*_PYTHON, "<frozen", _OWN)):
            return True
        frame = frame.f_back
    return False


def _opened(path: object, mode: object, flags: object) -> None:
    if not isinstance(path, str | bytes | os.PathLike) or not isinstance(flags, int) or _is_own():
        return
    place = os.path.abspath(os.fsdecode(path))
    if not place.startswith(_PYTHON) and not os.path.realpath(place).startswith(_PYTHON):
        read_file(place, is_written=flags & os.O_ACCMODE != os.O_RDONLY)


def _is_own() -> bool:
    """Say whether the nearest code of this library, or of imports, among the callers is not the decorator."""
    frame: FrameType | None = sys._getframe(3)
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(_OWN):
            return name != _ENTRANCE
        if name.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def digests(trace: ReadTrace) -> dict[str, str]:
    """Return ``file://path`` -> digest of each file that a trace saw read.

    One that is another by now makes what was read unknown.
    """
    found: dict[str, str] = {}
    for path, before in trace.files.items():
        digest = digest_of_file(path)
        if digest is None or status_of(path) != before or trace.recent.get(path, digest) != digest:
            trace.unknown = changed(path)
        else:
            found[FILE + path] = digest
    return found

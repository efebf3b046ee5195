"""Local files that code reads while a read trace is open, told by the interpreter (an audit hook) as it opens them.

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
from typing import Any, Final

from lakefolio.session.read_trace import (
    FILE,
    ReadTrace,
    changed,
    digest_of_file,
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
    sys.addaudithook(_told)


def _told(event: str, values: tuple[Any, ...]) -> None:
    if event == "open" and watching():
        with suppress(Exception):  # what goes wrong here must not reach who opens a file
            _opened(*values)


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

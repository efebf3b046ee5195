"""Local files that stay readable by a path after they are removed: held open, and named by their descriptor.

Linux only: elsewhere the path of a descriptor is not the file, and files are read where they lie. Files beyond a
quarter of the process's limit of open files are read where they lie, too.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Final

__all__ = ["DESCRIPTORS", "HeldFile", "most_held"]

DESCRIPTORS: Final = "/proc/self/fd" if sys.platform == "linux" and os.path.isdir("/proc/self/fd") else None
"""The folder with the open files of this process; None if there is none."""


class HeldFile:
    """A file that is held open for as long as this lives.

    Attributes:
        path: Where it can be read, by this process and its children.
        status: What ``os.fstat`` says of it.
    """

    def __init__(self, file: Path) -> None:
        """Open a file.

        Raises:
            OSError: It isn't there, is a link, or can't be opened.
        """
        self._descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        self.path = f"{DESCRIPTORS}/{self._descriptor}"
        self.status = os.fstat(self._descriptor)

    def __del__(self) -> None:
        """Close the file."""
        if hasattr(self, "_descriptor"):
            with contextlib.suppress(OSError):
                os.close(self._descriptor)


def most_held() -> int:
    """Return how many files may be held at once; the process keeps enough descriptors for its own files."""
    if DESCRIPTORS is None:
        return 0
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 20 if soft == resource.RLIM_INFINITY else soft // 4

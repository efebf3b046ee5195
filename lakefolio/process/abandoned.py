"""Temporary folders of processes that were killed: each living process holds a lock in its own, and others are swept.

The lock, and no process id, says who lives: an id may be used again, or belong to another container that shares the
folder for temporary files. The system drops the lock however the process ends; a forked child holds it as well.
"""

from __future__ import annotations

import os
import shutil
import stat
import time
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

try:
    import fcntl
except ImportError:  # Windows, where nothing is swept
    fcntl = None  # type: ignore[assignment]

__all__ = ["hold", "sweep"]

_OWNER: Final = ".owner"
_OLD_S: Final = 3600.0
"""A folder this young may be on its way to its lock."""
_MOST_LOOKED_AT: Final = 10_000
_MOST_SWEPT: Final = 16
"""Folders swept by one call, since somebody waits for it; the next process goes on."""


def hold(folder: Path) -> None:
    """Mark a folder as that of this process, for as long as it or a forked child lives."""
    if fcntl is not None:
        with suppress(OSError):  # a file system without locks: the folder is never swept
            owner = os.open(folder / _OWNER, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)


def sweep(place: Path, prefix: str) -> int:
    """Remove the folders of processes that are gone, and return how many.

    Only folders that :func:`hold` marked, that this user owns, and that nobody has used for an hour.

    Args:
        place: Where they lie.
        prefix: What their names begin with.
    """
    if fcntl is None:
        return 0
    swept = 0
    with suppress(OSError), os.scandir(place) as found:
        for one in islice(found, _MOST_LOOKED_AT):
            if swept < _MOST_SWEPT and one.name.startswith(prefix) and one.is_dir(follow_symlinks=False):
                swept += _swept(Path(one.path))
    return swept


def _swept(folder: Path) -> bool:
    with suppress(OSError):
        facts = folder.lstat()
        if facts.st_uid != os.getuid() or time.time() - facts.st_mtime < _OLD_S:
            return False
        owner = os.open(folder / _OWNER, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            if not stat.S_ISREG(os.fstat(owner).st_mode):
                return False
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while its process lives
            shutil.rmtree(folder, ignore_errors=True)
            return True
        finally:
            os.close(owner)
    return False

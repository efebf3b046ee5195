"""Write local files and folders for users: complete or not at all, and never over an existing file unless asked."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from lakefolio.errors import AlreadyExistsError, InvalidInputError, StorageError
from lakefolio.process.places import LAKE_MARKER

__all__ = ["is_stream", "outside_lakes", "publish"]

_KINDS: Final = (
    (stat.S_ISDIR, "folder"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISBLK, "block device"),
    (stat.S_ISLNK, "link to itself"),
)

_ADDRESS = re.compile("[A-Za-z][A-Za-z0-9+.-]+:/")
"""The beginning of a URI that was taken for a path."""

_ELSEWHERE: Final = "choose a place that you may write to"
_WHAT_HELPS: Final = {
    errno.ENOSPC: "free some space there, or choose another place",
    errno.EDQUOT: "free some space there, or choose another place",
    errno.EFBIG: "raise the limit (ulimit -f), or choose a place without one",
    errno.EROFS: _ELSEWHERE,
    errno.EACCES: _ELSEWHERE,
    errno.EPERM: _ELSEWHERE,
}


def publish(target: Path, write: Callable[[Path], object], *, force: bool = False, over_empty: bool = False) -> None:
    """Make a file or a folder appear at ``target`` once it is complete.

    A character device or a FIFO, such as ``/dev/null`` or ``/dev/stdout``, is written into and never replaced. Of a
    link the file that it names is meant.

    Args:
        target: Where. Its folder must exist.
        write: Makes it at the path it gets, which lies beside the target; that is moved into place when it returns.
        force: Whether to replace a file. A folder, a socket and a block device are never replaced.
        over_empty: Whether a folder that is written may take the place of an empty one.

    Raises:
        AlreadyExistsError: Something is there already.
        InvalidInputError: The folder that it shall lie in does not exist, or belongs to a lake.
        StorageError: It can't be written.
    """
    if "\0" in str(target):
        raise InvalidInputError(f"{str(target)!r} is no path: it holds a NUL", kind="bad-path")
    try:
        if is_stream(target):
            _pour(target, write)
        else:
            outside_lakes(target)
            _publish(Path(os.path.realpath(target)) if target.is_symlink() else target, write, force, over_empty)
    except OSError as exc:
        if exc.errno is None:  # an error of the library
            raise
        raise StorageError(
            f"{str(target)!r} can't be written: {exc.strerror}",
            kind="local-write-failed",
            hint=_WHAT_HELPS.get(exc.errno),
            path=str(target),
        ) from exc


def outside_lakes(target: str | os.PathLike[str]) -> None:
    """Refuse a path that lies in the folder of a lake, through links too: what lies there is the lake's.

    Raises:
        InvalidInputError: kind ``inside-lake``.
    """
    try:
        real = Path(os.path.realpath(target))
    except ValueError:  # no path at all, as will be said where it is used
        return
    for folder in (real, *real.parents):
        if os.path.isfile(folder / LAKE_MARKER):
            raise InvalidInputError(
                f"{str(target)!r} lies in the folder of lake {str(folder)!r}, where only the lake writes",
                kind="inside-lake",
                hint="choose a path outside of it",
                path=str(target),
            )


def is_stream(target: Path) -> bool:
    """Say whether a path is a character device or a FIFO, which is written into."""
    try:
        mode = target.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)


def _pour(target: Path, write: Callable[[Path], object]) -> None:
    """Write into a device or FIFO: the content was made elsewhere and is complete."""
    with tempfile.TemporaryDirectory(prefix="lakefolio-") as folder:
        made = Path(folder) / "content"
        write(made)
        if made.is_dir():
            raise InvalidInputError(
                f"{str(target)!r} can't hold a folder",
                kind="wrong-kind",
                hint="give the path of a folder",
                path=str(target),
            )
        with made.open("rb") as source, target.open("wb") as sink:
            shutil.copyfileobj(source, sink)


def _publish(target: Path, write: Callable[[Path], object], force: bool, over_empty: bool) -> None:
    empty = over_empty and target.is_dir() and not any(target.iterdir())
    if not empty:
        _check_free(target, force)
    if not target.parent.is_dir():
        raise InvalidInputError(
            f"folder {str(target.parent)!r} does not exist",
            kind="folder-missing",
            hint="files are written to local folders" if _ADDRESS.match(str(target)) else "make it first",
            path=str(target.parent),
        )
    # of its own: two threads may write to one place; and a name that is as long as can be leaves no room for more
    short = target.name.encode(errors="ignore")[:200].decode(errors="ignore")
    temporary = target.with_name(f".{short}.{secrets.token_hex(6)}.part")
    try:
        write(temporary)
        if temporary.is_dir():
            if empty:
                target.rmdir()
            os.rename(temporary, target)  # fails if a folder with content has come to lie there
        elif force:
            os.replace(temporary, target)
        else:
            _place(temporary, target)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def _place(temporary: Path, target: Path) -> None:
    try:
        os.link(temporary, target)
    except FileExistsError:
        _check_free(target, force=False)
    except OSError:  # a file system without hard links
        _check_free(target, force=False)
        os.replace(temporary, target)


def _check_free(target: Path, force: bool) -> None:
    if not os.path.lexists(target) or (force and (target.is_file() or target.is_symlink())):
        return
    mode = target.lstat().st_mode
    what = next((name for test, name in _KINDS if test(mode)), "file")
    raise AlreadyExistsError(
        f"{what} {str(target)!r} exists",
        kind="local-file-exists",
        hint="choose another path, or replace it (`overwrite`, --force)" if what == "file" else "choose another path",
        path=str(target),
    )

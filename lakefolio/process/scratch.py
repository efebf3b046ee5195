"""Temporary folders, and errors that name the local file or the full folder."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

from lakefolio.errors import InvalidInputError, LakefolioError, StorageError
from lakefolio.process.exit import at_exit
from lakefolio.process.places import working_directory

__all__ = ["bounded_options", "named_failures", "named_if_full", "private_folder", "scratch_folder", "spill_options"]

_PREFIX: Final = "lakefolio-process-"
_FULL: Final = {errno.ENOSPC, errno.EDQUOT}
_CLOSED: Final = {errno.EROFS, errno.EACCES, errno.EPERM, errno.EEXIST, errno.ENOTDIR, errno.EISDIR}
_FAILING: Final = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT}
_HINT: Final = "free some space there, or set {} to a folder with more"


def scratch_folder(prefix: str = "lakefolio-") -> Path:
    """Return a new temporary folder, which the caller removes.

    Raises:
        StorageError: kind ``no-scratch``: none can be made; names the folder.
    """
    try:
        return Path(tempfile.mkdtemp(prefix=prefix))
    except OSError as exc:  # without any usable folder tempfile raises FileNotFoundError, whatever the reason
        raise _no_scratch(exc.filename or tempfile.tempdir or "the folders for temporary files", exc) from exc


def _no_scratch(place: object, error: OSError) -> StorageError:
    return StorageError(
        f"temporary files can't be written to {str(place)!r}: {error.strerror}",
        kind="no-scratch",
        hint="free some space, or set TMPDIR to another folder",
        path=str(place),
    )


@contextmanager
def named_failures(scratch: Path | None) -> Iterator[None]:
    """Turn the errors of local files, while the block adds content, into errors that name the file or folder.

    Args:
        scratch: The temporary folder that the block writes to, if any.

    Raises:
        StorageError: kind ``no-scratch``: temporary files have no space left.
        InvalidInputError: kind ``unreadable-file``: a file of the user's can't be read.
    """
    try:
        yield
    except LakefolioError:
        raise
    except OSError as exc:
        if exc.errno in _FULL or exc.errno == errno.EROFS:
            raise _no_scratch(scratch.parent if scratch is not None else tempfile.gettempdir(), exc) from exc
        if exc.errno is None:
            raise
        path = None if exc.filename is None else str(exc.filename)
        raise InvalidInputError(
            f"{'a file of it' if path is None else repr(path)} can't be read: {exc.strerror}",
            kind="unreadable-file",
            hint="look at the disk or server that it lies on" if exc.errno in _FAILING else None,
            path=path,
        ) from exc


def private_folder() -> Path:
    """Return a temporary folder of this process, the same each time; it is removed when the process ends.

    Those that killed processes left behind are removed with the first call.
    """
    return _private_folder(os.getpid())


@cache
def _private_folder(pid: int) -> Path:
    from lakefolio.process.abandoned import hold, sweep

    root = scratch_folder(_PREFIX)
    hold(root)
    sweep(root.parent, _PREFIX)

    def remove() -> None:
        if os.getpid() == pid:  # not a forked child's to remove
            shutil.rmtree(root, ignore_errors=True)

    at_exit(remove)
    return root


def spill_options() -> dict[str, Any]:
    """Return options for DuckDB, which asks for the working directory in order to spill, where that was deleted."""
    return {} if working_directory() is not None else {"temp_directory": str(private_folder())}


def bounded_options(memory_bytes: int) -> dict[str, Any]:
    """Return options that bound DuckDB's memory and let it spill to a folder of this process.

    If no temporary files can be made, DuckDB spills nothing.
    """
    bound = {"memory_limit": f"{memory_bytes >> 20}MiB", "enable_external_file_cache": "false"}
    try:
        return bound | {"temp_directory": str(private_folder())}
    except StorageError:
        return bound | spill_options()


@contextmanager
def named_if_full(folder: str | Path | None = None, variable: str = "TMPDIR") -> Iterator[None]:
    """Let the error of a write say which folder is full, if the block writes to one.

    Args:
        folder: The folder; the one for temporary files if None.
        variable: What chooses it.

    Raises:
        StorageError: kind ``no-space``, or ``permission-denied`` where nothing can be written.
    """
    try:
        yield
    except LakefolioError:
        raise
    except OSError as exc:
        place = str(tempfile.gettempdir() if folder is None else folder)
        if exc.errno == errno.EFBIG:
            raise StorageError(
                f"{place!r}, the folder for temporary files, can't hold so large a file",
                kind="no-space",
                hint=f"raise the limit (ulimit -f), or set {variable} to a folder without one",
                path=place,
            ) from exc
        full = exc.errno in _FULL or "No space left" in str(exc)  # Arrow notes no number
        if not full and exc.errno not in _CLOSED:
            raise
        raise StorageError(
            f"no space is left in {place!r}, the folder for temporary files"
            if full
            else f"{place!r} can't be written to",
            kind="no-space" if full else "permission-denied",
            hint=_HINT.format(variable) if full else f"set {variable} to a folder that can be written to",
            path=place,
        ) from exc

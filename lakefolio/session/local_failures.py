"""Failures of local files while something is added: which file or folder it was, and what to do."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from lakefolio.errors import InvalidInputError, LakefolioError, StorageError

__all__ = ["named_failures"]

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@contextmanager
def named_failures(scratch: Path | None) -> Iterator[None]:
    """Raise what the operating system says about local files as errors of this library.

    Raises:
        StorageError: kind ``no-scratch``: temporary files have no space left.
        InvalidInputError: kind ``unreadable-file``: a file of the user's can't be read.
    """
    try:
        yield
    except LakefolioError:
        raise
    except OSError as exc:
        if exc.errno in _FULL:
            folder = str(scratch.parent if scratch is not None else tempfile.gettempdir())
            raise StorageError(
                f"temporary files can't be written to {folder!r}: {exc.strerror}",
                kind="no-scratch",
                hint="free some space, or set TMPDIR to another folder",
                path=folder,
            ) from exc
        if exc.errno is None or exc.filename is None:
            raise
        raise InvalidInputError(
            f"{str(exc.filename)!r} can't be read: {exc.strerror}", kind="unreadable-file", path=str(exc.filename)
        ) from exc

"""Local files that commands write: whole or not at all, and never over something else unasked."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lakefolio.errors import AlreadyExistsError, InvalidInputError, StorageError

__all__ = ["publish"]


def publish(target: Path, write: Callable[[Path], Any], *, force: bool = False) -> None:
    """Make a file or a folder appear at ``target`` once it is complete.

    Args:
        target: Where. Its folder must exist.
        write: Makes it at the path it gets, which lies beside the target; that is moved into place when it returns.
        force: Whether to replace a file. A folder is never replaced.

    Raises:
        AlreadyExistsError: Something is there already.
        InvalidInputError: The folder that it shall lie in does not exist.
        StorageError: It can't be written.
    """
    _check_free(target, force)
    if not target.parent.is_dir():
        raise InvalidInputError(
            f"folder {str(target.parent)!r} does not exist",
            kind="folder-missing",
            hint="make it first",
            path=str(target.parent),
        )
    temporary = target.with_name(f".{target.name[:200]}.{os.getpid()}.part")
    try:
        write(temporary)
        if temporary.is_dir():
            os.rename(temporary, target)  # fails if a folder with content has come to lie there
        elif force:
            os.replace(temporary, target)
        else:
            _place(temporary, target)
    except OSError as exc:
        if exc.errno is None:  # an error of the library
            raise
        raise StorageError(
            f"{str(target)!r} can't be written: {exc.strerror}", kind="local-write-failed", path=str(target)
        ) from exc
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
    if not os.path.lexists(target) or (force and not target.is_dir()):
        return
    folder = target.is_dir()
    raise AlreadyExistsError(
        f"{'folder' if folder else 'file'} {str(target)!r} exists",
        kind="local-file-exists",
        hint="choose another path, or remove it" if folder else "choose another path, or give --force",
        path=str(target),
    )

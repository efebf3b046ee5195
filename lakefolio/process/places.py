"""Folders of this process and its user: the working directory, and the folders for settings and caches."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from lakefolio.errors import InvalidInputError

__all__ = ["LAKE_MARKER", "absolute_path", "file_name_of", "printable", "user_folder", "working_directory"]


LAKE_MARKER: Final = "lakefolio.json"
"""The file that makes a folder a lake."""


def working_directory() -> str | None:
    """Return the working directory; None if it was deleted."""
    try:
        return os.getcwd()
    except OSError:
        return None


def absolute_path(path: str | os.PathLike[str]) -> str:
    """Return a path from the root on, ``~`` replaced, without ``..``; links are not followed.

    Raises:
        InvalidInputError: kind ``no-working-directory``: it is relative, and the working directory was deleted.
    """
    text = os.path.expanduser(os.fspath(path))
    if not os.path.isabs(text) and working_directory() is None:
        raise InvalidInputError(
            f"path {text!r} is relative, and the working directory was deleted",
            kind="no-working-directory",
            hint="change to a folder that exists, or write the path from / on",
            path=text,
        )
    return os.path.abspath(text)


def user_folder(variable: str, below_home: str) -> Path | None:
    """Return a base folder of this user as the XDG specification places it; None for a user without a home.

    Args:
        variable: The variable that names the folder, such as ``XDG_CACHE_HOME``; a relative path in it is ignored.
        below_home: Where it lies otherwise, below the home folder.

    Source: XDG Base Directory Specification 0.8.
    """
    named = os.environ.get(variable, "")
    if os.path.isabs(named):
        return Path(named)
    try:
        home = Path.home()
    except (RuntimeError, KeyError):  # neither HOME nor an account
        return None
    return home / below_home if home.is_absolute() else None


def file_name_of(name: str) -> str:
    """Return a stored name as the name of a file, which leads to no other folder."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    plain = "".join(one if one.isalnum() or one in "._- ()" else "_" for one in last)
    return plain.strip(". ")[-120:] or "content"


def printable(path: str) -> str:
    r"""Return a path, name or command as text that UTF-8 can hold: bytes that are no UTF-8 are shown as ``\xff``."""
    try:
        return os.fsencode(path).decode(errors="backslashreplace")
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        return path.encode(errors="backslashreplace").decode()

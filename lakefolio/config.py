"""Where the default lake lies and who writes to it: environment, then configuration files, then a plain default.

Reads two kinds of small files and touches nothing else: ``lakefolio.toml`` (``lake = "…"``, ``author = "…"``,
``fsync = true``) and the table ``[tool.lakefolio]`` of ``pyproject.toml``, the nearest of them upwards from the
current folder.
"""

from __future__ import annotations

import getpass
import os
import re
import socket
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lakefolio.errors import InvalidInputError, nearest

__all__ = ["default_author", "default_fsync", "default_lake_uri"]

_FILE: Final = "lakefolio.toml"
_PROJECT: Final = "pyproject.toml"
_KEYS: Final = ("author", "fsync", "lake")
_LINE: Final = re.compile(r"\(at line (\d+), column \d+\)")


@dataclass(frozen=True, slots=True)
class _Settings:
    path: Path
    values: dict[str, Any]


def default_lake_uri(start: Path | None = None) -> tuple[str, str]:
    """Return the address of the default lake and where it was said.

    LAKEFOLIO_LAKE wins over a file, a file nearer to ``start`` over one further up, ``lakefolio.toml`` over
    the ``pyproject.toml`` beside it; with none it is ``./lake``. A relative path in a file is relative to that file,
    in the environment to the current folder.

    Args:
        start: Where to start looking; the current folder if None.

    Raises:
        InvalidInputError: kind ``bad-config``, naming file, line if known, and key.
    """
    value = os.environ.get("LAKEFOLIO_LAKE", "").strip()
    if value:
        return value, "LAKEFOLIO_LAKE"
    found = _settings("lake", start)
    if found is None:
        return "./lake", "default"
    text = str(found.values["lake"])
    if "://" in text or text.startswith("~") or os.path.isabs(text):
        return text, str(found.path)
    return str(found.path.parent / text), str(found.path)


def default_author(start: Path | None = None) -> str:
    """Return who writes: LAKEFOLIO_AUTHOR, else ``author`` of a configuration file, else user@host.

    Raises:
        InvalidInputError: kind ``bad-config``, as for :func:`default_lake_uri`.
    """
    value = os.environ.get("LAKEFOLIO_AUTHOR", "").strip()
    if value:
        return value
    found = _settings("author", start)
    if found is not None:
        return str(found.values["author"])
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in some containers
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def default_fsync(start: Path | None = None) -> bool:
    """Say whether writes to local folders wait for the disk: LAKEFOLIO_FSYNC, else ``fsync`` of a configuration file.

    Raises:
        InvalidInputError: kind ``bad-config``, as for :func:`default_lake_uri`.
    """
    value = os.environ.get("LAKEFOLIO_FSYNC", "").strip().lower()
    if value:
        return value not in ("0", "false", "no", "off")
    found = _settings("fsync", start)
    return found is not None and bool(found.values["fsync"])


def _settings(key: str, start: Path | None) -> _Settings | None:
    """Return the nearest settings that say something about ``key``."""
    folder = (start or Path.cwd()).absolute()
    for place in (folder, *folder.parents):
        for name in (_FILE, _PROJECT):
            found = _read(place / name)
            if found is not None and key in found.values:
                return found
    return None


def _read(path: Path) -> _Settings | None:
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError, PermissionError, IsADirectoryError):
        return None
    except UnicodeDecodeError as exc:
        raise _bad(path, None, "is not UTF-8 text") from exc
    if path.name == _PROJECT and "lakefolio" not in text:
        return None  # other people's projects are none of our business, even damaged ones
    try:
        table: Any = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        at = _LINE.search(str(exc))
        reason = _LINE.sub("", str(exc)).strip()
        raise _bad(path, int(at.group(1)) if at else None, f"is not valid TOML: {reason}") from exc
    if path.name == _PROJECT:
        table = table.get("tool", {}).get("lakefolio")
        if table is None:
            return None
        if not isinstance(table, dict):
            raise _bad(path, _line_of("lakefolio", text), "needs a table [tool.lakefolio]", key="tool.lakefolio")
    for key, value in table.items():
        line = _line_of(key, text)
        if key not in _KEYS:
            raise _bad(path, line, f"has an unknown key {key!r}", key=key, hint=nearest(key, _KEYS))
        if key == "fsync":
            if not isinstance(value, bool):
                raise _bad(path, line, f"needs true or false for {key!r}, not {value!r}", key=key)
        elif not isinstance(value, str) or not value.strip():
            raise _bad(path, line, f"needs text for {key!r}, not {value!r}", key=key, hint=f'write {key} = "…"')
    return _Settings(path, {key: value.strip() if isinstance(value, str) else value for key, value in table.items()})


def _line_of(key: str, text: str) -> int | None:
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line):
            return number
    return None


def _bad(
    path: Path, line: int | None, what: str, *, key: str | None = None, hint: str | None = None
) -> InvalidInputError:
    place = f"{path}, line {line}," if line else str(path)
    return InvalidInputError(f"{place} {what}", kind="bad-config", hint=hint, path=str(path), line=line, key=key)

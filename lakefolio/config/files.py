"""Reading ``lakefolio.toml`` and ``[tool.lakefolio]`` of ``pyproject.toml``: what they say, and on which line.

Touches nothing but these files: those of a folder and of the folders above it.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from lakefolio.errors import InvalidInputError
from lakefolio.process.places import working_directory

__all__ = ["ConfigFile", "bad_config", "config_files"]

_FILE: Final = "lakefolio.toml"
_PROJECT: Final = "pyproject.toml"
_LINE: Final = re.compile(r"\(at line (\d+), column \d+\)")
_TABLE: Final = re.compile(r"\s*\[\[?\s*([\w.\"' -]+?)\s*\]")
_KEY: Final = re.compile(r"\s*[\"']?([\w-]+)[\"']?\s*[=.]")
_WORD: Final = re.compile(r"\s*[\"']?([A-Za-z][\w-]*)")
_END: Final = re.compile(r"\(at end of document\)")
_KEPT: Final = 8
_MOST_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """What one file says.

    Attributes:
        path: The file.
        values: Its keys with their values, as they are written; not checked.
        lines: The lines on which the keys stand.
    """

    path: Path
    values: Mapping[str, Any] = field(repr=False)
    lines: Mapping[str, int]

    def place(self, key: str) -> str:
        """Return where a key is set, for people."""
        line = self.lines.get(key)
        return f"{self.path}, line {line}" if line else str(self.path)

    def bad(self, key: str, what: str, hint: str | None = None) -> InvalidInputError:
        """Make the error for a key that can't be accepted."""
        return bad_config(self.path, self.lines.get(key), what, key=key, hint=hint)


def config_files(start: Path | None = None) -> Iterator[ConfigFile]:
    """Find the files that say something, those that win first: the nearest folder's, ``[tool.lakefolio]`` first.

    Args:
        start: Where to start looking; the current folder if None. There are no files where that was deleted.

    Raises:
        InvalidInputError: kind ``bad-config``, naming the file and, if known, the line.
    """
    here = start or working_directory()
    if here is None:
        return
    folder = Path(os.path.abspath(here))
    for place in (folder, *folder.parents):
        for name in (_PROJECT, _FILE):
            found = _read(place / name)
            if found is not None:
                yield found


def bad_config(
    path: Path, line: int | None, what: str, *, key: str | None = None, hint: str | None = None
) -> InvalidInputError:
    """Make an error that names file, line and key."""
    place = f"{path}, line {line}," if line else str(path)
    return InvalidInputError(f"{place} {what}", kind="bad-config", hint=hint, path=str(path), line=line, key=key)


def _read(path: Path) -> ConfigFile | None:
    try:
        # a pipe of that name would be waited for for ever, a device read without an end
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            content = file.read(_MOST_BYTES + 1)
    except OSError:  # it is not there, not readable, a folder, or a link that leads nowhere
        return None
    if len(content) > _MOST_BYTES:
        if path.name == _PROJECT:
            return None
        raise bad_config(path, None, f"has more than {_MOST_BYTES:,} bytes", hint="name the lake with --lake")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise bad_config(path, content[: exc.start].count(b"\n") + 1, "is not UTF-8 text") from exc
    if path.name == _PROJECT and "lakefolio" not in text:
        return None  # other people's projects are none of our business, even damaged ones
    return _parsed(path, text)


@lru_cache(_KEPT)
def _parsed(path: Path, text: str) -> ConfigFile | None:
    """Return what a file says. Opening a lake asks for four settings: of one text, three times nothing is parsed."""
    try:
        table: Any = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        at = _LINE.search(str(exc))
        line = int(at[1]) if at else len(text.splitlines()) if _END.search(str(exc)) else None
        reason = _END.sub("", _LINE.sub("", str(exc))).strip()
        key = None if line is None else _key_at(text, line)
        said = f"is not valid TOML at key {key!r}: {reason}" if key else f"is not valid TOML: {reason}"
        raise bad_config(path, line, said, key=key, hint='write it like author = "ada"') from exc
    except (RecursionError, ValueError) as exc:  # lists in lists, a number of thousands of digits
        raise bad_config(path, None, f"can't be read as TOML: {exc}", hint='write it like author = "ada"') from exc
    head = None
    if path.name == _PROJECT:
        tools = table.get("tool")
        table = tools.get("lakefolio") if isinstance(tools, dict) else None
        head = "tool.lakefolio"
        if table is None:
            return None
        if not isinstance(table, dict):
            line = _lines(text, "tool").get("lakefolio")
            raise bad_config(path, line, "needs a table [tool.lakefolio]", key="tool.lakefolio")
    return ConfigFile(path, table, _lines(text, head))


def _key_at(text: str, line: int) -> str | None:
    """Return the word that begins a line; where none does, the last key before it, whose value it belongs to."""
    before = text.splitlines()[:line]
    if word := _WORD.match(before[-1] if before else ""):
        return word[1]
    for one in reversed(before):
        if key := _KEY.match(one):
            return key[1]
        if _TABLE.match(one):
            return None
    return None


def _lines(text: str, head: str | None) -> dict[str, int]:
    """Return the line of each key of a table (the document itself if ``head`` is None), as far as it is plain."""
    found: dict[str, int] = {}
    table = None
    for number, line in enumerate(text.splitlines(), 1):
        opened = _TABLE.match(line)
        if opened:
            table = re.sub(r"[\"' ]", "", opened[1])
            below = f"{head}." if head else ""
            if table.startswith(below) and table != head:
                found.setdefault(table[len(below) :].partition(".")[0], number)
        elif table == head and (key := _KEY.match(line)):
            found.setdefault(key[1], number)
    return found

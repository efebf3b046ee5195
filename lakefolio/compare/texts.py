"""Differences between texts line by line, and between folders file by file (no I/O but the files that are given)."""

from __future__ import annotations

import difflib
import hashlib
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from lakefolio.compare.item_diff import ContentChange, Differences

__all__ = ["compare_folders", "compare_texts", "text_of_file"]

_MOST_BYTES: Final = 8 << 20
_MOST_LINES: Final = 20_000
_FILE_BYTES: Final = 256 << 10
"""Larger files of a folder are not compared line by line, and of all together not more than ``_MOST_BYTES``."""

_LINE_END: Final = re.compile(r"\r\n|\r|\n")


def text_of_file(path: Path) -> str | None:
    """Return the text of a file of at most 8 MiB; None if it is larger, or no text in UTF-8."""
    return None if path.stat().st_size > _MOST_BYTES else _text(path.read_bytes())


def compare_texts(old: str, new: str) -> Differences:
    """Compare texts line by line, as ``diff -u`` does; of very long ones only the numbers of lines are told."""
    one, other = _lines_of(old), _lines_of(new)
    if len(one) + len(other) > _MOST_LINES:
        return Differences(
            {"lines": f"{len(one):,} → {len(other):,}", "compared": "not line by line: they are too many"}
        )
    changes = list(_lines(one, other, ""))
    counts = {f"lines_{what}": sum(one.change == what for one in changes) for what in ("added", "removed")}
    if not changes:
        return Differences({**counts, "note": "every line is equal; the ends of lines or a byte order mark differ"})
    return Differences(counts, changes)


def compare_folders(old: Path, new: Path) -> Differences:
    """Compare the files of two tar archives by name and content; changed texts line by line, up to a size."""
    before, after = _members(old), _members(new)
    changes = []
    left = _MOST_BYTES
    with tarfile.open(old) as first, tarfile.open(new) as second:
        for name in sorted({*before, *after}):
            one, other = before.get(name), after.get(name)
            if one == other:
                continue
            change = "added" if one is None else "removed" if other is None else "changed"
            texts = (one and one.shown(other), other and other.shown(one))
            changes.append(ContentChange(change, name, None, texts[0], texts[1]))
            if one is None or other is None or min(one.size, other.size) < 0 or one.content == other.content:
                continue
            if max(one.size, other.size) > _FILE_BYTES or (left := left - one.size - other.size) < 0:
                continue
            old_text, new_text = (_text(_read(archive, name)) for archive in (first, second))
            if old_text is not None and new_text is not None:
                changes += _lines(_lines_of(old_text), _lines_of(new_text), name)
    counts = {
        f"files_{what}": sum(one.change == what and one.line is None for one in changes)
        for what in ("added", "removed", "changed")
    }
    return Differences(counts, changes)


def _lines_of(text: str) -> list[str]:
    """Return the lines of a text, which end with a line feed, a carriage return, or both: with nothing else."""
    lines = _LINE_END.split(text)
    return lines if lines[-1] else lines[:-1]


def _lines(old: list[str], new: list[str], where: str) -> Iterator[ContentChange]:
    if len(old) + len(new) > _MOST_LINES:
        return
    for group in difflib.SequenceMatcher(None, old, new, autojunk=len(old) + len(new) > 2_000).get_grouped_opcodes(3):
        (_, old_start, _, new_start, _), (_, _, old_stop, _, new_stop) = group[0], group[-1]
        heading = f"@@ -{_span(old_start, old_stop)} +{_span(new_start, new_stop)} @@"
        yield ContentChange("", where, None, heading, heading, 0)
        for tag, first, last, begin, end in group:
            if tag == "equal":
                for number in range(end - begin):
                    yield ContentChange("", where, None, old[first + number], new[begin + number], begin + number + 1)
                continue
            for number in range(first, last):
                yield ContentChange("removed", where, None, old[number], None, number + 1)
            for number in range(begin, end):
                yield ContentChange("added", where, None, None, new[number], number + 1)


def _span(start: int, stop: int) -> str:
    """Return some lines as ``diff -u`` names them: their first number, and how many there are if not one."""
    if stop - start == 1:
        return str(start + 1)
    return f"{start + (stop > start)},{stop - start}"


class _File(NamedTuple):
    """A member of a folder.

    Attributes:
        size: Its bytes; -1 of a link or a folder.
        content: The digest of its bytes, or what else it is.
        mode: Its permissions.
    """

    size: int
    content: str
    mode: int

    def shown(self, other: _File | None) -> str:
        told = self.content if self.size < 0 else f"{self.size:,} bytes"
        return told if other is None or other.mode == self.mode else f"{told}, mode {self.mode:o}"


def _members(path: Path) -> dict[str, _File]:
    found = {}
    with tarfile.open(path) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            if content is not None:
                digest = hashlib.file_digest(content, "sha256").hexdigest()  # type: ignore[arg-type]  # it reads bytes
                found[member.name] = _File(member.size, digest, member.mode)
            else:
                what = f"link to {member.linkname}" if member.issym() else "folder"
                found[member.name] = _File(-1, what, member.mode)
    return found


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    content = archive.extractfile(name)
    return b"" if content is None else content.read()


def _text(data: bytes) -> str | None:
    if b"\0" in data:
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None

"""The text of files, for search (pure but for the process that reads a PDF).

Nothing in a file is trusted: of each at most ``LIMIT`` characters are kept, bytes that are no UTF-8 stand for
themselves as a mark, markup is never run, and a PDF is read by a process of its own with a limit of time and memory.
What can't be read has no text: search then finds the file by its name and its description.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from typing import Any, Final

__all__ = ["LIMIT", "is_text_like", "text_of"]

LIMIT: Final = 16_000
"""The characters of a file that are searched."""

_READ_BYTES: Final = 64 << 10
_PDF_S: Final = 10
_PDF_PAGES: Final = 20
_PDF_CODE: Final = f"""
import io, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
resource.setrlimit(resource.RLIMIT_CPU, ({_PDF_S}, {_PDF_S}))
import logging
logging.disable(logging.CRITICAL)
from pypdf import PdfReader
left = {LIMIT}
for number, page in enumerate(PdfReader(io.BytesIO(sys.stdin.buffer.read())).pages):
    if number == {_PDF_PAGES} or left <= 0:
        break
    text = page.extract_text()[:left]
    left -= len(text)
    sys.stdout.buffer.write(text.encode("utf-8", "replace") + b"\\n")
"""


def _plain(body: bytes) -> str:
    return body.decode("utf-8", "replace")


def _header(body: bytes) -> str:
    """Return the names of the columns: the first line of a CSV or TSV file."""
    line = _plain(body).lstrip("\ufeff").partition("\n")[0]
    try:
        return " ".join(next(csv.reader([line], delimiter="\t" if "\t" in line else ";" if ";" in line else ","), []))
    except csv.Error:
        return line


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style") and self._hidden > 0

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)


def _html(body: bytes) -> str:
    parser = _Text()
    parser.feed(_plain(body))
    return " ".join(" ".join(parser.parts).split())


def _notebook(body: bytes) -> str:
    """Return the sources of the cells of a notebook, without what they printed."""
    cells = json.loads(body)["cells"]
    sources = (cell["source"] for cell in cells if cell.get("cell_type") in ("markdown", "code"))
    return "\n".join(one if isinstance(one, str) else "".join(one) for one in sources)


def _pdf(body: bytes) -> str:
    """Return the text of the first pages; needs ``pypdf``, without it there is none."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", _PDF_CODE], input=body, capture_output=True, timeout=2 * _PDF_S, check=True, env={}
    )
    return _plain(done.stdout)


_READERS: Final[Mapping[str, tuple[Callable[[bytes], str], int]]] = {
    **dict.fromkeys((".txt", ".md", ".rst", ".log", ".tex", ".json", ".yaml", ".yml", ".toml"), (_plain, _READ_BYTES)),
    **dict.fromkeys((".py", ".r", ".sql", ".jl", ".sh", ".xml"), (_plain, _READ_BYTES)),
    **dict.fromkeys((".csv", ".tsv"), (_header, _READ_BYTES)),
    **dict.fromkeys((".html", ".htm"), (_html, 1 << 20)),
    ".ipynb": (_notebook, 4 << 20),
    ".pdf": (_pdf, 8 << 20),
}
"""Suffix of a file's name -> what reads its text, and how many of its bytes that needs at most."""

_TYPES: Final = {"application/pdf": ".pdf", "text/html": ".html", "text/csv": ".csv", "text/markdown": ".md"}


def _suffix(name: str, media_type: str | None) -> str | None:
    stem, _, ending = name.lower().rpartition("/")[2].rpartition(".")
    suffix = f".{ending}" if stem else ""
    if suffix in _READERS:
        return suffix
    return _TYPES.get(media_type or "", ".txt" if (media_type or "").startswith("text/") else None)


def is_text_like(name: str, media_type: str | None = None) -> bool:
    """Say whether a file of this name or IANA media type has text to search."""
    return _suffix(name, media_type) is not None


def text_of(body: bytes | memoryview, name: str, media_type: str | None = None) -> str | None:
    """Return the text of a file; None if it has none or can't be read.

    Args:
        body: Its content.
        name: Its name; the suffix says how it is read.
        media_type: Its IANA media type, which decides where the suffix says nothing.
    """
    suffix = _suffix(name, media_type)
    if suffix is None:
        return None
    read, limit = _READERS[suffix]
    if len(body) > limit and read not in (_plain, _header):
        return None
    start: Any = bytes(body[:limit])
    if b"\0" in start and read is not _pdf:
        return None
    try:
        text = read(start)
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError, RecursionError, MemoryError):
        return None
    except (OSError, subprocess.SubprocessError):
        return None
    return " ".join(text[: 4 * LIMIT].split())[:LIMIT] or None

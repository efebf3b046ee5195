"""The files of the index of a lake, and how a few documents of it are read (FORMAT.md, "Search index"; pure).

Two files are made together. ``texts`` holds the documents in small compressed blocks (``text_blocks``). ``words`` is
groups of a few words with their postings (``word_group``), then a column of each facet of all documents and of the
vocabulary (``facets``), and at its end the *directory*, which says where each part of both lies, and the digest of
each. So a query reads the end of ``words`` and a group for each of its words; the texts of what was found are a block
for each hit.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from lakefolio.delta.seal import Seals
from lakefolio.search.document import ASIDE
from lakefolio.search.facets import Column

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = [
    "COLUMNS",
    "LAYOUT",
    "NAME",
    "PREFIX",
    "Directory",
    "IndexName",
    "OtherLayoutError",
    "Spans",
    "column_of",
    "digest_of",
    "directory_bytes",
    "directory_of",
]

PREFIX: Final = "index/search"
NAME: Final = "="
"""What stands before the whole name of a document, which is a row of ``words`` too. No token has it."""

LAYOUT: Final = 7
"""What the files are, and also what is made of a journal: another number once the same lake has another index."""

_DIGEST_BYTES: Final = 8
_BLOCK_LIMIT: Final = 64 << 20
_BLOCK_DOCUMENTS: Final = 128
_DOCUMENTS: Final = 1 << 23
_COLUMN_BYTES: Final = 1024
"""A column takes less of a document, on average: its tags, or the names of its folio and author."""

COLUMNS: Final = ("tag", "folio", "author", "kind", "type", "vocabulary")
"""The columns: those that are small as a rule lie beside the vocabulary, which is next to the directory."""

_KEY: Final = re.compile(rf"{PREFIX}/(\d{{20}})-([0-9a-f]{{32}})\.(words-(\d{{1,12}})-([0-9a-f]{{64}})|[a-z]+)")


class OtherLayoutError(ValueError):
    """An index is of another layout: another version of the library made it."""


class IndexName(NamedTuple):
    """What the name of the file ``words`` says, which stands for the whole index.

    Attributes:
        version: The version of the lake.
        id: What its files have in common.
        footer_bytes: The length of the directory.
        seal: The seal of the directory.
    """

    version: int
    id: str
    footer_bytes: int
    seal: str

    @classmethod
    def of(cls, version: int, id: str, footer: bytes, lake_id: str) -> IndexName:
        """Return the name of an index with a footer."""
        return cls(version, id, len(footer), _seal(lake_id, version, id, footer))

    @classmethod
    def parse(cls, key: str) -> IndexName | None:
        """Read a key; None if it is not that of a file ``words``."""
        match = _KEY.fullmatch(key)
        return cls(int(match[1]), match[2], int(match[4]), match[5]) if match and match[4] else None

    def key(self, what: str) -> str:
        """Return the key of one of its files."""
        what = f"words-{self.footer_bytes}-{self.seal}" if what == "words" else what
        return f"{PREFIX}/{self.version:020d}-{self.id}.{what}"

    def is_of(self, lake_id: str, footer: bytes) -> bool:
        """Say whether a footer is that of this index, and of this lake."""
        return self.seal == _seal(lake_id, self.version, self.id, footer)


def _seal(lake_id: str, version: int, id: str, footer: bytes) -> str:
    return Seals(lake_id, PREFIX).of_bytes(f"{version:020d}-{id}", footer)


def digest_of(body: bytes) -> bytes:
    """Return what the directory has of the digest of a part of a file: the beginning of its SHA-256."""
    return hashlib.sha256(body).digest()[:_DIGEST_BYTES]


@dataclass(frozen=True)
class Spans:
    """The parts of a file, one after the other.

    Attributes:
        firsts: What each begins with: the first word of it, or the reference of its first document.
        starts: Where each begins, and the last one ends.
        digests: Of each, see :func:`digest_of`.
    """

    firsts: tuple[str, ...]
    starts: npt.NDArray[np.int64]
    digests: tuple[bytes, ...]

    @classmethod
    def of(cls, noted: Mapping[str, Any]) -> Spans:
        """Read what a directory says.

        Raises:
            ValueError: It contradicts itself.
        """
        lengths, firsts, body = noted["lengths"], noted["firsts"], b64decode(noted["digests"])
        if any(type(one) is not int or not 0 < one < 2**32 for one in lengths):
            raise ValueError("a part of it has no such length")
        if any(type(one) is not str for one in firsts):
            raise ValueError("a part of it is not described")
        digests = [body[at : at + _DIGEST_BYTES] for at in range(0, len(body), _DIGEST_BYTES)]
        if not len(lengths) == len(firsts) == len(digests):
            raise ValueError("its parts contradict one another")
        return cls(tuple(firsts), np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]), tuple(digests))

    def noted(self) -> dict[str, Any]:
        """Return what a directory says."""
        digests = b64encode(b"".join(self.digests)).decode()
        return {"lengths": np.diff(self.starts).tolist(), "firsts": self.firsts, "digests": digests}

    def span(self, number: int) -> tuple[int, int]:
        """Return start and length of a part."""
        return int(self.starts[number]), int(self.starts[number + 1] - self.starts[number])

    def checked(self, number: int, body: bytes) -> bytes:
        """Return the bytes of a part.

        Raises:
            ValueError: They are damaged.
        """
        if digest_of(body) != self.digests[number]:
            raise ValueError("a part has another digest than its directory says")
        return body


@dataclass(frozen=True)
class Directory:
    """What the end of ``words`` says.

    Attributes:
        count: The number of documents.
        total_length: The weight of all their tokens.
        kinds: The kinds that documents have.
        aside: Of each of ASIDE the first document whose reference begins so, and the one after the last.
        columns: The columns, which follow the groups of ``words``.
        words: The groups of ``words``.
        texts: The blocks of ``texts``.
        ends: The number of the document after each block of ``texts``.
        journal: The digest of the journal's log entry of its version; empty if it is not noted.
    """

    count: int
    total_length: float
    kinds: tuple[str, ...]
    aside: Mapping[str, tuple[int, int]]
    columns: Spans
    words: Spans
    texts: Spans
    ends: npt.NDArray[np.int64]
    journal: str


def column_of(body: bytes, directory: Directory, number: int) -> Column:
    """Return a column, whose memory is bounded before it is taken.

    Raises:
        ValueError: It is damaged.
    """
    body = directory.columns.checked(number, body)
    column, name = Column.of(body, _COLUMN_BYTES * directory.count), COLUMNS[number]
    texts, sizes, numbers = column
    if (len(sizes) if name == "tag" else len(numbers)) != (len(texts) if name == "vocabulary" else directory.count):
        raise ValueError("a column is about other documents")
    least, most = (0, directory.count) if name == "vocabulary" else (0 if name == "tag" else -1, len(texts) - 1)
    if len(numbers) and not (least <= int(numbers.min()) and int(numbers.max()) <= most):
        raise ValueError("a column names values that there are not")
    return column


def directory_bytes(noted: Mapping[str, Any], files: Mapping[str, Spans]) -> bytes:
    """Return the end of ``words``: what is noted, and the parts of each file."""
    said = {"layout": LAYOUT, **noted, **{name: parts.noted() for name, parts in files.items()}}
    return zlib.compress(json.dumps(said, separators=(",", ":")).encode(), 6)


def directory_of(footer: bytes, size_bytes: int) -> Directory:
    """Return what the end of ``words`` says.

    Args:
        footer: Its bytes.
        size_bytes: The size of the file.

    Raises:
        OtherLayoutError: It is of another layout.
        ValueError: It can't be read, or contradicts itself.
    """
    try:
        noted = json.loads(zlib.decompressobj().decompress(footer, _BLOCK_LIMIT))
        if noted["layout"] != LAYOUT:
            raise OtherLayoutError(f"is of layout {noted['layout']!r}, expected {LAYOUT}")
        words, texts, columns = (Spans.of(noted[name]) for name in ("words", "texts", "columns"))
        columns = Spans(columns.firsts, columns.starts + words.starts[-1], columns.digests)
        if int(columns.starts[-1]) + len(footer) != size_bytes:
            raise ValueError("it is about another file")
        counts = np.array(noted["counts"], np.int64)
        count = int(noted["count"])
        if len(counts) != len(texts.firsts) or (counts < 0).any() or (counts > _BLOCK_DOCUMENTS).any():
            raise ValueError("its counts contradict one another")
        if int(counts.sum()) != count or count > _DOCUMENTS or (np.diff(texts.starts) > _BLOCK_LIMIT).any():
            raise ValueError("it is about too many documents, or too large ones")
        if columns.firsts != COLUMNS or (np.diff(columns.starts) > max(_BLOCK_LIMIT, 64 * count)).any():
            raise ValueError("it has other columns, or too large ones")
        kinds, total = tuple(map(str, noted["kinds"])), float(noted["total_length"])
        aside = {name: (int(noted["aside"][name][0]), int(noted["aside"][name][1])) for name in ASIDE}
        if not all(0 <= start <= stop <= count for start, stop in aside.values()):
            raise ValueError("it is about documents that there are not")
        if not 0 <= total < math.inf:
            raise ValueError("its weight is no such number")
        journal = str(noted.get("journal", ""))
        return Directory(count, total, kinds, aside, columns, words, texts, np.cumsum(counts), journal)
    except (LookupError, TypeError, AttributeError, OverflowError, RecursionError, zlib.error) as exc:
        raise ValueError(f"its directory can't be read: {exc}"[:200]) from exc

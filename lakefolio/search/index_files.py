"""The files of the index of a lake, and how a few documents of it are read (FORMAT.md, "Search index"; pure).

Four files are made together. ``words`` is Parquet, one row per token with its postings, in row groups of a few words:
its footer also carries the *directory*, which says where each row group and each block of the other files lies, and
the digest of each. ``texts`` holds the documents in small compressed blocks, ``facets`` and ``vocabulary`` are small
Parquet files that are read whole. So a query reads the footer, a row group for each of its words, and a block for each
hit.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from lakefolio.content.byte_files import piece_file
from lakefolio.delta.seal import Seals
from lakefolio.search.gathering import Document, Postings

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow.parquet as pq

__all__ = [
    "DIGEST_BYTES",
    "INDEX",
    "LAYOUT",
    "LISTS",
    "NAME",
    "PREFIX",
    "Directory",
    "Group",
    "IndexName",
    "block_of",
    "directory_of",
    "group_of",
    "whole_file",
]

PREFIX: Final = "index/search"
NAME: Final = "="
"""What stands before the whole name of a document, which is a row of ``words`` too. No token has it."""

INDEX: Final = "lakefolio.search"
"""Under this name the footer of ``words`` has the directory."""

LAYOUT: Final = 1
DIGEST_BYTES: Final = 8
"""How much of the digest of a block the directory has."""

_BLOCK_LIMIT: Final = 64 << 20
_KEY: Final = re.compile(rf"{PREFIX}/(\d{{20}})-([0-9a-f]{{32}})\.(words-(\d{{1,12}})-([0-9a-f]{{64}})|[a-z]+)")
LISTS: Final = {"documents": pa.int32(), "weights": pa.float32(), "fields": pa.int32(), "lengths": pa.float32()}
"""The lists of a word: a member for each document that has it."""


class IndexName(NamedTuple):
    """What the name of the file ``words`` says, which stands for the whole index.

    Attributes:
        version: The version of the lake.
        id: What its files have in common.
        footer_bytes: The length of the footer.
        seal: The seal of the footer.
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


@dataclass(frozen=True, slots=True)
class Group:
    """A row group of ``words``: its first word, where it lies, and its SHA-256."""

    first: str
    start: int
    length: int
    sha256: str


@dataclass(frozen=True)
class Directory:
    """What the footer of ``words`` says.

    Attributes:
        count: The number of documents.
        total_length: The weight of all their tokens.
        kinds: The kinds that documents have.
        files: The size and the SHA-256 of ``facets`` and ``vocabulary``.
        groups: The row groups of ``words``.
        ends: The number of the document after each block of ``texts``.
        starts: Where each block begins, and the last one ends.
        digests: The first bytes of the SHA-256 of each block, one after the other.
        firsts: The reference of the first document of each block.
        metadata: The footer itself.
    """

    count: int
    total_length: float
    kinds: tuple[str, ...]
    files: Mapping[str, tuple[int, str]]
    groups: tuple[Group, ...]
    ends: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    digests: bytes
    firsts: tuple[str, ...]
    metadata: pq.FileMetaData

    def digest_of(self, block: int) -> bytes:
        """Return what the digest of a block begins with."""
        return self.digests[block * DIGEST_BYTES : (block + 1) * DIGEST_BYTES]


def block_of(body: bytes, digest: bytes) -> list[Document]:
    """Return the documents of a block of ``texts``.

    Raises:
        ValueError: It is damaged.
    """
    if hashlib.sha256(body).digest()[:DIGEST_BYTES] != digest:
        raise ValueError("a block has another digest than its directory says")
    size = int.from_bytes(body[:4], "little")
    if size > _BLOCK_LIMIT:
        raise ValueError("a block is too large")
    plain = pa.decompress(body[4:], decompressed_size=size, codec="zstd", asbytes=True)
    return [_document(*row) for row in json.loads(plain.decode("utf-8", "surrogatepass"))]


def _document(*row: Any) -> Document:
    values: dict[str, Any] = dict(zip(Document.__slots__, row, strict=True))
    texts = tuple((str(one), str(text)) for one, text in values.pop("texts"))
    digest = values.pop("digest")
    tags = tuple(str(one) for one in values.pop("tags"))
    if not all(value is None or isinstance(value, str) for value in values.values()):
        raise ValueError("a document has a value that is no text")
    if not all(isinstance(values[one], str) for one in ("id", "type", "ref", "name")):
        raise ValueError("a document has no name")
    return Document(
        texts=texts, tags=tags, digest=None if digest is None else (str(digest[0]), int(digest[1])), **values
    )


def _unpacked(text: str) -> bytes:
    found = zlib.decompressobj()
    body = found.decompress(b64decode(text), _BLOCK_LIMIT)
    if not found.eof:
        raise ValueError("its directory is too large")
    return body


def whole_file(body: bytes, noted: tuple[int, str], columns: Sequence[str]) -> pa.Table:
    """Return ``facets`` or ``vocabulary``.

    Raises:
        ValueError: It is damaged.
    """
    import pyarrow.parquet as pq

    if hashlib.sha256(body).hexdigest() != noted[1]:
        raise ValueError("it has another digest than its directory says")
    return pq.read_table(pa.BufferReader(body), columns=list(columns)).select(list(columns)).combine_chunks()


def directory_of(footer: bytes, size_bytes: int, texts_bytes: int | None = None) -> Directory:
    """Return what a footer of ``words`` says.

    Args:
        footer: Its bytes.
        size_bytes: The size of the file.
        texts_bytes: The size of ``texts``, if it is known.

    Raises:
        ValueError: It can't be read, or contradicts itself.
    """
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_metadata(pa.BufferReader(b"PAR1" + footer))
        noted = json.loads((metadata.metadata or {})[INDEX.encode()])
        if noted["layout"] != LAYOUT:
            raise ValueError("it is of another layout")
        groups = tuple(Group(*one) for one in noted["groups"])
        end = 0
        for one in groups:
            if type(one.first) is not str or type(one.start) is not int or type(one.length) is not int:
                raise ValueError("a row group is not described")
            if one.start < end or one.length < 0 or one.start + one.length > size_bytes:
                raise ValueError("a row group lies outside of the file")
            end = one.start + one.length
        counts = np.frombuffer(_unpacked(noted["counts"]), np.uint16).astype(np.int64)
        lengths = np.frombuffer(_unpacked(noted["lengths"]), np.uint32).astype(np.int64)
        starts = np.concatenate([[0], np.cumsum(lengths)])
        firsts = tuple(map(str, json.loads(_unpacked(noted["firsts"]))))
        digests = b64decode(noted["digests"])
        files = {name: (int(size), str(digest)) for name, (size, digest) in noted["files"].items()}
        count = int(noted["count"])
        blocks = len(counts)
        agreed = len(lengths) == len(firsts) == blocks and len(digests) == blocks * DIGEST_BYTES
        if not agreed or int(counts.sum()) != count or metadata.num_row_groups != len(groups):
            raise ValueError("its counts contradict one another")
        if texts_bytes is not None and int(starts[-1]) != texts_bytes:
            raise ValueError("it is about other texts")
        kinds, total = tuple(map(str, noted["kinds"])), float(noted["total_length"])
        return Directory(count, total, kinds, files, groups, np.cumsum(counts), starts, digests, firsts, metadata)
    except (pa.ArrowException, KeyError, TypeError, AttributeError, OSError, RecursionError, zlib.error) as exc:
        raise ValueError(f"its footer can't be read: {exc}"[:200]) from exc


class WordGroup:
    """The decoded rows of a row group of ``words``."""

    def __init__(self, rows: pa.Table, count: int) -> None:
        self.words: list[str] = rows.column("word").to_pylist()
        self._places = {word: at for at, word in enumerate(self.words)}
        lists = [rows.column(name).combine_chunks() for name in LISTS]
        self._offsets = lists[0].offsets.to_numpy()
        if any(not np.array_equal(one.offsets.to_numpy(), self._offsets) for one in lists[1:]) or any(
            one.null_count or one.values.null_count for one in lists
        ):
            raise ValueError("its lists are of different lengths")
        self._values = [one.values.to_numpy() for one in lists]
        self._count = count
        self.size_bytes = rows.nbytes + 100 * len(self.words)

    def of(self, word: str) -> Postings | None:
        """Return the postings of a word."""
        if (at := self._places.get(word)) is None:
            return None
        start, stop = int(self._offsets[at]), int(self._offsets[at + 1])
        gaps, weights, fields, lengths = (values[start:stop] for values in self._values)
        documents = np.cumsum(gaps, dtype=np.int64)
        if len(gaps) and (gaps[0] < 0 or (gaps[1:] <= 0).any() or documents[-1] >= self._count):
            raise ValueError("it names documents that there are not")
        return Postings(documents.astype(np.int32), weights, fields, lengths)


def group_of(body: bytes, directory: Directory, number: int, size_bytes: int) -> WordGroup:
    """Return a row group of ``words``.

    Raises:
        ValueError: It is damaged.
    """
    import pyarrow.parquet as pq

    group = directory.groups[number]
    if hashlib.sha256(body).hexdigest() != group.sha256:
        raise ValueError("a row group has another digest than its directory says")
    try:
        with pq.ParquetFile(piece_file(group.start, body, size_bytes), metadata=directory.metadata) as opened:
            return WordGroup(opened.read_row_group(number, use_threads=False), directory.count)
    except (pa.ArrowException, KeyError, OSError) as exc:
        raise ValueError(f"a row group can't be read: {exc}"[:200]) from exc

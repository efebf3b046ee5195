"""A few words with their postings as bytes, and back (FORMAT.md, "Search index"; pure).

Numbers are written byte by byte of all of them, the lowest bytes first: neighbours are alike, so that they compress.
Words also carry the labels of documents, of all that have the word or of those in which it counts most: who is shown
what was found need not read the documents.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from lakefolio.search.document import Label
from lakefolio.search.gathering import OWN, Postings

if TYPE_CHECKING:
    import numpy.typing as npt

    Ints = npt.NDArray[np.int32]

__all__ = [
    "LABELLED",
    "LISTS",
    "WITH_LABEL",
    "WordGroup",
    "expanded",
    "numbers_of",
    "packed_group",
    "planes_of",
    "shrunk",
    "strings_of",
    "texts_of",
]

LISTS: Final = {"documents": pa.int32(), "weights": pa.float32(), "fields": pa.int32(), "lengths": pa.float32()}
"""The lists of a word: a member for each document that has it."""

LABELLED: Final = 16_384
"""A word carries the labels of at most so many documents."""

WITH_LABEL: Final = OWN << 1
"""Beside the fields: the label of the document is there."""

_LIMIT: Final = 64 << 20
_HEAD: Final = 4


def shrunk(plain: bytes) -> bytes:
    """Return bytes compressed, after their length."""
    body: bytes = pa.compress(plain, codec="zstd", asbytes=True)
    return len(plain).to_bytes(4, "little") + body


def expanded(body: bytes, limit: int = _LIMIT) -> bytes:
    """Return what was shrunk.

    Raises:
        ValueError: It is larger than the limit, or damaged.
    """
    size = int.from_bytes(body[:4], "little")
    if size > max(limit, _LIMIT):
        raise ValueError("a part is too large")
    try:
        plain: bytes = pa.decompress(body[4:], decompressed_size=size, codec="zstd", asbytes=True)
    except OSError as exc:
        raise ValueError("a part can't be decompressed") from exc
    return plain


def packed_group(
    words: pa.Array, sizes: npt.NDArray[np.int64], values: Collection[npt.NDArray[Any]], labels: pa.Array
) -> bytes:
    """Return words with their postings as bytes.

    Args:
        words: The words, sorted.
        sizes: How many documents have each.
        values: Of each list, see LISTS, the members; documents are whole numbers.
        labels: The labels of the documents that are marked by WITH_LABEL among their fields.
    """
    documents, *others = values
    gaps = np.diff(documents, prepend=np.int32(0)).astype(np.int32)
    starts = np.cumsum(sizes) - sizes
    gaps[starts] = documents[starts]
    (word_sizes, word_bytes), (label_sizes, label_bytes) = texts_of(words), texts_of(labels)
    head = np.array([len(words), len(gaps), len(labels), len(word_bytes)], np.int32)
    numbers = [sizes.astype(np.int32), word_sizes, label_sizes, gaps, *(one.view(np.int32) for one in others)]
    return shrunk(b"".join([head.astype("<i4").tobytes(), *map(planes_of, numbers), word_bytes, label_bytes]))


def texts_of(texts: pa.Array) -> tuple[Ints, bytes]:
    """Return the length of each text, and all of them."""
    if not len(texts):
        return np.zeros(0, np.int32), b""
    offsets = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return np.diff(offsets).astype(np.int32), bytes(memoryview(texts.buffers()[2] or b"")[offsets[0] : offsets[-1]])


def planes_of(numbers: Ints) -> bytes:
    """Return numbers byte by byte of all of them, the lowest bytes first."""
    return np.ascontiguousarray(numbers, "<i4").view(np.uint8).reshape(-1, 4).T.tobytes()


class _Lists(NamedTuple):
    """The postings of all words of a group, and which of them have the label of their document."""

    postings: Postings
    labelled: npt.NDArray[np.int64]


class WordGroup:
    """Words with their postings, which are decoded when they are first asked for. Immutable.

    Attributes:
        words: The words, sorted.
        size_bytes: How much memory it takes, about.
    """

    def __init__(self, body: bytes, count: int) -> None:
        """Read what :func:`packed_group` made, of an index of so many documents.

        Raises:
            ValueError: It contradicts itself.
        """
        plain = expanded(body, 64 * count)
        if len(plain) < 4 * _HEAD:
            raise ValueError("a group of words is too short")
        words, postings, labels, word_bytes = (int(one) for one in np.frombuffer(plain, "<i4", _HEAD))
        at = 4 * _HEAD + 4 * (2 * words + labels + 4 * postings)
        if min(words, postings, labels, word_bytes) < 0 or at + word_bytes > len(plain):
            raise ValueError("a group of words is too short")
        sizes, word_sizes, label_sizes = numbers_of(plain, 4 * _HEAD, (words, words, labels))
        self._ends = np.cumsum(sizes, dtype=np.int64)
        if any(len(one) and int(one.min()) < 0 for one in (sizes, word_sizes, label_sizes)):
            raise ValueError("a length is negative")
        if int(sizes.sum(dtype=np.int64)) != postings:
            raise ValueError("its lists are of different lengths")
        self.words: list[str] = strings_of(word_sizes, plain[at : at + word_bytes]).to_pylist()
        self._labels = strings_of(label_sizes, plain[at + word_bytes :])
        self._places = {word: place for place, word in enumerate(self.words)}
        self._count = count
        self._lists: bytes | _Lists = plain[at - 16 * postings : at]  # as bytes until they are asked for
        self.size_bytes = len(plain) + 100 * words

    def _decoded(self) -> _Lists:
        plain = self._lists
        if isinstance(plain, _Lists):
            return plain
        gaps, weights, fields, lengths = numbers_of(plain, 0, [len(plain) // 16] * 4)
        labelled = np.flatnonzero(fields & WITH_LABEL)
        if len(labelled) != len(self._labels):
            raise ValueError("its lists are of different lengths")
        documents = _numbered(gaps, np.diff(self._ends, prepend=0), self._count)
        found = Postings(documents, weights.view(np.float32), fields & ~WITH_LABEL, lengths.view(np.float32))
        if not all((one >= 0).all() and np.isfinite(one).all() for one in (found.weights, found.lengths)):
            raise ValueError("a weight is no such number")
        self._lists = _Lists(found, labelled)
        return self._lists

    def _span(self, word: str) -> tuple[int, int] | None:
        """Return where the postings of a word begin and end."""
        at = self._places.get(word)
        return None if at is None else (int(self._ends[at - 1]) if at else 0, int(self._ends[at]))

    def frequency(self, word: str) -> int:
        """Return how many documents have a word."""
        start, stop = self._span(word) or (0, 0)
        return stop - start

    def of(self, word: str) -> Postings | None:
        """Return the postings of a word.

        Raises:
            ValueError: The group contradicts itself.
        """
        span = self._span(word)
        return None if span is None else Postings._make(one[slice(*span)] for one in self._decoded().postings)

    def all(self) -> tuple[Ints, Ints, Ints]:
        """Return of the postings of all words the number of the word, the document and the fields.

        Raises:
            ValueError: The group contradicts itself.
        """
        sizes, found = np.diff(self._ends, prepend=0), self._decoded().postings
        return np.repeat(np.arange(len(sizes), dtype=np.int32), sizes), found.documents, found.fields

    def labels(self, word: str, numbers: Collection[int]) -> Iterator[tuple[int, Label]]:
        """Give those of some documents that a word has the labels of, each with its label.

        Raises:
            ValueError: The group contradicts itself.
        """
        if (span := self._span(word)) is None:
            return
        lists = self._decoded()
        first, last = np.searchsorted(lists.labelled, span)
        documents = lists.postings.documents[lists.labelled[first:last]]
        wanted = np.array(sorted(numbers), np.int64)
        places = np.searchsorted(documents, wanted)
        for number, place in zip(wanted.tolist(), places.tolist(), strict=True):
            if place < len(documents) and documents[place] == number:
                yield number, Label.of(str(self._labels[int(first) + place].as_py()))


def _numbered(gaps: Ints, sizes: npt.NDArray[np.int64], count: int) -> Ints:
    """Return the documents of all words, of which there are ``gaps``: of each word the first number, then differences.

    Raises:
        ValueError: They are not in order, or there are no such documents.
    """
    ends = np.cumsum(sizes, dtype=np.int64)
    totals = np.cumsum(gaps, dtype=np.int64)
    documents = totals - np.repeat(np.concatenate([[0], totals])[ends - sizes], sizes)
    later = np.ones(len(gaps), np.bool_)
    later[(ends - sizes)[sizes > 0]] = False
    if (gaps < later).any() or (len(documents) and int(documents.max()) >= count):
        raise ValueError("it names documents that there are not")
    found: Ints = documents.astype(np.int32)
    return found


def numbers_of(plain: bytes, start: int, counts: Sequence[int]) -> Iterator[Ints]:
    """Give lists of so many numbers each, of which the first begins at some place: what :func:`planes_of` made."""
    for count in counts:
        planes = np.frombuffer(plain, np.uint8, 4 * count, start).reshape(4, count)
        found = np.empty((count, 4), np.uint8)
        for place in range(4):  # a quarter of the time that a transposed copy takes
            found[:, place] = planes[place]
        yield found.view("<i4").reshape(-1).astype(np.int32, copy=False)
        start += 4 * count


def strings_of(sizes: Ints, body: bytes) -> pa.Array:
    """Return texts of some lengths, one after the other.

    Raises:
        ValueError: They are of other lengths, or no UTF-8.
    """
    offsets = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    if int(offsets[-1]) != len(body):
        raise ValueError("its texts are of another length")
    found = pa.StringArray.from_buffers(len(sizes), pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(body))
    found.validate(full=True)
    return found

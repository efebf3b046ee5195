"""Blocks of ``texts``: a few documents each, as bytes and back (FORMAT.md, "Search index"; pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from lakefolio.search.document import Document
from lakefolio.search.document_rows import VALUES, flat, list_ends, whole
from lakefolio.search.parse import FIELDS
from lakefolio.search.word_group import expanded, numbers_of, planes_of, shrunk

if TYPE_CHECKING:
    import numpy.typing as npt

    Ints = npt.NDArray[np.int32]

__all__ = ["Block", "BlockMaker"]

_HEAD: Final = 3
_NEEDED: Final = ("type", "ref", "name")


class _Strings(NamedTuple):
    """Texts: the length of each, -1 of none; where each begins, and the last one ends; all of them."""

    sizes: Ints
    ends: Ints
    body: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, texts: pa.Array) -> _Strings:
        ends, body = flat(texts)
        return cls(np.where(texts.is_null().to_numpy(zero_copy_only=False), np.int32(-1), np.diff(ends)), ends, body)

    def bytes(self, start: int, stop: int) -> bytes:
        return self.body[self.ends[start] : self.ends[stop]].tobytes()


class BlockMaker:
    """Makes blocks of the documents of a table, see ``document_rows``.

    Attributes:
        sizes: How many bytes the texts of each document take.
    """

    def __init__(self, rows: pa.Table) -> None:
        self._values = [_Strings.of(whole(rows.column(name))) for name in VALUES]
        tags, texts = whole(rows.column("tags")), whole(rows.column("texts"))
        self._tag_ends, self._text_ends = (list_ends(one) for one in (tags, texts))
        self._tags, self._texts = _Strings.of(tags.flatten()), _Strings.of(texts.flatten())
        self._fields = whole(rows.column("fields")).flatten().to_numpy().astype(np.int32)
        self.sizes = np.diff(self._texts.ends[self._text_ends])

    def block(self, start: int, stop: int) -> bytes:
        """Return some of the documents as bytes."""
        tags = slice(int(self._tag_ends[start]), int(self._tag_ends[stop]))
        texts = slice(int(self._text_ends[start]), int(self._text_ends[stop]))
        some = slice(start, stop)
        parts = [*((one, some) for one in self._values), (self._tags, tags), (self._texts, texts)]
        head = np.array([stop - start, tags.stop - tags.start, texts.stop - texts.start], "<i4")
        counts = (np.diff(ends[start : stop + 1]) for ends in (self._tag_ends, self._text_ends))
        sizes = np.concatenate([one.sizes[at] for one, at in parts])
        numbers = map(planes_of, (*counts, self._fields[texts], sizes))
        return shrunk(b"".join([head.tobytes(), *numbers, *(one.bytes(at.start, at.stop) for one, at in parts)]))


class Block:
    """The documents of a block. Immutable.

    Attributes:
        count: How many documents it has.
        size_bytes: How much memory it takes, about.
    """

    def __init__(self, body: bytes) -> None:
        """Read what :class:`BlockMaker` made.

        Raises:
            ValueError: It is damaged, or contradicts itself.
        """
        plain = expanded(body)
        if len(plain) < 4 * _HEAD:
            raise ValueError("a block is too short")
        count, tags, texts = (int(one) for one in np.frombuffer(plain, "<i4", _HEAD))
        strings = len(VALUES) * count + tags + texts
        start = 4 * (_HEAD + 2 * count + texts + strings)
        if min(count, tags, texts) < 0 or start > len(plain):
            raise ValueError("a block is too short")
        tag_counts, text_counts, self._fields, sizes = numbers_of(plain, 4 * _HEAD, (count, count, texts, strings))
        if any(len(one) and int(one.min()) < 0 for one in (tag_counts, text_counts, self._fields)):
            raise ValueError("a number of it is negative")
        if len(self._fields) and int(self._fields.max()) >= len(FIELDS):
            raise ValueError("it names a field that there is not")
        self._tag_ends, self._text_ends = map(_summed, (tag_counts, text_counts))
        if int(self._tag_ends[-1]) != tags or int(self._text_ends[-1]) != texts:
            raise ValueError("its lists are of different lengths")
        self._known = sizes >= 0
        self._ends = _summed(np.maximum(sizes, 0))
        self._body = plain[start:]
        if int(self._ends[-1]) != len(self._body):
            raise ValueError("its texts are of another length")
        self.count, self.size_bytes = count, len(plain)

    def document(self, number: int) -> Document:
        """Return a document, given by its place in the block.

        Raises:
            ValueError: It has no name, or a text that is none.
        """
        values = {name: self._text(place * self.count + number) for place, name in enumerate(VALUES)}
        first = len(VALUES) * self.count
        tags = [self._text(first + at) for at in range(*self._tag_ends[number : number + 2].tolist())]
        first += int(self._tag_ends[-1])
        places = range(*self._text_ends[number : number + 2].tolist())
        texts = [(FIELDS[self._fields[at]], self._text(first + at)) for at in places]
        if any(values[name] is None for name in _NEEDED) or None in tags or any(text is None for _, text in texts):
            raise ValueError("a document lacks a text")
        given: dict[str, Any] = {**values, "tags": tuple(tags), "texts": tuple(texts)}
        return Document(values["ref"] or "", **given)

    def texts(self, places: npt.NDArray[np.int64], fields: int) -> list[tuple[int, str]]:
        """Return the texts of some documents that stand in some fields, given as bits; each with its document's place.

        Raises:
            ValueError: A text is none.
        """
        some = np.flatnonzero(fields >> self._fields & 1)
        owners = np.searchsorted(self._text_ends, some, side="right") - 1
        chosen = np.isin(owners, places)
        strings = len(VALUES) * self.count + int(self._tag_ends[-1]) + some[chosen]
        if not self._known[strings].all():
            raise ValueError("a document lacks a text")
        spans = zip(self._ends[strings].tolist(), self._ends[strings + 1].tolist(), strict=True)
        texts = (self._body[start:end].decode() for start, end in spans)
        return list(zip(owners[chosen].tolist(), texts, strict=True))

    def _text(self, at: int) -> str | None:
        return self._body[self._ends[at] : self._ends[at + 1]].decode() if self._known[at] else None


def _summed(sizes: Ints) -> npt.NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])

"""The facets of documents as columns of numbers, as bytes, and back (FORMAT.md, "Search index"; pure)."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pyarrow as pa

from lakefolio.search.gathering import DATASETS, Document
from lakefolio.search.word_group import expanded, numbers_of, planes_of, shrunk, strings_of, texts_of

if TYPE_CHECKING:
    import numpy.typing as npt

    Ints = npt.NDArray[np.int32]

__all__ = ["FACETS", "Column", "Facets"]

FACETS: Final = ("type", "kind", "folio", "tag", "author")
"""Of each a document has one value at most, but for tags."""

_HEAD: Final = 3


class Column(NamedTuple):
    """Texts, each once, and numbers about them.

    Attributes:
        texts: The texts.
        sizes: How many of the numbers each document has, if not one.
        numbers: Of a facet the number of the text, or -1; of the vocabulary how many documents have each word.
    """

    texts: Sequence[str]
    sizes: Ints
    numbers: Ints

    def packed(self) -> bytes:
        """Return it as bytes."""
        text_sizes, text_bytes = texts_of(pa.array(self.texts, pa.string()))
        head = np.array([len(self.texts), len(self.sizes), len(self.numbers)], np.int32)
        lists = map(planes_of, (text_sizes, self.sizes, self.numbers))
        return shrunk(b"".join([head.astype("<i4").tobytes(), *lists, text_bytes]))

    @classmethod
    def of(cls, body: bytes, limit: int) -> Column:
        """Read what :meth:`packed` made, of no more bytes than a limit.

        Raises:
            ValueError: It contradicts itself.
        """
        plain = expanded(body, limit)
        counts = [int(one) for one in np.frombuffer(plain, "<i4", _HEAD)]
        at = 4 * (_HEAD + sum(counts))
        if min(counts) < 0 or at > len(plain):
            raise ValueError("a column is too short")
        text_sizes, sizes, numbers = numbers_of(plain, 4 * _HEAD, counts)
        if any(len(one) and int(one.min()) < 0 for one in (text_sizes, sizes)):
            raise ValueError("a length is negative")
        if len(sizes) and int(sizes.sum(dtype=np.int64)) != len(numbers):
            raise ValueError("its lists are of different lengths")
        return cls(strings_of(text_sizes, plain[at:]).to_pylist(), sizes, numbers)

    def counts(self, chosen: npt.NDArray[np.int64]) -> Counter[str]:
        """Return how many of some documents have each value."""
        places = chosen
        if len(self.sizes):
            lengths = self.sizes[chosen].astype(np.int64)
            starts = np.cumsum(self.sizes, dtype=np.int64)[chosen] - lengths
            places = np.repeat(starts - (np.cumsum(lengths) - lengths), lengths) + np.arange(int(lengths.sum()))
        counts = np.bincount(self.numbers[places] + 1, minlength=len(self.texts) + 1)[1:]
        return Counter({self.texts[one]: int(counts[one]) for one in np.flatnonzero(counts).tolist()})

    def having(self, value: str) -> npt.NDArray[np.bool_]:
        """Return which documents have a value, of a facet of which each has one at most."""
        mask: npt.NDArray[np.bool_] = self.numbers == (self.texts.index(value) if value in self.texts else -2)
        return mask


class _Numbers(dict[str | None, int]):
    """The number of each text, in the order in which they are asked for first; of None -1."""

    def __init__(self) -> None:
        super().__init__({None: -1})

    def __missing__(self, text: str | None) -> int:
        number = self[text] = len(self) - 1
        return number

    def texts(self) -> list[str]:
        return [text for text in self if text is not None]


class Facets:
    """Gathers the facets of documents, given in the order of their references."""

    def __init__(self) -> None:
        self._numbers = {name: _Numbers() for name in FACETS}
        self._codes = {name: array("i") for name in FACETS}
        self._single = [(attrgetter(one), self._numbers[one], self._codes[one]) for one in FACETS if one != "tag"]
        self._sizes = array("i")
        self._first, self._stop = 0, 0

    def add(self, document: Document) -> None:
        """Take a further document."""
        for value_of, numbers, codes in self._single:
            codes.append(numbers[value_of(document)])
        tags = dict.fromkeys(document.tags)
        if tags:
            self._codes["tag"].extend(map(self._numbers["tag"].__getitem__, tags))
        if document.ref.startswith(DATASETS):
            self._first = self._first if self._stop else len(self._sizes)
            self._stop = len(self._sizes) + 1
        self._sizes.append(len(tags))

    def kinds(self) -> list[str]:
        """Return the kinds that documents have."""
        return sorted(self._numbers["kind"].texts())

    def datasets(self) -> tuple[int, int]:
        """Return the first document that is a member of a dataset, and the one after the last."""
        return self._first, self._stop

    def column(self, name: str) -> Column:
        """Return a facet of all documents."""
        sizes = np.array(self._sizes if name == "tag" else (), np.int32)
        return Column(self._numbers[name].texts(), sizes, np.array(self._codes[name], np.int32))

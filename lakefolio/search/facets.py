"""The facets of documents as columns of numbers, as bytes, and back (FORMAT.md, "Search index"; pure)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.search.document import ASIDE
from lakefolio.search.document_rows import whole
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

    texts: pa.StringArray
    sizes: Ints
    numbers: Ints

    def packed(self) -> bytes:
        """Return it as bytes."""
        text_sizes, text_bytes = texts_of(self.texts)
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
        return cls(strings_of(text_sizes, plain[at:]), sizes, numbers)

    def counts(self, chosen: npt.NDArray[np.int64]) -> Counter[str]:
        """Return how many of some documents have each value."""
        places = chosen
        if len(self.sizes):
            lengths = self.sizes[chosen].astype(np.int64)
            starts = np.cumsum(self.sizes, dtype=np.int64)[chosen] - lengths
            places = np.repeat(starts - (np.cumsum(lengths) - lengths), lengths) + np.arange(int(lengths.sum()))
        counts = np.bincount(self.numbers[places] + 1, minlength=len(self.texts) + 1)[1:]
        some = np.flatnonzero(counts)
        return Counter(dict(zip(self.texts.take(pa.array(some)).to_pylist(), counts[some].tolist(), strict=True)))

    def having(self, value: str) -> npt.NDArray[np.bool_]:
        """Return which documents have a value, of a facet of which each has one at most."""
        place = pc.index(self.texts, value).as_py()
        mask: npt.NDArray[np.bool_] = self.numbers == (place if place >= 0 else -2)
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
        self._codes: dict[str, list[Ints]] = {name: [np.zeros(0, np.int32)] for name in FACETS}
        self._sizes = [np.zeros(0, np.int32)]
        self._aside = dict.fromkeys(ASIDE, (0, 0))
        self._count = 0

    def add(self, rows: pa.Table) -> None:
        """Take further documents, see ``document_rows``."""
        for name in FACETS:
            if name != "tag":
                self._codes[name].append(self._coded(name, whole(rows.column(name))))
        lists = whole(rows.column("tags"))
        codes, documents = self._coded("tag", lists.flatten()), pc.list_parent_indices(lists).to_numpy()
        _, first = np.unique(documents * len(self._numbers["tag"]) + codes, return_index=True)
        first.sort()  # a document has a tag once
        self._codes["tag"].append(codes[first])
        self._sizes.append(np.bincount(documents[first], minlength=len(rows)).astype(np.int32))
        for start, (begin, end) in self._aside.items():
            here = np.flatnonzero(pc.starts_with(whole(rows.column("ref")), start).to_numpy(zero_copy_only=False))
            if len(here):
                self._aside[start] = begin if end else self._count + int(here[0]), self._count + int(here[-1]) + 1
        self._count += len(rows)

    def _coded(self, name: str, values: pa.Array) -> Ints:
        said = values.dictionary_encode(null_encoding="encode")
        numbers = [self._numbers[name][one] for one in said.dictionary.to_pylist()]
        codes: Ints = np.array(numbers, np.int32)[said.indices.to_numpy()]
        return codes

    def kinds(self) -> list[str]:
        """Return the kinds that documents have."""
        return sorted(self._numbers["kind"].texts())

    def aside(self) -> dict[str, tuple[int, int]]:
        """Return of each of ASIDE the first document whose reference begins so, and the one after the last."""
        return dict(self._aside)

    def column(self, name: str) -> Column:
        """Return a facet of all documents."""
        sizes = np.concatenate(self._sizes) if name == "tag" else np.zeros(0, np.int32)
        texts = pa.array(self._numbers[name].texts(), pa.string())
        return Column(texts, sizes, np.concatenate(self._codes[name]))

"""An index over documents: immutable parts, each with the documents of it that still count.

A new version of the lake makes a new index out of the last: what it lacks no longer counts, what is new is a part of
its own, and from a tenth on all are made one. An index never changes, so any number of threads read it. A part is a
``Segment`` in memory, or one that lies in the lake (``stored_part``).

Ranking: BM25 over tokens weighted by field (names most). Statistics are of the documents that count, whatever parts
they lie in, so that an answer does not depend on how the index came to be.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from lakefolio.search.document import Document, Label
from lakefolio.search.document_rows import tables_of
from lakefolio.search.document_vectors import MEANT, summed
from lakefolio.search.facets import FACETS, Column, Facets
from lakefolio.search.gathering import BITS, Gathering, Postings, plain_names
from lakefolio.search.meaning import Encoder, StaticEncoder
from lakefolio.search.part import Part
from lakefolio.search.spelling import Spelling
from lakefolio.search.vectors import Vectors
from lakefolio.search.words import has_forms, stem

if TYPE_CHECKING:
    import numpy.typing as npt

    Ints = npt.NDArray[np.int32]
    Mask = npt.NDArray[np.bool_]

__all__ = ["ALIKE", "Index", "Segment"]

_MERGE: Final = 10
_FORMS: Final = 200
ALIKE: Final = 3
"""A word that stands nowhere is taken for so many others."""


class Segment:
    """A part in memory; see Part."""

    def __init__(self, documents: Iterable[Document]) -> None:
        self.documents = tuple(sorted(documents, key=lambda one: one.ref))
        gathering = Gathering()
        for rows in tables_of(self.documents):
            gathering.add(rows)
        self._table = gathering.done()
        self._vectors: dict[Encoder, Vectors] = {}
        self._names: dict[str, list[int]] = {}
        for place, name in enumerate(plain_names([document.name for document in self.documents])):
            self._names.setdefault(name, []).append(place)

    @property
    def count(self) -> int:
        """See Part."""
        return len(self.documents)

    @property
    def total_length(self) -> float:
        """See Part."""
        return float(self._table.lengths.sum(dtype=np.float64))

    is_near: Final = True

    @cached_property
    def kinds(self) -> Collection[str]:
        """See Part."""
        return self._facets.kinds()

    def aside(self, start: str) -> slice:
        """See Part."""
        return slice(*self._facets.aside()[start])

    def length_of(self, numbers: Sequence[int]) -> float:
        """See Part."""
        return float(self._table.lengths[numbers].sum()) if numbers else 0.0

    def prefetch(self, tokens: Collection[str], *, forms: bool) -> None:
        """See Part. All is at hand."""

    def postings(self, token: str) -> Postings | None:
        """See Part."""
        return self._table.of(token)

    def frequency(self, token: str) -> int:
        """See Part."""
        return 0 if (found := self.postings(token)) is None else len(found.documents)

    @cached_property
    def _words(self) -> list[str]:
        return sorted(self._table.numbers)

    def words_from(self, prefix: str, limit: int) -> list[str]:
        """See Part."""
        return _beginning(self._words, prefix, limit)

    @cached_property
    def _spelling(self) -> Spelling:
        return Spelling(pa.array(list(self._table.numbers), pa.string()), np.diff(self._table.ends))

    def spelt_like(self, token: str) -> list[tuple[str, float, int]]:
        """See Part."""
        return self._spelling.like(token)

    @cached_property
    def _sorted_names(self) -> list[str]:
        return sorted(self._names)

    def named(self, name: str) -> Iterator[tuple[Ints, bool]]:
        """See Part."""
        for place in range(bisect_left(self._sorted_names, name), len(self._sorted_names)):
            if not (found := self._sorted_names[place]).startswith(name):
                break
            yield np.array(self._names[found], np.int32), found == name

    def read(self, numbers: Collection[int]) -> dict[int, Document]:
        """See Part."""
        return {number: self.documents[number] for number in numbers}

    def texts(self, numbers: npt.NDArray[np.int64], fields: int) -> Iterator[tuple[int, str]]:
        """See Part."""
        for number in numbers.tolist():
            yield from ((number, text) for field, text in self.documents[number].texts if BITS[field] & fields)

    def labels(self, numbers: Collection[int], words: Collection[str]) -> dict[int, Label]:
        """See Part."""
        return {number: self.documents[number].label for number in numbers}

    @cached_property
    def _keys(self) -> dict[str, int]:
        return {document.key: number for number, document in enumerate(self.documents)}

    def find(self, keys: Collection[str]) -> list[int]:
        """See Part."""
        return [self._keys[key] for key in keys if key in self._keys]

    @cached_property
    def _facets(self) -> Facets:
        facets = Facets()
        for rows in tables_of(self.documents):
            facets.add(rows)
        return facets

    @cached_property
    def _columns(self) -> dict[str, Column]:
        return {name: self._facets.column(name) for name in FACETS}

    def counts(self, facets: Collection[str], chosen: npt.NDArray[np.int64]) -> dict[str, Counter[str]]:
        """See Part."""
        return {facet: self._columns[facet].counts(chosen) for facet in facets}

    def facet_bytes(self, facet: str) -> int:
        """See Part. All is at hand."""
        return 0

    def having(self, facet: str, value: str) -> Mask:
        """See Part."""
        return self._columns[facet].having(value)

    def without_purged(self, mask: Mask, purged: Mapping[str, int]) -> Mask:
        """See Part."""
        for number in np.flatnonzero(mask).tolist() if purged else ():
            blob = self.documents[number].digest
            mask[number] = blob is None or blob[1] > purged.get(blob[0], -1)
        return mask

    def vectors(self, encoder: Encoder) -> Vectors:
        """See Part."""
        found = self._vectors.get(encoder)
        if found is None:
            found = self._vectors[encoder] = (
                self._summed(encoder) if isinstance(encoder, StaticEncoder) else self._encoded(encoder)
            )
        return found

    def _encoded(self, encoder: Encoder) -> Vectors:
        texts = [" ".join(text for field, text in one.texts if field in MEANT) for one in self.documents]
        rows = encoder.of_texts(texts) if texts else np.zeros((0, 1), np.float32)
        return Vectors([rows], len(texts), rows.shape[1])

    def _summed(self, encoder: StaticEncoder) -> Vectors:
        table = self._table
        said = np.repeat(np.arange(len(table.numbers), dtype=np.int32), np.diff(table.ends))
        return summed(encoder, [(list(table.numbers), said, table.documents, table.fields)], self.count)


def _beginning(words: Sequence[str], prefix: str, limit: int) -> list[str]:
    start = bisect_left(words, prefix)
    return [word for word in words[start : start + limit] if word.startswith(prefix)]


class Index:
    """Parts with the documents that count, and their statistics.

    Attributes:
        parts: Each part, and which of its documents count.
        stored: The version of the lake whose index in the lake is the first part; None if all lie in memory.
    """

    def __init__(self, parts: Sequence[tuple[Part, Mask]], stored: int | None = None) -> None:
        self.parts = tuple(parts)
        self.stored = stored
        self._frequencies: dict[str, int] = {}
        self._whole = [bool(live.all()) for _, live in parts]
        self.count = int(sum(live.sum() for _, live in parts))
        total = sum(part.total_length - part.length_of(np.flatnonzero(~live).tolist()) for part, live in parts)
        self.mean_length = max(total / max(self.count, 1), 1.0)

    @classmethod
    def of(cls, documents: Iterable[Document]) -> Index:
        """Make an index of documents."""
        part = Segment(documents)
        return cls([(part, np.ones(part.count, np.bool_))])

    def place_of(self, ref: str, key: str) -> tuple[int, int] | None:
        """Return part and number of the document of a reference and its key, if it counts."""
        for place, (part, live) in enumerate(self.parts):
            for number in part.find([key]):
                if live[number] and part.read([number])[number].ref == ref:
                    return place, number
        return None

    def with_changes(self, removed: Collection[str], added: Sequence[Document]) -> Index:
        """Return the index without the documents of some keys, and with others."""
        if not removed and not added:
            return self
        parts: list[tuple[Part, Mask]] = []
        gone = 0
        for part, live in self.parts:
            numbers = [one for one in part.find(removed) if live[one]]
            if numbers:
                live = live.copy()
                live[numbers] = False
            gone += len(numbers)
            if live.any() or (self.stored is not None and not parts):
                parts.append((part, live))
        if not gone and not added:
            return self
        kept = parts[:1] if self.stored is not None else []  # documents of the lake stay there
        others = parts[len(kept) :]
        small = sum(part.count for part, _ in others[1:]) + len(added) + gone
        if not others or small * _MERGE > others[0][0].count or len(others) > _MERGE:
            both = [*Index(others).documents(), *added]
            others = [(one, np.ones(one.count, np.bool_)) for one in [Segment(both)] if both]
        elif added:
            segment = Segment(added)
            others = [*others, (segment, np.ones(segment.count, np.bool_))]
        return Index([*kept, *others], self.stored)

    @cached_property
    def keys(self) -> dict[str, str]:
        """Id -> key of each document that counts; reads all of them."""
        return {one.id: one.key for one in self.documents()}

    def documents(self) -> Iterator[Document]:
        """Give the documents that count."""
        for part, live in self.parts:
            yield from part.read(np.flatnonzero(live).tolist()).values()

    def prefetch(self, tokens: Collection[str], *, forms: bool = True) -> None:
        """See Part."""
        for part, _ in self.parts:
            part.prefetch(tokens, forms=forms)

    def forms(self, token: str) -> list[str]:
        """Return the words that have a token's stem."""
        root = stem(token)
        words = self.beginning(root, _FORMS) if has_forms(token) else [token]
        return [word for word in words if stem(word) == root and self.frequency(word)]

    def alike(self, token: str) -> list[tuple[str, float]]:
        """Return the words that are spelt most like a token, the three most alike, each with how much (to 1).

        Of words that are equally alike the more frequent come first.
        """
        known: dict[str, tuple[float, int]] = {}
        for part, _ in self.parts:
            for word, score, count in part.spelt_like(token):
                known[word] = (score, count + known.get(word, (0.0, 0))[1])
        found: list[tuple[str, float]] = []
        ranked = sorted(known.items(), key=lambda one: (-one[1][0], -one[1][1], one[0]))
        self.prefetch([word for word, _ in ranked[:ALIKE]], forms=False)
        for word, (score, _) in ranked:
            if len(found) < ALIKE and self.frequency(word):
                found.append((word, score))
        return found

    def beginning(self, prefix: str, limit: int) -> list[str]:
        """Return tokens that begin so, in order."""
        found = [word for part, _ in self.parts for word in part.words_from(prefix, limit)]
        return found if len(self.parts) == 1 else sorted(set(found))[:limit]

    def frequency(self, token: str) -> int:
        """Return in how many documents that count a token stands."""
        found = self._frequencies.get(token)
        if found is None:
            found = 0
            for (part, live), whole in zip(self.parts, self._whole, strict=True):
                if whole:
                    found += part.frequency(token)
                elif (postings := part.postings(token)) is not None:
                    found += int(np.count_nonzero(live[postings.documents]))
            self._frequencies[token] = found
        return found

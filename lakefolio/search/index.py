"""An inverted index over documents in memory: immutable segments, each with the documents that still count.

A new version of the lake makes a new index out of the last: what it lacks no longer counts, what is new is a segment
of its own, and from a tenth on all are made one. An index never changes, so any number of threads read it. Postings
hold for each document a token's weight and in which fields it stands.

Ranking: BM25 over tokens weighted by field (names most). Statistics are of the documents that count, whatever segments
they lie in, so that an answer does not depend on how the index came to be.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from lakefolio.format.names import is_own_folio
from lakefolio.search.meaning import Encoder, StaticEncoder, scaled
from lakefolio.search.parse import FIELDS
from lakefolio.search.vectors import Vectors
from lakefolio.search.words import compounds, stem, tokens

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["BITS", "Document", "Index", "Segment", "plain_name"]

BITS: Final = {field: 1 << number for number, field in enumerate(FIELDS)}
_WEIGHTS: Final[Mapping[str, float]] = {"name": 4.0, "tag": 2.5, "folio": 2.0, "description": 2.0, "column": 1.5}
_MEANT: Final = ("name", "description", "tag", "column", "content", "error")
"""The fields whose words give a document its meaning."""

_MEANT_BITS: Final = sum(BITS[field] for field in _MEANT)
_OWN: Final = 1e-3
_AT_ONCE: Final = 100_000
_MERGE: Final = 10
_FORMS: Final = 200
_ALIKE: Final = 3
_COMPARED: Final = 50
_ALIKE_FROM: Final = 0.7
_BIT_COUNTS: Final = np.array([number.bit_count() for number in range(1 << 16)], np.uint8)


@dataclass(frozen=True, slots=True)
class Document:
    """An item or a run.

    Attributes:
        id: The entry; of a run its id and a hash of its record, so that a changed run is another document.
        type: ``item`` or ``run``.
        ref: ``folio:name@version``, or the run's id.
        name: The item's or the run's name.
        texts: Field -> texts; of metadata ``key value``, of which the key is all up to the first space.
        folio: Of an item its folio, of a run its project.
        kind: Of an item its kind, of a run ``run``.
        digest: The blob of an item and its generation, which may be purged.
        status: The status of a run.
    """

    id: str
    type: str
    ref: str
    name: str
    texts: tuple[tuple[str, str], ...]
    folio: str | None = None
    kind: str | None = None
    author: str | None = None
    tags: tuple[str, ...] = ()
    description: str | None = None
    digest: tuple[str, int] | None = None
    status: str | None = None


Postings = tuple["npt.NDArray[np.int32]", "npt.NDArray[np.float32]", "npt.NDArray[np.int32]"]
"""Documents in order, the weight of the token in each, and the fields it stands in."""


class Segment:
    """Some documents and their postings."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self.documents = tuple(documents)
        vocabulary: defaultdict[str, int] = defaultdict()
        vocabulary.default_factory = vocabulary.__len__
        number = vocabulary.__getitem__
        said: list[int] = []
        texts: list[tuple[int, int, float, int]] = []  # document, tokens, weight, field
        for place, document in enumerate(self.documents):
            for field, text in document.texts:
                found = [*tokens(text), *(token for _, _, token in compounds(text))]
                said.extend(map(number, found))
                texts.append((place, len(found), _WEIGHTS.get(field, 1.0), BITS[field]))
        vocabulary.default_factory = None
        self._numbers: dict[str, int] = vocabulary
        self._vectors: dict[Encoder, Vectors] = {}
        self._gather(np.array(said, np.int64), np.array(texts, np.float64).reshape(-1, 4))
        self.names: dict[str, list[int]] = {}
        for place, document in enumerate(self.documents):
            self.names.setdefault(plain_name(document.name), []).append(place)

    def _gather(self, said: npt.NDArray[np.int64], texts: npt.NDArray[np.float64]) -> None:
        """Make the postings: of each token and document one, in order."""
        places, counts = texts[:, 0].astype(np.int64), texts[:, 1].astype(np.int64)
        documents = np.repeat(places, counts)
        weights = np.repeat(texts[:, 2], counts)
        fields = np.repeat(texts[:, 3].astype(np.int64), counts)
        self.lengths = np.bincount(documents, weights, len(self.documents)).astype(np.float32)
        keys = said * max(len(self.documents), 1) + documents
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if len(keys) else np.zeros(0, np.int64)
        self._documents = documents[order][starts].astype(np.int32)
        self._weights = (np.add.reduceat(weights[order], starts) if len(starts) else weights).astype(np.float32)
        self._fields = (np.bitwise_or.reduceat(fields[order], starts) if len(starts) else fields).astype(np.int32)
        self._ends = np.searchsorted(said[order][starts], np.arange(len(self._numbers) + 1)).tolist()

    def postings(self, token: str) -> Postings | None:
        """Return the postings of a token; None if no document has it."""
        if (number := self._numbers.get(token)) is None:
            return None
        chosen = slice(self._ends[number], self._ends[number + 1])
        return self._documents[chosen], self._weights[chosen], self._fields[chosen]

    @property
    def words(self) -> Iterable[str]:
        """Its tokens, in no order."""
        return self._numbers.keys()

    @cached_property
    def facets(self) -> dict[str, tuple[list[str], npt.NDArray[np.int32]]]:
        """The facets with one value a document: name -> values, and the value's number of each document, or -1."""
        found = {}
        for name in ("type", "kind", "folio", "author"):
            numbers: dict[str, int] = {}
            codes = np.full(len(self.documents), -1, np.int32)
            for number, document in enumerate(self.documents):
                if (value := getattr(document, name)) is not None:
                    codes[number] = numbers.setdefault(value, len(numbers))
            found[name] = (list(numbers), codes)
        return found

    @cached_property
    def tags(self) -> tuple[list[str], npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """The tags; the numbers of those of each document, one document after the other; where each one's end."""
        numbers: dict[str, int] = {}
        found: list[int] = []
        ends = []
        for document in self.documents:
            found += [numbers.setdefault(tag, len(numbers)) for tag in dict.fromkeys(document.tags)]
            ends.append(len(found))
        return list(numbers), np.array(found, np.int32), np.array(ends, np.int64)

    def counts(self, chosen: npt.NDArray[np.int64]) -> Iterator[tuple[str, list[str], npt.NDArray[np.int64]]]:
        """Give each facet with its values, and how many of some documents have each."""
        for name, (values, codes) in self.facets.items():
            yield name, values, np.bincount(codes[chosen] + 1, minlength=len(values) + 1)[1:]
        values, numbers, ends = self.tags
        starts = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
        lengths = ends[chosen] - starts[chosen]
        first = np.cumsum(lengths) - lengths
        places = np.repeat(starts[chosen] - first, lengths) + np.arange(int(lengths.sum()))
        yield "tag", values, np.bincount(numbers[places], minlength=len(values))

    def having(self, facet: str, value: str) -> npt.NDArray[np.bool_]:
        """Return which documents have a value of a facet."""
        values, codes = self.facets[facet]
        wanted = values.index(value) if value in values else -2
        mask: npt.NDArray[np.bool_] = codes == wanted
        return mask

    def vectors(self, encoder: Encoder) -> Vectors:
        """Return the vectors of the documents; made when they are first asked for."""
        found = self._vectors.get(encoder)
        if found is None:
            made = self._summed(encoder) if isinstance(encoder, StaticEncoder) else self._encoded(encoder)
            found = self._vectors[encoder] = Vectors(made)
        return found

    def _encoded(self, encoder: Encoder) -> npt.NDArray[np.float32]:
        texts = [" ".join(text for field, text in one.texts if field in _MEANT) for one in self.documents]
        return encoder.of_texts(texts) if texts else np.zeros((0, 1), np.float32)

    def _summed(self, encoder: StaticEncoder) -> npt.NDArray[np.float32]:
        """Sum the vectors of the tokens of each document: the postings have them."""
        of_token = encoder.of_tokens(list(self._numbers))
        chosen = (self._fields & _MEANT_BITS) != 0
        documents = self._documents[chosen]
        order = np.argsort(documents, kind="stable")
        documents, said = documents[order], np.repeat(np.arange(len(of_token)), np.diff(self._ends))[chosen][order]
        sums = np.zeros((len(self.documents), encoder.size), np.float32)
        starts = np.flatnonzero(np.diff(documents, prepend=-1))
        for first in range(0, len(starts), _AT_ONCE):
            some = starts[first : first + _AT_ONCE]
            end = starts[first + _AT_ONCE] if first + _AT_ONCE < len(starts) else len(documents)
            sums[documents[some]] = np.add.reduceat(of_token[said[some[0] : end]], some - some[0])
        return scaled(sums)

    @cached_property
    def factors(self) -> npt.NDArray[np.float64]:
        """What the scores of each document are multiplied by: what the library keeps for itself comes last."""
        own = [one.type == "item" and is_own_folio(one.folio or "") for one in self.documents]
        return np.where(own, _OWN, 1.0)

    @cached_property
    def sorted_names(self) -> list[str]:
        """The names in order, for those that begin alike."""
        return sorted(self.names)


class Index:
    """Segments with the documents that count, and their statistics."""

    def __init__(self, parts: Sequence[tuple[Segment, npt.NDArray[np.bool_]]]) -> None:
        self.parts = tuple(parts)
        self._frequencies: dict[str, int] = {}
        self.count = int(sum(live.sum() for _, live in parts))
        total = float(sum(segment.lengths[live].sum() for segment, live in parts))
        self.mean_length = max(total / max(self.count, 1), 1.0)

    @classmethod
    def of(cls, documents: Sequence[Document]) -> Index:
        """Make an index of documents."""
        return cls([(Segment(documents), np.ones(len(documents), np.bool_))])

    @cached_property
    def places(self) -> dict[str, tuple[int, int]]:
        """Id -> segment and number of each document that counts."""
        return {
            segment.documents[number].id: (place, number)
            for place, (segment, live) in enumerate(self.parts)
            for number in np.flatnonzero(live).tolist()
        }

    def with_changes(self, removed: Sequence[str], added: Sequence[Document]) -> Index:
        """Return the index without some documents, and with others."""
        if not removed and not added:
            return self
        live = [one.copy() for _, one in self.parts]
        for one in removed:
            place, number = self.places[one]
            live[place][number] = False
        parts = [(segment, live[place]) for place, (segment, _) in enumerate(self.parts)]
        small = sum(len(segment.documents) for segment, _ in parts[1:]) + len(added) + len(removed)
        if small * _MERGE > len(parts[0][0].documents) or len(parts) > _MERGE:
            return Index.of([*Index(parts).documents(), *added])
        return Index([*parts, (Segment(added), np.ones(len(added), np.bool_))] if added else parts)

    def documents(self) -> Iterator[Document]:
        """Give the documents that count."""
        for segment, live in self.parts:
            yield from (segment.documents[number] for number in np.flatnonzero(live).tolist())

    @cached_property
    def vocabulary(self) -> list[str]:
        """All tokens, sorted."""
        return sorted(set().union(*(segment.words for segment, _ in self.parts)))

    @cached_property
    def _letters(self) -> npt.NDArray[np.uint32]:
        """Which letters each word of the vocabulary has, as bits."""
        words = [word.encode() for word in self.vocabulary]
        starts = np.cumsum([0, *map(len, words[:-1])])
        bits = np.uint32(1) << (np.frombuffer(b"".join(words), np.uint8) & 31).astype(np.uint32)
        return np.bitwise_or.reduceat(bits, starts) if words else bits

    def forms(self, token: str) -> list[str]:
        """Return the words that have a token's stem."""
        root = stem(token)
        return [word for word in self.beginning(root, _FORMS) if stem(word) == root and self.frequency(word)]

    def alike(self, token: str) -> list[tuple[str, float]]:
        """Return the words that are spelt most like a token, the three most alike, each with how much (to 1).

        Of words that are equally alike the more frequent come first.

        An edit changes two letters at most, so words with many other letters are left out before any is compared.
        """
        from rapidfuzz import process
        from rapidfuzz.distance import OSA

        if len(token) < 3 or not self.vocabulary:
            return []
        least = min(_ALIKE_FROM, 1 - 1 / len(token))
        edits = int((1 - least) * (len(token) / least + 1)) + 1
        own = np.bitwise_or.reduce(np.uint32(1) << (np.frombuffer(token.encode(), np.uint8) & 31).astype(np.uint32))
        other = self._letters ^ own
        near = np.flatnonzero(_BIT_COUNTS[other & 0xFFFF] + _BIT_COUNTS[other >> 16] <= 2 * edits)
        words = [self.vocabulary[one] for one in near.tolist()]
        scorer = OSA.normalized_similarity
        found = process.extract(token, words, scorer=scorer, limit=_COMPARED, score_cutoff=least)
        known = [(word, score) for word, score, _ in found if self.frequency(word)]
        return sorted(known, key=lambda one: (-one[1], -self.frequency(one[0]), one[0]))[:_ALIKE]

    def beginning(self, prefix: str, limit: int) -> list[str]:
        """Return tokens that begin so, in order."""
        words = self.vocabulary
        start = bisect_left(words, prefix)
        found = []
        for word in words[start : start + limit]:
            if not word.startswith(prefix):
                break
            found.append(word)
        return found

    def frequency(self, token: str) -> int:
        """Return in how many documents that count a token stands."""
        found = self._frequencies.get(token)
        if found is None:
            having = [(segment.postings(token), live) for segment, live in self.parts]
            found = sum(int(np.count_nonzero(live[one[0]])) for one, live in having if one is not None)
            self._frequencies[token] = found
        return found


def plain_name(text: str) -> str:
    """Return a name as it is compared: its tokens."""
    return " ".join(tokens(text))

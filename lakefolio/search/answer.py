"""The answer of an index to a query: which documents match, in which order, why, and how they fall into facets (pure).

Names come first: an item of exactly the name that was asked for stands above all others, then those whose name begins
so, then everything by BM25. A word that stands nowhere is taken for the words that begin so, else for those that are
spelt most alike; the reason of a hit says so.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from heapq import nsmallest
from typing import TYPE_CHECKING, Final

import numpy as np

from lakefolio.search.index import BITS, Document, Index, Segment, plain_name
from lakefolio.search.parse import All, AnyOf, Bag, Node, Not, Term
from lakefolio.search.result import Highlight, Hit, SearchResult
from lakefolio.search.words import spans, tokens

if TYPE_CHECKING:
    import numpy.typing as npt

    Mask = npt.NDArray[np.bool_]

__all__ = ["answer"]

_K1: Final = 1.2
_B: Final = 0.5
_PREFIXES: Final = 50
_VALUES: Final = 100
_ALIKE: Final = 3
_ALIKE_FROM: Final = 0.7
_EXACT: Final = 2_000_000.0
_BEGINS: Final = 1_000_000.0
_SNIPPET: Final = 160


def answer(
    index: Index,
    node: Node | None,
    query: str,
    *,
    version: int,
    limit: int,
    only: Mapping[str, str],
    purged: Mapping[str, int],
) -> SearchResult:
    """Return the best documents for a query.

    Args:
        index: The index.
        node: The tree of the query; None matches everything.
        query: The query as it was given.
        version: The version of the lake.
        limit: How many hits to give at most.
        only: Facet -> the value that hits must have.
        purged: Blob -> the highest generation of it that was purged.
    """
    asked = _Asked(index, node)
    best: list[tuple[float, str, int, int]] = []
    facets: dict[str, Counter[str]] = {name: Counter() for name in ("type", "kind", "folio", "tag", "author")}
    total = 0
    name = plain_name(query)
    for place, (segment, live) in enumerate(index.parts):
        mask = live & asked.matches(segment, node)
        for facet, value in only.items():
            mask &= segment.having(facet, value)
        for number in np.flatnonzero(mask).tolist() if purged else ():
            blob = segment.documents[number].digest
            mask[number] = blob is None or blob[1] > purged.get(blob[0], -1)
        chosen = np.flatnonzero(mask)
        if not len(chosen):
            continue
        total += len(chosen)
        _count(facets, segment, mask)
        scores = asked.scores(segment)
        for number, tier in _named(segment, name):
            scores[number] += tier
        ranked = scores[chosen]
        kept = (
            chosen if len(chosen) <= limit else chosen[ranked >= np.partition(ranked, -limit)[-limit]] if limit else []
        )
        best += [(-float(scores[one]), segment.documents[one].ref, place, int(one)) for one in kept]
    best.sort()
    hits = [asked.hit(index.parts[place][0].documents[one], -score) for score, _, place, one in best[:limit]]
    counts = {
        what: dict(nsmallest(_VALUES, found.items(), key=lambda one: (-one[1], one[0])))
        for what, found in facets.items()
    }
    return SearchResult(query, version, total, hits, counts)


def _count(facets: dict[str, Counter[str]], segment: Segment, mask: Mask) -> None:
    coded = {name: (values, codes[mask & (codes >= 0)]) for name, (values, codes) in segment.facets.items()}
    tags, documents, codes = segment.tags
    coded["tag"] = tags, codes[mask[documents]]
    for name, (values, chosen) in coded.items():
        counts = np.bincount(chosen, minlength=len(values))
        facets[name].update({values[one]: int(counts[one]) for one in np.flatnonzero(counts)})


def _named(segment: Segment, name: str) -> Iterator[tuple[int, float]]:
    """Give the documents whose name is the one asked for, or begins so."""
    if not name:
        return
    names = segment.sorted_names
    for at in range(bisect_left(names, name), len(names)):
        if not names[at].startswith(name):
            break
        for number in segment.names[names[at]]:
            yield number, _EXACT if names[at] == name else _BEGINS


class _Asked:
    """A query with the tokens that its words are taken for."""

    def __init__(self, index: Index, node: Node | None) -> None:
        self._index = index
        self._taken: dict[tuple[str, bool, bool], dict[str, float]] = {}
        self.wanted: dict[str, float] = {}
        self.notes: dict[str, str] = {}
        for term in _positive(node):
            for number, token in enumerate(term.tokens):
                last = number == len(term.tokens) - 1
                for word, factor in self.taken(token, prefix=term.prefix and last, exact=term.exact).items():
                    self.wanted[word] = max(self.wanted.get(word, 0.0), factor)
                    if word in self.notes and len(term.tokens) == 1:
                        self.notes[word] = term.text

    def taken(self, token: str, *, prefix: bool, exact: bool) -> dict[str, float]:
        """Return the tokens that a token is taken for, each with its weight."""
        key = token, prefix, exact
        if key in self._taken:
            return self._taken[key]
        found = {token: 1.0} if self._index.frequency(token) else {}
        if prefix:
            found |= {word: 0.8 for word in self._index.beginning(token, _PREFIXES) if word != token}
        elif not found and not exact:
            found = dict.fromkeys(self._index.beginning(token, _PREFIXES), 0.8) if len(token) > 1 else {}
            if not found:
                found = self._alike(token)
                self.notes.update(dict.fromkeys(found, token))
        self._taken[key] = found
        return found

    def _alike(self, token: str) -> dict[str, float]:
        from rapidfuzz import process
        from rapidfuzz.distance import OSA

        if len(token) < 3:
            return {}
        found = process.extract(
            token,
            self._index.vocabulary,
            scorer=OSA.normalized_similarity,
            limit=_ALIKE,
            score_cutoff=min(_ALIKE_FROM, 1 - 1 / len(token)),
        )
        return {word: 0.5 * score for word, score, _ in found if self._index.frequency(word)}

    def matches(self, segment: Segment, node: Node | None) -> Mask:
        """Return which documents of a segment match."""
        count = len(segment.documents)
        if node is None:
            return np.ones(count, np.bool_)
        if isinstance(node, Term):
            return self._term(segment, node)
        if isinstance(node, Not):
            return ~self.matches(segment, node.node)
        some = isinstance(node, AnyOf | Bag)
        found = np.full(count, not some)
        for one in node.nodes:
            found = found | self.matches(segment, one) if some else found & self.matches(segment, one)
        return found

    def _term(self, segment: Segment, term: Term) -> Mask:
        found = np.ones(len(segment.documents), np.bool_)
        exact = term.exact or term.field is not None
        for number, token in enumerate(term.tokens):
            last = number == len(term.tokens) - 1
            here = np.zeros(len(segment.documents), np.bool_)
            for word in self.taken(token, prefix=term.prefix and last, exact=exact and not term.prefix):
                if (postings := segment.postings(word)) is not None:
                    numbers, _, masks = postings
                    here[numbers if term.field is None else numbers[(masks & BITS[term.field]) != 0]] = True
            found &= here
        if term.key is not None or len(term.tokens) > 1:
            for number in np.flatnonzero(found).tolist():
                found[number] = self._stands(segment.documents[number], term)
        return found

    def _stands(self, document: Document, term: Term) -> bool:
        """Say whether the tokens stand one after the other in one text of a document."""
        count = len(term.tokens)
        allowed = [
            set(self.taken(token, prefix=term.prefix and place == count - 1, exact=term.exact))
            for place, token in enumerate(term.tokens)
        ]
        for field, text in document.texts:
            if term.field not in (None, field):
                continue
            if term.key is not None:
                key, _, text = text.partition(" ")
                if key != term.key:
                    continue
            have = tokens(text)
            for start in range(len(have) - count + 1):
                if all(have[start + place] in allowed[place] for place in range(count)):
                    return True
        return False

    def scores(self, segment: Segment) -> npt.NDArray[np.float64]:
        """Return the BM25 score of each document of a segment."""
        index = self._index
        found = np.zeros(len(segment.documents), np.float64)
        for word, factor in self.wanted.items():
            if (postings := segment.postings(word)) is None:
                continue
            numbers, weights, _ = postings
            frequency = index.frequency(word)
            rare = math.log(1 + (index.count - frequency + 0.5) / (frequency + 0.5))
            norm = _K1 * (1 - _B + _B * segment.lengths[numbers] / index.mean_length)
            found[numbers] += factor * rare * weights * (_K1 + 1) / (weights + norm)
        return found

    def hit(self, document: Document, score: float) -> Hit:
        """Return a document with why it was found, and where."""
        highlights = []
        fields: dict[str, list[str]] = {}
        for field, text in document.texts:
            marks = [(start, end) for start, end, token in spans(text) if token in self.wanted]
            if marks:
                fields.setdefault(field, [])
                fields[field] += [text[start:end] for start, end in marks]
                highlights.append(_highlight(field, text, marks))
        why = []
        if score >= _EXACT:
            why.append("this is its name")
        elif score >= _BEGINS:
            why.append("its name begins so")
        why += [f"{', '.join(dict.fromkeys(words))} in {field}" for field, words in fields.items()]
        for word, token in self.notes.items():
            if any(word in tokens(one) for words in fields.values() for one in words):
                why.append(f"{token!r} taken for {word!r}")
        plain = score % _BEGINS if score >= _BEGINS else score
        return Hit(document, round(plain, 6), "; ".join(why) or "nothing speaks against it", tuple(highlights))


def _highlight(field: str, text: str, marks: list[tuple[int, int]]) -> Highlight:
    start = max(min(marks[0][0] - _SNIPPET // 4, len(text) - _SNIPPET), 0)
    end = start + _SNIPPET
    inside = tuple((one - start, other - start) for one, other in marks if start <= one and other <= end)
    return Highlight(field, text[start:end], inside)


def _positive(node: Node | None) -> Iterator[Term]:
    if isinstance(node, Term):
        yield node
    elif isinstance(node, All | AnyOf | Bag):
        for one in node.nodes:
            yield from _positive(one)

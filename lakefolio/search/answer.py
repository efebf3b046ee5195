"""The answer of an index to a query: which documents match, in which order, why, and how they fall into facets (pure).

Names come first: an item of exactly the name that was asked for stands above all others, then those whose name begins
so, then everything by BM25; in each of these, what the library keeps for itself (the code of runs, records) comes last.
Other forms of a word (delayed, delaying) count less than the word. One that stands nowhere is taken for the words that
begin so and that not most documents have, else for those that are spelt most alike; the reason of a hit says so.

Where the meaning counts too, the documents that mean most alike are ranked beside those that have the words, and the
two rankings are fused by reciprocal rank (Cormack, Clarke and Büttcher, 2009).

A member of a dataset is a copy of an item that is found itself: it is left out unless the query names its dataset, or
nothing else is found. So is what runs note of themselves, their code and environments.

Slightly longer than most modules: how documents match, rank and say why share the same words of a query.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from heapq import nsmallest
from typing import TYPE_CHECKING, Final

import numpy as np

from lakefolio.format.names import RECORD_FOLIOS, is_own_folio
from lakefolio.search.document import DATASETS, Document, Label
from lakefolio.search.facets import FACETS
from lakefolio.search.gathering import BITS, OWN, bm25, plain_name
from lakefolio.search.index import Index, Part
from lakefolio.search.parse import All, AnyOf, Bag, Node, Not, Term, terms
from lakefolio.search.result import Found, Highlight, Hit, SearchResult
from lakefolio.search.words import compounds, is_letter, spans, tokens

if TYPE_CHECKING:
    import numpy.typing as npt

    from lakefolio.search.meaning import Encoder

    Mask = npt.NDArray[np.bool_]

__all__ = ["answer", "similar"]

_PREFIXES: Final = 50
_RECORDS: Final = frozenset(token for name in RECORD_FOLIOS for token in tokens(name))
_VALUES: Final = 100
_FORM: Final = 0.7
_OWN_FACTOR: Final = 1e-3
_EXACT: Final = 2_000_000.0
_BEGINS: Final = 1_000_000.0
_NAMED: Final = 2_000
_SNIPPET: Final = 160
_PRINTED_BYTES: Final = 1 << 20
"""Facets are printed as long as they take no more bytes to read; none of a lake in a bucket that takes a request."""
_NEAREST: Final = 50
_LEAST: Final = 0.3
_RANKED: Final = 200
_STRETCH: Final = 1_024
"""Documents of which the best is looked for before those of the highest scores: to sort all takes ten times as long."""

_RANK: Final = 10


def answer(
    index: Index,
    node: Node | None,
    query: str,
    *,
    version: int,
    limit: int,
    only: Mapping[str, str],
    purged: Mapping[str, int],
    encoder: Encoder | None = None,
    members: bool = False,
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
        encoder: Gives the meaning of texts, if that counts too.
        members: Whether members of datasets, and what runs note of themselves, are found though nothing names these.
    """
    name = plain_name(query)
    index.prefetch([token for term in _positive(node) for token in (*term.tokens, *tokens(term.key or ""))])
    asked = _Asked(index, node)
    allowed = [_allowed(part, live, only, purged) for part, live in index.parts]
    members = members or _is_aside(only.get("folio"))
    copies = [] if members else [_copies(part, asked.wanted) for part, _ in index.parts]
    if copies:
        allowed = [mask & ~copy for mask, copy in zip(allowed, copies, strict=True)]
    near = [] if encoder is None else _nearest(index, allowed, encoder, encoder.of_texts([query])[0], _NEAREST)
    best: list[_Ranked] = []
    found: list[npt.NDArray[np.int64]] = []
    least = max(limit, _RANKED) if near else limit
    for place, (part, _) in enumerate(index.parts):
        mask = asked.matches(part, node, allowed[place]) & allowed[place]
        chosen = np.flatnonzero(mask)
        if len(chosen) and least:
            scores = asked.scores(part)
            if name:
                _raise_named(scores, part, name)
            kept = _highest(scores, chosen, least)
            known = part.labels(kept, sorted(asked.wanted, key=index.frequency))
            best += [(-float(scores[one]), known[one], place, one) for one in kept]
        if near:
            mask[[one for _, _, at, one in near if at == place]] = True
            chosen = np.flatnonzero(mask)
        found.append(chosen)
    best.sort()
    alike = {(place, number): -score for score, _, place, number in near}
    hits = (_fused(best, near, asked.shares(best)) if near else best)[:limit]

    def texts() -> dict[str, Found]:
        documents = _documents(index, hits)
        return {one[1].ref: asked.shown(document) for one, document in zip(hits, documents, strict=True)}

    if not sum(map(len, found)) and any(copy.any() for copy in copies):
        again = partial(answer, index, node, query, version=version, limit=limit, only=only, purged=purged)
        return again(encoder=encoder, members=True)
    return _result(index, query, version, found, hits, asked.reasons(hits, alike), texts)


def _raise_named(scores: npt.NDArray[np.float64], part: Part, name: str) -> None:
    """Raise the scores of documents by their names: of so many that have it or begin so, in the order of names."""
    raised = 0
    for numbers, exact in part.named(name):
        scores[numbers] += _EXACT if exact else _BEGINS
        raised += len(numbers)
        if raised >= _NAMED:
            break


def _result(
    index: Index,
    query: str,
    version: int,
    found: Sequence[npt.NDArray[np.int64]],
    hits: Sequence[_Ranked],
    reasons: Sequence[str],
    texts: Callable[[], dict[str, Found]],
) -> SearchResult:
    shown = [
        Hit(label, round(_plain_score(-score), 6), why) for (score, label, _, _), why in zip(hits, reasons, strict=True)
    ]
    near = all(part.is_near for part, _ in index.parts)
    total, facets = sum(map(len, found)), partial(_facets, index, found)
    printed = _printed(index, _PRINTED_BYTES if near else 0)
    return SearchResult(query, version, total, shown, texts, facets, printed=printed, is_near=near)


def _printed(index: Index, limit: int) -> tuple[str, ...]:
    """Return the facets that no more bytes are read for, in order."""
    sizes = {facet: sum(part.facet_bytes(facet) for part, _ in index.parts) for facet in FACETS}
    small, total = set(), 0
    for facet in sorted(FACETS, key=sizes.__getitem__):
        total += sizes[facet]
        small |= {facet} if total <= limit else set()
    return tuple(facet for facet in FACETS if facet in small)


def similar(
    index: Index,
    document: tuple[int, int],
    *,
    version: int,
    limit: int,
    only: Mapping[str, str],
    purged: Mapping[str, int],
    encoder: Encoder,
) -> SearchResult:
    """Return the documents that mean most alike one, given as part and number, without it."""
    place, number = document
    allowed = [_allowed(*part, only, purged) for part in index.parts]
    if not _is_aside(only.get("folio")):
        allowed = [mask & ~_copies(part, ()) for mask, (part, _) in zip(allowed, index.parts, strict=True)]
    allowed[place][number] = False
    vector = index.parts[place][0].vectors(encoder).row(number)
    near = _nearest(index, allowed, encoder, vector, limit)
    found = [np.array([one for _, _, at, one in near if at == place], np.int64) for place in range(len(index.parts))]
    ref = _document(index, place, number).ref

    def texts() -> dict[str, Found]:
        documents = _documents(index, near)
        return {one[1].ref: Found(document.description, ()) for one, document in zip(near, documents, strict=True)}

    return _result(index, ref, version, found, near, [f"means alike: {-one[0]:.2f}" for one in near], texts)


_Ranked = tuple[float, Label, int, int]
"""The score, negative; the label, whose reference decides between equal scores; segment and number of a document."""


def _document(index: Index, place: int, number: int) -> Document:
    return index.parts[place][0].read([number])[number]


def _documents(index: Index, ranked: Sequence[_Ranked]) -> list[Document]:
    """Return documents, those of a part in one go."""
    known: dict[tuple[int, int], Document] = {}
    for place, (part, _) in enumerate(index.parts):
        numbers = [number for _, _, at, number in ranked if at == place]
        known |= {(place, number): document for number, document in (part.read(numbers) if numbers else {}).items()}
    return [known[place, number] for _, _, place, number in ranked]


def _plain_score(score: float) -> float:
    """Return a score without what stands for a name."""
    return score % _BEGINS if score >= _BEGINS else score


def _allowed(part: Part, live: Mask, only: Mapping[str, str], purged: Mapping[str, int]) -> Mask:
    """Return which documents of a part may be found at all."""
    mask = live.copy()
    for facet, value in only.items():
        mask &= part.having(facet, value)
    return part.without_purged(mask, purged)


def _is_aside(folio: str | None) -> bool:
    return folio is not None and (folio.startswith(DATASETS) or folio in RECORD_FOLIOS)


def _copies(part: Part, words: Iterable[str]) -> Mask:
    """Return which documents are members of datasets, or in folios of records, whose names have none of some words."""
    copies = np.zeros(part.count, np.bool_)
    copies[part.aside(DATASETS)] = True
    for word in words if copies.any() else ():
        copies &= ~_holding(part, word, BITS["folio"])
    for folio in RECORD_FOLIOS if _RECORDS.isdisjoint(words) else ():
        copies[part.aside(f"{folio}:")] = True
    return copies


def _holding(part: Part, word: str, fields: int) -> Mask:
    """Return which documents have a word in one of some fields, given as bits."""
    mask = np.zeros(part.count, np.bool_)
    if (found := part.postings(word)) is not None:
        mask[found.documents[(found.fields & fields) != 0]] = True
    return mask


def _reads_texts(term: Term) -> bool:
    """Say whether the texts of documents are read to see whether a term stands in them."""
    return term.key is not None or len(term.tokens) > 1


def _highest(scores: npt.NDArray[np.float64], chosen: npt.NDArray[np.int64], least: int) -> list[int]:
    """Return the documents of the highest scores; of equal ones the first."""
    if len(chosen) > least:
        ranked = some = scores[chosen]
        if len(ranked) > least * _STRETCH:  # so many stretches have a best that the least of all can't be lower
            best = ranked[: len(ranked) // _STRETCH * _STRETCH].reshape(-1, _STRETCH).max(axis=1)
            some = ranked[ranked >= np.partition(best, -least)[-least]]
        bound = np.partition(some, -least)[-least]
        above = chosen[ranked > bound]
        chosen = np.concatenate([above, chosen[ranked == bound][: least - len(above)]])
    kept: list[int] = chosen.tolist()
    return kept


def _nearest(
    index: Index, allowed: Sequence[Mask], encoder: Encoder, vector: npt.NDArray[np.float32], limit: int
) -> list[_Ranked]:
    """Return the documents whose meaning is nearest to a vector."""
    found = []
    for place, (part, _) in enumerate(index.parts):
        near = part.vectors(encoder).nearest(vector, allowed[place], limit, _LEAST) if allowed[place].any() else ()
        labels = part.labels([one for _, one in near], ())
        found += [(-alike, labels[one], place, one) for alike, one in near]
    return sorted(found)[:limit]


def _fused(by_words: Sequence[_Ranked], by_meaning: Sequence[_Ranked], shares: Sequence[float]) -> list[_Ranked]:
    """Fuse two rankings by reciprocal rank; hits by name stay above, what the library keeps for itself below.

    A document counts by its words as much as it has of the query's, squared: one that has but a common word of a long
    question is no better than none.
    """
    scores: dict[tuple[Label, int, int], float] = {}
    for rank, ((score, label, place, number), share) in enumerate(zip(by_words, shares, strict=True)):
        tier = -score // _BEGINS * _BEGINS if -score >= _BEGINS else 0.0
        scores[label, place, number] = tier + share * share / (_RANK + rank)
    for rank, (_, label, place, number) in enumerate(by_meaning):
        scores[label, place, number] = scores.get((label, place, number), 0.0) + 1 / (_RANK + rank)
    for (label, place, number), score in scores.items():
        tier = score // _BEGINS * _BEGINS
        factor = _OWN_FACTOR if label.type == "item" and is_own_folio(label.folio or "") else 1.0
        scores[label, place, number] = tier + (score - tier) * factor
    return sorted((-score, *one) for one, score in scores.items())


def _facets(
    index: Index, found: Sequence[npt.NDArray[np.int64]], names: Sequence[str] = FACETS
) -> dict[str, dict[str, int]]:
    """Count how documents, given for each part, fall into some facets: of each the largest values."""
    facets: dict[str, Counter[str]] = {name: Counter() for name in names}
    for (part, _), chosen in zip(index.parts, found, strict=True):
        for name, counts in part.counts(names, chosen).items() if len(chosen) else ():
            facets[name].update(counts)
    return {
        what: dict(nsmallest(_VALUES, values.items(), key=lambda one: (-one[1], one[0])))
        for what, values in facets.items()
    }


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
        if not prefix and not exact:
            found |= {word: _FORM for word in self._index.forms(token) if word != token}
        if prefix or (is_letter(token) and not exact):
            found |= {word: 0.8 for word in self._index.beginning(token, _PREFIXES) if word != token}
        elif not found and not exact:
            found = dict.fromkeys(self._telling(self._index.beginning(token, _PREFIXES)), 0.8) if token[1:] else {}
            if not found:
                found = {word: 0.5 * score for word, score in self._index.alike(token)}
                self.notes.update(dict.fromkeys(found, token))
        self._taken[key] = found
        return found

    def _telling(self, words: Sequence[str]) -> Sequence[str]:
        """Return the words that at most half of the documents have, if there are such: others tell none apart."""
        return [word for word in words if 2 * self._index.frequency(word) <= self._index.count] or words

    def matches(self, part: Part, node: Node | None, among: Mask) -> Mask:
        """Return which of some documents of a part match; it says nothing of others.

        What reads texts comes last, and reads those of documents alone that all depends on.
        """
        if node is None:
            return among
        if isinstance(node, Term):
            return self._term(part, node, among)
        if isinstance(node, Not):
            return ~self.matches(part, node.node, among)
        nodes = sorted(node.nodes, key=lambda one: any(map(_reads_texts, terms(one))))
        if isinstance(node, All):
            for one in nodes:
                among = among & self.matches(part, one, among)
            return among
        found = np.zeros(part.count, np.bool_)
        for one in nodes:
            left = among & ~found
            found |= left & self.matches(part, one, left)
        return found

    def _term(self, part: Part, term: Term, among: Mask) -> Mask:
        fields = np.full(part.count, OWN - 1 if term.field is None else BITS[term.field], np.uint16)
        exact = term.exact or term.field is not None
        for number, token in enumerate(term.tokens):
            last = number == len(term.tokens) - 1
            here = np.zeros(part.count, np.uint16)
            for word in self.taken(token, prefix=term.prefix and last, exact=exact and not term.prefix):
                if (postings := part.postings(word)) is not None:
                    here[postings.documents] |= postings.fields.astype(np.uint16)
            fields &= here  # the tokens of a phrase stand in one text, so in one field
        found: Mask = (fields != 0) & among
        for token in tokens(term.key or ""):
            found &= _holding(part, token, BITS["metadata"])
        if _reads_texts(term):
            numbers, stands = np.flatnonzero(found & ~self._called(part, term)), self._stands(term)
            found[numbers] = False
            for number, text in part.texts(numbers, int(np.bitwise_or.reduce(fields[numbers]))):
                if stands(text):
                    found[number] = True
        if ":" in term.text and term.field is None:  # a reference, whose words stand in two fields
            found[part.find([term.text, term.text.rpartition("@")[0]])] = True
        return found

    def _called(self, part: Part, term: Term) -> Mask:
        """Return the documents whose whole name is a phrase: it stands there, and their texts need not be read."""
        found = np.zeros(part.count, np.bool_)
        if term.key is None and term.field in (None, "name"):
            numbers, exact = next(part.named(" ".join(term.tokens)), (None, False))
            if exact:
                found[numbers] = True
        return found

    def _stands(self, term: Term) -> Callable[[str], bool]:
        """Return what says of a text whether the tokens of a term stand in it, one after the other."""
        start, last = f"{term.key} " if term.key is not None else "", len(term.tokens) - 1
        allowed = [
            set(self.taken(token, prefix=term.prefix and place == last, exact=term.exact))
            for place, token in enumerate(term.tokens)
        ]

        @lru_cache(maxsize=4_096)  # values of metadata are alike
        def stands(text: str) -> bool:
            if not text.startswith(start):
                return False
            have = tokens(text[len(start) :])
            places = range(len(have) - last)
            return any(all(have[at + place] in words for place, words in enumerate(allowed)) for at in places)

        return stands

    def scores(self, part: Part) -> npt.NDArray[np.float64]:
        """Return the BM25 score of each document of a part."""
        index = self._index
        found = np.zeros(part.count, np.float64)
        for word, factor in self.wanted.items():
            if (postings := part.postings(word)) is None:
                continue
            found[postings.documents] += bm25(postings, index.mean_length) * (
                factor * self._rare(index.frequency(word))
            )
        return found

    def shares(self, ranked: Sequence[_Ranked]) -> list[float]:
        """Return which share of the query's words each document has, each by how rare it is."""
        numbers = np.array([number for *_, number in ranked], np.int64)
        places = np.array([place for _, _, place, _ in ranked], np.int64)
        shares, whole = np.zeros(len(ranked)), 0.0
        for taken in self._taken.values():
            weight = self._rare(sum(map(self._index.frequency, taken)))
            whole += weight
            having = np.zeros(len(ranked), np.bool_)
            for place, (part, _) in enumerate(self._index.parts):
                here = np.flatnonzero(places == place)
                for word in taken:
                    having[here[_having(part, word, numbers[here])[0]]] = True
            shares += weight * having
        given: list[float] = (shares / max(whole, 1e-9)).tolist()
        return given

    def _rare(self, frequency: int) -> float:
        frequency = min(frequency, self._index.count)
        return math.log(1 + (self._index.count - frequency + 0.5) / (frequency + 0.5))

    def reasons(self, hits: Sequence[_Ranked], alike: Mapping[tuple[int, int], float]) -> list[str]:
        """Return why each hit was found; ``alike`` says how near the meaning of some of them is."""
        numbers = np.array([number for *_, number in hits], np.int64)
        places = np.array([place for _, _, place, _ in hits], np.int64)
        words: list[dict[int, list[str]]] = [{} for _ in hits]
        for place, (part, _) in enumerate(self._index.parts):
            here = np.flatnonzero(places == place)
            for word in self.wanted if len(here) else ():
                having, masks = _having(part, word, numbers[here])
                for hit, fields in zip(here[having].tolist(), masks.tolist(), strict=True):
                    words[hit].setdefault(fields & ~OWN, []).append(word)
        return [self._why(one, -hit[0], alike.get(hit[2:])) for one, hit in zip(words, hits, strict=True)]

    def _why(self, words: Mapping[int, Sequence[str]], score: float, alike: float | None) -> str:
        """Say why a document was found that has words in fields, given as bits."""
        why = []
        if score >= _EXACT:
            why.append("this is its name")
        elif score >= _BEGINS:
            why.append("its name begins so")
        for field, bit in BITS.items():
            here = [word for fields, some in words.items() if fields & bit for word in some]
            why += [f"{', '.join(here)} in {field}"] if here else []
        has = {word for some in words.values() for word in some}
        why += [f"{asked!r} taken for {word!r}" for word, asked in self.notes.items() if word in has]
        why += [] if alike is None else [f"means alike: {alike:.2f}"]
        return "; ".join(why) or "nothing speaks against it"

    def shown(self, document: Document) -> Found:
        """Return what is shown of the texts of a document: its description, and where in them the words stand."""
        highlights = []
        for field, text in document.texts:
            marks = _apart(one[:2] for one in (*compounds(text), *spans(text)) if one[2] in self.wanted)
            highlights += [_highlight(field, text, marks)] if marks else []
        return Found(document.description, tuple(highlights))


def _having(part: Part, word: str, numbers: npt.NDArray[np.int64]) -> tuple[Mask, npt.NDArray[np.int32]]:
    """Return which of some documents have a word; and of those the fields that it stands in, as bits."""
    if (found := part.postings(word)) is None:
        return np.zeros(len(numbers), np.bool_), np.zeros(0, np.int32)
    at = np.minimum(np.searchsorted(found.documents, numbers), len(found.documents) - 1)
    having = found.documents[at] == numbers
    return having, found.fields[at[having]]


def _apart(marks: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return marks in order; those that have letters in common are one."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(marks):
        if found and start < found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


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

"""The answer of an index to a query: which documents match, in which order, why, and how they fall into facets (pure).

Names come first: an item of exactly the name that was asked for stands above all others, then those whose name begins
so, then everything by BM25; in each of these, what the library keeps for itself (the code of runs, records) comes last.

Where the meaning counts too, the documents that mean most alike are ranked beside those that have the words, and the
two rankings are fused by reciprocal rank (Cormack, Clarke and Büttcher, 2009).

A member of a dataset is a copy of an item that is found itself: it is left out unless the query names its dataset, or
nothing else is found. So is what runs note of themselves, their code and environments.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from heapq import nsmallest
from typing import TYPE_CHECKING, Final

import numpy as np

from lakefolio.format.names import RECORD_FOLIOS, is_own_folio
from lakefolio.search.asked import BEGINS, EXACT, Asked, Ranked, holding, positive_terms
from lakefolio.search.document import DATASETS, Document, Label
from lakefolio.search.facets import FACETS
from lakefolio.search.gathering import BITS, plain_name
from lakefolio.search.index import Index
from lakefolio.search.parse import Node
from lakefolio.search.part import Part
from lakefolio.search.result import Found, Hit, SearchResult
from lakefolio.search.words import tokens

if TYPE_CHECKING:
    import numpy.typing as npt

    from lakefolio.search.meaning import Encoder

    Mask = npt.NDArray[np.bool_]

__all__ = ["answer", "similar"]

_RECORDS: Final = frozenset(token for name in RECORD_FOLIOS for token in tokens(name))
_VALUES: Final = 100
_OWN_FACTOR: Final = 1e-3
_NAMED: Final = 2_000
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
    index.prefetch([token for term in positive_terms(node) for token in (*term.tokens, *tokens(term.key or ""))])
    asked = Asked(index, node)
    allowed = [_allowed(part, live, only, purged) for part, live in index.parts]
    members = members or _is_aside(only.get("folio"))
    copies = [] if members else [_copies(part, asked.wanted) for part, _ in index.parts]
    if copies:
        allowed = [mask & ~copy for mask, copy in zip(allowed, copies, strict=True)]
    near = [] if encoder is None else _nearest(index, allowed, encoder, encoder.of_texts([query])[0], _NEAREST)
    best: list[Ranked] = []
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
        scores[numbers] += EXACT if exact else BEGINS
        raised += len(numbers)
        if raised >= _NAMED:
            break


def _result(
    index: Index,
    query: str,
    version: int,
    found: Sequence[npt.NDArray[np.int64]],
    hits: Sequence[Ranked],
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


def _document(index: Index, place: int, number: int) -> Document:
    return index.parts[place][0].read([number])[number]


def _documents(index: Index, ranked: Sequence[Ranked]) -> list[Document]:
    """Return documents, those of a part in one go."""
    known: dict[tuple[int, int], Document] = {}
    for place, (part, _) in enumerate(index.parts):
        numbers = [number for _, _, at, number in ranked if at == place]
        known |= {(place, number): document for number, document in (part.read(numbers) if numbers else {}).items()}
    return [known[place, number] for _, _, place, number in ranked]


def _plain_score(score: float) -> float:
    """Return a score without what stands for a name."""
    return score % BEGINS if score >= BEGINS else score


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
        copies &= ~holding(part, word, BITS["folio"])
    for folio in RECORD_FOLIOS if _RECORDS.isdisjoint(words) else ():
        copies[part.aside(f"{folio}:")] = True
    return copies


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
) -> list[Ranked]:
    """Return the documents whose meaning is nearest to a vector."""
    found = []
    for place, (part, _) in enumerate(index.parts):
        near = part.vectors(encoder).nearest(vector, allowed[place], limit, _LEAST) if allowed[place].any() else ()
        labels = part.labels([one for _, one in near], ())
        found += [(-alike, labels[one], place, one) for alike, one in near]
    return sorted(found)[:limit]


def _fused(by_words: Sequence[Ranked], by_meaning: Sequence[Ranked], shares: Sequence[float]) -> list[Ranked]:
    """Fuse two rankings by reciprocal rank; hits by name stay above, what the library keeps for itself below.

    A document counts by its words as much as it has of the query's, squared: one that has but a common word of a long
    question is no better than none.
    """
    scores: dict[tuple[Label, int, int], float] = {}
    for rank, ((score, label, place, number), share) in enumerate(zip(by_words, shares, strict=True)):
        tier = -score // BEGINS * BEGINS if -score >= BEGINS else 0.0
        scores[label, place, number] = tier + share * share / (_RANK + rank)
    for rank, (_, label, place, number) in enumerate(by_meaning):
        scores[label, place, number] = scores.get((label, place, number), 0.0) + 1 / (_RANK + rank)
    for (label, place, number), score in scores.items():
        tier = score // BEGINS * BEGINS
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

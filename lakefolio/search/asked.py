"""What a query asks of an index: which words its words are taken for, which documents match, how much and why (pure).

Other forms of a word (delayed, delaying) count less than the word. One that stands nowhere is taken for the words that
begin so and that not most documents have, else for those that are spelt most alike; the reason of a hit says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from lakefolio.search.document import Document, Label
from lakefolio.search.gathering import BITS, OWN, bm25
from lakefolio.search.index import Index
from lakefolio.search.parse import All, AnyOf, Bag, Node, Not, Term, terms
from lakefolio.search.part import Part
from lakefolio.search.result import Found, Highlight
from lakefolio.search.words import compounds, is_letter, spans, tokens

if TYPE_CHECKING:
    import numpy.typing as npt

    Mask = npt.NDArray[np.bool_]

__all__ = ["BEGINS", "EXACT", "Asked", "Ranked", "holding", "positive_terms"]

EXACT: Final = 2_000_000.0
"""What is added to the score of a document whose name was asked for."""

BEGINS: Final = 1_000_000.0
"""What is added to that of one whose name begins so."""

_PREFIXES: Final = 50
_FORM: Final = 0.7
_SNIPPET: Final = 160

Ranked = tuple[float, Label, int, int]
"""The score, negative; the label, whose reference decides between equal scores; part and number of a document."""


class Asked:
    """A query with the tokens that its words are taken for.

    Attributes:
        wanted: The tokens that count for a document, each with its weight.
        notes: Token -> the word of the query that it is taken for, of those that are spelt otherwise.
    """

    def __init__(self, index: Index, node: Node | None) -> None:
        self._index = index
        self._taken: dict[tuple[str, bool, bool], dict[str, float]] = {}
        self.wanted: dict[str, float] = {}
        self.notes: dict[str, str] = {}
        for term in positive_terms(node):
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
            found &= holding(part, token, BITS["metadata"])
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

    def shares(self, ranked: Sequence[Ranked]) -> list[float]:
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

    def reasons(self, hits: Sequence[Ranked], alike: Mapping[tuple[int, int], float]) -> list[str]:
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
        if score >= EXACT:
            why.append("this is its name")
        elif score >= BEGINS:
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


def positive_terms(node: Node | None) -> Iterator[Term]:
    """Give the terms of a tree that count for a document: those that must not match are left out."""
    if isinstance(node, Term):
        yield node
    elif isinstance(node, All | AnyOf | Bag):
        for one in node.nodes:
            yield from positive_terms(one)


def holding(part: Part, word: str, fields: int) -> Mask:
    """Return which documents have a word in one of some fields, given as bits."""
    mask = np.zeros(part.count, np.bool_)
    if (found := part.postings(word)) is not None:
        mask[found.documents[(found.fields & fields) != 0]] = True
    return mask


def _reads_texts(term: Term) -> bool:
    """Say whether the texts of documents are read to see whether a term stands in them."""
    return term.key is not None or len(term.tokens) > 1

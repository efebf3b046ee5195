"""The words that are spelt most like another one (pure)."""

from __future__ import annotations

from functools import cached_property
from heapq import nsmallest
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.search.document_rows import flat

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Spelling"]

_ALIKE_FROM: Final = 0.7
_ROUNDING: Final = 1e-6
"""A bound is lower by this: two thirds of alike are else less than 1 - 1 / 3."""

_GIVEN: Final = 50
_SHORTEST: Final = 3
_BIT_COUNTS: Final = np.array([number.bit_count() for number in range(1 << 16)], np.uint8)


class Spelling:
    """A vocabulary. Immutable but for what it remembers of itself."""

    def __init__(self, words: pa.StringArray, counts: npt.NDArray[np.int64]) -> None:
        """Take words, and how many documents have each."""
        self._words = words
        self._counts = counts

    @cached_property
    def _traits(self) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int32]]:
        """Which letters each word has, as bits; how long it is."""
        ends, body = flat(self._words)
        bits = np.append(np.uint32(1) << (body & 31).astype(np.uint32), np.uint32(0))
        return np.bitwise_or.reduceat(bits, ends[:-1]), pc.utf8_length(self._words).to_numpy()

    def like(self, token: str, *, unless_known: bool = False) -> list[tuple[str, float, int]]:
        """Return the words that are spelt most like a token: each with how much (to 1), and in how many documents.

        They are in this order: of words that are equally alike those of more documents come first.

        An edit changes two letters and the length by one at most, so words with many other letters, and much longer or
        shorter ones, are left out before any is compared. ``unless_known`` gives none for a word of the vocabulary.
        """
        from rapidfuzz import process
        from rapidfuzz.distance import OSA

        if len(token) < _SHORTEST or not len(self._words):
            return []
        if unless_known and pc.index(self._words, token).as_py() >= 0:
            return []
        least = min(_ALIKE_FROM, 1 - 1 / len(token)) - _ROUNDING
        letters, lengths = self._traits
        longest = np.maximum(lengths, len(token))
        edits = ((1 - least) * longest).astype(np.int32)  # what leaves them alike enough
        some = np.flatnonzero(np.abs(lengths - len(token)) <= edits)
        own = np.bitwise_or.reduce(np.uint32(1) << (np.frombuffer(token.encode(), np.uint8) & 31).astype(np.uint32))
        other = letters[some] ^ own
        near = some[_BIT_COUNTS[other & 0xFFFF] + _BIT_COUNTS[other >> 16] <= 2 * edits[some]]
        words = self._words.take(pa.array(near)).to_pylist()
        alike = process.extract(token, words, scorer=OSA.normalized_similarity, limit=None, score_cutoff=least)
        found = [(word, score, int(self._counts[near[at]])) for word, score, at in alike]
        return nsmallest(_GIVEN, found, key=lambda one: (-one[1], -one[2], one[0]))

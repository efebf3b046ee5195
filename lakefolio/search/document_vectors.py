"""The vectors of documents, made of the postings that an index has anyway (pure).

The vector of a document is the sum of the vectors of the tokens that give it its meaning. Postings come word after word
and are added where they belong: 512 bytes for each document are held until all words were there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from lakefolio.search.gathering import BITS
from lakefolio.search.meaning import StaticEncoder, scaled
from lakefolio.search.vectors import Vectors

if TYPE_CHECKING:
    import numpy.typing as npt

    Ints = npt.NDArray[np.int32]

__all__ = ["MEANT", "summed"]

MEANT: Final = ("name", "description", "tag", "column", "content", "error")
"""The fields whose words give a document its meaning."""

_BITS: Final = sum(BITS[field] for field in MEANT)
_AT_ONCE: Final = 65_536


def summed(encoder: StaticEncoder, words: Iterable[tuple[Sequence[str], Ints, Ints, Ints]], count: int) -> Vectors:
    """Return the vectors of documents.

    Args:
        encoder: Gives the vectors of tokens.
        words: Tokens; and of their postings the number of the token, the document and the fields.
        count: The number of documents.
    """
    sums = np.zeros((count, encoder.size), np.float32)
    for tokens, said, documents, fields in words:
        of_token = encoder.of_tokens(tokens)
        known = np.einsum("ij,ij->i", of_token, of_token) > 0
        chosen = ((fields & _BITS) != 0) & known[said]
        said, documents = said[chosen], documents[chosen]
        for start in range(0, len(said), _AT_ONCE):
            some = documents[start : start + _AT_ONCE]
            order = np.argsort(some, kind="stable")
            begins = np.flatnonzero(np.diff(some[order], prepend=-1))
            rows = of_token[said[start : start + _AT_ONCE][order]]
            sums[some[order][begins]] += np.add.reduceat(rows, begins)
    return Vectors(_scaled(sums), count, encoder.size)


def _scaled(sums: npt.NDArray[np.float32]) -> Iterator[npt.NDArray[np.float32]]:
    for start in range(0, len(sums), _AT_ONCE):
        yield scaled(sums[start : start + _AT_ONCE])

"""A part of an index: what lies in memory (``index``) and what lies in the lake (``stored_part``) answer alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from lakefolio.search.document import Document, Label
from lakefolio.search.gathering import Postings

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from lakefolio.search.meaning import Encoder
    from lakefolio.search.vectors import Vectors

    Ints = npt.NDArray[np.int32]
    Mask = npt.NDArray[np.bool_]

__all__ = ["Part"]


class Part(Protocol):
    """Documents, numbered in the order of their references, and their postings. Immutable."""

    @property
    def count(self) -> int:
        """How many documents it has."""
        ...

    @property
    def total_length(self) -> float:
        """The weight of all tokens of all documents."""
        ...

    @property
    def is_near(self) -> bool:
        """Whether documents are read from this computer."""
        ...

    @property
    def kinds(self) -> Collection[str]:
        """The kinds of documents that it has."""
        ...

    def aside(self, start: str) -> slice:
        """Return the documents whose references begin with one of ASIDE."""
        ...

    def length_of(self, numbers: Sequence[int]) -> float:
        """Return the weight of all tokens of some documents."""
        ...

    def prefetch(self, tokens: Collection[str], *, forms: bool) -> None:
        """Get at once what a query with some tokens is going to ask for, of their other forms too."""
        ...

    def postings(self, token: str) -> Postings | None:
        """Return the postings of a token; None if no document has it."""
        ...

    def frequency(self, token: str) -> int:
        """Return how many documents have a token."""
        ...

    def words_from(self, prefix: str, limit: int) -> list[str]:
        """Return the first tokens that begin so, in order."""
        ...

    def spelt_like(self, token: str) -> list[tuple[str, float, int]]:
        """See Spelling."""
        ...

    def named(self, name: str) -> Iterator[tuple[Ints, bool]]:
        """Give the documents of each name that begins so, and whether it is just that, in the order of names."""
        ...

    def read(self, numbers: Collection[int]) -> dict[int, Document]:
        """Return some documents."""
        ...

    def texts(self, numbers: npt.NDArray[np.int64], fields: int) -> Iterator[tuple[int, str]]:
        """Give texts of some documents, in order: those in some fields, given as bits, each with its document."""
        ...

    def labels(self, numbers: Collection[int], words: Collection[str]) -> dict[int, Label]:
        """Return the labels of some documents, each of which has one of some words or names."""
        ...

    def find(self, keys: Collection[str]) -> list[int]:
        """Return the documents of some keys, see Document; those that it lacks are left out."""
        ...

    def having(self, facet: str, value: str) -> Mask:
        """Return which documents have a value of a facet."""
        ...

    def counts(self, facets: Collection[str], chosen: npt.NDArray[np.int64]) -> dict[str, Counter[str]]:
        """Return facet -> value -> how many of some documents have it."""
        ...

    def facet_bytes(self, facet: str) -> int:
        """Return how many bytes are read to count a facet; none if they are at hand."""
        ...

    def without_purged(self, mask: Mask, purged: Mapping[str, int]) -> Mask:
        """Return which of some documents were not purged."""
        ...

    def vectors(self, encoder: Encoder) -> Vectors:
        """Return the vectors of the documents; made when they are first asked for."""
        ...

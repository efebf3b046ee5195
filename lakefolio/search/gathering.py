"""How the texts of documents become postings: arrays sorted by word, and in each by document (pure).

Texts are read many at once: their words are found in all of them together, as bytes, and each way to write a word is
made tokens once.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.format.names import is_own_folio
from lakefolio.search.document_rows import Flat, flat, whole
from lakefolio.search.parse import FIELDS
from lakefolio.search.words import WORD, all_tokens, tokens

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = [
    "BITS",
    "OWN",
    "Gathering",
    "Postings",
    "PostingsTable",
    "bm25",
    "plain_name",
    "plain_names",
]

BITS: Final = {field: 1 << number for number, field in enumerate(FIELDS)}
OWN: Final = 1 << len(FIELDS)
"""Beside the fields: the document is one that the library keeps for itself."""

_K1: Final = 1.2
_B: Final = 0.5
_OWN_FACTOR: Final = 1e-3
_WEIGHTS: Final[Mapping[str, float]] = {"name": 4.0, "tag": 2.5, "folio": 2.0, "description": 2.0, "column": 1.5}
_OWN_CODES: Final = len(FIELDS)
"""What is added to the numbers of the fields of a document that the library keeps for itself."""

_WEIGHT_OF: Final = np.array([_WEIGHTS.get(field, 1.0) for field in FIELDS] * 2, np.float32)
_BITS_OF: Final = np.array([*BITS.values(), *(bit | OWN for bit in BITS.values())], np.int32)
_IN_WORDS: Final = np.array([one > 127 or chr(one).isalnum() for one in range(256)])
"""Of which bytes of UTF-8 words consist, or may."""

_PIECE: Final = re.compile(rf"{WORD}|\0")
_BLANKS: Final = {one: " " for one in range(1, 128) if not chr(one).isalnum()}
"""What stands between words of texts in ASCII: to blank it out takes a fifth of the time of a regular expression."""


class Postings(NamedTuple):
    """The documents that have a token, in order.

    Attributes:
        documents: Their numbers.
        weights: The weight of the token in each.
        fields: The fields it stands in, as bits.
        lengths: The weight of all tokens of each document.
    """

    documents: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]
    fields: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.float32]


def bm25(postings: Postings, mean_length: float) -> npt.NDArray[np.floating[Any]]:
    """Return how much each document gains by a token, before that is weighed by how rare it is."""
    _, weights, fields, lengths = postings
    norm = _K1 * (1 - _B) + lengths * (_K1 * _B / mean_length)
    found: npt.NDArray[np.floating[Any]] = weights / (weights + norm) * (_K1 + 1)
    found[(fields & OWN) != 0] *= _OWN_FACTOR
    return found


class PostingsTable:
    """The postings of all tokens.

    Attributes:
        numbers: Token -> its number.
        ends: Where the postings of each token begin, and the last ones end.
        lengths: The weight of the tokens of each document.
    """

    def __init__(
        self,
        numbers: dict[str, int],
        said: npt.NDArray[np.int32],
        documents: npt.NDArray[np.int32],
        codes: npt.NDArray[np.uint8],
        count: int,
    ) -> None:
        """Sort: ``said`` has tokens in the order of documents, and ``codes`` the field of each."""
        self.numbers = numbers
        self.lengths = np.bincount(documents, _WEIGHT_OF[codes], count).astype(np.float32)
        bits = len(said).bit_length()
        keys = said.astype(np.int64) << bits | np.arange(len(said))
        keys.sort()  # numbers alone are sorted in half the time that their order is found in
        places = keys & (1 << bits) - 1
        said = (keys >> bits).astype(np.int32)
        del keys
        documents, codes = documents[places], codes[places]
        new = np.ones(len(said), np.bool_)
        new[1:] = (said[1:] != said[:-1]) | (documents[1:] != documents[:-1])
        first = np.flatnonzero(new)
        self.documents = documents[first]
        self.weights, self.fields = _WEIGHT_OF[codes[first]], _BITS_OF[codes[first]]
        if len(first) < len(said):  # most are said once in a document
            again = np.flatnonzero(~new)
            at = np.searchsorted(first, again) - 1
            np.add.at(self.weights, at, _WEIGHT_OF[codes[again]])
            np.bitwise_or.at(self.fields, at, _BITS_OF[codes[again]])
        self.ends = np.searchsorted(said[first], np.arange(len(numbers) + 1))

    def of(self, token: str) -> Postings | None:
        """Return the postings of a token; None if no document has it."""
        if (number := self.numbers.get(token)) is None:
            return None
        chosen = slice(int(self.ends[number]), int(self.ends[number + 1]))
        documents = self.documents[chosen]
        return Postings(documents, self.weights[chosen], self.fields[chosen], self.lengths[documents])


class _Known(dict[str, Any]):
    """What is remembered of each way to write a word."""

    def __init__(self, make: Callable[[str], Any]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, word: str) -> Any:
        found = self[word] = self._make(word)
        return found


class Gathering:
    """Documents on their way into postings; they are numbered in the order that they are given in."""

    def __init__(self) -> None:
        self.count = 0
        numbers: defaultdict[str, int] = defaultdict()
        numbers.default_factory = numbers.__len__
        self._numbers = numbers
        self._known = _Known(self._code)
        self._several: list[list[int]] = []
        self._own = _Known(lambda folio: folio is not None and is_own_folio(folio))
        self._said: list[npt.NDArray[np.int32]] = [np.zeros(0, np.int32)]
        self._documents: list[npt.NDArray[np.int32]] = [np.zeros(0, np.int32)]
        self._codes: list[npt.NDArray[np.uint8]] = [np.zeros(0, np.uint8)]

    def _code(self, word: str) -> int:
        """Return the number of the token of a word; of what has several tokens, or none, a number below 0."""
        found = [self._numbers[one] for one in all_tokens(word)]
        if len(found) == 1:
            return found[0]
        self._several.append(found)
        return -len(self._several)

    def add(self, rows: pa.Table) -> None:
        """Take further documents, see ``document_rows``."""
        texts, fields = whole(rows.column("texts")), whole(rows.column("fields"))
        words, counts = _words(flat(texts.flatten()))
        said = words.dictionary_encode()
        known = list(map(self._known.__getitem__, said.dictionary.to_pylist()))
        numbers = np.array(known, np.int32)[said.indices.to_numpy()]
        places = np.repeat(np.arange(len(counts)), counts)
        many = np.flatnonzero(numbers < 0)
        if len(many):
            chosen = [self._several[-1 - one] for one in numbers[many].tolist()]
            sizes = np.ones(len(numbers), np.int64)
            sizes[many] = list(map(len, chosen))
            numbers, places = np.repeat(numbers, sizes), np.repeat(places, sizes)
            numbers[numbers < 0] = list(chain.from_iterable(chosen))
        folios = whole(rows.column("folio")).dictionary_encode(null_encoding="encode")
        own = np.array([self._own[one] for one in folios.dictionary.to_pylist()], np.bool_)[folios.indices.to_numpy()]
        own &= pc.equal(whole(rows.column("type")), "item").to_numpy(zero_copy_only=False)
        document_of = pc.list_parent_indices(texts).to_numpy()
        codes = fields.flatten().to_numpy() + own[document_of] * np.uint8(_OWN_CODES)
        self._said.append(numbers)
        self._documents.append((document_of + self.count).astype(np.int32)[places])
        self._codes.append(codes[places])
        self.count += len(rows)

    def done(self) -> PostingsTable:
        """Return the postings of all documents."""
        self._numbers.default_factory = None
        said, documents, codes = (
            np.concatenate(self._said),
            np.concatenate(self._documents),
            np.concatenate(self._codes),
        )
        self._said, self._documents, self._codes = [], [], []
        return PostingsTable(dict(self._numbers), said, documents, codes, self.count)


def _words(texts: Flat) -> tuple[pa.Array, npt.NDArray[np.int64]]:
    """Return the words of texts, and how many each text has.

    Letters beyond ASCII are not told from what else is there: what they stand in is taken for one word, which
    ``tokens`` takes apart.
    """
    ends, body = texts
    inside = _IN_WORDS[body]
    cut = np.zeros(len(body) + 1, np.bool_)
    cut[ends] = True
    begins = inside.copy()
    begins[1:] &= ~inside[:-1] | cut[1:-1]
    stops = inside.copy()
    stops[:-1] &= ~inside[1:] | cut[1:-1]
    first = np.flatnonzero(begins)
    sizes = np.flatnonzero(stops) + 1 - first
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    words = pa.StringArray.from_buffers(len(first), pa.py_buffer(offsets), pa.py_buffer(body[inside]))
    return words, np.diff(np.searchsorted(first, ends))


def plain_name(text: str) -> str:
    """Return a name as it is compared: its tokens."""
    return " ".join(tokens(text))


def plain_names(names: Sequence[str]) -> list[str]:
    """Return names as they are compared; many at once take a tenth of the time."""
    known = _Known(plain_name)
    known["\0"] = "\0"
    found = " ".join(map(known.__getitem__, _pieces(names))).split("\0")[: len(names)]
    return [name.strip() for name in found]


def _pieces(texts: Sequence[str]) -> list[str]:
    """Return the words of texts, with NUL after each text."""
    whole = " \0 ".join((*texts, ""))
    if whole.count("\0") != len(texts):
        whole = " \0 ".join((*(text.replace("\0", " ") for text in texts), ""))
    if whole.isascii():
        return whole.translate(_BLANKS).split()
    return cast("list[str]", _PIECE.findall(whole))

"""How the texts of documents become postings: arrays sorted by word, and in each by document (pure).

Texts are read many at once: their words are found in all of them together, and each way to write a word is made tokens
once.
"""

from __future__ import annotations

import json
import re
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import numpy as np

from lakefolio.format.names import is_own_folio
from lakefolio.search.parse import FIELDS
from lakefolio.search.words import WORD, compounds, tokens

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = [
    "BITS",
    "DATASETS",
    "OWN",
    "Document",
    "Gathering",
    "Label",
    "Postings",
    "PostingsTable",
    "bm25",
    "plain_name",
    "plain_names",
]

DATASETS: Final = "datasets/"
"""What the references of members of datasets begin with, and those of nothing else."""


BITS: Final = {field: 1 << number for number, field in enumerate(FIELDS)}
OWN: Final = 1 << len(FIELDS)
"""Beside the fields: the document is one that the library keeps for itself."""

_K1: Final = 1.2
_B: Final = 0.5
_OWN_FACTOR: Final = 1e-3
_WEIGHTS: Final[Mapping[str, float]] = {"name": 4.0, "tag": 2.5, "folio": 2.0, "description": 2.0, "column": 1.5}
_CODES: Final = {field: number for number, field in enumerate(FIELDS)}
_OWN_CODES: Final = len(FIELDS)
"""What is added to the codes of the fields of a document that the library keeps for itself."""

_WEIGHT_OF: Final = np.array([_WEIGHTS.get(field, 1.0) for field in FIELDS] * 2, np.float32)
_BITS_OF: Final = np.array([*BITS.values(), *(bit | OWN for bit in BITS.values())], np.int32)
_PIECE: Final = re.compile(rf"{WORD}|\0")
_BLANKS: Final = {one: " " for one in range(1, 128) if not chr(one).isalnum()}
"""What stands between words of texts in ASCII: to blank it out takes a fifth of the time of a regular expression."""

_BATCH: Final = 1 << 20
_END: Final = -1
"""Stands for the end of a text among the numbers of tokens."""


class Label(NamedTuple):
    """What is printed of a document: its reference, type and name, its folio or project, its kind, a run's status."""

    ref: str
    type: str
    name: str
    folio: str | None
    kind: str | None
    status: str | None

    def packed(self) -> str:
        """Return it as a text: reference, NUL and kind of an item, as the rest is in these; else all of it as JSON."""
        short = f"{self.ref}\0{self.kind or ''}"
        return short if Label.of(short) == self else json.dumps(self, separators=(",", ":"))

    @classmethod
    def of(cls, text: str) -> Label:
        """Return the label that a text says.

        Raises:
            ValueError: It says none.
        """
        ref, ends, kind = text.partition("\0")
        if ends:
            folio, _, item = ref.partition(":")
            return cls(ref, "item", item.rpartition("@")[0], folio, kind or None, None)
        values = json.loads(text)
        if (
            not isinstance(values, list)
            or [type(one) for one in values[:3]] != [str] * 3
            or len(values) != len(cls._fields)
        ):
            raise ValueError("a label has no name")
        if not all(one is None or isinstance(one, str) for one in values):
            raise ValueError("a label has a value that is no text")
        return cls(*values)


class Document(NamedTuple):
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

    @property
    def key(self) -> str:
        """``folio:name``, or the id of a run: what another version of it has, too."""
        return self.ref.rpartition("@")[0] if self.type == "item" else self.ref

    @property
    def label(self) -> Label:
        """What is printed of it."""
        return Label(self.ref, self.type, self.name, self.folio, self.kind, self.status)

    @property
    def is_own(self) -> bool:
        """Whether the library keeps it for itself."""
        return self.type == "item" and is_own_folio(self.folio or "")


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
        texts: tuple[npt.NDArray[Any], npt.NDArray[Any]],
        count: int,
    ) -> None:
        """Sort: ``texts`` are the weight and the fields of each token that was said."""
        weights, fields = texts
        self.numbers = numbers
        self.lengths = np.bincount(documents, weights, count).astype(np.float32)
        keys = said.astype(np.int64) * max(count, 1) + documents
        order = np.argsort(keys)
        keys = keys[order]
        new = np.concatenate([np.ones(min(len(keys), 1), np.bool_), keys[1:] != keys[:-1]])
        first, again = order[new], order[~new]  # most are said once in a document
        places = np.cumsum(new)[~new] - 1
        self.documents = documents[first]
        self.weights = weights[first].astype(np.float32)
        np.add.at(self.weights, places, weights[again])
        self.fields = fields[first].astype(np.int32)
        np.bitwise_or.at(self.fields, places, fields[again])
        self.ends = np.searchsorted(keys[new], np.arange(len(numbers) + 1, dtype=np.int64) * max(count, 1))

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
        self._known["\0"] = _END
        self._several: list[list[int]] = []
        self._own = _Known(is_own_folio)
        self._forget()
        self._said: list[npt.NDArray[np.int32]] = []
        self._documents: list[npt.NDArray[np.int32]] = []
        self._weights: list[npt.NDArray[np.float32]] = []
        self._fields: list[npt.NDArray[np.int32]] = []

    def _forget(self) -> None:
        """Begin to wait for texts: each with its field, and of each document how many, and whether it is kept."""
        self._texts: list[str] = []
        self._texts_fields: list[str] = []
        self._counts = array("i")
        self._owned = array("B")
        self._waiting = 0

    def _code(self, word: str) -> int:
        """Return the number of the token of a word; of a word of several a number below all others."""
        found = [self._numbers[one] for one in (*tokens(word), *(token for _, _, token in compounds(word)))]
        if len(found) == 1:
            return found[0]
        self._several.append(found)
        return _END - len(self._several)

    def add(self, documents: Iterable[Document]) -> None:
        """Take further documents."""
        for document in documents:
            if document.texts:
                fields, texts = zip(*document.texts, strict=True)
                self._texts += texts
                self._texts_fields += fields
                self._waiting += sum(map(len, texts))
            self._counts.append(len(document.texts))
            self._owned.append(document.type == "item" and self._own[document.folio or ""])
            if self._waiting > _BATCH:
                self._read()

    def _read(self) -> None:
        """Make tokens of the texts that wait."""
        found = _pieces(self._texts)
        codes = np.fromiter(map(self._known.__getitem__, found), np.int32, len(found))
        many = np.flatnonzero(codes < _END)
        if len(many):
            chosen = [self._several[_END - 1 - one] for one in codes[many].tolist()]
            sizes = np.ones(len(codes), np.int64)
            sizes[many] = list(map(len, chosen))
            codes = np.repeat(codes, sizes)
            codes[codes < _END] = list(chain.from_iterable(chosen))
        lengths = np.diff(np.flatnonzero(codes == _END), prepend=-1) - 1
        counts = np.frombuffer(self._counts, np.int32)
        documents = np.repeat(np.arange(self.count, self.count + len(counts), dtype=np.int32), counts)
        fields = np.fromiter(map(_CODES.__getitem__, self._texts_fields), np.uint8, len(self._texts))
        fields += np.repeat(np.frombuffer(self._owned, np.uint8), counts) * np.uint8(_OWN_CODES)
        self._said.append(codes[codes != _END])
        self._documents.append(np.repeat(documents, lengths))
        self._weights.append(np.repeat(_WEIGHT_OF[fields], lengths))
        self._fields.append(np.repeat(_BITS_OF[fields], lengths))
        self.count += len(counts)
        self._forget()

    def done(self) -> PostingsTable:
        """Return the postings of all documents."""
        self._read()
        self._numbers.default_factory = None
        gathered: list[list[Any]] = [self._said, self._documents, self._weights, self._fields]
        parts = list(map(np.concatenate, gathered))
        self._said, self._documents, self._weights, self._fields = [], [], [], []
        said, documents, weights, fields = parts
        return PostingsTable(dict(self._numbers), said, documents, (weights, fields), self.count)


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

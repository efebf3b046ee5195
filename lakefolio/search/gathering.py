"""How the texts of documents become postings: arrays sorted by word, and in each by document (pure).

Texts are read many at once: their words are found by one regular expression over all of them, and each way to write a
word is made tokens once.
"""

from __future__ import annotations

import re
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import numpy as np

from lakefolio.format.names import is_own_folio
from lakefolio.search.parse import FIELDS
from lakefolio.search.words import WORD, compounds, tokens

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["BITS", "OWN", "Document", "Gathering", "Postings", "PostingsTable", "plain_name", "plain_names"]

BITS: Final = {field: 1 << number for number, field in enumerate(FIELDS)}
OWN: Final = 1 << len(FIELDS)
"""Beside the fields: the document is one that the library keeps for itself."""

_WEIGHTS: Final[Mapping[str, float]] = {"name": 4.0, "tag": 2.5, "folio": 2.0, "description": 2.0, "column": 1.5}
_CODES: Final = {field: number for number, field in enumerate(FIELDS)}
_OWN_CODES: Final = len(FIELDS)
"""What is added to the codes of the fields of a document that the library keeps for itself."""

_WEIGHT_OF: Final = np.array([_WEIGHTS.get(field, 1.0) for field in FIELDS] * 2, np.float32)
_BITS_OF: Final = np.array([*BITS.values(), *(bit | OWN for bit in BITS.values())], np.int32)
_PIECE: Final = re.compile(rf"{WORD}|\0")
_BATCH: Final = 1 << 20


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

    @property
    def key(self) -> str:
        """``folio:name``, or the id of a run: what another version of it has, too."""
        return self.ref.rpartition("@")[0] if self.type == "item" else self.ref

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
        starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if len(keys) else np.zeros(0, np.int64)
        self.documents = documents[order][starts]
        self.weights = (np.add.reduceat(weights[order], starts) if len(starts) else weights).astype(np.float32)
        self.fields = (np.bitwise_or.reduceat(fields[order], starts) if len(starts) else fields).astype(np.int32)
        self.ends = np.searchsorted(keys[starts], np.arange(len(numbers) + 1, dtype=np.int64) * max(count, 1))

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


class _Texts:
    """Texts, and of each the document and the field, see ``_CODES``; in arrays, which Python does not look through."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.documents = array("i")
        self.fields = array("B")

    def pieces(self) -> list[str]:
        """Return the words of all texts, with NUL after each text."""
        whole = "\0".join((*self.texts, ""))
        if whole.count("\0") != len(self.texts):
            whole = "\0".join((*(text.replace("\0", " ") for text in self.texts), ""))
        return cast("list[str]", _PIECE.findall(whole))


class Gathering:
    """Documents on their way into postings; they are numbered in the order that they are given in."""

    def __init__(self) -> None:
        self.count = 0
        numbers: defaultdict[str, int] = defaultdict()
        numbers.default_factory = numbers.__len__
        self._numbers = numbers
        self._lower = _Known(lambda word: numbers[tokens(word)[0]])
        self._lower["\0"] = -1
        self._mixed = _Known(self._all_of)
        self._mixed["\0"] = (-1,)
        self._plain = _Texts()
        self._other = _Texts()
        self._waiting = 0
        self._said: list[npt.NDArray[np.int32]] = []
        self._documents: list[npt.NDArray[np.int32]] = []
        self._weights: list[npt.NDArray[np.float32]] = []
        self._fields: list[npt.NDArray[np.int32]] = []

    def _all_of(self, word: str) -> tuple[int, ...]:
        """Return the tokens of a word among others with capitals: its parts, and the whole."""
        found = [*tokens(f"A {word}")[1:], *(token for _, _, token in compounds(word))]
        return tuple(self._numbers[one] for one in found)

    def add(self, documents: Iterable[Document]) -> None:
        """Take further documents."""
        plain, other, codes = self._plain, self._other, _CODES
        for document in documents:
            own = _OWN_CODES if document.is_own else 0
            count = self.count
            for field, text in document.texts:
                waiting = plain if text.isascii() and text.islower() else other
                waiting.texts.append(text)
                waiting.documents.append(count)
                waiting.fields.append(codes[field] + own)
                self._waiting += len(text)
            self.count += 1
            if self._waiting > _BATCH:
                self._read()
                plain, other = self._plain, self._other

    def _read(self) -> None:
        """Make tokens of the texts that wait."""
        found = self._plain.pieces()
        self._take(np.fromiter(map(self._lower.__getitem__, found), np.int32, len(found)), self._plain)
        several = array("i")
        for some in map(self._mixed.__getitem__, self._other.pieces()):
            several.extend(some)
        self._take(np.frombuffer(several, np.int32) if several else np.zeros(0, np.int32), self._other)
        self._plain, self._other, self._waiting = _Texts(), _Texts(), 0

    def _take(self, numbers: npt.NDArray[np.int32], texts: _Texts) -> None:
        """Note the tokens of some texts; each text ends with -1."""
        if not texts.texts:
            return
        counts = np.diff(np.flatnonzero(numbers < 0), prepend=-1) - 1
        self._said.append(numbers[numbers >= 0])
        self._documents.append(np.repeat(np.frombuffer(texts.documents, np.int32), counts))
        fields = np.frombuffer(texts.fields, np.uint8)
        self._weights.append(np.repeat(_WEIGHT_OF[fields], counts))
        self._fields.append(np.repeat(_BITS_OF[fields], counts))

    def done(self) -> PostingsTable:
        """Return the postings of all documents."""
        self._read()
        self._numbers.default_factory = None
        parts: list[Any] = [
            np.concatenate(some) if some else np.zeros(0, kind)
            for some, kind in (
                (self._said, np.int32),
                (self._documents, np.int32),
                (self._weights, np.float32),
                (self._fields, np.int32),
            )
        ]
        self._said, self._documents, self._weights, self._fields = [], [], [], []
        said, documents, weights, fields = parts
        return PostingsTable(dict(self._numbers), said, documents, (weights, fields), self.count)


def plain_name(text: str) -> str:
    """Return a name as it is compared: its tokens."""
    return " ".join(tokens(text))


def plain_names(names: Sequence[str]) -> list[str]:
    """Return names as they are compared; many at once take a tenth of the time."""
    found = [""] * len(names)
    plain = [at for at, name in enumerate(names) if name.isascii() and name.islower() and "\0" not in name]
    token = _Known(lambda word: tokens(word)[0])
    token["\0"] = "\0"
    pieces = _PIECE.findall("\0".join((*(names[at] for at in plain), "")))
    for at, name in zip(plain, " ".join(map(token.__getitem__, pieces)).split("\0"), strict=False):
        found[at] = name.strip()
    done = set(plain)
    for at, name in enumerate(names):
        if at not in done:
            found[at] = plain_name(name)
    return found

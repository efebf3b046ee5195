"""The index that lies in a lake, as a part of an index: of its files only what a query needs is read.

Immutable. What was read is kept in bounded memory. Every byte is verified: the directory by the seal in its
name, all else by the digests in it. What is wrong is told as an error about the index, without which a lake can be
searched.

Slightly longer than most modules: one class answers all questions of a part, from the same few files and caches.
"""

from __future__ import annotations

import struct
import sys
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
import pyarrow as pa

from lakefolio.errors import IntegrityError, LakefolioError, NotFoundError
from lakefolio.process.fork import ForkLock
from lakefolio.readmodels.cache import Cache
from lakefolio.search.document import Document, Label
from lakefolio.search.document_vectors import summed
from lakefolio.search.facets import Column
from lakefolio.search.gathering import BITS, Postings
from lakefolio.search.index import ALIKE, Segment
from lakefolio.search.index_files import (
    COLUMNS,
    NAME,
    PREFIX,
    Directory,
    IndexName,
    OtherLayoutError,
    Spans,
    column_of,
    directory_of,
)
from lakefolio.search.meaning import StaticEncoder
from lakefolio.search.spelling import Spelling
from lakefolio.search.text_blocks import Block
from lakefolio.search.word_group import WordGroup
from lakefolio.search.words import has_forms, stem

if TYPE_CHECKING:
    import numpy.typing as npt

    from lakefolio.search.meaning import Encoder
    from lakefolio.search.vectors import Vectors
    from lakefolio.storage import Store

    Ints = npt.NDArray[np.int32]
    Mask = npt.NDArray[np.bool_]

__all__ = ["StoredPart", "is_of_index", "opened"]

T = TypeVar("T")
P = TypeVar("P", WordGroup, Block)

_CACHE_BYTES: Final = 64 << 20
_GAP_BYTES: Final = 16 << 10
_VAIN_BYTES: Final = 384 << 10
"""So much is read in vain at most to spare requests; gaps of ``_GAP_BYTES`` are always read."""

_AT_ONCE_BYTES: Final = 8 << 20
_GROUPS_AT_ONCE: Final = 16
_BLOCKS_AT_ONCE: Final = 64
_FORMS_GROUPS: Final = 3
_TAIL_BYTES: Final = 512 << 10
"""So much before the directory is read with it: the vocabulary, and the columns that are small."""

_LAST: Final = "\U0010ffff"


def is_of_index(error: LakefolioError) -> bool:
    """Say whether an error is about an index in the lake."""
    return str(error.objects.get("key", "")).startswith(f"{PREFIX}/")


def _damaged(key: str, exc: ValueError) -> IntegrityError:
    return IntegrityError(
        f"search index {key!r} is damaged: {exc}",
        kind="index-damaged",
        hint="nothing depends on it: delete it, `lakefolio compact` makes it again",
        key=key,
    )


def opened(
    store: Store, lake_id: str, name: IndexName, size_bytes: int, *, cache_bytes: int = _CACHE_BYTES
) -> StoredPart:
    """Return an index, in one request.

    Args:
        store: The store of the lake.
        lake_id: The lake.
        name: What the name of the file ``words`` says.
        size_bytes: Its size.
        cache_bytes: How much of what is read is kept; who reads all of it once keeps nothing.

    Raises:
        NotFoundError: It is not there any more; or kind ``index-layout``: another version of the library made it.
        IntegrityError: It is damaged, or of another lake.
    """
    key = name.key("words")
    try:
        if not name.footer_bytes <= size_bytes:
            raise ValueError("it is smaller than its directory")
        start = max(size_bytes - name.footer_bytes - _TAIL_BYTES, 0)
        tail = bytes(store.get_range(key, start, size_bytes - start))
        footer = tail[len(tail) - name.footer_bytes :]
        if not name.is_of(lake_id, footer):
            raise ValueError("its directory has another seal than its name says")
        return StoredPart(store, name, (start, tail), directory_of(footer, size_bytes), cache_bytes)
    except OtherLayoutError as exc:
        hint = "nothing is lost: `lakefolio compact` makes one that this version reads"
        raise NotFoundError(f"search index {key!r} {exc}", kind="index-layout", hint=hint, key=key) from exc
    except ValueError as exc:
        raise _damaged(key, exc) from exc


class StoredPart:
    """See the module, and Part. Safe to share between threads."""

    def __init__(
        self, store: Store, name: IndexName, tail: tuple[int, bytes], directory: Directory, cache_bytes: int
    ) -> None:
        """Take what was read of an index: ``tail`` is where the end of ``words`` begins that was, and that end."""
        self.name = name
        self._tail = tail
        self.directory = directory
        self._store = store
        self._firsts = directory.words.firsts
        self._cache = Cache(cache_bytes)
        self._known: dict[str, Column] = {}
        self._making = ForkLock()  # guards the vectors, which are made once
        self._vectors: Vectors | None = None

    @property
    def footer(self) -> bytes:
        """The directory as it lies at the end of ``words``."""
        return self._tail[1][len(self._tail[1]) - self.name.footer_bytes :]

    @property
    def count(self) -> int:
        """See Part."""
        return self.directory.count

    @property
    def total_length(self) -> float:
        """See Part."""
        return self.directory.total_length

    @property
    def is_near(self) -> bool:
        """See Part."""
        return self._store.local_path is not None or self._store.scheme == "memory"

    @property
    def kinds(self) -> Collection[str]:
        """See Part."""
        return self.directory.kinds

    def aside(self, start: str) -> slice:
        """See Part."""
        return slice(*self.directory.aside[start])

    def length_of(self, numbers: Sequence[int]) -> float:
        """See Part."""
        return Segment(self.read(numbers).values()).total_length if numbers else 0.0

    # -- words ---------------------------------------------------------------------------------------------

    def prefetch(self, tokens: Collection[str], *, forms: bool) -> None:
        """See Part."""
        wanted = dict.fromkeys(map(self._group_with, tokens))
        for token in tokens if forms else ():
            root = stem(token)
            first = self._group_with(root)  # other forms of the word stand beside it
            last = min(self._group_with(root + _LAST), first + _FORMS_GROUPS) if has_forms(token) else first
            wanted |= dict.fromkeys(range(first, last + 1))
            wanted |= dict.fromkeys(self._likely(token))
        self._groups([one for one in wanted if 0 <= one < len(self._firsts)])

    def _likely(self, token: str) -> list[int]:
        """Return the groups near that of a token with the words that it is taken for if it stands nowhere.

        They spare a request as a rule: most who misspell a word begin it as it is spelt.
        """
        own = self._group_with(token)
        if self.is_near or not self._is_at_hand("vocabulary") or self._cache.get(("words", own)) is not None:
            return []
        groups = [self._group_with(word) for word, _, _ in self._spelling.like(token, unless_known=True)[:ALIKE]]
        starts = self.directory.words.starts
        return [one for one in groups if abs(int(starts[one] - starts[own])) <= _VAIN_BYTES]

    def _group_with(self, word: str) -> int:
        return max(bisect_right(self._firsts, word) - 1, 0)

    def _groups(self, numbers: Iterable[int]) -> dict[int, WordGroup]:
        return self._parts("words", self.directory.words, numbers, lambda body, _: WordGroup(body, self.count))

    def postings(self, token: str) -> Postings | None:
        """See Part."""
        return self._of_group(token, lambda group: group.of(token))

    def frequency(self, token: str) -> int:
        """See Part."""
        return self._of_group(token, lambda group: group.frequency(token)) or 0

    def _of_group(self, token: str, read: Callable[[WordGroup], T]) -> T | None:
        """Return what is read of the group that a token lies in, if it is there; None if there is no group."""
        number = self._group_with(token)
        if number >= len(self._firsts):
            return None
        return self._verified("words", partial(read, self._groups([number])[number]))

    def words(self) -> Iterator[tuple[str, Postings]]:
        """Give all words and names, in order, with their postings."""
        for group in self._all_groups():
            for word in group.words:
                if (found := self._verified("words", partial(group.of, word))) is not None:
                    yield word, found

    def _all_groups(self) -> Iterator[WordGroup]:
        for start in range(0, len(self._firsts), _GROUPS_AT_ONCE):
            numbers = range(start, min(start + _GROUPS_AT_ONCE, len(self._firsts)))
            yield from map(self._groups(numbers).__getitem__, numbers)

    def words_from(self, prefix: str, limit: int) -> list[str]:
        """See Part."""
        return list(islice(self._beginning(prefix), limit))

    def _beginning(self, prefix: str) -> Iterator[str]:
        start = self._group_with(prefix)
        for number in range(start, len(self._firsts)):
            if number > start and not self._firsts[number].startswith(prefix):
                break
            words = self._groups([number])[number].words
            yield from (word for word in words[bisect_right(words, prefix[:-1]) :] if word.startswith(prefix))

    def named(self, name: str) -> Iterator[tuple[Ints, bool]]:
        """See Part. Names are only looked for if documents have all words but the last, and one that begins so."""
        *whole, last = name.split(" ")
        if not (self._all_in_names(whole) and self.words_from(last, 1)):
            return
        for word in self._beginning(NAME + name):
            if (found := self.postings(word)) is not None:
                yield found.documents, word == NAME + name

    def _all_in_names(self, words: Sequence[str]) -> bool:
        """Say whether the name of a document has all of some words."""
        left: npt.NDArray[np.int32] | None = None
        for word in words:
            if (found := self.postings(word)) is None:
                return False
            named = found.documents[(found.fields & BITS["name"]) != 0]
            left = named if left is None else np.intersect1d(left, named, assume_unique=True)
            if not len(left):
                return False
        return True

    @cached_property
    def _spelling(self) -> Spelling:
        words, _, counts = self.columns(["vocabulary"])["vocabulary"]
        return Spelling(words, counts.astype(np.int64))

    def spelt_like(self, token: str) -> list[tuple[str, float, int]]:
        """See Part. Only the most frequent words are compared."""
        return self._spelling.like(token)

    # -- documents -----------------------------------------------------------------------------------------

    def read(self, numbers: Collection[int]) -> dict[int, Document]:
        """See Part."""
        found: dict[int, Document] = {}
        for first, block, places in self._blocks_of(np.array(sorted(numbers), np.int64)):
            found |= {first + place: self._document(block, place) for place in places.tolist()}
        return {number: found[number] for number in numbers}

    def texts(self, numbers: npt.NDArray[np.int64], fields: int) -> Iterator[tuple[int, str]]:
        """See Part."""
        for first, block, places in self._blocks_of(numbers):
            for place, text in self._verified("texts", partial(block.texts, places, fields)):
                yield first + place, text

    def _blocks_of(self, numbers: npt.NDArray[np.int64]) -> Iterator[tuple[int, Block, npt.NDArray[np.int64]]]:
        """Give blocks of some documents, in order, with the number of the first in it and the places in it of those."""
        blocks, begins = np.unique(np.searchsorted(self.directory.ends, numbers, side="right"), return_index=True)
        inside = dict(zip(blocks.tolist(), np.split(numbers, begins[1:]), strict=False))  # of none there is one part
        for number, block in self._each_block(inside):
            first = self._first_of(number)
            yield first, block, inside[number] - first

    def _first_of(self, block: int) -> int:
        """Return the number of the first document of a block."""
        return int(self.directory.ends[block - 1]) if block else 0

    def labels(self, numbers: Collection[int], words: Collection[str]) -> dict[int, Label]:
        """See Part. Documents that count little by each of the words are read."""
        found: dict[int, Label] = {}
        left = set(numbers)
        for word in words:
            if left and (place := self._group_with(word)) < len(self._firsts):
                some = self._verified("words", lambda: dict(self._groups([place])[place].labels(word, left)))  # noqa: B023
                found |= some
                left -= some.keys()
        return found | {number: document.label for number, document in self.read(left).items()}

    def documents(self) -> Iterator[Document]:
        """Give all documents, in order."""
        for _, block in self._each_block(range(len(self.directory.ends))):
            yield from map(partial(self._document, block), range(block.count))

    def _document(self, block: Block, number: int) -> Document:
        return self._verified("texts", partial(block.document, number))

    def _each_block(self, numbers: Iterable[int]) -> Iterator[tuple[int, Block]]:
        """Give blocks of ``texts`` in order; some are held at once, however many they are."""
        order = sorted(numbers)
        for start in range(0, len(order), _BLOCKS_AT_ONCE):
            some = order[start : start + _BLOCKS_AT_ONCE]
            yield from sorted(self._parts("texts", self.directory.texts, some, self._block).items())

    def _block(self, body: bytes, number: int) -> Block:
        found = Block(body)
        if found.count != int(self.directory.ends[number]) - self._first_of(number):
            raise ValueError("a block has other documents than its directory says")
        return found

    def find(self, keys: Collection[str]) -> list[int]:
        """See Part."""
        firsts = self.directory.texts.firsts
        wanted: dict[int, set[str]] = {}
        for key in keys:
            after = bisect_right(firsts, f"{key}@~" if ":" in key else key)  # after all versions of the item
            if after:
                wanted.setdefault(after - 1, set()).add(key)
        found = []
        for place, block in self._each_block(wanted):
            first, keys_here = self._first_of(place), wanted[place]
            keys_of = (self._document(block, at).key for at in range(block.count))
            found += [first + at for at, key in enumerate(keys_of) if key in keys_here]
        return found

    # -- facets --------------------------------------------------------------------------------------------

    def columns(self, names: Collection[str]) -> dict[str, Column]:
        """Return columns; those that are not at hand are got at once, neighbours in one request."""
        missing = sorted({COLUMNS.index(name) for name in names if name not in self._known})
        spans = map(self.directory.columns.span, missing)
        for number, body in zip(missing, self._bodies("words", list(spans)), strict=True):
            self._known[COLUMNS[number]] = self._verified("words", partial(column_of, body, self.directory, number))
        return {name: self._known[name] for name in names}

    def counts(self, facets: Collection[str], chosen: npt.NDArray[np.int64]) -> dict[str, Counter[str]]:
        """See Part."""
        return {facet: column.counts(chosen) for facet, column in self.columns(facets).items()}

    def facet_bytes(self, facet: str) -> int:
        """See Part."""
        return 0 if self._is_at_hand(facet) else self.directory.columns.span(COLUMNS.index(facet))[1]

    def _is_at_hand(self, column: str) -> bool:
        return column in self._known or self.directory.columns.span(COLUMNS.index(column))[0] >= self._tail[0]

    def having(self, facet: str, value: str) -> Mask:
        """See Part."""
        return self.columns([facet])[facet].having(value)

    def without_purged(self, mask: Mask, purged: Mapping[str, int]) -> Mask:
        """See Part. It is asked at the newest version alone, whose content is never purged."""
        return mask

    def vectors(self, encoder: Encoder) -> Vectors:
        """See Part. They are made of all words, when they are first asked for; of no encoder but the library's own."""
        assert isinstance(encoder, StaticEncoder), "who asks another encoder asks an index that lies in memory"
        with self._making:
            if self._vectors is None:
                self._vectors = summed(encoder, self._postings(), self.count)
        return self._vectors

    def _postings(self) -> Iterator[tuple[list[str], Ints, Ints, Ints]]:
        for group in self._all_groups():
            yield group.words, *self._verified("words", group.all)

    def verify(self) -> None:
        """Read all of it, and see that it has the digests that its directory says.

        Raises:
            IntegrityError: It is damaged.
            NotFoundError: A file is not there.
        """
        directory = self.directory
        files = (("words", directory.words), ("texts", directory.texts), ("words", directory.columns))
        for what, parts in files:
            for start in range(0, len(parts.digests), _BLOCKS_AT_ONCE):
                numbers = range(start, min(start + _BLOCKS_AT_ONCE, len(parts.digests)))
                for number, body in zip(numbers, self._bodies(what, list(map(parts.span, numbers))), strict=True):
                    self._verified(what, partial(parts.checked, number, body))
        self.columns(COLUMNS)

    # -- bytes ---------------------------------------------------------------------------------------------

    def _parts(self, what: str, parts: Spans, numbers: Iterable[int], read: Callable[[bytes, int], P]) -> dict[int, P]:
        """Return parts of a file; those that are not at hand are got at once."""
        known: dict[int, Any] = {one: self._cache.get((what, one)) for one in numbers}
        missing = sorted(one for one, found in known.items() if found is None)
        for number, body in zip(missing, self._bodies(what, list(map(parts.span, missing))), strict=True):
            found = self._verified(what, partial(self._read, parts, body, number, read))
            self._cache.put((what, number), found, found.size_bytes)
            known[number] = found
        return known

    @staticmethod
    def _read(parts: Spans, body: bytes, number: int, read: Callable[[bytes, int], P]) -> P:
        return read(parts.checked(number, body), number)

    def _verified(self, what: str, read: Callable[[], T]) -> T:
        try:
            return read()
        except (ValueError, TypeError, LookupError, OSError, struct.error, pa.ArrowException, RecursionError) as exc:
            raise _damaged(self.name.key(what), ValueError(str(exc)[:200])) from exc

    def _bodies(self, what: str, spans: Sequence[tuple[int, int]]) -> list[bytes]:
        """Return spans of a file, given in order as start and length: at once, neighbours in one request.

        What lies at the end of ``words`` is at hand.
        """
        near, tail = self._tail if what == "words" else (sys.maxsize, b"")
        far = [one for one in spans if one[0] < near]
        joined: list[list[int]] = []
        gap = max(_GAP_BYTES, _VAIN_BYTES // max(len(far) - 1, 1))
        for start, length in far:
            if joined and start - joined[-1][1] <= gap and start + length - joined[-1][0] <= _AT_ONCE_BYTES:
                joined[-1][1] = start + length
            else:
                joined.append([start, start + length])
        key = self.name.key(what)
        calls: list[Callable[[], Any]] = [partial(self._store.get_range, key, one, end - one) for one, end in joined]
        bodies = self._store.parallel(calls) if len(calls) > 1 else [call() for call in calls]
        found: list[bytes] = []
        place = 0
        for start, length in far:
            while start >= joined[place][1]:
                place += 1
            at = start - joined[place][0]
            found.append(bytes(bodies[place][at : at + length]))
        return found + [tail[start - near : start - near + length] for start, length in spans[len(far) :]]

"""Postings of more documents than memory holds: put aside in chunks that are sorted by word, and merged.

A chunk is an Arrow file of batches of a few words. Of each chunk one batch is held while they are merged, and of what
comes of it a group or two. So memory does not grow with the number of documents, but for the postings of a single
word, which are one row: 16 bytes for each document that has it, a few times over.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.search.gathering import PostingsTable, plain_names
from lakefolio.search.index_files import NAME
from lakefolio.search.word_group import LISTS

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["WordRows", "merged", "put_aside"]

_GROUP_POSTINGS: Final = 16_384
_GROUP_WORDS: Final = 2_048


class WordRows(NamedTuple):
    """Words, sorted, and their postings one after the other.

    Attributes:
        words: The words.
        ends: Where the postings of each word end.
        values: Of each list, see LISTS, the members; ``documents`` are whole numbers, not differences.
    """

    words: pa.Array
    ends: npt.NDArray[np.int64]
    values: tuple[npt.NDArray[Any], ...]

    def part(self, start: int, stop: int) -> WordRows:
        """Return some of the words."""
        before = int(self.ends[start - 1]) if start else 0
        ends = self.ends[start:stop]
        after = int(ends[-1]) if len(ends) else before
        return WordRows(
            self.words.slice(start, stop - start), ends - before, tuple(one[before:after] for one in self.values)
        )

    def sizes(self) -> npt.NDArray[np.int64]:
        """Return how many documents have each word."""
        return np.diff(self.ends, prepend=0)

    def batch(self) -> pa.RecordBatch:
        """Return them as a row a word, with lists."""
        offsets = pa.array(np.concatenate([[0], self.ends]).astype(np.int32))
        lists = [pa.ListArray.from_arrays(offsets, pa.array(one)) for one in self.values]
        return pa.RecordBatch.from_arrays([self.words, *lists], names=["word", *LISTS])


def put_aside(path: Path, table: PostingsTable, names: pa.Array, first: int) -> None:
    """Write the postings of documents, and their names, as a chunk.

    Args:
        path: The file.
        table: The postings.
        names: The names of the documents.
        first: The number of the first document.
    """
    rows = _sorted(table, names, first)
    schema = pa.schema([("word", pa.string()), *((name, pa.list_(kind)) for name, kind in LISTS.items())])
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, schema, options=options) as writer:
        for start, stop in _cuts(rows.ends):
            writer.write_batch(rows.part(start, stop).batch())


def _sorted(table: PostingsTable, names: pa.Array, first: int) -> WordRows:
    said = names.dictionary_encode()
    plain = [NAME + one for one in plain_names(said.dictionary.to_pylist())]
    named = pa.array(plain, pa.string()).take(said.indices)
    by_name = pc.sort_indices(named).to_numpy().astype(np.int32)  # stable
    named = named.take(pa.array(by_name))
    begins = _begins(named)
    words = pa.concat_arrays([pa.array(list(table.numbers), pa.string()), named.take(pa.array(begins))])
    starts = np.concatenate([table.ends[:-1], len(table.documents) + begins])
    sizes = np.concatenate([np.diff(table.ends), np.diff(begins, append=len(named))])
    order = pc.sort_indices(words).to_numpy()
    words, starts, sizes = words.take(pa.array(order)), starts[order], sizes[order]
    ends = np.cumsum(sizes)
    places = np.repeat(starts - (ends - sizes), sizes) + np.arange(int(ends[-1]) if len(ends) else 0)
    nothing = np.zeros(len(named), np.float32)
    values = (
        np.concatenate([table.documents, by_name])[places] + np.int32(first),
        np.concatenate([table.weights, nothing])[places],
        np.concatenate([table.fields, np.zeros(len(named), np.int32)])[places],
        np.concatenate([table.lengths[table.documents], nothing])[places],
    )
    return WordRows(words, ends, values)


def _begins(words: pa.Array) -> npt.NDArray[np.int64]:
    """Return where each word of a sorted array begins."""
    if not len(words):
        return np.zeros(0, np.int64)
    new = pc.not_equal(words.slice(1), words.slice(0, len(words) - 1)).to_numpy(zero_copy_only=False)
    return np.flatnonzero(np.concatenate([[True], new]))


def _cuts(ends: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Give the first and the last word of each group, given where the postings of words end."""
    start, before = 0, 0
    while start < len(ends):
        stop = int(np.searchsorted(ends, before + _GROUP_POSTINGS, side="right"))
        stop = min(max(stop, start + 1), start + _GROUP_WORDS)
        yield start, stop
        start, before = stop, int(ends[stop - 1])


class _Chunk:
    """A chunk that is read from its first word on.

    Attributes:
        rows: The rows at hand; None at its end.
    """

    def __init__(self, path: Path) -> None:
        self._file = pa.OSFile(str(path), "rb")
        self._batches = iter(pa.ipc.open_stream(self._file))
        self.rows: pa.RecordBatch | None = next(self._batches, None)

    def last(self) -> str:
        """Return the last word at hand."""
        assert self.rows is not None, "it is not at its end"
        word: str = self.rows.column("word")[-1].as_py()
        return word

    def up_to(self, word: str) -> pa.RecordBatch:
        """Return the rows at hand up to a word, and have others at hand if those were all."""
        assert self.rows is not None, "it is not at its end"
        rows, words = self.rows, self.rows.column("word")
        stop = bisect_right(range(len(words)), word, key=lambda at: words[at].as_py())
        self.rows = rows.slice(stop) if stop < len(words) else next(self._batches, None)
        return rows.slice(0, stop)

    def close(self) -> None:
        self._file.close()


def merged(paths: Sequence[Path]) -> Iterator[WordRows]:
    """Give the rows of chunks in order, as the groups of ``words``: the same ones however documents were cut.

    Args:
        paths: The chunks, in the order of their documents.
    """
    chunks = [_Chunk(path) for path in paths]
    try:
        rest: list[WordRows] = []
        held = 0
        for rows in _ranges(chunks):
            rest.append(rows)
            held += len(rows.values[0])
            if held >= _GROUP_POSTINGS or sum(len(one.words) for one in rest) >= _GROUP_WORDS:
                whole = _joined(rest)
                *cuts, last = _cuts(whole.ends)  # further words may belong to the last one
                yield from (whole.part(*cut) for cut in cuts)
                rest = [whole.part(*last)]
                held = len(rest[0].values[0])
        if rest:
            whole = _joined(rest)
            yield from (whole.part(*cut) for cut in _cuts(whole.ends))
    finally:
        for chunk in chunks:
            chunk.close()


def _joined(rows: Sequence[WordRows]) -> WordRows:
    """Join rows whose words follow one another."""
    if len(rows) == 1:
        return rows[0]
    words = pa.concat_arrays([one.words for one in rows])
    ends = np.cumsum(np.concatenate([one.sizes() for one in rows]))
    return WordRows(
        words, ends, tuple(np.concatenate(some) for some in zip(*(one.values for one in rows), strict=True))
    )


def _ranges(chunks: Sequence[_Chunk]) -> Iterator[WordRows]:
    """Give the rows of all chunks, one range of words after the other: up to where the first batch at hand ends."""
    left = [chunk for chunk in chunks if chunk.rows is not None]
    while left:
        bound = min(chunk.last() for chunk in left)
        rows = pa.Table.from_batches([some for chunk in left if (some := chunk.up_to(bound)).num_rows])
        left = [chunk for chunk in left if chunk.rows is not None]
        rows = rows.take(pc.sort_indices(rows.column("word"))).combine_chunks()  # stable: documents stay in order
        words = rows.column("word").combine_chunks()
        begins = _begins(words)
        lists = [rows.column(name).combine_chunks() for name in LISTS]
        offsets = lists[0].offsets.to_numpy()
        ends = np.concatenate([offsets[begins[1:]], offsets[-1:]]).astype(np.int64) - int(offsets[0])
        yield WordRows(words.take(pa.array(begins)), ends, tuple(one.flatten().to_numpy() for one in lists))

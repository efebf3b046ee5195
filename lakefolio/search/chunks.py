"""Postings of more documents than memory holds: put aside in chunks that are sorted by word, and merged.

A chunk is an Arrow file of batches of a few words. Of each chunk one batch is held while they are merged, and of what
comes of it a group or two. So memory does not grow with the number of documents, but for the postings of a single
word, which are one row: 16 bytes for each document that has it, a few times over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.readmodels import merge
from lakefolio.readmodels.model import Model
from lakefolio.search.gathering import PostingsTable, plain_names
from lakefolio.search.index_files import NAME
from lakefolio.search.word_group import LISTS

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["WordRows", "merged", "put_aside"]

_GROUP_POSTINGS: Final = 16_384
_GROUP_WORDS: Final = 2_048
_MODEL: Final = Model(
    "words",
    pa.schema([("word", pa.string()), *((name, pa.list_(kind)) for name, kind in LISTS.items())]),
    ("word",),
    (),
)


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
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, _MODEL.schema, options=options) as writer:
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


def _rows_of(path: Path) -> Iterator[pa.Table]:
    """Give the rows of a chunk, a batch at a time."""
    with pa.OSFile(str(path), "rb") as file:
        for batch in pa.ipc.open_stream(file):
            yield pa.Table.from_batches([batch])


def merged(paths: Sequence[Path]) -> Iterator[WordRows]:
    """Give the rows of chunks in order, as the groups of ``words``: the same ones however documents were cut.

    Args:
        paths: The chunks, in the order of their documents.
    """
    rest: list[WordRows] = []
    held = 0
    for rows in merge.merged(list(map(_rows_of, paths)), _MODEL, bottom=True):
        rest.append(_of_rows(rows))
        held += len(rest[-1].values[0])
        if held >= _GROUP_POSTINGS or sum(len(one.words) for one in rest) >= _GROUP_WORDS:
            whole = _joined(rest)
            *cuts, last = _cuts(whole.ends)  # further words may belong to the last one
            yield from (whole.part(*cut) for cut in cuts)
            rest = [whole.part(*last)]
            held = len(rest[0].values[0])
    if rest:
        whole = _joined(rest)
        yield from (whole.part(*cut) for cut in _cuts(whole.ends))


def _joined(rows: Sequence[WordRows]) -> WordRows:
    """Join rows whose words follow one another."""
    if len(rows) == 1:
        return rows[0]
    words = pa.concat_arrays([one.words for one in rows])
    ends = np.cumsum(np.concatenate([one.sizes() for one in rows]))
    return WordRows(
        words, ends, tuple(np.concatenate(some) for some in zip(*(one.values for one in rows), strict=True))
    )


def _of_rows(rows: pa.Table) -> WordRows:
    """Return sorted rows of chunks, all that a word has, as one row a word: documents stay in order."""
    rows = rows.combine_chunks()
    words = rows.column("word").combine_chunks()
    begins = _begins(words)
    lists = [rows.column(name).combine_chunks() for name in LISTS]
    offsets = lists[0].offsets.to_numpy()
    ends = np.concatenate([offsets[begins[1:]], offsets[-1:]]).astype(np.int64) - int(offsets[0])
    return WordRows(words.take(pa.array(begins)), ends, tuple(one.flatten().to_numpy() for one in lists))

"""How the files of the index of a lake are made, whatever number of documents they have (FORMAT.md, "Search index").

Documents come in the order of their references and are written as they come; their postings are put aside in chunks,
which are merged at the end. All lies in a folder of the caller's. Memory holds a chunk, and of all documents where in a
file the label of each lies, a number for each of its facets, and what the directory says of them: some bytes for each
block of ``texts``. The bytes do not depend on how documents fall into chunks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.search.chunks import WordRows, merged, put_aside
from lakefolio.search.document import Label
from lakefolio.search.document_rows import flat, list_ends, whole
from lakefolio.search.facets import Column, Facets
from lakefolio.search.gathering import Gathering, Postings, bm25
from lakefolio.search.index_files import COLUMNS, NAME, Spans, digest_of, directory_bytes
from lakefolio.search.text_blocks import BlockMaker
from lakefolio.search.word_group import LABELLED, WITH_LABEL, packed_group

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Files", "files_of"]

CHUNK_BYTES: Final = 8 << 20
"""A chunk ends with the document that brings its texts to this length: one to two million tokens, 150 MB."""

_BLOCK_DOCUMENTS: Final = 128
_BLOCK_BYTES: Final = 24_576
_VOCABULARY: Final = 100_000
_PIECE_BYTES: Final = 8 << 20


@dataclass(frozen=True)
class Files:
    """The files of an index, which lie in a folder under their names.

    Attributes:
        folder: The folder.
        footer: The directory at the end of ``words``.
    """

    folder: Path
    footer: bytes

    def path(self, what: str) -> Path:
        """Return where a file lies."""
        return self.folder / what

    def size_bytes(self, what: str) -> int:
        """Return the size of a file."""
        return self.path(what).stat().st_size

    def pieces(self, what: str) -> Iterator[bytes]:
        """Give the bytes of a file."""
        with self.path(what).open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                yield piece


def files_of(tables: Iterable[pa.Table], folder: Path, chunk_bytes: int = CHUNK_BYTES, *, journal: str = "") -> Files:
    """Make the files of an index over documents, given in the order of their references.

    Args:
        tables: The documents, see ``document_rows``; of few tables the rows are held.
        folder: An empty folder, which the files and, for a time, the chunks are written to.
        chunk_bytes: Of how many bytes of texts the postings are held at once.
        journal: The digest of the journal's log entry of their version.
    """
    facets = Facets()
    with (folder / "texts").open("wb") as texts_file, _Labels(folder / "labels") as labels:
        texts, chunks = _Texts(texts_file), _Chunks(folder, chunk_bytes)
        for rows in tables:
            facets.add(rows)
            labels.add(rows)
            texts.add(rows)
            chunks.add(rows)
        texts.end()
        chunks.end()
    noted = {
        "journal": journal,
        "count": chunks.count,
        "total_length": chunks.total_length,
        "kinds": facets.kinds(),
        "aside": facets.aside(),
        "counts": texts.counts,
    }
    with labels.opened() as of_documents:
        files = Files(folder, _words_file(chunks.paths, folder, noted, texts.spans(), facets, of_documents))
    for path in (*chunks.paths, labels.path):
        path.unlink()
    return files


class _Chunks:
    """Puts the postings of documents aside in chunks.

    Attributes:
        count: How many documents were put aside.
        total_length: The weight of all their tokens.
        paths: The chunks.
    """

    def __init__(self, folder: Path, chunk_bytes: int) -> None:
        self.count, self.total_length = 0, 0.0
        self.paths: list[Path] = []
        self._folder, self._chunk_bytes = folder, chunk_bytes
        self._begin()

    def _begin(self) -> None:
        self._gathering = Gathering()
        self._names: list[pa.Array] = []
        self._bytes = 0

    def add(self, rows: pa.Table) -> None:
        texts = whole(rows.column("texts"))
        ends = flat(texts.flatten()).ends[list_ends(texts)]
        start = 0
        while start < len(rows):
            left = self._chunk_bytes - self._bytes
            stop = min(int(np.searchsorted(ends[start + 1 :], ends[start] + left)) + start + 1, len(rows))
            some = rows.slice(start, stop - start)
            self._gathering.add(some)
            self._names.append(whole(some.column("name")))
            self._bytes += int(ends[stop] - ends[start])
            start = stop
            if self._bytes >= self._chunk_bytes:
                self.end()

    def end(self) -> None:
        if not self._names:
            return
        table, names = self._gathering.done(), pa.concat_arrays(self._names)
        self._begin()
        self.total_length += float(table.lengths.sum(dtype=np.float64))
        self.paths.append(self._folder / f"chunk-{len(self.paths)}")
        put_aside(self.paths[-1], table, names, self.count)
        self.count += len(names)


@dataclass
class _Parts:
    """Notes the parts of a file, as they are written."""

    file: BinaryIO
    firsts: list[str] = field(default_factory=list)
    starts: list[int] = field(default_factory=lambda: [0])
    digests: list[bytes] = field(default_factory=list)

    def add(self, first: str, body: bytes) -> None:
        self.file.write(body)
        self.firsts.append(first)
        self.starts.append(self.file.tell())
        self.digests.append(digest_of(body))

    def spans(self) -> Spans:
        return Spans(tuple(self.firsts), np.array(self.starts, np.int64), tuple(self.digests))


class _Labels:
    """Writes the labels of documents to a file, to be looked up by number."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("wb")
        self._ends = [np.zeros(1, np.int64)]

    def add(self, rows: pa.Table) -> None:
        ends, body = flat(_labels(rows))
        self._file.write(body.tobytes())
        self._ends.append(ends[1:] + self._ends[-1][-1])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    @contextmanager
    def opened(self) -> Iterator[pa.Array]:
        """Give the labels of all documents, which are read from the file as they are asked for."""
        ends = np.concatenate(self._ends)
        with pa.memory_map(str(self.path)) if ends[-1] else pa.BufferReader(b"") as file:
            yield pa.LargeStringArray.from_buffers(len(ends) - 1, pa.py_buffer(ends), file.read_buffer())


def _labels(rows: pa.Table) -> pa.Array:
    """Return the labels of documents, see :meth:`Label.packed`; those of items are short as a rule."""
    refs, kinds, names, folios = (whole(rows.column(name)) for name in ("ref", "kind", "name", "folio"))
    parts = pc.extract_regex(refs, r"(?s)^(?P<folio>[^:\x00]*):(?P<name>[^\x00]*)@[^@\x00]*$")
    short = pc.and_(pc.equal(parts.field("folio"), folios), pc.equal(parts.field("name"), names))
    short = pc.and_(short, pc.and_(pc.equal(whole(rows.column("type")), "item"), parts.is_valid()))
    short = pc.and_not(short, pc.fill_null(pc.equal(kinds, ""), False))
    short = pc.and_(pc.fill_null(short, False), whole(rows.column("status")).is_null())
    labels = pc.binary_join_element_wise(refs, pc.fill_null(kinds, ""), "\0")
    others = rows.filter(pc.invert(short)).select(Label._fields).to_pylist()
    if others:
        labels = pc.replace_with_mask(labels, pc.invert(short), pa.array([Label(**one).packed() for one in others]))
    return labels


class _Texts:
    """Writes ``texts``."""

    def __init__(self, file: BinaryIO) -> None:
        self._parts = _Parts(file)
        self.spans = self._parts.spans
        self.counts: list[int] = []
        self._rest: pa.Table | None = None

    def add(self, rows: pa.Table) -> None:
        """Take further documents."""
        self._rest = rows if self._rest is None else pa.concat_tables([self._rest, rows])
        self._write(all_of_them=False)

    def end(self) -> None:
        self._write(all_of_them=True)

    def _write(self, *, all_of_them: bool) -> None:
        """Write the blocks that are full, or all: one ends with the document that brings it to its size."""
        if self._rest is None:
            return
        maker, start = BlockMaker(self._rest), 0
        refs = whole(self._rest.column("ref"))
        ends = np.concatenate([[0], np.cumsum(maker.sizes)])
        while start < len(refs):
            stop = min(start + _BLOCK_DOCUMENTS, int(np.searchsorted(ends, ends[start] + _BLOCK_BYTES)))
            if stop > len(refs) and not all_of_them:
                break
            stop = min(stop, len(refs))
            self._parts.add(refs[start].as_py(), maker.block(start, stop))
            self.counts.append(stop - start)
            start = stop
        self._rest = self._rest.slice(start)


class _Vocabulary:
    """The words that most documents have, of words that come in order; of two that as many have, the first."""

    def __init__(self) -> None:
        self._parts = [pa.table({"word": pa.array([], pa.string()), "count": pa.array([], pa.int64())})]
        self._count = 0

    def add(self, rows: WordRows) -> None:
        some = pa.table({"word": rows.words, "count": rows.sizes()})
        self._parts.append(some.filter(pc.invert(pc.starts_with(some.column("word"), NAME))))
        self._count += self._parts[-1].num_rows
        if self._count > 4 * _VOCABULARY:
            self._parts = [self.most()]
            self._count = self._parts[0].num_rows

    def column(self) -> Column:
        """Return them, sorted, with the number of documents that have each."""
        rows = self.most()
        counts = rows.column("count").to_numpy().astype(np.int32)
        return Column(whole(rows.column("word")), np.zeros(0, np.int32), counts)

    def most(self) -> pa.Table:
        rows = pa.concat_tables(self._parts).combine_chunks()
        if rows.num_rows <= _VOCABULARY:
            return rows
        order = np.argsort(-rows.column("count").to_numpy(), kind="stable")[:_VOCABULARY]
        return rows.take(pa.array(np.sort(order)))


def _words_file(
    chunks: list[Path], folder: Path, noted: dict[str, Any], texts: Spans, facets: Facets, labels: pa.Array
) -> bytes:
    """Write ``words`` and return the directory at its end."""
    vocabulary = _Vocabulary()
    with (folder / "words").open("wb") as file:
        parts = _Parts(file)
        mean_length = max(noted["total_length"] / max(noted["count"], 1), 1.0)
        for rows in merged(chunks):
            vocabulary.add(rows)
            labelled = _labelled(rows, mean_length)
            named = labels.take(pa.array(rows.values[0][labelled])).cast(pa.string())
            documents, weights, fields, lengths = rows.values
            values = documents, weights, fields | np.where(labelled, np.int32(WITH_LABEL), np.int32(0)), lengths
            parts.add(rows.words[0].as_py(), packed_group(rows.words, rows.sizes(), values, named))
        columns = _Parts(file, starts=[parts.starts[-1]])
        for name in COLUMNS:
            column = vocabulary.column() if name == "vocabulary" else facets.column(name)
            columns.add(name, column.packed())
        footer = directory_bytes(noted, {"words": parts.spans(), "texts": texts, "columns": columns.spans()})
        file.write(footer)
    return footer


def _labelled(rows: WordRows, mean_length: float) -> npt.NDArray[np.bool_]:
    """Return of which postings the label is noted: of words that very many documents have those of the best."""
    found = np.ones(len(rows.values[0]), np.bool_)
    sizes = rows.sizes()
    for word in np.flatnonzero(sizes > LABELLED).tolist():
        start, end = int(rows.ends[word] - sizes[word]), int(rows.ends[word])
        gained = bm25(Postings(*(one[start:end] for one in rows.values)), mean_length)
        best = np.argsort(-gained, kind="stable")[:LABELLED]
        found[start:end] = False
        found[start + best] = True
    return found

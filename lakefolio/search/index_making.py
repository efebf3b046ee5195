"""How the files of the index of a lake are made, whatever number of documents they have (FORMAT.md, "Search index").

Documents come in the order of their references and are written as they come; their postings are put aside in chunks,
which are merged at the end. All lies in a folder of the caller's. Memory holds a chunk, and of all documents where in a
file the label of each lies, a number for each of its facets, and what the directory says of them: some bytes for each
block of ``texts``. The bytes do not depend on how documents fall into chunks.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.search.chunks import WordRows, merged, put_aside
from lakefolio.search.facets import Column, Facets
from lakefolio.search.gathering import Document, Gathering, Postings, bm25
from lakefolio.search.index_files import BETWEEN, COLUMNS, NAME, STORED, Spans, digest_of, directory_bytes
from lakefolio.search.word_group import LABELLED, WITH_LABEL, packed_group, shrunk

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Files", "files_of"]

CHUNK_CHARACTERS: Final = 8 << 20
"""A chunk ends with the document that brings its texts to this length: one to two million tokens, 150 MB."""

_BLOCK_DOCUMENTS: Final = 128
_BLOCK_CHARACTERS: Final = 24_576
_VOCABULARY: Final = 100_000
_PIECE_BYTES: Final = 8 << 20
_ENCODED: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_STORED_OF: Final = attrgetter(*STORED)


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


def files_of(
    documents: Iterable[Document], folder: Path, chunk_characters: int = CHUNK_CHARACTERS, *, journal: str = ""
) -> Files:
    """Make the files of an index over documents, given in the order of their references.

    Args:
        documents: The documents; of no more than a block of ``texts`` the values are held.
        folder: An empty folder, which the files and, for a time, the chunks are written to.
        chunk_characters: Of how many characters the postings are held at once.
        journal: The digest of the journal's log entry of their version.
    """
    given = iter(documents)
    total, count = 0.0, 0
    chunks: list[Path] = []
    facets = Facets()
    with _Output(folder / "texts") as texts_output, _Labels(folder / "labels") as labels:
        texts = _Texts(texts_output)

        def taken(names: list[str]) -> Iterator[Document]:
            characters = 0
            while characters < chunk_characters and (document := next(given, None)) is not None:
                length = sum([len(text) for _, text in document.texts])
                texts.add(document, length)
                facets.add(document)
                labels.add(document.label.packed())
                names.append(document.name)
                characters += length
                yield document

        while True:
            names: list[str] = []
            gathering = Gathering()
            gathering.add(taken(names))
            if not names:
                break
            table = gathering.done()
            total += float(table.lengths.sum(dtype=np.float64))
            chunks.append(folder / f"chunk-{len(chunks)}")
            put_aside(chunks[-1], table, names, count)
            count += len(names)
            del table, gathering
        texts.end()
    noted = {
        "journal": journal,
        "count": count,
        "total_length": total,
        "kinds": facets.kinds(),
        "datasets": facets.datasets(),
        "counts": texts.counts,
    }
    with labels.opened() as of_documents:
        files = Files(folder, _words_file(chunks, folder, noted, texts.spans(), facets, of_documents))
    for path in (*chunks, labels.path):
        path.unlink()
    return files


class _Output:
    """A file that is written from its start to its end."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def write(self, body: bytes) -> int:
        """Write bytes and return where they end."""
        self._file.write(body)
        return self._file.tell()


@dataclass
class _Parts:
    """Notes the parts of a file, as they are written."""

    output: _Output
    firsts: list[str] = field(default_factory=list)
    starts: list[int] = field(default_factory=lambda: [0])
    digests: list[bytes] = field(default_factory=list)

    def add(self, first: str, body: bytes) -> None:
        self.firsts.append(first)
        self.starts.append(self.output.write(body))
        self.digests.append(digest_of(body))

    def spans(self) -> Spans:
        return Spans(tuple(self.firsts), np.array(self.starts, np.int64), tuple(self.digests))


class _Labels:
    """Writes the labels of documents to a file, to be looked up by number."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("wb")
        self._ends = array("q", [0])

    def add(self, label: str) -> None:
        body = label.encode()
        self._file.write(body)
        self._ends.append(self._ends[-1] + len(body))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    @contextmanager
    def opened(self) -> Iterator[pa.Array]:
        """Give the labels of all documents, which are read from the file as they are asked for."""
        offsets = pa.py_buffer(np.frombuffer(self._ends, np.int64))
        with pa.memory_map(str(self.path)) if self._ends[-1] else pa.BufferReader(b"") as file:
            yield pa.LargeStringArray.from_buffers(len(self._ends) - 1, offsets, file.read_buffer())


class _Texts:
    """Writes ``texts``."""

    def __init__(self, output: _Output) -> None:
        self._parts = _Parts(output)
        self.spans = self._parts.spans
        self.counts: list[int] = []
        self._rows: list[tuple[Any, ...]] = []
        self._size = 0
        self._first = ""

    def add(self, document: Document, length: int) -> None:
        """Take a further document, whose texts have some characters together."""
        if not self._rows:
            self._first = document.ref
        self._rows.append(_STORED_OF(document))
        self._size += length
        if len(self._rows) >= _BLOCK_DOCUMENTS or self._size >= _BLOCK_CHARACTERS:
            self.end()

    def end(self) -> None:
        if not self._rows:
            return
        plain = f"[{BETWEEN.join(map(_ENCODED, self._rows))}]".encode("utf-8", "surrogatepass")
        self._parts.add(self._first, shrunk(plain))
        self.counts.append(len(self._rows))
        self._rows, self._size = [], 0


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
        return Column(rows.column("word").to_pylist(), np.zeros(0, np.int32), counts)

    def most(self) -> pa.Table:
        rows = pa.concat_tables(self._parts).combine_chunks()
        if rows.num_rows <= _VOCABULARY:
            return rows
        order = np.argsort(-rows.column("count").to_numpy(), kind="stable")[:_VOCABULARY]
        return rows.take(pa.array(np.sort(order)))


def _words_file(
    chunks: list[Path], folder: Path, noted: dict[str, Any], texts: Spans, facets: Facets, labels: pa.Array
) -> bytes:
    """Write ``words`` and ``columns``, and return the directory at the end of the first."""
    vocabulary = _Vocabulary()
    with _Output(folder / "words") as output:
        parts = _Parts(output)
        mean_length = max(noted["total_length"] / max(noted["count"], 1), 1.0)
        for rows in merged(chunks):
            vocabulary.add(rows)
            labelled = _labelled(rows, mean_length)
            named = labels.take(pa.array(rows.values[0][labelled])).cast(pa.string())
            documents, weights, fields, lengths = rows.values
            values = documents, weights, fields | np.where(labelled, np.int32(WITH_LABEL), np.int32(0)), lengths
            parts.add(rows.words[0].as_py(), packed_group(rows.words, rows.sizes(), values, named))
        with _Output(folder / "columns") as columns_output:
            columns = _Parts(columns_output)
            for name in COLUMNS:
                column = vocabulary.column() if name == "vocabulary" else facets.column(name)
                columns.add(name, column.packed())
        footer = directory_bytes(noted, {"words": parts.spans(), "texts": texts, "columns": columns.spans()})
        output.write(footer)
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

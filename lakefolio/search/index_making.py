"""How the files of the index of a lake are made, whatever number of documents they have (FORMAT.md, "Search index").

Documents come in the order of their references and are written as they come; their postings are put aside in chunks,
which are merged at the end. All lies in a folder of the caller's. Memory holds a chunk, and of all documents where in a
file the reference of each lies, and what the directory says of them: some bytes for each block of ``texts``. The bytes
do not depend on how documents fall into chunks.
"""

from __future__ import annotations

import hashlib
import io
import json
from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.search.chunks import WordRows, merged, put_aside
from lakefolio.search.gathering import Document, Gathering, Postings, bm25
from lakefolio.search.index_files import NAME, STORED, Spans, digest_of, directory_bytes
from lakefolio.search.word_group import REFERRED, WITH_REF, packed_group, shrunk

if TYPE_CHECKING:
    import numpy.typing as npt
    from typing_extensions import Buffer

__all__ = ["Files", "files_of"]

CHUNK_CHARACTERS: Final = 8 << 20
"""A chunk ends with the document that brings its texts to this length: one to two million tokens, 150 MB."""

_BLOCK_DOCUMENTS: Final = 128
_BLOCK_BYTES: Final = 32_768
_FACET_ROWS: Final = 65_536
_VOCABULARY: Final = 100_000
_PIECE_BYTES: Final = 8 << 20
_ENCODED: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


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


def files_of(documents: Iterable[Document], folder: Path, chunk_characters: int = CHUNK_CHARACTERS) -> Files:
    """Make the files of an index over documents, given in the order of their references.

    Args:
        documents: The documents; no more than a few are held at once.
        folder: An empty folder, which the files and, for a time, the chunks are written to.
        chunk_characters: Of how many characters the postings are held at once.
    """
    given = iter(documents)
    total, count = 0.0, 0
    chunks: list[Path] = []
    facets_output = _Output(folder / "facets")
    with (
        _Output(folder / "texts") as texts_output,
        facets_output,
        _Facets(facets_output) as facets,
        _Refs(folder / "refs") as refs,
    ):
        texts = _Texts(texts_output)

        def taken(names: list[str]) -> Iterator[Document]:
            characters = 0
            while characters < chunk_characters and (document := next(given, None)) is not None:
                texts.add(document)
                facets.add(document)
                refs.add(document.ref)
                names.append(document.name)
                characters += sum(len(text) for _, text in document.texts)
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
        facets.end()
    noted = {
        "count": count,
        "total_length": total,
        "kinds": sorted(facets.kinds),
        "files": {"facets": facets_output.noted()},
        "counts": texts.counts,
    }
    with refs.opened() as of_documents:
        files = Files(folder, _words_file(chunks, folder, noted, texts.spans(), of_documents))
    for path in (*chunks, refs.path):
        path.unlink()
    return files


class _Output(io.RawIOBase):
    """A file that is written from its start to its end, of which the size and the digest are known."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("wb")
        self._sha256 = hashlib.sha256()
        self._place = 0

    def writable(self) -> bool:
        return True

    def write(self, body: Buffer) -> int:
        size_bytes = self._file.write(body)
        self._sha256.update(body)
        self._place += size_bytes
        return size_bytes

    def tell(self) -> int:
        return self._place

    def close(self) -> None:
        self._file.close()
        super().close()

    def noted(self) -> list[Any]:
        """Return what the directory says of it."""
        return [self._place, self._sha256.hexdigest()]


@dataclass
class _Parts:
    """Notes the parts of a file, as they are written."""

    output: _Output
    firsts: list[str] = field(default_factory=list)
    starts: list[int] = field(default_factory=lambda: [0])
    digests: list[bytes] = field(default_factory=list)

    def add(self, first: str, body: bytes) -> None:
        self.output.write(body)
        self.firsts.append(first)
        self.starts.append(self.output.tell())
        self.digests.append(digest_of(body))

    def spans(self) -> Spans:
        return Spans(tuple(self.firsts), np.array(self.starts, np.int64), tuple(self.digests))


class _Refs:
    """Writes the references of documents to a file, to be looked up by number."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("wb")
        self._ends = array("q", [0])

    def add(self, ref: str) -> None:
        body = ref.encode()
        self._file.write(body)
        self._ends.append(self._ends[-1] + len(body))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    @contextmanager
    def opened(self) -> Iterator[pa.Array]:
        """Give the references of all documents, which are read from the file as they are asked for."""
        offsets = pa.py_buffer(np.frombuffer(self._ends, np.int64))
        with pa.memory_map(str(self.path)) if self._ends[-1] else pa.BufferReader(b"") as file:
            yield pa.LargeStringArray.from_buffers(len(self._ends) - 1, offsets, file.read_buffer())


class _Texts:
    """Writes ``texts``."""

    def __init__(self, output: _Output) -> None:
        self._parts = _Parts(output)
        self.spans = self._parts.spans
        self.counts: list[int] = []
        self._rows: list[str] = []
        self._size = 0
        self._first = ""

    def add(self, document: Document) -> None:
        row = _ENCODED([getattr(document, name) for name in STORED])
        if not self._rows:
            self._first = document.ref
        self._rows.append(row)
        self._size += len(row)
        if len(self._rows) >= _BLOCK_DOCUMENTS or self._size >= _BLOCK_BYTES:
            self.end()

    def end(self) -> None:
        if not self._rows:
            return
        plain = ("[" + ",".join(self._rows) + "]").encode("utf-8", "surrogatepass")
        self._parts.add(self._first, shrunk(plain))
        self.counts.append(len(self._rows))
        self._rows, self._size = [], 0


class _Facets:
    """Writes ``facets``."""

    def __init__(self, output: _Output) -> None:
        import pyarrow.parquet as pq

        columns = [(one, pa.string()) for one in ("type", "kind", "folio", "author")]
        self._schema = pa.schema([*columns, ("tags", pa.list_(pa.string()))])
        self._writer = pq.ParquetWriter(output, self._schema, compression="zstd", store_schema=False)
        self._rows: dict[str, list[Any]] = {one: [] for one in self._schema.names}
        self.kinds: set[str] = set()

    def add(self, document: Document) -> None:
        self._rows["tags"].append(list(dict.fromkeys(document.tags)))
        for one in ("type", "kind", "folio", "author"):
            self._rows[one].append(getattr(document, one))
        self.kinds |= set() if document.kind is None else {document.kind}
        if len(self._rows["type"]) >= _FACET_ROWS:
            self.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._writer.close()

    def end(self) -> None:
        if self._rows["type"]:
            self._writer.write_table(pa.table(self._rows, schema=self._schema))
        for values in self._rows.values():
            values.clear()


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

    def most(self) -> pa.Table:
        """Return them, sorted, with the number of documents that have each."""
        rows = pa.concat_tables(self._parts).combine_chunks()
        if rows.num_rows <= _VOCABULARY:
            return rows
        order = np.argsort(-rows.column("count").to_numpy(), kind="stable")[:_VOCABULARY]
        return rows.take(pa.array(np.sort(order)))


def _words_file(chunks: list[Path], folder: Path, noted: dict[str, Any], texts: Spans, refs: pa.Array) -> bytes:
    """Write ``words`` and ``vocabulary``, and return the directory at the end of the first."""
    import pyarrow.parquet as pq

    vocabulary = _Vocabulary()
    with _Output(folder / "words") as output:
        parts = _Parts(output)
        mean_length = max(noted["total_length"] / max(noted["count"], 1), 1.0)
        for rows in merged(chunks):
            vocabulary.add(rows)
            referred = _referred(rows, mean_length)
            named = refs.take(pa.array(rows.values[0][referred])).cast(pa.string())
            documents, weights, fields, lengths = rows.values
            values = documents, weights, fields | np.where(referred, np.int32(WITH_REF), np.int32(0)), lengths
            parts.add(rows.words[0].as_py(), packed_group(rows.words, rows.sizes(), values, named))
        with _Output(folder / "vocabulary") as words_output:
            most = vocabulary.most()
            pq.write_table(
                most, words_output, compression="zstd", store_schema=False, row_group_size=max(most.num_rows, 1)
            )
        files = {**noted["files"], "vocabulary": words_output.noted()}
        footer = directory_bytes({**noted, "files": files}, parts.spans(), texts)
        output.write(footer)
    return footer


def _referred(rows: WordRows, mean_length: float) -> npt.NDArray[np.bool_]:
    """Return of which postings the reference is noted: of words that very many documents have those of the best."""
    found = np.ones(len(rows.values[0]), np.bool_)
    sizes = rows.sizes()
    for word in np.flatnonzero(sizes > REFERRED).tolist():
        start, end = int(rows.ends[word] - sizes[word]), int(rows.ends[word])
        gained = bm25(Postings(*(one[start:end] for one in rows.values)), mean_length)
        best = np.argsort(-gained, kind="stable")[:REFERRED]
        found[start:end] = False
        found[start + best] = True
    return found

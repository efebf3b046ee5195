"""How the files of the index of a lake are made, whatever number of documents they have (FORMAT.md, "Search index").

Documents come in the order of their references and are written as they come; their postings are put aside in chunks,
which are merged at the end. All lies in a folder of the caller's. Memory holds a chunk, and of all documents what the
footer says of them: some bytes for each block of ``texts``. The bytes do not depend on how documents fall into chunks.
"""

from __future__ import annotations

import hashlib
import io
import json
import zlib
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.search.chunks import WordRows, merged, put_aside
from lakefolio.search.gathering import Document, Gathering
from lakefolio.search.index_files import DIGEST_BYTES, INDEX, LAYOUT, LISTS, NAME

if TYPE_CHECKING:
    import pyarrow.parquet as pq
    from typing_extensions import Buffer

__all__ = ["Files", "files_of"]

CHUNK_CHARACTERS: Final = 8 << 20
"""A chunk ends with the document that brings its texts to this length: one to two million tokens, 150 MB."""

_BLOCK_DOCUMENTS: Final = 64
_BLOCK_BYTES: Final = 16_384
_FACET_ROWS: Final = 65_536
_VOCABULARY: Final = 100_000
_PIECE_BYTES: Final = 8 << 20


@dataclass(frozen=True)
class Files:
    """The files of an index, which lie in a folder under their names.

    Attributes:
        folder: The folder.
        footer: The footer of ``words``.
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
    with _Output(folder / "texts") as texts_output, facets_output, _Facets(facets_output) as facets:
        texts = _Texts(texts_output)

        def taken(names: list[str]) -> Iterator[Document]:
            characters = 0
            while characters < chunk_characters and (document := next(given, None)) is not None:
                texts.add(document)
                facets.add(document)
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
    directory = {
        "layout": LAYOUT,
        "count": count,
        "total_length": total,
        "kinds": sorted(facets.kinds),
        "files": {"facets": facets_output.noted()},
        "counts": _packed(np.array(texts.counts, np.uint16).tobytes()),
        "lengths": _packed(np.array(texts.lengths, np.uint32).tobytes()),
        "digests": b64encode(b"".join(texts.digests)).decode(),
        "firsts": _packed(json.dumps(texts.firsts).encode()),
    }
    files = Files(folder, _words_file(chunks, folder, directory))
    for chunk in chunks:
        chunk.unlink()
    return files


def _packed(body: bytes) -> str:
    return b64encode(zlib.compress(body, 6)).decode()


class _Output(io.RawIOBase):
    """A file that is written from its start to its end, of which the size and the digest are known."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("wb")
        self._sha256 = hashlib.sha256()
        self._place = 0
        self.part = hashlib.sha256()
        """The digest of what was written since it was last set."""

    def writable(self) -> bool:
        return True

    def write(self, body: Buffer) -> int:
        size_bytes = self._file.write(body)
        self._sha256.update(body)
        self.part.update(body)
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
class _Texts:
    """Writes ``texts``."""

    output: _Output
    counts: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    firsts: list[str] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)
    size: int = 0
    first: str = ""

    def add(self, document: Document) -> None:
        values = [getattr(document, name) for name in Document.__slots__]
        row = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
        if not self.rows:
            self.first = document.ref
        self.rows.append(row)
        self.size += len(row)
        if len(self.rows) >= _BLOCK_DOCUMENTS or self.size >= _BLOCK_BYTES:
            self.end()

    def end(self) -> None:
        if not self.rows:
            return
        plain = ("[" + ",".join(self.rows) + "]").encode("utf-8", "surrogatepass")
        block = len(plain).to_bytes(4, "little") + pa.compress(plain, codec="zstd", asbytes=True)
        self.output.write(block)
        self.counts.append(len(self.rows))
        self.lengths.append(len(block))
        self.digests.append(hashlib.sha256(block).digest()[:DIGEST_BYTES])
        self.firsts.append(self.first)
        self.rows, self.size = [], 0


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


def _words_file(chunks: list[Path], folder: Path, directory: dict[str, Any]) -> bytes:
    """Write ``words`` and ``vocabulary``, and return the footer of the first."""
    import pyarrow.parquet as pq

    vocabulary = _Vocabulary()
    groups: list[list[Any]] = []
    with _Output(folder / "words") as output:
        with _words_writer(output) as writer:
            for rows in merged(chunks):
                vocabulary.add(rows)
                begin, output.part = output.tell(), hashlib.sha256()
                part = pa.Table.from_batches([_with_gaps(rows).batch()]).cast(writer.schema)
                writer.write_table(part, row_group_size=part.num_rows)
                groups.append([rows.words[0].as_py(), begin, output.tell() - begin, output.part.hexdigest()])
            with _Output(folder / "vocabulary") as words_output:
                most = vocabulary.most()
                pq.write_table(
                    most, words_output, compression="zstd", store_schema=False, row_group_size=max(most.num_rows, 1)
                )
            files = {**directory["files"], "vocabulary": words_output.noted()}
            noted = {**directory, "files": files, "groups": groups}
            writer.add_key_value_metadata({INDEX: json.dumps(noted, separators=(",", ":"))})
        size_bytes = output.tell()
    with (folder / "words").open("rb") as file:
        file.seek(size_bytes - 8)
        file.seek(size_bytes - 8 - int.from_bytes(file.read(4), "little"))
        return file.read()


def _words_writer(output: _Output) -> pq.ParquetWriter:
    import pyarrow.parquet as pq

    lists = [f"{name}.list.element" for name in LISTS]
    fields = [pa.field("word", pa.string(), nullable=False)]
    return pq.ParquetWriter(
        output,
        pa.schema([*fields, *(pa.field(name, pa.list_(kind)) for name, kind in LISTS.items())]),
        compression="zstd",
        store_schema=False,
        write_statistics=False,
        use_dictionary=lists[1:],
        column_encoding={lists[0]: "DELTA_BINARY_PACKED", "word": "DELTA_BYTE_ARRAY"},
    )


def _with_gaps(rows: WordRows) -> WordRows:
    """Return rows whose documents are the first number and then differences."""
    documents, *others = rows.values
    gaps = np.diff(documents, prepend=np.int32(0)).astype(np.int32)
    starts = rows.ends - rows.sizes()
    gaps[starts] = documents[starts]
    return WordRows(rows.words, rows.ends, (gaps, *others))

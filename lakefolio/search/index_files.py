"""The files of the index of a lake: how documents are written, and a few read (FORMAT.md, "Search index"; pure).

Four files are made together. ``words`` is Parquet, one row per token with its postings, in row groups of a few words:
its footer also carries the *directory*, which says where each row group and each block of the other files lies, and
the digest of each. ``texts`` holds the documents in small compressed blocks, ``facets`` and ``vocabulary`` are small
Parquet files that are read whole. So a query reads the footer, a row group for each of its words, and a block for each
hit.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.content.byte_files import piece_file
from lakefolio.delta.seal import Seals
from lakefolio.search.gathering import Document, Postings, PostingsTable, plain_names

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow.parquet as pq

__all__ = [
    "NAME",
    "PREFIX",
    "Directory",
    "Files",
    "Group",
    "IndexName",
    "block_of",
    "directory_of",
    "files_of",
    "group_of",
    "whole_file",
]

PREFIX: Final = "index/search"
NAME: Final = "="
"""What stands before the whole name of a document, which is a row of ``words`` too. No token has it."""

_INDEX: Final = "lakefolio.search"
_LAYOUT: Final = 1
_GROUP_POSTINGS: Final = 16_384
_GROUP_WORDS: Final = 2_048
_BLOCK_DOCUMENTS: Final = 64
_BLOCK_BYTES: Final = 16_384
_BLOCK_LIMIT: Final = 64 << 20
_DIGEST_BYTES: Final = 8
_VOCABULARY: Final = 100_000
_KEY: Final = re.compile(rf"{PREFIX}/(\d{{20}})-([0-9a-f]{{32}})\.(words-(\d{{1,12}})-([0-9a-f]{{64}})|[a-z]+)")
_LISTS: Final = {"documents": pa.int32(), "weights": pa.float32(), "fields": pa.int32(), "lengths": pa.float32()}


class IndexName(NamedTuple):
    """What the name of the file ``words`` says, which stands for the whole index.

    Attributes:
        version: The version of the lake.
        id: What its files have in common.
        footer_bytes: The length of the footer.
        seal: The seal of the footer.
    """

    version: int
    id: str
    footer_bytes: int
    seal: str

    @classmethod
    def of(cls, version: int, id: str, footer: bytes, lake_id: str) -> IndexName:
        """Return the name of an index with a footer."""
        return cls(version, id, len(footer), _seal(lake_id, version, id, footer))

    @classmethod
    def parse(cls, key: str) -> IndexName | None:
        """Read a key; None if it is not that of a file ``words``."""
        match = _KEY.fullmatch(key)
        return cls(int(match[1]), match[2], int(match[4]), match[5]) if match and match[4] else None

    def key(self, what: str) -> str:
        """Return the key of one of its files."""
        what = f"words-{self.footer_bytes}-{self.seal}" if what == "words" else what
        return f"{PREFIX}/{self.version:020d}-{self.id}.{what}"

    def is_of(self, lake_id: str, footer: bytes) -> bool:
        """Say whether a footer is that of this index, and of this lake."""
        return self.seal == _seal(lake_id, self.version, self.id, footer)


def _seal(lake_id: str, version: int, id: str, footer: bytes) -> str:
    return Seals(lake_id, PREFIX).of_bytes(f"{version:020d}-{id}", footer)


@dataclass(frozen=True, slots=True)
class Group:
    """A row group of ``words``: its first word, where it lies, and its SHA-256."""

    first: str
    start: int
    length: int
    sha256: str


@dataclass(frozen=True)
class Directory:
    """What the footer of ``words`` says.

    Attributes:
        count: The number of documents.
        total_length: The weight of all their tokens.
        kinds: The kinds that documents have.
        files: The size and the SHA-256 of ``facets`` and ``vocabulary``.
        groups: The row groups of ``words``.
        ends: The number of the document after each block of ``texts``.
        starts: Where each block begins, and the last one ends.
        digests: The first bytes of the SHA-256 of each block, one after the other.
        firsts: The reference of the first document of each block.
        metadata: The footer itself.
    """

    count: int
    total_length: float
    kinds: tuple[str, ...]
    files: Mapping[str, tuple[int, str]]
    groups: tuple[Group, ...]
    ends: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    digests: bytes
    firsts: tuple[str, ...]
    metadata: pq.FileMetaData

    def digest_of(self, block: int) -> bytes:
        """Return what the digest of a block begins with."""
        return self.digests[block * _DIGEST_BYTES : (block + 1) * _DIGEST_BYTES]


@dataclass
class Files:
    """The files of an index: what each holds, and the footer of ``words``."""

    bodies: dict[str, bytes]
    footer: bytes


@dataclass
class _Texts:
    """Writes ``texts``."""

    body: io.BytesIO = field(default_factory=io.BytesIO)
    counts: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    firsts: list[str] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)
    size: int = 0
    first: str = ""

    def add(self, document: Document) -> None:
        row = json.dumps(astuple_of(document), ensure_ascii=False, separators=(",", ":"))
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
        self.body.write(block)
        self.counts.append(len(self.rows))
        self.lengths.append(len(block))
        self.digests.append(hashlib.sha256(block).digest()[:_DIGEST_BYTES])
        self.firsts.append(self.first)
        self.rows, self.size = [], 0


def astuple_of(document: Document) -> tuple[Any, ...]:
    """Return the values of a document, in the order of its fields."""
    return tuple(getattr(document, name) for name in Document.__slots__)


def block_of(body: bytes, digest: bytes) -> list[Document]:
    """Return the documents of a block of ``texts``.

    Raises:
        ValueError: It is damaged.
    """
    if hashlib.sha256(body).digest()[:_DIGEST_BYTES] != digest:
        raise ValueError("a block has another digest than its directory says")
    size = int.from_bytes(body[:4], "little")
    if size > _BLOCK_LIMIT:
        raise ValueError("a block is too large")
    plain = pa.decompress(body[4:], decompressed_size=size, codec="zstd", asbytes=True)
    return [_document(*row) for row in json.loads(plain.decode("utf-8", "surrogatepass"))]


def _document(*row: Any) -> Document:
    values: dict[str, Any] = dict(zip(Document.__slots__, row, strict=True))
    texts = tuple((str(one), str(text)) for one, text in values.pop("texts"))
    digest = values.pop("digest")
    tags = tuple(str(one) for one in values.pop("tags"))
    if not all(value is None or isinstance(value, str) for value in values.values()):
        raise ValueError("a document has a value that is no text")
    if not all(isinstance(values[one], str) for one in ("id", "type", "ref", "name")):
        raise ValueError("a document has no name")
    return Document(
        texts=texts, tags=tags, digest=None if digest is None else (str(digest[0]), int(digest[1])), **values
    )


def files_of(documents: Iterable[Document], gather: Any) -> Files:
    """Return the files of an index over documents, given in the order of their references.

    Args:
        documents: The documents; no more than a few are held at once.
        gather: A new Gathering.
    """
    texts = _Texts()
    names: list[str] = []
    facets: dict[str, list[Any]] = {one: [] for one in ("type", "kind", "folio", "author", "tags")}

    def passed() -> Iterator[Document]:
        for document in documents:
            texts.add(document)
            names.append(document.name)
            for one in ("type", "kind", "folio", "author"):
                facets[one].append(getattr(document, one))
            facets["tags"].append(list(dict.fromkeys(document.tags)))
            yield document

    gather.add(passed())
    table: PostingsTable = gather.done()
    texts.end()
    kinds = sorted({one for one in facets["kind"] if one is not None})
    bodies = {"texts": texts.body.getvalue(), "facets": _facets_file(facets), "vocabulary": _vocabulary_file(table)}
    facets.clear()
    directory = {
        "layout": _LAYOUT,
        "count": len(names),
        "total_length": float(table.lengths.sum()),
        "kinds": kinds,
        "files": {one: [len(bodies[one]), hashlib.sha256(bodies[one]).hexdigest()] for one in ("facets", "vocabulary")},
        "counts": _packed(np.array(texts.counts, np.uint16).tobytes()),
        "lengths": _packed(np.array(texts.lengths, np.uint32).tobytes()),
        "digests": b64encode(b"".join(texts.digests)).decode(),
        "firsts": _packed(json.dumps(texts.firsts).encode()),
    }
    bodies["words"] = _words_file(table, names, directory)
    body = bodies["words"]
    return Files(bodies, body[-int.from_bytes(body[-8:-4], "little") - 8 :])


def _packed(body: bytes) -> str:
    return b64encode(zlib.compress(body, 6)).decode()


def _unpacked(text: str) -> bytes:
    found = zlib.decompressobj()
    body = found.decompress(b64decode(text), _BLOCK_LIMIT)
    if not found.eof:
        raise ValueError("its directory is too large")
    return body


def _facets_file(facets: Mapping[str, Sequence[Any]]) -> bytes:
    columns = {
        name: pa.array(values, pa.list_(pa.string()) if name == "tags" else pa.string())
        for name, values in facets.items()
    }
    return _parquet(pa.table(columns))


def _vocabulary_file(table: PostingsTable) -> bytes:
    """Return the most frequent words, sorted, with the number of documents that have each."""
    counts = np.diff(table.ends)
    words = pa.table({"word": pa.array(list(table.numbers), pa.string()), "count": pa.array(counts, pa.int64())})
    if words.num_rows > _VOCABULARY:
        words = words.take(pa.array(np.argsort(-counts, kind="stable")[:_VOCABULARY]))
    return _parquet(words.sort_by("word"))


def _parquet(table: pa.Table) -> bytes:
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", store_schema=False, row_group_size=max(table.num_rows, 1))
    return sink.getvalue()


def whole_file(body: bytes, noted: tuple[int, str], columns: Sequence[str]) -> pa.Table:
    """Return ``facets`` or ``vocabulary``.

    Raises:
        ValueError: It is damaged.
    """
    import pyarrow.parquet as pq

    if hashlib.sha256(body).hexdigest() != noted[1]:
        raise ValueError("it has another digest than its directory says")
    return pq.read_table(pa.BufferReader(body), columns=list(columns)).select(list(columns)).combine_chunks()


def _words_file(table: PostingsTable, names: Sequence[str], directory: Mapping[str, Any]) -> bytes:
    """Return the postings of words and names, sorted."""
    import pyarrow.parquet as pq

    named = pa.table(
        {
            "word": pa.array([NAME + one for one in plain_names(names)], pa.string()),
            "number": pa.array(np.arange(len(names), dtype=np.int32)),
        }
    )
    named = named.sort_by([("word", "ascending"), ("number", "ascending")]).combine_chunks()
    column = named.column("word").combine_chunks()
    first = np.flatnonzero(
        np.concatenate([[True], pc.not_equal(column.slice(1), column.slice(0, len(column) - 1)).to_numpy(False)])
        if len(column)
        else np.zeros(0, np.bool_)
    )
    words = pa.concat_arrays([pa.array(list(table.numbers), pa.string()), column.take(pa.array(first))])
    numbers = named.column("number").to_numpy()
    starts = np.concatenate([table.ends[:-1], len(table.documents) + first])
    sizes = np.concatenate([np.diff(table.ends), np.diff(first, append=len(numbers))])
    order = pc.sort_indices(words).to_numpy()
    words, starts, sizes = words.take(pa.array(order)), starts[order], sizes[order]
    ends = np.cumsum(sizes)
    places = np.repeat(starts - (ends - sizes), sizes) + np.arange(int(ends[-1]) if len(ends) else 0)
    documents = np.concatenate([table.documents, numbers])[places]
    gaps = np.diff(documents, prepend=np.int32(0)).astype(np.int32)
    gaps[ends - sizes] = documents[ends - sizes]
    nothing = np.zeros(len(numbers), np.float32)
    columns = {
        "documents": gaps,
        "weights": np.concatenate([table.weights, nothing])[places],
        "fields": np.concatenate([table.fields, np.zeros(len(numbers), np.int32)])[places],
        "lengths": np.concatenate([table.lengths[table.documents], nothing])[places],
    }
    sink = io.BytesIO()
    groups = []
    lists = [f"{name}.list.element" for name in _LISTS]
    with pq.ParquetWriter(
        sink,
        pa.schema(
            [
                pa.field("word", pa.string(), nullable=False),
                *(pa.field(name, pa.list_(kind)) for name, kind in _LISTS.items()),
            ]
        ),
        compression="zstd",
        store_schema=False,
        write_statistics=False,
        use_dictionary=lists[1:],
        column_encoding={lists[0]: "DELTA_BINARY_PACKED", "word": "DELTA_BYTE_ARRAY"},
    ) as writer:
        for start, stop in _cuts(ends):
            before, after = int(ends[start] - sizes[start]), int(ends[stop - 1])
            offsets = pa.array(np.concatenate([[0], ends[start:stop] - before]).astype(np.int32))
            arrays = [pa.ListArray.from_arrays(offsets, pa.array(columns[name][before:after])) for name in _LISTS]
            begin = sink.tell()
            part = pa.Table.from_arrays([words.slice(start, stop - start), *arrays], names=["word", *_LISTS])
            writer.write_table(part.cast(writer.schema), row_group_size=stop - start)
            digest = hashlib.sha256(sink.getbuffer()[begin:]).hexdigest()
            groups.append([words[start].as_py(), begin, sink.tell() - begin, digest])
        noted = {**directory, "groups": groups}
        writer.add_key_value_metadata({_INDEX: json.dumps(noted, separators=(",", ":"))})
    return sink.getvalue()


def _cuts(ends: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Give the first and the last word of each row group, given where the postings of words end."""
    start, before = 0, 0
    while start < len(ends):
        stop = int(np.searchsorted(ends, before + _GROUP_POSTINGS, side="right"))
        stop = min(max(stop, start + 1), start + _GROUP_WORDS)
        yield start, stop
        start, before = stop, int(ends[stop - 1])


def directory_of(footer: bytes, size_bytes: int, texts_bytes: int | None = None) -> Directory:
    """Return what a footer of ``words`` says.

    Args:
        footer: Its bytes.
        size_bytes: The size of the file.
        texts_bytes: The size of ``texts``, if it is known.

    Raises:
        ValueError: It can't be read, or contradicts itself.
    """
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_metadata(pa.BufferReader(b"PAR1" + footer))
        noted = json.loads((metadata.metadata or {})[_INDEX.encode()])
        if noted["layout"] != _LAYOUT:
            raise ValueError("it is of another layout")
        groups = tuple(Group(*one) for one in noted["groups"])
        end = 0
        for one in groups:
            if type(one.first) is not str or type(one.start) is not int or type(one.length) is not int:
                raise ValueError("a row group is not described")
            if one.start < end or one.length < 0 or one.start + one.length > size_bytes:
                raise ValueError("a row group lies outside of the file")
            end = one.start + one.length
        counts = np.frombuffer(_unpacked(noted["counts"]), np.uint16).astype(np.int64)
        lengths = np.frombuffer(_unpacked(noted["lengths"]), np.uint32).astype(np.int64)
        starts = np.concatenate([[0], np.cumsum(lengths)])
        firsts = tuple(map(str, json.loads(_unpacked(noted["firsts"]))))
        digests = b64decode(noted["digests"])
        files = {name: (int(size), str(digest)) for name, (size, digest) in noted["files"].items()}
        count = int(noted["count"])
        blocks = len(counts)
        agreed = len(lengths) == len(firsts) == blocks and len(digests) == blocks * _DIGEST_BYTES
        if not agreed or int(counts.sum()) != count or metadata.num_row_groups != len(groups):
            raise ValueError("its counts contradict one another")
        if texts_bytes is not None and int(starts[-1]) != texts_bytes:
            raise ValueError("it is about other texts")
        kinds, total = tuple(map(str, noted["kinds"])), float(noted["total_length"])
        return Directory(count, total, kinds, files, groups, np.cumsum(counts), starts, digests, firsts, metadata)
    except (pa.ArrowException, KeyError, TypeError, AttributeError, OSError, RecursionError, zlib.error) as exc:
        raise ValueError(f"its footer can't be read: {exc}"[:200]) from exc


class WordGroup:
    """The decoded rows of a row group of ``words``."""

    def __init__(self, rows: pa.Table, count: int) -> None:
        self.words: list[str] = rows.column("word").to_pylist()
        self._places = {word: at for at, word in enumerate(self.words)}
        lists = [rows.column(name).combine_chunks() for name in _LISTS]
        self._offsets = lists[0].offsets.to_numpy()
        if any(not np.array_equal(one.offsets.to_numpy(), self._offsets) for one in lists[1:]) or any(
            one.null_count or one.values.null_count for one in lists
        ):
            raise ValueError("its lists are of different lengths")
        self._values = [one.values.to_numpy() for one in lists]
        self._count = count
        self.size_bytes = rows.nbytes + 100 * len(self.words)

    def of(self, word: str) -> Postings | None:
        """Return the postings of a word."""
        if (at := self._places.get(word)) is None:
            return None
        start, stop = int(self._offsets[at]), int(self._offsets[at + 1])
        gaps, weights, fields, lengths = (values[start:stop] for values in self._values)
        documents = np.cumsum(gaps, dtype=np.int64)
        if len(gaps) and (gaps[0] < 0 or (gaps[1:] <= 0).any() or documents[-1] >= self._count):
            raise ValueError("it names documents that there are not")
        return Postings(documents.astype(np.int32), weights, fields, lengths)


def group_of(body: bytes, directory: Directory, number: int, size_bytes: int) -> WordGroup:
    """Return a row group of ``words``.

    Raises:
        ValueError: It is damaged.
    """
    import pyarrow.parquet as pq

    group = directory.groups[number]
    if hashlib.sha256(body).hexdigest() != group.sha256:
        raise ValueError("a row group has another digest than its directory says")
    try:
        with pq.ParquetFile(piece_file(group.start, body, size_bytes), metadata=directory.metadata) as opened:
            return WordGroup(opened.read_row_group(number, use_threads=False), directory.count)
    except (pa.ArrowException, KeyError, OSError) as exc:
        raise ValueError(f"a row group can't be read: {exc}"[:200]) from exc

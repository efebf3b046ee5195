"""One Parquet file of a run: how it is written, and how a few of its rows are read without the others.

Any Parquet reader reads it. For lakefolio its footer also carries an *index* (``lakefolio.index``): the position of
each row group, its SHA-256, and the order columns of its first and last row. A Bloom filter of the keys lies right
before Parquet's footer and is read with it: within it, DuckDB would hold it, too. A lookup reads the footer and one row
group, both verified, or the footer alone if the filter excludes the key. Pure but for ``Ranges``.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import pyarrow as pa

from lakefolio.content.byte_files import piece_file
from lakefolio.delta.parquet_rows import fitted
from lakefolio.errors import IntegrityError
from lakefolio.format.arrow_rows import check_rows
from lakefolio.format.layout import table_prefix
from lakefolio.format.parquet_columns import bounded_columns, leaves
from lakefolio.readmodels import bloom
from lakefolio.readmodels.keys import Key, key_at
from lakefolio.readmodels.model import Model

if TYPE_CHECKING:
    import pyarrow.parquet as pq

__all__ = [
    "FILE_ROWS",
    "Footer",
    "RunFile",
    "counts",
    "damaged",
    "encode",
    "files_of",
    "read_footer",
    "read_group",
]

FILE_ROWS: Final = 131_072
"""A merge replaces whole files, and a footer describes all groups of one: neither is to be large."""

_MAGIC: Final = b"PAR1"
_INDEX: Final = "lakefolio.index"
_FALSE_POSITIVES: Final = 0.01
_DICTIONARY_BYTES: Final = 16 << 10
"""Values that all differ need none: without it a group of rows takes 6 % less, and 14 % less to encode."""
_GROUP_BYTES: Final = 12 << 20
"""Row groups are decoded and kept whole (see ``cache``), so that few rows are in one if they are large."""


@dataclass(frozen=True, slots=True)
class RunFile:
    """A file of a run, as the log of its table describes it.

    Attributes:
        path: Relative to the table.
        size_bytes: Its size.
        row_count: Its rows.
        sha256: The digest of its bytes.
        footer_bytes: The size of its footer, which ends the file.
        footer_sha256: The digest of its footer.
        first: The order columns of its first row.
        last: Those of its last row.
        after: The journal version after which its run begins.
        through: The journal version up to which its run goes.
    """

    path: str
    size_bytes: int
    row_count: int
    sha256: str
    footer_bytes: int
    footer_sha256: str
    first: Key
    last: Key
    after: int
    through: int


class Ranges(Protocol):
    """Where the files of a model are read from."""

    def read(self, model: str, file: RunFile, start: int, length: int) -> bytes:
        """Return some bytes of a file.

        Raises:
            NotFoundError: If it is not there any more.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Group:
    start: int
    length: int
    row_count: int
    sha256: str
    first: Key
    last: Key


class Footer:
    """The contents of the footer of a run's file."""

    def __init__(self, metadata: pq.FileMetaData, groups: Sequence[_Group], keys: bytes, size_bytes: int) -> None:
        self.metadata = metadata
        self.groups = groups
        self._filter = keys
        self.size_bytes = size_bytes

    def may_hold(self, hashed: int) -> bool:
        """Say whether a key may be in the file, by its hash; False is certain."""
        return not self._filter or bloom.may_hold(self._filter, hashed)

    def groups_between(self, first: Key, last: Key) -> range:
        """Return the numbers of the groups that may hold rows from one key up to another (prefixes of the order)."""
        start = bisect_left(self.groups, first, key=lambda one: one.last[: len(first)])
        stop = bisect_right(self.groups, last, key=lambda one: one.first[: len(last)])
        return range(start, stop)


def encode(
    rows: pa.Table, model: Model, *, after: int, through: int, group_rows: int | None = None
) -> tuple[RunFile, bytes]:
    """Return rows, sorted and settled, as a file without a path, and its bytes. There is at least one row.

    A lookup decodes one group (11 ms for 16,384 small entries); a scan by DuckDB gets slower below about that, and
    holds the description of each (0.4 MiB of a file of eight groups).
    """
    import pyarrow.parquet as pq

    group_rows = max(1, min(group_rows or model.group_rows, _GROUP_BYTES * rows.num_rows // max(rows.nbytes, 1)))
    sink = io.BytesIO()
    searched = {name: {"ndv": min(group_rows, rows.num_rows), "fpp": _FALSE_POSITIVES} for name in model.searched}
    groups = []
    paths = [path for field in rows.schema for path, _ in leaves(field.type, field.name)]
    with pq.ParquetWriter(
        sink,
        rows.schema,
        compression={path: "snappy" if path in model.scanned else "zstd" for path in paths},
        store_schema=False,
        write_statistics=[path for path in bounded_columns(rows.schema) if path in rows.schema.names],
        bloom_filter_options=searched or None,
        dictionary_pagesize_limit=_DICTIONARY_BYTES,
    ) as writer:
        for start in range(0, rows.num_rows, group_rows):
            part = rows.slice(start, group_rows)
            begin = sink.tell()
            writer.write_table(part, row_group_size=group_rows)
            length = sink.tell() - begin
            digest = hashlib.sha256(sink.getbuffer()[begin:]).hexdigest()
            first, last = (key_at(part, at, model.order) for at in (0, part.num_rows - 1))
            groups.append([begin, length, part.num_rows, digest, first, last])
        writer.add_key_value_metadata({_INDEX: json.dumps({"groups": groups}, separators=(",", ":"))})
    written, keys = sink.getvalue(), _filter_of(rows, model)
    own = _own_bytes(written)
    body = b"".join((memoryview(written)[:-own], keys, memoryview(written)[-own:]))
    footer_bytes = len(keys) + own
    file = RunFile(
        path="",
        size_bytes=len(body),
        row_count=rows.num_rows,
        sha256=hashlib.sha256(body).hexdigest(),
        footer_bytes=footer_bytes,
        footer_sha256=hashlib.sha256(body[-footer_bytes:]).hexdigest(),
        first=key_at(rows, 0, model.order),
        last=key_at(rows, rows.num_rows - 1, model.order),
        after=after,
        through=through,
    )
    return file, body


def _own_bytes(body: bytes) -> int:
    """Return the size of Parquet's own footer, which ends some bytes."""
    return int.from_bytes(body[-8:-4], "little") + 8


def _filter_of(rows: pa.Table, model: Model) -> bytes:
    names = model.key[: model.filtered]
    return bloom.build(bloom.hashes([rows.column(name) for name in names])) if names else b""


def files_of(
    parts: Iterable[pa.Table],
    model: Model,
    *,
    after: int,
    through: int,
    file_rows: int = FILE_ROWS,
    group_rows: int | None = None,
) -> Iterator[tuple[RunFile, bytes]]:
    """Cut the rows of a run, given in parts in their order, into files; memory is that of one."""
    gathered: list[pa.Table] = []
    count = 0
    for part in parts:
        gathered.append(part)
        count += part.num_rows
        while count >= file_rows:
            rows = pa.concat_tables(gathered)
            yield encode(rows.slice(0, file_rows), model, after=after, through=through, group_rows=group_rows)
            gathered, count = [rows.slice(file_rows)], count - file_rows
    if count:
        rows = pa.concat_tables(gathered).combine_chunks()
        yield encode(rows, model, after=after, through=through, group_rows=group_rows)


def read_footer(body: bytes, file: RunFile, model: Model) -> Footer:
    """Parse a footer.

    Args:
        body: The last ``file.footer_bytes`` of the file.
        file: The file.
        model: Its model.

    Raises:
        IntegrityError: If its bytes are damaged.
    """
    import pyarrow.parquet as pq

    if hashlib.sha256(body).hexdigest() != file.footer_sha256:
        raise damaged(model, file, "has another footer than was written")
    try:
        metadata = pq.read_metadata(pa.BufferReader(_MAGIC + body))  # a file that has nothing but its footer
        index = json.loads((metadata.metadata or {})[_INDEX.encode()])
        if len(index["groups"]) != metadata.num_row_groups:
            raise ValueError("it has other row groups than its index")
        groups = []
        for start, length, row_count, sha256, first, last in index["groups"]:
            counts((start, length, row_count))
            groups.append(_Group(start, length, row_count, sha256, model.key_of(first), model.key_of(last)))
        keys = base64.b64decode(index["filter"]) if "filter" in index else body[: -_own_bytes(body)]
        return Footer(metadata, groups, keys, len(body))
    except (pa.ArrowException, KeyError, ValueError, TypeError, OSError, RecursionError) as exc:
        raise damaged(model, file, "has a footer that can't be read") from exc


def read_group(
    body: bytes, file: RunFile, footer: Footer, number: int, model: Model, names: Sequence[str] | None = None
) -> pa.Table:
    """Return the rows of one row group.

    Args:
        body: Its bytes.
        file: The file.
        footer: Its footer.
        number: The number of the group.
        model: The model.
        names: Only these columns, in the model's order.

    Raises:
        IntegrityError: If its bytes are damaged.
    """
    import pyarrow.parquet as pq

    group = footer.groups[number]
    if hashlib.sha256(body).hexdigest() != group.sha256:
        raise damaged(model, file, f"has another row group {number} than was written")
    try:
        piece = piece_file(group.start, body)
        with pq.ParquetFile(piece, metadata=footer.metadata) as opened:
            columns = None if names is None else list(names)
            rows = opened.read_row_group(number, columns=columns, use_threads=False)
            schema = model.schema if names is None else pa.schema([model.schema.field(name) for name in names])
            # Parquet gives the columns as the schema has them, or they are fitted: that takes as long as reading them
            return check_rows(rows if rows.schema.equals(schema) else fitted(rows, schema)).combine_chunks()
    except (pa.ArrowException, KeyError, ValueError, OSError) as exc:
        raise damaged(model, file, f"has a row group {number} that can't be read") from exc


def counts(numbers: Iterable[Any]) -> tuple[int, ...]:
    """Return numbers that say where something lies or how much it is; ValueError if they can't."""
    found = tuple(numbers)
    if not all(type(one) is int and 0 <= one < 2**63 for one in found):
        raise ValueError(f"{found!r} are no numbers of bytes or rows"[:200])
    return found


def damaged(model: Model, file: RunFile, problem: str) -> IntegrityError:
    """Return the error that says so of a file."""
    key = f"{table_prefix(model.name)}/{file.path}"
    return IntegrityError(
        f"file {key!r} of read model {model.name!r} {problem}",
        kind="table-file-damaged",
        hint=f"read models are made of the journal: delete {table_prefix(model.name)!r}, it will be made again",
        key=key,
        table=model.name,
    )

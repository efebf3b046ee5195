"""How much memory a Parquet file takes when it is read, found out before any of it is taken.

A few kilobytes can decode to terabytes: pages that compress well, one long text that a million rows repeat, a row count
that no page has. So the pages' headers are read first. Only what the file really holds counts, never what its footer
says; the footer is refused if it says something else.

Source: https://parquet.apache.org/docs/file-format/ (Thrift compact protocol, ``PageHeader``).
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    import pyarrow.parquet as pq

__all__ = ["check_bounds", "limit_bytes", "safe_batch_rows"]

_SLACK_BYTES: Final = 64 << 20
_BATCH_ROWS: Final = 1 << 16
_BATCH_BYTES: Final = 128 << 20
_PAGE_BYTES: Final = 256 << 20
_PAGE_RATIO: Final = 200
_FREE_BYTES: Final = 16 << 30
_FILE_RATIO: Final = 1_000
_STORED_FACTOR: Final = 64
_SAID_FACTOR: Final = 8  # an index of one byte is read as four, and dictionaries are held twice for a moment

_WIDTHS: Final = {"BOOLEAN": 0.125, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8}
_OFFSET_BYTES: Final = 8
"""The memory of a text besides its bytes, also of a missing one."""
_DICTIONARY: Final = (2, 8)
"""Encodings whose pages hold indices of a dictionary."""
_PREFIXES: Final = 7
"""The encoding in which each value may repeat the one before."""
_DICTIONARY_PAGE: Final = 2
_DATA_PAGES: Final = (0, 3)
_DEEPEST: Final = 16


def limit_bytes(size_bytes: int, said_bytes: object) -> int:
    """Return how much memory a table may take.

    Args:
        size_bytes: The size of its file.
        said_bytes: How much it took when it was added, if its row says so.
    """
    said = said_bytes if type(said_bytes) is int and said_bytes > 0 else 0
    return _SLACK_BYTES + max(_STORED_FACTOR * size_bytes, _SAID_FACTOR * said)


def check_bounds(
    source: Path | pa.Buffer, file: pq.ParquetFile, *, row_count: int | None, most_bytes: int, kept: frozenset[str]
) -> None:
    """Refuse a file that takes more memory than it may, or whose footer contradicts its pages.

    Args:
        source: The file, or its content.
        file: The same, opened.
        row_count: How many rows its row of the journal says it has; None if it doesn't say.
        most_bytes: As :func:`limit_bytes` gives it.
        kept: The columns that stay dictionaries when they are read.

    Raises:
        ValueError: If so; struct.error and IndexError if a page's header is no such thing.
    """
    metadata = file.metadata
    if row_count is not None and metadata.num_columns and metadata.num_rows != row_count:
        raise ValueError(f"{metadata.num_rows} rows, expected {row_count}")
    room = float(most_bytes)
    with _content(source) as content:
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            for place in range(group.num_columns):
                found = _chunk(content, group.column(place), metadata.schema.column(place))
                if found.value_count != group.column(place).num_values or found.value_count < group.num_rows:
                    raise ValueError(f"{found.value_count} values of {found.path!r} for {group.num_rows} rows")
                room -= found.plain_bytes
                if found.path.partition(".")[0] not in kept and found.repeated_count:
                    room -= _repeated(source, content, found, number, room)
                if room < 0:
                    raise ValueError(f"it takes more than {most_bytes:,} bytes of memory")


def safe_batch_rows(path: Path, file: pq.ParquetFile) -> int:
    """Return how many rows of a file that others wrote are read at once, so that they take little memory.

    Raises:
        ValueError: A page, or the whole, would unpack to far more than it is; also as struct.error and IndexError.
    """
    metadata = file.metadata
    rows, room = _BATCH_ROWS, float(max(_FREE_BYTES, _FILE_RATIO * path.stat().st_size))
    with _content(path) as content:
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            width = 0.0
            for place in range(group.num_columns):
                found = _chunk(content, group.column(place), metadata.schema.column(place))
                if found.bomb_bytes > _PAGE_BYTES:
                    raise ValueError(f"a page of {found.path!r} would unpack to {found.bomb_bytes:,} bytes")
                each = found.densest_bytes
                if found.repeated_count:
                    each += _longest_known(content, found)
                width += each * max(1.0, found.value_count / max(1, group.num_rows))
            rows = min(rows, int(_BATCH_BYTES / max(1.0, width)))
            room -= width * group.num_rows
            if room < 0:
                raise ValueError("it stands for far more bytes than it has")
    return max(1, rows)


@dataclass(slots=True)
class _Chunk:
    """Counts and sizes of the pages of one column of one row group.

    Attributes:
        path: The column.
        value_count: Values, nulls included.
        plain_bytes: The memory of the values that are not repeated.
        repeated_count: How many values are places in a dictionary.
        dictionary: Where its page lies in the file, its size there, its size in memory, and its codec.
        densest_bytes: The memory of a value in the page where values are largest.
        bomb_bytes: The largest of the pages that unpack to much more than they are.
    """

    path: str
    value_count: int = 0
    plain_bytes: float = 0
    repeated_count: int = 0
    dictionary: tuple[int, int, int, str] | None = None
    densest_bytes: float = 0
    bomb_bytes: int = 0


def _chunk(content: Any, chunk: Any, column: Any) -> _Chunk:
    found = _Chunk(chunk.path_in_schema)
    width = float(column.length) if chunk.physical_type == "FIXED_LEN_BYTE_ARRAY" else _WIDTHS.get(chunk.physical_type)
    if str(column.logical_type) == "Null":
        width = 0
    starts = [start for start in (chunk.dictionary_page_offset, chunk.data_page_offset) if start]
    position = min(starts)
    end = position + chunk.total_compressed_size
    if not 0 < position <= end <= len(content):
        raise ValueError(f"column {found.path!r} lies outside of the file")
    while position < end and found.value_count < chunk.num_values:
        header, position = _struct(content, position)
        kind, unpacked, packed = header[1], header[2], header[3]
        if min(unpacked, packed) < 0 or position + packed > end:
            raise ValueError(f"a page of {found.path!r} lies outside of the file")
        if unpacked > _PAGE_RATIO * packed:
            found.bomb_bytes = max(found.bomb_bytes, unpacked)
        before = found.plain_bytes
        if kind == _DICTIONARY_PAGE:
            found.dictionary = (position, packed, unpacked, chunk.compression)
            found.plain_bytes += unpacked
        elif kind in _DATA_PAGES:
            data = header[5 if kind == 0 else 8]
            count, encoding = data[1], data[2 if kind == 0 else 4]
            if count < 0:
                raise ValueError(f"a page of {count} values")
            found.value_count += count
            found.plain_bytes += unpacked
            found.plain_bytes += count * (_OFFSET_BYTES if width is None else width)
            if width is None and encoding in _DICTIONARY:
                found.repeated_count += count
            elif width is None and encoding == _PREFIXES:
                found.plain_bytes += count * unpacked
            found.densest_bytes = max(found.densest_bytes, (found.plain_bytes - before) / max(1, count))
        position += packed
    return found


def _repeated(source: Path | pa.Buffer, content: object, chunk: _Chunk, group: int, room: float) -> float:
    """Return the memory of the texts that places in a dictionary stand for, or more: as exactly as ``room`` needs."""
    if chunk.dictionary is None:
        raise ValueError(f"column {chunk.path!r} has no dictionary")
    unpacked = chunk.dictionary[2]
    if chunk.repeated_count * unpacked <= room:
        return chunk.repeated_count * unpacked
    if unpacked > room:
        return unpacked
    longest = _longest(_dictionary(content, chunk))
    if chunk.repeated_count * longest <= room:
        return chunk.repeated_count * longest
    import pyarrow.parquet as pq

    where = pa.BufferReader(source) if isinstance(source, pa.Buffer) else str(source)
    file = pq.ParquetFile(where, read_dictionary=[chunk.path])
    table = file.read_row_group(group, columns=[chunk.path], use_threads=False)
    return sum(_text_bytes(array) for column in table.columns for array in column.chunks)


def _longest_known(content: object, chunk: _Chunk) -> int:
    """Return the length of the longest text that is repeated, or more where its page can't be read here."""
    try:
        return _longest(_dictionary(content, chunk))
    except (pa.ArrowException, OSError, struct.error):  # as of the older LZ4, which only the reader of files knows
        return 0 if chunk.dictionary is None else chunk.dictionary[2]


def _dictionary(content: Any, chunk: _Chunk) -> bytes:
    """Return the page with the values that are repeated."""
    if chunk.dictionary is None:
        raise ValueError(f"column {chunk.path!r} has no dictionary")
    start, packed, unpacked, codec = chunk.dictionary
    page: bytes = content[start : start + packed]
    if codec == "UNCOMPRESSED":
        return page
    plain: bytes = pa.decompress(page, decompressed_size=unpacked, codec=_codec(codec), asbytes=True)
    return plain


def _codec(name: str) -> str:
    return {"LZ4": "lz4_raw", "LZ4_RAW": "lz4_raw"}.get(name, name.lower())


def _longest(page: bytes) -> int:
    """Return the length of the longest text in a dictionary's page: each is four bytes of length, then itself."""
    longest = position = 0
    length_at = struct.Struct("<I").unpack_from
    while position < len(page):
        (length,) = length_at(page, position)
        position += 4 + length
        longest = max(longest, length)
    return longest


def _text_bytes(array: pa.Array) -> int:
    """Return the size of all texts in an array once none of them is in a dictionary."""
    if isinstance(array, pa.DictionaryArray):
        lengths = pc.binary_length(array.dictionary)
        return int(pc.sum(lengths.take(array.indices).cast(pa.int64())).as_py() or 0)
    if isinstance(array, pa.ExtensionArray):
        return _text_bytes(array.storage)
    if isinstance(array, pa.StructArray):
        return sum(map(_text_bytes, array.flatten()))
    if isinstance(array, pa.MapArray):
        return _text_bytes(array.keys) + _text_bytes(array.items)
    if pa.types.is_nested(array.type):
        return _text_bytes(pc.list_flatten(array))
    return 0


class _content:  # noqa: N801 - a context manager
    """The bytes of a file, mapped, or of a buffer."""

    def __init__(self, source: Path | pa.Buffer) -> None:
        self._source = source
        self._map: mmap.mmap | None = None

    def __enter__(self) -> Any:
        if isinstance(self._source, pa.Buffer):
            return memoryview(self._source).cast("B")
        with self._source.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return self._map

    def __exit__(self, *error: object) -> None:
        if self._map is not None:
            self._map.close()


# -- Thrift's compact protocol ------------------------------------------------------------------------------


def _struct(content: Any, position: int, depth: int = 0) -> tuple[Mapping[int, Any], int]:
    """Read a struct and return its fields by number (those that are numbers or structs), and where it ends."""
    if depth > _DEEPEST:
        raise ValueError("a page's header is nested too deeply")
    fields: dict[int, Any] = {}
    number = 0
    while kind := content[position]:
        position += 1
        if kind >> 4:
            number += kind >> 4
        else:
            number, position = _signed(content, position)
        fields[number], position = _value(content, position, kind & 15, depth)
    return fields, position + 1


def _value(content: Any, position: int, kind: int, depth: int) -> tuple[Any, int]:
    if kind in (1, 2):
        return kind == 1, position
    if kind == 3:
        return content[position], position + 1
    if kind in (4, 5, 6):
        return _signed(content, position)
    if kind == 7:
        return None, position + 8
    if kind == 8:
        size, position = _unsigned(content, position)
        return None, position + size
    if kind == 12:
        return _struct(content, position, depth + 1)
    raise ValueError(f"a page's header holds a value of the type {kind}")


def _unsigned(content: Any, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("a page's header holds a number that is too long")


def _signed(content: object, position: int) -> tuple[int, int]:
    value, position = _unsigned(content, position)
    return (value >> 1) ^ -(value & 1), position

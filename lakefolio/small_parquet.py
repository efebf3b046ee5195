"""Parquet files of a handful of rows, written by hand because each commit writes one (pure: no I/O).

pyarrow needs 300 microseconds for a file of one row and 25 columns, most of them to set up a writer for each column;
here nearly all bytes of a file are known before its values are, and the rest takes 80. Only the plainest form is
written: one row group, one page for each column, PLAIN encoding, no compression, no dictionary, no statistics.

Source: https://github.com/apache/parquet-format (Thrift's compact protocol, data page V1).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

import pyarrow as pa

from lakefolio.rows import to_micros

__all__ = ["small_parquet"]

_MAGIC: Final = b"PAR1"
_BOOLEAN, _INT32, _INT64, _DOUBLE, _BYTES = 0, 1, 2, 5, 6
_FORMATS: Final = {_INT32: "i", _INT64: "q", _DOUBLE: "d"}
_UTF8: Final = b"\x25\x00" + b"\x4c\x1c\x00\x00"  # converted type UTF8, logical type STRING
_MICROS_UTC: Final = b"\x25\x14" + b"\x4c\x8c\x11\x1c\x2c\x00\x00\x00\x00"  # TIMESTAMP_MICROS, TIMESTAMP(true, MICROS)


def _varint(number: int) -> bytes:
    if number < 0x80:
        return bytes((number,))
    found = bytearray()
    while number >= 0x80:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def _int(number: int) -> bytes:
    """Return a number that is not negative, as Thrift writes signed ones."""
    return _varint(number << 1)


def _text(text: str) -> bytes:
    data = text.encode()
    return _varint(len(data)) + data


def _list_of(size: int, kind: int) -> bytes:
    return bytes((size << 4 | kind,)) if size < 15 else bytes((0xF0 | kind,)) + _varint(size)


def _physical(kind: pa.DataType) -> tuple[int, bytes] | None:
    """Return the Parquet type of a column and what else its schema says; None for what is not written here."""
    if kind in (pa.string(), pa.binary()):
        return _BYTES, _UTF8 if kind == pa.string() else b""
    if kind == pa.timestamp("us", tz="UTC"):
        return _INT64, _MICROS_UTC
    plain = {pa.bool_(): _BOOLEAN, pa.int32(): _INT32, pa.int64(): _INT64, pa.float64(): _DOUBLE}.get(kind)
    return None if plain is None else (plain, b"")


class _Column:
    """What is known of a column before its values are."""

    def __init__(self, field: pa.Field, kind: int, annotation: bytes) -> None:
        self.kind = kind
        self.nullable = field.nullable
        self.format = _FORMATS.get(kind)
        self.is_time = pa.types.is_timestamp(field.type)
        # SchemaElement: type, repetition, name, annotation
        self.schema = b"\x15%b%%%b\x18%b%b\x00" % (_int(kind), _int(field.nullable), _text(field.name), annotation)
        # ColumnMetaData up to num_values: type, encodings (PLAIN, RLE), path, codec (none)
        self.metadata = b"\x15%b\x19%%\x00\x06\x19\x18%b\x15\x00\x16" % (_int(kind), _text(field.name))

    def page(self, values: list[Any]) -> bytes:
        """Return the one page of the column: levels that say which values are null, then the others."""
        levels = b""
        if self.nullable:
            present = [value for value in values if value is not None]
            if len(present) == len(values):
                runs = _varint(len(values) << 1) + b"\x01"  # one run of "present"
            else:
                runs = _varint((len(values) + 7) // 8 << 1 | 1) + _bits([value is not None for value in values])
            levels = struct.pack("<I", len(runs)) + runs
            values = present
        if self.kind == _BYTES:
            parts = [levels]
            for value in values:
                data = value.encode() if isinstance(value, str) else bytes(value)
                parts += (struct.pack("<I", len(data)), data)
            return b"".join(parts)
        if self.is_time:
            values = [to_micros(value) for value in values]
        if self.kind == _BOOLEAN:
            return levels + _bits(values)
        return levels + struct.pack(f"<{len(values)}{self.format}", *values)


def _bits(flags: Sequence[Any]) -> bytes:
    number = sum(1 << place for place, flag in enumerate(flags) if flag)
    return number.to_bytes((len(flags) + 7) // 8, "little")


@cache
def _columns(schema: pa.Schema) -> dict[str, _Column | None]:
    described = {field.name: (field, _physical(field.type)) for field in schema}
    return {name: None if found is None else _Column(field, *found) for name, (field, found) in described.items()}


def small_parquet(schema: pa.Schema, rows: Sequence[Mapping[str, Any]]) -> bytes | None:
    """Return rows as a Parquet file without the columns that are null throughout.

    Args:
        schema: The columns.
        rows: At least one; values that Arrow takes for ``schema``.

    Returns:
        The file, or None if a column with values is of a type that is not written here (lists).
    """
    count = _int(len(rows))
    body, footer, elements = [_MAGIC], [], []
    offset = len(_MAGIC)
    for name, column in _columns(schema).items():
        values = [row.get(name) for row in rows]
        if not any(value is not None for value in values):
            continue
        if column is None:
            return None
        page = column.page(values)
        size = _int(len(page))
        # PageHeader: type (data), both sizes, DataPageHeader: number of values, PLAIN, levels RLE
        header = b"\x15\x00\x15%b\x15%b\x2c\x15%b\x15\x00\x15\x06\x15\x06\x00\x00" % (size, size, count)
        body += (header, page)
        total = len(header) + len(page)
        sizes, start = _int(total), _int(offset)
        # ColumnChunk: file_offset, ColumnMetaData: …, number of values, both sizes, offset of the page
        footer.append(
            b"\x26%b\x1c%b%b\x16%b\x16%b\x26%b\x00\x00" % (start, column.metadata, count, sizes, sizes, start)
        )
        elements.append(column.schema)
        offset += total
    # FileMetaData: version 2, schema (its root first), number of rows, one row group, who wrote it
    ending = b"".join(
        (
            b"\x15\x04\x19",
            _list_of(len(elements) + 1, 12),
            b"\x48\x06schema\x15" + _int(len(elements)) + b"\x00",
            *elements,
            b"\x16" + count + b"\x19\x1c\x19",
            _list_of(len(footer), 12),
            *footer,
            b"\x16" + _int(offset - len(_MAGIC)) + b"\x16" + count + b"\x00",
            b"\x28" + _text("lakefolio version 1") + b"\x00",
        )
    )
    body += (ending, struct.pack("<I", len(ending)), _MAGIC)
    return b"".join(body)

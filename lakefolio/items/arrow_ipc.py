"""Single Arrow arrays as text, as a table's footer holds dictionaries and labels (FORMAT.md, "Kind table").

Compiled code follows the offsets in such a piece without looking, so each is validated in full before anything sees it.
Compressed pieces are refused: they are small, and could stand for any amount of memory.
"""

from __future__ import annotations

import base64
import struct
from typing import Any, Final

import pyarrow as pa

__all__ = ["packed", "unpacked"]

_DICTIONARY_BATCH: Final = 2
_RECORD_BATCH: Final = 3
_DATA: Final = 1  # field of a DictionaryBatch
_COMPRESSION: Final = 3  # field of a RecordBatch
_ROWS_PER_BYTE: Final = 8


def packed(values: pa.Array) -> str:
    """Return an array as base64 of an Arrow IPC stream with one column."""
    sink = pa.BufferOutputStream()
    batch = pa.record_batch([values], names=["values"])
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return base64.b64encode(sink.getvalue()).decode()


def unpacked(text: str) -> pa.Array:
    """Return the array that :func:`packed` was given.

    Raises:
        ValueError: If it is no such text, or holds more than it has bytes for; also as pa.ArrowInvalid or struct.error.
    """
    content = pa.py_buffer(base64.b64decode(text))
    for message in pa.ipc.MessageReader.open_stream(pa.BufferReader(content)):
        if _is_compressed(message.metadata):
            raise ValueError("a compressed Arrow stream")
    table = pa.ipc.open_stream(content).read_all()
    if table.num_columns != 1 or table.num_rows > _ROWS_PER_BYTE * content.size:
        raise ValueError(f"an Arrow stream of {table.num_columns} columns and {table.num_rows} rows")
    table.validate(full=True)
    return table.column(0).combine_chunks()


def _is_compressed(metadata: Any) -> bool:
    """Say whether a message's body is compressed, from its flatbuffer (Source: arrow/format/Message.fbs)."""
    content = memoryview(metadata).cast("B")
    (message,) = struct.unpack_from("<I", content)
    kind, header = _field(content, message, 1), _field(content, message, 2)
    if kind is None or header is None or content[kind] not in (_DICTIONARY_BATCH, _RECORD_BATCH):
        return False
    batch = _table(content, header)
    if content[kind] == _DICTIONARY_BATCH:
        data = _field(content, batch, _DATA)
        if data is None:
            return False
        batch = _table(content, data)
    return _field(content, batch, _COMPRESSION) is not None


def _table(content: memoryview, place: int) -> int:
    """Return where a table lies that is referred to at ``place``."""
    return place + int(struct.unpack_from("<I", content, place)[0])


def _field(content: memoryview, table: int, number: int) -> int | None:
    """Return where a field of a table lies, or None if the table lacks it."""
    names = table - int(struct.unpack_from("<i", content, table)[0])
    (size,) = struct.unpack_from("<H", content, names)
    if 4 + 2 * number + 2 > size:
        return None
    (offset,) = struct.unpack_from("<H", content, names + 4 + 2 * number)
    return table + int(offset) if offset else None

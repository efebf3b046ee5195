"""How a checkpoint of a Delta log is written, and the pointer to the newest one (pure: no I/O).

See FORMAT.md, "Journal protocol".
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from lakefolio.delta.actions import SEAL, DataFile
from lakefolio.delta.seal import Seals
from lakefolio.format.checked_json import mapped, number, strings
from lakefolio.format.layout import checkpoint_name

__all__ = ["ADD", "METADATA", "REMOVE", "actions_in", "parse_pointer", "to_checkpoint", "to_pointer"]

_OF_FILES = {
    "add": ("path", "size", "modificationTime", "stats", "tags"),
    "remove": ("path", "size", "deletionTimestamp"),
}
_NOTE = "lakefolio.models"
_NOTE_SEAL = "lakefolio.models.seal"


_STRINGS = pa.map_(pa.string(), pa.string())
METADATA = pa.field(
    "metaData",
    pa.struct(
        [
            ("id", pa.string()),
            ("name", pa.string()),
            ("description", pa.string()),
            ("format", pa.struct([("provider", pa.string()), ("options", _STRINGS)])),
            ("schemaString", pa.string()),
            ("partitionColumns", pa.list_(pa.string())),
            ("configuration", _STRINGS),
            ("createdTime", pa.int64()),
        ]
    ),
)
ADD = pa.field(
    "add",
    pa.struct(
        [
            ("path", pa.string()),
            ("partitionValues", _STRINGS),
            ("size", pa.int64()),
            ("modificationTime", pa.int64()),
            ("dataChange", pa.bool_()),
            ("stats", pa.string()),
            ("tags", _STRINGS),
        ]
    ),
)
REMOVE = pa.field(
    "remove",
    pa.struct(
        [
            ("path", pa.string()),
            ("deletionTimestamp", pa.int64()),
            ("dataChange", pa.bool_()),
            ("extendedFileMetadata", pa.bool_()),
            ("partitionValues", _STRINGS),
            ("size", pa.int64()),
        ]
    ),
)
"""Columns of a checkpoint, as the protocol of Delta tables names them."""

_CHECKPOINT_SCHEMA = pa.schema(
    [
        pa.field("protocol", pa.struct([("minReaderVersion", pa.int32()), ("minWriterVersion", pa.int32())])),
        METADATA,
        ADD,
        REMOVE,
    ]
)


def to_checkpoint(
    metadata: Mapping[str, Any], files: Sequence[DataFile], tombstones: Sequence[tuple[DataFile, int]]
) -> bytes:
    """Return a checkpoint: the table's metadata, its files, and replaced files with the time of their replacement."""
    import pyarrow.parquet as pq

    described = dict(metadata)
    described["configuration"] = list(dict(metadata.get("configuration") or {}).items())
    described["format"] = {"provider": "parquet", "options": []}
    rows: list[dict[str, Any]] = [
        {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
        {"metaData": described},
    ]
    for file in files:
        added = file.add(data_change=False)
        rows.append({"add": added | {"partitionValues": [], "tags": list(added.get("tags", {}).items())}})
    for file, deleted_ms in tombstones:
        rows.append({"remove": file.remove(deleted_ms) | {"partitionValues": []}})
    sink = io.BytesIO()
    # names are all different and it is read as a whole: dictionaries and statistics would be two fifths of it
    table = pa.Table.from_pylist(rows, schema=_CHECKPOINT_SCHEMA)
    pq.write_table(table, sink, compression="snappy", use_dictionary=False, write_statistics=False)
    return sink.getvalue()


def actions_in(body: bytes) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the actions of a checkpoint, each with its name, as far as a table is made of them.

    Arrow takes a hundred times as long for a struct as for its fields, so files are read field by field.

    Raises:
        pa.ArrowException, OSError, KeyError, TypeError, AttributeError: If it is none.
    """
    import pyarrow.parquet as pq

    rows = pq.ParquetFile(pa.BufferReader(pa.py_buffer(body))).read(use_threads=False)
    for name in ("protocol", "metaData"):
        if name in rows.schema.names:
            yield from ((name, one) for one in rows.column(name).to_pylist() if one)
    for name, fields in _OF_FILES.items():
        for chunk in rows.column(name).chunks if name in rows.schema.names else ():
            found = dict(zip((field.name for field in chunk.type), chunk.flatten(), strict=True))
            kept = {one: found[one].to_pylist() for one in fields if one in found}
            rest = zip(*kept.values(), strict=True)
            yield from ((name, dict(zip(kept, one, strict=True))) for one in rest if any(it is not None for it in one))


def to_pointer(seals: Seals, version: int, checkpoint: bytes, files: int, size: int, note: str = "") -> bytes:
    """Return the content of ``_last_checkpoint``; the seal in it tells the checkpoint from another and from damage.

    ``note`` is added for readers of this library, see :func:`note_of`; it has a seal of its own.
    """
    tags = {SEAL: seals.of_bytes(checkpoint_name(version), checkpoint)}
    if note:
        tags |= {_NOTE: note, _NOTE_SEAL: seals.of_bytes(_note_name(version), note.encode())}
    pointer = {"version": version, "size": size, "sizeInBytes": len(checkpoint), "numOfAddFiles": files}
    return json.dumps(pointer | {"tags": tags}).encode()


def note_of(body: bytes | None, seals: Seals) -> str:
    """Return the note beside the checkpoint in a ``_last_checkpoint``; empty without one that has a valid seal."""
    try:
        value = mapped(json.loads(body or b"null"))
        version, tags = number(value["version"]), strings(value.get("tags"))
        note = tags.get(_NOTE, "")
        return note if seals.of_bytes(_note_name(version), note.encode()) == tags.get(_NOTE_SEAL) else ""
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""  # it saves requests, nothing else


def _note_name(version: int) -> str:
    return f"{version:020d}.models"


def parse_pointer(body: bytes | None) -> tuple[int, str] | None:
    """Return the version of the checkpoint and its seal ("" if not noted); None if there is no usable pointer."""
    try:
        value = mapped(json.loads(body or b"null"))
        version, seal = number(value["version"], 0), strings(value.get("tags")).get(SEAL, "")
        return None if value.get("parts") else (version, seal)
    except (ValueError, KeyError, RecursionError):
        return None  # a damaged pointer costs time, nothing else: the log is read from its start

"""The text of events: inline in their row, or compressed in a blob (FORMAT.md, "Events")."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.errors import IntegrityError, InvalidInputError
from lakefolio.format.arrow_rows import dicts_of
from lakefolio.format.digest import sha256_of_bytes
from lakefolio.format.schema import MANIFESTS_SCHEMA
from lakefolio.model.entries import Entry, Stored, content_from_row

if TYPE_CHECKING:
    from lakefolio.content.blobs import Blobs
    from lakefolio.model.entries import StateView

__all__ = ["CODEC", "INLINE_EVENT_BYTES", "blob_entries", "compressed", "short", "store", "text_of", "whole"]

INLINE_EVENT_BYTES: Final = 65_536
CODEC: Final = "zstd"
_SHORT_BYTES: Final = 1_024
_COLUMNS: Final = tuple(name for name in MANIFESTS_SCHEMA.names if name != "content")
_FOUND: Final = ("entry_id", "version")
_MOST_BYTES: Final = 64 << 20
_MOST_TOGETHER_BYTES: Final = 1 << 30
"""A text that compresses well is small in a lake and large when read, so texts have a limit, alone and together."""
_PART_BYTES: Final = 16 << 20


def compressed(text: bytes) -> bytes:
    """Return a text as its blob holds it.

    Raises:
        InvalidInputError: kind ``bad-event``, if it is longer than 64 MiB.
    """
    if len(text) > _MOST_BYTES:
        raise InvalidInputError(
            f"the metadata of the event are {len(text):,} bytes of JSON, more than {_MOST_BYTES:,}",
            kind="bad-event",
            hint="add it as an item, and log the name of the item",
        )
    done: bytes = pa.compress(text, codec=CODEC, asbytes=True)
    return done


def short(document: object) -> str:
    """Return the short members of a large document as JSON text, for readers that see the table alone."""
    kept: dict[str, Any] = {}
    room = INLINE_EVENT_BYTES // 4
    if isinstance(document, dict):
        for key, value in document.items():
            size = len(json.dumps([key, value]))
            if size <= min(_SHORT_BYTES, room):
                kept[key] = value
                room -= size
    return json.dumps(kept, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def store(text: bytes, body: bytes, blobs: Blobs, view: StateView) -> Stored:
    """Store a large text as a blob; idempotent."""
    blob_digest, generation = blobs.put_object(body, view)
    return Stored(
        kind="event",
        storage="blob",
        format="json",
        media_type="application/json",
        codec=CODEC,
        digest=sha256_of_bytes(text),
        blob_digest=blob_digest,
        generation=generation,
        size_bytes=len(text),
        stored_bytes=len(body),
    )


def text_of(entry: Entry, blobs: Blobs) -> bytes:
    """Return the text of an event whose blob ``entry`` names, verified.

    Raises:
        IntegrityError: If the blob, or the text in it, is not what was written.
    """
    size_bytes = entry.size_bytes if entry.size_bytes is not None else -1
    body = blobs.source(entry).read()
    try:
        if not 0 <= size_bytes <= _MOST_BYTES:
            raise ValueError(f"its size is said to be {size_bytes}")
        text: bytes = pa.decompress(body, decompressed_size=size_bytes, codec=CODEC, asbytes=True)
        if sha256_of_bytes(text) != entry.digest:
            raise ValueError("its text has another digest")
    except (ValueError, OSError, pa.ArrowException) as exc:
        raise IntegrityError(
            f"event {entry.item} can't be read: {str(exc)[:100]}",
            kind="event-damaged",
            hint="restore its row in tables/manifests from a copy of the lake",
            event_id=entry.item,
        ) from exc
    return text


def whole(rows: pa.Table, journal: JournalParts, blobs: Blobs) -> pa.RecordBatchReader:
    """Return ``event_rows`` with the whole text in ``metadata``, read from its blob as the rows are.

    Memory: the texts of a few rows are held at once, of 16 MiB together or one of them alone.

    Raises:
        InvalidInputError: kind ``too-many-events``, if the texts take more than 1 GiB together.
        IntegrityError: As :func:`text_of` does, from this or from the reader.
    """
    entries = blob_entries(journal, rows.column("event_id").to_pylist())
    size_bytes = sum(max(entry.size_bytes or 0, 0) for entry in entries.values())
    if size_bytes > _MOST_TOGETHER_BYTES:
        raise InvalidInputError(
            f"the {len(entries)} large events take {size_bytes:,} bytes together, more than {_MOST_TOGETHER_BYTES:,}",
            kind="too-many-events",
            hint="ask for one of them by its id: lake.get_event(event_id)",
        )
    return pa.RecordBatchReader.from_batches(rows.schema, _whole_parts(rows, entries, blobs))


def _whole_parts(rows: pa.Table, entries: Mapping[str, Entry], blobs: Blobs) -> Iterator[pa.RecordBatch]:
    at, start, texts, size_bytes = rows.schema.get_field_index("metadata"), 0, list[str | None](), 0
    for number, event_id in enumerate(rows.column("event_id").to_pylist()):
        entry = entries.get(event_id)
        texts.append(rows.column(at)[number].as_py() if entry is None else text_of(entry, blobs).decode())
        size_bytes += 0 if entry is None else entry.size_bytes or 0
        if size_bytes >= _PART_BYTES or number + 1 == rows.num_rows:
            part = rows.slice(start, len(texts)).set_column(at, rows.schema.field(at), [pa.array(texts, pa.string())])
            start, texts, size_bytes = number + 1, [], 0
            yield from part.combine_chunks().to_batches()


class JournalParts(Protocol):
    """Gives some columns of the rows of the journal above a version, part by part; see State.parts."""

    def __call__(self, columns: Sequence[str], after: int = -1, *, newest_first: bool = False) -> Iterator[pa.Table]:
        """Yield the rows."""
        ...


def blob_entries(journal: JournalParts, event_ids: Collection[str]) -> dict[str, Entry]:
    """Return the journal's entries for the blobs of events: event id -> entry. Reads only as far back as needed."""
    versions: dict[str, int] = {}
    for rows in journal(("op", "entry_id"), newest_first=True):
        chosen = _of_events(rows, event_ids)
        for event_id, version in zip(*(chosen.column(name).to_pylist() for name in _FOUND), strict=True):
            versions[event_id] = max(version, versions.get(event_id, -1))
        if len(versions) == len(event_ids):
            break
    found: dict[str, Entry] = {}
    for version in sorted(set(versions.values())):
        for rows in journal(_COLUMNS, version - 1):
            for entry in map(content_from_row, dicts_of(_of_events(rows, event_ids))):
                if entry is not None and entry.version == versions[entry.entry_id]:
                    found[entry.entry_id] = entry
            if rows.column("version")[-1].as_py() > version:
                break
    return found


def _of_events(rows: pa.Table, event_ids: Collection[str]) -> pa.Table:
    wanted = pa.array(event_ids, pa.string())
    is_event = pc.equal(rows.column("op"), "event_blob")
    return rows.filter(pc.and_(is_event, pc.is_in(rows.column("entry_id"), value_set=wanted)))

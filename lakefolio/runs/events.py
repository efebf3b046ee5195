"""Events of any kind: logged in batches, found by id, counted (FORMAT.md, "Events")."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from lakefolio.content.event_text import CODEC, INLINE_EVENT_BYTES, blob_entries, compressed, short, store, text_of
from lakefolio.errors import IntegrityError, InvalidInputError, LakefolioError, NotFoundError
from lakefolio.format import json_decode, json_encode
from lakefolio.format.arrow_rows import from_micros
from lakefolio.format.digest import sha256_of_bytes
from lakefolio.format.names import check_run_id, new_id
from lakefolio.model.changes import Change, LogBlob
from lakefolio.render.text import counted, format_bytes
from lakefolio.runs.log_buffer import logger_of, settle_logged
from lakefolio.session.annotations import check_word, without_secrets

if TYPE_CHECKING:
    from lakefolio.session.session import Session

__all__ = ["Event", "EventStats", "event_stats", "get_event", "log_event"]

_STATS: Final = """
with blobs as (
    select blob_digest, any_value(stored_bytes) as stored_bytes from stg_event_rows where storage = 'blob' group by 1
)

select
    count(*),
    count(*) filter (where storage = 'blob'),
    coalesce(sum(size_bytes), 0),
    (select coalesce(sum(stored_bytes), 0) from blobs)
from stg_event_rows
"""


@dataclass(frozen=True, slots=True)
class Event:
    """One event, as it was logged; ``metadata`` is verified by its digest."""

    event_id: str
    model_name: str | None
    stage: str | None
    event_type: str | None
    metadata: Any
    run_id: str | None
    logged_at: datetime
    digest: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class EventStats:
    """What events take.

    Attributes:
        event_count: How many there are.
        blob_count: How many of them lie in blobs of their own.
        text_bytes: Their JSON texts, uncompressed.
        stored_bytes: The objects that hold them: the files of the table, all columns, and the blobs, each once.
        saved_bytes: The difference.
        saved_ratio: ``saved_bytes / text_bytes``; None for nothing at all.
    """

    event_count: int
    blob_count: int
    text_bytes: int
    stored_bytes: int

    @property
    def saved_bytes(self) -> int:
        """See the class."""
        return self.text_bytes - self.stored_bytes

    @property
    def saved_ratio(self) -> float | None:
        """See the class."""
        return self.saved_bytes / self.text_bytes if self.text_bytes else None

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-able values."""
        return {**asdict(self), "saved_bytes": self.saved_bytes, "saved_ratio": self.saved_ratio}

    def __str__(self) -> str:
        """One line for people."""
        saved = f", {self.saved_ratio:.1%} saved" if self.saved_ratio and self.saved_bytes > 0 else ""
        return (
            f"{counted(self.event_count, 'event')} ({self.blob_count:,} in blobs): "
            f"{format_bytes(self.text_bytes)} of text in {format_bytes(self.stored_bytes)}{saved}"
        )


def log_event(
    session: Session,
    model_name: str | None = None,
    stage: str | None = None,
    event_type: str | None = None,
    metadata: object = None,
    run_id: str | None = None,
) -> str:
    """Log an event and return its id. It is committed within the second, with all that is logged meanwhile.

    A text of more than 64 KiB is stored, compressed, before this returns.

    Raises:
        InvalidInputError: kind ``bad-event``: something in it is not JSON-able; nothing is logged.
        StorageError: A large one could not be stored; nothing is logged.
    """
    session.check_writable()
    named = {"model_name": model_name, "stage": stage, "event_type": event_type}
    named = {name: check_word(word, name) for name, word in named.items()}
    metadata = without_secrets("metadata of the event", metadata)
    if run_id is not None:
        check_run_id(run_id)
    try:
        text = json_encode.dumps_fact(metadata)
    except LakefolioError as exc:
        raise InvalidInputError(
            f"metadata of the event can't be logged: {exc.message}",
            kind="bad-event",
            hint="events are JSON values; data goes into items",
        ) from exc
    event_id = new_id()
    shown, changes = text.decode(), list[Change]()
    stored = None
    if len(text) > INLINE_EVENT_BYTES:
        stored = store(text, compressed(text), session.blobs, session.journal.state)
        changes.append(LogBlob(event_id=event_id, stored=stored, run_id=run_id))
        shown = short(json_encode.encode(metadata))
    row = {
        "event_id": event_id,
        "run_id": run_id,
        **named,
        "logged_at": from_micros(time.time_ns() // 1000),
        "metadata": shown,
        "storage": "inline" if stored is None else "blob",
        "digest": sha256_of_bytes(text),
        "size_bytes": len(text),
        "stored_bytes": 0 if stored is None else stored.stored_bytes,
        "codec": "none" if stored is None else CODEC,
        "blob_digest": None if stored is None else stored.blob_digest,
    }
    logger_of(session).event(row, changes)
    return event_id


def get_event(session: Session, event_id: str) -> Event:
    """Return an event by its id; what this process has just logged is committed first.

    Raises:
        NotFoundError: kind ``event-not-found``.
        IntegrityError: kind ``event-damaged``: its text is not what was logged.
        TypeError: The id is no text.
    """
    if not isinstance(event_id, str):
        raise TypeError("an id of an event is a str")
    settle_logged(session)
    state = session.committed()
    row = session.journal.event_row(event_id, state.version)
    if row is None:
        raise NotFoundError(
            f"event {event_id!r} not found", kind="event-not-found", hint="log_event returns the ids", event_id=event_id
        )
    text = row["metadata"].encode()
    if row["storage"] == "blob":
        entry = blob_entries(state.parts, [event_id]).get(event_id)
        if entry is None:
            raise _damaged(event_id, "the journal does not name its blob")
        text = text_of(entry, session.blobs)
    if sha256_of_bytes(text) != row["digest"]:
        raise _damaged(event_id, "its text has another digest")
    return Event(
        event_id=event_id,
        model_name=row["model_name"],
        stage=row["stage"],
        event_type=row["event_type"],
        metadata=json_decode.loads_fact(text),
        run_id=row["run_id"],
        logged_at=row["logged_at"].astimezone(UTC),
        digest=row["digest"],
        size_bytes=row["size_bytes"],
    )


def event_stats(session: Session) -> EventStats:
    """Return what the events take, and what compression saves."""
    settle_logged(session)
    ((events, blobs, text_bytes, blob_bytes),) = session.query(_STATS, texts=False).fetchall()
    stored_bytes = sum(session.journal.data_files("event_rows").values()) + blob_bytes if events else 0
    return EventStats(events, blobs, text_bytes, stored_bytes)


def _damaged(event_id: str, what: str) -> IntegrityError:
    return IntegrityError(
        f"event {event_id} is damaged: {what}",
        kind="event-damaged",
        hint="restore the table's file from a copy of the lake",
        event_id=event_id,
    )

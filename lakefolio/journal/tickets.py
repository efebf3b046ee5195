"""Tickets of group commit: commits as data, for whichever writer commits next (FORMAT.md, "Group commit").

A ticket is an object ``pending/<commit id>``: the commits of one writer, and the version up to which the writer knows
that none of them has been decided. Tickets come from the bucket and are not trusted: anything but the exact form that a
writer gives is refused before it reaches a planner.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from lakefolio.errors import IntegrityError, LakefolioError
from lakefolio.format.checked_json import flag, listed, mapped, need, number, optional, text, texts
from lakefolio.format.digest import sha256_of_bytes
from lakefolio.format.layout import PENDING, check_digest, pending_key
from lakefolio.format.names import check_folio, check_item, check_run_id, check_snapshot, is_id
from lakefolio.format.schema import INLINE_LIMIT_BYTES, INPUT_TYPE, STORAGES
from lakefolio.format.semver import is_semver
from lakefolio.model.changes import (
    KEEP,
    Annotate,
    Change,
    Commit,
    CopyItem,
    Delete,
    DropSnapshot,
    LogBatch,
    LogBlob,
    Mark,
    Put,
    Restore,
    SetArchived,
    SetRun,
    TakeSnapshot,
    Update,
)
from lakefolio.model.entries import Entry, Stored
from lakefolio.model.version_policy import BUMPS

if TYPE_CHECKING:
    from lakefolio.storage import Store

__all__ = ["Ticket", "Tickets", "parse_ticket", "ticket_bytes"]

T = TypeVar("T")
Content = TypeVar("Content", Stored, Entry)
_FORMAT = 2
_CHANGES: dict[str, type[Change]] = {
    "put": Put,
    "update": Update,
    "mark": Mark,
    "delete": Delete,
    "archive": SetArchived,
    "annotate": Annotate,
    "snapshot": TakeSnapshot,
    "drop_snapshot": DropSnapshot,
    "restore": Restore,
    "copy": CopyItem,
    "run": SetRun,
    "log": LogBatch,
    "log_blob": LogBlob,
}
_OPS = {cls: op for op, cls in _CHANGES.items()}
_SAID: tuple[type[Any], ...] = (*_CHANGES.values(), Stored, Entry)
_DEFAULTS = {
    cls: [(one.name, one.default if one.default_factory is MISSING else one.default_factory()) for one in fields(cls)]
    for cls in _SAID
}
"""The fields of each class with their defaults, MISSING if they have none."""
_KEPT = {"$keep": True}
_INPUT_FIELDS = {field.name for field in INPUT_TYPE}
_PLAIN = frozenset({str, int, float, bool, type(None)})
"""The types of almost all fields, which need no look at what they are."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """The commits that a writer asks others to make.

    Attributes:
        base: A version up to which none of the commits has been decided; the log entries above it hold the outcome.
        commits: In the order they are to be planned. All are decided by one log entry.
    """

    base: int
    commits: tuple[Commit, ...]

    @property
    def ticket_id(self) -> str:
        """The id of the first commit, which names the ticket."""
        return self.commits[0].commit_id


class Tickets:
    """The tickets of a lake. Every method costs one request; methods on many tickets cost one for each."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def listed(self) -> dict[str, int]:
        """Return the ids of all tickets, oldest first, with their sizes in bytes."""
        found = {}
        for info in self.store.list(f"{PENDING}/"):
            ticket_id = info.key.rpartition("/")[2]
            if is_id(ticket_id):
                found[ticket_id] = info.size_bytes
        return dict(sorted(found.items()))

    def create(self, ticket: Ticket) -> None:
        """Leave a ticket. Idempotent: an object that exists under the ticket's id is the same ticket."""
        self.store.create_if_absent(pending_key(ticket.ticket_id), ticket_bytes(ticket))

    def read(self, ticket_ids: Sequence[str], beside: Callable[[], object]) -> dict[str, Ticket | None]:
        """Read tickets; None stands for an object that is not a valid ticket. Tickets removed meanwhile are missing.

        Args:
            ticket_ids: Which.
            beside: A further request, made at the same time.
        """
        looks: list[Callable[[], Any]] = [partial(self.store.find, pending_key(one)) for one in ticket_ids]
        bodies = self.store.parallel([*looks, beside])[:-1]
        found: dict[str, Ticket | None] = {}
        for ticket_id, body in zip(ticket_ids, bodies, strict=True):
            if body is not None:
                try:
                    found[ticket_id] = parse_ticket(body, ticket_id)
                except IntegrityError:
                    found[ticket_id] = None
        return found

    def remove(self, ticket_ids: Sequence[str]) -> None:
        """Remove tickets. Idempotent.

        One request for each, all at once: the combiner waits for it, and some stores take a second for a request that
        deletes many (SeaweedFS beside 32 writers: 1 to 2 s for 20, 14 ms one by one).
        """
        self.store.parallel([partial(self.store.delete, [pending_key(ticket_id)]) for ticket_id in ticket_ids])


def ticket_bytes(ticket: Ticket) -> bytes:
    """Return a ticket as bytes: the SHA-256 of the JSON object that follows on the second line."""
    commits = [
        {
            "commit_id": commit.commit_id,
            "author": commit.author,
            "message": commit.message,
            "run_id": commit.run_id,
            "changes": [{"op": _OPS[type(change)], **_plain(change)} for change in commit.changes],
        }
        for commit in ticket.commits
    ]
    value = {"format": _FORMAT, "base": ticket.base, "commits": commits}
    body = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def parse_ticket(body: bytes, ticket_id: str) -> Ticket:
    """Parse the bytes of :func:`ticket_bytes`.

    Raises:
        IntegrityError: kind ``ticket-damaged``, if they do not have exactly the form that a writer gives.
    """
    try:
        digest, _, said = body.partition(b"\n")
        need(hashlib.sha256(said).hexdigest().encode() == digest, "its digest is another")
        value = json.loads(said)
        need(value["format"] == _FORMAT, "it is of another format")
        ticket = Ticket(number(value["base"]), tuple(_commit(commit) for commit in value["commits"]))
        need(ticket.base >= 0 and ticket.ticket_id == ticket_id, "it names another commit")
        return ticket
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, LakefolioError) as exc:
        raise IntegrityError(
            f"ticket {ticket_id} can't be read: {str(exc)[:100]}",
            kind="ticket-damaged",
            hint="its writer does without it; nothing is lost",
            key=f"{PENDING}/{ticket_id}",
        ) from exc


# -- to plain values -------------------------------------------------------------------------------------------


def _plain(value: object) -> dict[str, Any]:
    """Return the fields of a change that differ from their defaults."""
    found = {}
    for name, default in _DEFAULTS[type(value)]:
        one = getattr(value, name)
        if default is MISSING or one != default:
            found[name] = _plain_value(one)
    return found


def _plain_value(value: object) -> Any:
    if type(value) in _PLAIN:
        return value
    if value is KEEP:
        return _KEPT
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, Stored | Entry):
        return _plain(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple | list):
        return list(value)
    return value


# -- from plain values: one reader for each type that a field of a change has ----------------------------------


def _json_object(value: object) -> dict[str, Any]:
    found = mapped(value)
    json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
    return found


def _edges(value: Any) -> tuple[dict[str, Any], ...]:
    for edge in listed(value):
        need(type(edge) is dict and edge.keys() == _INPUT_FIELDS, "an input is expected")
        for one in edge.values():
            optional(text, one)
    return tuple(value)


def _json_texts(value: object) -> dict[str, str | None]:
    found = _json_object(value)
    for key, one in found.items():
        need(key != "", "a key is empty")
        if one is not None:
            json.loads(text(one))
    return found


def _json_texts_only(value: Any) -> dict[str, str]:
    found = {key: one for key, one in _json_texts(value).items() if one is not None}
    need(len(found) == len(value), "a value is missing")
    return found


def _moment(value: object) -> datetime:
    when = datetime.fromisoformat(text(value))
    need(when.tzinfo is not None, "a time with a zone is expected")
    return when


def _or_none(reader: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return partial(optional, reader)


def _or_kept(reader: Callable[[object], object]) -> Callable[[Any], Any]:
    return lambda value: KEEP if value == _KEPT else reader(value)


def _subject(value: object) -> str:
    need(value in ("lake", "folio"), "metadata of neither the lake nor a folio")
    return str(value)


_READERS: dict[str, Callable[[Any], Any]] = {
    "str": text,
    "int": number,
    "bool": flag,
    "str | None": _or_none(text),
    "int | None": _or_none(number),
    "bytes | None": _or_none(lambda value: base64.b64decode(text(value), validate=True)),
    "datetime": _moment,
    "tuple[str, ...]": texts,
    "tuple[str, ...] | None": _or_none(texts),
    "tuple[str, ...] | Keep": _or_kept(texts),
    "str | Keep | None": _or_kept(_or_none(text)),
    "Mapping[str, Any]": _json_object,
    "tuple[InputEdge, ...]": _edges,
    "Mapping[str, str]": _json_texts_only,
    "Mapping[str, str | None]": _json_texts,
    "Mapping[str, str | None] | Keep": _or_kept(_json_texts),
    "Literal['lake', 'folio']": _subject,
    'Literal["lake", "folio"]': _subject,
    "Stored": lambda value: _content(_read(Stored, value)),
    "Entry": lambda value: _content(_read(Entry, value)),
}
_FIELD_READERS = {cls: {one.name: _READERS[str(one.type)] for one in fields(cls)} for cls in _SAID}


def _read(cls: type[T], value: object) -> T:
    readers = _FIELD_READERS[cls]
    return cls(**{name: readers[name](one) for name, one in mapped(value).items()})


def _content(stored: Content) -> Content:
    """Check the content columns of a ``put`` row."""
    need(stored.storage in STORAGES, "its storage is not known")
    for digest in (stored.digest, stored.blob_digest):
        if digest is not None:
            check_digest(digest)
    for count in (stored.size_bytes, stored.stored_bytes, stored.row_count):
        need(count is None or count >= 0, "a size is negative")
    need(stored.generation is None or 0 <= stored.generation < 2**31, "its generation is not one")
    if stored.storage == "inline" and isinstance(stored, Entry) and stored.content is None:
        return stored  # copied content is in the lake: the committer of the copy reads it there
    if stored.storage == "inline":
        content = stored.content or b""
        need(len(content) <= INLINE_LIMIT_BYTES, "its inline content is too long")
        need(sha256_of_bytes(content) == (stored.blob_digest or stored.digest), "its inline content is another")
    else:
        need(stored.content is None, "content lies inline and elsewhere")
    return stored


def _change(value: object) -> Change:
    values = mapped(value)
    change = _read(_CHANGES[values.pop("op")], values)
    for name, check in (
        ("folio", check_folio),
        ("item", check_item),
        ("name", check_snapshot),
        ("run_id", check_run_id),
    ):
        given = getattr(change, name, None)
        if given is not None:
            check(given)
    if isinstance(change, Annotate):
        if change.subject_kind == "folio":
            check_folio(change.subject_id)
        need(change.subject_kind == "folio" or change.subject_id == "", "the lake has no name")
    for item in (change.items or ()) if isinstance(change, Restore) else ():
        check_item(item)
    if isinstance(change, Put | Update):
        need(change.version is None or is_semver(change.version), "its version is not one")
    if isinstance(change, Put):
        need(change.bump in (None, *BUMPS), "it bumps what there is not")
        need(set(change.keep) <= {"description", "tags", "metadata"}, "it keeps what there is not")
    if isinstance(change, Put | CopyItem | Mark):
        need(is_id(change.entry_id), "its entry id is not one")
    if isinstance(change, SetRun):
        need(len(change.input_names) == len(change.input_refs), "inputs lack names")
    if isinstance(change, LogBatch):
        need(change.reason in ("metrics", "events", "heartbeat"), "its batch is of no known kind")
        need(change.batch_id is None or is_id(change.batch_id), "its batch id is not one")
        need(change.row_count >= 0, "its count is negative")
    if isinstance(change, LogBlob):
        need(is_id(change.event_id), "its event id is not one")
        need(change.stored.storage == "blob" and change.stored.blob_digest is not None, "it has no blob")
    return change


def _commit(told: object) -> Commit:
    value = mapped(told)
    commit = Commit(
        commit_id=text(value["commit_id"]),
        changes=tuple(_change(change) for change in listed(value["changes"])),
        author=_or_none(text)(value["author"]),
        message=_or_none(text)(value["message"]),
        run_id=_or_none(text)(value["run_id"]),
    )
    need(is_id(commit.commit_id), "its commit id is not one")
    return commit

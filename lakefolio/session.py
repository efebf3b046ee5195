"""One open lake as one author sees it: the state to read from, and the batch that changes go to.

Lake and Folio are faces of a session and share it. All rules that are not about bytes, rows or keys live here: who may
write, what a name, a tag and a piece of metadata may be, what an open batch sees, how an object finds its handler.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from datetime import datetime
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lakefolio import items, references
from lakefolio.blobs import Blobs
from lakefolio.cache import FileCache
from lakefolio.changes import Annotate, Change, Commit, Purge, Put, Stored
from lakefolio.config import default_author
from lakefolio.errors import (
    ConflictError,
    FormatError,
    InvalidInputError,
    LakefolioError,
    LakeNotFoundError,
    NotFoundError,
    ReadOnlyError,
)
from lakefolio.items import json_decode, json_encode
from lakefolio.journal import Committed, Journal
from lakefolio.kept import Kept
from lakefolio.layout import MARKER, README, TABLES
from lakefolio.lookup import check_side_rows, item_not_found, resolve_at
from lakefolio.marker import Marker, new_marker, parse_marker, readme_text
from lakefolio.overlay import Overlay
from lakefolio.planner import Plan, plan_commit
from lakefolio.refs import check_folio, check_item, new_id
from lakefolio.schema import LINEAGE_SCHEMA
from lakefolio.state import Entry, State
from lakefolio.storage import Store, open_store

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from lakefolio.views import Views

__all__ = ["Session"]


class _Batch:
    """The changes of an open block, already planned once, so that mistakes are told where they are made."""

    def __init__(self, session: Session, message: str | None) -> None:
        self.message = message
        self.changes: list[Change] = []
        self.overlay = session._overlay()
        self.kept = Kept(whole=False)
        self._session = session

    def add(self, changes: Sequence[Change]) -> None:
        """Lay changes over the batch's view; refuse what could not be committed now."""
        change = changes[0] if len(changes) == 1 else None
        if isinstance(change, Put) and self._is_plain(change):
            self.overlay.put_later(change, lambda: self._session._row_of(change))
            self.changes += changes
            return
        try:
            plan = self._session._planned(changes, self.overlay)
        except LakefolioError as exc:
            if not self._session._moved() and exc.kind != _PURGED_MEANWHILE:
                raise
            self.changes = self._session._renewed(self.changes, self.kept)
            changes = self._session._renewed(changes, self.kept)
            self.overlay = self._session._overlay()
            self.overlay.absorb(self._session._planned(self.changes, self.overlay).overlay)
            plan = self._session._planned(changes, self.overlay)
        self.overlay.absorb(plan.overlay)
        self.changes += changes

    def _is_plain(self, change: Put) -> bool:
        """Say whether all that can be objected to in a change is that its name is taken, and it is not."""
        told = change.inputs or change.metadata or change.stored.storage != "inline"
        return not told and not self.overlay.live(change.folio, change.item)


_PURGED_MEANWHILE = "purged-meanwhile"
_RENEWALS = 20
_NOWHERE = Path()

_BATCHES: ContextVar[Mapping[int, _Batch]] = ContextVar("lakefolio_batches", default=MappingProxyType({}))


class Session:
    """See the module. Safe to share between threads; a batch belongs to the thread (or task) that opened it.

    Attributes:
        uri: The address of the lake, without secrets.
        marker: What its format marker says.
        author: Who is noted as the author of commits.
        pinned: The past version this session is fixed to, or None.
        read_only: Whether writes are refused.
        opened_read_only: Whether the user asked for that; otherwise the past is what can't be changed.
    """

    def __init__(
        self,
        store: Store,
        journal: Journal,
        marker: Marker,
        *,
        author: str | None,
        read_only: bool,
        pinned: int | None,
    ) -> None:
        self.store = store
        self.journal = journal
        self.marker = marker
        self.author = author
        self.opened_read_only = read_only
        self.read_only = read_only or pinned is not None
        self.pinned = pinned
        self.blobs = Blobs(store, FileCache(), self._given_up)
        self._tables: tuple[int, dict[str, pa.Table]] | None = None

    @property
    def uri(self) -> str:
        """The address of the lake."""
        return self.store.uri

    @classmethod
    def open(
        cls,
        uri: str | Path,
        *,
        storage_options: Mapping[str, Any] | None = None,
        create: bool = True,
        read_only: bool = False,
        author: str | None = None,
    ) -> Session:
        """Open a lake; create it if it is absent. Creating is idempotent and safe to do from many processes.

        Raises:
            LakeNotFoundError: If there is no lake and ``create`` is False or ``read_only`` is True.
            FormatError: If the lake needs a newer library.
            StorageError: If the store can't be reached.
        """
        store = open_store(str(uri), storage_options)
        journal = Journal(store)
        body = store.find(MARKER)
        if body is None:
            if read_only or not create:
                raise LakeNotFoundError(
                    f"no lake at {store.uri}: it has no {MARKER}",
                    hint="check the address, or create the lake: lakefolio init, or lf.open(…, create=True)",
                    uri=store.uri,
                )
            body = cls._create(store, journal)
        marker = parse_marker(body, store.uri, writing=not read_only)
        journal.load()
        return cls(store, journal, marker, author=author or default_author(), read_only=read_only, pinned=None)

    @staticmethod
    def _create(store: Store, journal: Journal) -> bytes:
        """Create the tables, then the marker: a lake that has its marker is complete."""
        marker = new_marker()
        journal.create()
        for key, body in ((README, readme_text(marker)), (MARKER, marker.to_json())):
            store.create_if_absent(key, body)
        found = store.find(MARKER)
        if found is None:
            raise FormatError(f"{MARKER} of {store.uri} vanished while the lake was created", kind="marker-damaged")
        return found

    # -- reading -------------------------------------------------------------------------------------------

    def state(self) -> State | Overlay:
        """Return what is there: the newest state (one request), the pinned one, or the open batch's view."""
        if self.pinned is not None:
            return self.journal.at(self.pinned)
        newest = self.journal.refresh()
        batch = self._batch()
        return newest if batch is None else batch.overlay

    def committed(self) -> State:
        """Return the newest committed state, or the pinned one, whatever batch is open."""
        return self.journal.refresh() if self.pinned is None else self.journal.at(self.pinned)

    def resolve(self, at: int | str | datetime, folio: str | None = None) -> int:
        """Return the version that a number, a time or a snapshot's name means (NotFoundError otherwise)."""
        newest = self.journal.refresh()
        version = resolve_at(newest, newest, at, folio)
        if self.pinned is not None and version > self.pinned:
            raise NotFoundError(
                f"version {version} lies after version {self.pinned}, which this lake is opened at",
                kind="version-not-found",
                hint="open the lake without at",
                version=version,
            )
        return version

    def at(self, at: int | str | datetime, folio: str | None = None) -> Session:
        """Return a read-only session fixed to a version, a time or a snapshot (a folio's first)."""
        return self.fixed(self.resolve(at, folio))

    def fixed(self, version: int) -> Session:
        """Return a read-only session at a version that is known to exist, without asking the store."""
        read_only = self.opened_read_only
        return Session(self.store, self.journal, self.marker, author=self.author, read_only=read_only, pinned=version)

    def entry(self, folio: str, item: str, at: int | str | datetime | None = None) -> Entry:
        """Return the live entry of an item, now or as of ``at``.

        Raises:
            NotFoundError: If there is none; the hint names the nearest.
        """
        if at is not None:
            return self.at(at, folio).entry(folio, item)
        view = self.state()
        entry = view.entry(check_folio(folio), check_item(item))
        if entry is None:
            raise item_not_found(view, folio, item)
        return entry

    def load(self, entry: Entry, *, verify: bool = True, **options: Any) -> Any:
        """Return the object of an entry, from verified bytes.

        Raises:
            IntegrityError: If the stored bytes are missing or not what was written.
            UntrustedContentError: If it would run code that ``trusted=`` does not name.
        """
        try:
            if entry.storage == "reference":
                return references.load(entry, self.store.options, **options)
            handler = items.handler_of(entry.kind)
            return handler.decode(self.blobs.source(entry, verify=verify), entry.details, **options)
        except LakefolioError as exc:
            if "item" in exc.objects:
                raise
            found = _about(exc, entry.folio, entry.item, f"item {entry.ref}", version=entry.version)
            if found.kind == "bad-content" and found.hint is None:
                found.hint = "its bytes are those that were stored: item_path() gives them to whoever can read them"
            raise found from exc

    def _given_up(self, entry: Entry, missing: bool) -> None:
        """Raise NotFoundError (kind ``content-purged``) if gc gave up an entry's content; ``missing``: look anew."""
        state = self.journal.refresh() if missing else self.journal.state
        if not _is_purged(entry, state):
            return
        digest = entry.blob_digest or ""
        when = state.purge_of(digest, entry.generation or 0)
        raise NotFoundError(
            f"content of {entry.ref} was given up by gc"
            + ("" if when is None else f" at version {when[0]} (reason: {when[1]})"),
            kind="content-purged",
            hint="gc keeps the head, snapshots, and what keep_days and keep_last name; a copy of the lake may have it",
            folio=entry.folio,
            item=entry.item,
            version=entry.version,
            digest=digest,
            purged_at=None if when is None else when[0],
            reason=None if when is None else when[1],
        )

    def local_path(self, entry: Entry) -> Path:
        """Return a local, read-only, verified file with the content of an entry."""
        if entry.storage == "reference":
            return references.local_path(entry, self.store.options)
        return self.blobs.source(entry).path()

    def metadata(self, kind: str, subject_id: str) -> dict[str, Any]:
        """Return the metadata of the lake (``"lake", ""``) or a folio; for those of an entry, see metadata_of."""
        batch = self._batch()
        if batch is not None and self.pinned is None:
            texts = batch.overlay.metadata(kind, subject_id)
        else:
            if self.pinned is None:
                self.journal.refresh()
            texts = self.journal.metadata(kind, subject_id, self.pinned)
        return {key: json_decode.loads(text.encode()) for key, text in texts.items()}

    def edges_of(self, entry: Entry) -> list[dict[str, Any]]:
        """Return the lineage rows of an entry: what it was made from."""
        if not entry.lineage_count:
            return []
        batch = self._batch()
        rows = (self.journal if batch is None else batch.overlay).edges_of(entry.entry_id)
        check_side_rows(entry, "lineage", len(rows))
        return rows

    def metadata_of(self, entry: Entry) -> dict[str, Any]:
        """Return the metadata of an entry."""
        if not entry.metadata_count:
            return {}
        found = self.metadata("entry", entry.entry_id)
        check_side_rows(entry, "metadata", len(found))
        return found

    def edges(self) -> pa.Table:
        """Return every visible lineage row (schema LINEAGE_SCHEMA), those of an open batch included."""
        import pyarrow as pa

        rows = self.journal.side_table("lineage", self.pinned)
        batch = self._batch()
        if batch is not None and (pending := batch.overlay.pending_edges()):
            rows = pa.concat_tables([rows, pa.Table.from_pylist(pending, schema=LINEAGE_SCHEMA)])
        return rows

    def tables(self) -> dict[str, pa.Table]:
        """Return the rows of the three tables that count at this session's version, without copying.

        The same objects as last time if the lake has not moved, so that what was bound to them can be used again.
        """
        state = self.committed()
        version = state.version
        kept = self._tables
        if kept is not None and kept[0] == version:
            return kept[1]
        tables = {"manifests": state.table()} | {
            name: self.journal.side_table(name, version) for name in TABLES if name != "manifests"
        }
        self._tables = (version, tables)
        return tables

    def query(self, sql: str, params: Any = None) -> duckdb.DuckDBPyRelation:
        """Answer one reading SQL statement over the views (InvalidInputError of kind ``sql`` otherwise)."""
        return _views().query(self.tables(), sql, params)

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Return a DuckDB connection with the views bound at this session's version."""
        return _views().connect(self.tables())

    def audit(self) -> list[tuple[str, str, str]]:
        """Return what the audits of ``sql/`` object to, as (audit, object, message)."""
        return _views().audit(self.tables())

    # -- writing -------------------------------------------------------------------------------------------

    def check_writable(self) -> None:
        """Raise ReadOnlyError if this session may not write."""
        if self.pinned is not None:
            raise ReadOnlyError(
                f"version {self.pinned} of {self.uri} is the past and can't be changed",
                kind="read-only-version",
                hint="write through the lake itself; restore() brings the past back",
                uri=self.uri,
                version=self.pinned,
            )
        if self.read_only:
            raise ReadOnlyError(
                f"lake {self.uri} is opened read-only", hint="open it without read_only=True", uri=self.uri
            )

    def put(
        self,
        folio: str,
        item: str,
        obj: Any,
        *,
        kind: str | None = None,
        description: str | None = None,
        inputs: str | Iterable[Any] | None = None,
        tags: str | Iterable[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        overwrite: bool = False,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Store an object as an item.

        Atomic; the object is readable by everyone when this returns (outside of a batch). Content that the lake
        holds already is referred to, not stored.

        Args:
            folio: The folio; it exists from its first item on.
            item: The name in it.
            obj: Any object that a handler stores.
            kind: The handler to use; by default the one that accepts the object's type.
            description: One sentence on what it is.
            inputs: What it was made from: references, URIs, or entries.
            tags: Words to find it by.
            metadata: Facts to note of it; any JSON-able values.
            overwrite: Whether to replace an item of that name; its old entry stays in the history.
            options: What the handler takes besides.

        Raises:
            AlreadyExistsError: The name is taken and ``overwrite`` is False.
            InvalidInputError: A name, tag or value that can't be stored.
            UnsupportedTypeError: No handler stores such objects.
            NotFoundError: An input does not exist.
        """
        self._admit(folio, item, overwrite=overwrite)
        words = _Words(description, inputs, tags, metadata)
        try:
            handler = items.handler_for(obj) if kind is None else items.handler_of(kind)
        except LakefolioError as exc:
            raise _about(exc, folio, item, f"item {item!r} can't be stored") from exc
        scratch = Path(tempfile.mkdtemp(prefix="lakefolio-")) if getattr(handler, "uses_scratch", True) else None
        try:
            try:
                encoded = handler.encode(obj, scratch=scratch or _NOWHERE, **(options or {}))
            except LakefolioError as exc:
                raise _about(exc, folio, item, f"item {item!r} can't be stored") from exc
            with self._keeping() as kept:
                if scratch is not None:
                    kept.own(scratch)
                stored = self.blobs.put(encoded, self._known(), kept)
                self._put(folio, item, stored, words, overwrite=overwrite, kept=kept)
        except BaseException:
            if scratch is not None:
                shutil.rmtree(scratch, ignore_errors=True)
            raise

    def put_reference(
        self,
        folio: str,
        item: str,
        uri: str | Path,
        *,
        kind: str | None = None,
        description: str | None = None,
        inputs: str | Iterable[Any] | None = None,
        tags: str | Iterable[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        overwrite: bool = False,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Register content that lies elsewhere, with its size, ETag and version id; nothing is copied.

        Raises:
            AlreadyExistsError: The name is taken and ``overwrite`` is False.
            InvalidInputError: A name or address that can't be used.
        """
        self._admit(folio, item, overwrite=overwrite)
        words = _Words(description, inputs, tags, metadata)
        stored = references.register(uri, self.store.options, kind=kind, **(options or {}))
        self._put(folio, item, stored, words, overwrite=overwrite)

    def _admit(self, folio: str, item: str, *, overwrite: bool) -> None:
        """Refuse early, before anything is encoded or sent, what the planner would refuse anyway."""
        self.check_writable()
        check_folio(folio)
        check_item(item)
        if not overwrite and self._known().live(folio, item) and self.state().live(folio, item):
            self._planned([_probe(folio, item)], self._view())

    @contextmanager
    def _keeping(self) -> Iterator[Kept]:
        """Give the open batch's store of content on its way, or one of its own for a single commit."""
        batch = self._batch()
        if batch is not None:
            yield batch.kept
            return
        kept = Kept(whole=True)
        try:
            yield kept
        finally:
            kept.close()

    def _put(
        self, folio: str, item: str, stored: Stored, words: _Words, *, overwrite: bool, kept: Kept | None = None
    ) -> None:
        put = Put(
            folio=folio,
            item=item,
            stored=stored,
            entry_id=new_id(),
            description=words.description,
            tags=words.tags,
            inputs=words.inputs,
            metadata=words.metadata,
            overwrite=overwrite,
        )
        self.apply(put, kept=kept)

    def annotate(self, kind: Any, subject_id: str, values: Mapping[str, Any], *, remove: Iterable[str] = ()) -> None:
        """Set metadata of the lake or a folio, and remove the keys in ``remove``. One commit."""
        texts: dict[str, str | None] = dict(metadata_texts(values))
        texts |= dict.fromkeys(remove)
        self.apply(Annotate(kind, subject_id, texts))

    def apply(self, *changes: Change, message: str | None = None, kept: Kept | None = None) -> None:
        """Commit changes as one, or add them to the open batch.

        Raises:
            LakefolioError: Whatever the planner objects to; then nothing has happened.
        """
        self.check_writable()
        batch = self._batch()
        if batch is None:
            self._commit(changes, message, kept)
        else:
            batch.add(changes)

    @property
    def in_batch(self) -> bool:
        """Whether a batch is open here."""
        return self._batch() is not None

    def purge(self, change: Purge) -> list[dict[str, Any]]:
        """Commit the rows that give blobs up and return them; see gc."""
        self.check_writable()
        return [row for row in self._commit([change], "gc").rows if row["op"] == "purge"]

    def _commit(self, changes: Sequence[Change], message: str | None, kept: Kept | None = None) -> Committed:
        for renewal in range(_RENEWALS):
            commit = Commit(commit_id=new_id(), changes=changes, author=self.author, message=message)
            try:
                return self.journal.commit(commit)
            except ConflictError as exc:
                if exc.kind != _PURGED_MEANWHILE or renewal == _RENEWALS - 1:
                    raise
            self.journal.refresh()
            changes = self._renewed(changes, kept)
        raise AssertionError

    def _renewed(self, changes: Sequence[Change], kept: Kept | None) -> list[Change]:
        """Return the changes with each blob that gc gave up since stored again, under its next generation."""
        state = self.journal.state
        return [
            replace(change, stored=self.blobs.renew(change.stored, state, kept))
            if isinstance(change, Put) and _is_purged(change.stored, state)
            else change
            for change in changes
        ]

    @contextmanager
    def batch(self, message: str | None = None) -> Iterator[None]:
        """Make all changes in the block one commit; an exception commits nothing. An inner batch joins the outer.

        Changes are checked where they are made, and once more against the newest state at the end of the block.
        """
        self.check_writable()
        if self._batch() is not None:
            yield
            return
        batch = _Batch(self, message)
        token = _BATCHES.set({**_BATCHES.get(), id(self.journal): batch})
        try:
            try:
                yield
            finally:
                _BATCHES.reset(token)
            if batch.changes:
                self._commit(batch.changes, message, batch.kept)
        finally:
            batch.kept.close()

    def plan(self, *changes: Change) -> list[dict[str, Any]]:
        """Return the rows of ``manifests`` that changes would make now, and make none."""
        self.journal.refresh()
        return self._planned(changes, self._view()).manifests

    # -- the open batch ------------------------------------------------------------------------------------

    def _batch(self) -> _Batch | None:
        return _BATCHES.get().get(id(self.journal))

    def _known(self) -> State | Overlay:
        """Return the newest state known, without asking the store."""
        batch = self._batch()
        return self.journal.state if batch is None else batch.overlay

    def _view(self) -> Overlay:
        batch = self._batch()
        return self._overlay() if batch is None else batch.overlay

    def _overlay(self) -> Overlay:
        return Overlay(self.journal.state, self.journal, self.journal.state.version + 1)

    def _planned(self, changes: Sequence[Change], overlay: Overlay) -> Plan:
        state = self.journal.state
        return plan_commit(
            Commit(commit_id="", changes=changes, author=self.author),
            state,
            overlay,
            overlay,
            first_ordinal=0,
            txn_id="",
            version=state.version + 1,
            committed_at=state.committed_at or datetime.now().astimezone(),
        )

    def _row_of(self, change: Put) -> dict[str, Any]:
        """Return the row that a change would make."""
        return self._planned([replace(change, overwrite=True)], self._overlay()).manifests[0]

    def _moved(self) -> bool:
        before = self.journal.state.version
        return self.journal.refresh().version != before


def _is_purged(stored: Stored | Entry, state: State) -> bool:
    return (
        stored.storage == "blob"
        and stored.blob_digest is not None
        and max(stored.generation or 0, 0) < state.generation(stored.blob_digest)  # a negative one was forged
    )


@cache
def _views() -> Views:
    from lakefolio.views import Views

    return Views()


class _Words:
    """What people say of an entry, checked and in the form that rows take."""

    def __init__(
        self,
        description: str | None,
        inputs: str | Iterable[Any] | None,
        tags: str | Iterable[str] | None,
        metadata: Mapping[str, Any] | None,
    ) -> None:
        self.description = check_text(description, "description")
        self.inputs = check_inputs(inputs)
        self.tags = check_tags(tags)
        self.metadata = metadata_texts(metadata or {})


def _about(exc: LakefolioError, folio: str, item: str, what: str, **objects: Any) -> LakefolioError:
    """Say of which item it is that a handler, which knows no names, objects to something."""
    objects = {"folio": folio, "item": item, **objects, **exc.objects}
    return type(exc)(f"{what}: {exc.message}", kind=exc.kind, hint=exc.hint, **objects)


def check_text(text: object, what: str) -> str | None:
    """Return a text that can be stored, or None; InvalidInputError (kind ``bad-text``) otherwise."""
    if text is None:
        return None
    if not isinstance(text, str):
        raise InvalidInputError(
            f"{what} is of type {type(text).__name__}, expected str",
            kind="bad-text",
            hint="give a text; facts of other types go into metadata",
        )
    if any(0xD800 <= ord(one) <= 0xDFFF for one in text):
        raise InvalidInputError(
            f"{what} {text!r} holds a lone surrogate, which no UTF-8 text can",
            kind="bad-text",
            hint="decode the bytes it came from with errors='replace'",
        )
    return text


def check_tags(tags: str | Iterable[str] | None) -> tuple[str, ...]:
    """Return tags without repetition; a single text is one tag."""
    if tags is None:
        return ()
    if not isinstance(tags, Iterable):
        raise InvalidInputError(
            f"tags is of type {type(tags).__name__}, expected a list of texts",
            kind="bad-text",
            hint="write tags=['draft', 'paper']",
        )
    found = [tags] if isinstance(tags, str) else list(tags)
    for tag in found:
        if check_text(tag, "tag") in (None, ""):
            raise InvalidInputError(f"tag {tag!r} is empty", kind="bad-text", hint="use a word")
    return tuple(dict.fromkeys(found))


def check_inputs(inputs: str | Iterable[Any] | None) -> tuple[str, ...]:
    """Return inputs as references: texts as they are, entries and item proxies by the reference they carry."""
    if inputs is None:
        return ()
    found = [inputs] if isinstance(inputs, str | Entry) or not isinstance(inputs, Iterable) else list(inputs)
    texts = [one if isinstance(one, str) else getattr(one, "ref", None) for one in found]
    for text, one in zip(texts, found, strict=True):
        if not isinstance(text, str) or not text:
            raise InvalidInputError(
                f"input {one!r} is neither a reference, a URI nor an entry",
                kind="bad-input",
                hint="name an item, as in inputs=['raw', 'other/folio:item@3']",
            )
    return tuple(dict.fromkeys(text for text in texts if text))


def metadata_texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Return metadata as JSON texts; InvalidInputError if a key or value can't be stored."""
    if not isinstance(values, Mapping):
        raise InvalidInputError(
            f"metadata is of type {type(values).__name__}, expected a dict",
            kind="bad-metadata",
            hint="write metadata={'source': 'survey 3'}",
        )
    for key in values:
        if not isinstance(key, str) or check_text(key, "metadata key") == "":
            raise InvalidInputError(
                f"metadata key {key!r} is not a text", kind="bad-metadata", hint="use words as keys", key=key
            )
    return {key: _metadata_text(key, value) for key, value in values.items()}


def _metadata_text(key: str, value: Any) -> str:
    try:
        return json_encode.dumps(value).decode()
    except LakefolioError as exc:
        raise type(exc)(
            f"metadata {key!r} can't be stored: {exc.message}", kind=exc.kind, hint=exc.hint, key=key
        ) from exc


def _probe(folio: str, item: str) -> Put:
    """Make a change whose only use is to be refused, so that the refusal is worded in one place."""
    return Put(folio=folio, item=item, stored=Stored(kind="", storage="inline"), entry_id="")

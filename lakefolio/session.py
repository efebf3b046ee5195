"""One open lake as one author sees it: a reader, and the batch that changes go to.

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
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lakefolio import items, references
from lakefolio.batches import PURGED_MEANWHILE, Batch
from lakefolio.changes import Annotate, Change, Commit, LogBlob, Put, Stored
from lakefolio.config import default_author, setting
from lakefolio.creating import create_lake, find_marker
from lakefolio.entries import Entry
from lakefolio.errors import (
    ConflictError,
    LakefolioError,
    ReadOnlyError,
)
from lakefolio.items.base import Encoded
from lakefolio.journal import Committed, Journal
from lakefolio.kept import Kept
from lakefolio.marker import read_marker
from lakefolio.overlay import Overlay
from lakefolio.planner import Plan, plan_commit
from lakefolio.reader import Reader, about, is_purged
from lakefolio.reads import ActiveRun, active_run, commit_with, enter, leave, reads_of
from lakefolio.refs import check_folio, check_item, new_id
from lakefolio.state import State
from lakefolio.storage import open_store
from lakefolio.words import Words, metadata_texts

__all__ = ["Session"]

_RENEWALS = 20
_NOWHERE = Path()

_BATCHES: ContextVar[Mapping[int, Batch]] = ContextVar("lakefolio_batches", default=MappingProxyType({}))


class Session(Reader):
    """See the module. Safe to share between threads; a batch belongs to the thread (or task) that opened it."""

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
            FormatError: If the lake needs a newer library, or its marker was lost or damaged.
            StorageError: If the store can't be reached.
        """
        store = open_store(str(uri), storage_options)
        journal = Journal(store)
        body = find_marker(store)
        if body is None and create and not read_only:
            body = create_lake(store, journal)
        marker = read_marker(body, store.uri, writing=not read_only)
        journal.load()
        if not read_only and setting("combine"):
            journal.has_neighbours(marker.lake_id)
        return cls(
            store,
            journal,
            marker,
            author=author or default_author(),
            read_only=read_only,
            pinned=None,
            deduplicate=setting("deduplication"),
        )

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
        provided: Change | None = None,
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
            provided: A change of the same commit that comes first: if it is refused, so is all.

        Raises:
            AlreadyExistsError: The name is taken and ``overwrite`` is False.
            InvalidInputError: A name, tag or value that can't be stored.
            UnsupportedTypeError: No handler stores such objects.
            NotFoundError: An input does not exist.
        """
        self._admit(folio, item, overwrite=overwrite)
        words = Words(description, inputs, tags, metadata)
        try:
            handler = items.handler_for(obj) if kind is None else items.handler_of(kind)
        except LakefolioError as exc:
            raise about(exc, folio, item, f"item {item!r} can't be stored") from exc
        scratch = Path(tempfile.mkdtemp(prefix="lakefolio-")) if getattr(handler, "uses_scratch", True) else None
        try:
            encoded = handler.encode(obj, scratch=scratch or _NOWHERE, **(options or {}))
        except BaseException as exc:
            if scratch is not None:
                shutil.rmtree(scratch, ignore_errors=True)
            if isinstance(exc, LakefolioError):
                raise about(exc, folio, item, f"item {item!r} can't be stored") from exc
            raise
        self.put_encoded(folio, item, encoded, scratch, words=words, overwrite=overwrite, provided=provided)

    def put_encoded(
        self,
        folio: str,
        item: str,
        encoded: Encoded,
        scratch: Path | None,
        *,
        words: Words,
        overwrite: bool = False,
        provided: Change | None = None,
    ) -> None:
        """Store what a handler made of an object, in ``scratch``, which this removes; see :meth:`put`."""
        self.check_writable()
        try:
            with self._keeping() as kept:
                if scratch is not None:
                    kept.own(scratch)
                stored = self.blobs.put(encoded, self._known(), kept)
                self._put(folio, item, stored, words, overwrite=overwrite, kept=kept, provided=provided)
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
        words = Words(description, inputs, tags, metadata)
        stored = references.register(uri, self.store.options, kind=kind, **(options or {}))
        self._put(folio, item, stored, words, overwrite=overwrite)

    def _admit(self, folio: str, item: str, *, overwrite: bool) -> None:
        """Refuse early, before anything is encoded or sent, what the planner would refuse anyway."""
        self.check_writable()
        check_folio(folio)
        check_item(item)
        if not overwrite and self._known().live(folio, item) and self.state().live(folio, item):
            # a change whose only use is to be refused, so that the refusal is worded in one place
            nothing = Stored(kind="", storage="inline")
            self._planned([Put(folio=folio, item=item, stored=nothing, entry_id="")], self._view())

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
        self,
        folio: str,
        item: str,
        stored: Stored,
        words: Words,
        *,
        overwrite: bool,
        kept: Kept | None = None,
        provided: Change | None = None,
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
            run_id=self.run_id,
        )
        self.apply(*(() if provided is None else (provided,)), put, kept=kept)

    @property
    def run_id(self) -> str | None:
        """The run in whose block this thread (or task) is: what is put belongs to it."""
        active = active_run(self.place)
        return None if active is None else active.run_id

    @contextmanager
    def in_run(self, run: ActiveRun | None) -> Iterator[None]:
        """Let all that is put and read in the block belong to a run."""
        entered = enter(self.place, run)
        try:
            yield
        finally:
            leave(entered)

    def was_read(self, *entries: Entry) -> None:
        """Let content that a user was given be an input of the run in whose block that was, with its next commit."""
        active = active_run(self.place)
        if active is not None and active.reads is not None:
            for entry in entries:
                if entry.version <= self.journal.state.version:  # what an open batch has put is nobody's input yet
                    active.reads.read(entry)

    def annotate(self, kind: Any, subject_id: str, values: Mapping[str, Any], *, remove: Iterable[str] = ()) -> None:
        """Set metadata of the lake or a folio, and remove the keys in ``remove``. One commit."""
        texts: dict[str, str | None] = dict(metadata_texts(values))
        texts |= dict.fromkeys(remove)
        self.apply(Annotate(kind, subject_id, texts))

    def commit_now(self, *changes: Change) -> Committed:
        """Commit changes at once, whatever batch is open: what was logged, which no batch can take back."""
        self.check_writable()
        return self._commit(changes, None)

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

    def _commit(self, changes: Sequence[Change], message: str | None, kept: Kept | None = None) -> Committed:
        reads = reads_of(self.place, self.journal.reads, changes)
        return commit_with(reads, changes, lambda all_of_them: self._tried(all_of_them, message, kept))

    def _tried(self, changes: Sequence[Change], message: str | None, kept: Kept | None) -> Committed:
        for renewal in range(_RENEWALS):
            commit = Commit(commit_id=new_id(), changes=changes, author=self.author, message=message)
            try:
                return self.journal.commit(commit)
            except ConflictError as exc:
                if exc.kind != PURGED_MEANWHILE or renewal == _RENEWALS - 1:
                    raise
            self.journal.refresh()
            changes = self._renewed(changes, kept)
        raise AssertionError

    def _renewed(self, changes: Sequence[Change], kept: Kept | None) -> list[Change]:
        """Return the changes with each blob that gc gave up since stored again, under its next generation."""
        state = self.journal.state
        return [
            replace(change, stored=self.blobs.renew(change.stored, state, kept))
            if isinstance(change, Put | LogBlob) and is_purged(change.stored, state)
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
        batch = Batch(self, message)
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

    def _batch(self) -> Batch | None:
        return _BATCHES.get().get(id(self.journal))

    def _pending(self) -> Overlay | None:
        batch = self._batch()
        return None if batch is None else batch.overlay

    def _known(self) -> State | Overlay:
        """Return the newest state known, without asking the store."""
        batch = self._batch()
        return self.journal.known if batch is None else batch.overlay

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

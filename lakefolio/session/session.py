"""One open lake as one author sees it: how it is opened, and how objects become items.

Lake and Folio are faces of a session and share it. What is about neither bytes, rows nor keys lives here and in what it
is made of: what a name, a tag and a piece of metadata may be, how an object finds its handler (``reader``, ``writer``).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from lakefolio import items
from lakefolio.config.settings import default_author, setting
from lakefolio.content.reference_trust import trusted_prefixes
from lakefolio.content.reupload_buffer import Kept
from lakefolio.errors import IntegrityError, InvalidInputError, LakefolioError, UnsupportedTypeError
from lakefolio.format.marker import read_marker
from lakefolio.format.names import check_folio, check_item, new_id
from lakefolio.items.handler import Encoded, Handler
from lakefolio.journal.journal import Journal
from lakefolio.model.changes import Change, Put, Stored, content_facts
from lakefolio.process.keywords import check_keywords, keywords_of
from lakefolio.process.notice import LakefolioWarning, notice
from lakefolio.process.places import printable
from lakefolio.process.scratch import scratch_folder
from lakefolio.session.annotations import Annotations
from lakefolio.session.create import create_lake, find_marker
from lakefolio.session.local_failures import named_failures
from lakefolio.session.reader import about
from lakefolio.session.writer import Writer
from lakefolio.storage import open_store

__all__ = ["HasSession", "Session"]

_NOWHERE = Path()
_ADDING = {"description", "inputs", "tags", "metadata", "overwrite", "keep", "code", "models", "category"}
"""What is taken before a handler is asked; named to who misspells it."""


class HasSession(Protocol):
    """A handle on an open lake, such as ``Lake``."""

    _session: Session


class Session(Writer):
    """See the module. Safe to share between threads."""

    @classmethod
    def open(
        cls,
        uri: str | Path,
        *,
        storage_options: Mapping[str, Any] | None = None,
        create: bool = True,
        read_only: bool = False,
        author: str | None = None,
        trust_references: str | Iterable[str] | None = None,
    ) -> Session:
        """Open a lake; create it if it is absent. Creating is idempotent and safe to do from many processes.

        Raises:
            LakeNotFoundError: If there is no lake and ``create`` is False or ``read_only`` is True.
            FormatError: If the lake needs a newer library, or its marker was lost or damaged.
            StorageError: If the store can't be reached.
        """
        prefixes = trusted_prefixes(trust_references)
        store = open_store(str(uri), storage_options)
        body = find_marker(store)
        if body is None and create and not read_only:
            body = create_lake(store)
        marker = read_marker(body, store.uri, writing=not read_only)
        journal = Journal(store, marker.lake_id)
        journal.load()
        if not read_only and setting("combine"):
            journal.has_neighbours()
        return cls(
            store,
            journal,
            marker,
            author=printable(str(author or default_author())),
            read_only=read_only,
            pinned=None,
            deduplicate=setting("deduplication"),
            trust_references=prefixes,
        )

    # -- putting -------------------------------------------------------------------------------------------

    def put(
        self,
        folio: str,
        item: str,
        obj: Any,
        said: Annotations,
        *,
        kind: str | None = None,
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
            said: What is said of it. Where it replaces an item without ``keep``, a warning names what was said of that
                one and is not of this.
            kind: The handler to use; by default the one that accepts the object's type.
            options: What the handler takes besides.
            provided: A change of the same commit that comes first: if it is refused, so is all.

        Raises:
            AlreadyExistsError: The name is taken and ``overwrite`` is False.
            InvalidInputError: A name, tag or value that can't be stored.
            UnsupportedTypeError: No handler stores such objects.
            NotFoundError: An input does not exist.
        """
        if options:
            _check_options(obj, kind, options)
        self._admit(folio, item, said)
        try:
            handler = _handler(obj, kind)
        except LakefolioError as exc:
            raise about(exc, folio, item, f"item {item!r} can't be stored") from exc
        scratch = scratch_folder() if getattr(handler, "uses_scratch", True) else None
        try:
            with named_failures(scratch):
                encoded = handler.encode(obj, scratch=scratch or _NOWHERE, **(options or {}))
        except BaseException as exc:
            if scratch is not None:
                shutil.rmtree(scratch, ignore_errors=True)
            if isinstance(exc, LakefolioError):
                raise about(exc, folio, item, f"item {item!r} can't be stored") from exc
            raise
        self.put_encoded(folio, item, encoded, scratch, said, provided=provided)

    def put_encoded(
        self,
        folio: str,
        item: str,
        encoded: Encoded,
        scratch: Path | None,
        said: Annotations,
        *,
        provided: Change | None = None,
    ) -> None:
        """Store what a handler made of an object, in ``scratch``, which this removes; see :meth:`put`."""
        self.check_writable()
        try:
            with self._keeping() as kept:
                if scratch is not None:
                    kept.own(scratch)
                try:
                    with named_failures(scratch):
                        stored = self.blobs.put(encoded, self._known(), kept)
                except InvalidInputError as exc:  # it changed meanwhile, or can't be encoded
                    raise about(exc, folio, item, f"item {item!r} can't be stored") from exc
                self._put(folio, item, stored, said.or_described(encoded.description), kept=kept, provided=provided)
        except BaseException:
            if scratch is not None:
                shutil.rmtree(scratch, ignore_errors=True)
            raise

    def put_reference(
        self,
        folio: str,
        item: str,
        uri: str | Path,
        said: Annotations,
        *,
        kind: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Register content that lies elsewhere, with its size, ETag and version id; nothing is copied.

        Raises:
            AlreadyExistsError: The name is taken and ``overwrite`` is False.
            InvalidInputError: A name or address that can't be used.
        """
        self._admit(folio, item, said)
        stored = self.references.register(uri, kind=kind, **(options or {}))
        self._put(folio, item, stored, said)

    def _admit(self, folio: str, item: str, said: Annotations) -> None:
        """Refuse early, before anything is encoded or sent, what the planner would refuse anyway."""
        self.check_writable()
        check_folio(folio)
        check_item(item)
        if not said.overwrite and self._known().live(folio, item) and self.unwatched_state().live(folio, item):
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
        said: Annotations,
        *,
        kept: Kept | None = None,
        provided: Change | None = None,
    ) -> None:
        put = Put(
            folio=folio,
            item=item,
            stored=stored,
            entry_id=new_id(),
            description=said.description,
            tags=said.tags,
            inputs=said.inputs,
            metadata=said.metadata,
            overwrite=said.overwrite,
            run_id=self.run_id,
            keep=said.keep,
        )
        lost = self._lost(put, said) if said.overwrite and said.unsaid and not said.keep else None
        self.apply(*(() if provided is None else (provided,)), put, kept=kept)
        if lost is not None:
            notice(lost)

    def _lost(self, put: Put, said: Annotations) -> LakefolioWarning | None:
        """Return the warning to give if the entry that is replaced has words that the new one lacks."""
        try:
            old = self._known().entry(put.folio, put.item)
        except IntegrityError:  # its row can't be read: replacing it is how that is mended
            return None
        if old is None:
            return None
        there = {
            "description": bool(old.description),
            "tags": bool(old.tags),
            "metadata": bool(old.facts.keys() - content_facts(old.storage)),
        }
        lost = [name for name in said.unsaid if there[name]]
        if not lost:
            return None
        named = " and ".join([", ".join(lost[:-1]), lost[-1]] if len(lost) > 1 else lost)
        return LakefolioWarning(
            f"item {put.item!r} of folio {put.folio!r} was overwritten; its {named} {_were(lost)} not carried over",
            kind="words-dropped",
            hint=f"keep=True carries them over; {old.ref} still has them",
        )


def _handler(obj: Any, kind: str | None) -> Handler:
    return items.handler_for(obj) if kind is None else items.handler_of(kind)


def _check_options(obj: Any, kind: str | None, options: Iterable[str]) -> None:
    """Raise UnsupportedTypeError (kind ``unknown-keyword``) for options that the handler does not take."""
    try:
        handler = _handler(obj, kind)
    except UnsupportedTypeError:  # said where the item is named
        return
    known = keywords_of(handler.encode)
    if known is not None:
        check_keywords(f"adding an item of kind {handler.kind!r}", options, known - {"obj", "scratch"} | _ADDING)


def _were(names: list[str]) -> str:
    return "was" if names in (["description"], ["metadata"]) else "were"

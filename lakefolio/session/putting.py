"""How objects become items: annotations are checked, the object encoded, its content stored, the entry committed."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakefolio import items
from lakefolio.content.reupload_buffer import ReuploadBuffer
from lakefolio.errors import IntegrityError, InvalidInputError, LakefolioError, UnsupportedTypeError
from lakefolio.format.names import check_folio, check_item, new_id
from lakefolio.items.handler import Encoded, Handler, is_read_once
from lakefolio.model.changes import Change, Put, content_facts
from lakefolio.model.entries import Stored
from lakefolio.process.keywords import check_keywords, keywords_of
from lakefolio.process.notice import LakefolioWarning, notice, say
from lakefolio.process.scratch import named_failures, scratch_folder
from lakefolio.session.annotations import Annotations
from lakefolio.session.batches import known, open_batch, planned, view
from lakefolio.session.reading import about

if TYPE_CHECKING:
    from lakefolio.session.session import Session

__all__ = ["put", "put_encoded", "put_reference"]

_NOWHERE = Path()
_ADDING = {
    "description",
    "inputs",
    "tags",
    "metadata",
    "overwrite",
    "keep",
    "code",
    "models",
    "category",
    "version",
    "bump",
    "columns_from",
}
"""The arguments that are not the handler's options; an error about a misspelt one names them."""


def put(
    session: Session,
    /,
    folio: str,
    item: str,
    obj: object,
    annotations: Annotations,
    *,
    kind: str | None = None,
    options: Mapping[str, object] | None = None,
    provided: Change | None = None,
    used_up: bool = False,
) -> None:
    """Store an object as an item.

    Atomic; the object is readable by everyone when this returns (outside of a batch). Content that the lake
    holds already is referred to, not stored. Idempotent: an item that is already what would be added (content,
    description, tags, metadata and inputs) stays as it is, and nothing is committed; with ``overwrite`` a new entry is
    always made.

    Args:
        folio: The folio; it exists from its first item on.
        item: The name in it.
        obj: Any object that a handler stores.
        annotations: Description, inputs, tags and metadata. If they replace those of an item without ``keep``, a
            warning names the ones that get lost.
        kind: The handler to use; by default the one that accepts the object's type.
        options: Options of the handler.
        provided: A change of the same commit that comes first: if it is refused, so is all.
        used_up: Whether an object that can be read only once may be read to be compared with the present content.

    Raises:
        AlreadyExistsError: The name is taken by something else, and ``overwrite`` is False; ``differs`` says how.
        InvalidInputError: A name, tag or value that can't be stored.
        UnsupportedTypeError: No handler stores such objects.
        NotFoundError: An input does not exist.
    """
    if options:
        _check_options(obj, kind, options)
    _admit(session, folio, item)
    if not used_up and is_read_once(obj) and _is_taken(session, folio, item, annotations):
        # to compare it would use it up: a change whose only use is to be refused where refusals are worded
        nothing = _change(session, folio, item, Stored(kind="", storage="inline"), annotations)
        planned(session, [nothing], view(session))
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
    session.put_encoded(folio, item, encoded, scratch, annotations, provided=provided)


def put_encoded(
    session: Session,
    /,
    folio: str,
    item: str,
    encoded: Encoded,
    scratch: Path | None,
    annotations: Annotations,
    *,
    provided: Change | None = None,
) -> None:
    """Store the encoded object that a handler wrote to ``scratch``, and remove ``scratch``; see :meth:`put`."""
    session.check_writable()
    annotations = annotations.or_described(encoded.description)
    try:
        with _keeping(session) as kept:
            if scratch is not None:
                kept.own(scratch)
            try:
                with named_failures(scratch):
                    if _is_taken(session, folio, item, annotations):
                        same = _change(session, folio, item, session.blobs.identity(encoded), annotations)
                        before = () if provided is None else (provided,)
                        if not planned(session, [*before, same], view(session)).manifests:
                            _say_unchanged(session, folio, item)
                            return
                    stored = session.blobs.put(encoded, known(session), kept)
            except InvalidInputError as exc:  # it changed meanwhile, or can't be encoded
                raise about(exc, folio, item, f"item {item!r} can't be stored") from exc
            _put(session, folio, item, stored, annotations, kept=kept, provided=provided)
    except BaseException:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
        raise


def put_reference(
    session: Session,
    /,
    folio: str,
    item: str,
    uri: str | Path,
    annotations: Annotations,
    *,
    kind: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> None:
    """Register content that lies elsewhere, with its size, ETag and version id; nothing is copied.

    Raises:
        AlreadyExistsError: The name is taken and ``overwrite`` is False.
        InvalidInputError: A name or address that can't be used.
    """
    _admit(session, folio, item)
    stored = session.references.register(uri, kind=kind, **(options or {}))
    _put(session, folio, item, stored, annotations)


def _admit(session: Session, folio: str, item: str) -> None:
    """Refuse early, before anything is encoded or sent, a change that the planner would refuse."""
    session.check_writable()
    check_folio(folio)
    check_item(item)


def _is_taken(session: Session, folio: str, item: str, annotations: Annotations) -> bool:
    """Say whether an item of that name is there and may not be replaced."""
    return (
        not annotations.overwrite and known(session).live(folio, item) and session.unwatched_state().live(folio, item)
    )


@contextmanager
def _keeping(session: Session) -> Iterator[ReuploadBuffer]:
    """Give the open batch's store of content on its way, or one of its own for a single commit."""
    batch = open_batch(session)
    if batch is not None:
        yield batch.kept
        return
    kept = ReuploadBuffer(whole=True)
    try:
        yield kept
    finally:
        kept.close()


def _put(
    session: Session,
    folio: str,
    item: str,
    stored: Stored,
    annotations: Annotations,
    *,
    kept: ReuploadBuffer | None = None,
    provided: Change | None = None,
) -> None:
    put = _change(session, folio, item, stored, annotations)
    batch = open_batch(session)
    may_be_there = not annotations.overwrite and (batch is None or batch.overlay.live(folio, item))
    may_lose = annotations.overwrite and annotations.unsaid and not annotations.keep
    lost = _lost(session, put, annotations) if may_lose else None
    session.apply(*(() if provided is None else (provided,)), put, kept=kept)
    if lost is not None:
        notice(lost)
    if may_be_there:
        with suppress(IntegrityError):
            if known(session).entry_id(folio, item) not in (put.entry_id, None):
                _say_unchanged(session, folio, item)


def _change(session: Session, folio: str, item: str, stored: Stored, annotations: Annotations) -> Put:
    return Put(
        folio=folio,
        item=item,
        stored=stored,
        entry_id=new_id(),
        description=annotations.description,
        tags=annotations.tags,
        inputs=annotations.inputs,
        metadata=annotations.metadata,
        overwrite=annotations.overwrite,
        run_id=session.run_id,
        keep=annotations.keep,
        version=annotations.version,
        bump=annotations.bump,
        input_details=annotations.input_details,
    )


def _say_unchanged(session: Session, folio: str, item: str) -> None:
    entry = known(session).entry(folio, item)
    say(f"{folio}:{item} is unchanged" + ("" if entry is None else f" (@{entry.version})"))


def _lost(session: Session, put: Put, annotations: Annotations) -> LakefolioWarning | None:
    """Return the warning to give if the entry that is replaced has words that the new one lacks."""
    try:
        old = known(session).entry(put.folio, put.item)
    except IntegrityError:  # its row can't be read: replacing it is how that is mended
        return None
    if old is None:
        return None
    there = {
        "description": bool(old.description),
        "tags": bool(old.tags),
        "metadata": bool(old.facts.keys() - content_facts(old.storage)),
    }
    lost = [name for name in annotations.unsaid if there[name]]
    if not lost:
        return None
    named = " and ".join([", ".join(lost[:-1]), lost[-1]] if len(lost) > 1 else lost)
    it = "them" if _were(lost) == "were" else "it"
    return LakefolioWarning(
        f"item {put.item!r} of folio {put.folio!r} was overwritten; its {named} {_were(lost)} not carried over",
        kind="words-dropped",
        hint=f"keep=True carries {it} over; {old.ref} still has {it}",
    )


def _handler(obj: object, kind: str | None) -> Handler:
    return items.handler_for(obj) if kind is None else items.handler_of(kind)


def _check_options(obj: object, kind: str | None, options: Iterable[str]) -> None:
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

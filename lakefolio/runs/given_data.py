"""Data given to a run: recognised by its content if the lake holds it, stored once if not."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lakefolio import items
from lakefolio.content.blobs import digest_of
from lakefolio.errors import InvalidInputError, LakefolioError
from lakefolio.format.names import check_item, is_uri, parse_ref
from lakefolio.process.scratch import named_if_full, scratch_folder
from lakefolio.redaction import scrub_address
from lakefolio.session.annotations import Annotations
from lakefolio.session.reading import about

if TYPE_CHECKING:
    from lakefolio.model.entries import Entry
    from lakefolio.session.session import Session

__all__ = ["INPUTS", "digest_of_object", "find_or_put", "reference_of"]

INPUTS: Final = "inputs"
"""The folio of data that runs were given and that no item held."""


def reference_of(session: Session, name: str, data: object) -> str:
    """Return what names an input for ever: ``folio:item@version``, or a URI.

    Args:
        session: The lake.
        name: The input's name in the run.
        data: A reference or URI (a text), an entry or item proxy, or an object; an object that the lake holds already,
            under whatever name, is not stored again.

    Raises:
        NotFoundError: No such item.
        UnsupportedTypeError: Nothing stores such objects.
    """
    text = data if isinstance(data, str) else getattr(data, "ref", None)
    if isinstance(text, str):
        if is_uri(text):
            return scrub_address(text)
        ref = parse_ref(text)
        if ref.folio is None:
            raise InvalidInputError(
                f"input {text!r} names no folio",
                kind="bad-ref",
                hint="write folio:name; a text that is data goes in as bytes or in a list",
                ref=text,
            )
        state, known = session.journal.state, None
        if isinstance(ref.at, int) and ref.at <= state.version:
            # an exact version that is known costs neither a look nor a replay of the past
            known = state.entry_at(ref.folio, ref.item, ref.at)
        entry = session.entry(ref.folio, ref.item, ref.at) if known is None else known
    else:
        entry = find_or_put(session, name, data)
    if session.in_batch and entry.version > session.journal.state.version:
        return f"{entry.folio}:{entry.item}"  # it gets its version with the batch
    return entry.ref


def digest_of_object(obj: object) -> str:
    """Return kind and digest of the content that an object would be stored as; nothing is stored.

    Raises:
        UnsupportedTypeError: Nothing stores such objects.
    """
    handler = items.handler_for(obj)
    scratch = scratch_folder() if getattr(handler, "uses_scratch", True) else None
    try:
        with named_if_full():
            encoded = handler.encode(obj, scratch=scratch or Path())
        return f"{encoded.kind} {encoded.digest or digest_of(encoded)}"
    finally:
        _remove(scratch)


def find_or_put(session: Session, name: str, obj: object) -> Entry:
    """Return an entry that holds an object's content, storing it in folio ``inputs`` if there is none.

    One pass over the content when the lake holds it. Atomic; a put is a commit of its own outside of a batch.
    """
    check_item(name)
    handler = items.handler_for(obj)
    scratch = scratch_folder() if getattr(handler, "uses_scratch", True) else None
    try:
        try:
            with named_if_full():
                encoded = handler.encode(obj, scratch=scratch or Path())
        except LakefolioError as exc:
            raise about(exc, INPUTS, name, f"input {name!r} can't be kept") from exc
        digest = encoded.digest or digest_of(encoded)
        view = session.unwatched_state() if session.in_batch else session.journal.state
        known = view.content(digest, encoded.kind)
    except BaseException:
        _remove(scratch)
        raise
    if known is not None:
        _remove(scratch)
        return known
    item = f"{name}/{digest.removeprefix('sha256:')[:12]}"
    with session.in_run(None):  # an input is nothing that the run made
        # as it is encoded, not the object again: a reader of batches is empty by now
        session.put_encoded(INPUTS, item, encoded, scratch, Annotations.of(overwrite=True))
    return session.entry(INPUTS, item)


def _remove(scratch: Path | None) -> None:
    if scratch is not None:
        shutil.rmtree(scratch, ignore_errors=True)

"""Storing content: inline, or in content-addressed objects that verify by their name (FORMAT.md, "Blobs").

Nothing is stored twice: an entry refers to content that the lake already holds.
"""

from __future__ import annotations

import dataclasses
import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

from lakefolio.content.blob_reader import BlobSource
from lakefolio.errors import (
    AlreadyExistsError,
    ConflictError,
    IntegrityError,
    InvalidInputError,
    NotFoundError,
    StorageError,
)
from lakefolio.format.digest import sha256_of_bytes, sha256_of_file, sha256_of_parts
from lakefolio.format.layout import blob_key, check_digest
from lakefolio.format.schema import INLINE_LIMIT_BYTES
from lakefolio.items.handler import Buffers, Encoded, FilePayload, Payload, changed, discard
from lakefolio.model.entries import Stored
from lakefolio.process.notice import LakefolioWarning, notice
from lakefolio.process.workers import Workers

if TYPE_CHECKING:
    from lakefolio.content.file_cache import FileCache
    from lakefolio.content.reupload_buffer import ReuploadBuffer
    from lakefolio.model.entries import Entry, StateView
    from lakefolio.storage import Store

__all__ = ["Blobs", "digest_of"]

_PIECE_BYTES = 8 * 2**20


class Blobs:
    """The content of one lake. Safe to share between threads."""

    def __init__(
        self,
        store: Store,
        cache: FileCache,
        refuse_purged: Callable[[Entry, bool], None] | None = None,
        inline: Callable[[Entry], bytes] | None = None,
        *,
        deduplicate: bool = True,
    ) -> None:
        """Serve the content in a store.

        Args:
            store: The store of the lake.
            cache: Where callers that need a file find one.
            refuse_purged: Called with an entry before it is read, and again with True if its object is missing; raises
                if the content was purged.
            inline: Gives the inline content of an entry that does not have it at hand.
            deduplicate: Whether content that an entry holds already is referred to. If not it is sent again; equal
                bytes still share one object, since that is called by its digest.
        """
        self._deduplicate = deduplicate
        self._store = store
        self._cache = cache
        self._refuse_purged = refuse_purged or (lambda entry, missing: None)
        self._inline = inline
        self.on_upload: Callable[[int, int], None] | None = None
        self.on_download: Callable[[int, int], None] | None = None

    def put(self, encoded: Encoded, view: StateView, kept: ReuploadBuffer | None = None) -> Stored:
        """Make sure content is stored, and return where.

        Idempotent, atomic per object, and without a request when an entry in ``view`` holds the content already. The
        content becomes reachable only with the commit that refers to it.

        Args:
            encoded: The content.
            view: The newest state known; it says what is stored, and which generation a purged blob gets.
            kept: Where to keep the content until its commit has landed, so that :meth:`renew` can store it again.

        Raises:
            InvalidInputError: If a file or an object changes meanwhile; nothing was stored.
            StorageError: If the store fails.
        """
        payload = None if encoded.digest else _made(encoded)
        try:
            own_digest = None if payload is None else _digest_of(payload)
            if self._deduplicate and (payload is None or payload.size_bytes > INLINE_LIMIT_BYTES):
                known = self._known(encoded, own_digest, view)
                if known is not None:
                    if kept is not None and known.storage == "blob" and known.blob_digest:
                        source = payload if payload is not None else lambda: _made(encoded)
                        payload = kept.hold(known.blob_digest, source, known.stored_bytes or 0)
                    return self._reuse(encoded, known)
            if payload is None or own_digest is None:
                payload = _made(encoded)
                own_digest = _digest_of(payload)
            stored = self._store_payload(encoded, payload, own_digest, view)
            if kept is not None and stored.storage == "blob":
                payload = kept.hold(own_digest, payload, stored.stored_bytes or 0)
            return stored
        finally:
            discard(payload)

    def identity(self, encoded: Encoded) -> Stored:
        """Return the identity of content, as :meth:`put` would, without storing it; no request."""
        payload = None if encoded.digest else _made(encoded)
        try:
            digest = encoded.digest if payload is None else _digest_of(payload)
            size_bytes = None if payload is None else payload.size_bytes
        finally:
            if callable(encoded.payload):
                discard(payload)
        return Stored(
            kind=encoded.kind,
            storage="blob",
            format=encoded.format,
            media_type=encoded.media_type,
            digest=digest,
            size_bytes=size_bytes,
            row_count=encoded.row_count,
            details=encoded.details,
        )

    def put_object(self, body: bytes, view: StateView) -> tuple[str, int]:
        """Make sure that bytes are stored as a blob, and return its digest and generation. Idempotent."""
        payload = Buffers((body,))
        digest = _digest_of(payload)
        generation = view.generation(digest)
        self._upload(blob_key(digest, generation), payload, digest)
        return digest, generation

    def renew(self, stored: Stored, view: StateView, kept: ReuploadBuffer | None) -> Stored:
        """Store content again that was purged before the commit that refers to it, and return where.

        The bytes come from the re-upload buffer, or from the old object if it still exists. Idempotent.

        Raises:
            ConflictError: kind ``purged-meanwhile``, if neither is there any more.
        """
        digest = check_digest(stored.blob_digest or "")
        first, generation = stored.generation or 0, view.generation(digest)
        if stored.storage == "inline":
            return dataclasses.replace(stored, generation=generation)
        key = blob_key(digest, generation)
        if not (
            (kept is not None and self._upload_kept(key, kept, digest)) or self._same_size(key, stored.stored_bytes)
        ) and not any(self._copy(blob_key(digest, older), key, digest) for older in range(first, generation)):
            raise ConflictError(
                f"blob {digest} was purged while it was being added, and its content is no longer at hand",
                kind="purged-meanwhile",
                hint="add it again; gc with a grace longer than a batch lasts avoids this",
                digest=digest,
            )
        # content of older generations is purged, and no row will refer to it again
        self._store.delete([blob_key(digest, older) for older in range(first, generation)])
        return dataclasses.replace(stored, generation=generation)

    def _upload_kept(self, key: str, kept: ReuploadBuffer, digest: str) -> bool:
        """Store the buffered payload of a blob, unless it has changed since; return whether it is stored."""
        try:
            payload = kept.payload(digest)
            if payload is None or _digest_of(payload) != digest:
                return False
            self._upload(key, payload, digest)
        except InvalidInputError:  # its owner changes it at this moment
            return False
        return True

    def _same_size(self, key: str, size_bytes: int | None) -> bool:
        try:
            return self._store.head(key).size_bytes == size_bytes
        except NotFoundError:
            return False

    def _copy(self, source: str, target: str, digest: str) -> bool:
        """Copy a blob within the lake if it exists and has the digest in its name."""
        with tempfile.TemporaryDirectory(prefix="lakefolio-") as folder:
            path = Path(folder) / "content"
            try:
                self._store.fetch_to(source, path)
            except NotFoundError:
                return False
            payload = FilePayload(path)
            if _digest_of(payload) != digest:
                return False
            self._upload(target, payload, digest)
        return True

    def _known(self, encoded: Encoded, own_digest: str | None, view: StateView) -> Entry | None:
        """Return an entry that holds the content already, if one does.

        One request checks that its object still exists in its size, so that adding content again repairs a lost object.
        An entry that was edited by hand neither fails the call nor is believed.
        """
        try:
            known = view.content(encoded.digest or own_digest or "", encoded.kind)
            if known is None or known.format != encoded.format or known.blob_digest is None:
                return None
            if own_digest is not None and known.blob_digest != own_digest:
                return None
            if known.storage == "inline":
                return known if sha256_of_bytes(known.content or b"") == known.blob_digest else None
            if known.storage != "blob":
                return None
            found = self._store.head_readable(blob_key(known.blob_digest, known.generation or 0))
        except (NotFoundError, IntegrityError):
            return None
        except StorageError as exc:
            if exc.kind == "archived":  # a user who adds content wants to read it: it is stored again
                return None
            raise
        return known if found.size_bytes == known.stored_bytes else None

    def _reuse(self, encoded: Encoded, known: Entry) -> Stored:
        return Stored(
            kind=encoded.kind,
            storage=known.storage,
            format=known.format,
            media_type=encoded.media_type,
            codec=known.codec,
            digest=known.digest,
            blob_digest=known.blob_digest,
            generation=known.generation,
            size_bytes=known.size_bytes,
            stored_bytes=known.stored_bytes,
            row_count=encoded.row_count,
            content=known.content,
            details=encoded.details,
        )

    def _store_payload(self, encoded: Encoded, payload: Payload, own_digest: str, view: StateView) -> Stored:
        size_bytes = payload.size_bytes
        content: bytes | None = None
        generation = view.generation(own_digest)
        if size_bytes <= INLINE_LIMIT_BYTES:
            parts = payload.parts if _is_immutable(payload) else _proven(payload, own_digest, size_bytes)
            content = b"".join(parts)
        else:
            self._upload(blob_key(own_digest, generation), payload, own_digest)
        return Stored(
            kind=encoded.kind,
            storage="blob" if content is None else "inline",
            format=encoded.format,
            media_type=encoded.media_type,
            codec="none",
            digest=encoded.digest or own_digest,
            blob_digest=own_digest,
            generation=generation if content is None else generation or None,
            size_bytes=size_bytes,
            stored_bytes=size_bytes if content is None else 0,
            row_count=encoded.row_count,
            content=content,
            details=encoded.details,
        )

    def _upload(self, key: str, payload: Payload, digest: str) -> None:
        size_bytes = payload.size_bytes

        def pieces() -> Iterator[bytes | memoryview]:
            return _proven(payload, digest, size_bytes)

        def sent(count: int) -> None:
            if self.on_upload is not None:
                self.on_upload(count, size_bytes)

        try:
            self._store.upload(key, pieces, size_bytes, sent)
        except AlreadyExistsError:
            # what lies there has another size and can't be this content: damage, which the right bytes mend
            self._store.delete([key])
            self._store.upload(key, pieces, size_bytes, sent)
        except StorageError as exc:
            if exc.kind != "archived":
                raise
            notice(
                LakefolioWarning(
                    f"content was stored again, because {exc.message.removeprefix('could not ')}",
                    kind="archived-content",
                    hint="entries that have the same content can be read again too",
                )
            )
            self._store.upload(key, pieces, size_bytes, sent, replace=True)

    def verify(self, entry: Entry) -> int:
        """Read the stored bytes of an entry and return their number; raise IntegrityError if they are damaged."""
        return self.source(entry).verify()

    def source(self, entry: Entry, *, use_cache: bool = True) -> BlobSource:
        """Return a reader of the content of an entry.

        Args:
            entry: The entry.
            use_cache: Whether the local cache may answer for a bucket where content is read into memory.

        Raises:
            IntegrityError: If the row says something that can't be (a bad digest, a storage without content), or
                inline content can't be read.
            NotFoundError: kind ``content-purged``, if gc purged the content.
        """
        self._refuse_purged(entry, False)
        if entry.storage == "inline" and entry.content is None and self._inline is not None:
            entry = dataclasses.replace(entry, content=self._inline(entry))
        return BlobSource(
            self._store, self._cache, entry, use_cache=use_cache, refuse_purged=self._refuse_purged, on_read=self._read
        )

    def _read(self, count: int, size_bytes: int) -> None:
        if self.on_download is not None:
            self.on_download(count, size_bytes)


def _pieces(payload: Payload) -> Iterator[bytes | memoryview]:
    if isinstance(payload, Buffers):
        for part in payload.parts:
            view = memoryview(part).cast("B")
            for start in range(0, len(view), _PIECE_BYTES):
                yield view[start : start + _PIECE_BYTES]
        return
    with payload.path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


def _is_immutable(payload: Payload) -> TypeGuard[Buffers]:
    """Say whether a payload is made of bytes, which nobody can change."""
    return isinstance(payload, Buffers) and {type(part) for part in payload.parts} <= {bytes}


def _proven(payload: Payload, digest: str, size_bytes: int) -> Iterator[bytes | memoryview]:
    """Yield the bytes to be written, and raise at the end unless they are exactly the digested ones.

    The memory of an object, and a user's file, belong to other code, which may write to them at any moment. So each
    piece is copied, and the copy is both hashed (while the store writes it) and yielded. Content that the library made
    lies in immutable bytes or in a private file, and is not copied.

    Raises:
        InvalidInputError: kind ``content-changed`` or ``file-changed``.
    """
    if payload.temporary if isinstance(payload, FilePayload) else _is_immutable(payload):
        yield from _pieces(payload)
        return
    hasher, done = hashlib.sha256(), 0
    with Workers(1, "lakefolio-digest") if size_bytes > _PIECE_BYTES else nullcontext() as worker:
        for piece in _pieces(payload):
            copy = bytes(piece)
            done += len(copy)
            if done > size_bytes:
                break
            hashed = None if worker is None else worker.submit(partial(hasher.update, copy))
            if hashed is None:
                hasher.update(copy)
            yield copy
            if hashed is not None:
                hashed.result()
    if done != size_bytes or f"sha256:{hasher.hexdigest()}" != digest:
        raise _changed(payload)


def _changed(payload: Payload) -> InvalidInputError:
    if isinstance(payload, FilePayload):
        return InvalidInputError(
            f"file {str(payload.path)!r} changed while it was being added",
            kind="file-changed",
            hint="add it again when nothing writes to it",
            path=str(payload.path),
        )
    return changed("its content")


def _digest_of(payload: Payload) -> str:
    if isinstance(payload, FilePayload):
        return sha256_of_file(payload.path)
    return sha256_of_parts(payload.parts)


def digest_of(encoded: Encoded) -> str:
    """Return the digest of content that is identified by its bytes; encodes it if need be."""
    return _digest_of(_made(encoded))


def _made(encoded: Encoded) -> Payload:
    return encoded.payload() if callable(encoded.payload) else encoded.payload

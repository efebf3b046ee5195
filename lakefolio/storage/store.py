"""The interface of every store, with its guarantees; each store documents only how it keeps them."""

from __future__ import annotations

import builtins
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from lakefolio.errors import AlreadyExistsError, IntegrityError, InvalidInputError, NotFoundError
from lakefolio.render.text import counted

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["CHUNK_BYTES", "Buffer", "ObjectInfo", "Parts", "Store", "check_plain", "flat", "pieces_of"]

CHUNK_BYTES = 8 << 20
"""Content is moved in pieces of this size; a few of them are in flight at most."""

Buffer = bytes | bytearray | memoryview
Parts = Iterable[Buffer] | Callable[[], Iterable[Buffer]]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """Facts about an object that a store tells without reading it.

    Attributes:
        key: Relative to the store's root.
        size_bytes: Its size.
        etag: Changes whenever the content does; equal content may have equal ETags. None if the store has none.
        modified_at: When the store says it was written (UTC); never a safety argument.
        version: The version id on a bucket with versioning, else None.
        archive: The storage class that it must be restored from before it is read; only ``list_archives`` looks.
    """

    key: str
    size_bytes: int
    etag: str | None
    modified_at: datetime
    version: str | None = None
    archive: str | None = None


class Store(ABC):
    """Objects under relative keys below one root. Safe to use from many threads.

    Every method raises StorageError when the store refuses or fails, LakeNotFoundError (kind ``bucket-not-found``)
    when its bucket does not exist, and errors name the key and the store but never a credential.

    Attributes:
        uri: The root, normalised, without credentials; a plain absolute path for a local folder.
        scheme: ``file``, ``s3``, ``gs``, ``az``, ``memory`` or ``http``.
        local_path: The root folder if the store is a local folder, else None.
    """

    scheme: str
    uri: str
    local_path: Path | None = None

    @property
    def options(self) -> dict[str, str]:
        """The options this store was opened with, to reach other places alike. May hold credentials: never show it."""
        return {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.uri!r})"

    def uri_of(self, key: str) -> str:
        """Return the absolute address of a key or prefix of this store."""
        return f"{self.uri.rstrip('/')}/{key}" if key else self.uri

    def identity(self) -> str | None:
        """Return the identity that two processes share if one may write here for the other: place, rights, durability.

        It may hold credentials: never show it. None if no process may.
        """
        return None

    def check_process(self) -> None:  # noqa: B027 - most stores work in any process
        """Raise StorageError (kind ``forked-process``) where a forked child can't use the store of its parent."""

    def options_for_delta(self) -> dict[str, str]:
        """Return ``storage_options`` that let deltalake, polars or DuckDB reach the same place.

        Credentials are resolved now and may expire later: ask again rather than keep them. Never log the result.
        """
        return {}

    # Reading

    @abstractmethod
    def get(self, key: str) -> memoryview:
        """Return the whole object, in one request.

        Raises:
            NotFoundError: kind ``object-not-found``, if there is none.
        """

    def find(self, key: str) -> bytes | None:
        """Return the whole object, or None if it does not exist. One request."""
        try:
            found = self.get(key)
        except NotFoundError as missing:
            if missing.kind != "object-not-found":
                raise
            return None
        return found.obj if isinstance(found.obj, bytes) else bytes(found)

    @abstractmethod
    def get_stream(
        self, key: str, chunk_bytes: int = CHUNK_BYTES, *, size_bytes: int | None = None
    ) -> Iterator[memoryview]:
        """Yield the object in order, in pieces of about ``chunk_bytes``; memory is bounded by a few pieces.

        One request; from a bucket, if the size is known, one for each :data:`CHUNK_BYTES`, a few of them at once, and
        each is tried again by itself. Each piece has memory of its own and stays valid. An empty object yields nothing.

        Args:
            key: The object.
            chunk_bytes: How much to hold at a time.
            size_bytes: The size that the object should have, for an object that never changes. Of a longer one at
                least a byte more is given: the caller counts, as for a shorter one.

        Raises:
            NotFoundError: kind ``object-not-found``, at the first piece, if there is none.
        """

    @abstractmethod
    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Return a range of bytes of an object, in one request; fewer bytes if the object ends before.

        Args:
            key: The object.
            start: The first byte, from 0.
            length: How many, at least one.

        Raises:
            NotFoundError: kind ``object-not-found``, if there is none.
        """

    def get_many(self, keys: Sequence[str]) -> builtins.list[bytes | None]:
        """Return many whole objects in the order of ``keys``, None for missing ones; up to 32 requests at once."""
        return [self.find(key) for key in keys]

    @abstractmethod
    def head(self, key: str) -> ObjectInfo:
        """Return what is known of an object, in one request.

        Raises:
            NotFoundError: kind ``object-not-found``, if there is none.
        """

    def head_readable(self, key: str) -> ObjectInfo:
        """Return what is known of an object that can be read now, in one request.

        Raises:
            NotFoundError: kind ``object-not-found``, if there is none.
            StorageError: kind ``archived``, if it lies in a storage class that must be restored before it is read.
        """
        return self.head(key)

    @abstractmethod
    def list(self, prefix: str, *, after: str | None = None) -> Iterator[ObjectInfo]:
        """Yield all objects below a prefix, recursively; those of one folder in the order of their keys.

        Strongly consistent: every object whose write returned before the call is listed. The order among different
        folders is that of the store: SeaweedFS walks folder by folder where S3 sorts whole keys.

        Args:
            prefix: Whole path segments, with or without a final slash: ``a/b`` does not cover ``a/bc``. "" is all.
            after: A key directly below ``prefix``, where no folders lie: yield only what sorts after it. S3 starts
                there, so that a long log costs only what is new.
        """

    def list_archives(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield the same objects as :meth:`list`, each with the archive class that it must be restored from, if any."""
        return self.list(prefix)

    def fetch_to(self, key: str, path: Path, *, on_chunk: Callable[[memoryview], None] | None = None) -> int:
        """Download an object to a local file and return its size; memory is bounded.

        ``path`` appears, or is replaced, only when all bytes have come: it is never half-written.

        Args:
            key: The object.
            path: The file to make, in an existing folder.
            on_chunk: Called with each piece in order, to compute a digest; if it raises, nothing appears.

        Raises:
            NotFoundError: kind ``object-not-found``, if there is none.
        """
        written = 0
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".tmp-", delete=False) as file:
            temporary = Path(file.name)
            try:
                for piece in self.get_stream(key):
                    if on_chunk is not None:
                        on_chunk(piece)
                    file.write(piece)
                    written += len(piece)
                file.flush()
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
        return written

    # Writing

    @abstractmethod
    def create(self, key: str, data: Buffer) -> None:
        """Store an object if the key has none: atomic, exactly one of all concurrent writers wins.

        One request. If its answer is lost the object may exist all the same, and a later ``object-exists`` may mean the
        caller's own object: read it before concluding.

        Raises:
            AlreadyExistsError: kind ``object-exists``, if there is one; it is untouched.
        """

    def create_if_absent(self, key: str, data: Buffer) -> bool:
        """Store an object unless the key has one; return whether this call stored it. Idempotent. One request."""
        try:
            self.create(key, data)
        except AlreadyExistsError:
            return False
        return True

    def create_own(self, key: str, data: Buffer) -> bool:
        """Store an object under a key that no other writer uses; return whether the object there is the caller's.

        An answer may be lost and the client try again by itself: then the existing object is the caller's own. One
        request, a second one if the object exists.
        """
        return self.create_if_absent(key, data) or self.find(key) == bytes(data)

    @abstractmethod
    def put(self, key: str, data: Buffer) -> None:
        """Store an object, replacing an existing one. Atomic: readers see the old or the new object, whole."""

    @abstractmethod
    def upload(
        self,
        key: str,
        parts: Parts,
        size_bytes: int,
        on_progress: Callable[[int], None] | None = None,
        *,
        replace: bool = False,
    ) -> bool:
        """Store content-addressed content of any size, with bounded memory (at most about 64 MiB in flight).

        Idempotent: the content belongs to the key, so an object of equal size is taken to be it. Nothing becomes
        visible before all bytes are there, nor if ``parts`` raises, whose error comes through unchanged.

        Args:
            key: Where; derived from the content.
            parts: The bytes in order, or a function giving them, which is called only if they must be sent.
            size_bytes: How many they are.
            on_progress: Called with the number of bytes handed over so far.
            replace: Whether to send the bytes even if the object is there, and put it in the old one's place.

        Returns:
            Whether bytes were sent: False if the object was there.

        Raises:
            StorageError: kind ``archived``, if the object is there, but must be restored before it can be read.
            AlreadyExistsError: kind ``object-differs``, if an object of another size is there; it is untouched.
            IntegrityError: kind ``size-mismatch``, if ``parts`` gives more or fewer bytes; nothing is stored.
        """

    @abstractmethod
    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects. Idempotent: a missing object is not an error, and after an error all may be deleted again."""

    def discard_unfinished(self, before: datetime, *, dry_run: bool = False) -> int:
        """Remove the unfinished uploads of killed writers, and return how many there were.

        Args:
            before: Only what was begun before this time: the rest may belong to a writer at work.
            dry_run: Only count.
        """
        return 0

    # Running at once

    def parallel(self, calls: Sequence[Callable[[], T]]) -> builtins.list[T]:
        """Run a few calls of this store at once and return their results in order.

        All are run to their end; then the first error, in the order of ``calls``, is raised. On a local folder and
        in memory they run one after another, which is faster there than handing them to threads.
        """
        outcomes: builtins.list[T] = []
        failure: BaseException | None = None
        for call in calls:
            try:
                outcomes.append(call())
            except Exception as exc:
                failure = failure or exc
        if failure is not None:
            raise failure
        return outcomes

    def resolve_uri(self, uri: str) -> tuple[Store, str]:
        """Return the store and key of an object anywhere, reached with this store's options if of the same kind."""
        from lakefolio.storage.opening import resolve_uri

        return resolve_uri(uri, self.options)

    def _present(self, key: str, size_bytes: int) -> bool:
        """Say whether the content of ``key`` is there already.

        Raises:
            AlreadyExistsError: If something of another size is.
        """
        try:
            found = self.head_readable(key)
        except NotFoundError as missing:
            if missing.kind != "object-not-found":
                raise
            return False
        if found.size_bytes != size_bytes:
            raise AlreadyExistsError(
                f"object {key!r} in {self.uri} has {counted(found.size_bytes, 'byte')}, expected {size_bytes}",
                kind="object-differs",
                hint="it was damaged or written by something else; run `lakefolio check`",
                key=key,
                size_bytes=found.size_bytes,
                expected_bytes=size_bytes,
            )
        return True


def check_plain(key: str) -> str:
    """Return a key if it stays below the root.

    Raises:
        InvalidInputError: kind ``bad-key``, if it is empty, absolute, or climbs.
    """
    if not key or key[0] == "/" or "\0" in key or (".." in key and ".." in key.split("/")):
        raise InvalidInputError(f"key {key[:200]!r} is not a plain relative key", kind="bad-key", key=key)
    return key


def flat(data: Buffer) -> Buffer:
    """Return ``data`` as one-dimensional bytes without copying it."""
    if isinstance(data, bytes):
        return data
    view = memoryview(data)
    if view.nbytes == 0:
        return b""
    return view if view.format == "B" and view.ndim == 1 else view.cast("B")


def pieces_of(parts: Parts, size_bytes: int, key: str, on_progress: Callable[[int], None] | None) -> Iterator[Buffer]:
    """Yield the parts in pieces of at most :data:`CHUNK_BYTES`, and check their total size.

    Raises:
        IntegrityError: As soon as they are too many, or at the end if they were too few.
    """
    done = 0
    for part in parts() if callable(parts) else parts:
        whole = flat(part)
        view = memoryview(whole)
        for start in range(0, len(view), CHUNK_BYTES):
            piece = whole if len(view) <= CHUNK_BYTES else view[start : start + CHUNK_BYTES]
            done += len(piece)
            if done > size_bytes:
                break
            yield piece
            if on_progress is not None:
                on_progress(done)
    if done != size_bytes:
        found = f"more than {size_bytes} bytes" if done > size_bytes else counted(done, "byte")
        raise IntegrityError(
            f"content for {key!r} has {found}, expected {size_bytes}; nothing was stored",
            kind="size-mismatch",
            hint="its source changed while it was read; add it again",
            key=key,
            expected_bytes=size_bytes,
        )

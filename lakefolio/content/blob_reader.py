"""Reading content: size and SHA-256 are checked before a byte is handed on.

Reading costs one pass: each piece is hashed while the processor's cache still holds it, and copied to memory that only
the reader has, and may write. A private mapping of the blob's file would save the copy (a sixth of the time of
hashing), but not keep the guarantee: until a page is touched it shows later changes of the file, a page that the system
dropped is read from the disk again, unverified, and a file that is truncated ends the process.

Large content of a local lake is hashed by another thread, behind the one that copies it and then decodes the copy; the
result is given to the caller only if the digest is right.

Content from a bucket is kept in the local cache, so that it is fetched once.

FORMAT.md, "Blobs" and "Reading".
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, TypeVar, cast

import numpy as np

from lakefolio.content.byte_files import MemoryFile
from lakefolio.errors import IntegrityError, NotFoundError, one_line
from lakefolio.format.digest import sha256_of_bytes
from lakefolio.format.layout import blob_key, check_digest
from lakefolio.process.workers import Workers
from lakefolio.render.text import counted

if TYPE_CHECKING:
    from concurrent.futures import Future

    from lakefolio.content.file_cache import FileCache
    from lakefolio.model.entries import Entry
    from lakefolio.storage import Store

__all__ = ["BlobSource"]

T = TypeVar("T")

_PIECE_BYTES: Final = 1 << 19
_HASHED_BYTES: Final = 4 << 20
_IN_MEMORY_BYTES: Final = 256 << 20
_BESIDE_BYTES: Final = 4 << 20


class BlobSource:
    """The verified content of one entry (see ``items.base.Source``)."""

    def __init__(
        self,
        store: Store,
        cache: FileCache,
        entry: Entry,
        *,
        use_cache: bool,
        refuse_purged: Callable[[Entry, bool], None],
        on_read: Callable[[int, int], None],
    ) -> None:
        self._on_read = on_read
        self._use_cache = use_cache and store.local_path is None and store.scheme != "memory"
        self._refuse_purged = refuse_purged
        self._store = store
        self._cache = cache
        self._entry = entry
        if entry.storage not in ("inline", "blob") or (entry.storage == "inline" and entry.content is None):
            raise IntegrityError(
                f"content of item {entry.ref} is said to be stored {entry.storage!r}, which this library can't read",
                kind="bad-storage",
                hint="use a newer lakefolio; if this is the newest, the row was edited by hand: run `lakefolio check`",
                folio=entry.folio,
                item=entry.item,
                version=entry.version,
            )
        try:
            self._digest = check_digest(entry.blob_digest or entry.digest or "")
        except IntegrityError as exc:
            raise IntegrityError(
                f"item {entry.ref}: {exc.message}",
                kind=exc.kind,
                hint="the row was edited by hand or is damaged; run `lakefolio check`",
                folio=entry.folio,
                item=entry.item,
                version=entry.version,
                digest=exc.digest,
            ) from exc
        self._key = None if entry.storage == "inline" else blob_key(self._digest, entry.generation or 0)
        stored = entry.size_bytes if entry.codec in (None, "none") else entry.stored_bytes
        self.size_bytes = stored if stored is not None else -1
        self.row_count = entry.row_count

    def read(self) -> memoryview:
        """See Source. Inline content costs no request; content of a bucket none if the local cache holds it."""
        if self._entry.content is not None:
            self._check(len(self._entry.content), sha256_of_bytes(self._entry.content))
            return memoryview(self._entry.content)
        if not self._use_cache:
            return self._into_memory(self._pieces())
        copy = self._cache.opened(self._digest, self._file_name())
        if copy is not None:
            with copy, suppress(IntegrityError, OSError):  # anyone may write there: it is fetched again
                return self._into_memory(iter(lambda: copy.read(_PIECE_BYTES), b""))
        with self._cache.keeping(self._digest, self._file_name()) as keep:
            return self._into_memory(self._pieces(keep))

    def decoded(self, decode: Callable[[memoryview], T]) -> T:
        """See Source. Another thread hashes large content of a local lake; that of a bucket is hashed as it comes."""
        if self._key is None or self._store.local_path is None or self.size_bytes < _BESIDE_BYTES:
            return decode(self.read())
        content, done = self._memory(), 0
        with Workers(1, "lakefolio-verify") as worker:
            hashing = _Hashing(content, worker)
            for piece in self._pieces():
                room = content[done : done + len(piece)]
                room[:] = piece[: len(room)]
                done += len(piece)
                hashing.reached(done)
            self._check_size(done)
            try:
                return decode(content)
            finally:
                self._check(done, hashing.digest())  # damage is told in place of what decoding said of it

    def verify(self) -> int:
        """Read everything in pieces, check it, and return the number of bytes."""
        if self._key is None:
            return len(self.read())
        return self._stream(lambda piece: None)

    def open(self) -> BinaryIO:
        """See Source. Content of up to 256 MiB is held in memory, larger content in the local cache."""
        if self.in_memory:
            return cast("BinaryIO", MemoryFile(self.read()))
        return self.path().open("rb")

    @property
    def in_memory(self) -> bool:
        """See Source."""
        return self._entry.content is not None or 0 <= self.size_bytes <= _IN_MEMORY_BYTES

    def path(self) -> Path:
        """See Source. The file lies in the local cache; changing it does not change the lake."""
        return self._cache.file(self._digest, self._file_name(), self._fetch)

    def _file_name(self) -> str:
        original = self._entry.details.get("filename")
        if isinstance(original, str) and original:
            return original
        suffix = "" if self._entry.format in (None, "file") else f".{self._entry.format}"
        return self._entry.item + suffix

    def _fetch(self, target: Path) -> None:
        if self._key is None:
            target.write_bytes(self.read())
            return
        with target.open("wb") as file:
            self._stream(file.write)

    def _stream(self, write: Callable[[bytes | memoryview], object]) -> int:
        hasher, done = hashlib.sha256(), 0
        for piece in self._pieces(write):
            hasher.update(piece)
            done += len(piece)
        self._check(done, f"sha256:{hasher.hexdigest()}")
        return done

    def _pieces(self, write: Callable[[bytes | memoryview], object] | None = None) -> Iterator[memoryview]:
        """Yield the content as the store has it, and pass each piece to ``write``, if given."""
        assert self._key is not None
        size_bytes = self.size_bytes if self.size_bytes >= 0 else None
        done = 0
        try:
            for piece in self._store.get_stream(self._key, _PIECE_BYTES, size_bytes=size_bytes):
                yield piece
                if write is not None:
                    write(piece)
                done += len(piece)
                self._on_read(done, self.size_bytes)
        except NotFoundError as exc:
            self._refuse_purged(self._entry, True)
            raise self._damage("is missing", "blob-missing") from exc

    def _into_memory(self, pieces: Iterable[bytes | memoryview]) -> memoryview:
        """Return the content, verified, in memory that nothing else refers to."""
        hasher, done = hashlib.sha256(), 0
        target = self._memory()
        for piece in pieces:
            hasher.update(piece)
            room = target[done : done + len(piece)]
            room[:] = piece[: len(room)]
            done += len(piece)
        self._check(done, f"sha256:{hasher.hexdigest()}")
        return target

    def _memory(self) -> memoryview:
        assert self._key is not None
        size_bytes = self.size_bytes
        if not 0 <= size_bytes <= _IN_MEMORY_BYTES:  # a row may say anything, memory is taken for what is there
            try:
                found = self._store.head(self._key).size_bytes
            except NotFoundError as exc:
                self._refuse_purged(self._entry, True)
                raise self._damage("is missing", "blob-missing") from exc
            self._check_size(found)
            size_bytes = found
        return np.empty(size_bytes, np.uint8).data  # numpy asks for large pages

    def _check(self, size_bytes: int, digest: str) -> None:
        self._check_size(size_bytes)
        if digest != self._digest:
            raise self._damage(f"is damaged: its bytes have the digest {digest[:23]}…", "blob-damaged")

    def _check_size(self, size_bytes: int) -> None:
        if self.size_bytes >= 0 and size_bytes != self.size_bytes:
            raise self._damage(f"has {counted(size_bytes, 'byte')}, expected {self.size_bytes:,}", "blob-truncated")

    def _damage(self, what: str, kind: str) -> IntegrityError:
        entry = self._entry
        where = f"blob {self._key}" if self._key else f"inline content {self._digest}"  # a blob's key says its digest
        lost = "delete that object and add" if self._key else "add"
        return IntegrityError(
            f"{where} of item {one_line(entry.ref, 60)} {what}",
            kind=kind if self._key else kind.replace("blob", "inline"),
            hint=f"bring it back from a copy: lakefolio repair --from URI; or {lost} the item again from its source",
            folio=entry.folio,
            item=entry.item,
            version=entry.version,
            digest=self._digest,
            key=self._key,
        )


class _Hashing:
    """The SHA-256 of memory that is being filled, taken by a worker behind the thread that fills it."""

    def __init__(self, content: memoryview, worker: Workers) -> None:
        self._content = content
        self._worker = worker
        self._hasher = hashlib.sha256()
        self._begun = 0
        self._last: Future[None] | None = None

    def reached(self, done: int) -> None:
        """Hash what lies before ``done``, unless that is little yet."""
        if done - self._begun >= _HASHED_BYTES:
            self._begin(done)

    def digest(self) -> str:
        """Wait until all is hashed, and return the digest."""
        self._begin(len(self._content))
        assert self._last is not None
        self._last.result()
        return f"sha256:{self._hasher.hexdigest()}"

    def _begin(self, end: int) -> None:
        piece, before = self._content[self._begun : end], self._last

        def update() -> None:
            if before is not None:  # it is done, unless this thread stands in for a worker that can't be started
                before.result()
            self._hasher.update(piece)

        self._begun, self._last = end, self._worker.submit(update)

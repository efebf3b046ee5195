"""Content on its way out: nothing is believed, size and SHA-256 are checked before a byte is handed on.

FORMAT.md, "Blobs" and "Reading".
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from lakefolio.errors import IntegrityError, NotFoundError, one_line
from lakefolio.format.digest import sha256_of_bytes
from lakefolio.format.layout import blob_key, check_digest

if TYPE_CHECKING:
    from lakefolio.content.file_cache import FileCache
    from lakefolio.model.entries import Entry
    from lakefolio.storage import Store

__all__ = ["BlobSource"]

_FETCH_BYTES = 2 * 2**20
_IN_MEMORY_BYTES = 32 * 2**20


class BlobSource:
    """The verified content of one entry (see ``items.base.Source``)."""

    def __init__(
        self,
        store: Store,
        cache: FileCache,
        entry: Entry,
        *,
        verify: bool,
        given_up: Callable[[Entry, bool], None],
        on_read: Callable[[int, int], None],
    ) -> None:
        self._on_read = on_read
        self._given_up = given_up
        self._store = store
        self._cache = cache
        self._entry = entry
        self._verify = verify
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
        """See Source. One request, none for inline content."""
        entry = self._entry
        data = memoryview(entry.content) if entry.content is not None else memoryview(self._get()).cast("B")
        if self._verify:
            self._check(len(data), lambda: sha256_of_bytes(data))
        return data

    def verify(self) -> int:
        """Read everything in pieces, check it, and return the number of bytes."""
        if self._key is None:
            return len(self.read())
        return self._stream(lambda piece: None)

    def open(self) -> BinaryIO:
        """See Source. Small content is held in memory, large content in the local cache."""
        if self._entry.content is not None or 0 <= self.size_bytes <= _IN_MEMORY_BYTES:
            return io.BytesIO(self.read())
        return self.path().open("rb")

    def path(self) -> Path:
        """See Source. The file lies in the local cache; changing it does not change the lake."""
        return self._cache.file(self._digest, self._file_name(), self._fetch)

    def copy_to(self, target: Path) -> None:
        """Write the verified content to a file that does not exist yet; a failure leaves nothing there."""
        try:
            self._fetch(target)
        except BaseException:
            target.unlink(missing_ok=True)
            raise

    def _file_name(self) -> str:
        original = self._entry.details.get("filename")
        if isinstance(original, str) and original:
            return original
        suffix = "" if self._entry.format in (None, "file") else f".{self._entry.format}"
        return self._entry.item + suffix

    def _get(self) -> Any:
        assert self._key is not None
        try:
            return self._store.get(self._key)
        except NotFoundError as exc:
            self._given_up(self._entry, True)
            raise self._damage("is missing", "blob-missing") from exc

    def _fetch(self, target: Path) -> None:
        if self._key is None:
            target.write_bytes(self.read())
            return
        with target.open("wb") as file:
            self._stream(file.write)

    def _stream(self, write: Callable[[bytes | memoryview], Any]) -> int:
        hasher, size_bytes = hashlib.sha256(), 0
        assert self._key is not None
        try:
            for piece in self._store.get_stream(self._key, _FETCH_BYTES):
                hasher.update(piece)
                size_bytes += len(piece)
                write(piece)
                self._on_read(size_bytes, self.size_bytes)
        except NotFoundError as exc:
            self._given_up(self._entry, True)
            raise self._damage("is missing", "blob-missing") from exc
        self._check(size_bytes, lambda: f"sha256:{hasher.hexdigest()}")
        return size_bytes

    def _check(self, size_bytes: int, digest: Any) -> None:
        if self.size_bytes >= 0 and size_bytes != self.size_bytes:
            raise self._damage(f"has {size_bytes} bytes, expected {self.size_bytes}", "blob-truncated")
        found = digest()
        if found != self._digest:
            raise self._damage(f"is damaged: its bytes have the digest {found[:23]}…", "blob-damaged")

    def _damage(self, what: str, kind: str) -> IntegrityError:
        entry = self._entry
        where = f"blob {self._key}" if self._key else "inline content"
        lost = "delete that object and add" if self._key else "add"
        return IntegrityError(
            f"{where} of item {one_line(entry.ref, 60)} ({self._digest}) {what}",
            kind=kind if self._key else kind.replace("blob", "inline"),
            hint=f"bring it back from a copy: lakefolio repair --from URI; or {lost} the item again from its source",
            folio=entry.folio,
            item=entry.item,
            version=entry.version,
            digest=self._digest,
            key=self._key,
        )

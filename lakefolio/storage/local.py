"""A local folder as a store, on plain system calls. What each method guarantees is said by :class:`Store`.

obstore's local store is not used for this: reading a small object through it takes 8 times as long and creating
one 1.6 times, and it gives listings in no order. Content is written to a temporary file beside its place and then
linked (create: fails if the name is taken) or renamed (put) into it, so a writer killed anywhere leaves at most a
hidden file. File systems without hard links are refused: they can't create without replacing.
"""

# ruff: noqa: D102 - the docstrings are those of Store
from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from lakefolio.errors import AlreadyExistsError, NotFoundError
from lakefolio.storage.errors import translate
from lakefolio.storage.store import CHUNK_BYTES, Buffer, ObjectInfo, Parts, Store, check_plain, counted, flat

__all__ = ["LocalStore"]

_TEMPORARY = ".tmp-"


class LocalStore(Store):
    """A local folder. It is made with the first write; reading a folder that does not exist finds nothing."""

    scheme = "file"

    def __init__(self, path: Path, *, fsync: bool = False) -> None:
        """Open a folder, which need not exist.

        Args:
            path: Absolute.
            fsync: Whether a write returns only when the disk has it. Without it a killed process loses nothing, a
                power failure may lose the last seconds, as with other writers of Delta tables.
        """
        self.local_path = path
        self.uri = str(path)
        self._root = "" if self.uri == "/" else self.uri
        self._fsync = fsync

    @property
    def options(self) -> dict[str, str]:
        return {"fsync": "true"} if self._fsync else {}

    def identity(self) -> str | None:
        try:
            found = os.stat(self.uri)
        except OSError:
            return None
        # the same path may be another folder in another container; where there are no inodes the path is all there is
        return f"{self.uri}\n{found.st_dev}:{found.st_ino}\nfsync={self._fsync}"

    def _path(self, key: str) -> str:
        return f"{self._root}/{check_plain(key)}"

    def get(self, key: str) -> memoryview:
        try:
            with open(self._path(key), "rb", buffering=0) as file:
                return memoryview(file.read())
        except OSError as exc:
            raise translate(exc, "read", key, self) from exc

    def find(self, key: str) -> bytes | None:
        try:
            with open(self._path(key), "rb", buffering=0) as file:
                return file.read()
        except FileNotFoundError:
            return None  # asked over and over by writers that wait: an error made for it would cost 20 times as much
        except OSError as exc:
            error = translate(exc, "read", key, self)
            if error.kind == "object-not-found":
                return None
            raise error from exc

    def get_range(self, key: str, start: int, length: int) -> bytes:
        try:
            with open(self._path(key), "rb", buffering=0) as file:
                return os.pread(file.fileno(), length, start)
        except OSError as exc:
            raise translate(exc, "read", key, self) from exc

    def get_stream(self, key: str, chunk_bytes: int = CHUNK_BYTES) -> Iterator[memoryview]:
        try:
            with open(self._path(key), "rb", buffering=0) as file:
                left = os.fstat(file.fileno()).st_size
                while piece := file.read(min(chunk_bytes, left + 1)):
                    left = max(left - len(piece), 0)
                    yield memoryview(piece)
        except OSError as exc:
            raise translate(exc, "read", key, self) from exc

    def head(self, key: str) -> ObjectInfo:
        try:
            found = os.stat(self._path(key))
            if (found.st_mode & 0o170000) == 0o040000:
                raise IsADirectoryError(errno.EISDIR, "is a directory")
        except OSError as exc:
            raise translate(exc, "look at", key, self) from exc
        return _info(key, found)

    def list(self, prefix: str, *, after: str | None = None) -> Iterator[ObjectInfo]:
        base = prefix.rstrip("/")
        return self._walk(f"{base}/" if base and check_plain(base) else "", after)

    def _walk(self, prefix: str, after: str | None) -> Iterator[ObjectInfo]:
        if after is not None and not after.startswith(prefix):
            if prefix < after:
                return
            after = None
        try:
            with os.scandir(f"{self._root}/{prefix}") as entries:
                # A folder sorts as its name with a slash: that is where its keys lie in the order of all keys.
                names = sorted(
                    (f"{entry.name}/", entry) if entry.is_dir() else (entry.name, entry)
                    for entry in entries
                    if not entry.name.startswith(_TEMPORARY)
                )
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as exc:
            raise translate(exc, "list", prefix, self) from exc
        for name, entry in names:
            key = prefix + name
            if name[-1] == "/":
                if after is None or key > after or after.startswith(key):
                    yield from self._walk(key, after)
            elif after is None or key > after:
                try:
                    found = entry.stat()
                except FileNotFoundError:
                    continue  # deleted since the folder was read
                except OSError as exc:
                    raise translate(exc, "list", key, self) from exc
                yield _info(key, found)

    def create(self, key: str, data: Buffer) -> None:
        self._write(key, (flat(data),), os.link)

    def put(self, key: str, data: Buffer) -> None:
        self._write(key, (flat(data),), os.replace)

    def upload(
        self,
        key: str,
        parts: Parts,
        size_bytes: int,
        on_progress: Callable[[int], None] | None = None,
        *,
        replace: bool = False,
    ) -> bool:
        if replace:
            self._write(key, counted(parts, size_bytes, key, on_progress), os.replace)
            return True
        if self._present(key, size_bytes):
            return False
        try:
            self._write(key, counted(parts, size_bytes, key, on_progress), os.link)
        except AlreadyExistsError:
            return not self._present(key, size_bytes)
        return True

    def _write(self, key: str, pieces: Iterable[Buffer], publish: Callable[[str, str], None]) -> None:
        path = self._path(key)
        folder = path.rpartition("/")[0]
        temporary = f"{folder}/{_TEMPORARY}{secrets.token_hex(8)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            try:
                descriptor = os.open(temporary, flags, 0o666)
            except FileNotFoundError:
                os.makedirs(folder, exist_ok=True)
                if self._fsync:
                    for above in (Path(folder), *Path(folder).parents):
                        _sync_folder(str(above))
                descriptor = os.open(temporary, flags, 0o666)
        except OSError as exc:
            raise translate(exc, "write", key, self) from exc
        try:
            try:
                for piece in pieces:  # whatever the source of the content raises comes through unchanged
                    self._write_all(descriptor, piece, key)
                if self._fsync:
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)
            try:
                publish(temporary, path)
                if self._fsync:
                    _sync_folder(folder)
            except OSError as exc:
                raise translate(exc, "write", key, self) from exc
        finally:
            with contextlib.suppress(OSError):
                os.unlink(temporary)

    def _write_all(self, descriptor: int, piece: Buffer, key: str) -> None:
        try:
            written = os.write(descriptor, piece)
            while written < len(piece):
                written += os.write(descriptor, memoryview(piece)[written:])
        except OSError as exc:
            raise translate(exc, "write", key, self) from exc

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            try:
                os.unlink(self._path(key))
            except OSError as exc:
                if isinstance(error := translate(exc, "delete", key, self), NotFoundError):
                    continue
                raise error from exc

    def discard_unfinished(self, before: datetime, *, dry_run: bool = False) -> int:
        count = 0
        for folder, _, names in os.walk(self.uri):
            for name in names:
                if name.startswith(_TEMPORARY):
                    path = f"{folder}/{name}"
                    with contextlib.suppress(OSError):
                        if os.stat(path).st_mtime < before.timestamp():
                            if not dry_run:
                                os.unlink(path)
                            count += 1
        return count


def _info(key: str, found: os.stat_result) -> ObjectInfo:
    etag = f"{found.st_mtime_ns:x}-{found.st_size:x}-{found.st_ino:x}"
    return ObjectInfo(key, found.st_size, etag, datetime.fromtimestamp(found.st_mtime, UTC))


def _sync_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

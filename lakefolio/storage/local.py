"""A local folder as a store, on plain system calls. What each method guarantees is said by :class:`Store`.

obstore's local store is not used for this: reading a small object through it takes 8 times as long and creating
one 1.6 times, and it gives listings in no order. Content is written to a temporary file beside its place and then
linked (create: fails if the name is taken) or renamed (put) into it, so a writer killed anywhere leaves at most a
hidden file. File systems without hard links are refused: they can't create without replacing.

Below its root nothing follows a symbolic link, and nothing but regular files is read: each folder of a key is opened
by the one above it, so that what others put into a lake never leads a read, a write or a deletion out of it.

Slightly longer than most modules: one class has all methods of a store, which share the way to open a folder.
"""

# ruff: noqa: D102 - the docstrings are those of Store
from __future__ import annotations

import builtins
import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from lakefolio.errors import AlreadyExistsError, NotFoundError
from lakefolio.storage.errors import translate
from lakefolio.storage.store import CHUNK_BYTES, Buffer, ObjectInfo, Parts, Store, check_plain, flat, pieces_of

__all__ = ["LocalStore"]

_TEMPORARY = ".tmp-"
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)


class LocalStore(Store):
    """A local folder. The first write creates it; reading a folder that does not exist finds nothing."""

    scheme = "file"

    def __init__(self, path: Path, *, fsync: bool = False, links: bool = False) -> None:
        """Open a folder, which need not exist.

        Args:
            path: Absolute.
            fsync: Whether a write returns only when the disk has it. Without it a killed process loses nothing, a
                power failure may lose the last seconds, as with other writers of Delta tables.
            links: Whether symbolic links below the folder are followed: to read somebody's own files, never in a lake.
        """
        self.local_path = path
        self.uri = str(path)
        self._fsync = fsync
        self._by_folder = not links and os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")

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

    # -- names below the root ------------------------------------------------------------------------------

    def _at(self, key: str, *, make: bool = False) -> tuple[int | None, str]:
        """Return the open folder of a key, which the caller closes, and the name in it. Follows no link.

        Without a folder the name is a path: where links are followed, or the system can't open relative to a folder.

        Raises:
            OSError: If a folder on the way is missing (and not to be made), a link, or no folder.
        """
        *folders, name = check_plain(key).split("/")
        if not self._by_folder:
            folder = "/".join((self.uri.rstrip("/"), *folders))
            if make:
                os.makedirs(folder, exist_ok=True)
            return None, f"{folder}/{name}"
        return self._folder(folders, make=make), name

    def _folder(self, names: Sequence[str], *, make: bool = False) -> int:
        if make and not os.path.isdir(self.uri):
            os.makedirs(self.uri, exist_ok=True)
            for above in Path(self.uri).parents if self._fsync else ():
                _sync_folder(None, str(above))
        opened = os.open(self.uri, _FOLDER)
        for name in names:
            try:
                if make:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(name, dir_fd=opened)
                        if self._fsync:
                            os.fsync(opened)
                inner = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=opened)
            except NotADirectoryError:
                if stat.S_ISLNK(os.stat(name, dir_fd=opened, follow_symlinks=False).st_mode):
                    raise OSError(errno.ELOOP, "is a link") from None
                raise
            finally:
                os.close(opened)
            opened = inner
        return opened

    def _open(self, key: str) -> int:
        """Open a regular file for reading."""
        folder, name = self._at(key)
        try:
            return self._open_in(folder, name)
        finally:
            if folder is not None:
                os.close(folder)

    def _open_in(self, folder: int | None, name: str) -> int:
        flags = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0)  # a FIFO would wait for its writer
        descriptor = os.open(name, flags | (os.O_NOFOLLOW if self._by_folder else 0), dir_fd=folder)
        try:
            _check_regular(os.fstat(descriptor))
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    # -- reading -------------------------------------------------------------------------------------------

    def get(self, key: str) -> memoryview:
        try:
            with open(self._open(key), "rb", buffering=0) as file:
                return memoryview(file.read())
        except OSError as exc:
            raise translate(exc, "read", key, self) from exc

    def find(self, key: str) -> bytes | None:
        try:
            with open(self._open(key), "rb", buffering=0) as file:
                return file.read()
        except FileNotFoundError:
            return None  # asked over and over by writers that wait: an error made for it would cost 20 times as much
        except OSError as exc:
            error = translate(exc, "read", key, self)
            if error.kind == "object-not-found":
                return None
            raise error from exc

    def get_many(self, keys: Sequence[str]) -> builtins.list[bytes | None]:
        """Return whole objects; the folder of many keys is opened once, not for each of them."""
        found: builtins.list[bytes | None] = []
        for place, some in groupby(keys, key=lambda key: key.rpartition("/")[0]):
            names = builtins.list(some)
            folder = None if len(names) == 1 else self._folder_of(names[0])
            if folder is None:
                found += [self.find(key) for key in names]
                continue
            try:
                found += [self._find_in(folder, key[len(place) + 1 :], key) for key in names]
            finally:
                os.close(folder)
        return found

    def _folder_of(self, key: str) -> int | None:
        """Return the open folder of a key, which the caller closes; None if there is none to be read so."""
        with contextlib.suppress(OSError):
            return self._at(key)[0]
        return None

    def _find_in(self, folder: int, name: str, key: str) -> bytes | None:
        try:
            check_plain(key)
            with open(self._open_in(folder, name), "rb", buffering=0) as file:
                return file.read()
        except OSError:
            return self.find(key)  # which tells what is wrong

    def get_range(self, key: str, start: int, length: int) -> bytes:
        try:
            with open(self._open(key), "rb", buffering=0) as file:
                return os.pread(file.fileno(), length, start)
        except OSError as exc:
            raise translate(exc, "read", key, self) from exc

    def get_stream(
        self, key: str, chunk_bytes: int = CHUNK_BYTES, *, size_bytes: int | None = None
    ) -> Iterator[memoryview]:
        try:
            with open(self._open(key), "rb", buffering=0) as file:
                left = os.fstat(file.fileno()).st_size
                while piece := file.read(min(chunk_bytes, left + 1)):
                    left = max(left - len(piece), 0)
                    yield memoryview(piece)
        except OSError as exc:
            raise translate(exc, "read", key, self) from exc

    def head(self, key: str) -> ObjectInfo:
        try:
            folder, name = self._at(key)
            try:
                found = os.stat(name, dir_fd=folder, follow_symlinks=not self._by_folder)
            finally:
                if folder is not None:
                    os.close(folder)
            _check_regular(found)
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
        folder: int | str = f"{self.uri.rstrip('/')}/{prefix}"
        try:
            if self._by_folder:
                folder = self._folder(prefix.split("/")[:-1])
            try:
                yield from self._walk_folder(folder, prefix, after)
            finally:
                if isinstance(folder, int):
                    os.close(folder)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as exc:
            raise translate(exc, "list", prefix, self) from exc

    def _walk_folder(self, folder: int | str, prefix: str, after: str | None) -> Iterator[ObjectInfo]:
        follow = not self._by_folder
        bound = "" if after is None else after.removeprefix(prefix)
        with os.scandir(folder) as entries:
            # A log has a hundred thousand names, of which those behind the last checkpoint are asked for. A folder may
            # be asked for though its name comes before, if the name is how the bound begins.
            wanted = [one for one in entries if one.name >= bound or bound.startswith(one.name)]
            # A folder sorts as its name with a slash: that is where its keys lie in the order of all keys.
            names = sorted(
                (f"{entry.name}/", entry) if entry.is_dir(follow_symlinks=follow) else (entry.name, entry)
                for entry in wanted
                if not entry.name.startswith(_TEMPORARY)
            )
            for name, entry in names:
                key = prefix + name
                if name[-1] == "/":
                    if after is None or key > after or after.startswith(key):
                        yield from self._walk(key, after)
                elif after is None or key > after:
                    try:
                        found = entry.stat(follow_symlinks=follow)
                    except FileNotFoundError:
                        continue  # deleted since the folder was read
                    if stat.S_ISREG(found.st_mode):
                        yield _info(key, found)

    # -- writing -------------------------------------------------------------------------------------------

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
            self._write(key, pieces_of(parts, size_bytes, key, on_progress), os.replace)
            return True
        if self._present(key, size_bytes):
            return False
        try:
            self._write(key, pieces_of(parts, size_bytes, key, on_progress), os.link)
        except AlreadyExistsError:
            return not self._present(key, size_bytes)
        return True

    def _write(self, key: str, pieces: Iterable[Buffer], publish: Callable[..., None]) -> None:
        try:
            try:
                folder, name = self._at(key)
                if folder is None:
                    os.stat(os.path.dirname(name))
            except FileNotFoundError:
                folder, name = self._at(key, make=True)
        except OSError as exc:
            raise translate(exc, "write", key, self) from exc
        above = "" if folder is not None else name[: name.rindex("/") + 1]
        temporary = f"{above}{_TEMPORARY}{secrets.token_hex(8)}"
        try:
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                descriptor = os.open(temporary, flags, 0o666, dir_fd=folder)
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
                    publish(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
                    if self._fsync:
                        _sync_folder(folder, above)
                except FileExistsError as exc:
                    # a folder is no object: who lost to one would look for the winner for ever
                    other = _not_regular(name, folder)
                    raise translate(other or exc, "write", key, self) from exc
                except OSError as exc:
                    raise translate(exc, "write", key, self) from exc
            finally:
                with contextlib.suppress(OSError):
                    os.unlink(temporary, dir_fd=folder)
        finally:
            if folder is not None:
                os.close(folder)

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
                folder, name = self._at(key)
                try:
                    os.unlink(name, dir_fd=folder)
                finally:
                    if folder is not None:
                        os.close(folder)
            except OSError as exc:
                if isinstance(error := translate(exc, "delete", key, self), NotFoundError):
                    continue
                raise error from exc

    def discard_unfinished(self, before: datetime, *, dry_run: bool = False) -> int:
        count = 0
        for path, _, names in os.walk(self.uri):
            within = path.removeprefix(self.uri).strip("/")
            for name in names:
                if name.startswith(_TEMPORARY):
                    with contextlib.suppress(OSError):
                        folder, inside = self._at(f"{within}/{name}".lstrip("/"))
                        try:
                            found = os.stat(inside, dir_fd=folder, follow_symlinks=False)
                            if found.st_mtime < before.timestamp():
                                if not dry_run:
                                    os.unlink(inside, dir_fd=folder)
                                count += 1
                        finally:
                            if folder is not None:
                                os.close(folder)
        return count


def _check_regular(found: os.stat_result) -> None:
    """Raise OSError unless this is a regular file."""
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "is a directory")
    if stat.S_ISLNK(found.st_mode):
        raise OSError(errno.ELOOP, "is a link")
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.ENXIO, "is no regular file")


def _not_regular(name: str, folder: int | None) -> OSError | None:
    """Return the error that says so if something else than a regular file has a name, else None."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=folder is None)
    except OSError:
        return None  # it is gone by now
    return None if stat.S_ISREG(found.st_mode) else OSError(errno.ENXIO, "is no regular file")


def _info(key: str, found: os.stat_result) -> ObjectInfo:
    etag = f"{found.st_mtime_ns:x}-{found.st_size:x}-{found.st_ino:x}"
    return ObjectInfo(key, found.st_size, etag, datetime.fromtimestamp(found.st_mtime, UTC))


def _sync_folder(folder: int | None, path: str) -> None:
    if folder is not None:
        os.fsync(folder)
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

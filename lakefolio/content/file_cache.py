"""Local copies of blobs, for callers that need a file, and so that a bucket is read once (FORMAT.md, "Reading").

Keyed by digest, therefore never stale, and bounded. A copy is verified each time it is read or handed out, because it
lies where other programs can write. A file that a living process was given stays: each process notes it in a lease, a
file that the process keeps locked while it lives.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import random
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, BinaryIO, Final

from lakefolio.errors import InvalidInputError
from lakefolio.format.digest import sha256_of_file
from lakefolio.process.exit import at_exit
from lakefolio.process.fork import ForkLock
from lakefolio.process.places import absolute_path, file_name_of, user_folder
from lakefolio.process.scratch import named_if_full, private_folder
from lakefolio.render.text import parse_bytes

try:
    import fcntl
except ImportError:  # Windows: a file that is open can't be removed, which is all there is
    fcntl = None  # type: ignore[assignment]

__all__ = ["FileCache", "file_cache"]

_LIMIT_BYTES = 10 * 2**30
_LOOKS: Final = 16
"""How often the folder is looked through, on average, while as much is added as it may hold."""
_TRIES: Final = 5
_LEASES: Final = ".leases"
_LOCK: Final = ".lock"
_READ_ONLY: Final = (errno.EACCES, errno.EPERM, errno.EROFS)


class FileCache:
    """A folder of verified copies. Safe to share between threads and processes; a child has the lease of its parent."""

    def __init__(self, root: Path | None, *, limit_bytes: int | None = None) -> None:
        """Choose the folder.

        Args:
            root: The folder, made with the first copy; a temporary one of this process if None or if nothing can be
                written there, unless LAKEFOLIO_CACHE names it.
            limit_bytes: How much to keep; by default LAKEFOLIO_CACHE_BYTES, else 10 GiB. Files that living processes
                were given stay, whatever the limit.
        """
        self._lock = ForkLock()
        self._chosen = root
        self._limit_bytes = limit_bytes
        self._given: set[str] = set()
        self._lease: IO[bytes] | None = None

    def file(
        self,
        digest: str,
        name: str,
        fetch: Callable[[Path], None],
        digest_of: Callable[[Path], str] = sha256_of_file,
    ) -> Path:
        """Return a read-only file of the content with this digest. It stays while this process lives.

        Args:
            digest: ``sha256:<hex>`` of the content, or what ``digest_of`` gives for it.
            name: The file name it should have (its last part; anything unusual is replaced).
            fetch: Writes the verified content to the path it is given; called only when there is no good copy.
            digest_of: Gives the digest of a file.

        Raises:
            StorageError: kind ``no-space`` or ``permission-denied``: the folder can't hold it; names the folder.
        """
        with named_if_full(self._chosen, "LAKEFOLIO_CACHE"):
            for _ in range(_TRIES):
                with contextlib.suppress(FileNotFoundError, FileExistsError):  # somebody deletes the folder meanwhile
                    return self._file(digest, name, fetch, digest_of)
            return self._file(digest, name, fetch, digest_of)

    def place(self, digest: str, name: str) -> Path:
        """Return the path at which :meth:`file` puts content."""
        return self._path(digest, name)

    def _file(self, digest: str, name: str, fetch: Callable[[Path], None], digest_of: Callable[[Path], str]) -> Path:
        path = self._path(digest, name)
        try:
            self._hold(path.parent.name)
            with self._locked(exclusive=False):  # whoever removes files now waits, and later ones know the lease
                good = path.is_file() and digest_of(path) == digest
        except OSError as exc:
            if exc.errno in _READ_ONLY and path.is_file() and digest_of(path) == digest:
                return path  # of a folder that others fill
            raise
        if not good:
            file = _partial(path.parent)
            try:
                fetch(Path(file.name))
                self._publish(file, path)
            except BaseException:
                _drop(file)
                raise
        with contextlib.suppress(PermissionError):  # another user's copy
            os.utime(path)
        return path

    def opened(self, digest: str, name: str) -> BinaryIO | None:
        """Return an open copy of the content with this digest, or None. The caller verifies what it reads."""
        with contextlib.suppress(OSError):
            return self._path(digest, name).open("rb", buffering=0)
        return None

    @contextlib.contextmanager
    def keeping(self, digest: str, name: str) -> Iterator[Callable[[bytes | memoryview], object]]:
        """Yield a function that takes content in pieces; if the block succeeds, they are a copy from then on.

        If the disk refuses the writes, there is no copy and no error.
        """
        path = self._path(digest, name)
        try:
            file: BinaryIO | None = _partial(path.parent)
        except OSError:
            file = None

        def keep(piece: bytes | memoryview) -> None:
            nonlocal file
            if file is not None:
                try:
                    file.write(piece)
                except OSError:
                    _drop(file)
                    file = None

        try:
            yield keep
        except BaseException:
            _drop(file)
            raise
        if file is not None:
            try:
                self._publish(file, path)
            except OSError:
                _drop(file)

    def _publish(self, file: BinaryIO, path: Path) -> None:
        file.close()
        os.chmod(file.name, 0o444)
        os.replace(file.name, path)
        self._trim(path.stat().st_size)

    def _path(self, digest: str, name: str) -> Path:
        return self._root / digest.removeprefix("sha256:") / file_name_of(name)

    @functools.cached_property
    def _root(self) -> Path:
        if self._chosen is not None and (os.environ.get("LAKEFOLIO_CACHE") or _usable(self._chosen)):
            return self._chosen
        return private_folder()

    def _hold(self, digest: str) -> None:
        """Note that this process was given the content of a digest; all of it anew if the lease was deleted."""
        with self._lock:
            noted = {digest} - self._given
            self._given.add(digest)
            while fcntl is not None and (self._lease is None or not os.fstat(self._lease.fileno()).st_nlink):
                (self._root / _LEASES).mkdir(parents=True, exist_ok=True)
                lease = open(self._root / _LEASES / uuid.uuid4().hex, "ab", buffering=0)  # noqa: SIM115 - for life
                fcntl.flock(lease, fcntl.LOCK_EX)  # before, another process may have taken it for a dead one's
                if self._lease is None:
                    at_exit(self._end_lease)
                else:
                    self._lease.close()
                self._lease, noted = lease, self._given
            if self._lease is not None and noted:
                self._lease.write("".join(f"{one}\n" for one in noted).encode())

    def _end_lease(self) -> None:
        """Remove the lease at the end of this process; a child that shares it keeps it."""
        with self._lock:
            lease, self._lease = self._lease, None
            if lease is not None:
                lease.close()
                _remove_if_dead(Path(lease.name))

    def _held(self) -> set[str]:
        """Return the digests that living processes hold, and remove the leases of dead ones."""
        held = set(self._given)
        for path in (self._root / _LEASES).glob("*") if fcntl is not None else ():
            held.update(_remove_if_dead(path).decode("ascii", "replace").split())
        return held

    @contextlib.contextmanager
    def _locked(self, *, exclusive: bool) -> Iterator[None]:
        if fcntl is None:
            yield
            return
        self._root.mkdir(parents=True, exist_ok=True)
        with open(self._root / _LOCK, "ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
            yield

    def _trim(self, added_bytes: int) -> None:
        """Remove the least recently used files above the limit; only after some additions, to save listings."""
        limit_bytes = self._limit_bytes or _configured_limit()
        if random.random() * limit_bytes > _LOOKS * added_bytes:
            return
        with self._locked(exclusive=True):
            files = []
            for path in self._root.glob("*/*"):
                with contextlib.suppress(FileNotFoundError):
                    status = path.stat()
                    files.append((status.st_mtime, status.st_size, path))
            excess = sum(size for _, size, _ in files) - limit_bytes
            if excess <= 0:
                return
            held = self._held()
            for _, size, path in sorted(files, key=lambda one: one[0]):
                if excess <= 0:
                    return
                if path.parent.name not in held and path.parent.name != _LEASES:
                    path.unlink(missing_ok=True)
                    excess -= size


_caches: dict[Path | None, FileCache] = {}


def file_cache() -> FileCache:
    """Return this process's cache: in LAKEFOLIO_CACHE, else ``lakefolio`` in the user's cache folder.

    For a user without a home, or one where nothing can be written, in a temporary folder of this process.
    """
    _configured_limit()  # a mistake in it is told when a lake is opened
    named = os.environ.get("LAKEFOLIO_CACHE")
    base = user_folder("XDG_CACHE_HOME", ".cache")
    root = Path(absolute_path(named)) if named else None if base is None else base / "lakefolio"
    return _caches.setdefault(root, FileCache(root)) if root not in _caches else _caches[root]


def _remove_if_dead(path: Path) -> bytes:
    """Remove a lease that no process holds; return the content of one that a process holds."""
    with contextlib.suppress(OSError), path.open("rb") as lease:
        try:
            fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
        except BlockingIOError:
            return lease.read()
    return b""


def _partial(folder: Path) -> BinaryIO:
    folder.mkdir(parents=True, exist_ok=True)
    handle, path = tempfile.mkstemp(dir=folder, prefix=".partial-")
    os.close(handle)
    return open(path, "wb")


def _drop(file: BinaryIO | None) -> None:
    if file is not None:
        with contextlib.suppress(OSError):
            file.close()
        Path(file.name).unlink(missing_ok=True)


def _usable(root: Path) -> bool:
    with contextlib.suppress(OSError):
        root.mkdir(parents=True, exist_ok=True)
        return os.access(root, os.W_OK | os.X_OK)
    return False


def _configured_limit() -> int:
    text = os.environ.get("LAKEFOLIO_CACHE_BYTES", "").strip()
    if not text:
        return _LIMIT_BYTES
    found = parse_bytes(text)
    if found is None:
        raise InvalidInputError(
            f"environment variable LAKEFOLIO_CACHE_BYTES is {text!r}, expected a number of bytes",
            kind="bad-config",
            hint="write LAKEFOLIO_CACHE_BYTES=10GiB, or unset it",
            key="cache_bytes",
        )
    return found

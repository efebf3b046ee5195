"""Immutable objects as local files, for readers that take a path: verified before the first use, then by their status.

An object of a local lake is read where it lies; an object of a bucket is copied to the file cache. Either is hashed
once in a process, and again if the inode, size or time of change of its file differs. So no unchecked file is handed to
a reader of paths (DuckDB). A reader that reads later than it asks holds its files open: gc may remove them.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lakefolio.errors import NotFoundError
from lakefolio.format.digest import sha256_of_file, sha256_of_parts
from lakefolio.process.fork import ForkLock
from lakefolio.process.held_files import HeldFile, most_held
from lakefolio.render.text import counted

if TYPE_CHECKING:
    from lakefolio.content.file_cache import FileCache
    from lakefolio.storage import Store

__all__ = ["Immutable", "LocalFiles"]

_Status = tuple[int, int, int, int]
_MOST_KNOWN: Final = 100_000


@dataclass(frozen=True, slots=True)
class Immutable:
    """An object whose bytes never change.

    Attributes:
        key: Its key.
        size_bytes: Its size.
        proof: What :attr:`prove` gives for the bytes that were written; also its name in the file cache.
        prove: Takes the SHA-256 of bytes, in hex.
        damaged: Makes the error for other bytes, from what is wrong with them.
    """

    key: str
    size_bytes: int
    proof: str
    prove: Callable[[str], str]
    damaged: Callable[[str], Exception]


class LocalFiles:
    """The objects of one store as local files. Safe to share between threads."""

    def __init__(self, store: Store, cache: FileCache) -> None:
        self._lock = ForkLock()
        self._store = store
        self._cache = cache
        self._known: dict[Path, tuple[str, _Status]] = {}
        self._held: weakref.WeakValueDictionary[tuple[str, _Status], HeldFile] = weakref.WeakValueDictionary()

    def path(self, one: Immutable) -> Path:
        """Return where an object lies, or will lie once it is :meth:`ready`. No request."""
        root = self._store.local_path
        return self._cache.place(one.proof, _name(one)) if root is None else root / one.key

    def ready(self, some: Sequence[Immutable]) -> None:
        """Verify objects at their paths; objects of a bucket are fetched first, several at once.

        Raises:
            Exception: That of :attr:`Immutable.damaged`, for an object that is missing or is not what was written.
        """
        missing = [one for one in some if not self._is_known(one)]
        if self._store.local_path is not None:
            for one in missing:
                self._verify(one)
        elif missing:
            self._store.parallel([partial(self._fetch, one) for one in missing])

    def held(self, some: Sequence[Immutable]) -> tuple[list[str], object]:
        """Make objects :meth:`ready` and keep them readable; return their paths, and the object that holds them.

        The paths stay valid while the second value lives, also if the objects are removed. Beyond a number of files
        (see ``held_files``) the path is that of the object itself, and stays valid until the object is removed.

        Raises:
            Exception: As of :meth:`ready`.
        """
        self.ready(some)
        kept = [self._hold(one) for one in some]
        return [str(self.path(one)) if file is None else file.path for one, file in zip(some, kept, strict=True)], kept

    def _hold(self, one: Immutable) -> HeldFile | None:
        path = self.path(one)
        known = self._known.get(path)
        with self._lock:
            found = None if known is None else self._held.get(known)
            if found is not None or known is None or len(self._held) >= most_held():
                return found
            try:
                file = HeldFile(path)
            except FileNotFoundError:
                raise one.damaged("is missing") from None
            except OSError:  # too many open files
                return None
            if _status_of(file.status)[:2] != known[1][:2]:  # times of a copy in the cache move when others use it
                raise one.damaged("is missing: another one took its place")
            self._held[known] = file
        return file

    def _is_known(self, one: Immutable) -> bool:
        path = self.path(one)
        known = self._known.get(path)
        return known is not None and known == (one.proof, _status(path))

    def _verify(self, one: Immutable) -> None:
        path = self.path(one)
        before = _status(path)
        if before is None:
            raise one.damaged("is missing")
        if before[1] != one.size_bytes:
            raise one.damaged(f"has {counted(before[1], 'byte')}, expected {one.size_bytes:,}")
        try:
            digest = sha256_of_parts(self._store.get_stream(one.key))  # which follows no link
        except NotFoundError:
            raise one.damaged("is missing") from None
        found = one.prove(digest.removeprefix("sha256:"))
        if found != one.proof:
            raise one.damaged(_other(found, one.proof))
        self._note(path, one.proof, before)

    def _fetch(self, one: Immutable) -> None:
        def fetch(path: Path) -> None:
            try:
                size_bytes = self._store.fetch_to(one.key, path)
            except NotFoundError:
                raise one.damaged("is missing") from None
            if size_bytes != one.size_bytes:
                raise one.damaged(f"has {counted(size_bytes, 'byte')}, expected {one.size_bytes}")
            found = prove(path)
            if found != one.proof:
                raise one.damaged(_other(found, one.proof))

        def prove(path: Path) -> str:
            return one.prove(sha256_of_file(path).removeprefix("sha256:"))

        path = self._cache.file(one.proof, _name(one), fetch, prove)
        status = _status(path)
        if status is not None:
            self._note(path, one.proof, status)

    def _note(self, path: Path, proof: str, status: _Status) -> None:
        with self._lock:
            self._known[path] = (proof, status)
            while len(self._known) > _MOST_KNOWN:
                del self._known[next(iter(self._known))]


def _other(found: str, proof: str) -> str:
    return f"has the seal {found.removeprefix('sha256:')[:16]}…, expected {proof.removeprefix('sha256:')[:16]}…"


def _name(one: Immutable) -> str:
    return one.key.rpartition("/")[2]


def _status(path: Path) -> _Status | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return _status_of(found)


def _status_of(found: os.stat_result) -> _Status:
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

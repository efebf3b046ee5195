"""Local copies of blobs, for callers that need a file (FORMAT.md, "Reading").

Keyed by digest, therefore never stale; bounded, and every file in it may be deleted at any time. A copy is verified
each time it is handed out, because it lies where anyone can write.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from lakefolio.errors import InvalidInputError
from lakefolio.format.digest import sha256_of_file
from lakefolio.process.fork import at_forks
from lakefolio.render.text import parse_bytes

__all__ = ["FileCache"]

_LIMIT_BYTES = 10 * 2**30


class FileCache:
    """A folder of verified copies. Safe to share between threads and processes."""

    def __init__(self, root: Path | None = None, *, limit_bytes: int | None = None) -> None:
        """Choose the folder.

        Args:
            root: The folder; by default LAKEFOLIO_CACHE, else ``lakefolio`` in the user's cache folder.
            limit_bytes: How much to keep; by default LAKEFOLIO_CACHE_BYTES, else 10 GiB. Files that this process
                was given stay, whatever the limit.
        """
        home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        self._root = Path(root or os.environ.get("LAKEFOLIO_CACHE") or Path(home) / "lakefolio")
        self._limit_bytes = limit_bytes or _configured_limit()
        self._given: set[Path] = set()
        self._lock = threading.Lock()
        at_forks(self)

    def before_fork(self) -> None:
        """Nothing has to come to an end: files appear whole."""

    def after_fork(self, *, child: bool) -> None:
        """Give a child a lock that no other thread holds."""
        if child:
            self._lock = threading.Lock()

    def file(self, digest: str, name: str, fetch: Callable[[Path], None]) -> Path:
        """Return a read-only file of the content with this digest.

        Args:
            digest: ``sha256:<hex>`` of the content.
            name: The file name it should have (its last part; anything unusual is replaced).
            fetch: Writes the verified content to the path it is given; called only when there is no good copy.
        """
        folder = self._root / digest.removeprefix("sha256:")
        path = folder / (_plain(name) or "content")
        if not (path.is_file() and sha256_of_file(path) == digest):
            folder.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=folder, prefix=".partial-")
            os.close(handle)
            try:
                fetch(Path(temporary))
                os.chmod(temporary, 0o444)
                os.replace(temporary, path)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
            self._trim(keep=path)
        os.utime(path)
        with self._lock:
            self._given.add(path)
        return path

    def _trim(self, *, keep: Path) -> None:
        files = []
        for path in self._root.glob("*/*"):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            files.append((status.st_mtime, status.st_size, path))
        excess = sum(size for _, size, _ in files) - self._limit_bytes
        for _, size, path in sorted(files, key=lambda one: one[0]):
            if excess <= 0:
                return
            if path != keep and path not in self._given:
                path.unlink(missing_ok=True)
                excess -= size


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


def _plain(name: str) -> str:
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join(one if one.isalnum() or one in "._- ()" else "_" for one in last)
    return kept.strip(". ")[-120:]

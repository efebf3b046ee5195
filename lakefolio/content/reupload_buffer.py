"""Payloads held until their commit has landed, for re-upload if gc purges a blob first.

A commit whose blob was purged meanwhile is made again with the blob under its next generation (FORMAT.md,
"Garbage collection"). The object may be gone by then. A single add holds all of its content, a batch a bounded part.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from lakefolio.items.handler import FilePayload, Payload, discard

__all__ = ["ReuploadBuffer"]

_BATCH_MEMORY_BYTES = 64 * 2**20
_BATCH_FILE_BYTES = 2**30


class ReuploadBuffer:
    """Payloads by the digest of their bytes; closed when the commit has landed or failed. Belongs to one thread."""

    def __init__(self, *, whole: bool) -> None:
        """Hold everything (``whole``), or up to 64 MiB in memory and 1 GiB in temporary files."""
        self._memory_bytes = float("inf") if whole else _BATCH_MEMORY_BYTES
        self._file_bytes = float("inf") if whole else _BATCH_FILE_BYTES
        self._held: dict[str, Payload | Callable[[], Payload]] = {}
        self._folders: list[Path] = []

    def hold(self, digest: str, source: Payload | Callable[[], Payload], size_bytes: int) -> Payload | None:
        """Hold a payload, or a function that makes it, if there is room; return the payload if it is not held."""
        left_over = None if callable(source) else source
        if digest in self._held:
            return left_over
        if isinstance(source, FilePayload) and not source.temporary:
            self._held[digest] = source  # the user's own file: it costs nothing, and is verified when it is read again
        elif isinstance(source, FilePayload):
            if size_bytes > self._file_bytes:
                return left_over
            self._file_bytes -= size_bytes
            self._held[digest] = source
        else:
            if size_bytes > self._memory_bytes:
                return left_over
            self._memory_bytes -= size_bytes
            self._held[digest] = source
        return None

    def payload(self, digest: str) -> Payload | None:
        """Return the payload held for a blob, or None. Its bytes may have changed since: verify them."""
        found = self._held.get(digest)
        if callable(found):
            found = self._held[digest] = found()
        if isinstance(found, FilePayload) and not found.path.is_file():
            return None
        return found

    def own(self, folder: Path) -> None:
        """Remove a folder of temporary files when this is closed."""
        self._folders.append(folder)

    def close(self) -> None:
        """Release all payloads. Idempotent."""
        for payload in self._held.values():
            if not callable(payload):
                discard(payload)
        self._held.clear()
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)
        self._folders.clear()

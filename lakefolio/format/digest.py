"""The SHA-256 of bytes, which identifies content: ``sha256:<64 hex digits>`` (pure: no I/O).

FORMAT.md, "Digests".
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["sha256_of_bytes", "sha256_of_file", "sha256_of_parts"]


def sha256_of_bytes(data: bytes | bytearray | memoryview) -> str:
    """Return the digest of bytes in memory."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def sha256_of_parts(parts: Iterable[bytes | bytearray | memoryview]) -> str:
    """Return the digest of the joined bytes; holds one piece at a time."""
    hasher = hashlib.sha256()
    for part in parts:
        hasher.update(part)
    return "sha256:" + hasher.hexdigest()


def sha256_of_file(path: Path) -> str:
    """Return the digest of a local file, read in pieces; OSError, which names it, if it can't be read."""
    with path.open("rb", buffering=0) as file:
        try:
            return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as exc:  # of a disk or a server that fails, which says no name
            raise OSError(exc.errno, exc.strerror, str(path)) from exc

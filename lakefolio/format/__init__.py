"""The format of a lake as pure code: schemas, keys, names, digests and typed JSON (FORMAT.md). No I/O."""

from __future__ import annotations

__all__: list[str] = []

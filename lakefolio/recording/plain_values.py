"""Plain values by their content, and other objects by the name of their type."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from lakefolio.errors import type_name
from lakefolio.format import json_encode

__all__ = ["digest_of_plain", "is_plain", "key_text", "sha256_of"]

_PLAIN: Final = (type(None), bool, int, float, complex, str, bytes)


def key_text(key: object) -> str:
    """Return a key of a dict as a part of the name of its value."""
    return repr(key)[:80] if is_plain(key) else type_name(key)


def is_plain(value: Any, depth: int = 0) -> bool:
    """Say whether a value is made of Python's own plain types alone, and not too large to look at whole."""
    if type(value) in _PLAIN:
        return True
    if depth > 8 or type(value) not in (list, tuple, dict):
        return False
    if type(value) is dict:
        return all(type(key) in _PLAIN and is_plain(one, depth + 1) for key, one in value.items())
    return all(is_plain(one, depth + 1) for one in value)


def digest_of_plain(value: object) -> str:
    """Return a digest of the type and content of a plain value."""
    return sha256_of(type_name(value).encode() + _canonical(value))


def _canonical(value: object) -> bytes:
    try:
        return json_encode.dumps(value)
    except Exception:  # keys of several types, numbers of a thousand digits, lone surrogates
        return repr(value).encode(errors="backslashreplace")


def sha256_of(data: bytes) -> str:
    """Return 32 hex digits of the SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()[:32]

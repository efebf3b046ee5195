"""MLflow's addresses of lakes, and names of MLflow as names of items."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote

from lakefolio.errors import InvalidInputError
from lakefolio.interop.addresses import Address
from lakefolio.lake import Lake, open_lake

__all__ = ["SCHEME", "address_of", "lake_of", "quoted", "quoted_path", "unquoted", "uri_of"]

SCHEME: Final = "lakefolio"
_ODD: Final = re.compile(r'[:@\\"<>|?*%~\x00-\x1f\x7f-\x9f\u2028\u2029/]')
_LONGEST_BYTES: Final = 200


def address_of(uri: str) -> Address:
    """Return what ``lakefolio:///abs/path!folio:item`` names; MLflow may have taken slashes away that urllib drops.

    Raises:
        InvalidInputError: kind ``bad-uri``: it is relative.
    """
    place = uri.removeprefix(f"{SCHEME}:").removeprefix("//")
    if not place.startswith("/") and "://" not in place:
        raise InvalidInputError(
            f"{uri!r} names no lake",
            kind="bad-uri",
            hint=f"write {SCHEME}:///absolute/path or {SCHEME}://s3://bucket/prefix",
            uri=uri,
        )
    return Address.parse(place)


def uri_of(lake: str, folio: str) -> str:
    """Return the address of a folio, below which MLflow puts artifacts by appending ``/name``."""
    return f"{SCHEME}://{lake}!{folio}:"


def lake_of(place: str) -> Lake:
    """Return the lake at a place, created if it is absent; one object per place and process."""
    return _opened(place, os.getpid())


@lru_cache(maxsize=16)
def _opened(place: str, pid: int) -> Lake:
    return open_lake(place)


def quoted(name: str) -> str:
    """Return a name as one part of an item's name: what items can't be called is written ``%40``, the long cut."""
    if unicodedata.normalize("NFC", name) != name:
        text = quote(name, safe=" ")
    else:
        text = _ODD.sub(lambda found: quote(found[0], safe=""), name)
    text = re.sub(r"^[\s.]+$|^\s+|\s+$", lambda found: "".join(f"%{one:02X}" for one in found[0].encode()), text)
    if len(text.encode()) > _LONGEST_BYTES:
        head = text.encode()[: _LONGEST_BYTES - 24].decode(errors="ignore").rstrip("% .")
        text = f"{head}+{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return text


def quoted_path(path: str) -> str:
    """Return a path of an artifact as the name of an item."""
    return "/".join(quoted(part) for part in path.split("/") if part)


def unquoted(name: str) -> str:
    """Return the path of an artifact of an item's name."""
    return unquote(name)

"""MLflow's addresses of lakes."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from lakefolio.errors import InvalidInputError
from lakefolio.interop.addresses import Address

if TYPE_CHECKING:
    from lakefolio.lake import Lake

__all__ = ["SCHEME", "address_of", "lake_of", "uri_of"]

SCHEME: Final = "lakefolio"


def address_of(uri: str) -> Address:
    """Return lake and item of ``lakefolio:///abs/path!folio:item``; MLflow may have dropped slashes as urllib does.

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
    from lakefolio.lake import open_lake  # 'import mlflow' imports this module, for those too who open no lake

    return open_lake(place)

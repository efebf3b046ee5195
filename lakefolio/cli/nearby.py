"""Lakes near a place that is none: in it, or beside it. Hints name them; looking costs little and raises nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from difflib import SequenceMatcher
from itertools import islice
from pathlib import Path
from typing import Final

from lakefolio.errors import LakefolioError
from lakefolio.format.layout import MARKER

__all__ = ["lakes_here", "lakes_near"]

_MOST_LOOKED_AT: Final = 2_000
_MOST_SHOWN: Final = 3
_FIRST_KEYS: Final = 1000
"""What one request for a listing returns; lakes behind these keys are not found."""
_DEEPEST: Final = 3
_MOST_ASKED: Final = 12


def lakes_here(place: str | Path = ".") -> list[str]:
    """Return the lakes among a folder itself and the first few folders in it, as paths from there."""
    return _lakes_in(place)[:_MOST_SHOWN]


def lakes_near(uri: str) -> list[str]:
    """Return the addresses of lakes below an address where no lake lies, else of those beside it.

    Of the latter in a folder, those whose names are most like the name in the address.
    """
    if "://" not in uri:
        here = Path(os.path.abspath(uri))
        beside = sorted(_lakes_in(here.parent), key=lambda one: -SequenceMatcher(None, one, here.name).ratio())
        return [str(here / one) for one in lakes_here(here)] or [str(here.parent / one) for one in beside[:_MOST_SHOWN]]
    if uri.lower().startswith("file:"):  # all below it would be listed
        return []
    place = uri.rstrip("/")
    above = place.rpartition("/")[0]
    places = [place] if above.endswith("/") else [place, above]  # above a bucket lies nothing
    with suppress(LakefolioError):
        return next((found for one in places if (found := list(islice(_below(one), _MOST_SHOWN)))), [])
    return []


def _lakes_in(place: str | Path) -> list[str]:
    if Path(place, MARKER).is_file():
        return ["."]
    try:
        with os.scandir(place) as found:
            folders = sorted(one.name for one in islice(found, _MOST_LOOKED_AT) if one.is_dir())
    except OSError:  # a directory that is gone or can't be read
        return []
    return [one for one in folders if Path(place, one, MARKER).is_file()]


def _below(uri: str) -> Iterator[str]:
    """Yield the lakes among the folders of the first objects below an address of a bucket."""
    from lakefolio.storage import open_store

    store = open_store(uri)
    folders: dict[str, None] = {}
    for one in islice(store.list(""), _FIRST_KEYS):
        parts = one.key.split("/")[:-1][:_DEEPEST]
        folders.update(dict.fromkeys("/".join(parts[: depth + 1]) for depth in range(len(parts))))
    found: list[str] = []
    for folder in sorted(folders, key=lambda one: one.count("/"))[:_MOST_ASKED]:  # a lake before what lies in it
        if not any(folder.startswith(f"{lake}/") for lake in found) and store.find(f"{folder}/{MARKER}") is not None:
            found.append(folder)
            yield f"{uri}/{folder}"

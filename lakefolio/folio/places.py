"""Where a folio lies: from a name, path or URI that a user wrote to a lake and a name in it."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakefolio.errors import InvalidInputError, LakeNotFoundError
from lakefolio.format.layout import MARKER
from lakefolio.format.names import check_folio
from lakefolio.process.places import absolute_path
from lakefolio.storage.addresses import check_slashes

if TYPE_CHECKING:
    from lakefolio.session.session import Session

__all__ = ["is_location", "open_place", "path_of", "with_suffix"]

_ADJECTIVES = (
    "able bold brave bright brisk calm clear clever cosy daring deft eager early fair fast fine fleet "
    "fond free fresh gentle glad grand happy hardy keen kind light lively lucky merry mild neat nimble "
    "noble proud quick quiet rapid ready robust serene sharp shiny smart snug solid steady strong sunny "
    "swift tidy vivid warm wise witty"
)
_COLOURS = (
    "amber aqua azure beige black blue bronze brown copper coral cream crimson cyan emerald gold green "
    "grey indigo ivory jade khaki lavender lemon lilac lime maroon mauve mint navy ochre olive orange "
    "pearl pink plum purple red rose ruby rust sand scarlet silver slate teal topaz umber violet white "
    "yellow"
)
_ANIMALS = (
    "badger bear beaver bison bobcat condor crane deer dolphin eagle egret elk falcon finch fox gazelle "
    "hare hawk heron ibex ibis jackal jaguar kestrel lark lemur leopard lion lynx marlin marten moose "
    "newt ocelot orca oriole osprey otter owl panda pelican puma quail raven robin salmon seal stork "
    "swan tern tiger trout walrus whale wolf wren zebra"
)


def with_suffix(name: str) -> str:
    """Return ``name`` with a random suffix that people can say: ``-calm-blue-otter``."""
    return "-".join([name, *(random.choice(words.split()) for words in (_ADJECTIVES, _COLOURS, _ANIMALS))])


def is_location(place: str) -> bool:
    """Say whether ``place`` is a URI or a path (absolute, or beginning with ``~``, ``./`` or ``../``), not a name.

    Raises:
        InvalidInputError: kind ``bad-uri``: it is neither, but a URI without its slashes.
    """
    check_slashes(place)
    return "://" in place or os.path.isabs(place) or place.startswith(("~", "./", "../")) or place in (".", "..")


def open_place(
    place: str,
    *,
    storage_options: Mapping[str, str] | None,
    create: bool,
    read_only: bool,
    author: str | None,
    trust_references: str | Iterable[str] | None = None,
) -> tuple[Session, str]:
    """Open the lake in which the folio at ``place`` lies, and return it with the folio's name.

    A name means a folio of the default lake. A location means the lake that lies there, with a folio named by
    the last segment; if none lies there but the location is inside of a lake, the folio of that lake which
    the rest of the path names; otherwise a new lake. So the ``path`` of any folio opens it again.

    Raises:
        LakeNotFoundError: No lake is there, and none may be created.
        PlaceTakenError: A folder with other things in it, or a file, lies there.
    """
    from lakefolio.config.settings import place_of
    from lakefolio.session.session import Session

    options: dict[str, Any] = {
        "storage_options": storage_options,
        "read_only": read_only,
        "author": author,
        "trust_references": trust_references,
    }
    may_create = create and not read_only
    if not is_location(place):
        name = check_folio(place)
        lake, options["storage_options"] = place_of(None, storage_options)
        return Session.open(lake, create=may_create, **options), name
    uri = place.rstrip("/") if "://" in place else absolute_path(place)
    name = uri.rsplit("/", 1)[1]
    if "://" in uri and not uri.split("://", 1)[1]:
        raise InvalidInputError(
            f"location {place!r} names no folio",
            kind="bad-location",
            hint="give the name of a folio too",
            uri=place,
        )
    try:
        return Session.open(uri, create=False, **options), check_folio(name)
    except LakeNotFoundError as missing:
        for above, rest in _places_above(uri):
            try:
                return Session.open(above, create=False, **options), check_folio(rest)
            except LakeNotFoundError:
                continue
        if not may_create:
            raise missing
    return Session.open(uri, create=True, **options), check_folio(name)


def _places_above(uri: str) -> Iterator[tuple[str, str]]:
    """Give the locations around ``uri`` that may hold a lake, the nearest first, each with the rest of the path."""
    local = "://" not in uri
    root = 0 if local else uri.index("://") + 3
    above, rest = uri, ""
    while "/" in above[root:]:
        above, _, last = above.rpartition("/")
        rest = f"{last}/{rest}" if rest else last
        if len(above) <= root:
            return
        if not local or (Path(above) / MARKER).is_file():
            yield above, rest


def path_of(lake_uri: str, folio: str) -> str:
    """Return where a folio lies: its lake's location if the lake bears its name, else a place below it."""
    base = lake_uri.removeprefix("file://").rstrip("/")
    return base if base.rsplit("/", 1)[-1] == folio else f"{base}/{folio}"

"""How a lake comes into being: its journal, then its marker. A lake that has its marker is complete."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lakefolio.delta.table import DeltaTable, lake_id_of
from lakefolio.errors import FormatError, InvalidInputError, PlaceTakenError
from lakefolio.format.layout import JOURNAL, MARKER, PENDING, README, SPECIFICATION, VIEWS, VIEWS_FILE, log_key
from lakefolio.format.marker import new_marker, readme_text, specification
from lakefolio.format.schema import SPECS
from lakefolio.process.notice import say

if TYPE_CHECKING:
    from lakefolio.storage import Store

__all__ = ["check_place", "create_lake", "find_marker"]

_OWN: Final = {MARKER, README, SPECIFICATION, VIEWS_FILE, PENDING, VIEWS, "tables", "blobs", "lakefolio.toml"}
_HARMLESS: Final = {"lost+found", ".DS_Store", "Thumbs.db", "desktop.ini"}
"""Files that operating systems leave in folders that look empty."""
_MEANT_OTHERWISE: Final = re.compile(r"\$\w|\$\{|%\w+%|~\w|[A-Za-z]:\\")
"""A variable, somebody's home and a drive that nothing replaced: a new folder is not called so."""
_HOMES: Final = ("/home", "/Users", "/root")


def find_marker(store: Store) -> bytes | None:
    """Return the marker, or None where there is no lake. One request, two more where there is no marker.

    Raises:
        FormatError: kind ``marker-missing``: there is a lake whose marker was lost. A new one would be another lake's.
    """
    body = store.find(MARKER)
    if body is None and store.find(log_key(JOURNAL, 1)) is not None:
        body = store.find(MARKER)  # made, and written to, since it was looked for
        if body is None:
            raise FormatError(
                f"{store.uri} holds the tables of a lake, but its {MARKER} is missing",
                kind="marker-missing",
                hint="bring it back from a copy of the lake: lakefolio repair --from URI",
                uri=store.uri,
            )
    return body


def create_lake(store: Store) -> bytes:
    """Create a lake, and return its marker. Idempotent, and safe to do from many processes at once.

    Raises:
        PlaceTakenError: A local folder holds other things, or is the root or somebody's home.
        StorageError: kind ``unsafe-store``: of several creates of one object more than one wins here.
        FormatError: kind ``marker-damaged``: the marker vanished meanwhile.
    """
    from lakefolio.storage.conformance import check_creates
    from lakefolio.views.views_sql import views_text

    if store.local_path is not None:
        check_place(store.local_path)
    check_creates(store)
    marker = new_marker()
    if not DeltaTable(store, marker.lake_id, SPECS[JOURNAL]).create():  # another one is creating it: it is one lake
        marker = replace(marker, lake_id=lake_id_of(store))
    texts = {README: readme_text(marker), SPECIFICATION: specification(), VIEWS_FILE: views_text(()).encode()}
    store.parallel([partial(store.create_if_absent, key, body) for key, body in texts.items()])
    store.create_if_absent(MARKER, marker.to_json())
    found = store.find(MARKER)
    if found is None:
        raise FormatError(f"{MARKER} of {store.uri} vanished while the lake was created", kind="marker-damaged")
    if store.scheme != "memory":
        say(f"created lake {store.uri}")  # an address with a typo names a new lake
    return found


def check_place(folder: Path) -> None:
    """Refuse a folder in which nobody means to make a lake: one with other things in it, the root, a home.

    Raises:
        PlaceTakenError: The hint is a folder to take instead.
        InvalidInputError: kind ``inside-lake``: it lies in the folder of another lake.
    """
    from lakefolio.process.local_files import outside_lakes
    from lakefolio.storage.conformance import PROBES

    odd = next((part for part in folder.parts if _MEANT_OTHERWISE.match(part)), None)
    if odd is not None and not folder.exists():
        raise InvalidInputError(
            f"the folder {str(folder)!r} does not exist, and {odd!r} in it is no name that one means",
            kind="bad-uri",
            hint="write the path itself (os.path.expandvars and expanduser give it); or make that folder first",
            path=str(folder),
        )
    outside_lakes(folder.parent)
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        names = []
    others = [one for one in names if one not in _OWN | _HARMLESS and not one.startswith((".tmp-", PROBES))]
    home = Path(os.path.expanduser("~"))
    if folder == Path(folder.anchor):
        what = "is the root of the file system"
    elif folder == home or folder in home.parents or str(folder) in _HOMES:
        what = "is your home" if folder == home else "is a place for homes"
    elif "items.json" in others:
        raise PlaceTakenError(
            f"{str(folder)!r} already exists and is a bundle of DataFolio",
            hint="read it with the datafolio package and add its items to a folio in a new place",
            path=str(folder),
        )
    elif others:
        more = f" and {len(others) - 1:,} more" if len(others) > 1 else ""
        what = f"already exists and is no lake: it holds {others[0]!r}{more}"
    else:
        return
    hint = f"choose an empty or a new folder, such as {str(folder / 'lake')!r}"
    raise PlaceTakenError(f"{str(folder)!r} {what}", hint=hint, path=str(folder))

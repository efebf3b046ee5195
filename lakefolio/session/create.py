"""How a lake comes into being: its journal, then its marker. A lake that has its marker is complete."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lakefolio.delta.table import DeltaTable, lake_id_of
from lakefolio.errors import FormatError
from lakefolio.format.layout import JOURNAL, MARKER, README, log_key
from lakefolio.format.marker import new_marker, readme_text
from lakefolio.format.schema import SPECS
from lakefolio.storage.conformance import check_creates

if TYPE_CHECKING:
    from lakefolio.storage import Store

__all__ = ["create_lake", "find_marker"]


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
        StorageError: kind ``unsafe-store``: of several creates of one object more than one wins here.
        FormatError: kind ``marker-damaged``: the marker vanished meanwhile.
    """
    check_creates(store)
    marker = new_marker()
    if not DeltaTable(store, marker.lake_id, SPECS[JOURNAL]).create():  # another one is creating it: it is one lake
        marker = replace(marker, lake_id=lake_id_of(store))
    for key, body in ((README, readme_text(marker)), (MARKER, marker.to_json())):
        store.create_if_absent(key, body)
    found = store.find(MARKER)
    if found is None:
        raise FormatError(f"{MARKER} of {store.uri} vanished while the lake was created", kind="marker-damaged")
    return found

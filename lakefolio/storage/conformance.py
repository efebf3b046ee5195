"""A test of the guarantee that all commits rest on: of many creates of one key exactly one wins."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from lakefolio.errors import StorageError

if TYPE_CHECKING:
    from lakefolio.storage import Store

__all__ = ["PROBES", "check_creates", "race"]

PROBES = "doctor-"
"""With this begin the keys of objects that are stored to try a store, and deleted."""

_FEW = 2


def race(store: Store, racers: int) -> int:
    """Create one key from ``racers`` threads at the same moment, and once more afterwards; return how many won.

    More than one winner means that commits can be lost. A stored object that differs from the winner's counts as a
    second winner. Leaves nothing behind.
    """
    key = f"{PROBES}{uuid.uuid4().hex}"  # in no folder: a local store would keep it
    start = threading.Barrier(racers)

    def create(number: int) -> bool:
        return store.create_own(key, b"%d" % number)

    def attempt(number: int) -> bool:
        start.wait()
        return create(number)

    try:
        try:
            with ThreadPoolExecutor(racers) as pool:
                try:
                    won = list(pool.map(attempt, range(racers)))
                except BaseException:
                    start.abort()  # an interrupt: those who have started would wait for the others for ever
                    raise
        except RuntimeError:  # no thread can be started, as while the interpreter ends: one after the other then
            won = list(map(create, range(racers)))
        winners = [number for number in range(racers) if won[number]]
        holds = bytes(store.get(key))
        late = store.create_if_absent(key, b"too late")
    finally:
        store.delete([key])
    if len(winners) == 1 and holds != b"%d" % winners[0]:
        return 2
    return len(winners) + late


def check_creates(store: Store) -> None:
    """Refuse a place for a new lake if it fails a small race; once in the life of a lake, for three round trips.

    Raises:
        StorageError: kind ``unsafe-store``.
    """
    if race(store, _FEW) != 1:
        raise unsafe(store.uri, f"more than one of {_FEW + 1} creates of one object won")


def unsafe(uri: str, why: str) -> StorageError:
    """Return the error that refuses to write."""
    return StorageError(
        f"{uri} is no safe place to write a lake: {why}, so writers would lose each other's commits",
        kind="unsafe-store",
        hint="use a store that honours If-None-Match, or a local file system; then run `lakefolio doctor`",
        uri=uri,
    )

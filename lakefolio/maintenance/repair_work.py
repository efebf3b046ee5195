"""A repair on its way: the lake and its copy, what was brought back, and what stays lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import merge
from itertools import groupby
from typing import TYPE_CHECKING

from lakefolio.format.layout import log_version

if TYPE_CHECKING:
    from lakefolio.storage import Store

__all__ = ["RepairWork"]


class RepairWork:
    """Two copies of one lake, of which the first is repaired, and the account of that.

    Attributes:
        store: The lake that is repaired.
        source: The copy, only read.
        dry_run: Whether nothing is written.
        repaired: The objects that were brought back: ``kind`` and ``object``.
        left: Those that could not be: ``kind``, ``object`` and ``message``.
        looked_at: How many objects were looked at.
    """

    def __init__(self, store: Store, source: Store, dry_run: bool, progress: Callable[[str, int], None]) -> None:
        """Begin with nothing repaired; ``progress`` is called with each object, and how many were before it."""
        self.store = store
        self.source = source
        self.dry_run = dry_run
        self.repaired: list[dict[str, str]] = []
        self.left: list[dict[str, str]] = []
        self.looked_at = 0
        self._progress = progress

    @property
    def places(self) -> tuple[Store, ...]:
        """Where to read what was repaired before: in a dry run nothing was, so the copy may have to tell."""
        return (self.store, self.source) if self.dry_run else (self.store,)

    def look(self, key: str) -> None:
        """Count an object that is looked at."""
        self._progress(key, self.looked_at)
        self.looked_at += 1

    def done(self, kind: str, key: str) -> None:
        """Note an object as brought back."""
        self.repaired.append({"kind": kind, "object": key})

    def lost(self, kind: str, key: str, message: str) -> None:
        """Note an object as lost."""
        self.left.append({"kind": kind, "object": key, "message": message})

    def write(self, key: str, body: bytes, kind: str) -> None:
        """Bring an object back."""
        if not self.dry_run:
            self.store.put(key, body)
        self.done(kind, key)

    def log_entries(
        self,
        log: str,
        prefix: str,
        key_of: Callable[[int], str],
        problem_of: Callable[[int, bytes], str | None],
        *,
        is_whole: bool = True,
    ) -> None:
        """Bring back the entries of a Delta log that are missing or damaged, as far as the copies tell one history.

        Args:
            log: The name of the log in messages.
            prefix: The folder of its entries.
            key_of: Gives the key of a version.
            problem_of: Says what is wrong with the bytes of a version, or None.
            is_whole: Whether the log must go back to version 0; other engines delete entries older than a checkpoint.
        """
        expected = 0 if is_whole else None
        for version, _ in groupby(merge(_versions(self.store, prefix), _versions(self.source, prefix))):
            # an object may lie under the name of any version, however far: one line for a gap
            if expected is not None and version > expected:
                key = key_of(expected)
                count = version - expected
                self.lost("log-gap", key, f"log entry {key} and {count - 1} more are missing, here and in the source")
            expected = version + 1
            key = key_of(version)
            own = self.store.find(key)
            problem = "is missing" if own is None else problem_of(version, own)
            other = self.source.find(key)
            good = other is not None and problem_of(version, other) is None
            if problem is None:
                if good and own != other:
                    self.lost("diverged", key, f"the copies differ from version {version} of {log!r} on")
                    return  # what follows in the source belongs to another history
            elif good and other is not None:
                if own is None and not self.dry_run:
                    if not self.store.create_own(key, other):  # a writer was quicker: look again
                        self.lost("diverged", key, f"version {version} of {log!r} was just written by somebody")
                        return
                    self.done("log-entry", key)
                else:
                    self.write(key, other, "log-entry")
            else:
                self.lost("log-gap", key, f"log entry {key} {problem}, and the source has no good one")


def _versions(store: Store, prefix: str) -> Iterator[int]:
    """Give the versions in a log, in order."""
    listed = (log_version(info.key) for info in store.list(prefix + "/"))
    return (version for version in listed if version is not None)

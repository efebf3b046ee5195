"""The outcomes of all commits in the log entries read so far, so that no commit is decided twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from lakefolio.delta.actions import LogEntry
    from lakefolio.delta.table import DeltaTable

__all__ = ["Outcome", "Outcomes"]

_MOST: Final = 50_000


class Outcome(NamedTuple):
    """The version whose log entry decided a commit, and whether that entry carries the commit or refuses it."""

    version: int
    carried: bool


class Outcomes:
    """Commit id -> outcome, complete above some version. Not thread-safe: its owner holds a lock."""

    def __init__(self, table: DeltaTable) -> None:
        """Begin with none.

        Args:
            table: Its log entries are read again where outcomes below the known ones are asked for.
        """
        self._table = table
        self._complete_above = 0
        self._known: dict[str, Outcome] = {}

    def __contains__(self, commit_id: object) -> bool:
        """Say whether a commit is known to be decided."""
        return commit_id in self._known

    def __iter__(self) -> Iterator[str]:
        """Iterate over the ids of the decided commits."""
        return iter(self._known)

    def get(self, commit_id: str) -> Outcome | None:
        """Return the outcome of a commit, or None if it is not known to be decided."""
        return self._known.get(commit_id)

    def restart(self, version: int) -> None:
        """Forget all outcomes. Those above ``version`` come by :meth:`note`."""
        self._known.clear()
        self._complete_above = version

    def forget_if_many(self, version: int) -> None:
        """Forget all outcomes up to ``version`` if they are many. Only where no commit is pending."""
        if len(self._known) > _MOST:
            self.restart(version)

    def note(self, entries: Iterable[LogEntry]) -> None:
        """Add the outcomes in log entries, given in order: the first entry that names a commit decides it."""
        for entry in entries:
            for commit_id in entry.commit_ids:
                self._known.setdefault(commit_id, Outcome(entry.version, True))
            for commit_id in entry.refused:
                self._known.setdefault(commit_id, Outcome(entry.version, False))

    def complete_from(self, base: int) -> bool:
        """Read the log entries needed to know all outcomes above ``base``.

        Returns:
            False if ``base`` lies above the newest version read; nothing is read then.
        """
        if base > self._table.version:
            return False
        if base < self._complete_above:
            entries = self._table.entries(base + 1, self._complete_above)
            newer, self._known = self._known, {}
            self.note(entries)
            self._known |= {commit_id: one for commit_id, one in newer.items() if commit_id not in self._known}
            self._complete_above = base
        return True

"""The time of a commit: rising from commit to commit, and close to the store's clock if this machine's is wrong.

The first commit of a handle is checked. If the newest commit of the lake is recent, its time vouches for this machine's
clock; else the modification time of the data file just stored does, which costs one request. A wrong clock would date
all later commits of every writer, because times must not fall.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from lakefolio.errors import LakefolioError
from lakefolio.process.notice import LakefolioWarning

if TYPE_CHECKING:
    from lakefolio.storage import Store

__all__ = ["CommitClock"]

_VOUCHED: Final = timedelta(hours=1)
_TOLERATED: Final = timedelta(minutes=5)
_STEP: Final = timedelta(microseconds=1)


class CommitClock:
    """The clock of one handle's commits. Not thread-safe: its owner holds a lock."""

    def __init__(self, store: Store) -> None:
        """Trust this machine's clock until the first check."""
        self._store = store
        self._ahead = timedelta(0)  # of the store's clock
        self._checked = False
        self._warning: LakefolioWarning | None = None

    def now(self, last: datetime | None) -> datetime:
        """Return the time of the next commit, after that of the ``last`` one."""
        return _after(last, datetime.now(UTC) - self._ahead)

    def corrected(self, at: datetime, last: datetime | None, key: str) -> datetime | None:
        """Check the time of the first commit; return the right time if it is wrong, else None.

        Args:
            at: The time that :meth:`now` gave.
            last: The time of the newest commit of the lake, if any.
            key: An object that was stored just now.
        """
        if self._checked:
            return None
        self._checked = True
        if last is not None and at - last <= _VOUCHED:
            return None
        try:
            stored_at = self._store.head(key).modified_at
        except LakefolioError:  # some writers may not read
            return None
        ahead = at - stored_at
        if abs(ahead) <= _TOLERATED:
            return None
        self._ahead += ahead
        self._warning = LakefolioWarning(
            f"the clock of this machine is {_shown(abs(ahead.total_seconds()))} "
            f"{'ahead of' if ahead > timedelta(0) else 'behind'} that of {self._store.uri}",
            kind="wrong-clock",
            hint="commits are dated by the store's; set the clock",
        )
        return _after(last, stored_at)

    def take_warning(self) -> LakefolioWarning | None:
        """Return the warning about a wrong clock once, for the user whose commit found it."""
        warning, self._warning = self._warning, None
        return warning


def _after(last: datetime | None, at: datetime) -> datetime:
    return at if last is None or at > last else last + _STEP


def _shown(seconds: float) -> str:
    """Return a duration of at least five minutes in words."""
    for size, unit in ((86_400 * 365.25, "years"), (86_400, "days"), (3_600, "hours")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 60:.0f} minutes"

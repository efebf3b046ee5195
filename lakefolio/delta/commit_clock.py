"""The time of a commit: rising from commit to commit, and close to the store's clock if this machine's is wrong.

If the newest commit of the lake, or this clock when it was checked last, is less than an hour away, that vouches for
this machine's clock; else the modification time of the data file just stored does, which costs one request. A wrong
clock would date all later commits of every writer, because times must not fall.
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
        self._checked: datetime | None = None  # the time, as corrected, when it was held against the store's last
        self._warning: LakefolioWarning | None = None

    def now(self, last: datetime | None) -> datetime:
        """Return the time of the next commit, after that of the ``last`` one."""
        return _after(last, self._read())

    def _read(self) -> datetime:
        return datetime.now(UTC) - self._ahead

    def corrected(self, last: datetime | None, key: str) -> datetime | None:
        """Check the clock where nothing vouches for it; return the right time of the commit if it is wrong, else None.

        Args:
            last: The time of the newest commit of the lake, if any.
            key: An object that was stored just now.
        """
        now = self._read()
        if any(one is not None and abs(now - one) <= _VOUCHED for one in (last, self._checked)):
            return None
        self._checked = now
        try:
            stored_at = self._store.head(key).modified_at
        except LakefolioError:  # some writers may not read
            return None
        if abs(now - stored_at) <= _TOLERATED:
            return None
        self._checked = stored_at
        self._ahead += now - stored_at
        if abs(self._ahead) > _TOLERATED:  # else somebody has set the clock right
            self._warning = LakefolioWarning(
                f"the clock of this machine is {_shown(abs(self._ahead.total_seconds()))} "
                f"{'ahead of' if self._ahead > timedelta(0) else 'behind'} that of {self._store.uri}",
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

"""A commit between its request and its outcome, and the thread that waits for it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from datetime import datetime
from queue import Empty, SimpleQueue

from lakefolio.model.changes import Commit

__all__ = ["Committed", "PendingCommit"]


@dataclass(frozen=True, slots=True)
class Committed:
    """An acknowledged commit: the lake version it made (shared with the commits it was combined with), and when."""

    version: int
    committed_at: datetime


@dataclass(slots=True, eq=False)
class PendingCommit:
    """A commit that is not decided yet. It ends with an outcome or an error.

    Attributes:
        commit: The changes, and the id by which the log tells them.
        foreign: Whether it comes from a ticket in the lake. No thread of this process waits for it.
        base: Of a commit that another process of this host handed over: the version up to which it has not been
            decided. Such a commit may end with neither outcome nor error; then it is handed back undecided.
        since: The version that was known when it was first tried. It is decided above that version or not at all.
        outcome: Set when it was committed.
        error: Set when it was refused, or failed.
        done: Whether it has ended.
    """

    commit: Commit
    foreign: bool = False
    base: int | None = None
    since: int = -1
    outcome: Committed | None = None
    error: BaseException | None = None
    done: bool = False
    _calls: SimpleQueue[None] = field(default_factory=SimpleQueue)

    def end(self) -> None:
        """End it and wake the thread that waits."""
        self.done = True
        self.wake()

    def succeed(self, outcome: Committed) -> None:
        """End it with an outcome."""
        self.outcome = outcome
        self.end()

    def fail(self, error: BaseException) -> None:
        """End it with an error, which the waiting thread raises."""
        self.error = error
        self.end()

    def wake(self) -> None:
        """End the current :meth:`wait` of the thread whose commit this is, or its next one."""
        self._calls.put(None)

    def wait(self, seconds: float) -> None:
        """Wait to be woken, for at most ``seconds``."""
        with contextlib.suppress(Empty):
            self._calls.get(timeout=seconds)

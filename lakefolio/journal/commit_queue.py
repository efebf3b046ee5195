"""Threads that share a journal combine: one thread, the leader, commits for every thread whose commit waits.

Threads queue here, not on the journal lock, so a thread whose commit a leader has finished returns at once. Where a
server thread commits for other processes of this host (``host_leader``), the others leave their commits to it.

An asynchronous exception (KeyboardInterrupt) may hit any thread between any two bytecodes, also in a ``finally``. It
reaches its own thread only and leaves the queue usable, because nothing depends on a clean-up that it could skip:

- The leader is the thread that holds a lock of the interpreter, entered by ``with``, which releases it in every case.
- A leader does not take commits out of the queue. Each stays until its own thread takes it away, so those that an
  interrupted leader left undecided are the next leader's; a commit that landed nevertheless is found in the log.
- A waiting thread that was not woken looks by itself after a while.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Final

from lakefolio.journal.pending_commit import PendingCommit

__all__ = ["CommitQueue"]

_PATIENCE_S: Final = 1.0
"""How long a thread waits to be woken before it looks whether it has to lead."""


CommitAll = Callable[[Callable[[], list[PendingCommit]]], None]


class CommitQueue:
    """The commits that wait in one process. Safe to share between threads; a forked child needs a new one."""

    def __init__(self, commit_all: CommitAll, leave: Callable[[], bool]) -> None:
        """Begin with no commit.

        Args:
            commit_all: Ends the commits that wait when it calls the function it is given. If it raises, those it has
                not ended wait for the next leader.
            leave: Asks the server thread to make the waiting commits soon; says whether there is one.
        """
        self._commit_all = commit_all
        self._leave = leave
        self._queue: dict[PendingCommit, None] = {}  # in the order in which they came
        self._leading = Lock()

    @property
    def waiting(self) -> int:
        """How many commits wait for a leader."""
        return len(self._undecided())

    def commit(self, commit: PendingCommit) -> bool:
        """Return when the commit is decided; say whether this thread led."""
        led = False
        try:
            self._queue[commit] = None
            if self._leading.locked() or self._leave():
                commit.wait(_PATIENCE_S)
            while not commit.done:
                with self._leading:
                    if not commit.done:
                        led = True
                        self._commit_all(self._undecided)
        finally:
            self._queue.pop(commit, None)
            if not self._leading.locked():
                self._call_next()
        return led

    def commit_many(self, commits: Sequence[PendingCommit]) -> None:
        """Return when these commits, and the waiting commits of other threads, are decided."""
        try:
            self._queue.update(dict.fromkeys(commits))
            with self._leading:
                if self._undecided():
                    self._commit_all(self._undecided)
        finally:
            for commit in commits:
                self._queue.pop(commit, None)
            if self._undecided() and not self._leave():
                self._call_next()

    def _undecided(self) -> list[PendingCommit]:
        return [commit for commit in list(self._queue) if not commit.done]

    def _call_next(self) -> None:
        """Wake the thread that has waited longest, to lead."""
        for commit in self._undecided()[:1]:
            commit.wake()

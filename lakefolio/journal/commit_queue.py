"""Threads that share a journal combine: one thread, the leader, commits for every thread whose commit waits.

A thread waits for its own commit, not for the lock of the leader, so a thread whose commit is decided returns at once.
Where a server thread commits for other processes of this host (``host_leader``), the others leave their commits to it.

An asynchronous exception (KeyboardInterrupt) may hit any thread between any two bytecodes, also in a ``finally``. It
reaches its own thread only and leaves the queue usable, because nothing depends on a clean-up that it could skip:

- The leader is the thread that holds a lock of the interpreter, entered by ``with``, which releases it in every case.
- A leader does not take commits out of the queue. Each stays until its own thread takes it away, so those that an
  interrupted leader left undecided are the next leader's; a commit that landed nevertheless is found in the log.
- A waiting thread that was not woken looks by itself after a while.

No wake-up is lost: a thread enters its commit before it looks whether somebody leads, and a leader looks for commits
after it has released the lock. Who wakes the first thread that waits has woken all: it commits for the others too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from time import monotonic
from typing import Final

from lakefolio.journal.pending_commit import PendingCommit

__all__ = ["CommitQueue"]

_PATIENCE_S: Final = 1.0
"""How long a thread waits to be woken before it looks whether it has to lead."""
_GATHERED: Final = 0.25
_LONGEST_GATHERED_S: Final = 0.01
"""How long a leader waits for the threads that committed a moment ago: a part of the time of a commit, and at most.

Threads that were just answered soon commit again. The first of them would commit alone, and the others wait for it.
"""


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
        self._gathering: PendingCommit | None = None  # of a leader that waits for others
        self._crowd = 1  # how many commits the last leader took and left; changed by leaders alone
        self._took_s = 0.0

    @property
    def waiting(self) -> int:
        """How many commits wait for a leader."""
        return len(self._undecided())

    def commit(self, commit: PendingCommit) -> bool:
        """Return when the commit is decided; say whether this thread led."""
        led = False
        try:
            self._queue[commit] = None
            gathering = self._gathering
            if gathering is not None and self.waiting >= self._crowd:
                gathering.wake()
            if self._leave():
                commit.wait(_PATIENCE_S)
            while not commit.done:
                if self._leading.locked():
                    commit.wait(_PATIENCE_S)
                    continue
                with self._leading:
                    if not commit.done:
                        led = True
                        self._lead(commit)
        finally:
            self._queue.pop(commit, None)
            if (led or not commit.done) and not self._leading.locked():
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

    def _lead(self, commit: PendingCommit) -> None:
        until = monotonic() + min(_GATHERED * self._took_s, _LONGEST_GATHERED_S)
        self._gathering = commit
        while self.waiting < self._crowd and (left := until - monotonic()) > 0:
            commit.wait(left)
        self._gathering = None
        began = monotonic()
        self._commit_all(self._taken)
        self._took_s = monotonic() - began
        self._crowd += self.waiting

    def _taken(self) -> list[PendingCommit]:
        batch = self._undecided()
        self._crowd = len(batch)
        return batch

    def _undecided(self) -> list[PendingCommit]:
        return [commit for commit in list(self._queue) if not commit.done]

    def _call_next(self) -> None:
        """Wake the thread that has waited longest, to lead."""
        for commit in self._undecided()[:1]:
            commit.wake()

"""Threads that share a journal combine in memory: whoever's turn it is commits for all who wait.

Not the journal's lock decides who is next: those whose commit is done would stand in line for it with the others. Where
a thread commits for the neighbours of this process too (``neighbours``), the others leave it to that one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from lakefolio.journal.log_writer import Waiting

__all__ = ["Turns"]

_LEFT_S = 1.0


class Turns:
    """The commits that wait in one process, and whose turn it is."""

    def __init__(self, commit_all: Callable[[Callable[[], list[Waiting]]], None], leave: Callable[[], bool]) -> None:
        """Say how commits are brought to their end.

        Args:
            commit_all: Given a function that takes all that wait by then, ends each of them, or raises.
            leave: Asks the thread that commits for neighbours to come by soon; says whether there is one.
        """
        self._commit_all = commit_all
        self._leave = leave
        self._queue: list[Waiting] = []
        self._lock = threading.Lock()
        self._turn: object = None

    @property
    def waiting(self) -> int:
        """How many commits wait for somebody to take them."""
        return len(self._queue)

    def bring(self, commit: Waiting) -> bool:
        """Return when the commit is ended, by another thread or by this one; say whether it was this one's turn."""
        with self._lock:
            self._queue.append(commit)
            if self._turn is None and not self._leave():
                self._turn = commit
                commit.woken.set()
        try:
            while not commit.woken.wait(_LEFT_S):
                with self._lock:
                    if self._turn is None and commit in self._queue:  # whom it was left to is gone
                        self._turn = commit
                        commit.woken.set()
            if commit.done:
                return False
            self._commit_all(self._take)
            return True
        finally:
            with self._lock:
                if commit in self._queue:  # it was interrupted
                    self._queue.remove(commit)
            self._pass_on(commit)

    def bring_all(self, commits: list[Waiting]) -> None:
        """Return when all of these, and what was left to this thread, are ended."""
        mine: object = commits[0] if commits else object()
        with self._lock:
            self._queue += commits
            if self._turn is None and self._queue:
                self._turn = mine
        try:
            if commits and self._turn is not mine:
                commits[0].woken.wait()  # until another thread has committed them, or passes the turn on
            if self._turn is mine:
                self._commit_all(self._take)
        finally:
            with self._lock:
                if self._turn is mine:
                    self._turn = None
                    if self._queue and not self._leave():  # what has come meanwhile is for the next time
                        self._turn = self._queue[0]
                        self._queue[0].woken.set()
        for commit in commits:
            commit.woken.wait()

    def _take(self) -> list[Waiting]:
        with self._lock:
            batch, self._queue = self._queue, []
            return batch

    def _pass_on(self, commit: Waiting) -> None:
        with self._lock:
            if self._turn is commit:
                self._turn = self._queue[0] if self._queue else None
                if self._turn is not None:
                    self._queue[0].woken.set()

"""Hooks at forks: a child inherits the locks that other threads of its parent hold, but not these threads.

An object with such locks registers two hooks: before the fork it waits until its other threads are idle, after the fork
it makes new locks for the child. Remote stores refuse to work in a child anyway (see ``storage.remote``).
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol

from lakefolio.process.imports import wait_for_imports

__all__ = ["ForkLock", "Forked", "at_forks"]


class Forked(Protocol):
    """An object with hooks that run before and after each fork."""

    def before_fork(self) -> None:
        """Prepare for the fork. The thread that forks calls it, in the parent."""

    def after_fork(self, *, child: bool) -> None:
        """Resume after the fork. The same thread calls it, in both processes."""


_IMPORTS_S = 10.0
_lock = threading.Lock()
_members: weakref.WeakSet[Forked] = weakref.WeakSet()
_ready: list[Forked] = []


def at_forks(member: Forked) -> None:
    """Register an object's fork hooks for as long as the object exists."""
    with _lock:
        _members.add(member)


class ForkLock:
    """A reentrant lock that is free in a forked child, unless the thread that forked held it."""

    def __init__(self, *, waits: bool = False) -> None:
        """Make a free lock; with ``waits``, no fork happens while another thread holds it."""
        self._lock = threading.RLock()
        self._waits = waits
        at_forks(self)

    def acquire(self, *, blocking: bool = True) -> bool:
        """Take the lock; say whether it was taken, which it always is after waiting (``blocking``)."""
        return self._lock.acquire(blocking)

    def release(self) -> None:
        """Give the lock back."""
        self._lock.release()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def before_fork(self) -> None:
        """Wait for the thread that holds it, if that was asked for."""
        if self._waits:
            self._lock.acquire()

    def after_fork(self, *, child: bool) -> None:
        """Replace a lock that no thread of the child could release."""
        if self._waits:
            self._lock.release()
        elif child:
            if self._lock.acquire(blocking=False):
                self._lock.release()
            else:
                self._lock = threading.RLock()


def _before() -> None:
    if threading.active_count() > 1:
        wait_for_imports(_IMPORTS_S)  # a child would wait for ever for a module that a thread of its parent imports
    with _lock:
        _ready[:] = _members
    for member in _ready:
        member.before_fork()


def _after(*, child: bool) -> None:
    global _lock
    if child:
        _lock = threading.Lock()
    for member in reversed(_ready):
        member.after_fork(child=child)
    _ready.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before, after_in_parent=lambda: _after(child=False), after_in_child=lambda: _after(child=True)
    )

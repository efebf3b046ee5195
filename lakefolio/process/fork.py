"""Forked processes: a child begins with the locks as other threads of its parent held them, and without these threads.

Whoever has such locks has a say before and after each fork: to let the others come to an end first, and to give the
child locks of its own. Remote stores refuse to work in a child anyway (see ``storage.remote``).
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol

from lakefolio.process.imports import wait_for_imports

__all__ = ["Forked", "at_forks"]


class Forked(Protocol):
    """What has a say at forks."""

    def before_fork(self) -> None:
        """Get ready; called in the parent, by the thread that forks."""

    def after_fork(self, *, child: bool) -> None:
        """Go on; called by the same thread, in both processes."""


_IMPORTS_S = 10.0
_lock = threading.Lock()
_members: weakref.WeakSet[Forked] = weakref.WeakSet()
_ready: list[Forked] = []


def at_forks(member: Forked) -> None:
    """Give a say to something, for as long as it exists."""
    with _lock:
        _members.add(member)


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

"""The thread pool that keeps many requests to object stores in flight; one per process, unusable in forked children."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

from lakefolio.errors import StorageError
from lakefolio.process.workers import submit_to

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

__all__ = ["check_same_process", "in_pool", "submit"]

T = TypeVar("T")

_THREADS: Final = 32
_lock = threading.Lock()
_executor: ThreadPoolExecutor | None = None
_here = threading.local()
_process: int | None = None


def in_pool() -> bool:
    """Say whether this thread belongs to the pool: if it waits for another one of the pool, it may deadlock."""
    return getattr(_here, "in_pool", False)


def submit(call: Callable[[], T]) -> Future[T]:
    """Run a call in a thread of the pool; in this thread once the interpreter ends, which starts no further threads."""
    global _executor
    with _lock:
        if _executor is None:
            _executor = ThreadPoolExecutor(_THREADS, "lakefolio-store", initializer=_mark_thread)
    return submit_to(_executor, call)


def check_same_process(uri: str) -> None:
    """Refuse to work in a forked child: obstore's threads exist in the parent only, so any request would hang.

    Raises:
        StorageError: kind ``forked-process``.
    """
    global _process
    if _process is None:
        _process = os.getpid()
    elif _process != os.getpid():
        raise StorageError(
            f"{uri} was already used by the process this one was forked from",
            kind="forked-process",
            hint="start worker processes with the 'spawn' or 'forkserver' method of multiprocessing",
            uri=uri,
        )


def _mark_thread() -> None:
    _here.in_pool = True

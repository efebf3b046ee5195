"""Threads that help with one piece of work, and the calling thread in their place where no thread can be started.

Python starts none once the main thread has ended, so ``ThreadPoolExecutor.submit`` raises in an ``atexit`` callback and
in a thread that outlives the main one; a limit of the container may forbid new ones at any time. Work is slower then,
but it is done.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

__all__ = ["Workers", "submit_to"]

T = TypeVar("T")
S = TypeVar("S")


def submit_to(pool: ThreadPoolExecutor, call: Callable[[], T]) -> Future[T]:
    """Run a call once, in a thread of ``pool`` or, if that can't start one, in this thread before returning."""
    found: Future[T] = Future()
    unclaimed = iter((call,))  # a pool that fails to start a thread has queued the call, and another thread may take it

    def run() -> None:
        for claimed in unclaimed:
            try:
                result = claimed()
            except BaseException as exc:
                found.set_exception(exc)
            else:
                found.set_result(result)

    try:
        pool.submit(run)
    except RuntimeError:
        run()
    return found


class Workers:
    """A few threads for the length of a ``with`` block, which ends when all their calls have."""

    def __init__(self, threads: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(threads, name)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None) -> None:
        self._pool.shutdown(cancel_futures=kind is not None)

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """Start a call; see ``submit_to``."""
        return submit_to(self._pool, call)

    def map(self, call: Callable[[S], T], values: Iterable[S]) -> list[T]:
        """Return the results of a call for each value, in their order; raise the first failure."""

        def one(value: S) -> Future[T]:
            return self.submit(lambda: call(value))

        return [found.result() for found in [one(value) for value in values]]

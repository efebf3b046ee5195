"""The end of a process: what has to be done while its threads still work."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable

__all__ = ["at_exit"]


def at_exit(call: Callable[[], None]) -> None:
    """Register a LIFO shutdown hook that runs while threads can still start.

    Children of ``multiprocessing`` run it too, although they end without the functions of ``atexit``.
    """
    register = getattr(threading, "_register_atexit", None)
    try:
        register(call)  # type: ignore[misc]
    except (TypeError, RuntimeError):
        atexit.register(call)

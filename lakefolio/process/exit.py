"""The end of a process: what has to be done while its threads still work."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable

__all__ = ["at_exit"]


def at_exit(call: Callable[[], None]) -> None:
    """Call at the end of this process, while threads can still be started; what was registered last comes first.

    Also in children of ``multiprocessing``, which end without the functions of ``atexit``.
    """
    register = getattr(threading, "_register_atexit", None)
    try:
        register(call)  # type: ignore[misc]
    except (TypeError, RuntimeError):
        atexit.register(call)

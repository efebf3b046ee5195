"""A clock that nobody sets, for the time between two moments of one process."""

from __future__ import annotations

import time

__all__ = ["elapsing_s"]


def elapsing_s() -> float:
    """Return seconds since some moment in the past, with those that the computer slept if the system counts them."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)

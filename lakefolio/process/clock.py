"""Clocks that nobody sets: the time between two moments of one process, and waiting for some of it to pass."""

from __future__ import annotations

import time
from typing import Final, Protocol

__all__ = ["SYSTEM_CLOCK", "Clock", "elapsing_s"]


class Clock(Protocol):
    """What a protocol that waits for others knows of time. Tests that decide who runs when give one of their own."""

    def monotonic(self) -> float:
        """Return seconds since some moment in the past; never less than before."""

    def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""


class _SystemClock:
    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


SYSTEM_CLOCK: Final[Clock] = _SystemClock()


def elapsing_s() -> float:
    """Return seconds since some moment in the past, with those that the computer slept if the system counts them."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)

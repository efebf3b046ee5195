"""Clocks: elapsed time within one process, sleeping, and the time of day."""

from __future__ import annotations

import time
from typing import Final, Protocol

__all__ = ["SYSTEM_CLOCK", "Clock", "elapsing_s", "now_ms"]


class Clock(Protocol):
    """The clock of a protocol that waits for other writers. A test passes its own, to choose the order of events."""

    def monotonic(self) -> float:
        """Return seconds since some moment in the past; the value never falls."""

    def sleep(self, seconds: float) -> None:
        """Return after ``seconds`` seconds."""


class _SystemClock:
    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


SYSTEM_CLOCK: Final[Clock] = _SystemClock()


def elapsing_s() -> float:
    """Return seconds since some moment in the past, including suspended time if the system counts it."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


def now_ms() -> int:
    """Return the time in milliseconds since 1970, the unit of Delta's actions and of MLflow's records."""
    return int(time.time() * 1000)

"""Whether commits are dated ahead of the store's clock: as-of by time then finds them late (FORMAT.md, "As-of")."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Final

from lakefolio.format.arrow_rows import from_micros
from lakefolio.format.checked_json import mapped, number

__all__ = ["HINT_DATES", "ahead_of", "dated_ahead"]

_TOLERATED: Final = timedelta(minutes=5)
HINT_DATES: Final = "a writer's clock was wrong; until that time comes as-of is exact by version, not by time"


def ahead_of(committed_at: datetime, modified_at: datetime) -> str | None:
    """Return how far ahead of its object's time a commit is dated, for people; None if it is not."""
    ahead = committed_at - modified_at
    return None if ahead <= _TOLERATED else f"{committed_at:%Y-%m-%d %H:%M} UTC, {ahead} ahead of the store's clock"


def dated_ahead(entry: bytes | None, modified_at: datetime) -> str | None:
    """Return the same of a log entry, given as its bytes; None also for other bytes."""
    try:
        action = mapped(json.loads((entry or b"").split(b"\n", 1)[0]))
        millis = number(mapped(action["commitInfo"])["timestamp"])
        return ahead_of(from_micros(1000 * millis), modified_at)
    except (ValueError, KeyError, OverflowError, RecursionError):
        return None

"""Looks at runs: this process's logged points are committed first, and runs whose process died are called lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakefolio.runs.liveness import lost_runs
from lakefolio.runs.log_buffer import settle_logged

if TYPE_CHECKING:
    from lakefolio.session.session import Session

__all__ = ["settled"]


def settled(session: Session) -> Session:
    """Return a session whose state does not move, to look at runs through.

    What this process logged is in it, and runs whose process died are called lost. Nothing is written but what was
    logged. Inside of a batch it is the session itself, which sees the batch.
    """
    settle_logged(session)
    if session.in_batch:
        session.committed()
        return session.calling_lost(lost_runs(session))
    return session if session.pinned is not None else session.steady().calling_lost(lost_runs(session))

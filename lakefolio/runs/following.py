"""Runs watched while they go on: what comes is looked for every few seconds, for one request as long as nothing came.

A look reads the next log entry of the journal. Points and events are read only where the journal says that the run has
new ones, and whether the run's process still lives is looked up without the store, see ``liveness``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import pyarrow.compute as pc

from lakefolio.errors import InvalidInputError
from lakefolio.runs.liveness import settled
from lakefolio.runs.record import manifest_of
from lakefolio.terminal import shown_value

if TYPE_CHECKING:
    from lakefolio.session.session import Session

__all__ = ["RunNews", "changes", "follow_run"]

_POINTS: Final = """
select name, step, value, logged_at from metrics where run_id = $1 and version > $2 order by batch, ordinal
"""
_EVENTS: Final = """
select event_type, stage, model_name, metadata, logged_at from events
where run_id = $1 and version > $2 order by version, logged_at, event_id
"""


@dataclass(frozen=True, slots=True)
class RunNews:
    """What came of a run since the news before.

    Attributes:
        run_id: The run.
        name: Its name.
        version: The lake version at which that was.
        status: ``running``, ``done``, ``failed`` or ``lost``; the last news have one of the latter.
        points: Points of metrics, in the order they were logged: name, step, value, time.
        events: Events: type, stage, model, metadata (JSON text), time.
        error: The class and the last line of the error of a run that failed.
    """

    run_id: str
    name: str | None
    version: int
    status: str | None
    points: list[tuple[str, int | None, float, datetime]] = field(default_factory=list)
    events: list[tuple[str | None, str | None, str | None, str, datetime]] = field(default_factory=list)
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        points = [
            {"name": name, "step": step, "value": value, "logged_at": at.isoformat()}
            for name, step, value, at in self.points
        ]
        keys = ("event_type", "stage", "model_name", "metadata")
        events = [dict(zip(keys, one[:4], strict=True)) | {"logged_at": one[4].isoformat()} for one in self.events]
        known = {key: getattr(self, key) for key in ("run_id", "name", "version", "status", "error")}
        return {**known, "points": points, "events": events}


def changes(session: Session, every_s: float, sleep: Callable[[float], object] = time.sleep) -> Iterator[Session]:
    """Yield the state of a lake now, and again whenever something was committed or a run was lost; never ends.

    Args:
        session: The lake.
        every_s: How often to look, in seconds; one request each time.
        sleep: What waits.
    """
    _check(every_s)
    before: tuple[int, frozenset[str]] | None = None
    while True:
        steady = settled(session)
        seen = (steady.committed().version, steady.lost)
        if seen != before:
            yield steady
            before = seen
        sleep(every_s)


def follow_run(
    session: Session, run_id: str, every_s: float, sleep: Callable[[float], object] = time.sleep
) -> Iterator[RunNews]:
    """Yield what there is of a run, then what comes, until it has ended; see :class:`RunNews`.

    Raises:
        NotFoundError: kind ``run-not-found``, before anything is yielded.
    """
    _check(every_s)
    run_id = manifest_of(settled(session), run_id).run_id
    seen = -1
    status: str | None = ""
    for steady in changes(session, every_s, sleep):
        version = steady.committed().version
        ops = _ops(steady, run_id, seen)
        facts = steady.metadata("run", run_id)
        now = "lost" if run_id in steady.lost else facts.get("status")
        points = steady.query(_POINTS, [run_id, seen]).fetchall() if "metrics" in ops else []
        events = steady.query(_EVENTS, [run_id, seen]).fetchall() if "events" in ops else []
        if points or events or now != status or seen < 0:
            told = facts.get("error")
            error = str(told).strip().rpartition("\n")[2] if told and now == "failed" else None
            yield RunNews(run_id, facts.get("name"), version, now, points, events, error)
        seen, status = version, now
        if now != "running":
            return


def _ops(session: Session, run_id: str, after: int) -> set[str]:
    """Return what rows of the journal above a version do for a run."""
    found: set[str] = set()
    for rows in session.committed().parts(["op", "run_id"], after):
        own = rows.filter(pc.fill_null(pc.equal(rows.column("run_id"), run_id), False))
        found |= set(own.column("op").to_pylist())
    return found


def _check(every_s: float) -> None:
    if isinstance(every_s, bool) or not isinstance(every_s, int | float) or not 0.1 <= every_s <= 3600:
        raise InvalidInputError(
            f"every_s is {shown_value(every_s)}, expected 0.1 to 3,600 seconds",
            kind="bad-limit",
            hint="2 is the default",
        )

"""A run that was recorded elsewhere, as a run of the lake: with its own times, and without facts of this process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from lakefolio.errors import NotFoundError
from lakefolio.lake import Lake

__all__ = ["RecordedRun", "record"]

_ELSEWHERE: Final = ("host", "user", "command", "directory", "git_commit", "git_dirty", "git_branch", "git_remote")
_DONE: Final = "imported_from"


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """The record of a run that ran elsewhere.

    Attributes:
        run_id: Its id, which it keeps.
        source: Where it was recorded.
        words: Arguments of ``lake.create_run``: name, run_type, project, params, metrics, …
        started_at: When it began.
        ended_at: When it ended; None if that is not known.
        status: ``done`` or ``failed``.
        facts: Further facts of it, set at its end: those that a process notes of itself are its own.
        points: Gives the points of its metrics: name, value, step, time.
        outputs: Gives its outputs: name and file.
    """

    run_id: str
    source: str
    words: Mapping[str, Any]
    started_at: datetime | None
    ended_at: datetime | None
    status: str = "done"
    facts: Mapping[str, Any] = field(default_factory=dict)
    points: Callable[[], Iterable[tuple[str, float, int | None, datetime]]] = tuple
    outputs: Callable[[], Iterable[tuple[str, Path]]] = tuple


def record(lake: Lake, told: RecordedRun) -> None:
    """Record a run. Safe to repeat, wherever it broke off: finished parts are not done again."""
    try:
        known = lake.get_run(told.run_id)
    except NotFoundError:
        known = None
    if known is not None and _DONE in known.metadata and known.status == told.status:
        return
    ended_at = told.ended_at or told.started_at
    if known is None:
        lake.create_run(
            told.run_id,
            **told.words,
            status=told.status,
            started_at=told.started_at,
            ended_at=max(ended_at, told.started_at) if ended_at and told.started_at else ended_at,
        )
    run = lake.resume_run(told.run_id)
    there = Counter(map(_point, lake.metric_history(told.run_id).to_pylist()))
    for name, value, step, at in told.points():
        point = _point({"name": name, "value": value, "step": step, "logged_at": at})
        if there[point]:
            there[point] -= 1  # a source may say the same twice
        else:
            run.log_metrics({name: value}, step, at=at)
    folio = lake.folio(run.folio)
    with lake.batch(f"import files of run {told.run_id}"):
        for name, path in told.outputs():
            if name not in folio:
                run.add_output(name, path)
    own = {key: told.facts.get(key) for key in _ELSEWHERE}
    run.annotate({**told.facts, **own, _DONE: told.source})
    run.finish(told.status, ended_at=ended_at)


def _point(row: Mapping[str, Any]) -> tuple[object, ...]:
    """Return a point as something equal to itself, which NaN is not."""
    return row["name"], row["step"], repr(float(row["value"])), row["logged_at"]

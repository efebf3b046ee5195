"""What a run measures: metrics and events, which are logged at once and committed within the second."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from lakefolio.errors import InvalidInputError
from lakefolio.format.times import parse_time
from lakefolio.runs import events
from lakefolio.runs.log_batches import Point, point_table
from lakefolio.runs.validation import check_metric_name, metric_value, step_of

if TYPE_CHECKING:
    from lakefolio.runs.run import Run

__all__ = ["flush", "log", "log_event", "log_metrics", "log_points"]

_FURTHEST: Final = 2**63
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def log(run: Run, values: Mapping[str, Any] | int | None = None, at_step: int | None = None, /, **metrics: Any) -> None:
    """Log metrics, all with the same step: ``run.log(loss=0.3, step=7)``, or ``run.log({"val/loss": 0.3}, 7)``.

    Returns at once; what was logged is committed within the second. A step may come again: both points stay.

    Args:
        values: Name -> number; or the step, if metrics are keywords.
        at_step: A whole number of 64 bits; also as keyword ``step``. By default none.
        **metrics: Name -> number.

    Raises:
        InvalidInputError: kind ``bad-metric``: no number, or no whole step; then none of them is logged.
    """
    step = at_step
    if isinstance(values, Mapping):
        metrics = {**values, **metrics} if "step" not in values else {**metrics, **values}
    elif values is not None:
        step = values
    if "step" in metrics:
        step = metrics.pop("step")
    run.log_metrics(metrics, step)


def log_metrics(run: Run, /, metrics: Mapping[str, Any], step: int | None = None, *, at: Any = None) -> None:
    """Log metrics as :meth:`log` does, also of names that are no Python words.

    Args:
        metrics: Name -> number.
        step: A whole number of 64 bits, or none.
        at: When they were measured, a time with a zone or a text of one; by default now.
    """
    if run._over:
        run._check_open()
    if step is not None and not (type(step) is int and -_FURTHEST <= step < _FURTHEST):
        step = step_of(step)
    now = run._clock() // 1000 if at is None else (parse_time(at) - _EPOCH) // _MICROSECOND
    run_id, names = run.run_id, run._names
    points: list[Point] = []
    for name, value in metrics.items():
        if name not in names:
            names.add(check_metric_name(name))
        points.append((run_id, name, step, value if type(value) is float else metric_value(name, value), now))
    if points:
        run._takes(points)


def log_points(run: Run, /, name: str, values: object, steps: object = None) -> None:
    """Log many points of one metric at once.

    Args:
        name: The metric.
        values: A sequence or an array of numbers, flattened.
        steps: As many whole numbers; by default they count from 0.

    Raises:
        InvalidInputError: kind ``bad-metric``: not as many steps as values, or something that is no number.
    """
    import numpy as np

    run._check_open()
    check_metric_name(name)
    try:
        numbers = np.asarray(values, dtype=np.float64).ravel()
        counted = np.arange(len(numbers)) if steps is None else np.asarray(steps).ravel()
    except (TypeError, ValueError) as exc:
        raise InvalidInputError(f"points of {name!r} are not numbers: {exc}", kind="bad-metric", name=name) from exc
    if len(counted) != len(numbers) or counted.dtype.kind not in "iu":
        raise InvalidInputError(
            f"points of {name!r} have {len(numbers)} values and {len(counted)} steps of {counted.dtype}",
            kind="bad-metric",
            hint="give a whole number for each value",
            name=name,
        )
    times = np.full(len(numbers), run._clock() // 1000)
    if len(numbers):
        rows = point_table([name] * len(numbers), counted, numbers, times)
        run._logger.columns(run.run_id, rows)


def log_event(
    run: Run,
    /,
    event_type: str | None = None,
    stage: str | None = None,
    metadata: object = None,
    *,
    model_name: str | None = None,
) -> str:
    """Log an event of this run and return its id; see ``Lake.log_event``.

    Args:
        event_type: What happened.
        stage: At which stage.
        metadata: Anything JSON-able, of any size.
        model_name: What it is about; by default the model of the run.
    """
    run._check_open()
    return events.log_event(run._session, model_name or run.model, stage, event_type, metadata, run.run_id)


def flush(run: Run, /) -> None:
    """Return when everything logged so far is committed: readable by everyone, lost by nobody.

    Raises:
        StorageError: The store failed; what was logged is kept and tried again.
    """
    run._logger.flush()

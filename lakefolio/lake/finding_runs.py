"""Methods of a lake that find runs, metrics and events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from lakefolio.runs.liveness import settled

if TYPE_CHECKING:
    import pyarrow as pa

    from lakefolio.lake.lake import Lake
    from lakefolio.runs.events import Event, EventStats
    from lakefolio.runs.following import RunNews
    from lakefolio.runs.listing import RunList
    from lakefolio.runs.record import RunManifest
    from lakefolio.runs.savings import Savings

__all__ = [
    "event_stats",
    "follow_run",
    "follow_runs",
    "get_event",
    "get_run",
    "get_run_manifest",
    "mark_lost_runs",
    "metric_history",
    "run_rows",
    "runs",
    "storage_savings",
]


def get_run(lake: Lake, /, run_id: str) -> RunManifest:
    """Return the record of a run as of this lake's version.

    Args:
        run_id: Its id, the beginning or the end of it (four characters or more), or its name.

    Raises:
        InvalidInputError: kind ``ambiguous-run``: several runs are meant; the hint lists them.
        NotFoundError: kind ``run-not-found``; the hint names the nearest.
    """
    from lakefolio.runs.record import manifest_of

    return manifest_of(settled(lake._session), run_id)


def get_run_manifest(lake: Lake, /, run_id: str) -> RunManifest:
    """Return the record of a run: :meth:`get_run` under the name that MLtrack users know."""
    return lake.get_run(run_id)


def runs(
    lake: Lake,
    /,
    *,
    type: str | None = None,
    project: str | None = None,
    model: str | None = None,
    status: str | None = None,
    parent: str | None = None,
    tag: str | None = None,
    where: str | None = None,
    sort: str | Iterable[str] = (),
    limit: int | None = None,
) -> RunList:
    """Return the runs that match all given conditions, newest first.

    A sequence of all of them as of one version, which holds up to 1,000 runs and reads others when they are asked for;
    ``list(…)`` holds all. ``.df()``, ``.pl()`` and ``.arrow()`` give a frame with a column for each parameter, and for
    each metric its last, min, max and best value (``metrics.auc``, ``metrics.auc.min``, …). If nothing is found, a
    warning names the type, project, model or tag that is written nearly so.

    Args:
        type: Its type.
        project: Its project.
        model: Its model.
        status: ``running``, ``done``, ``failed`` or ``lost``.
        parent: The run around it: its id, short id or name.
        tag: A tag it has.
        where: One SQL expression over the columns of the view ``runs``, as for :meth:`run_rows`.
        sort: Columns; prefix ``-`` for descending order (``-auc.max``); newest first by default.
        limit: Maximum number of results; all by default.
    """
    from lakefolio.query.near_misses import tell_unknown_words
    from lakefolio.runs.listing import listed

    wanted = {"type": type, "project": project, "model": model, "status": status, "parent": parent}
    by = [sort] if isinstance(sort, str) else list(sort)
    session = settled(lake._session)
    found = listed(session, wanted, tag, limit, where=where, sort=by)
    if not found and limit != 0:

        def words(field: str) -> list[str]:
            column = "unnest(tags)" if field == "tag" else field
            known = session.query(f"select distinct {column} from runs").fetchall()
            return [*(lake.run_types() if field == "type" else ()), *(word for (word,) in known if word)]

        tell_unknown_words({"type": type, "project": project, "model": model, "tag": tag}, words, "run")
    return found


def run_rows(
    lake: Lake,
    /,
    *,
    where: str | None = None,
    sort: str | Iterable[str] = (),
    columns: Iterable[str] | None = None,
    limit: int | None = None,
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return runs of the view ``runs`` as a table: the names of its columns, and its rows.

    A metric is a column, with the last value, and so are ``<metric>.min``, ``.max``, ``.best`` and ``.last``, which are
    told from all of its points; ``best`` is the least of a loss (see the view ``run_metrics``), else the greatest.

    Args:
        where: One SQL expression over the columns: ``val/loss.min < 0.3 and status = 'done'``. Names that are no words
            of SQL need no quotes, unless they could mean a formula of other columns.
        sort: Columns; prefix ``-`` for descending order (``-auc.max``); newest first by default.
        columns: Which to show, parameters and metrics by their names; by default what identifies a run, what ``where``
            and ``sort`` ask for, and metrics.
        limit: Maximum number of results; all by default.

    Raises:
        InvalidInputError: kind ``bad-query`` for a column there is not; ``sql`` for a ``where`` that is none.
    """
    from lakefolio.runs.table import run_rows

    by = [sort] if isinstance(sort, str) else list(sort)
    return run_rows(settled(lake._session), where, by, None if columns is None else list(columns), limit)


def follow_run(lake: Lake, /, run_id: str, *, every_s: float = 2.0) -> Iterator[RunNews]:
    """Yield points of metrics, events and states of a run: first those that exist, then new ones until it ends.

    Args:
        run_id: Its id, short id or name.
        every_s: How often to look, in seconds.

    Raises:
        NotFoundError: kind ``run-not-found``; the hint names the nearest.
        InvalidInputError: kind ``ambiguous-run``, or ``bad-limit`` for ``every_s``.
    """
    from lakefolio.runs.following import follow_run

    return follow_run(lake._session, run_id, every_s)


def follow_runs(lake: Lake, /, *, every_s: float = 2.0) -> Iterator[Lake]:
    """Yield this lake as it is, and again whenever something was committed or a run was lost; never ends.

    A look costs one request. ``for now in lake.follow_runs(): print(now.runs(status="running"))``.

    Args:
        every_s: How often to look, in seconds.
    """
    from lakefolio.runs.following import changes

    return (type(lake)(steady) for steady in changes(lake._session, every_s))


def metric_history(lake: Lake, /, run_id: str, name: str | None = None) -> pa.Table:
    """Return the points of a run, or of one of its metrics, in the order they were logged.

    Args:
        run_id: The id, short id or name of the run.
        name: The metric; by default all of them.

    Returns:
        One row per point: ``name`` (string), ``step`` (int64, null if none was given), ``value`` (double, NaN and
        infinities included), ``logged_at`` (timestamp[us, UTC], by the writer's clock).

    Raises:
        NotFoundError: kind ``run-not-found``; the hint names the nearest.
    """
    import pyarrow as pa

    run_id = lake.get_run(run_id).run_id  # what this process logged is committed by that
    session = lake._session
    found = session.journal.points_of(run_id, session.committed().version, name)
    found = found.select(["name", "step", "value", "logged_at"])
    return found.cast(pa.schema([one.with_nullable(True) for one in found.schema])).combine_chunks()


def mark_lost_runs(lake: Lake, /, silent_s: float = 900.0) -> list[str]:
    """Mark as ``lost`` the runs whose process died, and return their ids. One commit.

    On this host the process is looked for. Elsewhere silence tells: a run gives a sign of life every 5 minutes.
    Starting a run marks them, too; listing runs shows them as lost without writing.

    Args:
        silent_s: Seconds of silence after which a run on another host counts as dead.
    """
    from lakefolio.runs.liveness import mark_lost

    return mark_lost(lake._session, silent_s)


def storage_savings(lake: Lake, /) -> Savings:
    """Return what it saves that content is stored once, and that runs refer to it instead of copying it."""
    from lakefolio.runs.savings import savings_of

    return savings_of(lake._session)


def get_event(lake: Lake, /, event_id: str) -> Event:
    """Return an event, its text verified by its digest.

    Args:
        event_id: The id that :meth:`log_event` returned.

    Raises:
        NotFoundError: kind ``event-not-found``.
    """
    from lakefolio.runs.events import get_event

    return get_event(lake._session, event_id)


def event_stats(lake: Lake, /) -> EventStats:
    """Return how many events there are, and what compression saves."""
    from lakefolio.runs.events import event_stats

    return event_stats(lake._session)

"""Recording runs, metrics and events, and finding what was recorded."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from lakefolio.runs.settled import settled
from lakefolio.views.relations import literal

if TYPE_CHECKING:
    import pyarrow as pa

    from lakefolio.lake.lake import Lake
    from lakefolio.recording.tracking import Tracking
    from lakefolio.runs.events import Event, EventStats
    from lakefolio.runs.following import RunNews
    from lakefolio.runs.listing import RunList
    from lakefolio.runs.record import RunInput, RunManifest, RunOutput
    from lakefolio.runs.run import Run
    from lakefolio.runs.savings import Savings

__all__ = [
    "add_run_input",
    "add_run_output",
    "add_run_type",
    "capture",
    "create_run",
    "event_stats",
    "flush",
    "follow_run",
    "follow_runs",
    "get_event",
    "get_run",
    "get_run_manifest",
    "log_event",
    "mark_lost_runs",
    "metric_history",
    "resume_run",
    "run",
    "run_rows",
    "run_types",
    "runs",
    "storage_savings",
    "track",
]


# -- beginning -----------------------------------------------------------------------------------------


def run(
    lake: Lake,
    /,
    name: str | None = None,
    *,
    run_type: str | None = None,
    project: str | None = None,
    model: str | None = None,
    params: Mapping[str, object] | None = None,
    tags: str | Iterable[str] | None = None,
    description: str | None = None,
    folio: str | None = None,
    run_id: str | None = None,
    parent: str | Run | None = None,
    resume: bool = False,
    storage_modes: Iterable[object] | str | None = None,
    metadata: Mapping[str, object] | None = None,
) -> Run:
    """Start a run, for a ``with`` block that ends it; see :meth:`create_run`.

    Args:
        name: What people call it; need not be unique.
        folio: Where outputs go that are not named otherwise.
        run_id: Its id; by default a new one.
        resume: Go on with the run ``run_id`` if it exists; then all else but ``params`` and ``tags`` is as it was.
    """
    from lakefolio.errors import InvalidInputError
    from lakefolio.runs import starting

    if resume:
        if run_id is None:
            raise InvalidInputError("resume=True needs a run_id", kind="bad-arguments", hint="pass run_id=")
        if lake._session.metadata("run", run_id):
            run = starting.resume(lake._session, run_id)
            if params:
                run.set_params(params)
            return run.add_tags(*([tags] if isinstance(tags, str) else tags)) if tags else run
    spec = starting.RunSpec(
        run_id=run_id,
        name=name,
        run_type=run_type,
        project=project,
        model=model,
        params=params,
        tags=tags,
        description=description,
        folio=folio,
        parent=parent,
        storage_modes=storage_modes,
        metadata=metadata,
    )
    return starting.start(lake._session, spec)


def create_run(
    lake: Lake,
    /,
    run_id: str | None = None,
    run_type: str | None = None,
    storage_modes: Iterable[object] | str | None = None,
    *,
    name: str | None = None,
    project: str | None = None,
    model: str | None = None,
    params: Mapping[str, object] | None = None,
    tags: str | Iterable[str] | None = None,
    description: str | None = None,
    folio: str | None = None,
    parent: str | Run | None = None,
    metadata: Mapping[str, object] | None = None,
    inputs: Mapping[str, object] | None = None,
    status: str = "running",
    metrics: Mapping[str, object] | None = None,
    started_at: object = None,
    ended_at: object = None,
) -> Run:
    """Record a new run: one commit, all or nothing. End it with ``finish()``, or use it in a ``with`` block.

    Args:
        run_id: Its id, refused if it is taken; by default a new one that sorts by time.
        name: What people call it; need not be unique.
        folio: Where outputs go that are not named otherwise; by default ``runs/<run id>``.
        inputs: What it uses: name -> reference, URI or object; see ``Run.add_input``.
        status: ``done``, ``failed`` or ``lost`` records a run that is over, such as one of another tracker's.
        metrics: Of a run that is over: the last value of each metric.
        started_at: When it began; by default now.
        ended_at: Of a run that is over: when it ended; by default when it began, or now.

    Raises:
        AlreadyExistsError: kind ``run-exists``.
        InvalidInputError: kinds ``bad-run-type``, ``bad-run-status``, ``bad-params``, ``bad-name``, …
    """
    from lakefolio.runs import starting

    spec = starting.RunSpec(
        run_id=run_id,
        name=name,
        run_type=run_type,
        project=project,
        model=model,
        params=params,
        tags=tags,
        description=description,
        folio=folio,
        parent=parent,
        storage_modes=storage_modes,
        metadata=metadata,
        inputs=inputs,
        status=status,
        metrics=metrics,
        started_at=started_at,
        ended_at=ended_at,
    )
    return starting.start(lake._session, spec)


def resume_run(lake: Lake, /, run_id: str) -> Run:
    """Go on with a run, from any process, whatever became of it; its status is ``running`` again.

    Raises:
        NotFoundError: kind ``run-not-found``.
    """
    from lakefolio.runs import starting

    return starting.resume(lake._session, run_id)


def add_run_type(lake: Lake, /, name: str) -> list[str]:
    """Let runs of this lake be of a type of your own; return all types. One commit; idempotent."""
    from lakefolio.format.names import check_run_id
    from lakefolio.runs.starting import RUN_TYPES_KEY, types_of
    from lakefolio.runs.validation import RUN_TYPES

    check_run_id(name)
    if name not in lake.run_types():
        lake._session.annotate("lake", "", {RUN_TYPES_KEY: [*types_of(lake._session), name]})
    return [*RUN_TYPES, *types_of(lake._session)]


def run_types(lake: Lake, /) -> list[str]:
    """Return the types a run of this lake may have."""
    from lakefolio.runs.starting import types_of
    from lakefolio.runs.validation import RUN_TYPES

    lake._session.unwatched_committed()
    return [*RUN_TYPES, *types_of(lake._session)]


def add_run_input(lake: Lake, /, run: str | Run | RunManifest, name: str, data: object) -> RunInput:
    """Record an input of a run; see ``Run.add_input``.

    Args:
        name: What the run calls it.
        data: An object, a reference, an entry, or the URI of something outside.
    """
    from lakefolio.runs.starting import open_run

    return open_run(lake._session, run).add_input(name, data)


def add_run_output(lake: Lake, /, run: str | Run | RunManifest, name: str, obj: Any, **options: Any) -> RunOutput:
    """Store an output of a run; see ``Run.add_output``.

    Args:
        obj: Any object that a folio stores.
        **options: What ``Run.add_output`` takes besides.
    """
    from lakefolio.runs.starting import open_run

    return open_run(lake._session, run).add_output(name, obj, **options)


# -- finding -------------------------------------------------------------------------------------------


def get_run(lake: Lake, /, run_id: str) -> RunManifest:
    """Return what is recorded of a run at this lake's version.

    Args:
        run_id: Its id, the beginning or the end of it (four characters or more), or its name.

    Raises:
        InvalidInputError: kind ``ambiguous-run``: several runs are meant; the hint lists them.
        NotFoundError: kind ``run-not-found``; the hint names the nearest.
    """
    from lakefolio.runs.record import manifest_of

    return manifest_of(settled(lake._session), run_id)


def get_run_manifest(lake: Lake, /, run_id: str) -> RunManifest:
    """Return what is recorded of a run: :meth:`get_run` under the name that MLtrack users know."""
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
    """Return the runs of which all that is given is said, newest first.

    A list; ``.df()``, ``.pl()`` and ``.arrow()`` give a frame with a column for each parameter, and for each metric its
    last, min, max and best value (``metrics.auc``, ``metrics.auc.min``, …).

    Args:
        type: Its type.
        project: Its project.
        model: Its model.
        status: ``running``, ``done``, ``failed`` or ``lost``.
        parent: The run around it: its id, short id or name.
        tag: A tag it has.
        where: One SQL expression over the columns of the view ``runs``, as for :meth:`run_rows`.
        sort: Columns, a ``-`` before those that fall: ``-auc.max``; newest first by default.
        limit: Maximum number of results; all by default.
    """
    from lakefolio.runs.listing import listed

    wanted = {"type": type, "project": project, "model": model, "status": status, "parent": parent}
    by = [sort] if isinstance(sort, str) else list(sort)
    return listed(settled(lake._session), wanted, tag, limit, where=where, sort=by)


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
        sort: Columns, a ``-`` before those that fall (``-auc.max``); newest first by default.
        columns: Which to show, parameters and metrics by their names; by default what identifies a run, what ``where``
            and ``sort`` ask for, and metrics.
        limit: At most so many; all by default.

    Raises:
        InvalidInputError: kind ``bad-query`` for a column there is not; ``sql`` for a ``where`` that is none.
    """
    from lakefolio.runs.table import run_rows

    by = [sort] if isinstance(sort, str) else list(sort)
    return run_rows(settled(lake._session), where, by, None if columns is None else list(columns), limit)


def follow_run(lake: Lake, /, run_id: str, *, every_s: float = 2.0) -> Iterator[RunNews]:
    """Yield what there is of a run, then what comes, until it has ended: points of metrics, events, its status.

    A look costs one request, and a few more where the run has news; a run whose process died ends as ``lost``.

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

    return (type(lake)(still) for still in changes(lake._session, every_s))


def metric_history(lake: Lake, /, run_id: str, name: str | None = None) -> pa.Table:
    """Return the points of a run, or of one of its metrics, in the order they were logged.

    Columns: ``name``, ``step`` (null if none was given), ``value``, ``logged_at``.
    """
    run_id = lake.get_run(run_id).run_id  # what this process logged is committed by that
    only = "" if name is None else f" and name = {literal(name)}"
    # literals: DuckDB holds the rows of a query with parameters one by one
    chosen = f"run_id = {literal(run_id)}{only}"
    sql = f"select name, step, value, logged_at from metrics where {chosen} order by batch, ordinal"
    found: pa.Table = lake._session.query(sql).to_arrow_table()
    return found


def mark_lost_runs(lake: Lake, /, silent_s: float = 900.0) -> list[str]:
    """Mark as ``lost`` the runs whose process died, and return their ids. One commit.

    On this host the process is looked for. Elsewhere silence tells: a run gives a sign of life every 5 minutes.
    Who starts a run marks them too; who looks at runs is told that they are lost, and writes nothing.

    Args:
        silent_s: After so many seconds of silence a run elsewhere is taken for dead.
    """
    from lakefolio.runs.liveness import mark_lost

    return mark_lost(lake._session, silent_s)


def storage_savings(lake: Lake, /) -> Savings:
    """Return what it saves that content is stored once, and that runs refer to it instead of copying it."""
    from lakefolio.runs.savings import savings_of

    return savings_of(lake._session)


# -- events --------------------------------------------------------------------------------------------


def log_event(
    lake: Lake,
    /,
    model_name: str | None = None,
    stage: str | None = None,
    event_type: str | None = None,
    metadata: object = None,
    *,
    run_id: str | None = None,
) -> str:
    """Log an event of any kind and return its id; it is committed within the second, with what else is logged.

    Args:
        model_name: What it is about.
        stage: At which stage.
        event_type: What happened.
        metadata: Anything JSON-able, of any size; SQL reaches each key of it: ``metadata ->> '$.loss'``. It can't be
            taken out of the lake again: what may have to be erased one day is stored as an item, see ``gc``.
        run_id: The run it belongs to.

    Raises:
        InvalidInputError: kind ``bad-event``; nothing is logged.
    """
    from lakefolio.runs.events import log_event

    run = run_id or lake._session.run_id
    return log_event(lake._session, model_name, stage, event_type, metadata, run)


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


def flush(lake: Lake, /) -> None:
    """Return when everything logged through this lake so far is committed."""
    from lakefolio.runs.log_buffer import logger_of

    if not lake._session.read_only:
        logger_of(lake._session).flush()


# -- without being asked -------------------------------------------------------------------------------


def capture(lake: Lake, /, function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Decorate a function so that each call is a run of this lake; see ``lakefolio.capture``.

    Args:
        function: The function.
        **options: What ``lakefolio.capture`` takes besides.
    """
    from lakefolio.recording.decorator import capture

    return capture(function, lake=lake, **options)


def track(
    lake: Lake,
    /,
    name: str | None = None,
    *,
    run_type: str | None = None,
    project: str | None = None,
    model: str | None = None,
    params: Mapping[str, object] | None = None,
    tags: str | Iterable[str] | None = None,
    description: str | None = None,
    path: str | os.PathLike[str] | None = None,
) -> Tracking:
    """Let all that this process reads and adds from here on, in any cell, thread or task, belong to one run.

    What is read are the run's inputs, and the inputs of what is added without ``inputs=``. With the run are noted where
    its code is written, the code (of a notebook: the cells so far), packages and git state. It ends with
    ``.stop()`` or a ``with`` block, with the next ``track()`` of the lake, or with the process: as failed if an error
    ended the script, or the last cell. Runs that are begun meanwhile are children of it. One commit.

    Args:
        name: What people call it; by default the name of the notebook or script.
        run_type: See :meth:`create_run`, as for what is not said here.
        project: The project it belongs to.
        model: The model it makes or uses.
        params: Its parameters.
        tags: Words to find it by.
        description: One sentence on what it is.
        path: The file of the notebook or script, where the environment does not tell it.

    Raises:
        ReadOnlyError: The lake is read-only.
    """
    from lakefolio.recording import tracking
    from lakefolio.runs.starting import RunSpec

    spec = RunSpec(
        name=name,
        run_type=run_type,
        project=project,
        model=model,
        params=params,
        tags=tags,
        description=description,
    )
    return tracking.track(lake._session, spec, path)

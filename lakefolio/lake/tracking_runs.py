"""Recording runs and events."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lakefolio.lake.lake import Lake
    from lakefolio.recording.tracking import Tracking
    from lakefolio.runs.record import RunInput, RunManifest, RunOutput
    from lakefolio.runs.run import Run

__all__ = [
    "add_run_input",
    "add_run_output",
    "add_run_type",
    "capture",
    "create_run",
    "flush",
    "log_event",
    "resume_run",
    "run",
    "run_types",
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
        name: A name for people; need not be unique.
        folio: The folio of outputs for which no other is named.
        run_id: Its id; by default a new one.
        resume: Go on with the run ``run_id`` if it exists; then only ``params`` and ``tags`` are added; all else stays.
    """
    from lakefolio.errors import InvalidInputError
    from lakefolio.runs import starting

    if resume:
        if run_id is None:
            raise InvalidInputError("resume=True needs a run_id", kind="bad-arguments", hint="pass run_id=")
        if lake._session.metadata("run", run_id):
            run = starting.resume(lake._session, run_id, lake.register_model)
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
    return starting.start(lake._session, spec, lake.register_model)


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
        name: A name for people; need not be unique.
        folio: The folio of outputs for which no other is named; by default ``runs/<run id>``.
        inputs: Its inputs: name -> reference, URI or object; see ``Run.add_input``.
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
    return starting.start(lake._session, spec, lake.register_model)


def resume_run(lake: Lake, /, run_id: str) -> Run:
    """Go on with a run, from any process, whatever became of it; its status is ``running`` again.

    Raises:
        NotFoundError: kind ``run-not-found``.
    """
    from lakefolio.runs import starting

    return starting.resume(lake._session, run_id, lake.register_model)


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
        name: The name of the input in the run.
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
    """Log an event of any kind and return its id; it is committed within a second, together with logged metrics.

    Args:
        model_name: The model that the event is about.
        stage: The stage of the model's life, such as ``training``.
        event_type: The kind of event.
        metadata: Any JSON value, up to 64 MiB as text; SQL reaches each key: ``metadata ->> '$.loss'``. It can't be
            erased from the lake: store data that may have to be erased as an item, see ``gc``.
        run_id: The run it belongs to.

    Raises:
        InvalidInputError: kind ``bad-event``; nothing is logged.
    """
    from lakefolio.runs.events import log_event

    run = run_id or lake._session.run_id
    return log_event(lake._session, model_name, stage, event_type, metadata, run)


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
    """Start a run that records everything this process reads and adds from now on, in any cell, thread or task.

    Items that are read become inputs of the run, and inputs of the items that are added without ``inputs=``. The run
    records the file and the text of its code (of a notebook: the cells so far), packages and git state. It ends with
    ``.stop()`` or a ``with`` block, with the next ``track()`` of the lake, or with the process: as failed if an error
    ended the script, or the last cell. Runs that are started meanwhile are its children. One commit.

    Args:
        name: A name for people; by default that of the notebook or script.
        run_type: See :meth:`create_run`.
        path: The file of the notebook or script, if the environment does not tell it.

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

"""A run that goes on: what its code holds to say what it uses, makes and measures."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar, Token
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from lakefolio.errors import AlreadyExistsError, InvalidInputError
from lakefolio.format.names import check_item, parse_ref
from lakefolio.format.times import parse_time
from lakefolio.model.changes import RUN_OVER, SetRun
from lakefolio.model.resolve import check_run
from lakefolio.process.clock import elapsing_s
from lakefolio.process.keywords import explains_keywords
from lakefolio.runs import events
from lakefolio.runs.batches import Point, point_table
from lakefolio.runs.content import reference_of
from lakefolio.runs.facts import RunFacts
from lakefolio.runs.log_buffer import Logger, logger_of
from lakefolio.runs.record import RunInput, RunOutput, logged, manifest_of, time_of, values_of
from lakefolio.runs.validation import (
    check_facts,
    check_metric_name,
    check_status,
    error_facts,
    final_metrics,
    metric_value,
    param_texts,
    step_of,
)
from lakefolio.session.annotations import Annotations, check_tags, metadata_texts, without_secrets
from lakefolio.session.input_tracking import ActiveRun, Reads, enter, leave
from lakefolio.session.read_trace import unwatched

if TYPE_CHECKING:
    from lakefolio.session.session import Session

__all__ = ["Run", "current_run"]

_FURTHEST: Final = 2**63

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

_CURRENT: ContextVar[Run | None] = ContextVar("lakefolio_run", default=None)


def current_run() -> Run | None:
    """Return the innermost run in whose block this thread or task is, or None."""
    return _CURRENT.get()


@explains_keywords
class Run(RunFacts):
    """A run. In a ``with`` block it ends with it: ``done``, or ``failed`` with the traceback; else by :meth:`finish`.

    What is put into folios of the same lake in its block belongs to it. Safe to share between threads, and between
    processes that resume it. After its end every method that records something raises InvalidInputError (kind
    ``run-ended``).

    Attributes:
        run_id: Its id; ``lake.resume_run(run_id)`` goes on with it, from any process.
        folio: Where outputs go that are not named otherwise.
    """

    def __init__(self, session: Session, run_id: str, folio: str, *, watched: bool = True) -> None:
        self._session = session
        self.run_id = run_id
        self.folio = folio
        self._over = False
        self._names: set[str] = set()
        self._lock = threading.RLock()
        self._tokens: list[tuple[Token[Run | None], Any]] = []
        self._logger: Logger = logger_of(session)
        self._takes = self._logger.points
        self._reads: Reads = session.opened.reads.setdefault(run_id, Reads(run_id))
        self._clock: Callable[[], int] = time.time_ns
        self._began: tuple[datetime, float] | None = None
        if watched:
            self._logger.alive(run_id)

    def _repr_html_(self) -> str:
        return self.manifest()._repr_html_()

    def __repr__(self) -> str:
        return f"<Run {self.run_id} {self.status}>"

    @property
    def ended(self) -> bool:
        """Whether it was ended through this object."""
        return self._over

    # -- what it says of itself ----------------------------------------------------------------------------

    def set_params(self, params: Mapping[str, Any] | None = None, /, **more: Any) -> Self:
        """Set parameters. One commit; all or none."""
        return self._set(param_texts({**(params or {}), **more}))

    def add_tags(self, *tags: str) -> Self:
        """Add tags. One commit."""
        return self._set(metadata_texts({"tags": list(dict.fromkeys([*self.tags, *check_tags(tags)]))}))

    def annotate(self, values: Mapping[str, Any] | None = None, /, **more: Any) -> Self:
        """Note facts of it (``description=…``, anything JSON-able). One commit.

        Raises:
            InvalidInputError: kind ``bad-metadata``, for a name that the library itself writes.
        """
        facts = {**(values or {}), **more}
        check_facts(facts)
        known = {key: without_secrets(f"metadata {key!r}", one, names=True) for key, one in facts.items()}
        return self._set(metadata_texts(known))

    def _set(self, texts: Mapping[str, str | None]) -> Self:
        self._check_open()
        if texts:
            self._session.apply(SetRun(run_id=self.run_id, values=texts, alive=True))
        return self

    def _check_open(self) -> None:
        if self._over:
            raise InvalidInputError(
                f"run {self.run_id!r} has ended",
                kind="run-ended",
                hint="go on with it: lake.resume_run(id)",
                run_id=self.run_id,
            )

    # -- what it uses and makes ----------------------------------------------------------------------------

    def input(self, ref: str, name: str | None = None, **options: Any) -> Any:
        """Return the object that a reference names, and record that the run uses exactly this entry.

        Args:
            ref: ``folio:item``, ``folio:item@version`` or ``folio:item@snapshot``.
            name: What the run calls it; by default the item's name.
            **options: What the ``get`` of that kind takes (``as_="polars"``, …).
        """
        self._check_open()
        parsed = parse_ref(ref)
        if parsed.folio is None:
            raise InvalidInputError(f"input {ref!r} names no folio", kind="bad-ref", hint="write folio:name", ref=ref)
        entry = self._session.entry(parsed.folio, parsed.item, parsed.at)
        obj = self._session.load(entry, **options)
        self.add_input(name or parsed.item, entry, again=True)
        return obj

    def add_input(self, name: str, data: Any, *, again: bool = False) -> RunInput:
        """Record an input. A reference, never a copy: data that the lake holds already is not stored again. One commit.

        Args:
            name: What the run calls it.
            data: An object, a reference ``folio:item[@version]``, an entry, or the URI of something outside.
            again: Return what is recorded, instead of refusing, if this very input is.

        Raises:
            AlreadyExistsError: kind ``input-exists``: the run has another input of that name.
            NotFoundError: No such item.
        """
        check_item(name)
        with self._lock:
            self._check_open()
            with unwatched():
                known = [] if self._session.in_batch else manifest_of(self._session, self.run_id).inputs
            taken = next((one for one in known if one.name == name), None)
            with self._session.batch():
                ref = reference_of(self._session, name, data)
                if taken is not None and taken.ref == ref and again:
                    return taken
                if taken is not None:
                    raise AlreadyExistsError(
                        f"run {self.run_id!r} has an input {name!r} already: {taken.ref}",
                        kind="input-exists",
                        hint="give this one another name",
                        run_id=self.run_id,
                        name=name,
                    )
                self._reads.know(name, ref)
                self._session.apply(
                    SetRun(run_id=self.run_id, values={}, alive=True, input_names=(name,), input_refs=(ref,))
                )
        return self._found_input(name, ref)

    def _found_input(self, name: str, ref: str) -> RunInput:
        if self._session.in_batch:
            return RunInput(name, ref)
        with unwatched():
            return next(one for one in manifest_of(self._session, self.run_id).inputs if one.name == name)

    def add_output(
        self,
        name: str,
        obj: Any,
        *,
        to: str | None = None,
        overwrite: bool = False,
        keep: bool = False,
        description: str | None = None,
        tags: str | Iterable[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        inputs: str | Iterable[Any] | None = None,
        **options: Any,
    ) -> RunOutput:
        """Store what the run made. One commit; the entry says which run made it.

        Args:
            name: The item's name.
            obj: Any object that a folio stores.
            to: The folio, or ``folio:item``; by default the run's own.
            overwrite: Whether to replace an item of that name; its old entry stays in the history.
            keep: Whether description, tags and metadata that are not given are carried over from it.
            description: One sentence on what it is.
            tags: Words to find it by.
            metadata: Facts to note of it.
            inputs: What it was made from, besides the run's inputs.
            **options: What the handler of that kind takes.

        Raises:
            AlreadyExistsError: kind ``item-exists``: the name is taken.
            InvalidInputError: kind ``run-ended``: it was ended, be it by another process.
        """
        self._check_open()
        going_on = SetRun(run_id=self.run_id, values={}, alive=True)
        check_run(going_on, self._session.metadata_texts("run", self.run_id))  # before anything is encoded or sent
        folio, item = self.folio, check_item(name)
        if to is not None:
            folio, mark, named = to.partition(":")
            item = check_item(named) if mark else item
        with self._session.in_run(ActiveRun(self.run_id, self._reads)):
            self._session.put(
                folio,
                item,
                obj,
                Annotations.of(description, inputs, tags, metadata, overwrite=overwrite, keep=keep),
                options=options,
                provided=going_on,
            )
        entry = self._session.entry(folio, item)
        return RunOutput(item, entry.ref, entry.digest, entry.size_bytes, entry.entry_id, entry.kind)

    # -- what it measures ----------------------------------------------------------------------------------

    def log(self, step: int | None = None, /, **metrics: Any) -> None:
        """Log metrics, all with the same step: ``run.log(loss=0.3, auc=0.9, step=7)``.

        Returns at once; what was logged is committed within the second. A step may come again: both points stay.

        Raises:
            InvalidInputError: kind ``bad-metric``: no number, or no whole step; then none of them is logged.
        """
        if "step" in metrics:
            step = metrics.pop("step")
        self.log_metrics(metrics, step)

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None, *, at: Any = None) -> None:
        """Log metrics as :meth:`log` does, also of names that are no Python words.

        Args:
            metrics: Name -> number.
            step: The step of all of them.
            at: When they were measured, a time with a zone or a text of one; by default now.
        """
        if self._over:
            self._check_open()
        if step is not None and not (type(step) is int and -_FURTHEST <= step < _FURTHEST):
            step = step_of(step)
        now = self._clock() // 1000 if at is None else _microseconds(at)
        run_id, names = self.run_id, self._names
        points: list[Point] = []
        for name, value in metrics.items():
            if name not in names:
                names.add(check_metric_name(name))
            points.append((run_id, name, step, value if type(value) is float else metric_value(name, value), now))
        if points:
            self._takes(points)

    def log_points(self, name: str, values: Any, steps: Any = None) -> None:
        """Log many points of one metric at once: sequences or arrays; steps count from 0 if none are given.

        Raises:
            InvalidInputError: kind ``bad-metric``: not as many steps as values, or something that is no number.
        """
        import numpy as np

        self._check_open()
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
        times = np.full(len(numbers), self._clock() // 1000)
        if len(numbers):
            rows = point_table([name] * len(numbers), counted, numbers, times)
            self._logger.columns(self.run_id, rows)

    def log_event(
        self,
        event_type: str | None = None,
        stage: str | None = None,
        metadata: Any = None,
        *,
        model_name: str | None = None,
    ) -> str:
        """Log an event of this run and return its id; see ``lake.log_event``."""
        self._check_open()
        return events.log_event(self._session, model_name or self.model, stage, event_type, metadata, self.run_id)

    def flush(self) -> None:
        """Return when everything logged so far is committed: readable by everyone, lost by nobody.

        Raises:
            StorageError: The store failed; what was logged is kept and tried again.
        """
        self._logger.flush()

    # -- how it ends ---------------------------------------------------------------------------------------

    def finish(self, status: str = "done", *, ended_at: Any = None) -> Self:
        """End it, with all that was logged, in one commit.

        Args:
            status: ``done``, ``failed`` or ``lost``.
            ended_at: When it ended, if that was earlier; by default now.

        Raises:
            InvalidInputError: kind ``run-ended``, if it has ended; ``bad-run-status``, ``bad-time``.
            StorageError: The store failed; call it again.
        """
        said = {} if ended_at is None else {"ended_at": parse_time(ended_at).isoformat()}
        return self._end(check_status(status, RUN_OVER), said)

    def fail(self, error: BaseException | str) -> Self:
        """End it as ``failed``, with the traceback of an exception, or a text."""
        return self._end("failed", error_facts(error))

    def _end(self, status: str, facts: Mapping[str, Any]) -> Self:
        with self._lock:
            self._check_open()
            self._finish(status, facts)
        return self

    def _finish(self, status: str, facts: Mapping[str, Any]) -> None:
        texts = metadata_texts({"status": status, "ended_at": self._now().isoformat(), **facts})
        if self._session.in_batch:
            self._logger.flush()
            self._session.apply(SetRun(run_id=self.run_id, values=texts, alive=True))
        else:
            self._logger.end(self.run_id, lambda last: self._last(texts, last))
        self._close()

    def began(self, at: datetime) -> None:
        """Let it last from now on, whatever becomes of the clock that said it is ``at``."""
        self._began = (at, elapsing_s())

    def _now(self) -> datetime:
        """Return when it ends if it does now: never before it began, also where somebody set the clock back."""
        if self._began is not None:
            at, since = self._began
            return at + timedelta(seconds=elapsing_s() - since)
        now, started = datetime.now(UTC), time_of(self._session.metadata_known("run", self.run_id).get("started_at"))
        return now if started is None else max(now, started)

    def _close(self) -> None:
        """Take it for ended: it is recorded as over."""
        self._over = True
        self._logger.over(self.run_id)
        if not self._reads.waiting:  # else the batch that ends it takes them along
            self._session.opened.reads.pop(self.run_id, None)

    def _last(self, texts: Mapping[str, str], pending: Mapping[str, Any]) -> SetRun:
        """Return the change that ends it: its state, and the last value of each metric."""
        last = logged(self._session.journal.state, self.run_id) | values_of(pending)
        return SetRun(run_id=self.run_id, values={**texts, **final_metrics(last)}, alive=True)

    def __enter__(self) -> Self:
        self._check_open()
        active = ActiveRun(self.run_id, self._reads)
        self._tokens.append((_CURRENT.set(self), enter(self._session.place, active)))
        return self

    def _leave(self) -> None:
        """Be the current run no longer."""
        current, token = self._tokens.pop()
        leave(token)
        _CURRENT.reset(current)

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._leave()
        with self._lock:
            if self._over or self._tokens:
                return
            if exc is None:
                self._finish("done", {})
                return
            try:
                self._finish("failed", error_facts(exc))
            except Exception as own:  # the user's error is the one to be seen
                exc.add_note(f"lakefolio could not record that run {self.run_id} failed: {own}")


def _microseconds(at: Any) -> int:
    return (parse_time(at) - _EPOCH) // _MICROSECOND

"""A run in progress: the handle on which code records its inputs, outputs and metrics."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from lakefolio.errors import InvalidInputError
from lakefolio.format.times import parse_time
from lakefolio.model.changes import RUN_OVER, SetRun
from lakefolio.process.clock import elapsing_s
from lakefolio.process.facade import closed, facade, obtained
from lakefolio.process.signals import HeldSignals
from lakefolio.runs import run_data, run_logging, run_metrics
from lakefolio.runs.log_buffer import Logger, logger_of
from lakefolio.runs.read_only import read_only
from lakefolio.runs.record import RunInput, RunManifest, RunOutput, logged, manifest_of, time_of, values_of
from lakefolio.runs.run_names import display_name
from lakefolio.runs.validation import check_facts, check_status, error_facts, final_metrics, param_texts
from lakefolio.session.annotations import check_tags, metadata_texts, without_secrets
from lakefolio.session.input_tracking import ActiveRun, Reads, enter, leave
from lakefolio.terminal import visible

if TYPE_CHECKING:
    from lakefolio.session.session import Session

__all__ = ["Registrar", "Run", "as_active", "current_run", "finish_with", "has_unrecorded_reads", "leave_block"]


_Raised = type[BaseException] | None
Registrar = Callable[[str, RunOutput], object]
"""Makes an output the next version of the registered model of a name."""
_CURRENT: ContextVar[Run | None] = ContextVar("lakefolio_run", default=None)


def current_run() -> Run | None:
    """Return the innermost run in whose block this thread or task is, or None."""
    return _CURRENT.get()


def as_active(run: Run) -> ActiveRun:
    """Return a run as the session knows it: its id, and the inputs that it has read."""
    return ActiveRun(run.run_id, run._reads)


def has_unrecorded_reads(run: Run) -> bool:
    """Say whether a run has read inputs that its next commit records."""
    return run._reads.waiting


def finish_with(run: Run, facts: Mapping[str, object]) -> None:
    """End a run as ``done``, with further facts, in one commit; one that ended already gets the facts."""
    run._finish("done", facts)


def leave_block(run: Run) -> None:
    """Leave the ``with`` block of a run without ending it."""
    run._leave()


@closed("folio", "run_id")
@facade({})
@obtained("lake.run(name) starts one, lake.resume_run(run_id) goes on with one")
class Run:
    """A run. Its ``with`` block ends it: ``done``, or ``failed`` with the traceback; without one :meth:`finish` does.

    Items that are put into folios of the same lake in the block are outputs of the run. Safe to share between threads,
    and between processes that resume it. After its end every method that records something raises InvalidInputError
    (kind ``run-ended``).

    Attributes:
        run_id: Its id; ``lake.resume_run(run_id)`` goes on with it, from any process.
        folio: The folio of outputs for which no other is named.
    """

    def __init__(
        self,
        session: Session,
        run_id: str,
        folio: str,
        *,
        watched: bool = True,
        registrar: Registrar | None = None,
    ) -> None:
        self._session = session
        self._registrar = registrar
        self.run_id = run_id
        self.folio = folio
        self._over = False
        self._names: set[str] = set()
        self._lock = threading.RLock()
        self._tokens: list[tuple[Token[Run | None], Any]] = []
        self._entered_by = 0
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
        return visible(f"<Run {self._called()} {self.status}>", keep="")

    def _called(self) -> str:
        """Return its name and short id; no request."""
        name = self._session.metadata_known("run", self.run_id).get("name")
        return display_name(self.run_id, name if isinstance(name, str) else None)

    @property
    def ended(self) -> bool:
        """Whether it was ended through this object."""
        return self._over

    # -- what it uses, makes and measures ------------------------------------------------------------------

    input = run_data.input
    add_input = run_data.add_input
    add_output = run_data.add_output
    log = run_metrics.log
    log_metrics = run_metrics.log_metrics
    log_metric = run_logging.log_metric
    log_param = run_logging.log_param
    log_params = run_logging.log_params
    log_artifact = run_logging.log_artifact
    log_figure = run_logging.log_figure
    log_model = run_logging.log_model
    set_tag = run_logging.set_tag
    log_points = run_metrics.log_points
    log_event = run_metrics.log_event
    flush = run_metrics.flush

    # -- what is recorded of it ----------------------------------------------------------------------------

    def manifest(self) -> RunManifest:
        """Return what is recorded of it by now, what was logged up to this call included."""
        if not self._session.in_batch:
            self._logger.flush()
        return manifest_of(self._session, self.run_id)

    def to_dict(self) -> dict[str, Any]:
        """Return the manifest as JSON-able values."""
        return self.manifest().to_dict()

    @property
    def status(self) -> str:
        """``running``, ``done``, ``failed`` or ``lost``, as recorded."""
        return str(self._fact("status"))

    @property
    def type(self) -> str:
        """Its type."""
        return str(self._fact("type"))

    @property
    def run_type(self) -> str:
        """``type`` under the name that MLtrack users know."""
        return str(self._fact("type"))

    @property
    def name(self) -> str | None:
        """Its name, if it was given one."""
        return self._text("name")

    @property
    def project(self) -> str | None:
        """The project it belongs to."""
        return self._text("project")

    @property
    def model(self) -> str | None:
        """The model it makes or uses."""
        return self._text("model")

    @property
    def parent(self) -> str | None:
        """The id of the run around it."""
        return self._text("parent")

    @property
    def tags(self) -> list[str]:
        """Its tags, to be read; :meth:`add_tags` adds some."""
        return read_only(list(self._fact("tags") or []), f"tags of run {self.run_id!r}", "run.add_tags('word')")

    @property
    def params(self) -> dict[str, Any]:
        """Its parameters, to be read; :meth:`set_params` changes them."""
        facts = self._session.metadata("run", self.run_id)
        found = {key.removeprefix("params."): value for key, value in facts.items() if key.startswith("params.")}
        return read_only(found, f"params of run {self.run_id!r}", "run.set_params(lr=0.1)")

    @property
    def inputs(self) -> list[RunInput]:
        """What it uses."""
        return self.manifest().inputs

    @property
    def outputs(self) -> list[RunOutput]:
        """What it made."""
        return self.manifest().outputs

    def _fact(self, key: str) -> Any:
        return self._session.metadata("run", self.run_id).get(key)

    def _text(self, key: str) -> str | None:
        found = self._fact(key)
        return None if found is None else str(found)

    # -- what it says of itself ----------------------------------------------------------------------------

    def set_params(self, params: Mapping[str, object] | None = None, /, **more: object) -> Self:
        """Set parameters. One commit; all or none.

        Args:
            params: Name -> plain value; those named before keep theirs if they are not named here.
            **more: Parameters whose names are Python words.
        """
        return self._set(param_texts({**(params or {}), **more}))

    def add_tags(self, *tags: str) -> Self:
        """Add tags. One commit.

        Args:
            *tags: One line of printable text each.
        """
        return self._set(metadata_texts({"tags": list(dict.fromkeys([*self.tags, *check_tags(tags)]))}))

    def annotate(self, values: Mapping[str, object] | None = None, /, **more: object) -> Self:
        """Note facts of it. One commit.

        Args:
            values: Name -> JSON-able value, such as ``description``.
            **more: Facts whose names are Python words.

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
                f"run {self._called()!r} has ended",
                kind="run-ended",
                hint="go on with it: lake.resume_run(id)",
                run_id=self.run_id,
            )

    # -- how it ends ---------------------------------------------------------------------------------------

    def finish(self, status: str = "done", *, ended_at: Any = None) -> Self:
        """End the run, with all that was logged, in one commit.

        Args:
            status: ``done`` or ``failed``.
            ended_at: When it ended, if that was earlier; by default now.

        Raises:
            InvalidInputError: kind ``run-ended``: the run has ended already; ``bad-run-status``, ``bad-time``.
            StorageError: The store failed; call it again: a run ends once.
        """
        said = {} if ended_at is None else {"ended_at": parse_time(ended_at).isoformat()}
        return self._end(check_status(status, RUN_OVER), said)

    def fail(self, error: BaseException | str) -> Self:
        """End the run as ``failed``, in one commit.

        Args:
            error: An exception, whose traceback is recorded without secrets, or a text.
        """
        return self._end("failed", error_facts(error))

    def _end(self, status: str, facts: Mapping[str, object]) -> Self:
        with self._lock:
            self._check_open()
            self._finish(status, facts)
        return self

    def _finish(self, status: str, facts: Mapping[str, object]) -> None:
        texts = metadata_texts({"status": status, "ended_at": self._now().isoformat(), **facts})
        if self._session.in_batch:
            self._logger.flush()
            self._session.apply(SetRun(run_id=self.run_id, values=texts, alive=True))
        else:
            self._logger.end(self.run_id, lambda last: self._last(texts, last))
        self._close()

    def began(self, at: datetime) -> None:
        """Measure the duration from now on by a monotonic clock; ``at`` is the wall-clock time of now."""
        self._began = (at, elapsing_s())

    def _now(self) -> datetime:
        """Return the end time of a run that ends now: never before its start, even if the clock was set back."""
        if self._began is not None:
            at, since = self._began
            return at + timedelta(seconds=elapsing_s() - since)
        now, started = datetime.now(UTC), time_of(self._session.metadata_known("run", self.run_id).get("started_at"))
        return now if started is None else max(now, started)

    def _close(self) -> None:
        """Mark this handle as ended: the end of the run is recorded."""
        self._over = True
        self._logger.over(self.run_id)
        if not self._reads.waiting:  # else the batch that ends it takes them along
            self._session.opened.reads.pop(self.run_id, None)

    def _last(self, texts: Mapping[str, str], pending: Mapping[str, object]) -> SetRun:
        """Return the change that ends it: its state, and the last value of each metric."""
        last = logged(self._session.journal.state, self.run_id) | values_of(pending)
        return SetRun(run_id=self.run_id, values={**texts, **final_metrics(last)}, alive=True)

    def __enter__(self) -> Self:
        self._check_open()
        self._tokens.append((_CURRENT.set(self), enter(self._session.place, as_active(self))))
        self._entered_by = os.getpid()
        return self

    def _leave(self) -> None:
        """Be the current run no longer."""
        current, token = self._tokens.pop()
        leave(token)
        _CURRENT.reset(current)

    def __exit__(self, kind: _Raised, exc: BaseException | None, tb: TracebackType | None) -> None:
        if not self._tokens:
            raise InvalidInputError(
                f"run {self._called()} can't be left: its block was not entered",
                kind="run-not-entered",
                hint="with run: enters and leaves it; run.finish() ends a run that was not entered",
            )
        self._leave()
        with HeldSignals(), self._lock:  # it may import what ends the run
            if self._over or self._tokens or os.getpid() != self._entered_by:  # a forked child's block is its parent's
                return
            if exc is None:
                self._finish("done", {})
                return
            try:
                self._finish("failed", error_facts(exc))
            except Exception as own:  # the user's error is the one to be seen
                exc.add_note(f"lakefolio could not record that run {self._called()} failed: {own}")

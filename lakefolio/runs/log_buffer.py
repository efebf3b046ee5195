"""What is logged, gathered and committed by the second: metric points and events of all runs of one lake.

Logging costs an append to a list. A thread commits what has gathered half a second after the first of it (or as soon as
there is much; at once, if the commit before took that long), so a process that is killed loses at most the last second
where a commit takes less than half of one. What could not be committed is kept and tried again, as the same batch: it
lands once.
"""

from __future__ import annotations

import os
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from lakefolio.errors import LakefolioError
from lakefolio.model.changes import Change, LogBatch
from lakefolio.process.exit import at_exit
from lakefolio.runs.log_batches import Batches, Point, add_events, add_points

if TYPE_CHECKING:
    import pyarrow as pa

    from lakefolio.journal.journal import Committed
    from lakefolio.session.session import Session

__all__ = ["Logger", "logger_of", "settle_logged"]

GATHER_S: Final = 0.5
_MUCH: Final = 50_000
_TOO_MUCH: Final = 1_000_000
_RETRY_S: Final = 1.0
HEARTBEAT_S: Final = 300.0


@dataclass(slots=True)
class _Gathered:
    """What was logged and is one commit. Only added to under the logger's lock, while it gathers."""

    points: list[Point] = field(default_factory=list)
    columns: list[tuple[str, pa.Table]] = field(default_factory=list)
    column_count: int = 0
    events: list[tuple[dict[str, Any], list[Change]]] = field(default_factory=list)
    first_at: float = field(default_factory=time.monotonic)
    _batches: Batches | None = None

    def __bool__(self) -> bool:
        return bool(self.points or self.columns or self.events)

    @property
    def batches(self) -> Batches:
        """As rows and changes: made once, so that the ids of the batches stay the same however often it is tried."""
        if self._batches is None:
            batches = Batches()
            if self.points or self.columns:
                add_points(batches, self.points, self.columns)
            if self.events:
                add_events(batches, self.events)
            self._batches = batches
        return self._batches


class Logger:
    """The buffer of one lake. Safe to share between threads; a forked child begins with an empty one."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._flushing = threading.RLock()
        self._wake = threading.Condition(self._lock)
        # what gathers, and what waits to be committed: one reference, so that no exception can fall between them
        self._stages: tuple[_Gathered, tuple[_Gathered, ...]] = (_Gathered(), ())
        self._runs: dict[str, float] = {}
        self._thread: threading.Thread | None = None
        self._warned = False
        self._pid = os.getpid()

    # -- gathering -----------------------------------------------------------------------------------------

    def points(self, points: list[Point]) -> None:
        """Take points; returns at once, unless a million wait already."""
        self._session.store.check_process()
        with self._lock:
            gathered = self._gathering()
            first = not gathered.points
            gathered.points += points
            alone = (first or len(gathered.points) > _MUCH) and not self._start()
        if alone or len(gathered.points) > _TOO_MUCH:
            self.flush()

    def columns(self, run_id: str, rows: pa.Table) -> None:
        """Take many points of a run at once: the columns ``name``, ``step``, ``value``, ``logged_at``."""
        self._session.store.check_process()
        with self._lock:
            gathered = self._gathering()
            gathered.columns.append((run_id, rows))
            gathered.column_count += rows.num_rows
            alone = not self._start()
        if alone or gathered.column_count > _TOO_MUCH:
            self.flush()

    def event(self, row: dict[str, Any], changes: list[Change]) -> None:
        """Take an event: its row but for the batch, and what else its commit needs."""
        self._session.store.check_process()
        with self._lock:
            gathered = self._gathering()
            gathered.events.append((row, changes))
            alone = not self._start()
        if alone or len(gathered.events) > _MUCH:
            self.flush()

    def alive(self, run_id: str) -> None:
        """Give signs of life for a run until :meth:`over`."""
        with self._lock:
            self._runs[run_id] = time.monotonic()
            self._start(wake=False)

    def over(self, run_id: str) -> None:
        """Give no more signs of life for a run."""
        with self._lock:
            self._runs.pop(run_id, None)

    # -- committing ----------------------------------------------------------------------------------------

    def flush(self, *more: Change) -> Committed | None:
        """Commit what has gathered, and ``more`` with it, as one commit. It is readable by everyone on return.

        Raises:
            StorageError: If the store failed; what was gathered is kept, and tried again by the next flush.
            LakefolioError: If ``more`` is refused; what was gathered is committed without it.
        """
        with self._flushing:
            self._close()
            done: Committed | None = None
            while left := self._stages[1]:
                batches = left[0].batches
                self._store(batches)
                last = list(more) if len(left) == 1 else []
                try:
                    done = self._session.commit_now(*batches.changes, *last)
                except LakefolioError:
                    if last:
                        self._session.commit_now(*batches.changes)
                        self._landed(batches)
                    raise
                self._landed(batches)
                if last:
                    more = ()
            if more:
                done = self._session.commit_now(*more)
            with self._lock:
                if not self._stages[0] and not self._runs:
                    _busy.discard(self)
            return done

    def settle(self) -> None:
        """Return when everything that was logged before is committed; no request if nothing was. See :meth:`flush`.

        Raises:
            StorageError: If the store failed.
        """
        with self._flushing:  # whoever commits at this moment has taken it already
            if any(self._stages):
                self.flush()

    @property
    def place(self) -> tuple[str, str]:
        """Which lake it is of, through whichever handle."""
        return self._session.place

    def end(self, run_id: str, change: Callable[[Mapping[str, Any]], Change]) -> Committed | None:
        """Commit what has gathered, with a change made of the run's last metrics among it; see :meth:`flush`."""
        with self._flushing:
            if self._stages[1]:
                self.flush()
            pending: Mapping[str, Any] = {}
            if (new := self._close()) is not None:
                for one in new.batches.changes:
                    if isinstance(one, LogBatch) and one.reason == "metrics" and one.run_id == run_id:
                        pending = one.details["last"]
            return self.flush(change(pending))

    def _landed(self, batches: Batches) -> None:
        now = time.monotonic()
        with self._lock:
            gathering, left = self._stages
            self._stages = (gathering, tuple(one for one in left if one.batches is not batches))
            for run_id in batches.run_ids & self._runs.keys():
                self._runs[run_id] = now

    def _store(self, batches: Batches) -> None:
        logs, now = self._session.journal.logs, datetime.now(UTC)

        def store(name: str, batch_ids: list[str], rows: pa.Table) -> None:
            logs[name].append(batch_ids, rows, now)
            batches.rows.pop(name, None)  # at once: the other table may fail, and then this one is not stored again

        self._session.store.parallel([partial(store, name, *rows) for name, rows in batches.rows.items()])

    def _gathering(self) -> _Gathered:
        """Return what gathers. The caller holds the lock."""
        gathering = self._stages[0]
        if not gathering:
            gathering.first_at = time.monotonic()
        return gathering

    def _close(self) -> _Gathered | None:
        """Let what has gathered wait to be committed, and return it; None if there is nothing."""
        with self._lock:
            gathering, left = self._stages
            if not gathering:
                return None
            self._stages = (_Gathered(), (*left, gathering))
            return gathering

    # -- the thread ----------------------------------------------------------------------------------------

    def _start(self, *, wake: bool = True) -> bool:
        """Make sure that the thread runs; return False if none can be started. The caller holds the lock."""
        _busy.add(self)
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(
                target=_work, args=(weakref.ref(self), self._wake), name="lakefolio-logger", daemon=True
            )
            try:
                self._thread.start()
            except RuntimeError:  # as while the interpreter ends: the caller commits at once what it logs
                return False
        elif wake:
            self._wake.notify()
        return True

    def _turn(self) -> float:
        """Do what is due and return how long to wait for the next turn."""
        try:
            self.flush()
            self._beat()
            self._warned = False
        except LakefolioError as exc:
            if not self._warned:
                self._warned = True
                warnings.warn(f"what was logged could not be committed yet: {exc}", RuntimeWarning, stacklevel=1)
            return _RETRY_S
        with self._lock:
            due = min(self._runs.values(), default=None)
        return HEARTBEAT_S if due is None else max(1.0, due + HEARTBEAT_S - time.monotonic())

    def _beat(self) -> None:
        now = time.monotonic()
        with self._lock:
            silent = [run_id for run_id, last in self._runs.items() if now - last >= HEARTBEAT_S]
        if silent:
            self._session.commit_now(*(LogBatch(reason="heartbeat", run_id=run_id) for run_id in silent))
            with self._lock:
                self._runs |= {run_id: now for run_id in silent if run_id in self._runs}

    def _due_in(self) -> float | None:
        """Return in how many seconds what gathers is to be committed; None if there is nothing."""
        gathering = self._stages[0]
        if not gathering:
            return None
        if len(gathering.points) + gathering.column_count > _MUCH:
            return 0.0
        return gathering.first_at + GATHER_S - time.monotonic()


def _work(reference: weakref.ref[Logger], wake: threading.Condition) -> None:
    """Commit what gathers, for as long as somebody holds the logger."""
    wait_s = HEARTBEAT_S
    while True:
        with wake:
            logger = reference()
            idle = logger is not None and not any(logger._stages)
            del logger
            if idle:
                wake.wait(min(wait_s, 5.0))
            while True:
                logger = reference()
                due_s = None if logger is None else logger._due_in()
                del logger
                if due_s is None or due_s <= 0:
                    break
                wake.wait(due_s)
        logger = reference()
        if logger is None:
            return
        wait_s = logger._turn()
        if logger._stages[1]:
            time.sleep(_RETRY_S)
        del logger


# -- one for each lake -------------------------------------------------------------------------------------------

_loggers: weakref.WeakSet[Logger] = weakref.WeakSet()
_busy: set[Logger] = set()
"""Those with something to commit: kept, whoever lets go of them."""
_loggers_lock = threading.Lock()
_registered = False


def logger_of(session: Session) -> Logger:
    """Return the logger of a session's lake: one for all who share the journal."""
    global _registered
    with _loggers_lock:
        found = session.opened.part(Logger, lambda: Logger(session))
        _loggers.add(found)
        if not _registered:
            _registered = True
            at_exit(_flush_all)
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=_forget_all)
        return found


def settle_logged(session: Session) -> None:
    """Commit what this process has logged to a session's lake, through whichever handle, so that reads see it.

    If the store refuses, what is logged stays in line and a warning says so.
    """
    if session.pinned is not None or session.in_batch:
        return
    for logger in [one for one in list(_loggers) if one.place == session.place]:
        try:
            logger.settle()
        except LakefolioError as exc:
            warnings.warn(f"what was logged could not be committed yet: {exc}", RuntimeWarning, stacklevel=3)


def _flush_all() -> None:
    for logger in list(_loggers):
        try:
            logger.flush()
        except LakefolioError as exc:
            warnings.warn(f"what was logged last could not be committed: {exc}", RuntimeWarning, stacklevel=1)


def _forget_all() -> None:
    """A forked child: what has gathered is its parent's to commit."""
    global _loggers_lock
    _loggers_lock = threading.Lock()
    _busy.clear()
    for logger in list(_loggers):
        logger._reset()

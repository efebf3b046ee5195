"""What is logged, gathered and committed by the second: metric points and events of all runs of one lake.

Logging costs an append to a list. A thread commits what has gathered half a second after the first of it (or as soon as
there is much; at once, if the commit before took that long), so a process that is killed loses at most the last second
where a commit takes less than half of one. What could not be committed is kept and tried again, as the same batch: it
lands once.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from lakefolio.errors import LakefolioError
from lakefolio.model.changes import Change, LogBatch
from lakefolio.process.exit import at_exit
from lakefolio.runs.batches import Batches, Point, add_events, add_points

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


class Logger:
    """The buffer of one lake. Safe to share between threads; a forked child begins with an empty one."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._flushing = threading.RLock()
        self._wake = threading.Condition(self._lock)
        self._points: list[Point] = []
        self._columns: list[tuple[str, pa.Table]] = []
        self._column_count = 0
        self._events: list[tuple[dict[str, Any], list[Change]]] = []
        self._left: list[Batches] = []
        self._first_at = 0.0  # when the oldest came of what has gathered
        self._runs: dict[str, float] = {}
        self._thread: threading.Thread | None = None
        self._warned = False
        self._pid = os.getpid()

    # -- gathering -----------------------------------------------------------------------------------------

    def points(self, points: list[Point]) -> None:
        """Take points; returns at once, unless a million wait already."""
        with self._lock:
            self._note_time()
            gathered = self._points
            first = not gathered
            gathered += points
            if first or len(gathered) > _MUCH:
                self._start()
        if len(gathered) > _TOO_MUCH:
            self.flush()

    def columns(self, run_id: str, rows: pa.Table) -> None:
        """Take many points of a run at once: the columns ``name``, ``step``, ``value``, ``logged_at``."""
        with self._lock:
            self._note_time()
            self._columns.append((run_id, rows))
            self._column_count += rows.num_rows
            self._start()
        if self._column_count > _TOO_MUCH:
            self.flush()

    def event(self, row: dict[str, Any], changes: list[Change]) -> None:
        """Take an event: its row but for the batch, and what else its commit needs."""
        with self._lock:
            self._note_time()
            self._events.append((row, changes))
            self._start()
        if len(self._events) > _MUCH:
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
            new = self._gathered()
            if new is not None:
                self._left.append(new)
            done: Committed | None = None
            while self._left:
                batches = self._left[0]
                self._store(batches)
                last = list(more) if len(self._left) == 1 else []
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
                if not self._anything() and not self._runs:
                    _busy.discard(self)
            return done

    def settle(self) -> None:
        """Return when everything that was logged before is committed; no request if nothing was. See :meth:`flush`.

        Raises:
            StorageError: If the store failed.
        """
        with self._flushing:  # whoever commits at this moment has taken it already
            if self._anything() or self._left:
                self.flush()

    @property
    def place(self) -> tuple[str, str]:
        """Which lake it is of, through whichever handle."""
        return self._session.place

    def end(self, run_id: str, change: Callable[[Mapping[str, Any]], Change]) -> Committed | None:
        """Commit what has gathered, with a change made of the run's last metrics among it; see :meth:`flush`."""
        with self._flushing:
            if self._left:
                self.flush()
            new = self._gathered()
            pending: Mapping[str, Any] = {}
            if new is not None:
                self._left.append(new)
                for one in new.changes:
                    if isinstance(one, LogBatch) and one.reason == "metrics" and one.run_id == run_id:
                        pending = one.details["last"]
            return self.flush(change(pending))

    def _landed(self, batches: Batches) -> None:
        self._left.remove(batches)
        now = time.monotonic()
        with self._lock:
            for run_id in batches.run_ids & self._runs.keys():
                self._runs[run_id] = now

    def _store(self, batches: Batches) -> None:
        logs, now = self._session.journal.logs, datetime.now(UTC)
        self._session.store.parallel(
            [
                lambda name=name, ids=ids, rows=rows: logs[name].append(ids, rows, now)  # type: ignore[misc]
                for name, (ids, rows) in batches.rows.items()
            ]
        )
        batches.rows.clear()

    def _gathered(self) -> Batches | None:
        with self._lock:
            points, self._points = self._points, []
            columns, self._columns, self._column_count = self._columns, [], 0
            events, self._events = self._events, []
        batches = Batches()
        if points or columns:
            add_points(batches, points, columns)
        if events:
            add_events(batches, events)
        return batches if batches.changes else None

    # -- the thread ----------------------------------------------------------------------------------------

    def _start(self, *, wake: bool = True) -> None:
        """Make sure that the thread runs. The caller holds the lock."""
        _busy.add(self)
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(
                target=_work, args=(weakref.ref(self), self._wake), name="lakefolio-logger", daemon=True
            )
            self._thread.start()
        elif wake:
            self._wake.notify()

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

    def _much(self) -> bool:
        return len(self._points) + self._column_count > _MUCH

    def _anything(self) -> bool:
        return bool(self._points or self._columns or self._events)

    def _note_time(self) -> None:
        if not self._anything():
            self._first_at = time.monotonic()


def _work(reference: weakref.ref[Logger], wake: threading.Condition) -> None:
    """Commit what gathers, for as long as somebody holds the logger."""
    wait_s = HEARTBEAT_S
    while True:
        with wake:
            logger = reference()
            idle = logger is not None and not logger._anything() and not logger._left
            del logger
            if idle:
                wake.wait(min(wait_s, 5.0))
            while True:
                logger = reference()
                if logger is None or logger._much() or not logger._anything():
                    break
                left = logger._first_at + GATHER_S - time.monotonic()
                del logger
                if left <= 0:
                    break
                wake.wait(left)
        logger = reference()
        if logger is None:
            return
        wait_s = logger._turn()
        if logger._left:
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
        found = session.journal.logger
        if found is None:
            found = session.journal.logger = Logger(session)
            _loggers.add(found)
        if not _registered:
            _registered = True
            at_exit(_flush_all)
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=_forget_all)
        assert isinstance(found, Logger)
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
        with contextlib.suppress(LakefolioError):
            logger.flush()


def _forget_all() -> None:
    """A forked child: what has gathered is its parent's to commit."""
    global _loggers_lock
    _loggers_lock = threading.Lock()
    _busy.clear()
    for logger in list(_loggers):
        logger._reset()

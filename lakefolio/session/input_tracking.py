"""The reads of a run's code: collected as it reads, and recorded as the run's inputs by the run's next commit.

An input that was noted so is called by its reference, ``folio:item`` (and ``folio:item@version`` if the run read
another version of it before), which no input that somebody named can be called.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar, Token
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from lakefolio.config.settings import setting
from lakefolio.errors import ConflictError, LakefolioError, StorageError
from lakefolio.model.changes import Change, SetRun

if TYPE_CHECKING:
    from lakefolio.journal.journal import Committed
    from lakefolio.model.entries import Entry

__all__ = ["ActiveRun", "Place", "Reads", "active_run", "commit_with", "enter", "leave", "reads_of", "set_process_run"]

Place = tuple[str, str]
"""Which lake it is, through whichever handle: its id and its address."""


class Reads:
    """The items that one run has read. Safe to share between threads.

    Attributes:
        told: Whether the user was told that added items get the read items as inputs.
    """

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self._lock = threading.Lock()
        self._refs: set[str] = set()
        self._names: set[str] = set()
        self._waiting: dict[str, str] = {}
        self._newest: dict[tuple[str, str], Entry] = {}
        self.told = False

    @property
    def newest(self) -> list[Entry]:
        """The entries read so far: the last one of each item, the run's own entries included."""
        return list(self._newest.values())

    @property
    def waiting(self) -> bool:
        """Whether there is something that no commit has taken yet."""
        return bool(self._waiting)

    def know(self, name: str, ref: str) -> None:
        """Take an input for noted: its run was given it, or was when it began."""
        with self._lock:
            self._refs.add(ref)
            self._names.add(name)
            self._waiting.pop(ref, None)

    def read(self, entry: Entry) -> None:
        """Record an entry whose content was read, once; this commits nothing.

        The run's own outputs are no inputs, and nothing is recorded while the setting ``capture`` is off.
        """
        if not setting("capture"):
            return
        self._newest[entry.folio, entry.item] = entry
        ref = entry.ref
        if ref in self._refs or entry.run_id == self.run_id:
            return
        with self._lock:
            if ref not in self._refs:
                name = f"{entry.folio}:{entry.item}"
                name = ref if name in self._names else name
                self._refs.add(ref)
                self._names.add(name)
                self._waiting[ref] = name

    def take(self) -> SetRun | None:
        """Return the change that records the reads since the last call, if there were any."""
        with self._lock:
            taken, self._waiting = self._waiting, {}
        if not taken:
            return None
        return SetRun(run_id=self.run_id, values={}, input_names=tuple(taken.values()), input_refs=tuple(taken))

    def give_back(self, change: SetRun) -> None:
        """Keep the change that :meth:`take` gave for the next commit, because its commit failed."""
        with self._lock:
            self._waiting = dict(zip(change.input_refs, change.input_names, strict=True)) | self._waiting


def commit_with(
    reads: Iterable[Reads], changes: Sequence[Change], commit: Callable[[Sequence[Change]], Committed]
) -> Committed:
    """Commit changes, and with them the reads; if those can't be recorded, the changes are committed alone."""
    taken = [(one, change) for one in reads if (change := one.take()) is not None]
    if not taken:
        return commit(changes)
    try:
        return commit([*changes, *(change for _, change in taken)])
    except (StorageError, ConflictError):
        _give_back(taken)
        raise
    except LakefolioError as exc:
        try:
            done = commit(changes)
        except BaseException:
            _give_back(taken)
            raise
        if exc.kind == "run-not-found":  # the batch that starts the run is not committed yet
            _give_back(taken)
        else:
            refs = [ref for _, change in taken for ref in change.input_refs]
            said = f"inputs of the run that were not recorded: {', '.join(refs)[:300]}: {exc.message}"
            warnings.warn(said, RuntimeWarning, stacklevel=2)
        return done
    except BaseException:
        _give_back(taken)
        raise


def _give_back(taken: Iterable[tuple[Reads, SetRun]]) -> None:
    for one, change in taken:
        one.give_back(change)


# -- the run in whose block a thread or task is ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ActiveRun:
    """A run that code belongs to.

    Attributes:
        run_id: The run.
        reads: Where its reads gather; None if they are nobody's business.
    """

    run_id: str
    reads: Reads | None = None


_RUNS: ContextVar[Mapping[Place, ActiveRun | None]] = ContextVar("lakefolio_runs", default=MappingProxyType({}))
Entered = Token[Mapping[Place, ActiveRun | None]]
_PROCESS_RUNS: Final[dict[Place, ActiveRun]] = {}
"""The runs that a whole process belongs to: those of all threads and tasks that are in no run's block. Each change is
one operation, which the interpreter makes atomic."""


def active_run(place: Place) -> ActiveRun | None:
    """Return the innermost run of a lake whose block this thread or task is in, else that of the process."""
    inner = _RUNS.get()
    return inner[place] if place in inner else _PROCESS_RUNS.get(place)


def set_process_run(place: Place, run: ActiveRun | None) -> None:
    """Let all reads and commits of this process in a lake belong to a run, except of other runs; None ends it."""
    if run is None:
        _PROCESS_RUNS.pop(place, None)
    else:
        _PROCESS_RUNS[place] = run


def enter(place: Place, run: ActiveRun | None) -> Entered:
    """Make a run the innermost one, until :func:`leave` gets the returned token; None is no run, even inside of one."""
    return _RUNS.set({**_RUNS.get(), place: run})


def leave(entered: Entered) -> None:
    """Undo :func:`enter`."""
    _RUNS.reset(entered)


def reads_of(place: Place, known: Mapping[str, Reads], changes: Iterable[Change]) -> list[Reads]:
    """Return where the reads gather of the runs that a commit is of: the active one, and those its changes name.

    Args:
        place: The lake.
        known: Those of the runs that go on here, by run id.
        changes: The changes to commit.
    """
    active = active_run(place)
    found = {} if active is None or active.reads is None else {active.run_id: active.reads}
    for run_id in {getattr(change, "run_id", None) for change in changes} if known else ():
        if run_id is not None and run_id in known:
            found.setdefault(run_id, known[run_id])
    return list(found.values())

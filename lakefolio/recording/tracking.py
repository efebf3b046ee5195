"""``lake.track()``: all that this process reads and adds, in any cell, thread or task, belongs to one run.

The run begins with the call. It ends with :meth:`Tracking.stop`, with the ``with`` block, with the next ``track()`` of
the same lake, or with the process: then as ``failed`` if an error ended the script, or the last cell of a notebook. A
killed process leaves it to be found ``lost``, as any run. The code is an item of the folio ``code``, called by its
digest, and noted with the run: a script's when the run begins, a notebook's after each cell that changed the lake.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from lakefolio.errors import LakefolioError
from lakefolio.format.digest import sha256_of_bytes
from lakefolio.format.names import new_id
from lakefolio.items import handler_of
from lakefolio.model.changes import Change, Put, SetRun
from lakefolio.process.exit import at_exit
from lakefolio.process.notice import LakefolioWarning, notice, say
from lakefolio.recording.source_code import code_so_far, here, shell
from lakefolio.runs.run import as_active, has_unrecorded_reads
from lakefolio.runs.starting import RunSpec, start
from lakefolio.session.input_tracking import set_process_run

if TYPE_CHECKING:
    from lakefolio.runs.run import Run
    from lakefolio.session.session import Session

__all__ = ["CODE_FOLIO", "Tracking", "track"]

CODE_FOLIO: Final = "code"
_current: Final[dict[tuple[str, str], Tracking]] = {}


class Tracking:
    """The run that this process belongs to in one lake, until :meth:`stop`. Made by ``lake.track()``.

    Attributes:
        run: The run: ``tracking.run.log(loss=0.1)``.
    """

    def __init__(self, session: Session, run: Run) -> None:
        self.run = run
        self._session = session
        self._pid = os.getpid()
        self._over = False
        self._error: BaseException | None = None
        self._code: str | None = None
        self._version = -1
        self._began = session.journal.state.version
        self._hook = sys.excepthook
        self._shell = shell()

    def __repr__(self) -> str:
        return f"<Tracking {self.run.run_id} {'ended' if self._over else 'running'}>"

    def _repr_html_(self) -> str:
        return self.run._repr_html_()

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self._over

    @property
    def unused(self) -> bool:
        """Whether nothing was read from the lake or added to it since, by anybody."""
        return self._session.journal.state.version == self._began and not has_unrecorded_reads(self.run)

    def stop(self, error: BaseException | None = None) -> Run:
        """End the run, as ``done``, or as ``failed`` with an error; idempotent. Returns the run.

        Raises:
            StorageError: The store failed; call it again.
        """
        if not self._over:
            self._note_code()
            if not self.run.ended:
                if error is None:
                    self.run.finish()
                else:
                    self.run.fail(error)
            self._leave()
        return self.run

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        try:
            self.stop(exc)
        except LakefolioError as own:
            self._leave()
            if exc is None:
                raise
            exc.add_note(f"lakefolio could not record that run {self.run.run_id} failed: {own}")

    # -- its life in the process -----------------------------------------------------------------------------

    def _begin(self) -> None:
        place = self._session.place
        set_process_run(place, as_active(self.run))
        _current[place] = self
        at_exit(self._at_exit)
        if self._shell is not None:
            self._shell.events.register("post_run_cell", self._after_cell)
        elif not hasattr(sys, "ps1"):
            sys.excepthook = self._excepthook

    def _leave(self) -> None:
        self._over = True
        place = self._session.place
        if _current.get(place) is self:
            del _current[place]
            set_process_run(place, None)
        if self._shell is not None:
            with suppress(ValueError):  # somebody cleared the events
                self._shell.events.unregister("post_run_cell", self._after_cell)
        elif sys.excepthook == self._excepthook:
            sys.excepthook = self._hook

    def _excepthook(self, kind: type[BaseException], exc: BaseException, tb: TracebackType | None) -> None:
        self._error = exc
        self._hook(kind, exc, tb)

    def _after_cell(self, result: object = None) -> None:
        self._error = getattr(result, "error_before_exec", None) or getattr(result, "error_in_exec", None)
        if self._over or self.run.ended:
            return
        if self._session.journal.state.version != self._version or has_unrecorded_reads(self.run):
            try:
                self._note_code()
            except LakefolioError as exc:
                notice(
                    LakefolioWarning(
                        f"the code of the cells was not noted with run {self.run.run_id}: {exc.message}",
                        kind="code-not-noted",
                        hint="it is noted after the next cell",
                    )
                )

    def _at_exit(self) -> None:
        if self._over or os.getpid() != self._pid:
            return
        try:
            self.stop(self._error)
        except LakefolioError as exc:
            print(f"lakefolio: the end of run {self.run.run_id} was not recorded: {exc}", file=sys.stderr)

    def _note_code(self) -> None:
        """Record the code so far with the run, if it has changed, and the items read. One commit, or none."""
        unused = self.unused
        changes, name = code_changes(self._session)
        if name is not None and name != self._code and not self.run.ended:
            self._session.apply(*changes, SetRun(run_id=self.run.run_id, values={"source_code": json.dumps(name)}))
            self._code = name
        self._version = self._session.journal.state.version
        if unused:
            self._began = self._version


def track(session: Session, spec: RunSpec, path: str | os.PathLike[str] | None = None) -> Tracking:
    """Begin a run that all of this process belongs to; see ``Lake.track``."""
    session.check_writable()
    earlier = _current.get(session.place)
    if earlier is not None:
        earlier.stop()
    place = here(path)
    where = {} if place.path is None else {place.kind: place.path}
    metadata: Mapping[str, object] = {"tracked": place.kind, **where, **(spec.metadata or {})}
    tracking = Tracking(session, start(session, replace(spec, name=spec.name or place.name, metadata=metadata)))
    tracking._begin()
    if tracking._shell is None:
        tracking._note_code()
    say(
        f"tracking {session.uri}: items read and added from here on belong to run {tracking.run.run_id}; stop() ends it"
    )
    return tracking


def code_changes(session: Session) -> tuple[list[Change], str | None]:
    """Return the changes that add the code of this process to the lake, if it lacks it, and the name of its item."""
    text = code_so_far()
    if text is None:
        return [], None
    body = text.encode("utf-8", "replace")
    name = sha256_of_bytes(body).removeprefix("sha256:")[:12]
    if session.unwatched_committed().live(CODE_FOLIO, name):
        return [], name
    encoded = handler_of("artifact").encode(body, scratch=None, filename="code.py", media_type="text/x-python")  # type: ignore[arg-type]
    stored = session.blobs.put(encoded, session.journal.state)
    return [Put(folio=CODE_FOLIO, item=name, stored=stored, entry_id=new_id(), overwrite=True)], name

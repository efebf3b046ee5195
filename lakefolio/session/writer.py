"""How changes become commits: who may write, the run they belong to, the batch that is open.

What an open batch has changed its own reader sees; what gc gave up while a commit was under way is stored again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

from lakefolio.content.reupload_buffer import Kept
from lakefolio.errors import ConflictError, NotFoundError, ReadOnlyError
from lakefolio.format.names import is_uri, new_id, parse_ref
from lakefolio.journal.journal import Committed
from lakefolio.model.changes import KEEP, Annotate, Change, Commit, LogBlob, Put, Update
from lakefolio.model.entries import Entry
from lakefolio.model.pending_state import Overlay
from lakefolio.model.planner import Plan, plan_commit
from lakefolio.model.resolve import is_relative
from lakefolio.model.state import State
from lakefolio.session.annotations import metadata_texts
from lakefolio.session.batches import PURGED_MEANWHILE, Batch
from lakefolio.session.input_tracking import ActiveRun, active_run, commit_with, enter, leave, reads_of
from lakefolio.session.reader import Reader

__all__ = ["Writer"]

_RENEWALS = 20

_BATCHES: ContextVar[Mapping[int, Batch]] = ContextVar("lakefolio_batches", default=MappingProxyType({}))


class Writer(Reader):
    """See the module. Safe to share between threads; a batch belongs to the thread (or task) that opened it."""

    def check_writable(self) -> None:
        """Raise ReadOnlyError if this session may not write."""
        if self.pinned is not None:
            raise ReadOnlyError(
                f"version {self.pinned} of {self.uri} is the past and can't be changed",
                kind="read-only-version",
                hint="write through the lake itself; restore() brings the past back",
                uri=self.uri,
                version=self.pinned,
            )
        if self.read_only:
            raise ReadOnlyError(
                f"lake {self.uri} is opened read-only", hint="open it without read_only=True", uri=self.uri
            )

    # -- the run around ------------------------------------------------------------------------------------

    @property
    def run_id(self) -> str | None:
        """The run in whose block this thread (or task) is: what is put belongs to it."""
        active = active_run(self.place)
        return None if active is None else active.run_id

    @contextmanager
    def in_run(self, run: ActiveRun | None) -> Iterator[None]:
        """Let all that is put and read in the block belong to a run."""
        entered = enter(self.place, run)
        try:
            yield
        finally:
            leave(entered)

    def was_read(self, *entries: Entry) -> None:
        """Let content that a user was given be an input of the run in whose block that was, with its next commit."""
        active = active_run(self.place)
        if active is not None and active.reads is not None:
            for entry in entries:
                if entry.version <= self.journal.state.version:  # what an open batch has put is nobody's input yet
                    active.reads.read(entry)

    # -- committing ----------------------------------------------------------------------------------------

    def annotate(self, kind: Any, subject_id: str, values: Mapping[str, Any], *, remove: Iterable[str] = ()) -> None:
        """Set metadata of the lake or a folio, and remove the keys in ``remove``. One commit."""
        texts: dict[str, str | None] = dict(metadata_texts(values))
        texts |= dict.fromkeys(remove)
        self.apply(Annotate(kind, subject_id, texts))

    def commit_now(self, *changes: Change) -> Committed:
        """Commit changes at once, whatever batch is open: what was logged, which no batch can take back."""
        self.check_writable()
        return self._commit(changes, None)

    def apply(self, *changes: Change, message: str | None = None, kept: Kept | None = None) -> None:
        """Commit changes as one, or add them to the open batch.

        Raises:
            LakefolioError: Whatever the planner objects to; then nothing has happened.
        """
        self.check_writable()
        changes = tuple(map(self._with_exact_inputs, changes))
        batch = self._batch()
        if batch is None:
            self._commit(changes, message, kept)
        else:
            batch.add(changes)

    def _with_exact_inputs(self, change: Change) -> Change:
        """Return a change whose inputs are the same whenever, and by whichever host, it is planned."""
        if (
            not isinstance(change, Put | Update)
            or change.inputs is KEEP
            or not any("@" in one for one in change.inputs)
        ):
            return change
        return replace(change, inputs=tuple(self._exact(text, change.folio) for text in change.inputs))

    def _exact(self, text: str, folio: str) -> str:
        ref = None if is_uri(text) else parse_ref(text, folio=folio)
        if ref is None or not is_relative(ref.at):
            return text
        try:
            return f"{ref.folio}:{ref.item}@{self.resolve(ref.at, ref.folio)}"
        except NotFoundError:  # the planner refuses it, as an input
            return text

    @property
    def in_batch(self) -> bool:
        """Whether a batch is open here."""
        return self._batch() is not None

    def _commit(self, changes: Sequence[Change], message: str | None, kept: Kept | None = None) -> Committed:
        reads = reads_of(self.place, self.journal.reads, changes)
        return commit_with(reads, changes, lambda all_of_them: self._tried(all_of_them, message, kept))

    def _tried(self, changes: Sequence[Change], message: str | None, kept: Kept | None) -> Committed:
        for renewal in range(_RENEWALS):
            commit = Commit(commit_id=new_id(), changes=changes, author=self.author, message=message)
            try:
                return self.journal.commit(commit)
            except ConflictError as exc:
                if exc.kind != PURGED_MEANWHILE or renewal == _RENEWALS - 1:
                    raise
            self.journal.refresh()
            changes = self._renewed(changes, kept)
        raise AssertionError

    def _renewed(self, changes: Sequence[Change], kept: Kept | None) -> list[Change]:
        """Return the changes with each blob that gc gave up since stored again, under its next generation."""
        state = self.journal.state
        return [
            replace(change, stored=self.blobs.renew(change.stored, state, kept))
            if isinstance(change, Put | LogBlob) and state.is_purged(change.stored)
            else change
            for change in changes
        ]

    @contextmanager
    def batch(self, message: str | None = None) -> Iterator[None]:
        """Make all changes in the block one commit; an exception commits nothing. An inner batch joins the outer.

        Changes are checked where they are made, and once more against the newest state at the end of the block.
        """
        self.check_writable()
        if self._batch() is not None:
            yield
            return
        batch = Batch(self, message)
        token = _BATCHES.set({**_BATCHES.get(), id(self.journal): batch})
        try:
            try:
                yield
            finally:
                _BATCHES.reset(token)
            if batch.changes:
                self._commit(batch.changes, message, batch.kept)
        finally:
            batch.kept.close()

    def plan(self, *changes: Change) -> list[dict[str, Any]]:
        """Return the rows of ``manifests`` that changes would make now, and make none."""
        self.journal.refresh()
        return self._planned(changes, self._view()).manifests

    # -- the open batch ------------------------------------------------------------------------------------

    def _batch(self) -> Batch | None:
        return _BATCHES.get().get(id(self.journal))

    def _pending(self) -> Overlay | None:
        batch = self._batch()
        return None if batch is None else batch.overlay

    def _known(self) -> State | Overlay:
        """Return the newest state known, without asking the store."""
        batch = self._batch()
        return self.journal.known if batch is None else batch.overlay

    def _view(self) -> Overlay:
        batch = self._batch()
        return self._overlay() if batch is None else batch.overlay

    def _overlay(self) -> Overlay:
        return Overlay(self.journal.state, self.journal.content_of, self.journal.state.version + 1)

    def _planned(self, changes: Sequence[Change], overlay: Overlay) -> Plan:
        state = self.journal.state
        return plan_commit(
            Commit(commit_id="", changes=changes, author=self.author),
            state,
            overlay,
            first_ordinal=0,
            version=state.version + 1,
            committed_at=state.committed_at or datetime.now().astimezone(),
        )

    def _row_of(self, change: Put) -> dict[str, Any]:
        """Return the row that a change would make."""
        return self._planned([replace(change, overwrite=True)], self._overlay()).manifests[0]

    def _moved(self) -> bool:
        before = self.journal.state.version
        return self.journal.refresh().version != before

"""How changes become commits: the right to write, the run they belong to, the open batch.

An open batch's own reader sees its changes. Content that gc purged while a commit was under way is stored again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lakefolio.content.reupload_buffer import ReuploadBuffer
from lakefolio.errors import ConflictError, LakefolioError, NotFoundError, ReadOnlyError
from lakefolio.format.names import is_uri, new_id, parse_ref
from lakefolio.journal.journal import Committed
from lakefolio.model.changes import KEEP, Annotate, Change, Commit, Put, Restore, TakeSnapshot, Update
from lakefolio.model.entries import Entry
from lakefolio.model.resolve import is_relative
from lakefolio.session.annotations import metadata_texts, refuse_own_facts
from lakefolio.session.batches import BATCHES, PURGED_MEANWHILE, Batch, open_batch, planned, renewed, view
from lakefolio.session.input_tracking import ActiveRun, active_run, commit_with, enter, leave, reads_of

if TYPE_CHECKING:
    from lakefolio.session.session import Session

__all__ = ["annotate", "apply", "batch", "check_writable", "commit_now", "in_run", "plan", "was_read"]

_RENEWALS = 20


def check_writable(session: Session, /) -> None:
    """Raise ReadOnlyError if this session may not write."""
    if session.pinned is not None:
        raise ReadOnlyError(
            f"version {session.pinned} of {session.uri} is the past and can't be changed",
            kind="read-only-version",
            hint="write through the lake itself; restore() brings the past back",
            uri=session.uri,
            version=session.pinned,
        )
    if session.read_only:
        raise ReadOnlyError(
            f"lake {session.uri} is opened read-only", hint="open it without read_only=True", uri=session.uri
        )


@contextmanager
def in_run(session: Session, /, run: ActiveRun | None) -> Iterator[None]:
    """Let all that is put and read in the block belong to a run."""
    entered = enter(session.place, run)
    try:
        yield
    finally:
        leave(entered)


def was_read(session: Session, /, *entries: Entry) -> None:
    """Hook for entries returned to the user: the run around records them as inputs with its next commit."""
    active = active_run(session.place)
    if active is not None and active.reads is not None:
        for entry in entries:
            if entry.version <= session.journal.state.version:  # an entry of an open batch is no input yet
                active.reads.read(entry)


def annotate(
    session: Session, /, kind: Any, subject_id: str, values: Mapping[str, object], *, remove: Iterable[str] = ()
) -> None:
    """Set metadata of the lake or a folio, and remove the keys in ``remove``. One commit."""
    texts: dict[str, str | None] = dict(metadata_texts(values))
    texts |= dict.fromkeys(remove)
    refuse_own_facts(texts)
    session.apply(Annotate(kind, subject_id, texts))


def commit_now(session: Session, /, *changes: Change) -> Committed:
    """Commit changes at once, even inside a batch: logged points and events are never rolled back."""
    session.check_writable()
    return _commit(session, changes, None)


def apply(
    session: Session, /, *changes: Change, message: str | None = None, kept: ReuploadBuffer | None = None
) -> None:
    """Commit changes as one, or add them to the open batch.

    Raises:
        LakefolioError: The planner refused a change; nothing was committed.
    """
    session.check_writable()
    changes = tuple(_with_exact_inputs(session, change) for change in changes)
    batch = open_batch(session)
    if batch is None:
        _commit(session, changes, message, kept)
    else:
        batch.add(changes)


def _with_exact_inputs(session: Session, change: Change) -> Change:
    """Return a change with its inputs resolved, so that every host plans it alike at any time."""
    if not isinstance(change, Put | Update) or not change.inputs or change.inputs is KEEP:
        return change
    if not any("@" in one for one in change.inputs):
        return change
    return replace(change, inputs=tuple(_exact(session, text, change.folio) for text in change.inputs))


def _exact(session: Session, text: str, folio: str) -> str:
    ref = None if is_uri(text) else parse_ref(text, folio=folio)
    if ref is None or not is_relative(ref.at):
        return text
    try:
        return f"{ref.folio}:{ref.item}@{session.resolve(ref.at, ref.folio, ref.item)}"
    except NotFoundError:  # the planner refuses it, as an input
        return text


def _commit(
    session: Session, changes: Sequence[Change], message: str | None, kept: ReuploadBuffer | None = None
) -> Committed:
    for again in reversed(range(_RENEWALS)):
        ready = list(changes)
        if any(isinstance(change, TakeSnapshot | Restore) for change in changes):
            from lakefolio.session.record_commits import before_commit

            ready = before_commit(session, changes)
        reads = reads_of(session.place, session.opened.reads, ready)
        try:
            return commit_with(reads, ready, lambda all_of_them: _tried(session, all_of_them, message, kept))
        except LakefolioError as exc:  # a table that it marks was marked or removed meanwhile
            if not again or len(ready) == len(changes) or exc.kind not in ("item-moved", "item-not-found"):
                raise
    raise AssertionError


def _tried(session: Session, changes: Sequence[Change], message: str | None, kept: ReuploadBuffer | None) -> Committed:
    for renewal in range(_RENEWALS):
        commit = Commit(commit_id=new_id(), changes=changes, author=session.author, message=message)
        try:
            return session.journal.commit(commit)
        except ConflictError as exc:
            if exc.kind != PURGED_MEANWHILE or renewal == _RENEWALS - 1:
                raise
        session.journal.refresh()
        changes = renewed(session, changes, kept)
    raise AssertionError


@contextmanager
def batch(session: Session, /, message: str | None = None) -> Iterator[None]:
    """Make all changes in the block one commit; an exception commits nothing. An inner batch joins the outer.

    Changes are checked where they are made, and once more against the newest state at the end of the block.
    """
    session.check_writable()
    if open_batch(session) is not None:
        yield
        return
    batch = Batch(session, message)
    token = BATCHES.set({**BATCHES.get(), id(session.journal): batch})
    try:
        try:
            yield
        finally:
            BATCHES.reset(token)
        if batch.changes:
            _commit(session, batch.changes, message, batch.kept)
    finally:
        batch.kept.close()


def plan(session: Session, /, *changes: Change) -> list[dict[str, Any]]:
    """Return the rows of ``manifests`` that changes would make now, and make none."""
    session.journal.refresh()
    return planned(session, changes, view(session)).manifests

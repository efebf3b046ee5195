"""Resolving the names that users give (versions, times, snapshots), with hints where nothing matches (pure: no I/O)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from numbers import Integral
from typing import TypeGuard

from lakefolio.errors import AlreadyExistsError, InvalidInputError, NotFoundError, nearest
from lakefolio.format.names import is_own_folio
from lakefolio.format.times import is_time, last_instant, shown_time
from lakefolio.model.changes import RUN_OVER, SetRun
from lakefolio.model.entries import Entry, StateView
from lakefolio.model.item_versions import aliases_of, is_item_version
from lakefolio.model.state import State
from lakefolio.render.text import counted
from lakefolio.terminal import shown_value

__all__ = [
    "At",
    "check_run",
    "is_relative",
    "item_not_found",
    "resolve_at",
    "said_twice",
    "snapshot_not_found",
]

At = int | str | date | datetime
"""A lake version, a time, or the name of a snapshot; see :func:`resolve_at`."""

_LATELY = timedelta(minutes=1)
_VERSION = re.compile(r"[vV]?(\d+)|(-\d+)")
_LIKE_A_TIME = re.compile(
    r"\d{1,2}:\d.*|\d{4}-\d\d-\d\d(?:[T ].*)?|.* ago|(?:today|yesterday|last|next|this|past|previous) .*"
    r"|tomorrow.*|tonight|(?:last |next )?(?:mon|tues|wednes|thurs|fri|satur|sun)day.*",
    re.IGNORECASE | re.DOTALL,
)
_DIGITS = 19
"""A version has fewer digits; Python refuses to read thousands of them."""
_DAYS = ("yesterday", "today", "now")
_FORMS = (
    "give a version (17, -1), a time ('2026-11-01 10:00', '21:27', 'yesterday', '2 days ago', 'a week ago') "
    "or a snapshot's name ('paper-v1')"
)


def resolve_at(
    view: StateView, state: State, at: At, folio: str | None, *, item: str | None = None, head: int | None = None
) -> int:
    """Return the version that a version number, a time or a snapshot's name means.

    A text is looked up as a snapshot's name first, among the folio's and then the lake's; then it is read as a version
    (``17``, ``@17``, ``v17``; ``-1`` is the state before the newest commit, of an item the one before its own newest
    change, whatever else was committed since), then as a time, which means the end of the period that it names
    (``lakefolio.format.times``).

    Args:
        view: The state to look snapshots up in, pending changes included.
        state: The committed state whose versions and times count.
        at: The value that the user gave; integers and times of numpy and pandas are taken too.
        folio: The folio whose snapshots come first.
        item: The item of that folio that is asked for, if it is one.
        head: The version that ``-1`` counts back from; by default that of ``state``.

    Raises:
        InvalidInputError: kind ``bad-at``: it is none of these, NaT and NaN among them.
        NotFoundError: There is no such version or snapshot, or the time precedes the first commit.
    """
    found = _plain(at)
    if isinstance(found, str):
        name = found.removeprefix("@")
        snapshot = (view.snapshot(folio, name) if folio is not None else None) or view.snapshot(None, name)
        if snapshot is not None:
            return snapshot.target_version
        match = _VERSION.fullmatch(name) if len(name) < _DIGITS else None
        if match is not None:
            if folio is None and name[0] in "vV":
                _check_meant(view, name, match[1])
            found = int(match[1] or match[2])
        elif item is not None and is_item_version(name):
            found = state.version if head is None else head  # the item is not there, and never was or is no more
        elif not is_time(name):
            if _LIKE_A_TIME.fullmatch(name):
                raise _no_time(at)
            raise snapshot_not_found(view, folio, name, _DAYS, item)
        else:
            found = name
    if isinstance(found, int):
        newest = state.version if head is None else head
        own = None if found >= 0 or folio is None or item is None else _back(state, folio, item, newest, -found)
        version = found if found >= 0 else own if own is not None else state.back(newest, -found)
        if version is None or version > state.version:
            raise _no_version(found, state, head)
        return version
    moment = last_instant(found)
    assert moment is not None
    now = datetime.now(UTC)
    if state.committed_at is not None and state.committed_at > now and moment > now - _LATELY:
        moment = max(moment, state.committed_at)  # a clock that was wrong has dated commits ahead
    before = state.version_at(moment)
    if before is None:
        first = state.first_at()
        raise NotFoundError(
            f"nothing was committed at or before {shown_time(moment)}",
            kind="version-not-found",
            hint="the lake is empty"
            if first is None
            else f"the first commit was @{state.version_at(first)}, at {shown_time(first)}",
            at=at,
        )
    return before


def _check_meant(view: StateView, name: str, version: str) -> None:
    """Refuse a version of the lake that is written as the snapshots of folios are called."""
    called = {one.folio: one.target_version for one in view.snapshots() if one.name == name and one.folio is not None}
    if called:
        meant, target = min(called.items())
        raise InvalidInputError(
            f"{name!r} may mean version {int(version)} of the lake or the snapshot of folio {meant!r}",
            kind="bad-at",
            hint=f"write at={int(version)} for the version, or at={target} for the snapshot",
            at=name,
        )


def _back(state: State, folio: str, item: str, newest: int, count: int) -> int | None:
    """Return the version before the ``count``-th newest change of an item; None if it has none."""
    changes = [version for version, _ in state.changes_of(folio, item) if version <= newest]
    if len(changes) < count and changes:
        raise NotFoundError(
            f"{folio}:{item} was changed {counted(len(changes), 'time')}, so that there is no {shown_value(-count)}",
            kind="version-not-found",
            hint=f"it came at @{changes[-1]}",
            version=-count,
        )
    return changes[count - 1] - 1 if changes else None


def said_twice(ref: str, at: object) -> InvalidInputError:
    """Make the error for a reference with a version where ``at`` is given too."""
    return InvalidInputError(
        f"reference {shown_value(ref)} and at={shown_value(at)} both say as of when",
        kind="bad-ref",
        hint="give one of them",
    )


def is_relative(at: int | str | None) -> TypeGuard[str]:
    """Say whether what stands behind ``@`` may mean another version tomorrow or elsewhere: a time, or counting back."""
    return isinstance(at, str) and (is_time(at) or bool(re.fullmatch(r"-\d+", at)))


def _plain(at: object) -> int | str | date:
    """Return the user's value as one of Python's own types; InvalidInputError (kind ``bad-at``) for anything else."""
    if isinstance(at, Integral) and not isinstance(at, bool):
        return int(at)
    if isinstance(at, str):
        return at.strip()
    if type(at).__module__ == "numpy" and type(at).__name__ == "datetime64":
        value = at.item()  # type: ignore[attr-defined]  # numpy's; it may not be there
        at = at.astype("datetime64[us]").item() if isinstance(value, int) else value  # type: ignore[attr-defined]
    if isinstance(at, date) and at == at:  # NaT is a datetime that equals nothing
        return at
    raise _no_time(at)


def _no_time(at: object) -> InvalidInputError:
    return InvalidInputError(
        f"at={shown_value(at)} is neither a version, a time nor a snapshot's name", kind="bad-at", hint=_FORMS, at=at
    )


def _no_version(given: int | str, state: State, head: int | None = None) -> NotFoundError:
    if isinstance(given, int) and given < 0:
        newest = state.version if head is None else head
        hint = f"the oldest is -{state.versions_up_to(newest)}, the empty lake"
    else:
        hint = f"the versions are 0 to {state.version}"
    shown = given if isinstance(given, str) else shown_value(given)
    return NotFoundError(f"version {shown} does not exist", kind="version-not-found", hint=hint, version=given)


def item_not_found(
    view: StateView, folio: str, item: str, newest: State | None = None, version: int | None = None
) -> NotFoundError:
    """Make the error for an item that is not there.

    An item that came later, was renamed or was deleted says when, and how it is read; for any other the nearest names
    are given.

    Args:
        view: The state at the version asked for.
        folio: The folio.
        item: The item.
        newest: The newest state, which knows the earlier and later versions.
        version: The version asked for; by default that of ``view``.
    """
    at = view.version if version is None else version
    changes = [] if newest is None else newest.changes_of(folio, item)
    before = [(when, op) for when, op in changes if when <= at]
    if changes and newest is not None:
        ref = f"{folio}:{item}"
        if not before:
            came = changes[-1][0]
            return NotFoundError(
                f"item {item!r} was not in folio {folio!r} at version {at}: it came at @{came}",
                kind="item-not-found",
                hint=f"read it as {f'{ref}@{came}'!r}, or with at={came}",
                folio=folio,
                item=item,
                version=at,
                came_at=came,
            )
        gone, op = before[0]
        was = newest.entry_at(folio, item, gone - 1) if op == "delete" else None
        if was is not None:
            new = _renamed_to(newest, was, gone)
            restoring = f"restore it: lake.restore({gone - 1}, items={shown_value(ref)})"
            return NotFoundError(
                f"item {item!r} of folio {folio!r} was {f'renamed to {new!r}' if new else 'deleted'} at @{gone}",
                kind="item-not-found",
                hint=f"read {new!r}, or this one at={gone - 1}" if new else f"read it at={gone - 1}, or {restoring}",
                folio=folio,
                item=item,
                version=at,
                deleted_at=gone,
                **({"renamed_to": new} if new else {}),
            )
    names = view.names(folio)
    if names:
        return NotFoundError(
            f"item {item!r} not found in folio {folio!r}",
            kind="item-not-found",
            hint=nearest(item, names),
            folio=folio,
            item=item,
        )
    hint = nearest(folio, [name for name in view.folios() if not is_own_folio(name)])
    return NotFoundError(
        f"item {item!r} not found: folio {folio!r} does not exist or is empty",
        kind="item-not-found",
        hint=hint.replace("there are", "folios are") if hint else "nothing has been added to this lake yet",
        folio=folio,
        item=item,
    )


def _renamed_to(state: State, entry: Entry, gone: int) -> str | None:
    """Return the reference under which the commit that deleted an item put its content, if that is one."""
    import pyarrow.compute as pc

    found = []
    for rows in state.parts(("folio", "item", "reason", "kind", "digest"), gone - 1, gone):
        copied = pc.and_kleene(pc.equal(rows["reason"], "copy"), pc.equal(rows["digest"], entry.digest))
        found += rows.filter(pc.and_kleene(copied, pc.equal(rows["version"], gone))).to_pylist()
    found = [one for one in found if one["kind"] == entry.kind]
    return f"{found[0]['folio']}:{found[0]['item']}" if len(found) == 1 else None


def check_run(change: SetRun, before: Mapping[str, str]) -> None:
    """Raise if the facts of a run refuse a change of it."""
    run_id = change.run_id
    if change.new and before:
        raise AlreadyExistsError(
            f"run {run_id!r} already exists",
            kind="run-exists",
            hint="choose another id, or go on with it: lake.resume_run(id)",
            run_id=run_id,
        )
    if not change.new and not before:
        raise NotFoundError(f"run {run_id!r} not found", kind="run-not-found", hint="see lake.runs()", run_id=run_id)
    status = before.get("status", "").strip('"')
    if change.alive and status in RUN_OVER:
        raise InvalidInputError(
            f"run {run_id!r} has ended ({status})",
            kind="run-ended",
            hint="go on with it: lake.resume_run(id)",
            run_id=run_id,
            status=status,
        )


def snapshot_not_found(
    view: StateView, folio: str | None, name: str, words: Sequence[str] = (), item: str | None = None
) -> NotFoundError:
    """Make the error for a snapshot that does not exist, naming the nearest that do, or the nearest of other words.

    Args:
        view: The state that was looked at.
        folio: The folio whose snapshots were looked up before the lake's, or None.
        name: The name.
        words: Further words that it may be a misspelling of.
        item: The item whose aliases were looked up too, or None.
    """
    known = [one.name for one in view.snapshots() if one.folio in (None, folio)]
    if item is not None and folio is not None:
        known += aliases_of(view.metadata("folio", folio), item)
    elif is_item_version(name):
        return NotFoundError(
            f"{name!r} names a version of one item, not of a lake or a folio",
            kind="snapshot-not-found",
            hint=f"name the item, as in folio:item@{name}",
            snapshot=name,
            folio=folio,
        )
    if ":" in name and not name[0].isdigit():  # no snapshot's name has one
        return NotFoundError(
            f"{name!r} is the name of an item, expected a version, a time or a snapshot",
            kind="snapshot-not-found",
            hint="name the item on its own; a diff takes it as item=, or --item",
            snapshot=name,
            folio=folio,
        )
    meant = get_close_matches(str(name), words, n=1)
    hint = f"did you mean {meant[0]!r}?" if meant else nearest(str(name), known)
    return NotFoundError(
        f"{'snapshot or alias' if item is not None else 'snapshot'} {name!r} not found"
        + (f" in folio {folio!r}" if folio is not None else ""),
        kind="snapshot-not-found",
        hint=hint or "no snapshot has been taken yet",
        snapshot=name,
        folio=folio,
    )

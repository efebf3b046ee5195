"""Finding what users name: versions, times, snapshots; and saying what there is when it is not found (pure: no I/O)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

from lakefolio.errors import AlreadyExistsError, IntegrityError, InvalidInputError, NotFoundError, nearest
from lakefolio.format.names import as_time, parse_time
from lakefolio.model.changes import RUN_OVER, SetRun
from lakefolio.model.entries import Entry, View
from lakefolio.model.state import State

__all__ = ["check_run", "check_side_rows", "item_not_found", "resolve_at", "snapshot_not_found"]

_DIGITS = 19
"""A version has fewer digits; Python refuses to read thousands of them."""


def resolve_at(view: View, state: State, at: int | str | datetime, folio: str | None) -> int:
    """Return the version that a version number, a time or a snapshot's name means.

    A name is looked up among the folio's snapshots first, then among the lake's.

    Raises:
        NotFoundError: If there is no such version or snapshot, or the time precedes the first commit.
    """
    if isinstance(at, bool) or not isinstance(at, int | str | date):
        raise InvalidInputError(
            f"at={at!r} is neither a version, a time nor a snapshot's name",
            kind="bad-at",
            hint="give a number, a datetime, or a text such as '17', '2026-11-01T10:00Z' or 'paper-v1'",
            at=at,
        )
    if isinstance(at, str):
        snapshot = (view.snapshot(folio, at) if folio is not None else None) or view.snapshot(None, at)
        if snapshot is not None:
            return snapshot.target_version
        if at.isdecimal() and len(at) < _DIGITS:
            at = int(at)
        else:
            when = as_time(at)
            if when is None:
                raise snapshot_not_found(view, folio, at)
            at = when
    if isinstance(at, int):
        if not 0 <= at <= state.version:
            raise NotFoundError(
                f"version {at} does not exist",
                kind="version-not-found",
                hint=f"the versions are 0 to {state.version}",
                version=at,
            )
        return at
    at = parse_time(at)
    version = state.version_at(at)
    if version is None:
        first = state.first_at()
        raise NotFoundError(
            f"nothing was committed at or before {at.isoformat()}",
            kind="version-not-found",
            hint="the lake is empty" if first is None else f"the first commit was at {first.isoformat()}",
            at=at,
        )
    return version


def item_not_found(view: View, folio: str, item: str) -> NotFoundError:
    """Make the error for an item that is not live, naming the nearest that are."""
    names = view.names(folio)
    if names:
        return NotFoundError(
            f"item {item!r} not found in folio {folio!r}",
            kind="item-not-found",
            hint=nearest(item, names),
            folio=folio,
            item=item,
        )
    hint = nearest(folio, view.folios())
    return NotFoundError(
        f"item {item!r} not found: folio {folio!r} does not exist or is empty",
        kind="item-not-found",
        hint=hint.replace("there are", "folios are") if hint else "nothing has been added to this lake yet",
        folio=folio,
        item=item,
    )


def check_side_rows(entry: Entry, table: str, found: int) -> None:
    """Raise IntegrityError if a side table has lost rows of an entry, so that less is never taken for all."""
    expected = entry.lineage_count if table == "lineage" else entry.metadata_count
    if found != expected:
        raise IntegrityError(
            f"item {entry.ref} has {found} rows in table {table!r}, expected {expected}",
            kind="side-rows-missing",
            hint=f"restore tables/{table} from a copy of the lake",
            folio=entry.folio,
            item=entry.item,
            version=entry.version,
            table=table,
        )


def check_run(change: SetRun, before: Mapping[str, str]) -> None:
    """Raise if what is known of a run refuses a change of it."""
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


def snapshot_not_found(view: View, folio: str | None, name: str) -> NotFoundError:
    """Make the error for a snapshot that does not exist, naming the nearest that do."""
    known = [one.name for one in view.snapshots() if one.folio in (None, folio)]
    return NotFoundError(
        f"snapshot {name!r} not found" + (f" in folio {folio!r}" if folio is not None else ""),
        kind="snapshot-not-found",
        hint=nearest(str(name), known) or "no snapshot has been taken yet",
        snapshot=name,
        folio=folio,
    )

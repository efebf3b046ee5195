"""Rows for changes of the lake and its folios: facts, snapshots and restores (pure: no I/O)."""

from __future__ import annotations

from typing import Any

from lakefolio.errors import AlreadyExistsError
from lakefolio.model.changes import Annotate, DropSnapshot, Restore, TakeSnapshot
from lakefolio.model.entries import Entry, Snapshot
from lakefolio.model.item_versions import OWN_FACTS
from lakefolio.model.plan import Plan, facts_of, json_text
from lakefolio.model.plan_items import put_again
from lakefolio.model.resolve import item_not_found, snapshot_not_found

__all__ = ["plan_annotation", "plan_drop_snapshot", "plan_restore", "plan_snapshot"]


def plan_annotation(plan: Plan, change: Annotate) -> None:
    """Plan that facts of a folio, a run or the lake change."""
    before = plan.overlay.metadata(change.subject_kind, change.subject_id)
    gone = [key for key in before if not key.startswith(OWN_FACTS)] if change.clear else []
    values = {**dict.fromkeys(gone), **change.values}
    changed = {key: value for key, value in values.items() if before.get(key) != value}
    if not changed:
        return
    folio = change.subject_id if change.subject_kind == "folio" else None
    kept = {key: value for key, value in changed.items() if value is not None}
    merged = before | kept
    for key in changed.keys() - kept.keys():
        del merged[key]
    plan.overlay.set_metadata(change.subject_kind, change.subject_id, merged)
    plan.forget_rules()
    plan.row("annotate", "metadata", folio=folio, facts=facts_of(changed))


def plan_snapshot(plan: Plan, change: TakeSnapshot) -> None:
    """Plan that a version gets a name."""
    taken = plan.overlay.snapshot(change.folio, change.name)
    if taken is not None:
        raise AlreadyExistsError(
            f"snapshot {change.name!r} already exists (of version {taken.target_version})",
            kind="snapshot-exists",
            hint="choose another name, or drop the old one first",
            snapshot=change.name,
            version=taken.target_version,
        )
    version = plan.version
    target = version if change.target_version is None else change.target_version
    if target < version and plan.state.purged:
        past = plan.state.at(target)
        for folio in past.folios() if change.folio is None else [change.folio]:
            for entry in past.entries(folio):
                plan.check_not_purged(entry, "protected by a snapshot")
    row = plan.row(
        "snapshot",
        "snapshot",
        folio=change.folio,
        snapshot=change.name,
        target_version=target,
        description=change.message,
        tags=list(change.tags) or None,
        extra=json_text(change.extra) if change.extra else None,
    )
    snapshot = Snapshot(
        name=change.name,
        folio=change.folio,
        target_version=target,
        version=version,
        committed_at=row["committed_at"],
        author=plan.commit.author,
        message=change.message,
        tags=change.tags,
        extra=change.extra,
    )
    plan.overlay.set_snapshot(change.folio, change.name, snapshot)


def plan_drop_snapshot(plan: Plan, change: DropSnapshot) -> None:
    """Plan that a version loses a name."""
    if plan.overlay.snapshot(change.folio, change.name) is None:
        raise snapshot_not_found(plan.overlay, change.folio, change.name)
    plan.row("drop_snapshot", "drop_snapshot", folio=change.folio, snapshot=change.name)
    plan.overlay.set_snapshot(change.folio, change.name, None)


def plan_restore(plan: Plan, change: Restore) -> None:
    """Plan that items, and what is said of their folios, become what they were at a version."""
    version = change.target_version
    if change.folio is not None and change.items is not None:  # nothing is replayed for a few items
        for name in change.items:
            _restore_item(plan, change.folio, name, plan.state.entry_at(change.folio, name, version), version)
        return
    past = plan.state.at(version)
    folios = [change.folio] if change.folio is not None else sorted({*past.folios(), *plan.overlay.folios()})
    for folio in folios:
        names = (*past.names(folio), *plan.overlay.names(folio)) if change.items is None else change.items
        for name in dict.fromkeys(names):
            _restore_item(plan, folio, name, past.entry(folio, name), version)
    if change.items is None:
        _restore_words(plan, version, change.folio, folios)


def _restore_item(plan: Plan, folio: str, name: str, old: Entry | None, version: int) -> None:
    new = plan.overlay.entry(folio, name)
    if old is None and new is None:
        raise item_not_found(plan.state.at(version), folio, name, plan.state)
    if old is None:
        plan.delete(folio, name, "restore")
    elif new is None or (old.entry_id, old.archived) != (new.entry_id, new.archived):
        plan.check_not_purged(old, "restored")
        put_again(plan, old, "restore")


def _restore_words(plan: Plan, version: int, folio: str | None, folios: list[str]) -> None:
    subjects: list[tuple[Any, str]] = [("folio", one) for one in folios]
    if folio is None:
        subjects.append(("lake", ""))
    for kind, subject_id in subjects:
        now, then = (plan.overlay.metadata(kind, subject_id, when) for when in (None, version))
        plan_annotation(plan, Annotate(kind, subject_id, {**dict.fromkeys(now), **then}))

"""From changes to rows: the effect of a commit on one exact state (pure: no I/O).

Every condition of every change is checked against the state, and the rows of the journal are made. They are committed
only if that state is still the newest (FORMAT.md, "Journal protocol"); otherwise the commit is planned again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lakefolio.model.changes import (
    Annotate,
    Change,
    Commit,
    CopyItem,
    Delete,
    DropSnapshot,
    LogBatch,
    LogBlob,
    Mark,
    Put,
    Restore,
    SetArchived,
    SetRun,
    TakeSnapshot,
    Update,
)
from lakefolio.model.pending_state import Overlay
from lakefolio.model.plan import Plan
from lakefolio.model.plan_items import plan_copy, plan_mark, plan_put, plan_update, put_again
from lakefolio.model.plan_lake import plan_annotation, plan_drop_snapshot, plan_restore, plan_snapshot
from lakefolio.model.plan_runs import plan_log_batch, plan_log_blob, plan_run
from lakefolio.model.state import State

__all__ = ["plan_commit"]


def plan_commit(commit: Commit, state: State, base: Overlay, *, first_ordinal: int, **when: Any) -> Plan:
    """Plan one commit on ``state`` with the changes in ``base`` already laid over it.

    Raises:
        AlreadyExistsError: A name is taken by another content, or by the same of which other things are said.
        NotFoundError: An item, input or snapshot does not exist.
        ConflictError: A blob was purged meanwhile.
    """
    plan = Plan(commit, state, base, first_ordinal=first_ordinal, **when)
    for change in commit.changes:
        _add(plan, change)
    return plan


def _add(plan: Plan, change: Change) -> None:
    match change:
        case Put():
            plan_put(plan, change)
        case Update():
            plan_update(plan, change)
        case Mark():
            plan_mark(plan, change)
        case Delete():
            plan.head(change.folio, change.item)
            plan.delete(change.folio, change.item, "delete")
        case SetArchived():
            entry = plan.head(change.folio, change.item)
            if entry.archived != change.archived:
                reason = "archive" if change.archived else "unarchive"
                put_again(plan, replace(entry, archived=change.archived), reason)
        case Annotate():
            plan_annotation(plan, change)
        case TakeSnapshot():
            plan_snapshot(plan, change)
        case DropSnapshot():
            plan_drop_snapshot(plan, change)
        case Restore():
            plan_restore(plan, change)
        case CopyItem():
            plan_copy(plan, change)
        case SetRun():
            plan_run(plan, change)
        case LogBatch():
            plan_log_batch(plan, change)
        case LogBlob():
            plan_log_blob(plan, change)

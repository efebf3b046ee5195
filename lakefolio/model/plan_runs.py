"""Rows for changes of runs and their logs (pure: no I/O)."""

from __future__ import annotations

from lakefolio.model.changes import LogBatch, LogBlob, SetRun
from lakefolio.model.entries import Entry, InputEdge
from lakefolio.model.plan import REFERRED, Plan, facts_of, json_text
from lakefolio.model.resolve import check_run

__all__ = ["plan_log_batch", "plan_log_blob", "plan_run"]


def plan_run(plan: Plan, change: SetRun) -> None:
    """Plan that facts and inputs of a run change, if those that it must have are as expected."""
    before = plan.overlay.metadata("run", change.run_id)
    if any(before.get(key) != value for key, value in change.only_if.items()):
        return
    check_run(change, before)
    changed = {key: value for key, value in change.values.items() if before.get(key) != value}
    pins: list[tuple[str, Entry]] = []
    edges: list[InputEdge] = []
    for name, text in zip(change.input_names, change.input_refs, strict=True):
        edge = plan.resolve(text, "")
        edges.append({**edge, "run_id": change.run_id, "role": name})
        if edge["input_kind"] == "entry":
            pins.append((name, plan.entry_of(text)))
    if not changed and not edges:
        return
    merged = {key: value for key, value in (before | changed).items() if value is not None}
    plan.overlay.set_metadata("run", change.run_id, merged)
    plan.overlay.add_run_inputs(change.run_id, edges)
    plan.row("run", "run", run_id=change.run_id, facts=facts_of(changed), inputs=edges or None)
    for name, entry in pins:
        _pin(plan, change.run_id, name, entry)


def _pin(plan: Plan, run_id: str, name: str, entry: Entry) -> None:
    plan.check_not_purged(entry, "used by a run")
    kept = {column: getattr(entry, column) for column in REFERRED}
    plan.row(
        "pin",
        "input",
        run_id=run_id,
        folio=entry.folio,
        item=entry.item,
        entry_id=entry.entry_id,
        description=name,
        **kept,
    )


def plan_log_blob(plan: Plan, change: LogBlob) -> None:
    """Plan that an event needs content."""
    plan.check_not_purged_meanwhile(change.stored)
    kept = {column: getattr(change.stored, column) for column in REFERRED}
    plan.row("event_blob", "event", entry_id=change.event_id, run_id=change.run_id, **kept)


def plan_log_batch(plan: Plan, change: LogBatch) -> None:
    """Plan that a batch of metric points or events counts."""
    plan.row(
        change.reason,
        change.reason,
        entry_id=change.batch_id,
        run_id=change.run_id,
        row_count=change.row_count,
        details=json_text(change.details),
    )

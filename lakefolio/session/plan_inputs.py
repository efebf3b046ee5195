"""The inputs of a table that is made from lazy frames of the lake: the items that its plan reads, column by column."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from lakefolio.process.fork import ForkLock
from lakefolio.process.imports import imported
from lakefolio.session.annotations import Annotations

if TYPE_CHECKING:
    from lakefolio.model.entries import Entry
    from lakefolio.session.session import Session

__all__ = ["note_scan", "with_plan_inputs"]

_MOST_SCANS: Final = 10_000


class _Scans:
    """Which item each local file is that a lazy frame was given for; the last one counts. Safe between threads."""

    def __init__(self) -> None:
        self._lock = ForkLock()
        self._entries: dict[str, Entry] = {}

    def note(self, path: str, entry: Entry) -> None:
        with self._lock:
            self._entries.pop(path, None)
            self._entries[path] = entry
            if len(self._entries) > _MOST_SCANS:
                del self._entries[next(iter(self._entries))]

    def entry(self, path: str) -> Entry | None:
        return self._entries.get(path)


def note_scan(session: Session, frame: object, entry: Entry) -> None:
    """Remember that a lazy frame reads an item."""
    from lakefolio.views.polars_plan import files_of_plan

    if _is_lazy(frame):
        for path in files_of_plan(frame):  # type: ignore[arg-type]  # ``_is_lazy`` says so
            session.opened.part(_Scans, _Scans).note(path, entry)


def with_plan_inputs(session: Session, folio: str, item: str, obj: object, annotations: Annotations) -> Annotations:
    """Return annotations that name the items that a lazy frame reads, unless inputs were given, and their columns.

    Inputs that were given, or that the run's reads tell, stay as they are: those that the plan reads get the columns.
    """
    if not _is_lazy(obj) or annotations.input_details:
        return annotations
    from lakefolio.views.polars_plan import columns_of_plan, files_of_plan

    scans = session.opened.part(_Scans, _Scans)
    if not any(scans.entry(path) for path in files_of_plan(obj)):  # type: ignore[arg-type]
        return annotations
    used: dict[str, tuple[Entry, dict[str, set[str]], set[str]]] = {}
    for path, plan in columns_of_plan(obj).items():  # type: ignore[arg-type]
        entry = scans.entry(path)
        if entry is None or (entry.folio, entry.item) == (folio, item):
            continue
        _, columns, rows = used.setdefault(entry.ref, (entry, {}, set()))
        rows.update(plan.rows)
        for name, read in plan.columns.items():
            columns.setdefault(name, set()).update(read)
    inputs = annotations.inputs
    if not inputs and not annotations.inputs_given:
        inputs = tuple(used)
    details: dict[str, dict[str, Any]] = {}
    for ref, (entry, columns, rows) in used.items():
        names = {ref, f"{entry.folio}:{entry.item}", *([entry.item] if entry.folio == folio else [])}
        place = next((number for number, text in enumerate(inputs) if text in names), None)
        if place is not None:
            by_column = {name: sorted(found) for name, found in columns.items()}
            details[str(place)] = {"columns": by_column, "rows": sorted(rows)}
    return replace(annotations, inputs=inputs, input_details=details)


def _is_lazy(obj: object) -> bool:
    polars = imported("polars")
    return polars is not None and isinstance(obj, polars.LazyFrame)

"""The facts of a state about the lake, its folios and its runs (pure but for its base).

The methods of :class:`State` that ask for them. Each has two answers to combine, that of the rows in memory and that of
the base.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from lakefolio.model.row_index import RUNNING
from lakefolio.model.run_rows import joined_spans, last_noted, noting

if TYPE_CHECKING:
    from lakefolio.model.entries import RunInputEdge
    from lakefolio.model.state import State

__all__ = [
    "facts_of_runs",
    "inputs_of_runs",
    "metadata",
    "metadata_of_runs",
    "newest_runs",
    "rows_about_runs",
    "run_inputs",
    "running",
    "runs_called",
    "runs_noting",
]


def metadata(state: State, /, kind: str, subject_id: str, version: int | None = None) -> dict[str, str]:
    """See StateView. Keys are in the order in which they were first set."""
    values = {} if state.base is None else state.base.metadata(kind, subject_id, version)
    return state.index.noted(values, kind, subject_id, version)


def metadata_of_runs(state: State, /, run_ids: Collection[str]) -> dict[str, dict[str, str]]:
    """Return the metadata of runs, by their ids: in one read what ``metadata`` tells of each."""
    before = {} if state.base is None else state.base.metadata_of_runs(run_ids)
    return {run_id: state.index.noted(before.get(run_id, {}), "run", run_id) for run_id in run_ids}


def run_inputs(state: State, /, run_id: str) -> list[RunInputEdge]:
    """See StateView."""
    return state.inputs_of_runs([run_id])[run_id]


def inputs_of_runs(state: State, /, run_ids: Collection[str]) -> dict[str, list[RunInputEdge]]:
    """Return the inputs of runs, by their ids: in one read what ``run_inputs`` tells of each."""
    before = {} if state.base is None else state.base.inputs_of_runs(run_ids)
    return {run_id: before.get(run_id, []) + state.index.inputs_of(run_id) for run_id in run_ids}


def runs_noting(state: State, /, key: str, texts: Collection[str] | None = None) -> list[str]:
    """Return the runs of which a fact was ever noted, in that order; ``texts``: with one of these JSON texts.

    Only keys by which runs are looked for: ``status``, ``memo`` and ``parent``.
    """
    before = [] if state.base is None else state.base.runs_noting(key, texts)
    return list(dict.fromkeys([*before, *noting(state.rows.table(), key, texts)]))


def facts_of_runs(state: State, /, key: str) -> dict[str, str]:
    """Return the JSON text of one fact of every run that has it now; goes through the facts of all runs."""
    values = {} if state.base is None else state.base.facts_of_runs(key)
    for run_id, text in last_noted(state.rows.table(), key).items():
        if text is None:
            values.pop(run_id, None)
        else:
            values[run_id] = text
    return values


def rows_about_runs(state: State, /, run_ids: Collection[str], columns: Sequence[str]) -> Iterator[pa.Table]:
    """Yield the ``manifests`` rows of ops ``run``, ``put`` and ``metrics`` about some runs, and others among them.

    Read are the parts of the journal from the first such row of a run to its last.

    Args:
        state: The state.
        run_ids: The runs.
        columns: Only these; ``version`` and ``ordinal`` are added.
    """
    base = state.base_version
    for first, last in [] if state.base is None else joined_spans(state.base.spans_of_runs(run_ids)):
        yield from state.parts(columns, first - 1, min(last, base))
    yield from state.parts(columns, base)


def runs_called(state: State, /, text: str) -> tuple[list[str], list[str]]:
    """Return the runs that a text names, and those whose id begins or ends with it, in no order."""
    named, alike = ([], []) if state.base is None else state.base.runs_called(text)
    rows = state.rows.table()
    named += [run_id for run_id, value in last_noted(rows, "name").items() if value is not None]
    alike += [one for one in noting(rows, "status") if one.startswith(text) or one.endswith(text)]
    return list(dict.fromkeys(named)), list(dict.fromkeys(alike))


def newest_runs(state: State, /, count: int) -> list[str]:
    """Return some of the newest runs, the newest first as far as their ids tell."""
    since = list(reversed(noting(state.rows.table(), "status")))
    before = [] if state.base is None or len(since) >= count else state.base.newest_runs(count)
    return list(dict.fromkeys([*since, *before]))[:count]


def running(state: State, /) -> dict[str, dict[str, str]]:
    """Return the runs whose status is ``running``, each with its facts; the cost is that of those runs alone."""
    before = [] if state.base is None else state.base.running_ids()
    facts = {run_id: state.metadata("run", run_id) for run_id in dict.fromkeys([*before, *state.index.running])}
    return {run_id: values for run_id, values in facts.items() if values.get("status") == RUNNING}

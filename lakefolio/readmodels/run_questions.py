"""Queries of the model ``run_states`` that go by other than the run's id: its name, a part of its id, its age.

They read a column or two of all row groups, one after the other: a run is called by what its user thinks of, and ids
that look like a name are few. Rows that a newer run of the model replaced are among the answers; who asks looks at
each run that was found.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.readmodels.runs import ModelRuns

__all__ = ["called", "newest"]


def called(states: ModelRuns, text: str) -> tuple[list[str], list[str]]:
    """Return the runs that may have a name, and those whose id begins or ends with it.

    Args:
        states: The model.
        text: The name; of JSON texts with escapes it is not looked whether they say it.
    """
    forms = pa.array(list({text, json.dumps(text), json.dumps(text, ensure_ascii=False)}))
    named: list[str] = []
    alike: list[str] = []
    for rows in _columns(states, "name"):
        ids, names = rows.column("run_id"), rows.column("name")
        escaped = pc.match_substring(names, "\\")
        named += ids.filter(pc.fill_null(pc.or_(pc.is_in(names, value_set=forms), escaped), False)).to_pylist()
        alike += ids.filter(pc.or_(pc.starts_with(ids, text), pc.ends_with(ids, text))).to_pylist()
    return named, alike


def newest(states: ModelRuns, count: int) -> list[str]:
    """Return some of the runs that the end of the model names: ids begin with their time."""
    found: list[str] = []
    for run in reversed(states.runs):
        for file, footer in reversed(list(states.footers(run))):
            for number in reversed(range(len(footer.groups))):
                found += states.group(file, number).column("run_id").to_pylist()[::-1]
                if len(found) >= count:
                    return found[:count]
    return found


def _columns(states: ModelRuns, *names: str) -> Iterator[pa.Table]:
    for run in states.runs:
        yield from states.parts(run, names)

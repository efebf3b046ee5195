"""Parameters and metrics of runs as columns of the views of runs (pure: SQL as text)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lakefolio.views.view_files import quoted

__all__ = [
    "KEYS_OF_RUNS",
    "KEY_VIEWS",
    "LOST",
    "RUN_COLUMNS_LIMIT",
    "KeyCounts",
    "called_lost",
    "changed_counts",
    "new_columns",
    "run_columns",
]

RUN_COLUMNS_LIMIT: Final = 256
"""At most so many parameters and metrics become columns; all are in ``params`` and ``metrics``."""
KEY_VIEWS: Final = frozenset({"stg_manifests", "stg_metadata", "current_metadata"})
"""What ``KEYS_OF_RUNS`` reads."""
KEYS_OF_RUNS: Final = (
    "select key, count(*), count(value_number), count(value), count(*) filter (value in ('true', 'false'))"
    " from (select key, value, value_number from current_metadata"
    "     where subject_kind = 'run' and (key like 'params.%' or key like 'metrics.%')"
    "   union all select 'metrics.' || key, null, 0 from ("
    "     select distinct run_id, unnest(json_keys(try_cast(details as json) -> '$.last')) as key from stg_manifests"
    "     where op = 'metrics' and run_id in (select subject_id from current_metadata"
    "       where subject_kind = 'run' and key = 'status' and value in ('\"running\"', '\"lost\"'))))"
    " group by key"
)
"""Asks for every parameter and metric that any run has. What it counts adds up over the runs."""
LOST: Final = "runs called lost"
"""The relation of the ids of runs whose process died, though they are recorded as running."""
KeyCounts = tuple[int, int, int, int]
"""How often a key is there, with a number, with a value, and with true or false."""


def run_columns(keys: Mapping[str, KeyCounts]) -> list[tuple[str, str]]:
    """Return (name, expression) for what ``KEYS_OF_RUNS`` answers, metrics first."""
    columns = []
    for key in sorted(keys, key=lambda one: (not one.startswith("metrics."), one)):
        rows, numbers, values, switches = keys[key]
        source, _, name = key.partition(".")
        if not name or name[0] in "$/":  # would be read as a path into the JSON
            continue
        text = f"{source} ->> '{name.replace(chr(39), chr(39) * 2)}'"
        kind = "boolean" if values and switches == values else "double" if numbers == rows else None
        columns.append((name, f"try_cast({text} as {kind})" if kind else text))
    return columns


def changed_counts(
    keys: Mapping[str, KeyCounts], less: Mapping[str, KeyCounts], more: Mapping[str, KeyCounts]
) -> dict[str, KeyCounts]:
    """Return counts without those of some runs as they were, and with those of the same runs as they are."""
    found = {}
    for key in {**keys, **more}:
        none = (0, 0, 0, 0)
        sums = zip(keys.get(key, none), less.get(key, none), more.get(key, none), strict=True)
        rows, numbers, values, switches = (all_of_them - were + are for all_of_them, were, are in sums)
        if rows > 0:
            found[key] = (rows, numbers, values, switches)
    return found


def new_columns(keys: list[tuple[str, str]], taken: set[str]) -> str:
    """Return the columns to add to a view that has ``taken`` already, as SQL."""
    taken = set(taken)
    chosen: list[str] = []
    for name, expression in keys:
        if name.lower() not in taken and len(chosen) < RUN_COLUMNS_LIMIT:
            taken.add(name.lower())
            chosen.append(f"{expression} as {quoted(name)}")
    return ", ".join(chosen)


def called_lost(sql: str) -> str:
    """Return the SELECT of the runs with those called lost that are recorded as running."""
    told = (
        f"case when status = 'running' and run_id in (select run_id from {quoted(LOST)}) then 'lost' else status end"
        " as status"
    )
    return f"select * replace ({told}) from (\n{sql}\n)"

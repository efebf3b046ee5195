"""Parameters and metrics of runs as columns of the views of runs (pure: SQL as text)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from lakefolio.viewfiles import quoted

__all__ = ["KEYS_OF_RUNS", "KEY_VIEWS", "RUN_COLUMNS_LIMIT", "called_lost", "new_columns", "run_columns"]

RUN_COLUMNS_LIMIT: Final = 256
"""At most so many parameters and metrics become columns; all are in ``params`` and ``metrics``."""
KEY_VIEWS: Final = frozenset({"stg_manifests", "stg_metadata", "current_metadata"})
"""What ``KEYS_OF_RUNS`` reads."""
KEYS_OF_RUNS: Final = (
    "select key like 'metrics.%' as is_metric, split_part(key, '.', 1), substr(key, instr(key, '.') + 1),"
    " count(value_number) = count(*), coalesce(bool_and(value in ('true', 'false')), false)"
    " from (select key, value, value_number from current_metadata"
    "     where subject_kind = 'run' and (key like 'params.%' or key like 'metrics.%')"
    "   union all select 'metrics.' || key, null, 0 from ("
    "     select distinct unnest(json_keys(try_cast(details as json) -> '$.last')) as key from stg_manifests"
    "     where op = 'log' and reason = 'metrics' and run_id in (select subject_id from current_metadata"
    "       where subject_kind = 'run' and key = 'status' and value in ('\"running\"', '\"lost\"'))))"
    " group by key order by is_metric desc, key"
)
"""Asks for every parameter and metric that any run has, metrics first."""


def run_columns(rows: Iterable[tuple[Any, ...]]) -> list[tuple[str, str]]:
    """Return (name, expression) for what ``KEYS_OF_RUNS`` answers."""
    columns = []
    for _, source, name, is_number, is_boolean in rows:
        if not name or name[0] in "$/":  # would be read as a path into the JSON
            continue
        text = f"{source} ->> '{name.replace(chr(39), chr(39) * 2)}'"
        kind = "boolean" if is_boolean else "double" if is_number else None
        columns.append((name, f"try_cast({text} as {kind})" if kind else text))
    return columns


def new_columns(keys: list[tuple[str, str]], taken: set[str]) -> str:
    """Return the columns to add to a view that has ``taken`` already, as SQL."""
    taken = set(taken)
    chosen: list[str] = []
    for name, expression in keys:
        if name.lower() not in taken and len(chosen) < RUN_COLUMNS_LIMIT:
            taken.add(name.lower())
            chosen.append(f"{expression} as {quoted(name)}")
    return ", ".join(chosen)


def called_lost(sql: str, lost: Iterable[str]) -> str:
    """Return the SELECT of the runs with those called lost that are recorded as running."""
    ids = ", ".join("'" + run_id.replace("'", "''") + "'" for run_id in sorted(lost))
    told = f"case when status = 'running' and run_id in ({ids}) then 'lost' else status end as status"
    return f"select * replace ({told}) from (\n{sql}\n)"

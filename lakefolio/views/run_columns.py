"""Parameters and metrics of runs as columns of the views of runs (pure: SQL as text)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from lakefolio.format.sql_text import sql_id, sql_text

__all__ = [
    "KEYS_OF_RUNS",
    "KEY_VIEWS",
    "LOST",
    "RUN_COLUMNS_LIMIT",
    "KeyCounts",
    "TypedKey",
    "called_lost",
    "new_columns",
    "run_columns",
    "typed_keys",
]

RUN_COLUMNS_LIMIT: Final = 256
"""Maximum number of parameters and metrics that become columns; all are in ``params`` and ``metrics``."""
KEY_VIEWS: Final = frozenset({"stg_manifests", "stg_metadata", "current_metadata"})
"""The relations that ``KEYS_OF_RUNS`` reads."""
KEYS_OF_RUNS: Final = r"""
with valued as (
    select key, value, value_number from current_metadata
    where subject_kind = 'run' and (starts_with(key, 'params.') or starts_with(key, 'metrics.'))
    union all
    select 'metrics.' || key, null, 0 from (
        select distinct run_id, unnest(json_keys(try_cast(details as json) -> '$.last')) as key from stg_manifests
        where op = 'metrics' and run_id in (
            select subject_id from current_metadata
            where subject_kind = 'run' and key = 'status' and value in ('"running"', '"lost"')
        )
    )
)

select
    key,
    count(*),
    count(*) filter (value_number is not null or starts_with(value, '{"$type":"float"')),  -- NaN and infinities
    count(value),
    count(*) filter (value in ('true', 'false')),
    count(*) filter (regexp_full_match(value, '-?[0-9]{1,18}')),
    count(*) filter (regexp_full_match(value, '-?[0-9]{19,38}')),
    -- what a double can't tell from its neighbours
    count(*) filter (
        regexp_full_match(value, '-?[0-9]{16,}') and abs(value_number) >= 9007199254740992
        or starts_with(value, '{"$type":"decimal"')
        and length(regexp_replace(regexp_extract(value, '"value":"([^"eE]*)', 1), '[^0-9]', '', 'g')) > 15
    )
from valued
group by key
"""
"""Asks for every parameter and metric that any run has."""
LOST: Final = "runs called lost"
"""The relation of the ids of runs whose process died, though they are recorded as running."""
KeyCounts = tuple[int, ...]
"""How often a key is there, with a number, with a value, with true or false, with an integer of up to 18 digits, with
one of up to 38, and with a number of more digits than a double tells apart."""


def run_columns(keys: Mapping[str, KeyCounts]) -> list[tuple[str, str]]:
    """Return (name, expression) for the rows of ``KEYS_OF_RUNS``, metrics first.

    Metrics are doubles. Parameters have the narrowest type that tells all of their values exactly: BOOLEAN, BIGINT,
    HUGEINT, DOUBLE, else text.
    """
    columns = []
    for one in typed_keys(keys):
        if one.name[0] in "$/":  # would be read as a path into the JSON, so it is one
            path = "/" + one.name.replace("~", "~0").replace("/", "~1")
        else:
            path = one.name
        text = f"{one.key.partition('.')[0]} ->> {sql_text(path)}"
        columns.append((one.name, f"try_cast({text} as {one.kind})" if one.kind else text))
    return columns


class TypedKey(NamedTuple):
    """A parameter or metric that may be a column.

    Attributes:
        key: ``params.<name>`` or ``metrics.<name>``.
        name: Its name.
        is_metric: Whether it is a metric.
        kind: The type of its column; None for text.
    """

    key: str
    name: str
    is_metric: bool
    kind: str | None


def typed_keys(keys: Mapping[str, KeyCounts]) -> Iterator[TypedKey]:
    """Yield the keys that may be columns, metrics first; see :func:`run_columns`."""
    for key in sorted(keys, key=lambda one: (not one.startswith("metrics."), one)):
        source, _, name = key.partition(".")
        if name and not any(ord(one) < 32 or ord(one) == 127 for one in name):  # a NUL would end the statement
            is_metric = source == "metrics"
            yield TypedKey(key, name, is_metric, _kind(is_metric, *keys[key][:7]))


def _kind(
    is_metric: bool, rows: int, numbers: int, values: int, switches: int, short: int, long: int, inexact: int
) -> str | None:
    if values and switches == values:
        return "boolean"
    if numbers != rows:
        return None
    if is_metric:
        return "double"
    if short + long == rows:
        return "hugeint" if long else "bigint"
    return None if inexact else "double"


def new_columns(keys: list[tuple[str, str]], taken: set[str]) -> str:
    """Return the columns to add to a view that has ``taken`` already, as SQL.

    SQL does not tell ``Loss`` from ``loss``: names that differ in case only become no columns, since either would stand
    for both.
    """
    taken = set(taken)
    spelled: dict[str, set[str]] = {}
    for name, _ in keys:
        spelled.setdefault(name.lower(), set()).add(name)
    taken |= {name for name, ways in spelled.items() if len(ways) > 1}
    chosen: list[str] = []
    for name, expression in keys:
        if name.lower() not in taken and len(chosen) < RUN_COLUMNS_LIMIT:
            taken.add(name.lower())
            chosen.append(f"{expression} as {sql_id(name)}")
    return ", ".join(chosen)


def called_lost(sql: str) -> str:
    """Return the SELECT of the runs with those called lost that are recorded as running."""
    told = (
        f"case when status = 'running' and run_id in (select run_id from {sql_id(LOST)}) then 'lost' else status end"
        " as status"
    )
    return f"select * replace ({told}) from (\n{sql}\n)"

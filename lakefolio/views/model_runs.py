"""The view ``runs`` over the read model ``run_states``: its parameters and metrics as columns, and which there are.

A column reads the lists of one parameter or metric, so that a search reads the columns of the files that it asks for
and gathers no run. Which columns there are, and of what types, depends on all values of all runs: those of a file are
counted once in a process, for files never change, and what later rows replaced is taken off.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from lakefolio.format.sql_text import sql_id, sql_text
from lakefolio.process.fork import ForkLock
from lakefolio.views.binding import describe
from lakefolio.views.relations import Rows, bind, scan_of
from lakefolio.views.run_columns import KeyCounts, called_lost, new_columns, typed_keys
from lakefolio.views.view_files import ViewFile

if TYPE_CHECKING:
    import duckdb

__all__ = ["STATES", "count_states", "make_runs"]

STATES: Final = "run_states_model"
"""The relation of the read model."""
_HIDDEN: Final = (
    *("going_on", "param_names", "param_values", "param_numbers", "metric_names", "metric_values", "metric_numbers"),
    *("logged_names", "logged_values"),
)
_MACRO: Final = r"""
create or replace macro fact_json(fact) as coalesce(
    case
        when regexp_matches(fact, '^\{"\$type":"decimal","value":"-?[0-9.]{1,16}"\}$')
            then try_cast(regexp_extract(fact, '"value":"([^"]*)"', 1) as json)
        when
            starts_with(fact, '{"$type":"decimal"')
            or starts_with(fact, '{"$type":"float"')
            or regexp_matches(fact, '^\{"\$type":"numpy".*"dtype":"[<>|=][biuf]')
            then try_cast(fact as json) -> '$.value'
    end,
    try_cast(fact as json),
    to_json(fact)
)
"""
"""The value of a parameter or metric, as the view has it: a number is a number, whatever type it came in."""
_PLAIN_FLOATS: Final = ", ".join(f"""'{{"$type":"float","value":"{one}"}}'""" for one in ("nan", "inf", "-inf"))
_COUNTS: Final = """
select
    file,
    key,
    count(*),
    count(*) filter (number is not null or starts_with(value, '{{"$type":"float"')),
    count(value),
    count(*) filter (value in ('true', 'false')),
    -- metrics are doubles: of parameters alone it matters which numbers they are
    count(*) filter (is_param and number is not null and regexp_full_match(value, '-?[0-9]{{1,18}}')),
    count(*) filter (is_param and number is not null and regexp_full_match(value, '-?[0-9]{{19,38}}')),
    count(*) filter (
        is_param and abs(number) >= 9007199254740992 and regexp_full_match(value, '-?[0-9]{{16,}}')
        or is_param and starts_with(value, '{{"$type":"decimal"')
        and length(regexp_replace(regexp_extract(value, '"value":"([^"eE]*)', 1), '[^0-9]', '', 'g')) > 15
    ),
    count(*) filter (starts_with(value, '{{') and value not in ({floats}))
from (
    select {file} as file, true as is_param, 'params.' || unnest(param_names) as key, unnest(param_values) as value,
        unnest(param_numbers) as number
    from {rows} where since is not null
    union all
    select {file}, false, 'metrics.' || unnest(metric_names), unnest(metric_values), unnest(metric_numbers)
    from {rows} where since is not null
    union all
    select {file}, false, 'metrics.' || unnest(logged_names), null, 0
    from {rows} where since is not null and status in ('"running"', '"lost"')
)
group by file, key
"""
"""As ``run_columns.KEYS_OF_RUNS`` counts, by file; and at last the values that are tagged, but for plain floats."""
_Counts = dict[str, KeyCounts]
_KEPT_FILES: Final = 1_000


class _Counted:
    """What was counted of files, by their paths, which are never given again. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = ForkLock()
        self._known: OrderedDict[str, _Counts] = OrderedDict()

    def get(self, path: str) -> _Counts | None:
        with self._lock:
            return self._known.get(path)

    def put(self, path: str, counts: _Counts) -> None:
        with self._lock:
            self._known[path] = counts
            while len(self._known) > _KEPT_FILES:
                self._known.popitem(last=False)


_counted = _Counted()


def count_states(connection: duckdb.DuckDBPyConnection, states: Rows) -> _Counts:
    """Return the parameters and metrics that runs have, with counts of their values.

    Args:
        connection: One that has the relation of the read model, and the view ``replaced_states``.
        states: What that relation is bound to.
    """
    if isinstance(states, pa.Table):
        return _count(connection, "run_heads").get("", {})
    found: _Counts = {}
    paths, kept = states.hold()
    missing = {path: at for at, path in enumerate(states.paths) if _counted.get(path) is None}
    if missing:
        held = {paths[at]: path for path, at in missing.items()}
        files = scan_of(list(held), alike=True, filename=True)
        by_file = _count(connection, files, "filename")
        for place, path in held.items():
            _counted.put(path, by_file.get(place, {}))
    for path in states.paths:
        _add(found, _counted.get(path) or {})
    del kept
    bind(connection, "run states since", states.rows)
    _add(found, _count(connection, '"run states since"').get("", {}))
    (since,) = connection.sql("select min(version) from replaced_states").fetchall()[0]
    if since is not None:  # bounds of row groups leave out most of the others
        replaced = f"(from {STATES} semi join replaced_states using (version, ordinal) where version >= {since})"
        _add(found, _count(connection, replaced).get("", {}), -1)
    return {key: counts for key, counts in found.items() if counts[0] > 0}


def _count(connection: duckdb.DuckDBPyConnection, rows: str, file: str = "''") -> dict[str, _Counts]:
    found: dict[str, _Counts] = {}
    for name, key, *counts in connection.execute(_COUNTS.format(rows=rows, file=file, floats=_PLAIN_FLOATS)).fetchall():
        found.setdefault(name, {})[key] = tuple(counts)
    return found


def _add(found: _Counts, more: Mapping[str, KeyCounts], sign: int = 1) -> None:
    for key, counts in more.items():
        before = found.get(key, (0,) * len(counts))
        found[key] = tuple(one + sign * other for one, other in zip(before, counts, strict=True))


def make_runs(
    connection: duckdb.DuckDBPyConnection, view: ViewFile, counts: Mapping[str, KeyCounts], *, lost: bool
) -> None:
    """Make the view of runs over the read model.

    Args:
        connection: Where.
        view: The view of the model.
        counts: The parameters and metrics there are, see :func:`count_states`.
        lost: Whether the connection has a relation of the runs to be called lost.
    """
    connection.execute(_MACRO)
    told = called_lost(view.sql) if lost else view.sql
    plain = f"select * exclude ({', '.join(_HIDDEN)})"
    name = sql_id(view.name)
    connection.execute(f"create or replace view {name} as {plain} from (\n{told}\n)")
    taken = {column.lower() for column, _ in describe(connection, view.name)}
    columns = new_columns(
        [(one.name, _column(one.is_metric, one.name, one.kind, counts[one.key])) for one in typed_keys(counts)], taken
    )
    if columns:
        connection.execute(f"create or replace view {name} as {plain}, {columns} from (\n{told}\n)")


def _column(is_metric: bool, name: str, kind: str | None, counts: KeyCounts) -> str:
    source, told = ("metric" if is_metric else "param"), sql_text(name)
    at = f"list_position({source}_names, {told})"
    inexact, tagged = counts[6], counts[7]
    if kind in ("double", "bigint") and not inexact and not tagged:
        number = f"{source}_numbers[{at}]"
        found = number if kind == "double" else f"cast({number} as bigint)"
    else:
        text = f"fact_json({source}_values[{at}]) ->> '$'"
        found = f"try_cast({text} as {kind})" if kind else text
    if not is_metric:
        return found
    live = f"logged_values[list_position(logged_names, {told})] ->> '$'"
    live = f"try_cast({live} as {kind})" if kind else live
    return f"case when going_on and list_contains(logged_names, {told}) then {live} else {found} end"

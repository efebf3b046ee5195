"""Runs as a table: columns of the view ``runs``, and of each metric its last, min, max and best value.

Points of metrics are read only where a column, an order or a condition asks for such a value.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from lakefolio.errors import InvalidInputError, nearest
from lakefolio.format.sql_text import sql_id, sql_text
from lakefolio.session.sql_tables import metric_names
from lakefolio.views.sql_guard import about_where, check_expression

if TYPE_CHECKING:
    from lakefolio.session.session import Session

__all__ = ["MEASURES", "among", "measures", "nested", "run_rows"]

MEASURES: Final = ("last", "min", "max", "best")
"""What a metric is summed up to: ``val/loss.min`` is a column."""
_DEFAULT: Final = ("run_id", "name", "status", "started_at", "parent")
_SHOWN: Final = 40
_FEW: Final = 1_000
_TEXTS: Final = r"""'(?:[^']|'')*'|"(?:[^"]|"")*" """.strip()


def run_rows(
    session: Session,
    where: str | None,
    sort: Sequence[str],
    columns: Sequence[str] | None,
    limit: int | None,
    *,
    also: Sequence[str] = (),
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return columns and rows: what a table of runs shows.

    Args:
        session: The lake.
        where: One SQL expression over the columns. A name such as ``val/loss`` or ``auc.min`` needs no quotes.
        sort: Columns; prefix ``-`` for descending order; newest first by default.
        columns: Which to show; by default what identifies a run, what ``where`` and ``sort`` ask for, and all metrics.
        limit: Maximum number of rows.
        also: Further conditions, which are SQL of this library.

    Raises:
        InvalidInputError: kind ``sql`` or ``bad-query``.
    """
    steady = session.steady()
    plain = steady.query("select * from runs limit 0").columns
    metrics = metric_names(steady)
    measured = {f"{name}.{one}": (name, one) for name in metrics for one in MEASURES}
    shared = {name: (name, "last") for name in metrics if name not in plain}  # differ in case, so are no columns
    measured = shared | measured
    known = dict.fromkeys([*plain, *(name for name in measured if name not in plain)])
    condition = None if where is None else _with_quotes(where, known, shared) if isinstance(where, str) else where
    orders = [(one.lstrip("-"), " desc" if one.startswith("-") else "") for one in sort] or [("started_at", " desc")]
    asked = [name for name, _ in orders if name != "started_at"]
    asked += [name for name in known if condition is not None and sql_id(name) in condition]
    if columns:
        wanted = list(columns)
    else:
        every = [*_DEFAULT[:2], *asked, *_DEFAULT[2:], *metrics[:_SHOWN]]
        wanted = [one for one in dict.fromkeys(every) if one in known]
    for name in [*wanted, *(name for name, _ in orders)]:
        if name not in known:
            raise InvalidInputError(
                f"runs have no column {name!r}", kind="bad-query", hint=nearest(name, known), column=name
            )
    used = {name: measured[name] for name in [*wanted, *asked] if name not in plain and name in measured}
    # SQL would not tell Loss from loss; no column has a tab in its name
    names = {name: sql_id(f"{name}\t{number}") for number, name in enumerate(used)}
    if condition is not None:
        spelled = {sql_id(name): called for name, called in names.items()}
        condition = re.sub(_TEXTS, lambda found: spelled.get(found[0], found[0]), condition)
    chosen = ", ".join(names.get(one) or sql_id(one) for one in wanted)
    order = ", ".join(f"{names.get(name) or sql_id(name)}{way} nulls last" for name, way in orders)
    holds = " and ".join([*also, *([] if condition is None else [f"({check_expression(condition)})"])]) or "true"
    most = "" if limit is None else f" limit {int(limit)}"
    query = f"select {{}} from {_source(used, names)} where {holds} order by {order}, run_id desc{most}"
    try:
        if used or limit is None or limit > _FEW:
            return wanted, steady.query(query.format(chosen)).fetchall()
        # only what chooses is read of all runs, and then those that were chosen
        ids = [run_id for (run_id,) in steady.query(query.format("run_id")).fetchall()]
        found = steady.query(f"select run_id, {chosen} from runs where {among(ids)}").fetchall()
        rows = {run_id: row for run_id, *row in found}
        return wanted, [tuple(rows[run_id]) for run_id in ids]
    except InvalidInputError as exc:
        if where is None or exc.kind != "sql":
            raise
        raise about_where(exc, where, "the columns of runs") from exc


def among(run_ids: Collection[str]) -> str:
    """Return the condition that a run is one of some: literals, by which files leave out row groups."""
    return f"run_id in ({', '.join(map(sql_text, run_ids))})" if run_ids else "false"


def measures(session: Session, run_ids: Sequence[str]) -> dict[str, dict[str, float | None]]:
    """Return run -> ``metrics.<name>.min``, ``.max`` and ``.best`` of each metric; if the runs are many, of all."""
    some = f" where {among(run_ids)}" if len(run_ids) <= _FEW else ""
    found: dict[str, dict[str, float | None]] = {}
    query = f"select run_id, name, {', '.join(MEASURES[1:])} from run_metrics{some}"
    for run_id, name, *values in session.query(query).fetchall():
        of = zip(MEASURES[1:], values, strict=True)
        found.setdefault(run_id, {}).update((f"metrics.{name}.{one}", value) for one, value in of)
    return found


def nested(runs: Sequence[tuple[str, str | None]]) -> list[tuple[int, str]]:
    """Return runs as a tree: the place of each in the order to show them, and the branch to draw before it.

    Siblings keep their order, and a family stands where the first of its members did. A run whose parent is not among
    them stands by itself.

    Args:
        runs: The id of each, and that of its parent.
    """
    places = {run_id: place for place, (run_id, _) in enumerate(runs)}
    parents = [places.get(parent) if parent and parent != run_id else None for run_id, parent in runs]
    first = list(range(len(runs)))  # of each run the first place that it or one below it has
    for place in range(len(runs)):
        above, seen = parents[place], {place}
        while above is not None and above not in seen and first[above] > place:
            first[above] = place
            seen.add(above)
            above = parents[above]
    below: dict[int | None, list[int]] = {}
    for place in sorted(range(len(runs)), key=lambda one: (first[one], one)):
        below.setdefault(parents[place], []).append(place)
    found: list[tuple[int, str]] = []
    drawn: set[int] = set()
    waiting = [(place, "", "") for place in reversed(below.get(None, []))]
    for place in range(len(runs)):  # who is its own ancestor, by a hand that edited, begins a tree
        while waiting:
            one, branch, stem = waiting.pop()
            if one in drawn:
                continue
            drawn.add(one)
            found.append((one, branch))
            inner = [child for child in below.get(one, []) if child not in drawn]
            for number, child in reversed(list(enumerate(inner))):
                last = number == len(inner) - 1
                waiting.append((child, stem + ("└─ " if last else "├─ "), stem + ("   " if last else "│  ")))
        if place not in drawn:
            waiting.append((place, "", ""))
    return found + [(place, "") for place in range(len(runs)) if place not in drawn]


def _source(used: Mapping[str, tuple[str, str]], called: Mapping[str, str]) -> str:
    """Return the relation of runs, with the measures that are used."""
    if not used:
        return "runs"
    names = ", ".join(sorted({sql_text(name) for name, _ in used.values()}))
    columns = ", ".join(
        f"max({sql_id(one)}) filter (where name = {sql_text(name)}) as {called[column]}"
        for column, (name, one) in used.items()
    )
    some = f"select run_id as run_of, {columns} from run_metrics where name in ({names}) group by 1"
    return f"(select * exclude (run_of) from runs left join ({some}) on run_id = run_of) as runs"


def _with_quotes(where: str, known: Collection[str], shared: Collection[str]) -> str:
    """Return a condition with quotes around the names of columns that SQL would not take for one name, or for two."""
    odd = [name for name in known if not re.fullmatch(r"[A-Za-z_]\w*", name)]
    lower = {name.lower() for name in known}
    odd = [name for name in odd if not {one.lower() for one in re.findall(r"\w+", name)} <= lower]
    odd += [name for name in shared if name not in odd]
    if not odd:
        return where
    names = "|".join(re.escape(name) for name in sorted(odd, key=lambda name: -len(name)))
    pattern = re.compile(rf"{_TEXTS}|(?<![\w./$])(?P<name>{names})(?![\w/]|\.\w)")
    return pattern.sub(lambda found: sql_id(found["name"]) if found["name"] else found[0], where)

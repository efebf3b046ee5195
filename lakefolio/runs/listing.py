"""Runs found again: listed by what is said of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from lakefolio.errors import InvalidInputError, nearest
from lakefolio.items.optional_imports import need
from lakefolio.render import html
from lakefolio.render.text import counted
from lakefolio.runs.record import RunManifest, manifests_of
from lakefolio.runs.run_names import short_id
from lakefolio.runs.validation import check_status
from lakefolio.terminal import visible
from lakefolio.views.sql_guard import check_expression

if TYPE_CHECKING:
    from lakefolio.session.session import Session

__all__ = ["RunList", "listed", "run_rows"]

_SHOWN: Final = 20
_COLUMNS: Final = ("run_id", "name", "status", "started_at", "type", "project", "model", "tags")
_METRICS: Final = "select distinct name from metrics order by name limit 40"
_KEYS: Final = ("type", "project", "model", "status", "parent", "started_at", "tags")
_PLAIN: Final = "coalesce(try_cast({0} as json), to_json({0})) ->> '$'"
_LAST: Final = ", ".join(f"arg_max_null(fact.value, rank) filter (where fact.key = '{key}') as {key}" for key in _KEYS)
_RUNS: Final = f"""
with noted as (
    select
        run_id,
        unnest(facts) as fact,
        cast(position as hugeint) * 4294967296 + generate_subscripts(facts, 1) as rank
    from stg_manifests
    where op = 'run' and len(facts) > 0
),

last_noted as (select run_id, {_LAST} from noted group by run_id),

found as (
    select
        run_id,
        {", ".join(f"{_PLAIN.format(key)} as {key}" for key in _KEYS if key not in ("tags", "status"))},
        case when status = '"running"' and list_contains($lost, run_id) then 'lost' else {_PLAIN.format("status")} end
            as status,
        try_cast({_PLAIN.format("tags")} as varchar[]) as tags
    from last_noted
)

select run_id from found
where {{}}
order by try_cast(started_at as timestamp with time zone) desc nulls last, run_id desc
"""
"""As the view ``runs`` has it, of the few facts that are asked for alone: the view gathers all of them."""


class RunList(list[RunManifest]):
    """Runs, newest first. A list; ``.df()`` and ``.pl()`` give a frame with a column for each parameter and metric."""

    def rows(self) -> list[dict[str, Any]]:
        """Return one dict a run: what identifies it, then ``params.<name>`` and ``metrics.<name>``."""
        return [
            {name: getattr(run, name) for name in _COLUMNS}
            | {f"params.{name}": value for name, value in run.params.items()}
            | {f"metrics.{name}": value for name, value in run.metrics.items()}
            for run in self
        ]

    def df(self) -> Any:
        """Return a pandas frame."""
        return need("pandas", "a frame of runs").DataFrame(self.rows(), columns=None if self else _COLUMNS)

    def pl(self) -> Any:
        """Return a polars frame."""
        return need("polars", "a frame of runs").DataFrame(
            self.rows(), schema=None if self else _COLUMNS, infer_schema_length=None, strict=False
        )

    def __repr__(self) -> str:
        width = max((len(short_id(one.run_id)) for one in self[:_SHOWN]), default=0)
        lines = [f"{short_id(one.run_id):<{width}}  {one.status or '':<8} {one.name or ''}" for one in self[:_SHOWN]]
        more = len(self) - _SHOWN
        return visible(
            "\n".join([f"{counted(len(self), 'run')}", *lines, *([f"… and {more:,} more"] if more > 0 else [])])
        )

    def _repr_html_(self) -> str:
        shown = self.rows()[:_SHOWN]
        names = list(dict.fromkeys(name for row in shown for name, value in row.items() if value not in (None, [])))
        rows = [[row.get(name) for name in names] for row in shown]
        return html.block(html.heading("runs", len(self)), html.row_table(names, rows, total=len(self)))


def run_rows(
    session: Session, where: str | None, sort: Sequence[str], columns: Sequence[str] | None, limit: int | None
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return columns and rows of the view ``runs``: what a table of runs shows.

    Args:
        session: The lake.
        where: One SQL expression over the columns of the view.
        sort: Columns, a ``-`` before those that fall; newest first by default.
        columns: Which to show; by default what identifies a run, and all metrics.
        limit: At most so many.

    Raises:
        InvalidInputError: kind ``sql`` or ``bad-query``.
    """
    still = session.still()
    known = still.query("select * from runs limit 0").columns
    facts = [str(name) for (name,) in still.query(_METRICS).fetchall()]
    wanted = list(columns) if columns else [*_COLUMNS[:4], *(one for one in facts if one in known)]
    orders = [(one.lstrip("-"), " desc" if one.startswith("-") else "") for one in sort] or [("started_at", " desc")]
    for name in [*wanted, *(name for name, _ in orders)]:
        if name not in known:
            raise InvalidInputError(
                f"runs have no column {name!r}", kind="bad-query", hint=nearest(name, known), column=name
            )
    chosen = ", ".join(_quoted(name) for name in wanted)
    order = ", ".join(f"{_quoted(name)}{way} nulls last" for name, way in orders)
    condition = "true" if where is None else f"({check_expression(where)})"
    most = "" if limit is None else f" limit {int(limit)}"
    found = still.query(f"select {chosen} from runs where {condition} order by {order}, run_id desc{most}")
    return wanted, found.fetchall()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def listed(session: Session, wanted: dict[str, Any], tag: str | None, limit: int | None) -> RunList:
    """Return the manifests of the runs of which all of ``wanted`` (column of the view ``runs`` -> value) is said.

    Newest first.
    """
    if wanted.get("status") is not None:
        check_status(wanted["status"])
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 0):
        raise InvalidInputError(
            f"limit is {limit!r}, expected a whole number", kind="bad-limit", hint="or None for all"
        )
    given = {column: str(value) for column, value in wanted.items() if value is not None}
    conditions = [f"{column} = ${column}" for column in given]
    values: dict[str, Any] = {**given, "lost": sorted(session.lost)}
    if tag is not None:
        conditions.append("list_contains(tags, $tag)")
        values["tag"] = tag
    sql = _RUNS.format(" and ".join(conditions) or "true")
    if limit is not None:
        sql += "limit $most"
        values["most"] = limit
    still = session.still()  # one look at the store for all of them
    found = still.query(sql, values).fetchall()
    return RunList(manifests_of(session if session.in_batch else still, [run_id for (run_id,) in found]))

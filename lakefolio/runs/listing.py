"""Runs found again: listed by what is said of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from lakefolio.errors import InvalidInputError
from lakefolio.format.names import short_id
from lakefolio.format.sql_text import sql_text
from lakefolio.items.optional_imports import need
from lakefolio.render import html
from lakefolio.render.text import counted
from lakefolio.runs.record import RunManifest, manifests_of
from lakefolio.runs.run_names import run_id_of
from lakefolio.runs.table import MEASURES, measures, run_rows
from lakefolio.runs.validation import check_status
from lakefolio.terminal import shown_value, visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from lakefolio.session.session import Session

__all__ = ["RunList", "listed"]

Measures = Mapping[str, Mapping[str, Mapping[str, float | None]]]
_SHOWN: Final = 20
_COLUMNS: Final = ("run_id", "name", "status", "started_at", "type", "project", "model", "tags")
_KEYS: Final = ("type", "project", "model", "status", "parent", "started_at", "tags")
_PLAIN: Final = "coalesce(try_cast({0} as json), to_json({0})) ->> '$'"
_LAST: Final = ", ".join(f"arg_max_null(fact.value, rank) filter (where fact.key = '{key}') as {key}" for key in _KEYS)
_NOTED: Final = f"""(
with noted as (
    select
        run_id,
        unnest(facts) as fact,
        cast(position as hugeint) * 4294967296 + generate_subscripts(facts, 1) as rank
    from stg_manifests
    where op = 'run' and len(facts) > 0
),

last_noted as (select run_id, {_LAST} from noted group by run_id)

select
    run_id,
    {", ".join(f"{_PLAIN.format(key)} as {key}" for key in _KEYS if key not in ("tags", "status"))},
    case when status = '"running"' and list_contains($lost, run_id) then 'lost' else {_PLAIN.format("status")} end
        as status,
    try_cast({_PLAIN.format("tags")} as varchar[]) as tags
from last_noted
)"""
"""As the view ``runs`` has it, of the few facts that are asked for alone: without a read model it gathers all."""
_RUNS: Final = """
select run_id from {}
where {}
order by try_cast(started_at as timestamp with time zone) desc nulls last, run_id desc
"""


class RunList(list[RunManifest]):
    """Runs, newest first or as they were sorted. A list; ``.df()``, ``.pl()`` and ``.arrow()`` give a frame.

    A frame has one row per run: what identifies it, a column ``params.<name>`` for each parameter, and for each metric
    ``metrics.<name>`` (the last value) and ``metrics.<name>.min``, ``.max`` and ``.best``, over all of its points.
    ``best`` is the least of a loss and the greatest of anything else; the view ``run_metrics`` says how they are told.
    """

    def __init__(self, runs: Iterable[RunManifest] = (), measured: Callable[[], Measures] = dict) -> None:
        """Take runs, and what gives the measures of their metrics, which is asked when a frame is made."""
        super().__init__(runs)
        self._measured = measured

    def __reduce__(self) -> tuple[Any, ...]:
        """Be pickled and copied with the measures, which only a lake can tell."""
        return RunList, (list(self), partial(dict, self._measured()))

    def rows(self) -> list[dict[str, Any]]:
        """Return one dict a run: what identifies it, then parameters and metrics; all points are read for that."""
        measured = self._measured()
        own = {f"metrics.{name}" for run in self for name in run.metrics}  # a metric may be called loss.min
        return [
            row | {column: value for column, value in _columns_of(measured.get(run.run_id, {})) if column not in own}
            for row, run in zip(self._plain(), self, strict=True)
        ]

    def _plain(self) -> list[dict[str, Any]]:
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

    def arrow(self) -> pa.Table:
        """Return a pyarrow table."""
        found: pa.Table = self.pl().to_arrow()
        return found

    def __repr__(self) -> str:
        width = max((len(short_id(one.run_id)) for one in self[:_SHOWN]), default=0)
        lines = [f"{short_id(one.run_id):<{width}}  {one.status or '':<8} {one.name or ''}" for one in self[:_SHOWN]]
        more = len(self) - _SHOWN
        return visible(
            "\n".join([f"{counted(len(self), 'run')}", *lines, *([f"… and {more:,} more"] if more > 0 else [])])
        )

    def _repr_html_(self) -> str:
        shown = self._plain()[:_SHOWN]
        names = list(dict.fromkeys(name for row in shown for name, value in row.items() if value not in (None, [])))
        rows = [[row.get(name) for name in names] for row in shown]
        return html.block(html.heading("runs", len(self)), html.row_table(names, rows, total=len(self)))


def _columns_of(measured: Mapping[str, Mapping[str, float | None]]) -> Iterator[tuple[str, float | None]]:
    for name, values in measured.items():
        yield from ((f"metrics.{name}.{one}", values.get(one)) for one in MEASURES[1:])


def listed(
    session: Session,
    wanted: dict[str, Any],
    tag: str | None,
    limit: int | None,
    *,
    where: str | None = None,
    sort: Sequence[str] = (),
) -> RunList:
    """Return the manifests of the runs of which all of ``wanted`` (column of the view ``runs`` -> value) is said.

    Newest first, or as ``sort`` says; ``where`` and ``sort`` as for :func:`lakefolio.runs.table.run_rows`.
    """
    if wanted.get("status") is not None:
        check_status(wanted["status"])
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 0):
        raise InvalidInputError(
            f"limit is {shown_value(limit)}, expected a whole number", kind="bad-limit", hint="or None for all"
        )
    still = session.still()  # one look at the store for all of them
    given = {column: str(value) for column, value in wanted.items() if value is not None}
    if "parent" in given:
        given["parent"] = run_id_of(still.committed(), given["parent"])
    if where is not None or sort:
        also = [f"{column} = {sql_text(value)}" for column, value in given.items()]
        also += [] if tag is None else [f"list_contains(tags, {sql_text(str(tag))})"]
        _, rows = run_rows(still, where, sort, ["run_id"], None if limit is None else min(limit, 2**62), also=also)
        found = manifests_of(session if session.in_batch else still, [run_id for (run_id,) in rows])
        return RunList(found, lambda: measures(still))
    conditions = [f"{column} = ${column}" for column in given]
    values: dict[str, Any] = {**given, "lost": sorted(session.lost)}
    if tag is not None:
        conditions.append("list_contains(tags, $tag)")
        values["tag"] = tag
    is_of_states = "run_states_model" in still.tables()
    sql = _RUNS.format("runs" if is_of_states else _NOTED, " and ".join(conditions) or "true")
    if is_of_states:
        del values["lost"]
    if limit is not None:
        sql += "limit $most"
        values["most"] = min(limit, 2**62)
    ids = [str(run_id) for (run_id,) in still.query(sql, values).fetchall()]
    found = manifests_of(session if session.in_batch else still, ids)
    return RunList(found, lambda: measures(still))

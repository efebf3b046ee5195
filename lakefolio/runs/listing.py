"""Runs found again: listed by what is said of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, overload

from lakefolio.errors import InvalidInputError
from lakefolio.format.names import short_id
from lakefolio.format.sql_text import sql_text
from lakefolio.items.optional_imports import need
from lakefolio.render import html
from lakefolio.render.text import counted
from lakefolio.runs.record import RunManifest, manifests_of
from lakefolio.runs.run_names import run_id_of
from lakefolio.runs.table import measures, run_rows
from lakefolio.runs.validation import check_status
from lakefolio.terminal import shown_value, visible

if TYPE_CHECKING:
    import pyarrow as pa

    from lakefolio.session.session import Session

__all__ = ["RunList", "listed"]

Measures = Mapping[str, Mapping[str, float | None]]
"""Of runs by their ids: ``metrics.<name>.min``, ``.max`` and ``.best`` of each metric."""
PAGE: Final = 1_000
"""The runs that a list of more holds at once."""
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


class RunList(Sequence[RunManifest]):
    """Runs, newest first or as they were sorted. A sequence; ``.df()``, ``.pl()`` and ``.arrow()`` give a frame.

    It holds the ids of all and a page of runs; other pages are read when they are asked for, as of the same version of
    the lake. So its memory is that of the ids, however many runs a loop goes through.

    A frame has one row per run: what identifies it, a column ``params.<name>`` for each parameter, and for each metric
    ``metrics.<name>`` (the last value) and ``metrics.<name>.min``, ``.max`` and ``.best``, over all of its points.
    ``best`` is the least of a loss and the greatest of anything else; the view ``run_metrics`` says how they are told.
    """

    def __init__(
        self,
        ids: Sequence[str],
        read: Callable[[Sequence[str]], Sequence[RunManifest]],
        measured: Callable[[Sequence[str]], Measures],
    ) -> None:
        """Take ids; if they are few, their runs are read now.

        Args:
            ids: The runs.
            read: Returns some of them.
            measured: Returns the measures of the metrics of some, for a frame.
        """
        self._ids, self._read, self._measured = ids, read, measured
        self._held: tuple[int, Sequence[RunManifest]] = (0, read(ids)) if len(ids) <= PAGE else (-1, ())

    def _page(self, number: int) -> Sequence[RunManifest]:
        held, page = self._held  # both at once: threads may share a list
        if held != number:
            page = self._read(self._ids[number * PAGE : (number + 1) * PAGE])
            self._held = (number, page)
        return page

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[RunManifest]:
        for number in range(-(-len(self) // PAGE)):
            yield from self._page(number)

    @overload
    def __getitem__(self, place: int) -> RunManifest: ...

    @overload
    def __getitem__(self, place: slice) -> RunList: ...

    def __getitem__(self, place: int | slice) -> RunManifest | RunList:
        if isinstance(place, slice):
            return RunList(self._ids[place], self._read, self._measured)
        place = range(len(self))[place]
        return self._page(place // PAGE)[place % PAGE]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RunList | list):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    def __reduce__(self) -> tuple[Any, ...]:
        """Be pickled and copied with all runs and their measures, which only a lake can tell."""
        return RunList, (
            self._ids,
            partial(_known, {run.run_id: run for run in self}),
            partial(_measured, self._measured(self._ids)),
        )

    def rows(self) -> list[dict[str, Any]]:
        """Return one dict a run: what identifies it, then parameters and metrics; all points are read for that."""
        plain = [_plain(run) for run in self]
        measured, own = self._measured(self._ids), {name for row in plain for name in row}
        return [
            row | {column: value for column, value in measured.get(run_id, {}).items() if column not in own}
            for run_id, row in zip(self._ids, plain, strict=True)
        ]

    def _columns(self, missing: float | None) -> dict[str, list[Any]]:
        """Return the columns of a frame, of which most are shorter than a dict a run."""
        plain = _as_columns(map(_plain, self), missing, _COLUMNS)
        measured = self._measured(self._ids)
        others = _as_columns((measured.get(run_id, {}) for run_id in self._ids), missing)
        return {**plain, **{name: values for name, values in others.items() if name not in plain}}

    def df(self) -> Any:
        """Return a pandas frame."""
        return need("pandas", "a frame of runs").DataFrame(self._columns(math.nan))

    def pl(self) -> Any:
        """Return a polars frame."""
        return need("polars", "a frame of runs").DataFrame(self._columns(None), strict=False)

    def arrow(self) -> pa.Table:
        """Return a pyarrow table."""
        found: pa.Table = self.pl().to_arrow()
        return found

    def __repr__(self) -> str:
        shown = list(self[:_SHOWN])
        width = max((len(short_id(one.run_id)) for one in shown), default=0)
        lines = [f"{short_id(one.run_id):<{width}}  {one.status or '':<8} {one.name or ''}" for one in shown]
        more = len(self) - _SHOWN
        return visible(
            "\n".join([f"{counted(len(self), 'run')}", *lines, *([f"… and {more:,} more"] if more > 0 else [])])
        )

    def _repr_html_(self) -> str:
        shown = [{"run": short_id(one.run_id), **_plain(one), "run_id": None} for one in self[:_SHOWN]]
        names = list(dict.fromkeys(name for row in shown for name, value in row.items() if value not in (None, [])))
        rows = [[row.get(name) for name in names] for row in shown]
        return html.block(html.heading("runs", len(self)), html.row_table(names, rows, total=len(self)))


def _plain(run: RunManifest) -> dict[str, Any]:
    return {
        **{name: getattr(run, name) for name in _COLUMNS},
        **{f"params.{name}": value for name, value in run.params.items()},
        **{f"metrics.{name}": value for name, value in run.metrics.items()},
    }


def _as_columns(
    rows: Iterable[Mapping[str, Any]], missing: float | None, names: Iterable[str] = ()
) -> dict[str, list[Any]]:
    """Return the columns of rows which are gone through once: of each name its values."""
    found: dict[str, list[Any]] = {name: [] for name in names}
    count = 0
    for row in rows:
        for name, value in row.items():
            column = found.setdefault(name, [])
            column += [missing] * (count - len(column))
            column.append(value)
        count += 1
    for column in found.values():
        column += [missing] * (count - len(column))
    return found


def _known(runs: Mapping[str, RunManifest], ids: Sequence[str]) -> list[RunManifest]:
    return [runs[run_id] for run_id in ids]


def _measured(measured: Measures, ids: Sequence[str]) -> Measures:
    return {run_id: measured[run_id] for run_id in ids if run_id in measured}


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
    steady = session.steady()  # one look at the store for all of them
    given = {column: str(value) for column, value in wanted.items() if value is not None}
    if "parent" in given:
        given["parent"] = run_id_of(steady.committed(), given["parent"])
    if where is not None or sort:
        also = [f"{column} = {sql_text(value)}" for column, value in given.items()]
        also += [] if tag is None else [f"list_contains(tags, {sql_text(str(tag))})"]
        _, rows = run_rows(steady, where, sort, ["run_id"], None if limit is None else min(limit, 2**62), also=also)
        return _list_of(session, steady, [run_id for (run_id,) in rows])
    conditions = [f"{column} = ${column}" for column in given]
    values: dict[str, Any] = {**given, "lost": sorted(session.lost)}
    if tag is not None:
        conditions.append("list_contains(tags, $tag)")
        values["tag"] = tag
    is_of_states = "run_states_model" in steady.tables()
    sql = _RUNS.format("runs" if is_of_states else _NOTED, " and ".join(conditions) or "true")
    if is_of_states:
        del values["lost"]
    if limit is not None:
        sql += "limit $most"
        values["most"] = min(limit, 2**62)
    return _list_of(session, steady, [str(run_id) for (run_id,) in steady.query(sql, values).fetchall()])


def _list_of(session: Session, steady: Session, ids: Sequence[str]) -> RunList:
    read = partial(manifests_of, steady)
    if session.in_batch:  # what the batch says of them by now
        read = partial(_known, {run.run_id: run for run in manifests_of(session, ids)})
    return RunList(ids, read, partial(measures, steady))

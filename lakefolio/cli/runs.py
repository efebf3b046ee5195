"""``lakefolio runs``."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import click

from lakefolio.cli.app import App, command
from lakefolio.cli.naming import folders
from lakefolio.errors import InvalidInputError
from lakefolio.format.times import shown_time

if TYPE_CHECKING:
    from lakefolio.lake import Lake

__all__ = ["cell", "clock", "runs"]

_SHOWN: Final = 100
_PLAIN: Final = ("run", "name", "status")
_TITLES: Final = {"run_id": "run", "started_at": "started", "ended_at": "ended", "duration_s": "took"}


@command(example="lakefolio runs --sort val/loss.min --limit 10", light=True)
@click.argument("path", required=False, shell_complete=folders)
@click.option(
    "--where", metavar="SQL", help="Only runs of which this holds: an expression over columns, 'auc.max > 0.9'."
)
@click.option("--sort", metavar="COLUMNS", help="By these, with commas between; prefix - for descending order: -auc.")
@click.option("--columns", metavar="COLUMNS", help="Which to show, with commas between; metrics by their names.")
@click.option(
    "--limit", type=click.IntRange(min=0), metavar="N", help="Maximum number of runs: 100, all with --json or 0."
)
@click.option(
    "--follow", is_flag=True, help="Renew the table as runs go on, until Ctrl-C; lines of what is new in a pipe."
)
@click.option(
    "--every", type=click.FloatRange(0.1, 3600), default=2.0, show_default=True, help="Seconds between looks."
)
def runs(
    app: App,
    path: str | None,
    where: str | None,
    sort: str | None,
    columns: str | None,
    limit: int | None,
    follow: bool,
    every: float,
) -> None:
    """List runs, newest first, or walk them like folders.

    A run stands below the run around it. Columns are those of the view runs, parameters and metrics by their names;
    a metric also as NAME.min, NAME.max, NAME.best and NAME.last, over all of its points (best is the least of a loss,
    the greatest of anything else). What is shown of an id names the run.

    PATH is a way of organising and a folder of it: by_project/churn. The ways are by_project, by_date, by_type,
    by_model, flat, and view files of one's own; a path that begins with none of them is one of default_organisation.
    """
    from lakefolio.cli.ls import folder

    lake = app.open()
    asked = _Asked(where, _split(sort), _split(columns), limit)
    if path is not None and (follow or any(one is not None for one in (where, sort, columns, limit))):
        if path in ("asc", "desc") and sort is not None:
            raise click.UsageError(f"--sort takes fields alone: {sort} rises, -{sort.lstrip('-')} falls")
        raise click.UsageError("--where, --sort, --columns, --limit and --follow are for all runs: leave PATH out")
    if follow:
        with suppress(KeyboardInterrupt):
            _followed(app, lake, asked, every)
        return
    if path is None:
        table(app, lake, asked)
        return
    folder(app, lake.browse(_organised(lake, path)))


def _organised(lake: Lake, path: str) -> str:
    """Return the path of a folder, below the default organisation if it names none."""
    from lakefolio.config.settings import blamed, setting
    from lakefolio.errors import nearest

    if path.split("/")[0] in (known := lake.browse().folders):
        return path
    way = setting("default_organisation")
    if way not in known:
        wrong = InvalidInputError(f"there is no organisation {way!r}", kind="bad-config", hint=nearest(way, known))
        raise blamed("default_organisation", wrong)
    return f"{way}/{path}"


@dataclass(frozen=True, slots=True)
class _Asked:
    """What of runs is shown, and in which order."""

    where: str | None
    sort: list[str]
    columns: list[str]
    limit: int | None


@dataclass(frozen=True, slots=True)
class _Table:
    """Runs as cells: children below their parents.

    Attributes:
        ids: The id of each, in the order of the cells.
        names: The names of the columns that were asked for, for programs.
        rows: Their values, in the order that was asked for.
        headings: The headings for people.
        cells: The texts for people.
        right: The headings of numbers.
        cut: Whether there are more.
    """

    ids: list[str]
    names: list[str]
    rows: list[dict[str, object]]
    headings: list[str]
    cells: list[list[str]]
    right: list[str]
    cut: bool


def _tabled(lake: Lake, asked: _Asked, most: int | None) -> _Table:
    from lakefolio.format.names import short_id
    from lakefolio.runs.table import nested

    more = [one for one in ("run_id", "parent") if asked.columns and one not in asked.columns]
    try:
        names, rows = lake.run_rows(
            where=asked.where,
            sort=asked.sort,
            columns=[*asked.columns, *more] or None,
            limit=None if most is None else most + 1,
        )
    except InvalidInputError:
        named = replace(asked, sort=_by_title(asked.sort), columns=_by_title(asked.columns))
        if named == asked:
            raise
        return _tabled(lake, named, most)
    cut, rows = len(rows) > (most or len(rows)), rows[:most]
    every = [dict(zip(names, row, strict=True)) for row in rows]
    shown = [name for name in names if name not in more and (asked.columns or name != "parent")]
    lead = "name" if "name" in shown else shown[0]
    tree = nested([(str(row["run_id"]), row["parent"]) for row in every])
    cells = []
    for place, branch in tree:
        row = every[place]
        texts = {name: cell(row[name]) for name in shown} | {"run_id": short_id(row["run_id"])}
        if "parent" in shown and row["parent"]:
            texts["parent"] = short_id(row["parent"])
        texts[lead] = branch + texts[lead]
        cells.append([texts[name] for name in shown])
    numbers = [name for name in shown if any(isinstance(row[name], int | float) for row in every)]
    plain = [{name: one for name, one in row.items() if name not in more} for row in every]
    headings = [_TITLES.get(name, name) for name in shown]
    ids = [str(every[place]["run_id"]) for place, _ in tree]
    return _Table(ids, names, plain, headings, cells, [_TITLES.get(name, name) for name in numbers], cut)


def table(app: App, lake: Lake, asked: _Asked) -> None:
    """Print runs as a table."""
    most = (None if app.as_json else _SHOWN) if asked.limit is None else asked.limit or None
    found = _tabled(lake, asked, most)
    app.output.rows(
        found.rows,
        found.headings,
        found.cells,
        right=found.right,
        empty="no runs" if asked.where is None else "no run is like that",
        whole="--columns chooses, --json prints them all",
    )
    if found.cut and asked.limit is None:
        app.output.note(f"the first {most} runs; --limit N shows more, --limit 0 all")


def _followed(app: App, lake: Lake, asked: _Asked, every: float) -> None:
    """Show runs again and again: a table that is renewed, or a line for each run of which there is news."""
    most = _SHOWN if asked.limit is None else asked.limit or None
    before: dict[str, list[str]] = {}
    known: list[dict[str, object]] = []
    told = False
    with app.output.live_table() as show:
        for now in lake.follow_runs(every_s=every):
            try:
                found = _tabled(now, asked, most)
            except InvalidInputError as exc:
                if exc.kind != "bad-query":
                    raise
                if not told:  # a metric is a column from its first point on
                    app.output.note(f"{exc.message} yet: the table begins when one has it")
                told = True
                continue
            if show is not None:
                show(found.headings, found.cells, found.right)
                continue
            fresh = {
                run_id: row for run_id, row in zip(found.ids, found.cells, strict=True) if before.get(run_id) != row
            }
            before |= fresh
            if app.as_json:
                for one in found.rows:
                    if one not in known:
                        app.output.line(one)
                known = found.rows
                continue
            for row in fresh.values():
                texts = {
                    name: text for name, text in zip(found.headings, row, strict=True) if text and name != "started"
                }
                said = [text if name in _PLAIN else f"{name} {text}" for name, text in texts.items()]
                app.output.print("  ".join([clock(datetime.now(UTC)), *said]))


def _by_title(columns: list[str]) -> list[str]:
    """Return columns by their names, where some are called as the headings are: ``run`` is ``run_id``."""
    names = {title: name for name, title in _TITLES.items()}
    return ["-" * one.startswith("-") + names.get(one.lstrip("-"), one.lstrip("-")) for one in columns]


def _split(text: str | None) -> list[str]:
    return [] if text is None else [one.strip() for one in text.split(",") if one.strip()]


def cell(value: object) -> str:
    """Return a value as people read it in a table."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return shown_time(value, "seconds")
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def clock(at: datetime) -> str:
    """Return the time of day of what happens now, with its zone."""
    return shown_time(at, "seconds").partition(" ")[2]

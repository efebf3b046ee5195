"""``lakefolio runs``."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import click

from lakefolio.cli.app import App, command
from lakefolio.cli.naming import folders
from lakefolio.format.times import shown_time

if TYPE_CHECKING:
    from lakefolio.lake import Lake

__all__ = ["cell", "runs"]

_SHOWN: Final = 100
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
def runs(
    app: App, path: str | None, where: str | None, sort: str | None, columns: str | None, limit: int | None
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
    if path is None:
        table(app, lake, where, sort, columns, limit)
        return
    if any(one is not None for one in (where, sort, columns, limit)):
        raise click.UsageError("--where, --sort, --columns and --limit are for all runs: leave PATH out")
    folder(app, lake.browse(_organised(lake, path)))


def _organised(lake: Lake, path: str) -> str:
    """Return the path of a folder, below the default organisation if it names none."""
    from lakefolio.config.settings import blamed, setting
    from lakefolio.errors import InvalidInputError, nearest

    if path.split("/")[0] in (known := lake.browse().folders):
        return path
    way = setting("default_organisation")
    if way not in known:
        wrong = InvalidInputError(f"there is no organisation {way!r}", kind="bad-config", hint=nearest(way, known))
        raise blamed("default_organisation", wrong)
    return f"{way}/{path}"


def table(app: App, lake: Lake, where: str | None, sort: str | None, columns: str | None, limit: int | None) -> None:
    """Print runs as a table, children below their parents."""
    from lakefolio.runs.run_names import short_id
    from lakefolio.runs.table import nested

    most = (None if app.as_json else _SHOWN) if limit is None else limit or None
    chosen = _split(columns)
    more = [one for one in ("run_id", "parent") if chosen and one not in chosen]
    asked = None if most is None else most + 1
    names, rows = lake.run_rows(where=where, sort=_split(sort), columns=[*chosen, *more] or None, limit=asked)
    cut, rows = len(rows) > (most or len(rows)), rows[:most]
    shown = [name for name in names if name not in more and (chosen or name != "parent")]
    at = {name: names.index(name) for name in names}
    tree = nested([(row[at["run_id"]], row[at["parent"]]) for row in rows])
    lead = "name" if "name" in shown else shown[0]
    cells = []
    for place, branch in tree:
        row = {name: rows[place][at[name]] for name in names}
        texts = {name: cell(row[name]) for name in shown} | {"run_id": short_id(row["run_id"])}
        if "parent" in shown and row["parent"]:
            texts["parent"] = short_id(row["parent"])
        texts[lead] = branch + texts[lead]
        cells.append([texts[name] for name in shown])
    numbers = [name for name in shown if any(isinstance(row[at[name]], int | float) for row in rows)]
    app.output.rows(
        [dict(zip(names, row, strict=True)) for row in rows] if not more else _without(names, rows, more),
        [_TITLES.get(name, name) for name in shown],
        cells,
        right=[_TITLES.get(name, name) for name in numbers],
        empty="no runs" if where is None else "no run is like that",
        whole="--columns chooses, --json prints them all",
    )
    if cut and limit is None:
        app.output.note(f"the first {most} runs; --limit N shows more, --limit 0 all")


def _without(names: list[str], rows: list[tuple[Any, ...]], left_out: list[str]) -> list[dict[str, Any]]:
    return [{name: one for name, one in zip(names, row, strict=True) if name not in left_out} for row in rows]


def _split(text: str | None) -> list[str]:
    return [] if text is None else [one.strip() for one in text.split(",") if one.strip()]


def cell(value: Any) -> str:
    """Return a value as people read it in a table."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return shown_time(value.replace(microsecond=0)).replace(".000000", "")
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)

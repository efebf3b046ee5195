"""``lakefolio runs``."""

from __future__ import annotations

from datetime import datetime

import click

from lakefolio.cli.app import App, command
from lakefolio.cli.naming import folders
from lakefolio.format.times import shown_time

__all__ = ["runs"]


@command(example="lakefolio runs by_type/production", light=True)
@click.argument("path", required=False, shell_complete=folders)
@click.option("--where", metavar="SQL", help="Only runs of which this holds: an expression over columns, 'auc > 0.9'.")
@click.option("--sort", metavar="COLUMNS", help="By these, with commas between; prefix - for descending order: -auc.")
@click.option("--columns", metavar="COLUMNS", help="Which to show, with commas between; metrics by their names.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Maximum number of runs.")
def runs(
    app: App, path: str | None, where: str | None, sort: str | None, columns: str | None, limit: int | None
) -> None:
    """List runs, newest first, or walk them like folders.

    PATH is a way of organising and a folder of it: by_project/churn. The ways are by_project, by_date, by_type,
    by_model, flat, and view files of one's own; a path that begins with none of them is one of default_organisation.
    """
    from lakefolio.cli.ls import folder
    from lakefolio.config.settings import blamed, setting
    from lakefolio.errors import InvalidInputError, nearest

    lake = app.open()
    if any(one is not None for one in (where, sort, columns, limit)):
        if path is not None:
            raise click.UsageError("--where, --sort, --columns and --limit are for all runs: leave PATH out")
        names, rows = lake.run_rows(where=where, sort=_split(sort), columns=_split(columns) or None, limit=limit)
        app.output.rows(
            [dict(zip(names, row, strict=True)) for row in rows],
            names,
            [[_cell(one) for one in row] for row in rows],
            empty="no runs",
        )
        return
    if path is None:
        path = "flat"
    elif path.split("/")[0] not in (known := lake.browse().folders):
        way = setting("default_organisation")
        if way not in known:
            wrong = InvalidInputError(f"there is no organisation {way!r}", kind="bad-config", hint=nearest(way, known))
            raise blamed("default_organisation", wrong)
        path = f"{way}/{path}"
    folder(app, lake.browse(path))


def _split(text: str | None) -> list[str]:
    return [] if text is None else [one.strip() for one in text.split(",") if one.strip()]


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return shown_time(value)
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)

"""``lakefolio runs``."""

from __future__ import annotations

import click

from lakefolio.cli.app import App, command
from lakefolio.cli.naming import folders

__all__ = ["runs"]


@command(example="lakefolio runs by_type/production", light=True)
@click.argument("path", required=False, shell_complete=folders)
def runs(app: App, path: str | None) -> None:
    """List runs, newest first, or walk them like folders.

    PATH is a way of organising and a folder of it: by_project/churn. The ways are by_project, by_date, by_type,
    by_model, flat, and view files of one's own; a path that begins with none of them is one of default_organisation.
    """
    from lakefolio.cli.ls import folder
    from lakefolio.config.settings import blamed, setting
    from lakefolio.errors import InvalidInputError, nearest

    lake = app.open()
    if path is None:
        path = "flat"
    elif path.split("/")[0] not in (known := lake.browse().folders):
        way = setting("default_organisation")
        if way not in known:
            wrong = InvalidInputError(f"there is no organisation {way!r}", kind="bad-config", hint=nearest(way, known))
            raise blamed("default_organisation", wrong)
        path = f"{way}/{path}"
    folder(app, lake.browse(path))

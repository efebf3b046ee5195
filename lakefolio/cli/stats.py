"""``lakefolio stats``."""

from __future__ import annotations

import click

from lakefolio.cli.app import App, command

__all__ = ["stats"]


@command(example="lakefolio stats", light=True)
@click.option("--all", "every_folio", is_flag=True, help="List the folios that the library keeps, as of runs, too.")
def stats(app: App, every_folio: bool) -> None:
    """Show counts and sizes of the lake.

    The logical size counts the content of every entry; the stored size counts equal content once.
    """
    found = app.open().stats(every_folio=every_folio)
    if app.as_json or app.output.width is None:
        app.output.emit(found)
        return
    app.output.emit(None, str(found).partition("\n")[0])
    app.output.rows(None, ("folio", "logical", "stored"), found.sizes(), right=("logical", "stored"), empty="")

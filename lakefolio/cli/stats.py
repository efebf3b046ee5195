"""``lakefolio stats``."""

from __future__ import annotations

import click

from lakefolio.cli.app import App, command

__all__ = ["stats"]


@command(example="lakefolio stats")
@click.option("--all", "every_folio", is_flag=True, help="List the folios that the library keeps, as of runs, too.")
def stats(app: App, every_folio: bool) -> None:
    """Show counts and sizes of the lake.

    The logical size counts the content of every entry; the stored size counts equal content once.
    """
    app.output.emit(app.open().stats(every_folio=every_folio))

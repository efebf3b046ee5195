"""``lakefolio stats``."""

from __future__ import annotations

import click

from lakefolio.cli.app import App, command

__all__ = ["stats"]


@command(example="lakefolio stats")
@click.option("--all", "every_folio", is_flag=True, help="List the folios that the library keeps, as of runs, too.")
def stats(app: App, every_folio: bool) -> None:
    """Show what the lake holds, and what it takes to store.

    Logical is the content of all entries ever; stored is what it takes, each content once.
    """
    app.output.emit(app.open().stats(every_folio=every_folio))

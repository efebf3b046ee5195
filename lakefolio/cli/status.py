"""``lakefolio status``."""

from __future__ import annotations

import click

from lakefolio.cli.app import App, command

__all__ = ["status"]


@command(example="lakefolio status --folio experiments/clf", light=True)
@click.option("--folio", metavar="FOLIO", help="Only the items of this folio.")
@click.option("--archived", is_flag=True, help="Archived items too.")
def status(app: App, folio: str | None, archived: bool) -> None:
    """Show which items are stale, and in which order to make them again.

    An item is stale if the content of one of its inputs is another now, or if an input is gone or stale itself.
    Everything that an item is made of has a lower step.
    """
    app.output.emit(app.open().status(folio, archived=archived))

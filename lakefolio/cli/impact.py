"""``lakefolio impact``."""

from __future__ import annotations

import click

from lakefolio.cli.app import App, command
from lakefolio.cli.naming import items

__all__ = ["impact"]


@command(example="lakefolio impact experiments/clf:scores --column score", light=True)
@click.argument("ref", metavar="FOLIO:NAME", shell_complete=items)
@click.option("--column", metavar="COLUMN", help="Only what this column reaches, as far as that is known.")
def impact(app: App, ref: str, column: str | None) -> None:
    """Show which items, and which columns of them, were made of an item.

    Where it was not recorded which columns were used, any column may be affected.
    """
    app.output.emit(app.open().impact(ref, column))

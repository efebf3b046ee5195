"""``lakefolio history``."""

from __future__ import annotations

import click

from lakefolio.cli.app import App, command
from lakefolio.cli.naming import items

__all__ = ["history"]


@command(example="lakefolio history experiments/clf:config", light=True)
@click.argument("ref", shell_complete=items)
def history(app: App, ref: str) -> None:
    """List every change of an item, newest first.

    REF is FOLIO:NAME; an item that was deleted has its history still. Each line has the version of the lake, then that
    of the item: its number, its label and its aliases. FOLIO:NAME@#3, @1.2.0, @^1.2 and @ALIAS read one.
    """
    app.output.emit(app.open().history(ref))

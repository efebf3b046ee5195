"""``lakefolio why``."""

from __future__ import annotations

import click

from lakefolio.cli.app import App, command
from lakefolio.cli.naming import items

__all__ = ["why"]


@command(example="lakefolio why experiments/clf:emb", light=True)
@click.argument("ref", metavar="DIGEST|FOLIO:NAME[@WHEN]", shell_complete=items)
def why(app: App, ref: str) -> None:
    """Show what keeps content alive: live items, snapshots, history.

    Exclusive bytes are those that only this item keeps: what giving up all of its history would free.
    """
    app.output.emit(app.open().why(ref))

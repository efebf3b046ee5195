"""``lakefolio similar``."""

from __future__ import annotations

import click

from lakefolio.cli.app import App, command
from lakefolio.cli.naming import folios, items

__all__ = ["similar"]


@command(example="lakefolio similar experiments/clf:scores --kind table", light=True)
@click.argument("ref", shell_complete=items)
@click.option("--folio", metavar="FOLIO", shell_complete=folios, help="Only the items of this folio.")
@click.option("--kind", metavar="KIND", help="Only what is of this kind: table, array, json, run, …")
@click.option("--limit", type=click.IntRange(0), default=10, show_default=True, metavar="N", help="Hits at most.")
def similar(app: App, ref: str, folio: str | None, kind: str | None, limit: int) -> None:
    """Find the items that mean most alike an item.

    REF is folio:name. Nothing is downloaded: the meaning of words comes with the library.
    """
    app.output.emit(app.open().similar(ref, folio=folio, kind=kind, limit=limit))

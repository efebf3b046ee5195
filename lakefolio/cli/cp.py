"""``lakefolio cp``."""

from __future__ import annotations

import click

from lakefolio.cli.app import App, command
from lakefolio.cli.naming import items, named

__all__ = ["cp"]


@command(example="lakefolio cp experiments/clf:notes experiments/clf:remarks", light=True)
@click.argument("ref", metavar="FOLIO:NAME", shell_complete=items)
@click.argument("new", metavar="[FOLIO:]NAME")
@click.option("--overwrite", is_flag=True, help="Replace an item of the new name; its old entry stays in the history.")
def cp(app: App, ref: str, new: str, overwrite: bool) -> None:
    """Copy an item under another name; copies no content.

    Its words and inputs come along. FOLIO:NAME@VERSION copies an entry of the past.
    """
    folio, item = named(ref, version=True)
    lake = app.open(writing=True)
    lake.folio(folio).copy_item(item, new, overwrite=overwrite)
    entry = lake.item(new if ":" in new else f"{folio}:{new}")
    app.output.emit(entry, f"copied {ref} to {entry.folio}:{entry.item}")

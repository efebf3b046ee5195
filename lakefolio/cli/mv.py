"""``lakefolio mv``."""

from __future__ import annotations

import click

from lakefolio.cli.app import App, command
from lakefolio.cli.naming import items, named

__all__ = ["mv"]


@command(example="lakefolio mv experiments/clf:notes experiments/clf:remarks", light=True)
@click.argument("ref", metavar="FOLIO:NAME", shell_complete=items)
@click.argument("new", metavar="[FOLIO:]NAME")
@click.option("--overwrite", is_flag=True, help="Replace an item of the new name; its old entry stays in the history.")
def mv(app: App, ref: str, new: str, overwrite: bool) -> None:
    """Rename an item, or move it to another folio.

    Its content, words and inputs come along; its history stays under the old name.
    """
    folio, item = named(ref)
    lake = app.open(writing=True)
    lake.folio(folio).rename(item, new, overwrite=overwrite)
    entry = lake.item(new if ":" in new else f"{folio}:{new}")
    app.output.emit(entry, f"moved {ref} to {entry.folio}:{entry.item}")

"""``lakefolio archive``."""

from __future__ import annotations

import click

from lakefolio.cli.app import App, command
from lakefolio.cli.naming import items, named

__all__ = ["archive"]


@command(example="lakefolio archive experiments/clf:notes", light=True)
@click.argument("refs", metavar="FOLIO:NAME...", nargs=-1, required=True, shell_complete=items)
@click.option("--undo", is_flag=True, help="Show them again.")
def archive(app: App, refs: tuple[str, ...], undo: bool) -> None:
    """Hide items from listings, or show them again.

    They can still be read; ls --all lists them. All or none, in one commit.
    """
    lake = app.open(writing=True)
    with lake.batch():
        for ref in refs:
            folio, name = named(ref)
            (lake.folio(folio).unarchive if undo else lake.folio(folio).archive)([name])
    done = "shown again" if undo else "archived"
    app.output.emit({"items": list(refs), "archived": not undo}, "\n".join(f"{done}: {ref}" for ref in refs))

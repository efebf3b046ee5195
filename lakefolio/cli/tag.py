"""``lakefolio tag``."""

from __future__ import annotations

import click

from lakefolio.cli.app import App, command
from lakefolio.cli.naming import items, named, tags

__all__ = ["tag"]


@command(example="lakefolio tag experiments/clf:notes final reviewed", light=True)
@click.argument("ref", metavar="FOLIO:NAME", shell_complete=items)
@click.argument("tags", metavar="TAG...", nargs=-1, shell_complete=tags)
@click.option("--remove", multiple=True, metavar="TAG", shell_complete=tags, help="A tag to take away; repeatable.")
def tag(app: App, ref: str, tags: tuple[str, ...], remove: tuple[str, ...]) -> None:
    """Add tags to an item, or take some away."""
    if not tags and not remove:
        raise click.UsageError("give a tag to add, or --remove TAG")
    folio, item = named(ref)
    lake = app.open(writing=True)
    lake.folio(folio).tag(item, *tags, remove=remove)
    entry = lake.item(ref)
    app.output.emit(entry, f"{ref}: {', '.join(entry.tags) or 'no tags'}")

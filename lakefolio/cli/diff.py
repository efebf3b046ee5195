"""``lakefolio diff``."""

from __future__ import annotations

import click

from lakefolio.cli.app import App, command
from lakefolio.cli.naming import folios, items, whens

__all__ = ["diff"]


@command(example="lakefolio diff paper-v1", light=True, whens=True)
@click.argument("a", shell_complete=whens)
@click.argument("b", required=False, shell_complete=whens)
@click.option("--folio", metavar="FOLIO", shell_complete=folios, help="Compare this folio only.")
@click.option("--item", metavar="FOLIO:NAME", shell_complete=items, help="Show what changed inside this item.")
@click.option("--key", "keys", multiple=True, metavar="COLUMN", help="Match a table's rows by this column; repeatable.")
@click.option(
    "--limit", type=click.IntRange(0), default=10, show_default=True, metavar="N", help="Examples of each change."
)
def diff(
    app: App, a: str, b: str | None, folio: str | None, item: str | None, keys: tuple[str, ...], limit: int
) -> None:
    """Show what changed between two versions.

    A and B are versions, times or snapshots, as for --at; without B, the newest version.
    + was added, - was removed, ~ was changed. With --item, the rows, values or lines of its content.
    """
    lake = app.open()
    if item is None:
        if keys:
            raise click.UsageError("--key is for the rows of an item: name it with --item FOLIO:NAME")
        app.output.emit(lake.diff(a, b, folio=folio))
    elif folio is not None:
        raise click.UsageError("--folio and --item exclude each other: an item is named FOLIO:NAME")
    else:
        app.output.emit(lake.diff(a, b, item=item, key=keys or None, limit=limit))

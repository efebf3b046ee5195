"""``lakefolio diff``."""

from __future__ import annotations

import click

from lakefolio.cli.app import App, command
from lakefolio.cli.naming import folios, whens

__all__ = ["diff"]


@command(example="lakefolio diff paper-v1", light=True, whens=True)
@click.argument("a", shell_complete=whens)
@click.argument("b", required=False, shell_complete=whens)
@click.option("--folio", metavar="FOLIO", shell_complete=folios, help="Compare this folio only.")
def diff(app: App, a: str, b: str | None, folio: str | None) -> None:
    """Show what changed between two versions.

    A and B are versions, times or snapshots, as for --at; without B, the newest version.
    + was added, - was removed, ~ was changed.
    """
    app.output.emit(app.open().diff(a, b, folio=folio))

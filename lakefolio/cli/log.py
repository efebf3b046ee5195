"""``lakefolio log``."""

from __future__ import annotations

import click

from lakefolio.cli.app import App, command
from lakefolio.cli.naming import folios

__all__ = ["log"]


@command(example="lakefolio log -n 5", light=True)
@click.option("-n", "--limit", type=click.IntRange(0), default=20, show_default=True, help="How many; 0 for all.")
@click.option("--folio", metavar="FOLIO", shell_complete=folios, help="Only commits that changed this folio.")
def log(app: App, limit: int, folio: str | None) -> None:
    """List commits, newest first.

    Each line has the version, the time, the author, the message and what was changed:
    + added, ~ changed, - removed.
    """
    lines = app.open().log(limit or None, folio=folio)
    app.output.emit(lines)

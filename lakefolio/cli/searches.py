"""``lakefolio searches``."""

from __future__ import annotations

import click

from lakefolio.cli.app import App, command

__all__ = ["searches"]


@command(example="lakefolio searches --unanswered", light=True)
@click.option("--unanswered", is_flag=True, help="Only queries that found nothing.")
@click.option("--limit", type=click.IntRange(0), default=100, show_default=True, metavar="N", help="Queries at most.")
def searches(app: App, unanswered: bool, limit: int) -> None:
    """List searches: how often, what was found, what was chosen.

    Searches are recorded in the lake while the setting search_log is true; by default none are.
    """
    app.output.emit(app.open().searches(unanswered=unanswered, limit=limit))

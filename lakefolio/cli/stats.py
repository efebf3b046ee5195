"""``lakefolio stats``."""

from __future__ import annotations

from lakefolio.cli.app import App, command

__all__ = ["stats"]


@command(example="lakefolio stats")
def stats(app: App) -> None:
    """Show what the lake holds, and what it takes to store.

    Logical is the content of all entries ever; stored is what it takes, each content once.
    """
    app.output.emit(app.open().stats())

"""``lakefolio compact``."""

from __future__ import annotations

from lakefolio.cli.app import App, command

__all__ = ["compact"]


@command(example="lakefolio compact", light=True)
def compact(app: App) -> None:
    """Merge the small files of the tables.

    Makes opening and reading faster after many commits. Changes no row and removes no history; safe beside any writer.
    """
    lake = app.open(writing=True)
    with app.output.working("compacting") as say:
        report = lake.compact(progress=lambda table: say(f"compacting {table}"))
    app.output.emit(report)

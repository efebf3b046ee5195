"""``lakefolio demo``."""

from __future__ import annotations

from lakefolio.cli.app import App, command

__all__ = ["demo"]


@command(example="lakefolio demo --lake ./lake")
def demo(app: App) -> None:
    """Run the main job on real data: store, join, train, break, recover.

    Takes the flights that left New York in 2013 (336,776 rows). Needs the packages of lakefolio[demo].
    Running it again in the same lake works.
    """
    from lakefolio.demo import run

    output = app.output
    with output.working("starting") as progress:
        tell = output.note if app.as_json else output.emit
        lake = run(app.lake_uri, output=tell, progress=progress)
    if app.as_json:
        output.emit(lake.info())

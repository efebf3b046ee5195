"""``lakefolio doctor``."""

from __future__ import annotations

import click

from lakefolio.cli.app import App, command
from lakefolio.errors import StorageError

__all__ = ["doctor"]


@command(example="lakefolio doctor --lake ./lake", light=True)
@click.option("--no-write", is_flag=True, help="Look at settings only; create nothing.")
def doctor(app: App, no_write: bool) -> None:
    """Examine whether a place can hold a lake safely.

    Races concurrent creates, tries each permission, compares clocks, and reads the settings of the bucket
    or the kind of file system. The names of what it creates begin with doctor-, and it is removed. Exits with 7 if the
    place must not be written to.
    """
    from lakefolio.config.settings import place_of
    from lakefolio.maintenance.doctor import doctor as examine

    uri, options = place_of(app.lake_uri)
    with app.output.working("examining"):
        report = examine(uri, options, write=not no_write)
    app.output.emit(report)
    if not report.ok:
        click.get_current_context().exit(StorageError.exit_code)

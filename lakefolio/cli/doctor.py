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
    or the kind of file system. What it creates lies under doctor/ and is removed. Exits with 7 if the
    place must not be written to.
    """
    from lakefolio.config import default_lake_uri
    from lakefolio.doctor import doctor as examine

    uri = app.lake_uri or default_lake_uri()[0]
    with app.output.working("examining"):
        report = examine(uri, write=not no_write)
    app.output.emit(report)
    if not report.ok:
        click.get_current_context().exit(StorageError.exit_code)

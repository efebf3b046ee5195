"""``lakefolio repair``."""

from __future__ import annotations

import click

from lakefolio.cli.app import App, command
from lakefolio.errors import IntegrityError

__all__ = ["repair"]


@command(example="lakefolio repair --from ./copy --dry-run", light=True)
@click.option("--from", "source", required=True, metavar="URI", help="Another copy of the same lake.")
@click.option("--skip-data", is_flag=True, help="Don't read the blobs that are there in their size.")
@click.option("--dry-run", is_flag=True, help="Only list the objects that would be restored.")
def repair(app: App, source: str, skip_data: bool, dry_run: bool) -> None:
    """Restore lost and damaged objects from a second copy.

    Works on a lake that can't be opened any more. Each object is verified; nothing is repaired by forgetting it.
    Exits with 8 if something stays lost.
    """
    from lakefolio.config.settings import place_of
    from lakefolio.maintenance.repair import repair as run
    from lakefolio.storage import open_store

    uri, options = place_of(app.lake_uri)
    with app.output.working("comparing the copies") as say:
        report = run(
            open_store(uri, options),
            open_store(source),
            read_data=not skip_data,
            dry_run=dry_run,
            progress=lambda key, count: say(f"looked at {count:,} objects, now {key}"),
        )
    app.output.emit(report)
    if not report.ok:
        click.get_current_context().exit(IntegrityError.exit_code)

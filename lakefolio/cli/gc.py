"""``lakefolio gc``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lakefolio.cli.app import App, command
from lakefolio.cli.confirming import asked, confirmed

if TYPE_CHECKING:
    from lakefolio.maintenance.reports import GcReport

__all__ = ["gc"]


@command(example="lakefolio gc --keep-last 3", light=True)
@click.option(
    "--dry-run/--delete",
    default=True,
    help="Only list the content that would be deleted and why (the default), or delete it.",
)
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@click.option("--grace", type=float, metavar="SECONDS", help="Leave younger objects alone; default 86400, 0 is safe.")
@click.option("--keep-days", type=float, metavar="DAYS", help="Give up entries not live within so many days.")
@click.option("--keep-last", type=int, metavar="N", help="Give up all but the newest N entries of each item.")
def gc(app: App, dry_run: bool, yes: bool, grace: float | None, keep_days: float | None, keep_last: int | None) -> None:
    """Delete content that nothing needs.

    By default all history stays, and only what killed writers left goes. The content of live items and of
    snapshots always stays. Safe beside any writers; killed, it is resumed by the next one. With --delete it shows what
    would go and asks first, unless --yes: what is deleted can't be brought back. Only content goes: events, metric
    points, parameters, metadata, descriptions and messages of commits lie in tables and logs, and stay for ever.
    """
    from lakefolio.config.settings import default_author
    from lakefolio.maintenance.gc import collect

    if app.at is not None:
        app.open().gc()  # refused: the past has nothing to purge
    place = app.place(writing=not dry_run)  # a journal of any length is not held for this

    def collected(dry_run: bool) -> GcReport:
        with app.output.working("looking for unused content") as say:
            return collect(
                *place,
                author=default_author(),
                dry_run=dry_run,
                grace=grace,
                keep_days=keep_days,
                keep_last=keep_last,
                progress=lambda what, count: say(f"{what} {count:,} {'rows' if what == 'read' else 'blobs'}"),
            )

    if not dry_run and not yes:
        planned = collected(True)
        if planned["deleted_blobs"] or planned["purged_inline"]:
            app.output.note(str(planned))
            what = "whether to delete; give --yes, or leave --delete out to see this only"
            confirmed("Delete?", what, somebody=asked())
    app.output.emit(collected(dry_run))

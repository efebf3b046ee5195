"""``lakefolio restore``."""

from __future__ import annotations

import click

from lakefolio.cli.app import App, command
from lakefolio.cli.confirming import asked, confirmed
from lakefolio.cli.naming import folios, items, whens

__all__ = ["restore"]


@command(example="lakefolio restore paper-v1 --folio experiments/clf --yes", light=True, whens=True)
@click.argument("when", metavar="WHEN", shell_complete=whens)
@click.option("--folio", metavar="FOLIO", shell_complete=folios, help="Only this folio.")
@click.option(
    "--item",
    "items",
    multiple=True,
    metavar="NAME",
    shell_complete=items,
    help="Only this item: FOLIO:NAME, or NAME with --folio; repeatable.",
)
@click.option("--dry-run", is_flag=True, help="Only list the changes.")
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
def restore(app: App, when: str, folio: str | None, items: tuple[str, ...], dry_run: bool, yes: bool) -> None:
    """Restore a lake, a folio or some items to a past state.

    WHEN is a version (-1 is the state before the newest commit, of --item the one before its own newest change), a time
    or a snapshot, as for --at. It is a new commit: nothing of the history is lost, and it can be undone the same way.
    Asks first, unless --yes.
    """
    lake = app.open(writing=True)
    chosen = items or None
    if not dry_run and not yes:
        planned = lake.restore(when, folio, chosen, dry_run=True)
        if not planned["changed"] and not planned["metadata_changes"]:
            app.output.emit(planned)
            return
        app.output.note(str(planned))
        confirmed("Restore?", "whether to restore; give --yes, or --dry-run to see this only", somebody=asked())
    app.output.emit(lake.restore(when, folio, chosen, dry_run=dry_run))

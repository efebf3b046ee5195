"""``lakefolio rm``."""

from __future__ import annotations

import click

from lakefolio.cli.app import App, command
from lakefolio.cli.naming import items, named

__all__ = ["rm"]


@command(example="lakefolio rm experiments/clf:notes", light=True)
@click.argument("refs", metavar="FOLIO:NAME...", nargs=-1, required=True, shell_complete=items)
@click.option("-m", "--message", metavar="TEXT", help="Why, for the log.")
def rm(app: App, refs: tuple[str, ...], message: str | None) -> None:
    """Remove items; their entries stay in the history.

    All or none, in one commit. lakefolio restore brings them back.
    """
    lake = app.open(writing=True)
    with lake.batch(message):
        for ref in dict.fromkeys(refs):
            folio, name = named(ref)
            lake.folio(folio).delete(name)
    version = lake.history(refs[0])[0].version
    lines = [f"deleted {ref}" for ref in dict.fromkeys(refs)]
    chosen = [part for ref in dict.fromkeys(refs) for part in ("--item", ref)]
    lines.append(f"to bring back: {app.line('restore', str(version - 1), *chosen)}")
    app.output.emit({"deleted": list(dict.fromkeys(refs)), "version": version}, "\n".join(lines))

"""``lakefolio compat``."""

from __future__ import annotations

import click

from lakefolio.cli.app import App, command
from lakefolio.cli.naming import items, named

__all__ = ["compat"]


@command(example="lakefolio compat experiments/clf:scores latest", whens=True)
@click.argument("ref", metavar="FOLIO:NAME", shell_complete=items)
@click.argument("a")
@click.argument("b", required=False)
@click.option("--renamed", multiple=True, metavar="OLD=NEW", help="A column that is the same; repeatable.")
def compat(app: App, ref: str, a: str, b: str | None, renamed: tuple[str, ...]) -> None:
    """Say whether what reads one version of an item can read another.

    Told is whether what reads version A can read B, by default the present one. A column that is gone is taken for
    renamed if a new one has the same type and values. A and B are numbers (#3), labels (1.2.0), ranges, aliases, or
    versions of the lake.
    """
    folio, item = named(ref)
    pairs = [one.partition("=") for one in renamed]
    if not all(old and mark and new for old, mark, new in pairs):
        raise click.BadParameter("write OLD=NEW", param_hint="--renamed")
    moved = {old: new for old, _, new in pairs}
    app.output.emit(app.open().folio(folio).compatibility(item, a, b, renamed=moved))

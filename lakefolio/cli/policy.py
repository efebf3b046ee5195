"""``lakefolio policy``."""

from __future__ import annotations

import click

from lakefolio.cli.app import App, command
from lakefolio.cli.naming import folios
from lakefolio.model.compatibility import LEVELS
from lakefolio.model.version_policy import BUMPS

__all__ = ["policy"]


@command(example="lakefolio policy experiments/clf --bump auto --compatibility backward", light=True)
@click.argument("folio", required=False, shell_complete=folios)
@click.option("--bump", type=click.Choice(BUMPS), help="Give every new version a label: the next of this part.")
@click.option("--compatibility", type=click.Choice(LEVELS), help="Refuse versions that are not compatible so.")
@click.option("--quality", metavar="KEY", help="The key of the metadata that holds a number for the quality.")
@click.option("--jump", type=float, metavar="X", help="How large a change of quality is a major one; by default 0.1.")
@click.option(
    "--naming",
    metavar="PATTERN",
    help="The pattern of the names of a folio's items, such as {subject}/{date:%Y%m%d}; an empty one is given up.",
)
@click.option("--clear", is_flag=True, help="Give up the rules for versions.")
def policy(
    app: App,
    folio: str | None,
    bump: str | None,
    compatibility: str | None,
    quality: str | None,
    jump: float | None,
    naming: str | None,
    clear: bool,
) -> None:
    """Show or set the rules for new items: versions and names.

    They are those of a folio, or of the whole lake if none is named. Those given here take the place of all that were
    set before. auto takes the next major label if what reads the last version can't read this one, the next minor one
    if columns are new, else the next patch. Names are filled by a pattern where none is given: add FOLIO: PATH --meta.
    """
    given = {"bump": bump, "compatibility": compatibility, "quality": quality, "jump": jump}
    changed = clear or any(value is not None for value in given.values())
    if clear and any(value is not None for value in given.values()):
        raise click.UsageError("--clear goes with no other rule")
    if naming is not None and folio is None:
        raise click.UsageError("--naming is for a folio: name it")
    lake = app.open(writing=changed or naming is not None)
    owner = lake if folio is None else lake.folio(folio)
    if changed:
        owner.set_version_policy(bump, compatibility, quality, jump)  # type: ignore[arg-type]  # click checked them
    found = owner.version_policy()
    if folio is not None:
        if naming is not None:
            lake.folio(folio).set_naming(naming or None)
        pattern = lake.folio(folio).naming()
        found |= {} if pattern is None else {"naming": pattern}
    app.output.emit(found, "\n".join(f"{name} = {value}" for name, value in found.items()) or "no rules")

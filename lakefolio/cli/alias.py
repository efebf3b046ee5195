"""``lakefolio alias``."""

from __future__ import annotations

import click

from lakefolio.cli.app import App, command
from lakefolio.cli.naming import items, named

__all__ = ["alias"]


@command(example="lakefolio alias experiments/clf:scores golden", light=True, whens=True)
@click.argument("ref", metavar="FOLIO:NAME", shell_complete=items)
@click.argument("alias", required=False)
@click.argument("version", required=False)
@click.option("--remove", is_flag=True, help="Remove the alias; the version stays.")
def alias(app: App, ref: str, alias: str | None, version: str | None, remove: bool) -> None:
    """Let a word name a version of an item, or list its aliases.

    An alias that names another version is moved. VERSION is a number (#3), a label (1.2.0), a range (^1.2) or a version
    of the lake; by default the present one. FOLIO:NAME@ALIAS reads it.
    """
    folio_name, item = named(ref)
    folio = app.open(writing=alias is not None).folio(folio_name)
    if alias is None:
        if remove or version is not None:
            raise click.UsageError("name the alias")
        found = folio.aliases(item)
        app.output.emit(
            found, "\n".join(f"{name}  #{number}" for name, number in sorted(found.items())) or "no aliases"
        )
        return
    if remove:
        if version is not None:
            raise click.UsageError("--remove takes no version")
        folio.drop_alias(item, alias)
        app.output.emit({"ref": ref, "alias": alias, "number": None}, f"{ref}: {alias} removed")
        return
    folio.alias(item, alias, version)
    number = folio.aliases(item)[alias]
    app.output.emit({"ref": ref, "alias": alias, "number": number}, f"{ref}@{alias} is #{number}")

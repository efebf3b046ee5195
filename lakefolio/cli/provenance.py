"""``lakefolio provenance``."""

from __future__ import annotations

from pathlib import Path

import click

from lakefolio.cli.app import App, command
from lakefolio.cli.naming import items

__all__ = ["provenance"]


@command(example="lakefolio provenance experiments/clf:scores --out scores.provenance.json", light=True)
@click.argument("ref", shell_complete=items)
@click.option("--out", "target", metavar="FILE", type=click.Path(path_type=Path), help="Write it to this file.")
@click.option(
    "--key", metavar="PEM", type=click.Path(path_type=Path), help="Sign it with the private Ed25519 key in this file."
)
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
def provenance(app: App, ref: str, target: Path | None, key: Path | None, force: bool) -> None:
    """Show all that an item was made from, or write it to one file.

    REF is FOLIO:NAME[@VERSION-OR-SNAPSHOT]. Each item is shown with its digest. lakefolio verify FILE verifies the file
    without the lake.
    """
    if target is None and (key is not None or force):
        raise click.UsageError("--key and --force are for a file: give --out FILE")
    lake = app.open()
    entry = lake.item(ref)
    found = lake.folio(entry.folio).provenance(ref)
    if target is None:
        app.output.emit(found)
        return
    found.save(target, key=key, overwrite=force)
    told = {"path": str(target), "ref": found.ref, "root": found.root, "signed": key is not None}
    app.output.emit(told, f"wrote {target} ({found.ref}{', signed' if key is not None else ''})")

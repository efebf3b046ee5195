"""``lakefolio why``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lakefolio.cli.app import App, command
from lakefolio.cli.naming import items
from lakefolio.errors import NotFoundError

if TYPE_CHECKING:
    from lakefolio.folio.origin import Origin
    from lakefolio.lake import Lake

__all__ = ["why"]


@command(example="lakefolio why experiments/clf:emb", light=True)
@click.argument("ref", metavar="DIGEST|FOLIO:NAME[@WHEN]", shell_complete=items)
def why(app: App, ref: str) -> None:
    """Show the origin of an item, and what keeps its content alive.

    Where from: who made it, when, from which versions of which items, by which run and code. What keeps it: live
    items, snapshots, history. Exclusive bytes are those that only this item keeps: what purging all of its history
    would free.
    """
    lake = app.open()
    kept = lake.why(ref)
    origin = None if ref.startswith("sha256:") else _origin(lake, ref)
    found = {**kept, "origin": None if origin is None else origin.to_dict()}
    app.output.emit(found, str(kept) if origin is None else f"{origin}\n\n{kept}")


def _origin(lake: Lake, ref: str) -> Origin | None:
    """Return where an item comes from; None if it is gone, and only its content may still be kept."""
    try:
        entry = lake.item(ref)
        return lake.folio(entry.folio).why(entry.ref)
    except NotFoundError:
        return None

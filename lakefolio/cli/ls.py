"""``lakefolio ls``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lakefolio.cli.app import App, command
from lakefolio.cli.output import when
from lakefolio.errors import NotFoundError, nearest
from lakefolio.reports import format_bytes

if TYPE_CHECKING:
    from lakefolio.state import Entry

__all__ = ["ls"]


@command(example="lakefolio ls experiments/clf", light=True)
@click.argument("folio", required=False)
@click.option("--all", "archived", is_flag=True, help="Archived items too.")
def ls(app: App, folio: str | None, archived: bool) -> None:
    """List folios, or the items of one.

    FOLIO is a folio, or the beginning of some: experiments/ lists the folios below it.
    """
    lake = app.open()
    if folio is not None and folio in lake.folios():
        _items(app, lake.items(folio, archived=archived))
        return
    prefix = "" if folio is None else folio.rstrip("/") + "/"
    names = [name for name in lake.folios() if name.startswith(prefix)]
    if folio is not None and not names:
        raise NotFoundError(
            f"folio {folio!r} has no items",
            kind="folio-not-found",
            hint=nearest(folio, lake.folios()) or "the lake is empty",
            folio=folio,
        )
    _folios(app, {name: lake.items(name, archived=archived) for name in names})


def _items(app: App, entries: list[Entry]) -> None:
    app.output.rows(
        entries,
        ("name", "kind", "size", "version", "when (UTC)", "description"),
        [
            (
                one.item + (" (archived)" if one.archived else ""),
                one.kind + (" (reference)" if one.storage == "reference" else ""),
                "?" if one.size_bytes is None else format_bytes(one.size_bytes),
                str(one.version),
                when(one.committed_at),
                one.description or "",
            )
            for one in entries
        ],
        right=("size", "version"),
        empty="no items; --all lists archived ones too",
    )


def _folios(app: App, folios: dict[str, list[Entry]]) -> None:
    found: list[dict[str, Any]] = []
    for name, entries in folios.items():
        newest = max(entries, key=lambda one: one.version, default=None)
        found.append(
            {
                "folio": name,
                "items": len(entries),
                "size_bytes": sum(one.size_bytes or 0 for one in entries),
                "version": newest and newest.version,
                "committed_at": newest and newest.committed_at,
            }
        )
    app.output.rows(
        found,
        ("folio", "items", "size", "version", "when (UTC)"),
        [
            (
                one["folio"],
                f"{one['items']:,}",
                format_bytes(one["size_bytes"]),
                str(one["version"] or ""),
                when(one["committed_at"]) if one["committed_at"] else "",
            )
            for one in found
        ],
        right=("items", "size", "version"),
        empty="the lake is empty; add something: lakefolio add FOLIO:NAME FILE",
    )

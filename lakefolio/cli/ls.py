"""``lakefolio ls``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from lakefolio.cli.app import App, command
from lakefolio.cli.naming import folders
from lakefolio.cli.output import plain
from lakefolio.errors import NotFoundError, nearest
from lakefolio.format.names import is_own_folio
from lakefolio.format.times import shown_time
from lakefolio.render.text import counted, format_bytes

if TYPE_CHECKING:
    from lakefolio.cli.glance import Glance
    from lakefolio.lake import Lake
    from lakefolio.model.entries import Entry
    from lakefolio.model.totals import Total
    from lakefolio.query.browse import Folder

__all__ = ["folder", "ls"]


@command(example="lakefolio ls experiments/clf", light=True)
@click.argument("folio", required=False, shell_complete=folders)
@click.option(
    "--all", "archived", is_flag=True, help="Archived items too, and the folios that the library keeps, as of runs."
)
def ls(app: App, folio: str | None, archived: bool) -> None:
    """List folios, or the items of one.

    FOLIO is a folio, or the beginning of some: experiments/ lists the folios below it. Or it is a way of organising
    runs and a folder of it, such as by_type/production/2026-11; a folio of that name comes first. Version and time of
    a folio are those at which an item was last put in it.
    """
    lake = app.glance(alone=folio is None)
    if folio is not None and folio in lake.folios():
        entries = lake.items(folio, archived=archived)
        _items(app, entries, {one.item for one in entries if lake.is_purged(one)})
        return
    prefix = "" if folio is None else folio.rstrip("/") + "/"
    totals = {name: total for name, total in _totals(lake).items() if name.startswith(prefix)}
    names = list(totals)
    if folio is not None and not names:
        try:
            folder(app, app.open().browse(folio))
        except NotFoundError as exc:
            if exc.kind != "organisation-not-found":
                raise
            unusable = exc.hint if exc.hint and "is left out" in exc.hint else None
            raise NotFoundError(
                f"folio {folio!r} has no items",
                kind="folio-not-found",
                hint=unusable or nearest(folio, lake.folios()) or "the lake is empty",
                folio=folio,
            ) from exc
        return
    shown = [name for name in names if archived or folio is not None or not is_own_folio(name)]
    if shown or not names:
        _folios(app, {name: _shown(totals[name], archived=archived) for name in shown})
    elif app.as_json:
        app.output.emit([])
    if len(shown) < len(names):
        app.output.note(f"{counted(len(names) - len(shown), 'folio')} of runs and records not shown; --all lists all")


def folder(app: App, found: Folder) -> None:
    """Print a folder of an organisation: folders first, then runs or items."""
    for problem in found.problems:
        app.output.warn(problem)
    if app.as_json:
        app.output.emit(found)
        return
    what = f"{found.holds}s"
    if found.folders:
        cells = [(f"{name}/", "" if count is None else f"{count:,}") for name, count in found.folders.items()]
        app.output.rows(None, ("folder", what), cells, right=(what,))
    if found.rows:
        app.output.rows(None, list(found.rows[0]), [[_cell(one) for one in row.values()] for row in found.rows])
    if found.count > len(found.rows):
        app.output.note(f"… the first {len(found.rows):,} of {found.count:,}; lakefolio sql asks for all")
    if not found.folders and not found.rows:
        app.output.note(f"no {what}")


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return shown_time(value)
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _items(app: App, entries: list[Entry], purged: set[str]) -> None:
    app.output.rows(
        [{**plain(one), "purged": True} if one.item in purged else one for one in entries],
        ("name", "kind", "size", "version", "when", "description"),
        [
            (
                one.item + (" (archived)" if one.archived else "") + (" (purged)" if one.item in purged else ""),
                one.kind + (" (reference)" if one.storage == "reference" else ""),
                "?" if one.size_bytes is None else format_bytes(one.size_bytes),
                str(one.version),
                shown_time(one.committed_at),
                one.description or "",
            )
            for one in entries
        ],
        right=("size", "version"),
        empty="no items; --all lists archived ones too",
    )


def _totals(lake: Lake | Glance) -> Mapping[str, Total]:
    if hasattr(lake, "totals"):
        return lake.totals()
    from lakefolio.lake.reading import folio_totals

    return folio_totals(lake)


def _shown(total: Total, *, archived: bool) -> Mapping[str, Any]:
    """Return what is printed of a folio: its items, their size, and the version that last put one."""
    return {
        "items": total.item_count - (0 if archived else total.archived_count),
        "size_bytes": total.size_bytes - (0 if archived else total.archived_bytes),
        "version": total.put_version,
        "committed_at": total.put_at,
    }


def _folios(app: App, folios: Mapping[str, Mapping[str, Any]]) -> None:
    found = [{"folio": name, **total} for name, total in folios.items()]
    app.output.rows(
        found,
        ("folio", "items", "size", "version", "when"),
        [
            (
                one["folio"],
                f"{one['items']:,}",
                format_bytes(one["size_bytes"]),
                str(one["version"]),
                shown_time(one["committed_at"]),
            )
            for one in found
        ],
        right=("items", "size", "version"),
        empty="the lake is empty; add something: lakefolio add FOLIO:NAME FILE",
    )

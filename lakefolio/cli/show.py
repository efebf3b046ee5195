"""``lakefolio show``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import click

from lakefolio.cli.app import App, command
from lakefolio.cli.naming import items
from lakefolio.format.names import short_id
from lakefolio.format.times import shown_time
from lakefolio.render.text import counted, format_bytes
from lakefolio.terminal import cell_count, padded, text_of

if TYPE_CHECKING:
    from lakefolio.history.log import History
    from lakefolio.lake import Lake
    from lakefolio.model.entries import Entry

__all__ = ["show"]

_SHOWN_COLUMNS: Final = 60
_SHOWN_DEPENDENTS: Final = 20
_SHOWN_RUNS: Final = 5
_OWN_LINES: Final = {
    "name",
    "item_type",
    "kind",
    "description",
    "inputs",
    "models",
    "tags",
    "metadata",
    "columns",
    "dtypes",
    "schema",
    "size_bytes",
    "stored_bytes",
    "nbytes",
    "file_size",
    "checksum",
    "lake_version",
    "created_at",
    "author",
    "entry_id",
    "in_snapshots",
    "is_current",
    "is_directory",
    "archived",
    "filename",
    "table_format",
    "media_type",
    "num_rows",
    "num_cols",
    "path",
}


@command(example="lakefolio show experiments/clf:scores")
@click.argument("ref", required=False, shell_complete=items)
@click.option("--all", "every_folio", is_flag=True, help="Of a lake: count the folios that the library keeps too.")
def show(app: App, ref: str | None, every_folio: bool) -> None:
    """Show a lake, a folio, or an item with its first rows.

    REF is FOLIO:NAME[@VERSION-OR-SNAPSHOT] for an item, FOLIO for a folio, and left out for the lake.
    """
    app.spare_imports()
    lake, ref = (app.open(), None) if ref is None else app.open_for(ref)
    if ref is None:
        info = lake.info(every_folio=every_folio)
        del info["read_only"]  # so is every lake that is only shown
        app.output.emit(info)
    elif ":" not in ref and ref in lake.folios():
        _folio(app, lake, ref)
    else:
        found = _known(lake, ref)
        app.output.emit(found, lambda: _text(found))
        if not app.as_json:
            from lakefolio.cli.first_look import first_look  # heavy, and not for completion

            entry = lake.item(ref)
            app.allow_imports(entry.kind)
            first_look(app, lake, entry)


def _folio(app: App, lake: Lake, name: str) -> None:
    folio = lake.folio(name)
    if app.as_json:
        entries = lake.items(name, archived=True)
        app.output.emit({"folio": name, "metadata": folio.metadata.copy(), "items": entries})
    else:
        text = folio.describe(return_string=True) or ""
        app.output.emit(None, text if app.at is not None else text.removeprefix("[READ-ONLY MODE]\n\n"))


def _known(lake: Lake, ref: str) -> dict[str, Any]:
    """Return everything known about an item."""
    entry = lake.item(ref)
    lineage = lake.lineage(ref, depth=1)
    events = lake.history(f"{entry.folio}:{entry.item}")
    made = next((one for one in events if one.version == entry.version and one.op == "put"), events[0])
    return {
        "ref": entry.ref,
        "number": made.number,
        "label": made.label,
        "aliases": list(made.aliases),
        "folio": entry.folio,
        "latest_version": events[0].version,
        "change_count": len(events),
        "storage": entry.storage,
        "purged": lake.is_purged(entry),
        "snapshots": _snapshots(lake, entry, events),
        "inputs": [node.ref for node in lineage.upstream(1)],
        "dependents": [node.ref for node in lineage.downstream(1)],
        "info": lake.folio(entry.folio).item_info(entry.ref),
    }


def _snapshots(lake: Lake, entry: Entry, events: History) -> list[str]:
    """Return the names of the snapshots that hold this very entry."""
    found = []
    for snapshot in lake.snapshots():
        if snapshot.folio in (None, entry.folio):
            # newest first, so the first event up to the snapshot's version made what it holds
            held = next((one for one in events if one.version <= snapshot.target_version), None)
            if held is not None and held.entry_id == entry.entry_id:
                found.append(snapshot.name)
    return found


def _text(found: Mapping[str, Any]) -> str:
    info = found["info"]
    kind = " ".join(str(part) for part in (info["kind"], info.get("media_type") and f"({info['media_type']})") if part)
    version = str(info["lake_version"])
    if found["latest_version"] != info["lake_version"]:
        version += f" (changed again at {found['latest_version']})"
    named = [f"#{found['number']}", found["label"] or "", *found["aliases"]]
    stored = found["storage"]
    if stored == "blob":
        stored = f"blob, {format_bytes(info.get('stored_bytes') or 0)}"
    if found["purged"]:
        stored = "purged by gc: the content can't be read or restored any more"
    lines: list[tuple[str, Any]] = [
        ("kind", kind + (", archived" if info.get("archived") else "")),
        ("description", info.get("description")),
        (
            "version",
            f"{version}, {_moment(info['created_at'])} by {info.get('author') or 'unknown'}",
        ),
        ("of the item", ", ".join(one for one in named if one)),
        ("size", _size(info)),
        *((name.replace("_", " "), _shown(value)) for name, value in info.items() if name not in _OWN_LINES),
        ("in memory", format_bytes(info["nbytes"]) if isinstance(info.get("nbytes"), int) else None),
        ("digest", info.get("checksum")),
        ("stored", f"reference to {info['path']}" if found["storage"] == "reference" else stored),
        ("tags", ", ".join(info.get("tags", ()))),
        ("snapshots", ", ".join(found["snapshots"])),
        ("history", counted(found["change_count"], "change")),
    ]
    width = max(len(name) for name, value in lines if value)
    shown = [f"{found['ref']}", *(f"  {name:<{width}}  {value}" for name, value in lines if value)]
    shown += _block("metadata", [f"{key} = {_shown(value)}" for key, value in info.get("metadata", {}).items()])
    shown += _block("inputs", found["inputs"])
    shown += _block("used by", _dependents(found))
    shown += _block("columns", _columns(info))
    return "\n".join(shown)


def _moment(iso: str) -> str:
    return shown_time(datetime.fromisoformat(iso))


def _size(info: Mapping[str, object]) -> str:
    known = (("size_bytes", "byte"), ("num_rows", "row"), ("num_cols", "column"))
    return ", ".join(counted(count, noun) for key, noun in known if isinstance(count := info.get(key), int))


def _columns(info: Mapping[str, object]) -> list[str]:
    names = info.get("columns")
    if not isinstance(names, list):
        return []
    types = info.get("dtypes")
    types = types if isinstance(types, Mapping) else {}
    width = max((cell_count(str(name)) for name in names), default=0)
    lines = [f"{padded(str(name), width)}  {types.get(name, '')}".rstrip() for name in names[:_SHOWN_COLUMNS]]
    more = len(names) - _SHOWN_COLUMNS
    return [*lines, *([f"… and {more:,} more"] if more > 0 else [])]


def _dependents(found: Mapping[str, Any]) -> list[str]:
    """Return the items that were made of it, and how many runs used it, with the newest ones."""
    items = [one for one in found["dependents"] if not one.startswith("run ")]
    runs = [short_id(one.removeprefix("run ")) for one in found["dependents"] if one.startswith("run ")]
    lines = items[:_SHOWN_DEPENDENTS]
    if len(items) > len(lines):
        lines.append(f"… and {counted(len(items) - len(lines), 'item')} more: lakefolio lineage {found['ref']}")
    if runs:
        more = "" if len(runs) <= _SHOWN_RUNS else ", the newest "
        lines.append(f"{counted(len(runs), 'run')}{more or ': '}{', '.join(runs[::-1][:_SHOWN_RUNS])}")
    return lines


def _block(title: str, lines: list[str]) -> list[str]:
    return [f"  {title}:", *(f"    {line}" for line in lines)] if lines else []


def _shown(value: object) -> str:
    text = " ".join(text_of(value).split("\n"))
    return text if len(text) <= 200 else f"{text[:200]}…"

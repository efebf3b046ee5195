"""The text that ``folio.describe()`` prints (pure: no I/O).

It is made from the results of ``item_info`` and ``list_snapshots``, so a program can get everything it shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from lakefolio.format.times import shown_time
from lakefolio.render.text import counted, format_bytes
from lakefolio.terminal import cell_count, text_of

__all__ = ["describe_folio", "describe_snapshot", "format_time", "format_value", "snapshot_lines"]

Info = Mapping[str, Any]

_SECTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Tables", ("referenced_table", "included_table", "record_table")),
    ("Numpy Arrays", ("numpy_array",)),
    ("JSON Data", ("json_data",)),
    ("Models", ("model",)),
    ("PyTorch Models", ("pytorch_model",)),
    ("Artifacts", ("artifact",)),
    ("Timestamps", ("timestamp",)),
)
_ALWAYS_SHOWN_ON_REQUEST = {"Tables", "Numpy Arrays", "JSON Data", "Models", "Artifacts", "Timestamps"}
_INTERNAL = ("created_at", "updated_at", "parent_bundle", "_datafolio")
_NO_WORDS = "(no description)"


def describe_folio(
    title: str,
    *,
    lake: str,
    version: int,
    metadata: Mapping[str, object],
    snapshots: Sequence[Info],
    items: Sequence[Info],
    pattern: str | None = None,
    show_empty: bool = False,
    max_metadata_fields: int = 10,
    path_of: Callable[[str], str] | None = None,
) -> str:
    """Return the description of a folio.

    Args:
        title: The name of the folio.
        lake: The lake's URI.
        version: The lake version shown.
        metadata: The folio's metadata, ``created_at`` and ``updated_at`` included.
        snapshots: The result of ``list_snapshots``, newest first.
        items: The result of ``item_info`` for each item to show.
        pattern: A glob that the names must match; ``*`` matches ``/`` too.
        show_empty: Whether to show sections without items.
        max_metadata_fields: How many metadata fields to show.
        path_of: Gives the path of an item, if paths are to be shown.
    """
    heading = f"DataFolio: {title}"
    lines = [heading, "=" * cell_count(heading), "", f"Lake: {lake} (version {version})"]
    for label, key in (("Created", "created_at"), ("Updated", "updated_at")):
        if key in metadata:
            lines.append(f"{label}: {format_time(str(metadata[key]))}")
    if "parent_bundle" in metadata:
        lines.append(f"Parent: {metadata['parent_bundle']}")
    lines.append("")
    lines += _metadata_lines(metadata, max_metadata_fields)
    lines += _snapshot_lines(snapshots, show_empty)
    shown = [item for item in items if pattern is None or fnmatchcase(item["name"], pattern)]
    for label, members in _grouped(shown):
        if members or (show_empty and label in _ALWAYS_SHOWN_ON_REQUEST):
            lines.append(f"{label} ({len(members)}):")
            for member in members:
                lines += _item_lines(member, path_of)
            lines += [] if members else ["  (none)"]
            lines.append("")
    if not items and not show_empty:
        lines += ["No items yet.", ""]
    elif not shown and pattern is not None:
        lines += [f"No item matches {pattern!r}.", ""]
    return "\n".join(lines).rstrip("\n")


def describe_snapshot(snapshot: Info, items: Sequence[Info]) -> str:
    """Return the description of a snapshot.

    Args:
        snapshot: The result of ``get_snapshot_info``.
        items: The result of ``item_info`` for each of its items, as of the snapshot.
    """
    title, *facts = snapshot_lines(snapshot)
    lines = [title, "=" * cell_count(title), "", *facts, "", f"Items ({len(items)}):"]
    for label, members in _grouped(items):
        if members:
            lines += ["", f"  {label} ({len(members)}):"]
            lines += [f"    • {_title(member)}" for member in members]
    lines += [] if items else ["  (none)"]
    return "\n".join(lines)


def snapshot_lines(snapshot: Info) -> list[str]:
    """Return the lines about a snapshot itself, its name first."""
    lines = [f"Snapshot: {snapshot['name']}"]
    if snapshot.get("description"):
        lines.append(f"Description: {snapshot['description']}")
    lines.append(f"Created: {format_time(snapshot['timestamp'])}")
    if snapshot.get("tags"):
        lines.append(f"Tags: {', '.join(snapshot['tags'])}")
    return lines


def _grouped(items: Iterable[Info]) -> list[tuple[str, list[Info]]]:
    by_type: dict[str, list[Info]] = {}
    for item in items:
        by_type.setdefault(item["item_type"], []).append(item)
    groups = [
        (label, [item for item_type in types for item in by_type.pop(item_type, [])]) for label, types in _SECTIONS
    ]
    return [*groups, *((f"Other: {item_type}", members) for item_type, members in by_type.items())]


def _title(item: Info) -> str:
    mark = ""
    if item["item_type"] == "referenced_table":
        mark = " (reference)"
    elif item.get("category"):
        mark = f" ({item['category']})"
    archived = " [archived]" if item.get("archived") else ""
    return f"{item['name']}{mark}: {item.get('description') or _NO_WORDS}{archived}"


def _item_lines(item: Info, path_of: Callable[[str], str] | None) -> list[str]:
    facts = []
    if item["item_type"] == "referenced_table":
        facts.append(f"path: {item['path']}")
    elif path_of is not None:
        facts.append(f"path: {path_of(item['name'])}")
    facts += _kind_facts(item)
    size = item.get("size_bytes")
    known = f"size: {format_bytes(size)}, " if size is not None else ""
    facts.append(f"{known}version: {item['lake_version']}")
    for key in ("inputs", "models", "tags"):
        if item.get(key):
            facts.append(f"{key}: {', '.join(item[key])}")
    parameters = item.get("hyperparameters")
    if parameters:
        shown = ", ".join(f"{key}={value}" for key, value in list(parameters.items())[:3])
        more = f", ... ({len(parameters) - 3} more)" if len(parameters) > 3 else ""
        facts.append(f"hyperparameters: {shown}{more}")
    if item.get("metadata"):
        shown = ", ".join(f"{key}={format_value(value)}" for key, value in list(item["metadata"].items())[:5])
        more = f", ... ({len(item['metadata']) - 5} more)" if len(item["metadata"]) > 5 else ""
        facts.append(f"metadata: {shown}{more}")
    return [f"  • {_title(item)}", *(f"    ↳ {fact}" for fact in facts)]


def _kind_facts(item: Info) -> list[str]:
    item_type = item["item_type"]
    if item_type == "included_table" and item.get("num_rows") is not None:
        return [f"shape: [{item['num_rows']}, {item.get('num_cols', '?')}]"]
    if item_type == "numpy_array":
        return [f"shape: {item.get('shape', 'unknown')}, dtype: {item.get('dtype', 'unknown')}"]
    if item_type == "json_data":
        return [f"type: {item.get('data_type', 'unknown')}"]
    if item_type in ("model", "pytorch_model") and item.get("model_type"):
        facts = [f"type: {item['model_type']}"]
        if item.get("init_args"):
            facts.append("init_args: " + ", ".join(f"{key}={value}" for key, value in item["init_args"].items()))
        return facts
    if item_type == "artifact" and item.get("file_count") is not None:
        return [f"files: {item['file_count']}"]
    if item_type == "timestamp" and item.get("iso_string"):
        return [f"time: {_stamp(item['iso_string'])}"]
    return []


def _metadata_lines(metadata: Mapping[str, object], limit: int) -> list[str]:
    own = {key: metadata[key] for key in sorted(metadata) if key not in _INTERNAL}
    if not own:
        return []
    lines = [f"Metadata ({counted(len(own), 'field')}):"]
    lines += [f"  • {key}: {format_value(value)}" for key, value in list(own.items())[:limit]]
    if len(own) > limit:
        lines.append(f"  ... ({counted(len(own) - limit, 'more field')})")
    return [*lines, ""]


def _snapshot_lines(snapshots: Sequence[Info], show_empty: bool) -> list[str]:
    if not snapshots and not show_empty:
        return []
    lines = [f"Snapshots ({len(snapshots)}):"]
    for snapshot in snapshots[:5]:
        lines.append(f"  • {snapshot['name']}: {snapshot.get('description') or _NO_WORDS}")
        lines.append(f"    ↳ created: {format_time(snapshot['timestamp'])}, items: {snapshot['num_items']}")
        if snapshot.get("tags"):
            lines.append(f"    ↳ tags: {', '.join(snapshot['tags'])}")
    if len(snapshots) > 5:
        lines.append(f"  ... ({counted(len(snapshots) - 5, 'more snapshot')})")
    lines += [] if snapshots else ["  (none)"]
    return [*lines, ""]


def format_time(iso: str) -> str:
    """Return an ISO 8601 time for people, in the local zone; a text that is none as it is."""
    try:
        return shown_time(datetime.fromisoformat(iso))
    except ValueError:
        return iso


def format_value(value: object) -> str:
    """Return a metadata value on one line, shortened with a note of how much is left out."""
    if isinstance(value, list) and len(value) > 5:
        return f"{text_of(value[:5])[:-1]}, ...] ({counted(len(value) - 5, 'more item')})"
    if isinstance(value, dict) and len(value) > 3:
        return f"{text_of(dict(list(value.items())[:3]))[:-1]}, ...}} ({counted(len(value) - 3, 'more field')})"
    if isinstance(value, list | dict):
        return text_of(value)
    text = " ".join(text_of(value).split("\n"))
    return text if len(text) <= 60 else f"{text[:60]}... ({counted(len(text) - 60, 'more char')})"


def _stamp(iso: str) -> str:
    try:
        return datetime.fromisoformat(iso).strftime("%Y-%m-%d %H:%M:%S %Z")
    except ValueError:
        return iso

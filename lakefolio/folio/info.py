"""An entry in the words that users of folios know: item types, sections, ``item_info`` (pure: no I/O)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from lakefolio.model.entries import Entry

__all__ = [
    "MODEL_TYPES",
    "SECTIONS",
    "TABLE_TYPES",
    "WORDS",
    "file_name",
    "info_of",
    "item_type",
    "same_content",
    "section_of",
]

SECTIONS: Final = (
    "referenced_tables",
    "included_tables",
    "numpy_arrays",
    "json_data",
    "timestamps",
    "models",
    "artifacts",
)
"""The keys of ``list_contents``, in order."""

TABLE_TYPES: Final = ("included_table", "referenced_table", "record_table")
MODEL_TYPES: Final = ("model", "pytorch_model")
"""The item types that the methods for tables and for models read."""

WORDS: Final = ("code", "models", "hyperparameters", "category", "imported_from")
"""Arguments of ``add_*`` that are kept as metadata of the entry and shown as fields of their own."""

_TYPES = {
    "table": "included_table",
    "records": "record_table",
    "array": "numpy_array",
    "sparse": "numpy_array",
    "json": "json_data",
    "timestamp": "timestamp",
    "model": "model",
    "torch": "pytorch_model",
    "artifact": "artifact",
    "directory": "artifact",
}
_SECTION_OF_TYPE = {
    "referenced_table": "referenced_tables",
    "included_table": "included_tables",
    "record_table": "included_tables",
    "numpy_array": "numpy_arrays",
    "json_data": "json_data",
    "timestamp": "timestamps",
    "model": "models",
    "pytorch_model": "models",
}


def item_type(kind: str, storage: str) -> str:
    """Return the item type of an entry; kinds that other packages add are their own type."""
    if kind == "table" and storage == "reference":
        return "referenced_table"
    return _TYPES.get(kind, kind)


def section_of(kind: str, storage: str) -> str:
    """Return the key of ``list_contents`` under which an entry is listed; unknown kinds are artifacts."""
    return _SECTION_OF_TYPE.get(item_type(kind, storage), "artifacts")


def file_name(entry: Entry) -> str:
    """Return the name that a file with the content of an entry has: the item's last part, with an extension."""
    stem = PurePosixPath(entry.item).name
    original = entry.details.get("filename")
    if entry.kind == "artifact" and isinstance(original, str):
        extension = PurePosixPath(original).suffix
    else:
        known = entry.format is not None and entry.format.isalnum()  # it comes from the bucket: no way out of a folder
        extension = f".{entry.format}" if known and entry.format not in ("file", "tar") else ""
    return stem if stem.endswith(extension) else stem + extension


def same_content(one: Entry, other: Entry) -> bool:
    """Say whether two entries hold the same content; their descriptions and other facts may differ."""
    if one.entry_id == other.entry_id:
        return True
    if one.digest and other.digest:
        return (one.kind, one.digest) == (other.kind, other.digest)
    return one.storage == other.storage == "reference" and (one.uri, one.details) == (
        other.uri,
        other.details,
    )


def info_of(
    entry: Entry,
    *,
    inputs: Iterable[str] = (),
    metadata: Mapping[str, Any] = {},
    in_snapshots: Iterable[str] = (),
) -> dict[str, Any]:
    """Return everything known about an entry as one dict of plain values.

    Args:
        entry: The entry.
        inputs: The names of its inputs.
        metadata: Its metadata; those named in WORDS become fields of their own.
        in_snapshots: The snapshots that hold the same content.

    Returns:
        ``name item_type kind lake_version created_at size_bytes stored_bytes media_type is_current
        in_snapshots``, what the item's handler recorded (``columns``, ``dtypes``, ``shape``, …), and where
        there is any ``filename checksum path description inputs models code tags metadata archived …``.
    """
    known = (*WORDS, "num_rows", "version") if entry.storage == "reference" else WORDS
    words = {word: metadata[word] for word in known if word in metadata}
    own = {key: value for key, value in metadata.items() if key not in words}
    models = words.get("models") or ()
    plain_inputs = [name for name in inputs if name not in models]
    info: dict[str, object] = {
        "name": entry.item,
        "item_type": item_type(entry.kind, entry.storage),
        "kind": entry.kind,
    }
    if entry.storage == "reference":
        info |= {"path": entry.uri, "table_format": entry.format, "is_directory": "objects" in entry.details}
    else:
        info |= {"filename": file_name(entry), "checksum": entry.digest}
    facts = {
        "lake_version": entry.version,
        "entry_id": entry.entry_id,
        "created_at": entry.committed_at.isoformat(),
        "author": entry.author,
        "size_bytes": entry.size_bytes,
        "stored_bytes": entry.stored_bytes,
        "media_type": entry.media_type,
        "in_snapshots": list(in_snapshots),
        "is_current": True,
    }
    said = {
        "description": entry.description,
        "inputs": plain_inputs,
        "tags": list(entry.tags),
        "metadata": own,
        "archived": entry.archived,
    }
    noted = _kind_fields(entry) | words
    info |= {key: value for key, value in noted.items() if not (key in info or key in facts or key in said)}
    return info | facts | {key: value for key, value in said.items() if value}


def _kind_fields(entry: Entry) -> dict[str, object]:
    """Return the details that the handler recorded, under DataFolio's names where it has some."""
    fields = dict(entry.details)
    match entry.kind:
        case "table":
            columns = fields.get("columns")
            if isinstance(columns, list) and all(isinstance(one, dict) for one in columns):
                fields["columns"] = [one.get("name") for one in columns]
                fields["dtypes"] = {str(one.get("name")): one.get("dtype") for one in columns}
                fields["num_cols"] = len(columns)
            if entry.row_count is not None:
                fields["num_rows"] = entry.row_count
            fields |= {"table_format": entry.format, "is_directory": False}
        case "records":
            columns = [one for one in fields.get("columns") or () if isinstance(one, dict)]
            fields |= {"columns": [one.get("name") for one in columns], "num_cols": len(columns)}
            fields["table_version"] = fields.pop("version", None)  # the entry has one of the lake
            fields |= {"dtypes": {str(one.get("name")): one.get("type") for one in columns}, "table_format": "delta"}
        case "json":
            fields["data_type"] = fields.pop("type", "unknown")
        case "model" | "torch":
            fields["serialization_format"] = entry.format
            found = fields.get("versions")
            for library, version in found.items() if isinstance(found, dict) else ():
                fields[f"{library}_version"] = version
        case "artifact":
            fields["file_size"] = entry.size_bytes
    return fields

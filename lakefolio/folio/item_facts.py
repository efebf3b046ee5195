"""Facts about the items of a folio: their names, their paths, and all that is recorded of each.

All functions that take ``name`` take an item's name, or a reference ``[folio:]name[@version-or-snapshot]``, and raise
NotFoundError, naming the nearest item, if there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lakefolio.folio.info import MODEL_TYPES, SECTIONS, TABLE_TYPES, section_of
from lakefolio.folio.item_names import some_items
from lakefolio.folio.open_folio import At
from lakefolio.model.entries import ENTRY_COLUMNS
from lakefolio.render.listing import Listing

if TYPE_CHECKING:
    from lakefolio.folio.folio import Folio
    from lakefolio.model.entries import Entry
    from lakefolio.session.session import Session

__all__ = [
    "get_artifact_info",
    "get_artifact_path",
    "get_json_path",
    "get_model_info",
    "get_model_path",
    "get_numpy_path",
    "get_table_info",
    "get_table_path",
    "get_timestamp_path",
    "item_info",
    "item_path",
    "items",
    "list_contents",
    "names_of",
    "require",
]


def item_path(folio: Folio, /, name: str, *, at: At = None) -> str:
    """Return where an item can be read: a verified, read-only local copy; for references the URI."""
    return _path(*folio._core.find(name, at))


def get_table_path(folio: Folio, /, name: str, *, at: At = None) -> str:
    """Return the path of a table's Parquet file, or the URI of a reference."""
    return _path(*folio._core.find_kind(name, TABLE_TYPES, "a table", at))


def get_numpy_path(folio: Folio, /, name: str, *, at: At = None) -> str:
    """Return the path of an array's file."""
    return _path(*folio._core.find_kind(name, ("numpy_array",), "a numpy array", at))


def get_json_path(folio: Folio, /, name: str, *, at: At = None) -> str:
    """Return the path of a JSON file."""
    return _path(*folio._core.find_kind(name, ("json_data",), "JSON data", at))


def get_timestamp_path(folio: Folio, /, name: str, *, at: At = None) -> str:
    """Return the path of a timestamp's file."""
    return _path(*folio._core.find_kind(name, ("timestamp",), "a timestamp", at))


def get_model_path(folio: Folio, /, name: str, *, at: At = None) -> str:
    """Return the path of a model's file."""
    return _path(*folio._core.find_kind(name, MODEL_TYPES, "a model", at))


def get_artifact_path(folio: Folio, /, name: str, *, at: At = None) -> str:
    """Return the path of a file, or of an unpacked folder."""
    return _path(*folio._core.find_kind(name, ("artifact",), "an artifact", at))


def require(folio: Folio, /, name: str) -> None:
    """Raise NotFoundError, naming the nearest, unless there is an item of that name."""
    folio._core.find(name)


def item_info(folio: Folio, /, name: str, *, at: At = None) -> dict[str, Any]:
    """Return everything known about an item, as a dict of its own (see ``info.info_of``)."""
    return folio._core.info(*folio._core.find(name, at))


def get_table_info(folio: Folio, /, name: str, *, at: At = None) -> dict[str, Any]:
    """Return the facts about a table: ``num_rows``, ``columns``, ``dtypes``, …; see ``item_info``."""
    return folio._core.info(*folio._core.find_kind(name, TABLE_TYPES, "a table", at))


def get_model_info(folio: Folio, /, name: str, *, at: At = None) -> dict[str, Any]:
    """Return the facts about a model: ``model_type``, ``hyperparameters``, …; see ``item_info``."""
    return folio._core.info(*folio._core.find_kind(name, MODEL_TYPES, "a model", at))


def get_artifact_info(folio: Folio, /, name: str, *, at: At = None) -> dict[str, Any]:
    """Return the facts about a file: ``category``, ``file_size``, …; see ``item_info``."""
    return folio._core.info(*folio._core.find_kind(name, ("artifact",), "an artifact", at))


def list_contents(folio: Folio, /, include_archived: bool = False) -> dict[str, list[str]]:
    """Return the names of the items by type, each list in the order in which they were first added.

    Args:
        include_archived: Whether to list archived items too.

    Returns:
        ``referenced_tables included_tables numpy_arrays json_data timestamps models artifacts``; torch
        models are listed with the models, folders and items of other packages' kinds with the artifacts.
    """
    contents: dict[str, list[str]] = {section: [] for section in SECTIONS}
    listing = folio._core.reading.state().listing(folio.name, ("item", "kind", "storage", "archived"))
    for item, kind, storage, archived in listing:
        if include_archived or not archived:
            contents[section_of(kind, storage)].append(item)
    return contents


def items(folio: Folio, /, where: Mapping[str, object] | None = None) -> list[Entry]:
    """Return the entry of each item, which holds its facts but not its content, in the order of first addition.

    Args:
        where: Only those whose names have these fields by the pattern of the folio (``set_naming``): field -> its
            value, or a list of values.

    Raises:
        InvalidInputError: kind ``bad-naming``: there is no pattern, or it has no such field.
    """
    found = folio._core.reading.state().entries(folio.name) if where is None else some_items(folio, where)
    return Listing(found, "item", ENTRY_COLUMNS[1:])


def names_of(folio: Folio, *sections: str) -> list[str]:
    """Return the names of all items of some sections of ``list_contents``, archived ones included."""
    listing = folio._core.reading.state().listing(folio.name, ("item", "kind", "storage"))
    return [item for item, kind, storage in listing if section_of(kind, storage) in sections]


def _path(reader: Session, entry: Entry) -> str:
    found = _found_path(reader, entry)
    reader.was_read(entry)
    return found


def _found_path(reader: Session, entry: Entry) -> str:
    if entry.storage == "reference":
        return str(entry.uri)
    if entry.kind == "directory":
        return str(reader.load(entry))
    return str(reader.local_path(entry))

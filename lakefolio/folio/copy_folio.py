"""Copying a folio, now or as it was at a snapshot, to another folio.

A name means a folio of the same lake, anything else a place (see ``places``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from lakefolio.errors import AlreadyExistsError, InvalidInputError
from lakefolio.folio.copy_items import copy_items, with_their_inputs
from lakefolio.folio.folio_snapshots import session_at
from lakefolio.folio.open_folio import SelfT
from lakefolio.folio.places import is_location, with_suffix
from lakefolio.format.names import check_folio
from lakefolio.session.session import Session

__all__ = ["copy", "export_snapshot"]

_TIMES = ("created_at", "updated_at")


def export_snapshot(
    folio: SelfT, /, snapshot: str, target_path: str | Path, *, include_snapshot_metadata: bool = True
) -> SelfT:
    """Copy the items and metadata of a snapshot to a new folio, without the history.

    Args:
        target_path: A place that is free, or the name of a new folio in the same lake.
        include_snapshot_metadata: Note where it came from, under ``_source_snapshot``.

    Raises:
        AlreadyExistsError: Something is there already (also a ValueError).
    """
    info = folio.get_snapshot_info(snapshot)
    then = session_at(folio, snapshot)
    target = _place_for_copy(folio, target_path, random_suffix=False)
    if target._core.exists():
        raise AlreadyExistsError(
            f"folio {target.path!r} already exists",
            kind="folio-exists",
            hint="export to a new place",
            folio=target.name,
        )
    metadata = {key: value for key, value in info["metadata_snapshot"].items() if key not in _TIMES}
    if include_snapshot_metadata:
        metadata["_source_snapshot"] = {
            "name": snapshot,
            "source_bundle": folio.path,
            "timestamp": info["timestamp"],
            "description": info.get("description"),
            "tags": info["tags"],
        }
    copy_items(
        then.state().entries(folio.name),
        then,
        target._core.session,
        target.name,
        metadata=metadata,
        message=f"export of snapshot {snapshot} of {folio.name}",
    )
    return target


def copy(
    folio: SelfT,
    /,
    path: str | Path,
    name: str | None = None,
    metadata_updates: Mapping[str, object] | None = None,
    include_items: Iterable[str] | None = None,
    exclude_items: Iterable[str] | None = None,
    random_suffix: bool = False,
    follow_lineage: bool = False,
    include_archived: bool = False,
) -> SelfT:
    """Copy items and metadata to another folio, in one commit. Within a lake no content is copied.

    Args:
        path: Where to: a place, or a name in the same lake.
        name: Appended to ``path``.
        metadata_updates: Metadata to set besides those copied.
        include_items: Only these.
        exclude_items: All but these.
        random_suffix: Append words to the name that make it new.
        follow_lineage: With ``include_items``, copy their direct and indirect inputs too.
        include_archived: Copy archived items too.

    Raises:
        InvalidInputError: Both ``include_items`` and ``exclude_items`` were given.
        AlreadyExistsError: The target has an item of one of the names.
    """
    if include_items is not None and exclude_items is not None:
        raise InvalidInputError(
            "both include_items and exclude_items were given",
            kind="bad-arguments",
            hint="give one of them",
        )
    reader = folio._core.steady()
    entries = [one for one in reader.state().entries(folio.name) if include_archived or not one.archived]
    if include_items is not None:
        wanted = set(include_items)
        if follow_lineage:
            wanted = with_their_inputs(wanted, folio.get_lineage_graph())
        entries = [entry for entry in entries if entry.item in wanted]
    if exclude_items is not None:
        unwanted = set(exclude_items)
        entries = [entry for entry in entries if entry.item not in unwanted]
    place = str(path) if name is None else f"{str(path).rstrip('/')}/{name}"
    target = _place_for_copy(folio, place, random_suffix)
    metadata = reader.metadata("folio", folio.name) | dict(metadata_updates or {})
    copy_items(entries, reader, target._core.session, target.name, metadata=metadata, message=f"copy of {folio.name}")
    return target


def _place_for_copy(folio: SelfT, path: str | Path, random_suffix: bool) -> SelfT:
    place = str(path)
    own = folio._core.session
    if is_location(place):
        scheme = own.uri.split("://")[0] + "://" if "://" in own.uri else ""
        same_store = place.startswith(scheme) if scheme else "://" not in place
        options = own.store.options if same_store else None
        return type(folio)(place, random_suffix=random_suffix, storage_options=options, author=own.author)
    name = with_suffix(check_folio(place)) if random_suffix else check_folio(place)
    if own.opened.read_only:
        own.check_writable()
    if own.pinned is not None:
        own = Session.open(
            own.uri,
            storage_options=own.store.options,
            create=False,
            author=own.author,
            trust_references=own.references.prefixes,
        )
    return type(folio)._of(own, name)

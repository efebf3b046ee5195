"""The description of a folio that people print: gathered here, worded in ``describe_text``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from lakefolio.folio.describe_text import describe_folio, describe_snapshot, snapshot_lines
from lakefolio.folio.folio_snapshots import session_at
from lakefolio.terminal import visible

if TYPE_CHECKING:
    from lakefolio.folio.folio import Folio
    from lakefolio.model.entries import Entry

__all__ = ["describe"]


def describe(
    folio: Folio,
    /,
    pattern: str | None = None,
    return_string: bool = False,
    show_empty: bool = False,
    max_metadata_fields: int = 10,
    snapshot: str | None = None,
    include_archived: bool = False,
    show_paths: bool = False,
) -> str | None:
    """Print a description of the folio and its items, or return the text.

    Args:
        pattern: A glob that the names must match, such as ``examples/*``.
        return_string: Return the text instead of printing it.
        show_empty: Show sections without items too.
        max_metadata_fields: How many metadata fields to show.
        snapshot: Describe this snapshot instead.
        include_archived: Show archived items too.
        show_paths: Show where each item can be read; fetches the items that have no local copy yet.
    """
    with folio._core.pin():
        text = (
            _description(folio, pattern, show_empty, max_metadata_fields, include_archived, show_paths)
            if snapshot is None
            else _description_of(folio, snapshot)
        )
    text = visible(text)
    if return_string:
        return text
    print(text)
    return None


def _description(
    folio: Folio,
    pattern: str | None,
    show_empty: bool,
    max_metadata_fields: int,
    include_archived: bool,
    show_paths: bool,
) -> str:
    reader = folio._core.reading
    view = reader.state()
    head = []
    if folio._core.snapshot is not None:
        head += [*snapshot_lines(folio.get_snapshot_info(folio._core.snapshot)), ""]
    if folio.read_only:
        head += ["[READ-ONLY MODE]", ""]
    text = describe_folio(
        folio.name,
        lake=folio._core.session.uri,
        version=view.version,
        metadata=dict(folio.metadata),
        snapshots=folio.list_snapshots(),
        items=_infos(folio, view.entries(folio.name), include_archived),
        pattern=pattern,
        show_empty=show_empty,
        max_metadata_fields=max_metadata_fields,
        path_of=folio.item_path if show_paths else None,
    )
    return "\n".join([*head, text])


def _infos(folio: Folio, entries: Iterable[Entry], include_archived: bool) -> list[dict[str, object]]:
    return [
        folio._core.info(folio._core.reading, entry, snapshots=False)
        for entry in entries
        if include_archived or not entry.archived
    ]


def _description_of(folio: Folio, snapshot: str) -> str:
    info = folio.get_snapshot_info(snapshot)
    then = session_at(folio, snapshot)
    items = [folio._core.info(then, entry, snapshots=False) for entry in then.state().entries(folio.name)]
    return describe_snapshot(info, items)

"""Changing descriptions, tags, metadata, inputs and names of items, and deleting and archiving them.

Content never changes. Each change is one commit, atomic; the state before it stays in the history.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from fnmatch import filter as matching
from typing import TYPE_CHECKING

from lakefolio.errors import InvalidInputError
from lakefolio.folio.item_lineage import dependents
from lakefolio.folio.open_folio import SelfT
from lakefolio.format.names import check_folio, check_item, new_id, parse_ref
from lakefolio.format.table_formats import RECORDS
from lakefolio.model.changes import KEEP, CopyItem, Delete, SetArchived, Update
from lakefolio.model.resolve import item_not_found
from lakefolio.model.version_policy import check_label
from lakefolio.session.annotations import Inputs, Tags, check_inputs, check_tags, check_text, metadata_texts
from lakefolio.session.record_tables import marked

if TYPE_CHECKING:
    from lakefolio.folio.folio import Folio
    from lakefolio.model.entries import Entry

__all__ = ["archive", "copy_item", "delete", "rename", "tag", "unarchive", "update_item"]


def update_item(
    folio: SelfT,
    /,
    name: str,
    description: str | None = None,
    inputs: Inputs = None,
    code: str | None = None,
    *,
    tags: Tags = None,
    metadata: Mapping[str, object] | None = None,
    version: str | None = None,
) -> SelfT:
    """Change description, inputs, code, tags or metadata of an item, in one commit; its content stays.

    The old values stay in the history.

    Args:
        description: New words; ``""`` removes them, None leaves them.
        inputs: New inputs, resolved to the versions they have now; ``[]`` removes them, None leaves them.
        code: New code; ``""`` removes it, None leaves it.
        tags: New tags; ``[]`` removes them, None leaves them.
        metadata: Facts to add or replace; a value None removes a fact.
        version: A label for the present version, if it has none; None leaves it.

    Raises:
        NotFoundError: There is no such item, or no such input.
        InvalidInputError: kind ``bad-naming``: by a strict pattern of names the item's name denies the metadata.
    """
    facts = dict(metadata or {}) | ({} if code is None else {"code": code or None})
    texts: dict[str, str | None] = dict(
        metadata_texts({key: value for key, value in facts.items() if value is not None})
    )
    folio._core.apply(
        Update(
            folio.name,
            name,
            description=KEEP if description is None else check_text(description, "description") or None,
            tags=KEEP if tags is None else check_tags(tags),
            metadata=texts | {key: None for key, value in facts.items() if value is None} if facts else KEEP,
            inputs=KEEP if inputs is None else check_inputs(inputs),
            version=check_label(version),
        )
    )
    return folio


def rename(folio: SelfT, /, name: str, new_name: str, *, overwrite: bool = False) -> SelfT:
    """Give an item another name, in one commit; its content, words and inputs come along, its history stays behind.

    Metadata that the new name denies by a strict pattern of names (``set_naming``) become what it says.

    Args:
        new_name: A name in this folio, or ``folio:name`` to move it to another.
        overwrite: Replace an item of the new name.

    Raises:
        NotFoundError: There is no such item.
        AlreadyExistsError: The new name is taken.
    """
    entry = _copyable(folio, name)
    if entry.kind == RECORDS:
        raise InvalidInputError(
            f"{entry.folio}:{entry.item} is a record table and keeps its name",
            kind="wrong-kind",
            hint="copy_item() makes a copy of its present rows under another name",
            item=entry.item,
            folio=entry.folio,
        )
    to_folio, item = _target(folio, new_name)
    if (to_folio, item) != (folio.name, name):
        copied = CopyItem(source=entry, folio=to_folio, item=item, entry_id=new_id(), overwrite=overwrite)
        archived = [SetArchived(to_folio, item, True)] if entry.archived else []
        folio._core.apply(copied, *archived, Delete(folio.name, name), message=f"rename {folio.name}:{name}")
    return folio


def copy_item(folio: SelfT, /, name: str, new_name: str, *, overwrite: bool = False) -> SelfT:
    """Put an item under another name too, in one commit; no content is copied.

    The copy of a record table has its present rows, and can't be written to. Metadata follow the new name as in
    ``rename``.

    Args:
        name: The item, or a reference to one of its versions, ``name@version``.
        new_name: A name in this folio, or ``folio:name``.
        overwrite: Replace an item of the new name.

    Raises:
        NotFoundError: There is no such item.
        AlreadyExistsError: The new name is taken.
    """
    entry = _copyable(folio, name)
    if "@" not in name:
        entry = marked(folio._core.session, entry)
    to_folio, item = _target(folio, new_name)
    folio._core.apply(CopyItem(source=entry, folio=to_folio, item=item, entry_id=new_id(), overwrite=overwrite))
    return folio


def tag(folio: SelfT, /, name: str, *tags: str, remove: str | Iterable[str] = ()) -> SelfT:
    """Add tags to an item, and take some away, in one commit. Of two that do so at once, the later decides.

    Args:
        *tags: The tags to add.
        remove: The tags to take away.

    Raises:
        NotFoundError: There is no such item.
    """
    folio._core.check_writable()
    _, entry = folio._core.find(name)
    gone = check_tags(remove, known=entry.tags)
    kept = tuple(tag for tag in dict.fromkeys([*entry.tags, *check_tags(tags, known=entry.tags)]) if tag not in gone)
    if kept != entry.tags:
        folio._core.apply(Update(folio.name, entry.item, tags=kept))
    return folio


def _copyable(folio: Folio, name: str) -> Entry:
    folio._core.check_writable()
    _, entry = folio._core.find(name)
    if entry.folio != folio.name:
        raise InvalidInputError(
            f"{name!r} is no item of folio {folio.name!r}", kind="bad-ref", hint=f"open folio {entry.folio!r}"
        )
    return entry


def _target(folio: Folio, name: str) -> tuple[str, str]:
    ref = parse_ref(name, folio=folio.name) if isinstance(name, str) and ":" in name else None
    if ref is not None and ref.at is None:
        return check_folio(ref.folio), ref.item
    return folio.name, check_item(name)


def delete(folio: SelfT, /, name: str | Iterable[str], warn_dependents: bool = True) -> SelfT:
    """Remove items, all or none, in one commit. Their entries stay in the history (``at=``, ``restore``).

    Args:
        name: A name, or several.
        warn_dependents: Whether to warn of items that were made from them.

    Raises:
        NotFoundError: One of them does not exist; then none is removed.
    """
    folio._core.check_writable()
    names = [name] if isinstance(name, str) else list(dict.fromkeys(name))
    _require_all(folio, names)
    if warn_dependents:
        gone = frozenset(names)
        for one in names:
            others = [other for other in dependents(folio, folio.name, one) if other not in gone]
            if others:
                warnings.warn(
                    f"Deleting '{one}' which is used by: {', '.join(others)}. Those items may have broken lineage.",
                    UserWarning,
                    stacklevel=2,
                )
    if names:
        folio._core.apply(*(Delete(folio.name, one) for one in names))
    return folio


def archive(folio: SelfT, /, name: str | Iterable[str]) -> SelfT:
    """Hide items from listings, in one commit; they can still be read.

    Args:
        name: A name, several names, or a glob such as ``intermediate/*``, which may match nothing.

    Raises:
        NotFoundError: A name does not exist.
    """
    return _set_archived(folio, name, archived=True)


def unarchive(folio: SelfT, /, name: str | Iterable[str]) -> SelfT:
    """Show archived items again; see ``archive``."""
    return _set_archived(folio, name, archived=False)


def _set_archived(folio: SelfT, name: str | Iterable[str], *, archived: bool) -> SelfT:
    folio._core.check_writable()
    if isinstance(name, str) and any(mark in name for mark in "*?["):
        names = matching(folio._core.reading.state().names(folio.name), name)
    else:
        names = [name] if isinstance(name, str) else list(dict.fromkeys(name))
        _require_all(folio, names)
    if names:
        folio._core.apply(*(SetArchived(folio.name, one, archived) for one in names))
    return folio


def _require_all(folio: Folio, names: Iterable[str]) -> None:
    view = folio._core.reading.state()
    for name in names:
        if not isinstance(name, str) or not view.live(folio.name, name):
            raise item_not_found(view, folio.name, str(name), folio._core.reading.journal.state)

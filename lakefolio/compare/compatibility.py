"""Whether what reads one version of an item can read another, with the columns that were renamed.

A column that is gone is the same as a new one of its type if both have the same values in the same order: only such
columns are read. Everything else is told from what is recorded of the versions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lakefolio.errors import InvalidInputError, LakefolioError, nearest
from lakefolio.format.table_digest import table_digest
from lakefolio.model.compatibility import Compatibility, compare_schemas

if TYPE_CHECKING:
    from lakefolio.model.entries import Entry
    from lakefolio.model.resolve import At
    from lakefolio.session.session import Session

__all__ = ["compatibility_of"]


def compatibility_of(
    session: Session, folio: str, item: str, a: At, b: At | None = None, *, renamed: Mapping[str, str] | None = None
) -> Compatibility:
    """Return how two versions of an item go together; see ``Folio.compatibility``."""
    old, new = session.entry(folio, item, a), session.entry(folio, item, b)
    found = compare_schemas(old, new)
    removed = {one.name: one.old for one in found.changes if one.change == "removed"}
    added = {one.name: one.new for one in found.changes if one.change == "added"}
    declared = dict(renamed or {})
    for before, after in declared.items():
        for name, known, which in ((before, removed, "gone"), (after, added, "new")):
            if name not in known:
                raise InvalidInputError(
                    f"column {name!r} is not {which} between {old.ref} and {new.ref}, but said to be renamed",
                    kind="unknown-column",
                    hint=nearest(name, known) or f"no column is {which}",
                    column=name,
                )
        removed.pop(before)
        added.pop(after)
    if removed and added and old.row_count == new.row_count:
        declared |= _same_values(session, old, new, removed, added)
    return compare_schemas(old, new, renamed=declared) if declared else found


def _same_values(
    session: Session, old: Entry, new: Entry, removed: Mapping[str, object], added: Mapping[str, object]
) -> dict[str, str]:
    """Return old name -> new name of the columns with equal values; nothing if the content can't be read any more."""
    kinds = set(removed.values()) & set(added.values())
    gone = [name for name, kind in removed.items() if kind in kinds]
    come = [name for name, kind in added.items() if kind in kinds]
    if not kinds:
        return {}
    try:
        before, after = _digests(session, old, gone), _digests(session, new, come)
    except LakefolioError:
        return {}
    by_digest = {digest: name for name, digest in reversed(after.items())}
    found: dict[str, str] = {}
    for name, digest in before.items():
        if digest in by_digest and by_digest[digest] not in found.values():
            found[name] = by_digest[digest]
    return found


def _digests(session: Session, entry: Entry, names: list[str]) -> dict[str, str]:
    """Return the digest of each of some columns, without its name."""
    found = {}
    for name in names:
        column = session.load(entry, as_="arrow", columns=[name]).select([name])
        found[name] = table_digest(column.rename_columns(["column"]).replace_schema_metadata(None))
    return found

"""The part of a folio that renames and copies single items, and asks about them alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

from lakefolio.errors import InvalidInputError
from lakefolio.folio.base import At, FolioBase
from lakefolio.format.names import check_folio, check_item, new_id, parse_ref
from lakefolio.model.changes import CopyItem, Delete, SetArchived, Update
from lakefolio.model.resolve import item_not_found
from lakefolio.session.annotations import check_tags

if TYPE_CHECKING:
    import duckdb

    from lakefolio.history.diff import Diff, History, Log
    from lakefolio.lineage.graph import Lineage
    from lakefolio.model.entries import Entry

__all__ = ["Arranging"]


class Arranging(FolioBase):
    """Each change is one commit, atomic; what was before stays in the history."""

    def rename(self, name: str, new_name: str, *, overwrite: bool = False) -> Self:
        """Give an item another name, in one commit; its content, words and inputs come along, its history stays behind.

        Args:
            name: The item.
            new_name: A name in this folio, or ``folio:name`` to move it to another.
            overwrite: Replace an item of the new name.

        Raises:
            NotFoundError: There is no such item.
            AlreadyExistsError: The new name is taken.
        """
        entry = self._copyable(name)
        folio, item = self._target(new_name)
        if (folio, item) != (self._name, name):
            copied = CopyItem(source=entry, folio=folio, item=item, entry_id=new_id(), overwrite=overwrite)
            archived = [SetArchived(folio, item, True)] if entry.archived else []
            self._apply(copied, *archived, Delete(self._name, name), message=f"rename {self._name}:{name}")
        return self

    def copy_item(self, name: str, new_name: str, *, overwrite: bool = False) -> Self:
        """Put an item under another name too, in one commit; no content is copied.

        Args:
            name: The item, or a reference to one of its versions, ``name@version``.
            new_name: A name in this folio, or ``folio:name``.
            overwrite: Replace an item of the new name.

        Raises:
            NotFoundError: There is no such item.
            AlreadyExistsError: The new name is taken.
        """
        entry = self._copyable(name)
        folio, item = self._target(new_name)
        self._apply(CopyItem(source=entry, folio=folio, item=item, entry_id=new_id(), overwrite=overwrite))
        return self

    def tag(self, name: str, *tags: str, remove: str | Iterable[str] = ()) -> Self:
        """Add tags to an item, and take some away, in one commit. Of two that do so at once, the later decides.

        Raises:
            NotFoundError: There is no such item.
        """
        self._check_writable()
        _, entry = self._find(name)
        gone = check_tags(remove)
        kept = tuple(tag for tag in dict.fromkeys([*entry.tags, *check_tags(tags)]) if tag not in gone)
        if kept != entry.tags:
            self._apply(Update(self._name, entry.item, tags=kept))
        return self

    def _copyable(self, name: str) -> Entry:
        self._check_writable()
        _, entry = self._find(name)
        if entry.folio != self._name:
            raise InvalidInputError(
                f"{name!r} is no item of folio {self._name!r}", kind="bad-ref", hint=f"open folio {entry.folio!r}"
            )
        return entry

    def _target(self, name: str) -> tuple[str, str]:
        ref = parse_ref(name, folio=self._name) if isinstance(name, str) and ":" in name else None
        if ref is not None and ref.at is None:
            return check_folio(ref.folio), ref.item
        return self._name, check_item(name)

    # -- as a mapping --------------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> Any:
        """Return an item's object: ``folio["x"]`` is ``folio.get("x")``."""
        reader, entry = self._find(name)
        found = reader.load(entry)
        reader.was_read(entry)
        return found

    def items(self) -> list[Entry]:
        """Return what is known of each item, without its content, in the order of first addition."""
        return self._reading.state().entries(self._name)

    # -- what lake says of it alone ------------------------------------------------------------------------

    def history(self, name: str) -> History:
        """Return every change of an item, newest first, also of one that was deleted; see ``Lake.history``."""
        from lakefolio.history.log import history

        state = self._reading.committed()
        if not state.known(self._name, check_item(name)):
            raise item_not_found(state, self._name, name)
        return history(state.table(), self._name, name)

    def log(self, limit: int | None = 20) -> Log:
        """Return the commits that changed this folio, newest first; all if ``limit`` is None."""
        from lakefolio.history.log import log

        return log(self._reading.committed().table(), limit, folio=self._name)

    def diff(self, a: At, b: At = None) -> Diff:
        """Return what changed in this folio from ``a`` to ``b``, by default until now."""
        from lakefolio.history.diff import diff

        reader = self._reading
        newer = reader.committed().version if b is None else reader.resolve(b, self._name)
        older = reader.resolve(a if a is not None else 0, self._name)
        return diff(reader.committed().table(), older, newer, folio=self._name)

    def lineage(self, name: str) -> Lineage:
        """Return the lineage of an item; see ``Lake.lineage``."""
        from lakefolio.lineage.graph import Lineage

        reader, entry = self._find(name)
        return Lineage(reader.edges(), reader.committed().table(), [entry.entry_id])

    def sql(self, query: str, params: Any = None) -> duckdb.DuckDBPyRelation:
        """Answer a read-only SQL query over the views of the lake; see ``Lake.sql``."""
        return self._reading.query(query, params)

"""The part of a folio that keeps it in order: words about items, deleting, archiving, lineage."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from fnmatch import filter as matching
from typing import Any, Self

from lakefolio.folio.base import FolioBase
from lakefolio.folio.putting import Inputs, Tags, as_list
from lakefolio.model.changes import KEEP, Delete, SetArchived, Update
from lakefolio.model.resolve import item_not_found
from lakefolio.session.annotations import check_inputs, check_tags, check_text, metadata_texts

__all__ = ["Curating"]


class Curating(FolioBase):
    """Changes what is said about items, and which of them are there. The content itself never changes."""

    def update_item(
        self,
        name: str,
        description: str | None = None,
        inputs: Inputs = None,
        code: str | None = None,
        *,
        tags: Tags = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Self:
        """Change what is said about an item, in one commit; its content stays.

        The old words stay in the history.

        Args:
            name: The item.
            description: New words; ``""`` removes them, None leaves them.
            inputs: New inputs, resolved to the versions they have now; ``[]`` removes them, None leaves them.
            code: New code; ``""`` removes it, None leaves it.
            tags: New tags; ``[]`` removes them, None leaves them.
            metadata: Facts to add or replace; a value None removes a fact.

        Raises:
            NotFoundError: There is no such item, or no such input.
        """
        facts = dict(metadata or {}) | ({} if code is None else {"code": code or None})
        texts: dict[str, str | None] = dict(
            metadata_texts({key: value for key, value in facts.items() if value is not None})
        )
        self._apply(
            Update(
                self._name,
                name,
                description=KEEP if description is None else check_text(description, "description") or None,
                tags=KEEP if tags is None else check_tags(tags),
                metadata=texts | {key: None for key, value in facts.items() if value is None} if facts else KEEP,
                inputs=KEEP if inputs is None else check_inputs(as_list(inputs)),
            )
        )
        return self

    def delete(self, name: str | Iterable[str], warn_dependents: bool = True) -> Self:
        """Remove items, all or none, in one commit. Their entries stay in the history (``at=``, ``restore``).

        Args:
            name: A name, or several.
            warn_dependents: Whether to warn of items that were made from them.

        Raises:
            NotFoundError: One of them does not exist; then none is removed.
        """
        self._check_writable()
        names = [name] if isinstance(name, str) else list(dict.fromkeys(name))
        self._require_all(names)
        if warn_dependents:
            dependents = self._dependents()
            for one in names:
                others = [other for other in dependents.get(one, ()) if other not in names]
                if others:
                    warnings.warn(
                        f"Deleting '{one}' which is used by: {', '.join(others)}. Those items may have broken lineage.",
                        UserWarning,
                        stacklevel=2,
                    )
        if names:
            self._apply(*(Delete(self._name, one) for one in names))
        return self

    def archive(self, name: str | Iterable[str]) -> Self:
        """Hide items from listings, in one commit; they can still be read.

        Args:
            name: A name, several names, or a glob such as ``intermediate/*``, which may match nothing.

        Raises:
            NotFoundError: A name does not exist.
        """
        return self._set_archived(name, archived=True)

    def unarchive(self, name: str | Iterable[str]) -> Self:
        """Show archived items again; see ``archive``."""
        return self._set_archived(name, archived=False)

    def _set_archived(self, name: str | Iterable[str], *, archived: bool) -> Self:
        self._check_writable()
        if isinstance(name, str) and any(mark in name for mark in "*?["):
            names = matching(self._reading.state().names(self._name), name)
        else:
            names = [name] if isinstance(name, str) else list(dict.fromkeys(name))
            self._require_all(names)
        if names:
            self._apply(*(SetArchived(self._name, one, archived) for one in names))
        return self

    def _require_all(self, names: Iterable[str]) -> None:
        view = self._reading.state()
        for name in names:
            if not isinstance(name, str) or view.entry(self._name, name) is None:
                raise item_not_found(view, self._name, str(name), self._reading.journal.state)

    # -- lineage -------------------------------------------------------------------------------------------

    def get_inputs(self, item_name: str) -> list[str]:
        """Return what an item was made from: names of this folio, ``folio:name``, or URIs."""
        return self._inputs_of(*self._find(item_name))

    def get_dependents(self, item_name: str) -> list[str]:
        """Return the items of this folio whose present entries were made from an item, in order of addition."""
        self._find(item_name)
        return self._dependents().get(item_name, [])

    def get_lineage_graph(self) -> dict[str, list[str]]:
        """Return, for every item, what it was made from."""
        reader = self._reading
        names = ("input_id", "input_folio", "input_item", "input_uri")
        return {
            item: [self._input_name(*(edge[name] for name in names)) for edge in inputs or ()]
            for item, inputs in reader.state().listing(self._name, ("item", "inputs"))
        }

    def _dependents(self) -> dict[str, list[str]]:
        dependents: dict[str, list[str]] = {}
        for item, inputs in self.get_lineage_graph().items():
            for name in inputs:
                dependents.setdefault(name, []).append(item)
        return dependents

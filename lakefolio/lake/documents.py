"""Small records as items: one item each, its facts the record's fields.

Facts change one by one, so that two processes that set different fields lose neither; making a record is atomic, so
that a name is taken once. The lake's history keeps every state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lakefolio.errors import AlreadyExistsError, NotFoundError
from lakefolio.format import json_decode
from lakefolio.format.names import new_id

if TYPE_CHECKING:
    from lakefolio.lake.lake import Lake
    from lakefolio.model.entries import Entry

__all__ = ["Documents", "Fields", "fields_of"]

Fields = dict[str, Any]
"""Texts, numbers, lists and dicts of them, by name. A field that is not there is None."""


class Documents:
    """The records of one kind: the items of one folio. Safe to share between threads and processes."""

    def __init__(self, lake: Lake, folio: str) -> None:
        self._lake = lake
        self._folio = lake.folio(folio)
        self._name = folio

    def create(self, name: str, fields: Mapping[str, object], *, inputs: Sequence[str] = ()) -> bool:
        """Make a record; say whether it was made, or there was one of that name. One commit, atomic.

        Args:
            name: Its name.
            fields: What it holds.
            inputs: References of what it was made from.
        """
        known = {key: value for key, value in fields.items() if value is not None}
        try:
            with self._lake._session.in_run(None):  # a record is nothing that the run around made
                # no two are equal, so that one is refused
                self._folio.add_json(name, [name, new_id()], metadata=known, inputs=list(inputs) or None)
        except AlreadyExistsError:
            return False
        return True

    def get(self, name: str) -> Fields | None:
        """Return the fields of a record, None if there is none."""
        try:
            return fields_of(self._lake.item(f"{self._name}:{name}"))
        except NotFoundError:
            return None

    def all(self, below: str = "") -> dict[str, Fields]:
        """Return the fields of every record whose name begins with ``below``, in the order they were made."""
        entries = self._lake.items(self._name)
        return {one.item: fields_of(one) for one in entries if one.item.startswith(below)}

    def set(self, name: str, fields: Mapping[str, object]) -> None:
        """Change fields; None removes one. One commit.

        Raises:
            NotFoundError: There is no such record.
        """
        self._folio.update_item(name, metadata=fields)

    def delete(self, *names: str) -> None:
        """Remove records; the history keeps them. One commit."""
        self._folio.delete(list(names), warn_dependents=False)


def fields_of(entry: Entry) -> Fields:
    """Return the fields of the record that an entry is."""
    return {key: json_decode.loads_fact(text) for key, text in entry.facts.items()}

"""What is searched, and what is printed of it (pure)."""

from __future__ import annotations

import json
from typing import Final, NamedTuple

from lakefolio.format.names import RECORD_FOLIOS, is_own_folio

__all__ = ["ASIDE", "DATASETS", "Document", "Label"]

DATASETS: Final = "datasets/"
"""What the references of members of datasets begin with, and those of nothing else."""

ASIDE: Final = (DATASETS, *(f"{folio}:" for folio in RECORD_FOLIOS))
"""What the references of documents begin with that are found only if a query names them, or nothing else is found."""


class Label(NamedTuple):
    """What is printed of a document: its reference, type and name, its folio or project, its kind, a run's status."""

    ref: str
    type: str
    name: str
    folio: str | None
    kind: str | None
    status: str | None

    def packed(self) -> str:
        """Return it as a text: reference, NUL and kind of an item, as the rest is in these; else all of it as JSON."""
        short = f"{self.ref}\0{self.kind or ''}"
        return short if Label.of(short) == self else json.dumps(self, separators=(",", ":"))

    @classmethod
    def of(cls, text: str) -> Label:
        """Return the label that a text says.

        Raises:
            ValueError: It says none.
        """
        ref, ends, kind = text.partition("\0")
        if ends:
            folio, _, item = ref.partition(":")
            return cls(ref, "item", item.rpartition("@")[0], folio, kind or None, None)
        values = json.loads(text)
        if (
            not isinstance(values, list)
            or [type(one) for one in values[:3]] != [str] * 3
            or len(values) != len(cls._fields)
        ):
            raise ValueError("a label has no name")
        if not all(one is None or isinstance(one, str) for one in values):
            raise ValueError("a label has a value that is no text")
        return cls(*values)


class Document(NamedTuple):
    """An item or a run.

    Attributes:
        id: The entry; of a run its id and a hash of its record, so that a changed run is another document.
        type: ``item`` or ``run``.
        ref: ``folio:name@version``, or the run's id.
        name: The item's or the run's name.
        texts: Field -> texts; of metadata ``key value``, of which the key is all up to the first space.
        folio: Of an item its folio, of a run its project.
        kind: Of an item its kind, of a run ``run``.
        digest: The blob of an item and its generation, which may be purged.
        status: The status of a run.
    """

    id: str
    type: str
    ref: str
    name: str
    texts: tuple[tuple[str, str], ...]
    folio: str | None = None
    kind: str | None = None
    author: str | None = None
    tags: tuple[str, ...] = ()
    description: str | None = None
    digest: tuple[str, int] | None = None
    status: str | None = None

    @property
    def key(self) -> str:
        """``folio:name``, or the id of a run: what another version of it has, too."""
        return self.ref.rpartition("@")[0] if self.type == "item" else self.ref

    @property
    def label(self) -> Label:
        """What is printed of it."""
        return Label(self.ref, self.type, self.name, self.folio, self.kind, self.status)

    @property
    def is_own(self) -> bool:
        """Whether the library keeps it for itself."""
        return self.type == "item" and is_own_folio(self.folio or "")

"""The nodes and edges of a lineage graph, as plain values (pure: no I/O)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["Edge", "Node", "NodeId"]

NodeId = tuple[str, str]
"""The identity of a node: type and id."""


@dataclass(frozen=True, slots=True)
class Node:
    """An entry, a run or an external URI.

    Attributes:
        type: ``"entry"``, ``"run"`` or ``"external"``.
        id: The entry's id, the run's id, or the URI.
        folio: The folio of an entry.
        item: The item of an entry.
        version: The version that first put an entry.
        committed_at: When that was, UTC.
        kind: The kind of an entry: ``"table"``, ``"model"``, …
        digest: The identity of an entry's content.
        name: The name of a run that has one.
    """

    type: str
    id: str
    folio: str | None = None
    item: str | None = None
    version: int | None = None
    committed_at: datetime | None = None
    kind: str | None = None
    digest: str | None = None
    size_bytes: int | None = None
    row_count: int | None = None
    description: str | None = None
    author: str | None = None
    uri: str | None = None
    name: str | None = None

    @property
    def ref(self) -> str:
        """The reference of the node: ``folio:item@version``, ``run <id>``, or the URI."""
        if self.type == "entry":
            at = "" if self.version is None else f"@{self.version}"
            return f"{self.folio}:{self.item}{at}" if self.item is not None else f"entry {self.id}"
        return f"run {self.id}" if self.type == "run" else self.id

    @property
    def key(self) -> NodeId:
        """The identity of the node."""
        return (self.type, self.id)

    def __str__(self) -> str:
        return self.ref

    def to_dict(self) -> dict[str, Any]:
        """The attributes that are known, as JSON-able values."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        if self.committed_at is not None:
            values["committed_at"] = self.committed_at.isoformat()
        return {"ref": self.ref, **{name: value for name, value in values.items() if value is not None}}


@dataclass(frozen=True, slots=True)
class Edge:
    """``output`` was made of ``input``, in a run if ``run_id`` says so."""

    output: NodeId
    input: NodeId
    run_id: str | None = None
    role: str | None = None

"""The steps of an import as an importer finds them in a source, in the order of its history (pure: no I/O)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from lakefolio.lake import Lake

__all__ = ["ItemName", "NewItem", "Plan", "Problem", "Step"]

ItemName: TypeAlias = tuple[str, str]
"""Folio and name of an item."""


@dataclass(frozen=True, slots=True)
class NewItem:
    """An item to be added, or replaced.

    Attributes:
        folio: Its folio.
        name: Its name.
        kind: ``table``, ``array``, ``json``, ``timestamp``, ``artifact`` or ``reference``.
        content: The file or folder, the value, or the address. A callable gives it when it is needed; an error says
            why there is none.
        description: One sentence that describes it.
        inputs: Names of its inputs in the same folio; those that are not there by then are left out.
        tags: Words to find it by.
        facts: Further facts about it.
        origin: Where in the source it comes from, for people.
    """

    folio: str
    name: str
    kind: str
    content: Any
    description: str | None = None
    inputs: Sequence[str] = ()
    tags: Sequence[str] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """The changes of one commit.

    Attributes:
        key: Its identity in the source, the same in every run; a step is done once.
        message: Why, for the log.
        items: The items it adds.
        deletes: The items it removes: folio and name.
        snapshot: A snapshot that it takes at its end: folio, name, message, tags.
        facts: Metadata of folios: folio -> facts.
        action: A further action, for runs and models; called outside of a batch, and has to be safe to repeat.
        joins: Whether it may share a commit with its neighbours: it is no event of the source's history.
    """

    key: str
    message: str
    items: Sequence[NewItem] = ()
    deletes: Sequence[tuple[str, str]] = ()
    snapshot: tuple[str, str, str | None, Sequence[str]] | None = None
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    action: Callable[[Lake], None] | None = None
    joins: bool = False

    @property
    def names(self) -> set[ItemName]:
        """The items that it changes."""
        return {(one.folio, one.name) for one in self.items} | set(self.deletes)

    def only(self, names: set[ItemName]) -> Step | None:
        """Return its changes of some items, None if there are none."""
        items = [one for one in self.items if (one.folio, one.name) in names]
        deletes = [one for one in self.deletes if one in names]
        return Step(self.key, self.message, items, deletes) if items or deletes else None


@dataclass(frozen=True, slots=True)
class Problem:
    """Something of the source that is not imported, and why."""

    what: str
    why: str


@dataclass(slots=True)
class Plan:
    """The findings of an importer.

    Attributes:
        source: The source, as it is recorded; the same place is the same source.
        steps: The steps, oldest first.
        problems: Data that can't be imported.
    """

    source: str
    steps: list[Step] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def leave_out(self, what: str, why: str) -> None:
        """Note something that is not imported."""
        self.problems.append(Problem(what, why))

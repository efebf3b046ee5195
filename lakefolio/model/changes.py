"""The changes that a commit consists of, as plain data (pure: no I/O).

A change names its effect and its conditions. The planner turns it into rows, against the exact state that it is
committed on. Because changes are plain data, a commit can be planned again after a lost race, or by another writer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Literal

from lakefolio.model.entries import Entry, Stored

__all__ = [
    "KEEP",
    "RUN_OVER",
    "Annotate",
    "Change",
    "Commit",
    "CopyItem",
    "Delete",
    "DropSnapshot",
    "LogBatch",
    "LogBlob",
    "Mark",
    "Put",
    "Restore",
    "SetArchived",
    "SetRun",
    "TakeSnapshot",
    "Update",
    "content_facts",
]


_CONTENT_FACTS: Final = frozenset({"code", "hyperparameters", "imported_from", "models"})


def content_facts(storage: str) -> frozenset[str]:
    """Return the metadata that the library notes of the content of an entry itself; other content has others."""
    return _CONTENT_FACTS | {"num_rows", "version"} if storage == "reference" else _CONTENT_FACTS


class _Keep(Enum):
    KEEP = "keep"


KEEP: Final = _Keep.KEEP
"""Leave this part of an entry as it is."""
Keep = Literal[_Keep.KEEP]


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """Add an entry. Refused if the name is taken, unless ``overwrite``.

    ``inputs`` are references or URIs, resolved at commit; ``metadata`` maps keys to JSON texts; ``run_id`` is the run
    that made it, which becomes an input of it. ``keep`` names the parts carried over from the entry it replaces:
    ``description`` and ``tags`` as they are, ``metadata`` under that of the change, without ``content_facts``.
    ``version`` is its label, a semantic version; ``bump`` (``auto`` or a part) takes the next label instead, on the
    state that it is committed on. ``input_details`` holds the details of inputs by their position, as text.
    """

    folio: str
    item: str
    stored: Stored
    entry_id: str
    description: str | None = None
    tags: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    overwrite: bool = False
    run_id: str | None = None
    keep: tuple[str, ...] = ()
    version: str | None = None
    bump: str | None = None
    input_details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Update:
    """Make a new entry of the same content with other words about it. Refused if the item does not exist.

    ``metadata`` is merged into the existing metadata: a key with the value None is removed. Refused (kind
    ``facts-changed``) unless the facts that ``only_if`` names are still these (None: missing). ``version`` labels the
    version that the item is at.
    """

    folio: str
    item: str
    description: str | Keep | None = KEEP
    tags: tuple[str, ...] | Keep = KEEP
    metadata: Mapping[str, str | None] | Keep = KEEP
    inputs: tuple[str, ...] | Keep = KEEP
    only_if: Mapping[str, str | None] = field(default_factory=dict)
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Note which version a record table has: a new entry with the same words about it.

    Refused (kind ``item-moved``) unless the entry ``replaces`` is still the item's.
    """

    folio: str
    item: str
    stored: Stored
    entry_id: str
    replaces: str


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove an item from the head. Refused if it does not exist. Its entries stay in the history."""

    folio: str
    item: str


@dataclass(frozen=True, slots=True)
class SetArchived:
    """Hide an item from listings, or show it again. Nothing happens if it is so already."""

    folio: str
    item: str
    archived: bool


@dataclass(frozen=True, slots=True)
class Annotate:
    """Set metadata of the lake (``subject_id`` is empty) or of a folio; a value None removes the key.

    ``clear`` removes all other keys too, but for those that the library keeps there itself.
    """

    subject_kind: Literal["lake", "folio"]
    subject_id: str
    values: Mapping[str, str | None]
    clear: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeSnapshot:
    """Give the state that this commit leaves (or a past version) a protected name. Refused if it is taken."""

    name: str
    folio: str | None = None
    message: str | None = None
    tags: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    target_version: int | None = None


@dataclass(frozen=True, slots=True)
class DropSnapshot:
    """Give up a snapshot's name and protection. Refused if it does not exist."""

    name: str
    folio: str | None = None


@dataclass(frozen=True, slots=True)
class Restore:
    """Bring the items in scope back to what they were at ``target_version``, as new rows."""

    target_version: int
    folio: str | None = None
    items: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyItem:
    """Add an entry with the content, words, metadata and inputs of another entry of the same lake."""

    source: Entry
    folio: str
    item: str
    entry_id: str
    overwrite: bool = False


RUN_OVER: Final = ("done", "failed")
"""The states of a run that has ended; one that is ``lost`` may turn out to be alive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetRun:
    """Set facts of a run: key -> JSON text, None removes the key. Refused if ``new`` and the run exists, or not.

    ``input_names`` and ``input_refs`` belong together: an input of the run (a reference or a URI) and its name there.
    Refused (kind ``run-ended``) if ``alive`` and the run has ended. Makes nothing unless the facts that ``only_if``
    names are still these (None: missing): a conclusion drawn from them would no longer be true.
    """

    run_id: str
    values: Mapping[str, str | None]
    new: bool = False
    alive: bool = False
    input_names: tuple[str, ...] = ()
    input_refs: tuple[str, ...] = ()
    only_if: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogBatch:
    """Make a batch of metric points or events count that is stored already; without ``batch_id`` a sign of life."""

    reason: str
    batch_id: str | None = None
    run_id: str | None = None
    row_count: int = 0
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogBlob:
    """Keep the blob of an event."""

    event_id: str
    stored: Stored
    run_id: str | None = None


Change = (
    Put
    | Update
    | Mark
    | Delete
    | SetArchived
    | Annotate
    | TakeSnapshot
    | DropSnapshot
    | Restore
    | CopyItem
    | SetRun
    | LogBatch
    | LogBlob
)


@dataclass(slots=True, kw_only=True)
class Commit:
    """An atomic set of changes.

    Attributes:
        commit_id: Chosen once and kept over all attempts, so that a commit whose answer was lost is recognised.
        tried: Whether it was handed to a journal before, and may be in the log already.
    """

    commit_id: str
    changes: Sequence[Change]
    author: str | None = None
    message: str | None = None
    run_id: str | None = None
    tried: bool = field(default=False, compare=False)

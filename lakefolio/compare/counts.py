"""How much changed inside each item that differs between two versions: what ``git diff --stat`` tells of files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lakefolio.errors import LakefolioError

if TYPE_CHECKING:
    from lakefolio.compare.item_diff import ItemDiff
    from lakefolio.history.diff import Change

__all__ = ["ItemCounts", "counts_of"]


@dataclass(frozen=True, slots=True)
class ItemCounts:
    """How much changed inside an item.

    Attributes:
        ref: ``folio:item``.
        kind: Its kind now, or the last if it is gone.
        change: ``added``, ``removed`` or ``changed``.
        counts: Places (rows, cells, values, lines, parts or files) ``added``, ``removed`` and ``changed``.
        note: Why there are no counts: the item is new or gone, only what is noted about it differs, or its content
            can't be read.
    """

    ref: str
    kind: str
    change: str
    counts: dict[str, int] = field(default_factory=dict)
    note: str = ""


def counts_of(changes: Iterable[Change], look: Callable[[str], ItemDiff]) -> Iterator[ItemCounts]:
    """Give the counts of each change, one after the other; the content of changed items is read.

    Args:
        changes: What changed.
        look: Returns what changed inside the item ``folio:item``.
    """
    for one in changes:
        ref, kind = f"{one.folio}:{one.item}", one.kind or ""
        if one.change != "changed":
            yield ItemCounts(ref, kind, one.change, note="new" if one.change == "added" else "gone")
        elif "content" not in one.aspects:
            yield ItemCounts(ref, kind, one.change, note=f"only {', '.join(one.aspects)}")
        else:
            try:
                found = look(ref)
            except LakefolioError as exc:
                yield ItemCounts(ref, kind, one.change, note=f"not read: {exc.kind}")
                continue
            note = "" if any(found.counts.values()) else "no value; see it with --item"
            yield ItemCounts(ref, found.kind, one.change, found.counts, note)

"""What folios hold in all: how many items, of which size, and when one was put last (pure: no I/O)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

import pyarrow as pa

from lakefolio.format.arrow_rows import cells, from_micros

__all__ = ["Change", "Size", "Total", "changes_in", "replayed", "size_of"]

_COLUMNS: Final = ("op", "folio", "item", "version", "committed_at", "size_bytes", "archived")
"""The columns of the journal that totals follow from."""

Change = tuple[str, str, str, int, int, int | None, bool | None]
"""Those of a row that puts or deletes an item; its time in microseconds since 1970."""

Size = tuple[int, bool]
"""The bytes of a live item, 0 if they are not known, and whether it is archived."""


class Total(NamedTuple):
    """What a folio holds.

    Attributes:
        item_count: The number of its live items.
        size_bytes: The sum of their sizes, as far as they are known.
        archived_count: How many of them are archived.
        archived_bytes: The sum of the sizes of these.
        put_version: The version that last put an item, be it live or not.
        put_micros: When that was committed, in microseconds since 1970.
    """

    item_count: int
    size_bytes: int
    archived_count: int
    archived_bytes: int
    put_version: int
    put_micros: int

    @property
    def put_at(self) -> datetime:
        """When an item was last put, in UTC."""
        return from_micros(self.put_micros)


_NOTHING: Final = Total(0, 0, 0, 0, -1, 0)


def changes_in(rows: pa.Table) -> list[Change]:
    """Return the rows of the journal that put or delete an item."""
    columns = [cells(rows.column(name)) for name in _COLUMNS]
    return [
        row
        for row in zip(*columns, strict=True)
        if row[0] in ("put", "delete") and row[1] is not None and row[2] is not None
    ]


def size_of(row: Mapping[str, Any]) -> Size:
    """Return what a row of a live item adds to a total."""
    return row["size_bytes"] or 0, bool(row["archived"])


def replayed(
    changes: Iterable[Change], heads: Mapping[tuple[str, str], Size], before: Mapping[str, Total]
) -> dict[str, tuple[Total, int]]:
    """Return the totals of the folios that rows of the journal change, each with the version that did so last.

    The delete of an item that is not there changes nothing.

    Args:
        changes: Rows that put and delete items, in their order.
        heads: The items that are live before them, as far as the rows are about them.
        before: The totals before them, of these folios at least.
    """
    sizes: dict[tuple[str, str], Size | None] = {}
    found: dict[str, list[int]] = {}
    for op, folio, item, version, micros, size_bytes, archived in changes:
        name = (folio, item)
        was = sizes[name] if name in sizes else heads.get(name)
        now = (size_bytes or 0, bool(archived)) if op == "put" else None
        if was is None and now is None:
            continue
        sizes[name] = now
        if (total := found.get(folio)) is None:
            total = found[folio] = [*before.get(folio, _NOTHING), version]
        for size, sign in ((was, -1), (now, 1)):
            if size is not None:
                total[0] += sign
                total[1] += sign * size[0]
                if size[1]:
                    total[2] += sign
                    total[3] += sign * size[0]
        if now is not None:
            total[4:6] = version, micros
        total[6] = version
    return {folio: (Total(*numbers), version) for folio, (*numbers, version) in found.items()}

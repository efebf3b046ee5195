"""The read model ``totals``: one row per folio, with what its live items are together (pure: no I/O).

A fold continues each row by the rows that are about its folio, so that what it costs does not grow with the folio. A
lake without the model gets it by counting the rows of ``entries``, once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from lakefolio.format.arrow_rows import cells
from lakefolio.format.schema import MANIFESTS_SCHEMA
from lakefolio.model.totals import Change, Size, Total, replayed
from lakefolio.readmodels.model import REMOVED, SUPERSEDED_AT, SUPERSEDED_BY, Model, succession

__all__ = ["COUNTED", "TOTALS", "counted", "totals_in", "totals_rows"]

_POSITION: Final = ("version",)
_COUNTS: Final = ("item_count", "size_bytes", "archived_count", "archived_bytes", "put_version")

TOTALS: Final = Model(
    name="totals",
    schema=pa.schema(
        [
            pa.field("folio", pa.string(), nullable=False),
            pa.field("version", pa.int64(), nullable=False),
            *(pa.field(name, pa.int64(), nullable=False) for name in _COUNTS),
            pa.field("put_at", MANIFESTS_SCHEMA.field("committed_at").type, nullable=False),
            *succession(_POSITION),
        ]
    ),
    key=("folio",),
    position=_POSITION,
    filtered=1,
    succeeding=True,
    past=False,
)
"""One row per folio with a live item; earlier states are not kept."""

COUNTED: Final = ("committed_at", "size_bytes", "archived")
"""The columns of ``entries`` that totals are counted off, beside those of its order and succession."""


def totals_in(rows: pa.Table) -> dict[str, Total]:
    """Return the totals that rows of the model say, each folio's newest row last; those of folios without items not."""
    names = ("folio", REMOVED, *Total._fields[:-1], "put_at")
    found: dict[str, Total] = {}
    for folio, removed, *numbers in zip(*(cells(rows.column(name)) for name in names), strict=True):
        found.pop(folio, None)
        if not removed:
            found[folio] = Total(*numbers)
    return found


def totals_rows(
    changes: Iterable[Change], heads: Mapping[tuple[str, str], Size], before: Mapping[str, Total]
) -> pa.Table:
    """Return the rows of the model that rows of the journal make; see :func:`lakefolio.model.totals.replayed`."""
    found = replayed(changes, heads, before)
    return _rows({folio: (*total, version) for folio, (total, version) in found.items()})


def counted(parts: Iterable[pa.Table], upto: int | None = None) -> pa.Table:
    """Count the rows of the model off those of ``entries``, in memory that grows with the number of folios.

    Args:
        parts: Rows of ``entries``, sorted and settled, with ``COUNTED``.
        upto: Count the state at this version; no row is later.
    """
    import numpy as np
    import pyarrow.compute as pc

    def numbers(column: Any, nothing: int | bool) -> Any:
        return pc.fill_null(column, nothing).to_numpy()

    found: dict[str, list[int]] = {}
    for part in parts:
        rows = part.combine_chunks()
        if not rows.num_rows:
            continue
        folio = rows.column("folio").chunk(0)
        begins = np.flatnonzero(np.insert(pc.not_equal(folio.slice(1), folio.slice(0, len(folio) - 1)), 0, True))
        at, removed = rows.column(SUPERSEDED_AT), numbers(rows.column(REMOVED), nothing=False)
        live = numbers(at.is_null() if upto is None else pc.or_kleene(at.is_null(), pc.greater(at, upto)), False)
        live &= ~removed
        archived = live & numbers(rows.column("archived"), nothing=False)
        size = numbers(rows.column("size_bytes"), 0)
        put = np.where(removed, -1, rows.column("version").to_numpy())
        micros = np.where(removed, 0, rows.column("committed_at").cast(pa.int64()).to_numpy())
        ended = ~removed & numbers(pc.equal(rows.column(SUPERSEDED_BY), "delete"), nothing=False)
        ended = np.where(ended, numbers(at, -1), -1)  # nothing changes if a row of a delete is followed by another
        sums = [np.add.reduceat(one.astype(np.int64), begins) for one in (live, live * size, archived, archived * size)]
        lasts = [np.maximum.reduceat(one, begins) for one in (put, micros, np.maximum(put, ended))]
        columns = [folio.take(pa.array(begins)).to_pylist(), *(one.tolist() for one in (*sums, *lasts))]
        for name, *values in zip(*columns, strict=True):
            known = found.setdefault(name, [0, 0, 0, 0, -1, 0, -1])
            known[:4] = map(sum, zip(known[:4], values[:4], strict=True))
            known[4:] = map(max, known[4:], values[4:])
    return _rows({folio: values for folio, values in found.items() if values[0]})


def _rows(found: Mapping[str, Sequence[int]]) -> pa.Table:
    """Return rows of the model: of each folio its total, and the version that last changed this."""
    names = (*Total._fields[:-1], "put_at", "version")
    values: dict[str, list[Any]] = {name: [one[at] for one in found.values()] for at, name in enumerate(names)}
    values |= {"folio": list(found), REMOVED: [not one[0] for one in found.values()]}
    blank = [None] * len(found)
    return pa.Table.from_arrays(
        [pa.array(values.get(field.name, blank), field.type) for field in TOTALS.schema], schema=TOTALS.schema
    )

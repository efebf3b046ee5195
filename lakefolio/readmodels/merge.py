"""Merging sorted runs of a read model into one, part by part, in memory bounded by a part (pure: no I/O).

The rows of a run cover a range of journal versions, and the ranges of two runs never overlap. So merging is sorting,
and then finding for each row the row that superseded it. The result does not depend on the order of earlier merges.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.readmodels.keys import Key, Rows, key_at, whole
from lakefolio.readmodels.model import REMOVED, SUPERSEDED_AT, SUPERSEDED_BY, Model

__all__ = ["in_order", "merged", "same_key_as_next", "settled", "sorted_rows"]


def sorted_rows(rows: pa.Table, model: Model) -> pa.Table:
    """Return rows in the order of their model. Looking whether they are already takes a tenth of sorting them."""
    rows = rows.combine_chunks()
    if in_order(rows, model.order):
        return rows
    return rows.sort_by([(name, "ascending") for name in model.order]).combine_chunks()


def in_order(rows: pa.Table, names: Sequence[str]) -> bool:
    """Say whether rows are sorted by some columns, which hold no nulls: ids begin with their time, so many are."""
    count = max(rows.num_rows - 1, 0)
    tied = np.ones(count, np.bool_)  # of the pairs of neighbours, those that are equal so far
    for name in names:
        column = whole(rows.column(name))
        before, after = column.slice(0, count), column.slice(1, count)
        if (tied & pc.greater(before, after).to_numpy(zero_copy_only=False)).any():
            return False
        tied &= pc.equal(before, after).to_numpy(zero_copy_only=False)
        if not tied.any():
            break
    return True


def same_key_as_next(rows: pa.Table, model: Model) -> Any:
    """Return, for each row but the last, whether the next has the same key (NumPy, bool)."""
    count = max(rows.num_rows - 1, 0)
    same = np.ones(count, np.bool_)
    for name in model.key:
        column = whole(rows.column(name))
        same &= pc.equal(column.slice(0, count), column.slice(1, count)).to_numpy(zero_copy_only=False)
    return same


def settled(rows: pa.Table, model: Model, *, bottom: bool = False) -> pa.Table:
    """Return sorted rows with the columns filled in that relate them to one another.

    A row that has a next one of its key is superseded by it. A delete with a row before it has said all it has to say
    and is left out; one without stays, because it is about a row of an older run.

    Args:
        rows: Rows of one run, or of neighbouring runs, sorted.
        model: Their model.
        bottom: Whether no older run exists.
    """
    if not model.succeeding or not rows.num_rows:
        return rows
    same = same_key_as_next(rows, model)
    has_next, has_previous = np.append(same, False), np.insert(same, 0, False)
    removed = whole(rows.column(REMOVED)).to_numpy(zero_copy_only=False)
    if not model.past:
        rows = _inheriting(rows, model, has_previous)
        return rows.filter(pa.array(~has_next & ~(removed if bottom else np.zeros(len(removed), np.bool_))))
    # filled in where an earlier merge has not done so already
    at = whole(rows.column(SUPERSEDED_AT))
    mask = pa.array(has_next & at.is_null().to_numpy(zero_copy_only=False))
    versions = whole(rows.column("version"))
    following = pa.concat_arrays([versions.slice(1), pa.nulls(1, versions.type)])
    following_removed = pa.array(np.append(removed[1:], False))
    by = pc.if_else(following_removed, "delete", "put")
    columns = {
        SUPERSEDED_AT: pc.if_else(mask, following, at),
        SUPERSEDED_BY: pc.if_else(mask, by, whole(rows.column(SUPERSEDED_BY))),
    }
    for name in model.replaces:
        column = whole(rows.column(name))
        columns[name] = pc.if_else(pa.array(has_previous), pa.nulls(len(column), column.type), column)
    arrays = [columns.get(name, rows.column(name)) for name in rows.schema.names]
    return pa.Table.from_arrays(arrays, schema=rows.schema).filter(pa.array(~(removed & has_previous)))


def _inheriting(rows: pa.Table, model: Model, has_previous: Any) -> pa.Table:
    """Return sorted rows that each name the row of an older run which the first of their key replaced.

    The rows between are left out, and nothing else would say that the older one holds no more.
    """
    if not has_previous.any():
        return rows
    begins = ~has_previous
    first = pa.array(np.flatnonzero(begins)[np.cumsum(begins) - 1])
    for name in model.replaces:
        at = rows.schema.get_field_index(name)
        rows = rows.set_column(at, rows.schema.field(name), whole(rows.column(name)).take(first))
    return rows


class _Stream:
    """One run on its way into a merge: the rows that were read and not merged yet."""

    def __init__(self, parts: Iterable[pa.Table], names: Sequence[str]) -> None:
        self._parts = iter(parts)
        self._names = names
        self.rest: pa.Table | None = None
        self.ended = False
        self.refill()

    def refill(self) -> None:
        while not self.ended and (self.rest is None or not self.rest.num_rows):
            self.rest = next(self._parts, None)
            self.ended = self.rest is None

    @property
    def last(self) -> Key:
        assert self.rest is not None
        return key_at(self.rest, self.rest.num_rows - 1, self._names)

    def take(self, upto: Key) -> pa.Table:
        """Return the rows up to a key and forget them."""
        assert self.rest is not None
        count = bisect_right(Rows(self.rest, self._names), upto)
        taken, self.rest = self.rest.slice(0, count), self.rest.slice(count)
        self.refill()
        return taken


def merged(runs: Sequence[Iterable[pa.Table]], model: Model, *, bottom: bool) -> Iterator[pa.Table]:
    """Yield the rows of neighbouring runs as one run, sorted and settled, in parts.

    Args:
        runs: Each as its parts, in order.
        model: Their model.
        bottom: Whether the oldest of the runs is the model's oldest.
    """
    streams = [stream for run in runs if not (stream := _Stream(run, model.order)).ended]
    held: pa.Table | None = None  # the last row, about which the next part may have something to say
    while streams:
        upto = min(stream.last for stream in streams)
        rows = sorted_rows(pa.concat_tables([stream.take(upto) for stream in streams]), model)
        streams = [stream for stream in streams if not stream.ended]
        if held is not None:
            rows = pa.concat_tables([held, rows]).combine_chunks()
        if not model.succeeding:
            yield rows
            continue
        done, held = _cut(rows, model, bottom=bottom)
        if done.num_rows:
            yield done
    if held is not None and (rest := settled(held, model, bottom=bottom)).num_rows:
        yield rest


def _cut(rows: pa.Table, model: Model, *, bottom: bool) -> tuple[pa.Table, pa.Table]:
    """Return what of sorted rows is settled, and the last row as it is, for the next part to settle.

    A delete that has a row before it must not be the row that is held back: it would then look as if it had none. It
    has settled that row, so the row stands for both.
    """
    found = settled(rows, model, bottom=bottom)
    if not found.num_rows:
        return found, rows.slice(rows.num_rows - 1)
    return found.slice(0, found.num_rows - 1), found.slice(found.num_rows - 1)

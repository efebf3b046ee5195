"""What rows of ``manifests`` note of runs, and in which versions to look for it (pure)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

import pyarrow as pa

__all__ = ["joined_spans", "last_noted", "noting"]

_MOST_SPANS: Final = 16


def joined_spans(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return spans of versions that cover some, so few that each may be read by itself: near ones are joined."""
    gap, found = 0, sorted(spans)
    while True:
        joined: list[tuple[int, int]] = []
        for first, last in found:
            if joined and first <= joined[-1][1] + 1 + gap:
                joined[-1] = (joined[-1][0], max(joined[-1][1], last))
            else:
                joined.append((first, last))
        if len(joined) <= _MOST_SPANS:
            return joined
        gap, found = gap * 4 + 16, joined


def noting(rows: pa.Table, key: str, texts: Collection[str] | None = None) -> list[str]:
    """Return the runs of which rows note a fact, in order; those with some values of it only, if they are given."""
    run_ids, values = _noted(rows, key)
    if texts is not None:
        import pyarrow.compute as pc

        run_ids = run_ids.filter(pc.is_in(values, value_set=pa.array(texts, pa.string())))
    return [run_id for run_id in run_ids.unique().to_pylist() if run_id is not None]


def last_noted(rows: pa.Table, key: str) -> dict[str, str | None]:
    """Return the JSON text that rows note last of a fact of each run, None where they remove it."""
    found: dict[str, str | None] = {}
    who = zip(rows.column("op").to_pylist(), rows.column("run_id").to_pylist(), strict=True)
    for lists in rows.column("facts").chunks:
        ends = lists.offsets.to_pylist()
        facts = lists.values.slice(ends[0], ends[-1] - ends[0])
        keys, values = facts.field("key").to_pylist(), facts.field("value")
        for number, (op, run_id) in zip(range(len(lists)), who, strict=False):
            if op == "run" and run_id is not None and lists[number].is_valid:
                for at in range(ends[number] - ends[0], ends[number + 1] - ends[0]):
                    if keys[at] == key:
                        found[run_id] = values[at].as_py()
    return found


def _noted(rows: pa.Table, key: str) -> tuple[pa.Array, pa.Array]:
    """Return the runs of which rows note a fact, and its JSON texts, in order."""
    import pyarrow.compute as pc

    rows = rows.select(["op", "run_id", "facts"])
    is_run = pc.and_(pc.equal(rows.column("op"), "run"), pc.is_valid(rows.column("run_id")))
    rows = rows.filter(is_run).combine_chunks()
    if not rows.num_rows:
        return pa.array([], pa.string()), pa.array([], pa.string())
    facts = rows.column("facts").chunk(0)
    flat, of_row = pc.list_flatten(facts), pc.list_parent_indices(facts)
    wanted = pc.fill_null(pc.equal(flat.field("key"), key), False)
    return rows.column("run_id").chunk(0).take(of_row.filter(wanted)), flat.field("value").filter(wanted)

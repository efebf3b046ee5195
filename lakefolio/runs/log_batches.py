"""What was logged as rows of ``metric_rows`` and ``event_rows``, and the changes that make them count (no I/O)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

from lakefolio.format.names import new_id
from lakefolio.format.schema import EVENT_ROWS_SCHEMA, METRIC_ROWS_SCHEMA
from lakefolio.model.changes import Change, LogBatch
from lakefolio.runs.validation import metric_text

__all__ = ["Batches", "Point", "add_events", "add_points", "last_of", "point_table"]

Point = tuple[str, str, int | None, float, int]
"""Run id, name, step, value, microseconds since 1970."""


@dataclass(slots=True)
class Batches:
    """What one commit makes count: rows to be stored first, then the changes that name them."""

    rows: dict[str, tuple[list[str], pa.Table]] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    run_ids: set[str] = field(default_factory=set)


def add_points(batches: Batches, points: list[Point], columns: list[tuple[str, pa.Table]]) -> None:
    """Add metric points, a batch for each run: single ones, and those given as columns."""
    parts: list[pa.Table] = []
    ids: list[str] = []
    for run_id, rows in _by_run(points, columns):
        batch_id = new_id()
        count = rows.num_rows
        parts.append(
            pa.table(
                [
                    pa.repeat(batch_id, count),
                    pa.array(range(count), pa.int32()),
                    pa.repeat(run_id, count),
                    *(rows.column(name) for name in ("name", "step", "value", "logged_at")),
                ],
                schema=METRIC_ROWS_SCHEMA,
            )
        )
        ids.append(batch_id)
        batches.run_ids.add(run_id)
        details = {"last": last_of(rows)}
        batches.changes.append(
            LogBatch(reason="metrics", batch_id=batch_id, run_id=run_id, row_count=count, details=details)
        )
    batches.rows["metric_rows"] = (ids, pa.concat_tables(parts))


_POINT_COLUMNS: Final = pa.schema([METRIC_ROWS_SCHEMA.field(name) for name in ("name", "step", "value", "logged_at")])


def point_table(names: object, steps: object, values: object, times: object) -> pa.Table:
    """Return points as columns."""
    arrays = [
        pa.array(names, pa.string()),
        pa.array(steps, pa.int64()),
        pa.array(values, pa.float64()),
        pa.array(times, pa.int64()).cast(METRIC_ROWS_SCHEMA.field("logged_at").type),
    ]
    return pa.Table.from_arrays(arrays, schema=_POINT_COLUMNS)


def _by_run(points: list[Point], columns: list[tuple[str, pa.Table]]) -> list[tuple[str, pa.Table]]:
    found: dict[str, list[pa.Table]] = {}
    if points:
        run_ids, *rest = zip(*points, strict=True)
        first = run_ids[0]
        if all(one is first or one == first for one in run_ids):
            found[first] = [point_table(*rest)]
        else:
            grouped: dict[str, list[Point]] = {}
            for point in points:
                grouped.setdefault(point[0], []).append(point)
            for run_id, some in grouped.items():
                found[run_id] = [point_table(*list(zip(*some, strict=True))[1:])]
    for run_id, rows in columns:
        found.setdefault(run_id, []).append(rows)
    return [(run_id, pa.concat_tables(tables)) for run_id, tables in found.items()]


def last_of(rows: pa.Table) -> dict[str, list[Any]]:
    """Return name -> [value, step] of the last point of each name; a value that is no JSON number as text."""
    names = rows.column("name").combine_chunks().dictionary_encode()
    numbers: dict[int, int] = {}
    if len(names):
        import numpy as np

        codes = names.indices.to_numpy()
        distinct, reverse = np.unique(codes[::-1], return_index=True)
        numbers = {int(code): len(codes) - 1 - int(at) for code, at in zip(distinct, reverse, strict=True)}
    found = {}
    for code, number in sorted(numbers.items()):
        value = rows.column("value")[number].as_py()
        text = metric_text(value)
        found[names.dictionary[code].as_py()] = [
            value if not text.startswith("{") else repr(value),
            rows.column("step")[number].as_py(),
        ]
    return found


def add_events(batches: Batches, events: list[tuple[dict[str, Any], list[Change]]]) -> None:
    """Add events, a batch for each run and one for those of none."""
    grouped: dict[str | None, list[dict[str, Any]]] = {}
    for row, changes in events:
        grouped.setdefault(row["run_id"], []).append(row)
        batches.changes += changes
    ids: list[str] = []
    rows: list[dict[str, Any]] = []
    for run_id, some in grouped.items():
        batch_id = new_id()
        ids.append(batch_id)
        rows += [{**row, "batch_id": batch_id, "ordinal": number} for number, row in enumerate(some)]
        batches.changes.append(LogBatch(reason="events", batch_id=batch_id, run_id=run_id, row_count=len(some)))
        if run_id is not None:
            batches.run_ids.add(run_id)
    batches.rows["event_rows"] = (ids, pa.Table.from_pylist(rows, schema=EVENT_ROWS_SCHEMA))

"""Queries of the model ``commits``: the time of a version, the version at a time, the version that carries a commit.

Versions and times rise together, and commit ids begin with their time, so the bounds in the footers select few row
groups.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.format.arrow_rows import dicts_of, to_micros
from lakefolio.readmodels.keys import whole
from lakefolio.readmodels.runs import ModelRuns

__all__ = ["first_commit", "last_commit", "version_before", "version_with"]


def first_commit(commits: ModelRuns) -> dict[str, Any] | None:
    """Return the first row, or None."""
    if not commits.runs:
        return None
    file, _ = next(commits.footers(commits.runs[0]))
    return _row(commits.group(file, 0), 0)


def last_commit(commits: ModelRuns, column: str, bound: datetime | int) -> dict[str, Any] | None:
    """Return the last row whose ``version`` or ``committed_at`` is not above a bound, or None."""
    at = commits.model.schema.get_field_index(column)
    bound = to_micros(bound) if isinstance(bound, datetime) else bound
    for run in reversed(commits.runs):
        for file, footer in reversed(list(commits.footers(run))):
            lowest = [
                footer.metadata.row_group(number).column(at).statistics.min_raw for number in range(len(footer.groups))
            ]
            number = bisect_right(lowest, bound) - 1
            if number >= 0:
                rows = commits.group(file, number)
                values = whole(rows.column(column)).cast(pa.int64())
                return _row(rows, bisect_right(values, bound, key=lambda one: one.as_py()) - 1)
    return None


def version_before(commits: ModelRuns, bound: int, count: int) -> int | None:
    """Return the version ``count`` steps before the last one up to ``bound``; 0 before all of them, or None."""
    seen: dict[int, None] = {}
    for rows in _groups(commits):
        versions = rows.column("version").to_pylist()
        seen |= dict.fromkeys(one for one in reversed(versions) if one <= bound)
        if len(seen) > count:
            return list(seen)[count]
    return 0 if len(seen) == count else None


def version_with(commits: ModelRuns, commit_id: str) -> int | None:
    """Return the version that carries a commit, or None."""
    for rows in _groups(commits, commit_id):
        place = pc.index(rows.column("commit_id"), commit_id).as_py()
        if place >= 0:
            return int(rows.column("version")[place].as_py())
    return None


def _groups(commits: ModelRuns, commit_id: str | None = None) -> Iterator[pa.Table]:
    """Give the row groups, the newest first; only those whose bounds admit an id, if it is given."""
    at = commits.model.schema.get_field_index("commit_id")
    for run in reversed(commits.runs):
        for file, footer in reversed(list(commits.footers(run))):
            for number in reversed(range(len(footer.groups))):
                if commit_id is not None:
                    bounds = footer.metadata.row_group(number).column(at).statistics
                    if not bounds.min <= commit_id <= bounds.max:
                        continue
                yield commits.group(file, number)


def _row(rows: pa.Table, at: int) -> dict[str, Any]:
    return dicts_of(rows.slice(at, 1))[0]

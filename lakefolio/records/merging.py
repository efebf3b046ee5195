"""Which data files of a record table maintenance merges: small ones, by levels, so that a row is rewritten seldom."""

from __future__ import annotations

from typing import Final

from lakefolio.records.state import RecordFile, TableState

__all__ = ["files_to_merge"]

_LEVELS: Final = (2_500, 125_000)
_FULL_BYTES: Final = 32 << 20
_FANOUT: Final = 40
_MOST_ROWS: Final = 500_000


def files_to_merge(state: TableState, *, everything: bool) -> list[list[RecordFile]]:
    """Return groups of small files, each to become one file, in the order of their names.

    Args:
        state: The table's newest state.
        everything: Merge whatever is small, also where too few files have come together.
    """
    files = sorted(state.files.values(), key=lambda one: one.path)
    small = [one for one in files if _level(one) < len(_LEVELS)]
    if not everything:
        levels = [_level(one) for one in small]
        full = [level for level in range(len(_LEVELS)) if levels.count(level) >= _FANOUT]
        if not full:
            return []
        small = [one for one in small if _level(one) <= max(full)]
    portions: list[list[RecordFile]] = []
    rows = size = 0
    for one in small:
        if not portions or rows + (one.row_count or 0) > _MOST_ROWS or size + one.size_bytes > 2 * _FULL_BYTES:
            portions.append([])
            rows = size = 0
        portions[-1].append(one)
        rows, size = rows + (one.row_count or 0), size + one.size_bytes
    return [one for one in portions if len(one) > 1]


def _level(file: RecordFile) -> int:
    if file.size_bytes >= _FULL_BYTES or file.row_count is None:
        return len(_LEVELS)
    return sum(file.row_count >= bound for bound in _LEVELS)

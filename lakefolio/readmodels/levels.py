"""The merge policy: which runs of a read model are merged, and when (pure: no I/O).

Small new runs are merged four to one, size class by size class. All of them go into the oldest and largest run once
together they have a quarter of its rows. Simulated write amplification (rows written per row of the model, 50 commits
a run): 8.3 at 10 million rows of 100 a commit, 11.4 at 5 million of one a commit; 13 and 22 runs at most, 6 and 10 on
average.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["to_merge"]

_FANOUT: Final = 4
_SHARE: Final = 4


def to_merge(row_counts: Sequence[int]) -> int:
    """Return how many of the newest runs are to be made one; 0 for none.

    Args:
        row_counts: The rows of each run, the oldest first.
    """
    newer = sum(row_counts[1:])
    if len(row_counts) > 1 and newer * _SHARE >= row_counts[0]:
        return len(row_counts)
    best = total = 0
    for count, rows in enumerate(reversed(row_counts[1:]), start=1):
        # merge the longest stretch whose members are all small beside what they make together
        total += rows
        if count >= _FANOUT and _class(rows) <= _class(row_counts[-1]):
            best = count
        elif _class(rows) > _class(row_counts[-1]):
            break
    return best


def _class(rows: int) -> int:
    size, bound = 0, _FANOUT
    while rows >= bound:
        size, bound = size + 1, bound * _FANOUT
    return size

"""The merge policy: which runs of a read model are merged, and when (pure: no I/O).

Small new runs are merged, four or more to one, as far as each is of a smaller size class than what they make together:
one merge does what merging class by class does in several. All of them go into the oldest and largest run once together
they have a quarter of its rows. Rows written per row of the model (counted, one merge a fold): 7.7 at 10 million rows
of 5,000 a fold, 10.2 of 200 a fold (one a commit); 11 and 18 runs at most, 6 and 9 on average.
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
        total += rows
        if count >= _FANOUT and _class(rows) < _class(total):  # all of them are small beside what they make together
            best = count
    return best


def _class(rows: int) -> int:
    size, bound = 0, _FANOUT
    while rows >= bound:
        size, bound = size + 1, bound * _FANOUT
    return size

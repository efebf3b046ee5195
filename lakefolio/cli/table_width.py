"""Tables that fit a terminal: columns that don't are left out, and that is shown (pure: texts in, texts out)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["ELLIPSIS", "Fitted", "fitted"]

ELLIPSIS: Final = "…"
_GAP: Final = 2
_WIDEST: Final = 40
_NARROWEST_LAST: Final = 20


class Fitted:
    """A table cut to a width.

    Attributes:
        headings: The headings, one of them an ellipsis if columns are left out.
        cells: The rows.
        numbers: Of each column which one of all it is; None for the ellipsis.
        left_out: How many columns are left out.
    """

    def __init__(
        self, headings: Sequence[str], cells: Sequence[Sequence[str]], numbers: Sequence[int | None], widest: int
    ) -> None:
        self.numbers = list(numbers)
        self.left_out = len(headings) - sum(number is not None for number in numbers)
        self.headings = [ELLIPSIS if number is None else cut(headings[number], widest) for number in numbers]
        self.cells = [[ELLIPSIS if number is None else cut(row[number], widest) for number in numbers] for row in cells]


def fitted(headings: Sequence[str], cells: Sequence[Sequence[str]], width: int) -> Fitted | None:
    """Return a table cut to a width, or None if it fits as it is; the last column may be folded for that.

    As DuckDB's own tables do it: long texts are cut, then columns are left out from the middle.
    """
    from rich.cells import cell_len

    sizes = [max(map(cell_len, column)) for column in zip(headings, *cells, strict=True)]
    gaps = _GAP * (len(sizes) - 1)
    if sum(sizes[:-1]) + min(sizes[-1], _NARROWEST_LAST) + gaps <= width:
        return None
    widest = max(1, min(_WIDEST, width))
    sizes = [min(size, widest) for size in sizes]
    if sum(sizes) + gaps <= width:
        return Fitted(headings, cells, range(len(sizes)), widest)
    left, right = 0, len(sizes)
    room = width - len(ELLIPSIS) - _GAP - sizes[0]
    left += 1
    from_right = True
    while left < right:
        number = right - 1 if from_right else left
        if sizes[number] + _GAP > room:
            break
        room -= sizes[number] + _GAP
        left, right = (left, right - 1) if from_right else (left + 1, right)
        from_right = not from_right
    return Fitted(headings, cells, [*range(left), None, *range(right, len(sizes))], widest)


def cut(text: str, width: int) -> str:
    """Return a text of at most so many cells."""
    from rich.cells import cell_len, set_cell_size

    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + ELLIPSIS

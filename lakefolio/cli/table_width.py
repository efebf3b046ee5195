"""Tables that fit a terminal: columns that don't are left out, and that is shown (pure: texts in, texts out)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Final

__all__ = ["ELLIPSIS", "Fitted", "cut", "fitted", "folded"]

ELLIPSIS: Final = "…"
_GAP: Final = 2
_WIDEST: Final = 40
_NARROWEST_LAST: Final = 20
_HANGING: Final = 4


_WORD: Final = re.compile(r" *(?:[+~-] +)?[^ ]+")
"""A sign stays with the name behind it."""


def folded(text: str, width: int) -> str:
    """Return a text whose long lines are folded between words, each rest below its line and further in.

    Nothing is left out, and no word is broken that is not wider than the terminal itself.
    """
    return "\n".join(part for line in text.split("\n") for part in _folded(line, width))


def _folded(line: str, width: int) -> Iterator[str]:
    from rich.cells import cell_len

    if len(line) * 2 <= width or cell_len(line) <= width:
        yield line
        return
    inner = " " * min(len(line) - len(line.lstrip(" ")) + _HANGING, width // 2)
    found, used = "", 0
    for word in _WORD.findall(line):
        size = cell_len(word)
        if found.strip() and used + size > width:
            yield found
            found = inner + word.lstrip(" ")
            used = cell_len(found)
        else:
            found, used = found + word, used + size
    yield found


class Fitted:
    """A table cut to a width.

    Attributes:
        headings: The headings, an ellipsis where columns are left out.
        cells: The rows.
        numbers: Of each column which one of all it is; None for the ellipsis.
        left_out: The headings of the columns that are left out.
    """

    def __init__(
        self,
        headings: Sequence[str],
        cells: Sequence[Sequence[str]],
        numbers: Sequence[int | None],
        sizes: Sequence[int],
    ) -> None:
        self.numbers = list(numbers)
        self.left_out = [heading for number, heading in enumerate(headings) if number not in numbers]
        self.headings = [ELLIPSIS if number is None else cut(headings[number], sizes[number]) for number in numbers]
        self.cells = [
            [ELLIPSIS if number is None else cut(row[number], sizes[number]) for number in numbers] for row in cells
        ]


def fitted(headings: Sequence[str], cells: Sequence[Sequence[str]], width: int) -> Fitted | None:
    """Return a table cut to a width, or None if it fits as it is; the last column may be folded for that.

    As DuckDB's own tables do it: long texts are cut, then columns that have no room are left out,
    those in the middle first.
    """
    from rich.cells import cell_len

    sizes = [max(map(cell_len, column)) for column in zip(headings, *cells, strict=True)]
    gaps = _GAP * (len(sizes) - 1)
    words = (word for cell in (headings[-1], *(row[-1] for row in cells)) for word in cell.split() if word.isascii())
    least = min(max(_NARROWEST_LAST, *map(len, words), 0), _WIDEST)  # no word is broken for that
    if sum(sizes[:-1]) + min(sizes[-1], least) + gaps <= width:
        return None
    hole = len(ELLIPSIS) + _GAP
    most = max(1, min(_WIDEST, width if len(sizes) == 1 else width - hole))
    for widest in range(most, _NARROWEST_LAST - 1, -1):  # texts only: what is as wide as a time is not cut
        cut_sizes = [widest if size > most else size for size in sizes]
        if sum(cut_sizes) + gaps <= width:
            return Fitted(headings, cells, range(len(sizes)), cut_sizes)
    order = [0, *_from_both_ends(len(sizes))]
    best: tuple[list[int], list[int]] = [], []
    for widest in range(most, min(most, _NARROWEST_LAST) - 1, -1):  # as wide as leaves most columns
        cut_sizes = [min(size, widest if size > most else size) for size in sizes]
        kept: list[int] = []
        for number in order:
            numbers = _with_holes([*kept, number], len(sizes))
            if not kept or sum(hole if one is None else cut_sizes[one] + _GAP for one in numbers) - _GAP <= width:
                kept.append(number)
        if (len(kept), [-order.index(one) for one in kept]) > (len(best[0]), [-order.index(one) for one in best[0]]):
            best = kept, cut_sizes
    return Fitted(headings, cells, _with_holes(best[0], len(sizes)), best[1])


def _from_both_ends(count: int) -> Iterator[int]:
    """Count from the last and from the second in turn, until all but the first are named."""
    left, right = 1, count - 1
    while left <= right:
        yield right
        if left < right:
            yield left
        left, right = left + 1, right - 1


def _with_holes(kept: Collection[int], count: int) -> list[int | None]:
    """Return the kept numbers in order, and None for each row of others."""
    found: list[int | None] = []
    for number in range(count):
        if number in kept:
            found.append(number)
        elif not found or found[-1] is not None:
            found.append(None)
    return found


def cut(text: str, width: int) -> str:
    """Return a text cut to a number of cells; of a long name the middle is left out: its end tells it from others."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= width:
        return text
    if " " in text or width < _NARROWEST_LAST:
        return set_cell_size(text, width - 1).rstrip() + ELLIPSIS
    end = 2 * (width - 1) // 3
    tail = set_cell_size(text[::-1], end).rstrip()[::-1]
    return set_cell_size(text, width - 1 - end).rstrip() + ELLIPSIS + tail

"""The differences inside an item as lines for people, as git and daff show them (pure: no I/O).

A line is pieces of text, each with the name of a style, so that a terminal can colour what a text leaves plain. Rows of
a table stand in a grid, as daff lays them out: the key, then the columns that differ; where it does not fit, every cell
that differs has a line of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from lakefolio.compare.item_diff import ContentChange, HeatMap, ItemDiff
from lakefolio.terminal import cell_count, padded, visible

__all__ = ["SIGNS", "STYLES", "Line", "around", "column_facts", "in_order", "said", "shown_lines", "stat_lines"]

Line = list[tuple[str, str]]
"""Pieces of text, each with its style."""

SIGNS: Final = {"added": "+", "removed": "-", "changed": "~", "renamed": "~", "": " "}
STYLES: Final = {"added": "new", "removed": "old", "changed": "changed", "renamed": "changed", "": ""}
_SHOWN: Final = 60
_MOST_COLUMNS: Final = 40
_CELL: Final = 28
_SHADES: Final = " ░▒▓█"
_BAR: Final = 24
_BEFORE: Final = 8
_WORDS: Final = {
    "rows_shared": "rows equal as bytes, not decoded",
    "infinite_differences": "cells where NaN or an infinity came or went",
}
"""Names of the summary that say too little for people."""


def shown_lines(diff: ItemDiff, width: int) -> Iterator[Line]:
    """Return the lines of a difference.

    Args:
        diff: The difference.
        width: How many characters a line may take, where it can be made to fit; lines of a text are never cut.
    """
    yield [(f"--- {diff.old}", "head")]
    yield [(f"+++ {diff.new}", "head")]
    yield [(f"{diff.kind}: the content {'is the same' if diff.identical else 'differs'}", "head")]
    if not any(one.line is not None for one in diff.changes) or any(one.line is None for one in diff.changes):
        for name, value in diff.summary.items():
            yield [(f"  {said(name)}: {_shown(value)}", "")]
    if diff.heat_map is not None:
        yield from _heat_map(diff.heat_map)
    differing = [one for one in diff.columns.to_pylist() if one["change"]]
    for one in differing[:_MOST_COLUMNS]:
        yield [(_cut(_column(one), width), STYLES[one["change"]])]
    if len(differing) > _MOST_COLUMNS:
        yield [(f"… and {len(differing) - _MOST_COLUMNS:,} more columns; columns has them all", "dim")]
    grid = _grid(diff, width) if diff.rows else None
    if grid is not None:
        yield from grid
        return
    shown = 0
    for change in diff.changes:
        if change.line is None:
            if shown == _SHOWN:
                continue
            shown += 1
        yield _line(change, width)
    if (more := sum(one.line is None for one in diff.changes) - shown) > 0:
        yield [(f"… and {more:,} more; to_arrow() has them all", "dim")]


def said(name: str) -> str:
    """Return a name of the summary as words."""
    return _WORDS.get(name, name.replace("_", " "))


def around(old: str, new: str, room: int) -> tuple[str, str]:
    """Return two texts without most of what both begin with if what differs lies behind the first ``room`` places."""
    same = next((place for place, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    cut = same - _BEFORE
    return (f"…{old[cut:]}", f"…{new[cut:]}") if cut > 1 and same > room - 4 else (old, new)


def in_order(diff: ItemDiff, names: Iterable[str]) -> list[str]:
    """Return names of columns as they stand in the table."""
    places = {one["name"]: place for place, one in enumerate(diff.columns.to_pylist())}
    return sorted(dict.fromkeys(names), key=lambda name: places.get(name, len(places)))


def stat_lines(counts: Sequence[tuple[str, str, Mapping[str, int], str]], width: int) -> Iterator[Line]:
    """Return one line per item, as ``git diff --stat`` does: its name, its kind, how much changed, and a bar.

    Args:
        counts: Name, kind, places added, removed and changed, and something to say instead of them (or nothing).
        width: How many characters a line may take.
    """
    if not counts:
        return
    most = max((sum(one.values()) for _, _, one, _ in counts), default=0)
    kinds = max(len(kind) for _, kind, _, _ in counts)
    figures = [" ".join(f"{SIGNS[what]}{count:,}" for what, count in one.items() if count) for _, _, one, _ in counts]
    told = [said or figure or "no value" for figure, (_, _, _, said) in zip(figures, counts, strict=True)]
    room = max(min(max(cell_count(name) for name, *_ in counts), width - kinds - max(map(len, told)) - _BAR - 10), 16)
    for (name, kind, one, said), figure in zip(counts, told, strict=True):
        total = sum(one.values())
        line: Line = [(f" {padded(_ending(name, room), room)} | {kind:<{kinds}} | {figure}", "")]
        if total and not said:
            blocks = max(round(total * min(_BAR / most, 1)), 1)
            line.append((" ", ""))
            for what, count in one.items():
                share = round(blocks * count / total) or (1 if count else 0)
                line.append((SIGNS[what] * share, STYLES[what]))
        yield line


def _line(change: ContentChange, width: int) -> Line:
    style, sign = STYLES[change.change], SIGNS[change.change]
    if change.line is not None:
        text = (change.old if change.change == "removed" else change.new) or ""
        return [(text, "hunk")] if change.line == 0 else [(f"{sign}{text}", style)]
    name = change.where if change.column is None else f"{change.where}  {change.column}"
    name = _cut(name, max(width // 2, 20))
    if change.change == "changed":
        room = max(width - cell_count(name) - 7, 24)
        before, after = _pair(change.old, change.new, room // 2)
        new = _cut(after, max(room // 2, room - cell_count(_cut(before, room))))
        return [(f"~ {name}: ", style), (_cut(before, room - cell_count(new)), "old"), (" → ", ""), (new, "new")]
    value = change.new if change.change == "added" else change.old
    return [
        (f"{sign} {name}" + ("" if value is None else f": {_cut(value, max(width - cell_count(name) - 4, 12))}"), style)
    ]


def _column(column: Mapping[str, Any]) -> str:
    name, old, new = column["name"], column["old_type"], column["new_type"]
    sign = SIGNS[column["change"]]
    if column["change"] in ("added", "removed"):
        return f"{sign} column {name} {new if old is None else old}"
    renamed = f"{column['renamed_from']} → " if column["change"] == "renamed" else ""
    told = column_facts(column)
    return f"{sign} column {renamed}{name}" + (f": {', '.join(told)}" if told else "")


def column_facts(column: Mapping[str, Any]) -> list[str]:
    """Return what changed in a column that both tables have."""
    old, new = column["old_type"], column["new_type"]
    told = [f"{old} → {new}"] if old != new else []
    if column["changed_count"]:
        told.append(f"{column['changed_count']:,} changed")
    for what in ("nulls", "min", "max", "mean"):
        before, after = column.get(f"old_{what}"), column.get(f"new_{what}")
        if what != "nulls" and (None in (before, after) or not column["changed_count"]):
            continue  # a value that did not change may be written otherwise, of another type
        if before != after:
            told.append(f"{what} {_shown(before)} → {_shown(after)}")
    return told


def _grid(diff: ItemDiff, width: int) -> list[Line] | None:
    """Return the rows as a grid, or None if not all columns that differ fit."""
    differing = dict.fromkeys(name for row in diff.rows if row.change == "changed" for name in row.new)
    others = dict.fromkeys(name for row in diff.rows if row.change != "changed" for name in (*row.new, *row.old))
    heads = list(diff.key) or ["row"]
    rows = [
        (
            row.change,
            [_text(row.where.get(head)) for head in heads],
            {one: _cell(row, one) for one in (*row.new, *row.old)},
        )
        for row in diff.rows
    ]
    used = 2 + sum(
        2 + max(cell_count(name), *(cell_count(keys[place]) for _, keys, _ in rows)) for place, name in enumerate(heads)
    )
    names: list[str] = []
    widths = {}
    for name in [*in_order(diff, differing), *(one for one in in_order(diff, others) if one not in differing)]:
        needs = max(cell_count(name), *(cell_count(cells.get(name, "")) for _, _, cells in rows))
        if used + 2 + needs > width:
            if name in differing:
                return None
            continue
        used, widths[name] = used + 2 + needs, needs
        names.append(name)
    lines = [[" ", *heads, *names]]
    lines += [[SIGNS[change], *keys, *(cells.get(name, "") for name in names)] for change, keys, cells in rows]
    sizes = [max(map(cell_count, column)) for column in zip(*lines, strict=True)]
    texts = ["  ".join(map(padded, line, sizes)).rstrip() for line in lines]
    found: list[Line] = [[(texts[0], "head")]]
    found += [[(text, STYLES[change])] for text, (change, _, _) in zip(texts[1:], rows, strict=True)]
    left = len(differing.keys() | others.keys()) - len(names)
    return [*found, [(f"… and {left:,} more columns of these rows; rows has them", "dim")]] if left else found


def _cell(row: Any, name: str) -> str:
    if row.change == "changed":
        return " → ".join(map(_text, _pair(row.old[name], row.new[name], _CELL)))
    return _text((row.new if row.change == "added" else row.old)[name])


def _pair(old: str | None, new: str | None, room: int) -> tuple[str | None, str | None]:
    return (old, new) if old is None or new is None else around(old, new, room)


def _text(value: str | None) -> str:
    return _cut(value, _CELL)


def _heat_map(of: HeatMap) -> Iterator[Line]:
    most = max((one for row in of.cells for one in row if one < float("inf")), default=0.0)
    scale = f"█ from {most / 2:.3g} to {most:.3g}" if most else "█ where a value came or went"
    yield [(f"  {of.of}, {scale}", "dim")]
    across = len(of.cells[0])
    yield [("  ┌" + "─" * across + "┐", "dim")]
    for row in of.levels:
        yield [("  │", "dim"), ("".join(_SHADES[level] for level in row), "changed"), ("│", "dim")]
    yield [("  └" + "─" * across + "┘", "dim")]


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else _cut(str(value), 200)


def _cut(text: str | None, room: int) -> str:
    """Return a text as one line of at most so many characters, as it will be shown."""
    if text is None:
        return "null"
    line = visible(" ".join(text[: 4 * room].split("\n")))
    return line if cell_count(line) <= room and len(text) <= 4 * room else f"{_narrow(line, room - 1)}…"


def _ending(text: str, room: int) -> str:
    """Return a text of at most so many cells; of a longer one the end, which tells names below one folio apart."""
    line = visible(" ".join(text.split("\n")))
    return line if cell_count(line) <= room else f"…{_narrow(line[::-1], room - 1)[::-1]}"


def _narrow(line: str, room: int) -> str:
    while cell_count(line) > room:
        line = line[: max(room, 1) if len(line) > room else len(line) - 1]
    return line

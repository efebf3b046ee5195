"""The differences inside an item as HTML, light or dark, that loads nothing and runs nothing (pure: no I/O)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from lakefolio.compare.item_diff import ContentChange, HeatMap, ItemDiff
from lakefolio.compare.shown import SIGNS, around, column_facts, in_order, said
from lakefolio.render import html

if TYPE_CHECKING:
    from lakefolio.views.table_changes import RowChange

__all__ = ["page_of", "shown_html"]

_TEXT: Final = 200
_BACKGROUNDS: Final = {
    "added": "rgba(46,160,67,.18)",
    "removed": "rgba(248,81,73,.18)",
    "changed": "rgba(210,153,34,.2)",
    "": "none",
}
_PADDED: Final = "padding:.15em .6em"
_PIXELS: Final = 9
_MOST_COLUMNS: Final = 30


def page_of(diff: ItemDiff) -> str:
    """Return a standalone page."""
    return html.page(f"{diff.old} → {diff.new}", *_parts(diff, None))


def shown_html(diff: ItemDiff) -> str:
    """Return a piece for a notebook; of many changes the first."""
    return html.block(*_parts(diff, 50))


def _parts(diff: ItemDiff, limit: int | None) -> list[str]:
    parts: list[str] = [html.heading(diff.kind, f"{diff.old} → {diff.new}", "same content" if diff.identical else "")]
    if diff.summary:
        parts.append(html.facts({said(name): value for name, value in diff.summary.items()}))
    if diff.heat_map is not None:
        parts.append(_heat_map(diff.heat_map))
    if differing := [one for one in diff.columns.to_pylist() if one["change"]]:
        parts.append(html.row_table(("column", "change", "what"), map(_column, differing), limit=limit))
    lines = [one for one in diff.changes if one.line is not None]
    if diff.rows:
        parts.append(_rows(diff, limit))
    elif lines and len(lines) == len(diff.changes):
        parts.append(_lines(lines[:limit]))
    elif lines:
        for is_line, group in groupby(diff.changes[:limit], lambda one: one.line is not None):
            parts.append((_lines if is_line else _places)(list(group)))
    elif diff.changes:
        parts.append(_places(diff.changes[:limit]))
    if limit is not None and len(diff.changes) > limit:
        parts.append(html.muted(f"… and {len(diff.changes) - limit:,} more"))
    return parts


def _column(column: Mapping[str, Any]) -> tuple[str, str, str]:
    kind = column["new_type"] if column["change"] == "added" else column["old_type"]
    renamed = [f"was {column['renamed_from']}"] if column["change"] == "renamed" else []
    told = [kind] if column["change"] in ("added", "removed") else [*renamed, *column_facts(column)]
    return column["name"], column["change"], ", ".join(told)


def _places(changes: Sequence[ContentChange]) -> html.Markup:
    rows = [(one.change, [_plain(one.where), *_pair(one.old, one.new)]) for one in changes]
    return _table(("where", "old", "new"), rows)


def _pair(old: str | None, new: str | None) -> tuple[str, str]:
    if old is not None and new is not None:
        old, new = around(old, new, _TEXT)
    return _value(old, "removed"), _value(new, "added")


def _rows(diff: ItemDiff, limit: int | None) -> html.Markup:
    """Return the rows as daff lays them out: the key, then the columns that differ, then others."""
    keys = list(diff.key) or ["row"]
    shown = diff.rows[:limit]
    changed = [row for row in shown if row.change == "changed"]
    differing = in_order(diff, (name for row in changed for name in row.new))
    others = in_order(diff, (name for row in shown for name in (*row.new, *row.old)))
    names = list(dict.fromkeys([*differing, *others]))[:_MOST_COLUMNS]
    rows = [
        (row.change, [_plain(row.where.get(key)) for key in keys] + [_cell(row, one) for one in names]) for row in shown
    ]
    return _table((*keys, *names), rows)


def _cell(row: RowChange, name: str) -> str:
    if row.change == "changed":
        if name not in row.new:
            return ""
        old, new = row.old[name], row.new[name]
        before, after = _pair(old, new)
        return f"{before if old is not None else _plain(None)} → {after if new is not None else _plain(None)}"
    side = row.new if row.change == "added" else row.old
    return _plain(side[name]) if name in side else ""


def _table(headings: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> html.Markup:
    heads = "".join(f'<th scope="col" style="{_PADDED};text-align:left">{html.shown(one)}</th>' for one in headings)
    body = "".join(
        f'<tr style="background:{_BACKGROUNDS[change] if change != "changed" else "none"}">'
        f'<td style="{_PADDED};background:{_BACKGROUNDS[change]}">{SIGNS[change]}</td>'
        + "".join(f'<td style="{_PADDED};vertical-align:top;white-space:pre-wrap">{cell}</td>' for cell in cells)
        + "</tr>"
        for change, cells in rows
    )
    return html.Markup(
        '<div style="overflow-x:auto"><table style="border-collapse:collapse;border:none;margin:.6em 0"><thead><tr>'
        f'<th scope="col" style="{_PADDED}">±</th>{heads}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _plain(value: str | None) -> str:
    return html.shown(value)


def _value(value: str | None, kind: str) -> str:
    return "" if value is None else f'<span style="background:{_BACKGROUNDS[kind]}">{html.shown(value)}</span>'


def _lines(changes: list[ContentChange]) -> html.Markup:
    rows = ""
    for one in changes:
        text = (one.old if one.change == "removed" else one.new) or ""
        sign = "" if one.line == 0 else SIGNS[one.change]
        style = "opacity:.6" if one.line == 0 else f"background:{_BACKGROUNDS[one.change]}"
        rows += f'<span style="display:block;{style}">{html.shown(sign + text, 2_000) or " "}</span>'
    return html.Markup(f'<pre style="font-size:.95em;margin:.2em 0;overflow-x:auto">{rows}</pre>')


def _heat_map(of: HeatMap) -> html.Markup:
    high, wide = len(of.cells), len(of.cells[0])
    squares = "".join(
        f'<rect x="{x}" y="{y}" width="1" height="1" fill="#d9480f" fill-opacity="{level / 4}"/>'
        for y, row in enumerate(of.levels)
        for x, level in enumerate(row)
        if level
    )
    return html.Markup(
        f'<svg role="img" viewBox="0 0 {wide} {high}" width="{wide * _PIXELS}" height="{high * _PIXELS}"'
        ' style="max-width:100%;height:auto;outline:1px solid rgba(128,128,128,.5);margin:.4em 0"'
        f' shape-rendering="crispEdges"><title>{html.shown(of.of)}</title>{squares}</svg>{html.muted(of.of)}'
    )

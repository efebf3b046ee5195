"""The differences inside an item as HTML, light or dark, that loads nothing and runs nothing (pure: no I/O)."""

from __future__ import annotations

from typing import Final

from lakefolio.compare.item_diff import ContentChange, HeatMap, ItemDiff
from lakefolio.compare.shown import SIGNS
from lakefolio.render import html

__all__ = ["page_of", "shown_html"]

_COLUMNS: Final = ("name", "change", "renamed_from", "old_type", "new_type", "changed_count", "old_mean", "new_mean")
_BACKGROUNDS: Final = {
    "added": "rgba(46,160,67,.18)",
    "removed": "rgba(248,81,73,.18)",
    "changed": "rgba(210,153,34,.2)",
    "": "none",
}
_PIXELS: Final = 9


def page_of(diff: ItemDiff) -> str:
    """Return a standalone page."""
    return html.page(f"{diff.old} → {diff.new}", *_parts(diff, None))


def shown_html(diff: ItemDiff) -> str:
    """Return a piece for a notebook; of many changes the first."""
    return html.block(*_parts(diff, 50))


def _parts(diff: ItemDiff, limit: int | None) -> list[str]:
    parts: list[str] = [html.heading(diff.kind, f"{diff.old} → {diff.new}", "same content" if diff.identical else "")]
    if diff.summary:
        parts.append(html.facts(diff.summary))
    if diff.heat_map is not None:
        parts.append(_heat_map(diff.heat_map))
    if differing := [one for one in diff.columns.to_pylist() if one["change"]]:
        names = [name for name in _COLUMNS if any(one[name] is not None for one in differing)]
        parts.append(html.row_table(names, [[one[name] for name in names] for one in differing], limit=limit))
    lines = [one for one in diff.changes if one.line is not None]
    if lines and len(lines) == len(diff.changes):
        parts.append(_lines(lines[:limit]))
    elif lines:
        for change in diff.changes[:limit]:
            parts.append(_lines([change]) if change.line is not None else _grid([change]))
    elif diff.changes:
        parts.append(_grid(diff.changes[:limit]))
    if limit is not None and len(diff.changes) > limit:
        parts.append(html.muted(f"… and {len(diff.changes) - limit:,} more"))
    return parts


def _grid(changes: tuple[ContentChange, ...] | list[ContentChange]) -> html.Markup:
    names = ("where", "column") if any(one.column is not None for one in changes) else ("where",)
    cell = '<td style="padding:.15em .9em .15em 0;vertical-align:top;white-space:pre-wrap">'
    body = ""
    for one in changes:
        told = "".join(f"{cell}{html.shown(getattr(one, name) or '')}</td>" for name in names)
        values = "".join(
            f'{cell}<span style="background:{_BACKGROUNDS[kind if value is not None else ""]}">'
            f"{html.shown('' if value is None and one.change != 'changed' else _null(value))}</span></td>"
            for kind, value in (("removed", one.old), ("added", one.new))
        )
        sign = f'<td style="padding:.15em .6em;background:{_BACKGROUNDS[one.change]}">{SIGNS[one.change]}</td>'
        body += f"<tr>{sign}{told}{values}</tr>"
    heads = "".join(
        f'<th scope="col" style="text-align:left;font-weight:600">{one}</th>' for one in (*names, "old", "new")
    )
    return html.Markup(
        '<table style="border-collapse:collapse;border:none;margin:.2em 0"><thead><tr>'
        f'<th scope="col" style="font-weight:600">±</th>{heads}</tr></thead><tbody>{body}</tbody></table>'
    )


def _null(value: str | None) -> str:
    return "null" if value is None else value


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

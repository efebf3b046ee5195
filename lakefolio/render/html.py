"""Pieces of HTML that look well in a notebook, light or dark, and need nothing from a network (pure: no I/O).

Everything that comes from a lake was written by others and is escaped here: the functions take plain values, and only a
:class:`Markup` made here passes as it is.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Final

from lakefolio.format.times import shown_time
from lakefolio.render.text import format_bytes
from lakefolio.terminal import text_of, visible

__all__ = ["Markup", "block", "facts", "heading", "lines", "muted", "page", "row_table", "shown"]

_TEXT_LIMIT: Final = 200
_ROWS_LIMIT: Final = 50
_GROUPED: Final = 10**300
_WORD: Final = 24
_REPORT_LIMIT: Final = 20_000
_CELL: Final = "padding:.15em .9em .15em 0;text-align:{};vertical-align:top;white-space:{}"
_LINE: Final = "border-bottom:1px solid rgba(128,128,128,.35)"


class Markup(str):
    """A text that is HTML already."""

    __slots__ = ()


def shown(value: object, limit: int = _TEXT_LIMIT) -> Markup:
    """Return a value as escaped HTML; texts are cut to a limit, control characters written out."""
    if isinstance(value, Markup):
        return value
    if value is None:
        return Markup('<span style="opacity:.5">–</span>')
    if isinstance(value, datetime):
        text = shown_time(value)
    elif isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, int):
        text = f"{value:,}" if abs(value) < _GROUPED else text_of(value)
    elif isinstance(value, float):
        text = f"{value:.6g}"
    elif isinstance(value, date):
        text = value.isoformat()
    elif isinstance(value, Mapping):
        text = ", ".join(f"{text_of(key)}={text_of(one)}" for key, one in value.items())
    elif isinstance(value, list | tuple | set | frozenset):
        text = ", ".join(map(text_of, value))
    else:
        text = text_of(value)
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    return Markup(html.escape(visible(text), quote=True))


def heading(what: str, name: object, more: object = "") -> Markup:
    """Return a heading: what it is, its name, and something about it."""
    return Markup(
        f'<div style="margin:.2em 0"><span style="opacity:.6">{shown(what)}</span> <b>{shown(name)}</b>'
        f' <span style="opacity:.6">{shown(more)}</span></div>'
    )


def muted(text: object) -> Markup:
    """Return a line that stands back."""
    return Markup(f'<div style="opacity:.6;margin:.2em 0">{shown(text)}</div>')


def lines(text: str) -> str:
    """Return a report that is text as one piece for a notebook."""
    return block(Markup(f'<pre style="font-size:.95em;margin:.2em 0">{shown(text, _REPORT_LIMIT)}</pre>'))


def facts(values: Mapping[str, object]) -> Markup:
    """Return names with their values, one a line."""
    rows = "".join(
        f'<tr><td style="{_CELL.format("left", "nowrap")};opacity:.6">{shown(_worded(name))}</td>'
        f'<td style="{_CELL.format("left", "pre-wrap")}">{_fact(name, value)}</td></tr>'
        for name, value in values.items()
    )
    return Markup(f'<table style="border-collapse:collapse;border:none;margin:.2em 0">{rows}</table>')


def row_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Sequence[str] = (),
    limit: int | None = _ROWS_LIMIT,
    total: int | None = None,
) -> Markup:
    """Return a table; of many rows the first, and how many more there are.

    Args:
        headings: The names of the columns.
        rows: The rows; values of any type.
        right: The headings of columns that are aligned to the right.
        limit: How many rows to show; None for all.
        total: How many rows there are, if not all are given.
    """
    given = list(rows)
    kept = given if limit is None else given[:limit]
    more = (len(given) if total is None else total) - len(kept)
    sides = ["right" if name in right else "left" for name in headings]
    head = "".join(
        f'<th style="{_CELL.format(side, "nowrap")};{_LINE};font-weight:600">{shown(name)}</th>'
        for name, side in zip(headings, sides, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<td style="{_CELL.format(side, _wrapped(value, side))}">{shown(value)}</td>'
            for value, side in zip(row, sides, strict=True)
        )
        + "</tr>"
        for row in kept
    )
    left = muted(f"… and {more:,} more") if more > 0 else ""
    return Markup(
        f'<table style="border-collapse:collapse;border:none;margin:.2em 0"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table>{left}"
    )


def block(*parts: str) -> str:
    """Return parts as one piece for a notebook. Whatever is no Markup is escaped."""
    return f'<div style="font-size:.92em;line-height:1.45">{"".join(shown(part) for part in parts)}</div>'


def page(title: str, *parts: str) -> str:
    """Return a standalone page; it loads nothing and runs nothing."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{shown(title)}</title><style>:root{{color-scheme:light dark}}"
        "body{font-family:system-ui,sans-serif;margin:2em auto;max-width:72em;"
        "padding:0 1em}h2{font-size:1.05em;margin:1.6em 0 .4em}</style></head>\n"
        f"<body>{block(*parts)}</body></html>\n"
    )


def _wrapped(value: object, side: str) -> str:
    """Return whether a cell may be broken into lines: numbers, times and short words are not."""
    whole = side == "right" or isinstance(value, datetime) or (isinstance(value, str) and len(value) <= _WORD)
    return "nowrap" if whole else "pre-wrap"


def _worded(name: str) -> str:
    return name.replace("_", " ")


def _fact(name: str, value: object) -> Markup:
    if name.endswith("bytes") and isinstance(value, int | float):
        return shown(format_bytes(value))
    return shown(value)

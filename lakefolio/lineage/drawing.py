"""Lineage graphs as pictures: Mermaid text, an SVG, and a page of its own (pure: no I/O).

The layout is the plain layered one: a node stands one column right of the furthest of its inputs, and the
order in a column follows the neighbours' mean place. Nothing is loaded from elsewhere and no script runs;
every text that comes from the lake is escaped.
"""

from __future__ import annotations

from base64 import b64encode
from html import escape
from itertools import pairwise
from statistics import fmean
from typing import TYPE_CHECKING, Final

from lakefolio.format.names import short_id
from lakefolio.render.text import counted
from lakefolio.terminal import visible

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lakefolio.lineage.graph import Graph
    from lakefolio.lineage.nodes import Node

__all__ = ["html_page", "mermaid", "picture", "svg"]

DRAWN_NODES: Final = 500
"""Maximum number of nodes in a picture, the nearest; more could not be read."""

_SWEEPS = 4
_BOX_WIDTH, _BOX_HEIGHT = 230, 46
_SLOT_HEIGHT = 6
_GAP_X, _GAP_Y, _MARGIN = 70, 16, 20
_COLOURS = {"entry": "#e8f0fb", "run": "#fdf1dc", "external": "#eef2ee"}
_BOX, _ROOT_BOX = 'stroke="#9fb0c3"', 'stroke="#1f5fb4" stroke-width="2"'
_FONT = 'font-family="system-ui,sans-serif" font-size="12" fill="#1c2733"'
_SMALL = 'font-size="10.5" fill="#5b6875"'


def _clipped(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _line(text: str, limit: int) -> str:
    return escape(_clipped(visible(text, keep=""), limit))


def _first_line(node: Node) -> str:
    return node.name or f"run {short_id(node.id)}" if node.type == "run" else node.ref


def _second_line(node: Node) -> str:
    if node.type == "run":
        return f"run · {short_id(node.id)}"
    if node.type == "external":
        return "external"
    parts = [node.kind or "", (node.digest or "").removeprefix("sha256:")[:10]]
    return " · ".join(part for part in parts if part)


def mermaid(graph: Graph) -> str:
    """Return the graph as Mermaid text, inputs on the left."""
    numbers = {node.key: f"n{index}" for index, node in enumerate(graph.nodes)}
    shapes = {"entry": ('["', '"]'), "run": ('(["', '"])'), "external": ('[/"', '"/]')}
    lines = ["graph LR"]
    for node in graph.nodes:
        # Mermaid reads entities written with # instead of &
        ref = visible(node.ref, keep="")
        text = "".join(one if one.isalnum() or one in " .:@_-/" else f"#{ord(one)};" for one in ref)
        start, end = shapes.get(node.type, shapes["entry"])
        lines.append(f"  {numbers[node.key]}{start}{text}{end}")
    seen = dict.fromkeys((edge.input, edge.output) for edge in graph.edges)
    lines += [f"  {numbers[source]} --> {numbers[output]}" for source, output in seen]
    lines += [f"  style {numbers[root.key]} stroke-width:3px" for root in graph.roots]
    return "\n".join(lines) + "\n"


def _columns(count: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Return the column of each node: one right of the furthest of its inputs; a cycle is cut where it comes."""
    inputs: list[list[int]] = [[] for _ in range(count)]
    outputs: list[list[int]] = [[] for _ in range(count)]
    for source, output in pairs:
        inputs[output].append(source)
        outputs[source].append(output)
    waiting = [len(sources) for sources in inputs]
    column = [0] * count
    ready = [number for number in range(count) if not waiting[number]]
    left = dict.fromkeys(range(count))
    while left:
        number = ready.pop() if ready else next(iter(left))
        if number not in left:
            continue
        del left[number]
        for output in outputs[number]:
            if output in left:
                column[output] = max(column[output], column[number] + 1)
                waiting[output] -= 1
                if not waiting[output]:
                    ready.append(output)
    for number in range(count):
        uses = [column[output] for output in outputs[number] if column[output] > column[number]]
        if uses and not inputs[number]:  # an entry without inputs stands right before its first use
            column[number] = min(uses) - 1
    return column


class _Layout:
    """Where the boxes stand and through which points the edges go.

    An edge that passes a column gets a narrow slot of its own there, so that it never runs behind a box.
    """

    def __init__(self, count: int, pairs: list[tuple[int, int]]) -> None:
        column_of = _columns(count, pairs)
        columns: list[list[int]] = [[] for _ in range(max(column_of, default=0) + 1)]
        for number, index in enumerate(column_of):
            columns[index].append(number)
        neighbours: dict[int, list[int]] = {number: [] for number in range(count)}
        self._routes: dict[tuple[int, int], list[int]] = {}
        slots = count
        for source, output in pairs:
            route = [source]
            for index in range(column_of[source] + 1, column_of[output]):
                columns[index].append(slots)
                neighbours[slots] = []
                route.append(slots)
                slots += 1
            route.append(output)
            self._routes[source, output] = route
            for one, other in pairwise(route):
                neighbours[one].append(other)
                neighbours[other].append(one)
        place = {number: index for column in columns for index, number in enumerate(column)}
        for sweep in range(_SWEEPS):
            for column in columns if sweep % 2 == 0 else reversed(columns):
                means = {one: fmean(place[near] for near in neighbours[one] or [one]) for one in column}
                column.sort(key=means.__getitem__)
                place.update({number: index for index, number in enumerate(column)})
        self._count = count
        tall = [sum(map(self.height_of, column)) + _GAP_Y * (len(column) - 1) for column in columns]
        self.height = 2 * _MARGIN + max([*tall, _BOX_HEIGHT])
        self.width = 2 * _MARGIN + len(columns) * (_BOX_WIDTH + _GAP_X) - _GAP_X
        self.at: dict[int, tuple[float, float]] = {}
        for index, column in enumerate(columns):
            y = (self.height - tall[index]) / 2
            for number in column:
                self.at[number] = (_MARGIN + index * (_BOX_WIDTH + _GAP_X), y)
                y += self.height_of(number) + _GAP_Y

    def height_of(self, number: int) -> int:
        """Return the height of a box or slot."""
        return _BOX_HEIGHT if number < self._count else _SLOT_HEIGHT

    def path(self, source: int, output: int) -> str:
        """Return the SVG path of an edge."""
        parts: list[str] = []
        for one, other in pairwise(self._routes[source, output]):
            (x1, y1), (x2, y2) = self.at[one], self.at[other]
            y1, y2 = y1 + self.height_of(one) / 2, y2 + self.height_of(other) / 2
            x1 += _BOX_WIDTH
            bend = max((x2 - x1) / 2, 30)
            parts.append(f"{'L' if parts else 'M'}{x1:g} {y1:g}")
            parts.append(f"C{x1 + bend:g} {y1:g} {x2 - bend:g} {y2:g} {x2:g} {y2:g}")
        return "".join(parts)


def svg(graph: Graph) -> str:
    """Return the graph as one SVG element, inputs on the left; hovering a node tells all of it."""
    nodes = graph.nodes[:DRAWN_NODES]
    number_of = {node.key: number for number, node in enumerate(nodes)}
    pairs = dict.fromkeys(
        (number_of[edge.input], number_of[edge.output])
        for edge in graph.edges
        if edge.input in number_of and edge.output in number_of and edge.input != edge.output
    )
    layout = _Layout(len(nodes), list(pairs))
    width, height = layout.width, layout.height
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}" role="img" aria-label="lineage" {_FONT}>',
        '<g fill="none" stroke="#9aa7b5" stroke-width="1.2">',
    ]
    parts += [f'<path d="{layout.path(*pair)}"/>' for pair in pairs]
    parts.append("</g>")
    roots = {root.key for root in graph.roots}
    for number, node in enumerate(nodes):
        x, y = layout.at[number]
        told = "\n".join(f"{name}: {value}" for name, value in node.to_dict().items())
        parts.append(
            f"<g><title>{escape(visible(told))}</title>"
            f'<rect x="{x:g}" y="{y:g}" width="{_BOX_WIDTH}" height="{_BOX_HEIGHT}" rx="6"'
            f' fill="{_COLOURS.get(node.type, "#fff")}" {_ROOT_BOX if node.key in roots else _BOX}/>'
            f'<text x="{x + 10:g}" y="{y + 19:g}">{_line(_first_line(node), 32)}</text>'
            f'<text x="{x + 10:g}" y="{y + 36:g}" {_SMALL}>{_line(_second_line(node), 40)}</text></g>'
        )
    parts.append("</svg>")
    return "".join(parts)


def picture(graph: Graph) -> str:
    """Return the graph as an HTML image for a notebook: nothing outside of it is styled, and no script could run in it.

    A notebook that is not trusted shows images, but no inline SVG.
    """
    body = b64encode(svg(graph).encode()).decode()
    return f'<img alt="lineage" style="max-width:100%" src="data:image/svg+xml;base64,{body}">'


def html_page(graph: Graph, title: str | None = None) -> str:
    """Return a page of its own that shows the graph."""
    heading = escape(visible(title or "Lineage of " + ", ".join(root.ref for root in graph.roots)))
    left_out = len(graph.nodes) - DRAWN_NODES
    note = f" Drawn are the {DRAWN_NODES} nearest; {left_out:,} are left out." if left_out > 0 else ""
    note += "" if graph.complete else " There are more nodes; a higher limit takes them in."
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        '<meta http-equiv="Content-Security-Policy"'
        " content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{heading}</title><style>body{{font:14px system-ui,sans-serif;margin:24px;color:#1c2733}}"
        "h1{font-size:18px}p{color:#5b6875}div{overflow:auto}</style></head>\n"
        f"<body><h1>{heading}</h1>"
        f"<p>{counted(len(graph.nodes), 'node')}, {counted(len(graph.edges), 'edge')}; inputs on the left.{note}</p>"
        f"<div>{svg(graph)}</div></body></html>\n"
    )

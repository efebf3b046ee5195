"""Curves of metrics, drawn as text, as SVG and (with matplotlib) as PNG. Points that are not finite are left out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from lakefolio.errors import InvalidInputError
from lakefolio.render.html import Markup, shown

__all__ = ["Curves", "as_png", "as_svg", "as_text"]

Points = Sequence[tuple[float, float]]
Curves = Mapping[str, Points]
"""What a curve is called -> its points (step, value), in the order of the steps. One without points takes its place
among colours and signs, so that a run looks the same in every plot, and is not drawn."""

_COLOURS: Final = ("#4c78a8", "#f58518", "#54a24b", "#e45756", "#72b7b2", "#b279a2", "#9d755d", "#888888")
_SIGNS: Final = "●▲■◆○△□◇"
_POINTS_LIMIT: Final = 400


def as_text(title: str, curves: Curves, *, width: int = 64, height: int = 12) -> str:
    """Return a plot for a terminal: one sign for each curve, axes with their ends."""
    thin = _thinned(curves, width * 2)
    box = _box(thin)
    if box is None:
        return f"{title}: no points"
    left, right, low, high = box
    cells = [[" "] * width for _ in range(height)]
    for number, points in enumerate(thin.values()):
        for x, y in points:
            column = round((x - left) / (right - left) * (width - 1))
            cells[height - 1 - round((y - low) / (high - low) * (height - 1))][column] = _SIGNS[number % len(_SIGNS)]
    top, bottom = f"{high:.4g}", f"{low:.4g}"
    margin = max(len(top), len(bottom))
    lines = [title]
    for number, row in enumerate(cells):
        label = top if number == 0 else bottom if number == height - 1 else ""
        lines.append(f"{label:>{margin}} ┤{''.join(row)}".rstrip())
    lines.append(f"{'':{margin}} └{'─' * width}")
    ends = f"{left:.6g}", f"{right:.6g}"
    lines.append(f"{'':{margin}}  {ends[0]}{ends[1]:>{max(1, width - len(ends[0]))}}")
    signs = [(_SIGNS[number % len(_SIGNS)], label) for number, label in enumerate(thin) if thin[label]]
    lines += [f"{'':{margin}}  {sign} {label}" for sign, label in signs]
    return "\n".join(lines)


def as_svg(title: str, curves: Curves) -> Markup:
    """Return an inline SVG picture; texts are escaped."""
    width, height = 640, 240
    thin = _thinned(curves, _POINTS_LIMIT)
    box = _box(thin)
    if box is None:
        return Markup(f"<p>{shown(title)}: no points</p>")
    left, right, low, high = box
    x0, y0, x1, y1 = 64, 26, width - 12, height - 24
    drawn = sum(map(bool, thin.values()))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height + 18 * drawn}" role="img"'
        f' style="max-width:{width}px;width:100%;font:12px system-ui,sans-serif" fill="currentColor">',
        f'<text x="{x0}" y="15" font-weight="600">{shown(title)}</text>',
        f'<path d="M{x0} {y0}V{y1}H{x1}" fill="none" stroke="currentColor" stroke-opacity=".4"/>',
        f'<text x="{x0 - 6}" y="{y0 + 8}" text-anchor="end">{high:.4g}</text>',
        f'<text x="{x0 - 6}" y="{y1}" text-anchor="end">{low:.4g}</text>',
        f'<text x="{x0}" y="{y1 + 16}">{left:.6g}</text>',
        f'<text x="{x1}" y="{y1 + 16}" text-anchor="end">{right:.6g}</text>',
    ]
    below = height - 10
    for number, (label, points) in enumerate(thin.items()):
        if not points:
            continue
        colour = _COLOURS[number % len(_COLOURS)]
        places = [
            (x0 + (x - left) / (right - left) * (x1 - x0), y1 - (y - low) / (high - low) * (y1 - y0)) for x, y in points
        ]
        if len(places) == 1:
            parts.append(f'<circle cx="{places[0][0]:.1f}" cy="{places[0][1]:.1f}" r="3" fill="{colour}"/>')
        else:
            line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
            parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
        below += 18
        parts.append(f'<rect x="{x0}" y="{below - 9}" width="10" height="10" fill="{colour}"/>')
        parts.append(f'<text x="{x0 + 16}" y="{below}">{shown(label)}</text>')
    return Markup("".join([*parts, "</svg>"]))


def as_png(plots: Mapping[str, Curves], path: Path) -> None:
    """Write a PNG picture with one plot below the other.

    Raises:
        InvalidInputError: kind ``extra-missing``: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as exc:
        raise InvalidInputError(
            "a PNG picture needs matplotlib", kind="extra-missing", hint="pip install 'lakefolio[plots]'"
        ) from exc
    figure = Figure(figsize=(8, 3 * max(1, len(plots))), layout="constrained")
    FigureCanvasAgg(figure)
    for number, (title, curves) in enumerate(plots.items(), 1):
        axes = figure.add_subplot(max(1, len(plots)), 1, number)
        for colour, (label, points) in zip(_COLOURS * (len(curves) // len(_COLOURS) + 1), curves.items(), strict=False):
            if not points:
                continue
            finite = [(x, y) for x, y in points if math.isfinite(y)]
            marker = "o" if len(finite) == 1 else None
            axes.plot(
                [x for x, _ in finite], [y for _, y in finite], color=colour, marker=marker, label=_literal(label)
            )
        axes.set_title(_literal(title))
        if any(curves.values()):
            axes.legend(fontsize="small")
    figure.savefig(path, format="png", dpi=120)


def _literal(text: str) -> str:
    """Return a text that matplotlib takes as it is: no mathematics, and no label that it would hide."""
    shown_text = "".join(one if one.isprintable() else "?" for one in text[:80])
    return shown_text.replace("$", r"\$") if not shown_text.startswith("_") else f" {shown_text}".replace("$", r"\$")


def _thinned(curves: Curves, limit: int) -> dict[str, list[tuple[float, float]]]:
    """Return the finite points; of many every so manieth, and the last."""
    found = {}
    for label, points in curves.items():
        finite = [(float(x), float(y)) for x, y in points if math.isfinite(x) and math.isfinite(y)]
        step = -(-len(finite) // limit) or 1
        found[label] = finite[::step] + (finite[-1:] if (len(finite) - 1) % step else [])
    return found


def _box(curves: Mapping[str, Points]) -> tuple[float, float, float, float] | None:
    points = [one for some in curves.values() for one in some]
    if not points:
        return None
    xs, ys = [x for x, _ in points], [y for _, y in points]
    left, right, low, high = min(xs), max(xs), min(ys), max(ys)
    if left == right:
        left, right = left - 0.5, right + 0.5
    if low == high:
        low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
    # of values at the ends of what a float holds the distance would be infinite
    return (left, right, low, high) if math.isfinite((right - left) + (high - low)) else None

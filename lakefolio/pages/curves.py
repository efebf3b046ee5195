"""Curves of any length as as many points as a screen has columns (pure: numpy).

A curve with more different positions than ``width`` is cut into that many columns of equal width; of each column the
page gets the mean, the least and the greatest value, so that no spike is lost. A shorter one comes as it is. Points of
one position are one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["drawn"]


def drawn(
    curves: Mapping[str, tuple[Floats, Floats]], width: int, span: tuple[float | None, float | None] = (None, None)
) -> dict[str, dict[str, Any]]:
    """Return what is drawn of some curves that share an axis.

    Args:
        curves: Name -> positions and values, of equal length, in any order; points that are not finite are left out.
        width: The number of columns.
        span: From which position to which; None leaves an end open.

    Returns:
        Name -> ``x``, ``y`` (means) and, where columns hold more than one point, ``low`` and ``high``: lists of equal
        length, ``x`` rising; and ``points``, how many there are in the span.
    """
    kept = {name: _inside(x, y, span) for name, (x, y) in curves.items()}
    ends = [(float(x.min()), float(x.max())) for x, _ in kept.values() if len(x)]
    if not ends:
        return {name: {"x": [], "y": [], "points": 0} for name in kept}
    first, last = min(one[0] for one in ends), max(one[1] for one in ends)
    return {name: _columns(x, y, first, last, width) for name, (x, y) in kept.items()}


def _inside(x: Floats, y: Floats, span: tuple[float | None, float | None]) -> tuple[Floats, Floats]:
    low, high = span
    wanted = np.isfinite(x) & np.isfinite(y)
    if low is not None:
        wanted &= x >= low
    if high is not None:
        wanted &= x <= high
    return x[wanted], y[wanted]


def _columns(x: Floats, y: Floats, first: float, last: float, width: int) -> dict[str, object]:
    if not len(x):
        return {"x": [], "y": [], "points": 0}
    if np.any(x[1:] < x[:-1]):
        order = np.argsort(x, kind="stable")
        x, y = x[order], y[order]
    new = np.concatenate(([True], x[1:] != x[:-1]))
    if int(new.sum()) > width:
        step = (last - first) / width
        column = np.minimum(((x - first) / step).astype(np.int64), width - 1)
        new = np.concatenate(([True], column[1:] != column[:-1]))
        at = np.flatnonzero(new)
        shown = first + (column[at] + 0.5) * step
    else:
        at = np.flatnonzero(new)
        shown = x[at]
    counts = np.diff(np.append(at, len(x)))
    found: dict[str, object] = {
        "x": shown.tolist(),
        "y": _short(np.add.reduceat(y, at) / counts),
        "points": len(x),
    }
    if len(at) < len(x):
        found["low"] = _short(np.minimum.reduceat(y, at))
        found["high"] = _short(np.maximum.reduceat(y, at))
    return found


def _short(values: Floats) -> list[float]:
    """Return values to seven digits, which no screen tells from more, and which halves what is sent."""
    return [float(f"{one:.7g}") for one in values.tolist()]

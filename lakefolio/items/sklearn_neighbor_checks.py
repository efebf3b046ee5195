"""Check the indexes of nearest neighbours, whose nodes scikit-learn's compiled code follows without looking."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from lakefolio.errors import IntegrityError

__all__ = ["NEIGHBOUR_TYPES", "check_index"]

_METRICS: Final = frozenset(
    f"sklearn.metrics._dist_metrics.{name}Distance64" for name in ("Euclidean", "Manhattan", "Chebyshev")
)
"""Metrics that read the points alone; others have arrays of their own, and are built only if the reader trusts them."""
_BOUNDS: Final = {"sklearn.neighbors._kd_tree.KDTree": 2, "sklearn.neighbors._ball_tree.BallTree": 1}
"""How many bounds each kind of index has for a node."""

NEIGHBOUR_TYPES: Final = _METRICS | _BOUNDS.keys()
"""The types that skops reports as untrusted, and that :func:`check_index` checks."""


def check_index(obj: Any, name: str) -> None:
    """Check an index of nearest neighbours of the type ``name``; a metric is checked with its index.

    Raises:
        IntegrityError: If a node has points or children that aren't there.
    """
    if name not in _BOUNDS:
        return
    points, places, nodes, bounds, _, _, count, *_, metric, weights = obj.__getstate__()
    _require(metric is not None, "without a metric")
    _require(points.ndim == 2 and points.size > 0, "without points")
    _require(places.shape == (len(points),), "of more or fewer places than points")
    _require((places >= 0).all() and (places < len(points)).all(), "of points that aren't there")
    _require(nodes.ndim == 1 and len(nodes) == count > 0, "of more or fewer nodes than it says")
    _require(bounds.shape == (_BOUNDS[name], count, points.shape[1]), "whose nodes have other bounds")
    starts, ends = nodes["idx_start"], nodes["idx_end"]
    _require((starts >= 0).all() and (starts <= ends).all() and (ends <= len(points)).all(), "of nodes without places")
    inner = np.flatnonzero(nodes["is_leaf"] == 0)
    _require((2 * inner + 2 < count).all(), "of a node whose children aren't there")
    _require(weights is None or np.shape(weights) == (len(points),), "of more or fewer weights than points")


def _require(fine: object, problem: str) -> None:
    if not fine:
        message = f"the stored model holds an index of neighbours {problem}"
        raise IntegrityError(message, kind="unsafe-model", hint="don't use this model")

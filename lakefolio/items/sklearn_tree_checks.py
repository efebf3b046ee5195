"""Check the nodes of scikit-learn's trees and indexes of neighbours, which compiled code follows without looking."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from lakefolio.errors import IntegrityError

__all__ = ["NEIGHBOUR_TYPES", "TREE_TYPES", "check_boosting", "check_index", "check_owner", "check_tree"]

_BITSET_WORDS: Final = 8

TREE_TYPES: Final = frozenset(
    {
        "sklearn.tree._tree.Tree",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    }
)
"""The types that skops reports as untrusted, and that :func:`check_tree` checks."""

_METRICS: Final = frozenset(
    f"sklearn.metrics._dist_metrics.{name}Distance64" for name in ("Euclidean", "Manhattan", "Chebyshev")
)
"""Metrics that read the points alone; others have arrays of their own, and are built only if the reader trusts them."""
_BOUNDS: Final = {"sklearn.neighbors._kd_tree.KDTree": 2, "sklearn.neighbors._ball_tree.BallTree": 1}
"""How many bounds each kind of index has for a node."""

NEIGHBOUR_TYPES: Final = _METRICS | _BOUNDS.keys()
"""The types that skops reports as untrusted, and that :func:`check_index` checks."""


def check_tree(obj: Any, name: str) -> None:
    """Check one tree or predictor of the type ``name``, one of TREE_TYPES.

    Raises:
        IntegrityError: If a node points outside its tree, back to an earlier node, or to a feature that isn't
            there, or if the tree is deeper than it says.
    """
    if name == "sklearn.tree._tree.Tree":
        leaf = np.asarray(obj.children_left) == -1
        _check_nodes(leaf, obj.children_left, obj.children_right, obj.feature, obj.n_features)
        depth = _depth(leaf, np.asarray(obj.children_left), np.asarray(obj.children_right))
        _require(depth <= obj.max_depth, "a tree that is deeper than it says")
    else:
        _check_predictor(obj, np.iinfo(np.int64).max, np.iinfo(np.int64).max)


def _depth(leaf: Any, left: Any, right: Any) -> int:
    level, depth = np.array([0]), 0
    while True:
        inner = level[~leaf[level]]
        if not len(inner):
            return depth
        # a node that two parents share is looked at once, or a crafted tree would grow without end
        level, depth = np.unique(np.concatenate([left[inner], right[inner]])), depth + 1


def check_boosting(obj: Any) -> None:
    """Check that boosted trees have a column for the prediction of each tree of a stage.

    Raises:
        IntegrityError: If there are fewer columns, into which scikit-learn would write all the same.
    """
    stages = obj.__dict__["estimators_"]
    _require(isinstance(stages, np.ndarray) and stages.ndim == 2, "boosted trees that are no table of stages")
    _require(stages.shape[1] == obj.__dict__.get("n_trees_per_iteration_"), "more boosted trees than predictions")
    try:
        columns = np.shape(obj._raw_predict_init(np.zeros((1, int(obj.n_features_in_)), np.float32)))
    except Exception:  # its predictions fail in the same way, before any tree is asked
        return
    _require(columns == (1, stages.shape[1]), "more boosted trees than predictions")


def check_owner(obj: object) -> None:
    """Check that an estimator gives its trees as many features as they were grown on.

    Raises:
        IntegrityError: If it gives fewer.
    """
    inside = getattr(obj, "__dict__", {})
    width = inside.get("n_features_in_")
    tree = inside.get("tree_")
    if tree is not None and hasattr(tree, "n_features"):
        _require(isinstance(width, int) and width >= tree.n_features, "a tree of more features than its estimator")
    if isinstance(getattr(type(obj), "n_features_in_", None), property):
        return  # it has its members predict (voting, a search, a pipeline), and each looks at its features itself
    members = inside.get("estimators_")
    if "estimators_features_" in inside:  # numpy picks the features of each tree, and checks its indices
        if "_max_features" in inside:  # an isolation forest, which gives them to the trees without their estimators
            width = inside["_max_features"]
            counts = {len(features) for features in inside["estimators_features_"]}
            _require(counts <= {width}, "a tree of other features than its forest")
        else:
            return
    if isinstance(members, np.ndarray):
        members = members.ravel().tolist()
    for member in members if isinstance(members, list) else ():  # numpy would look into members that are sequences
        tree = getattr(member, "__dict__", {}).get("tree_")
        if tree is not None and hasattr(tree, "n_features"):
            _require(isinstance(width, int) and width >= tree.n_features, "a tree of more features than its forest")
    binned = len(getattr(inside.get("_bin_mapper"), "is_categorical_", ()))
    for stage in inside.get("_predictors", ()) or ():
        for predictor in stage:
            _check_predictor(predictor, width if isinstance(width, int) else 0, binned)


def _check_predictor(predictor: Any, features: int, binned: int) -> None:
    nodes = predictor.nodes
    _require(isinstance(nodes, np.ndarray) and nodes.ndim == 1 and nodes.dtype.names is not None, "no node table")
    leaf = nodes["is_leaf"].astype(bool)
    _check_nodes(leaf, nodes["left"], nodes["right"], nodes["feature_idx"], features)
    categorical = nodes["is_categorical"].astype(bool) & ~leaf
    _require(bool((nodes["feature_idx"][categorical] < binned).all()), "a node of categories that aren't there")
    for bitsets in (predictor.binned_left_cat_bitsets, predictor.raw_left_cat_bitsets):
        _require(bitsets.ndim == 2 and bitsets.shape[1] == _BITSET_WORDS, "sets of categories of another size")
        _require(bool((nodes["bitset_idx"][categorical] < len(bitsets)).all()), "a set of categories that isn't there")


def _check_nodes(leaf: Any, left: Any, right: Any, feature: Any, features: int) -> None:
    inner = np.flatnonzero(~np.asarray(leaf))
    _require(len(leaf) > 0, "a tree without nodes")
    for children in (left, right):
        below = np.asarray(children)[inner].astype(np.int64)
        # children come after their parent, so that following them ends
        _require(bool(((below > inner) & (below < len(leaf))).all()), "a node whose child isn't there")
    chosen = np.asarray(feature)[inner].astype(np.int64)
    _require(bool(((chosen >= 0) & (chosen < features)).all()), "a node that looks at a feature that isn't there")


def check_index(obj: Any, name: str) -> None:
    """Check an index of nearest neighbours of the type ``name``; a metric is checked with its index.

    Raises:
        IntegrityError: If a node has points or children that aren't there.
    """
    if name not in _BOUNDS:
        return
    points, places, nodes, bounds, _, _, count, *_, metric, weights = obj.__getstate__()
    _require_index(metric is not None, "without a metric")
    _require_index(points.ndim == 2 and points.size > 0, "without points")
    _require_index(places.shape == (len(points),), "of more or fewer places than points")
    _require_index((places >= 0).all() and (places < len(points)).all(), "of points that aren't there")
    _require_index(nodes.ndim == 1 and len(nodes) == count > 0, "of more or fewer nodes than it says")
    _require_index(bounds.shape == (_BOUNDS[name], count, points.shape[1]), "whose nodes have other bounds")
    starts, ends = nodes["idx_start"], nodes["idx_end"]
    _require_index(
        (starts >= 0).all() and (starts <= ends).all() and (ends <= len(points)).all(), "of nodes without places"
    )
    inner = np.flatnonzero(nodes["is_leaf"] == 0)
    _require_index((2 * inner + 2 < count).all(), "of a node whose children aren't there")
    _require_index(weights is None or np.shape(weights) == (len(points),), "of more or fewer weights than points")


def _require_index(fine: object, problem: str) -> None:
    _require(fine, f"an index of neighbours {problem}", "unsafe-model")


def _require(fine: object, problem: str, kind: str = "unsafe-tree") -> None:
    if not fine:
        raise IntegrityError(f"the stored model holds {problem}", kind=kind, hint="don't use this model")

"""Check the node tables of scikit-learn's trees before anyone predicts with them.

skops can tell that a stored object is a tree, not that its nodes make sense, and scikit-learn follows the
indices in
them without looking: a crafted file could read outside of memory. So skops doesn't trust trees of itself.
    Checking
the nodes after loading, before the model is given out, makes it safe to load the most common models without
asking.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from lakefolio.errors import IntegrityError

__all__ = ["TREE_TYPES", "check_trees"]

TREE_TYPES: Final = frozenset(
    {
        "sklearn.tree._tree.Tree",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    }
)
"""What skops reports as untrusted, and :func:`check_trees` looks into."""


def check_trees(model: object) -> None:
    """Check every tree that ``model`` holds.

    Raises:
        IntegrityError: If a node points outside its tree, back to an earlier node, or to a feature that isn't
            there.
    """
    for obj in _reachable(model):
        name = f"{type(obj).__module__}.{type(obj).__qualname__}"
        if name == "sklearn.tree._tree.Tree":
            leaf = np.asarray(obj.children_left) == -1
            _check_nodes(leaf, obj.children_left, obj.children_right, obj.feature, obj.n_features)
        elif name in TREE_TYPES:
            _check_predictor(obj, np.iinfo(np.int64).max)
        elif hasattr(type(obj), "__dict__") and not isinstance(obj, type):
            _check_owner(obj)


def _reachable(model: object) -> Iterator[Any]:
    seen: set[int] = set()
    waiting: list[Any] = [model]
    while waiting:
        obj = waiting.pop()
        if id(obj) in seen or isinstance(obj, (str, bytes, int, float, type(None))):
            continue
        seen.add(id(obj))
        yield obj
        if isinstance(obj, Mapping):
            waiting += [*obj.keys(), *obj.values()]
        elif isinstance(obj, (list, tuple, set, frozenset)):
            waiting += obj
        elif isinstance(obj, np.ndarray):
            waiting += obj.ravel().tolist() if obj.dtype.hasobject else ()
        if isinstance(inside := getattr(obj, "__dict__", None), dict):
            waiting += inside.values()


def _check_owner(obj: Any) -> None:
    """Check that an estimator hands its trees as many features as they were grown on."""
    inside = getattr(obj, "__dict__", {})
    width = inside.get("n_features_in_")
    tree = inside.get("tree_")
    if tree is not None and hasattr(tree, "n_features"):
        _require(isinstance(width, int) and width >= tree.n_features, "a tree of more features than its estimator")
    if "estimators_features_" in inside:
        return  # numpy picks the features of each tree, and checks its indices
    members = inside.get("estimators_")
    for member in np.ravel(members).tolist() if isinstance(members, (list, np.ndarray)) else ():
        tree = getattr(member, "__dict__", {}).get("tree_")
        if tree is not None and hasattr(tree, "n_features"):
            _require(isinstance(width, int) and width >= tree.n_features, "a tree of more features than its forest")
    for stage in inside.get("_predictors", ()) or ():
        for predictor in stage:
            _check_predictor(predictor, width if isinstance(width, int) else 0)


def _check_predictor(predictor: Any, features: int) -> None:
    nodes = predictor.nodes
    _require(isinstance(nodes, np.ndarray) and nodes.ndim == 1 and nodes.dtype.names is not None, "no node table")
    leaf = nodes["is_leaf"].astype(bool)
    _check_nodes(leaf, nodes["left"], nodes["right"], nodes["feature_idx"], features)
    categorical = nodes["is_categorical"].astype(bool) & ~leaf
    for bitsets in (predictor.binned_left_cat_bitsets, predictor.raw_left_cat_bitsets):
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


def _require(fine: bool, problem: str) -> None:
    if not fine:
        raise IntegrityError(f"the stored model holds {problem}", kind="unsafe-tree", hint="don't use this model")

"""Check the arrays that scikit-learn's compiled code trusts, before a loaded model is used.

skops can tell that a stored object is an estimator, not that its arrays make sense, and the compiled parts of
scikit-learn and libsvm follow indices and sizes without looking: a crafted file could read and write outside of memory.
So every part of a loaded model that such code uses is checked before the model is returned. Parts that can't be checked
are built only if the reader trusts them.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import numpy as np

from lakefolio.errors import IntegrityError, type_name
from lakefolio.items.sklearn_tree_checks import (
    NEIGHBOUR_TYPES,
    TREE_TYPES,
    check_boosting,
    check_index,
    check_owner,
    check_tree,
)

__all__ = ["CHECKED_TYPES", "check_model"]

CHECKED_TYPES: Final = TREE_TYPES | NEIGHBOUR_TYPES
"""Types written in C that skops reports as untrusted, and that :func:`check_model` checks."""

_MOST_THREADS: Final = 1024
_MT_WORDS: Final = 624
_PHILOX_WORDS: Final = 4


def check_model(model: object) -> None:
    """Check everything that ``model`` holds.

    Raises:
        IntegrityError: kind ``unsafe-tree`` if a node points outside its tree, back to an earlier node, or to a
            feature that isn't there; ``unsafe-model`` if an array has another shape, or holds other indices, than the
            code that uses it expects.
    """
    late = []
    for obj in _reachable(model):
        name = type_name(obj)
        if name in TREE_TYPES:
            check_tree(obj, name)
        elif name in NEIGHBOUR_TYPES:
            _guarded(lambda index, _: check_index(index, name), obj)  # noqa: B023 - called at once
        elif isinstance(obj, (np.random.RandomState, np.random.Generator)):
            _check_random(obj)
        elif hasattr(obj, "tocoo") and hasattr(obj, "format"):
            _check_sparse(obj)
        elif hasattr(type(obj), "__dict__") and not isinstance(obj, type):
            check_owner(obj)
            for module, base, check in _CHECKS:
                kind = getattr(sys.modules.get(module), base, None)
                if kind is not None and isinstance(obj, kind):
                    _guarded(check, obj)
            if hasattr(obj, "_raw_predict_init") and "estimators_" in obj.__dict__:
                late.append(obj)
    for obj in late:  # they predict, so all else must be fine
        check_boosting(obj)


def _reachable(model: object) -> Iterator[object]:
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
        elif isinstance(obj, functools.partial):
            waiting += [obj.func, *obj.args, *obj.keywords.values()]
        if isinstance(inside := getattr(obj, "__dict__", None), dict):
            waiting += inside.values()


def _guarded(check: Callable[[Any, dict[str, Any]], None], obj: object) -> None:
    try:
        check(obj, getattr(obj, "__dict__", {}))
    except IntegrityError:
        raise
    except Exception as exc:  # an attribute of another type than it should be
        raise _unsafe(f"a {type(obj).__name__} whose attributes can't be checked: {exc}") from exc


def _unsafe(problem: str) -> IntegrityError:
    return IntegrityError(f"the stored model holds {problem}", kind="unsafe-model", hint="don't use this model")


def _require(fine: object, problem: str) -> None:
    if not fine:
        raise _unsafe(problem)


def _check_random(obj: Any) -> None:
    bits = obj.bit_generator if isinstance(obj, np.random.Generator) else obj._bit_generator
    state = bits.state
    if state["bit_generator"] == "MT19937":
        _require(0 <= state["state"]["pos"] <= _MT_WORDS, "random numbers at a position outside of their state")
        _require(np.any(state["state"]["key"]), "random numbers of an empty state")
    elif state["bit_generator"] == "Philox":
        _require(0 <= state["buffer_pos"] <= _PHILOX_WORDS, "random numbers at a position outside of their state")


def _check_sparse(matrix: Any) -> None:
    try:
        if matrix.format in ("csr", "csc", "bsr"):
            matrix.check_format(full_check=True)
        elif matrix.format == "coo":
            for coordinates, size in zip(matrix.coords, matrix.shape, strict=True):
                _require(len(coordinates) == len(matrix.data), "a sparse matrix of unequal parts")
                _require(not len(coordinates) or (coordinates.min() >= 0 and coordinates.max() < size), "wild indices")
    except IntegrityError:
        raise
    except Exception as exc:
        raise _unsafe(f"a sparse matrix with wild indices: {exc}") from exc


def _check_svm(obj: Any, inside: dict[str, Any]) -> None:
    """Libsvm takes the number of support vectors from one array and reads the others without looking."""
    if "support_vectors_" not in inside:
        return
    _require("_impl" not in inside, "a support vector machine of another kind than its class")
    vectors, coefficients, counts = inside["support_vectors_"], inside["_dual_coef_"], inside["_n_support"]
    support, classes = inside["support_"], len(counts)
    rows, width = inside["shape_fit_"]
    pairs = classes * (classes - 1) // 2
    machine = "a support vector machine whose arrays don't fit each other"
    _require(support.ndim == counts.ndim == 1 and classes >= 2 and (counts >= 0).all(), machine)
    _require(not len(support) or (support.min() >= 0 and support.max() < rows), machine)
    used = int(counts.sum() if obj._impl in ("c_svc", "nu_svc") else counts[0])
    _require(used == len(support) and tuple(coefficients.shape) == (classes - 1, len(support)), machine)
    _require(len(inside["_intercept_"]) == pairs, machine)
    _require(len(inside["_probA"]) == len(inside["_probB"]) and len(inside["_probA"]) in (0, pairs), machine)
    _require(bool(inside["_sparse"]) == hasattr(vectors, "tocsr") == hasattr(coefficients, "tocsr"), machine)
    if inside["_sparse"]:
        _require(vectors.format == coefficients.format == "csr", machine)
        _require(len(coefficients.data) == (classes - 1) * len(support), machine)
    if inside["kernel"] != "precomputed" and not callable(inside["kernel"]):
        _require(tuple(vectors.shape) == (len(support), width) and width == inside["n_features_in_"], machine)


def _check_vocabulary(obj: object, inside: dict[str, Any]) -> None:
    """The columns of a matrix come from here, and its size from the number of words."""
    words = inside.get("vocabulary_")
    if words is None:
        return
    columns = list(words.values())
    fine = all(isinstance(one, (int, np.integer)) and not isinstance(one, bool) for one in columns)
    _require(fine and all(0 <= one < len(words) for one in columns), "a vocabulary with columns that aren't there")


def _check_centers(obj: object, inside: dict[str, Any]) -> None:
    threads = inside.get("_n_threads", 1)
    _require(isinstance(threads, (int, np.integer)) and 1 <= threads <= _MOST_THREADS, f"{threads} threads")
    centers = inside.get("cluster_centers_")
    if centers is not None:
        fine = centers.ndim == 2 and len(centers) > 0 and centers.shape[1] == inside["n_features_in_"]
        _require(fine, "cluster centers of another width than their features")


def _check_neighbours(obj: object, inside: dict[str, Any]) -> None:
    points = inside.get("_fit_X")
    if points is None:
        return
    _require(points.ndim == 2 and points.shape[0] > 0, "no neighbours")
    _require(points.shape[1] == inside["n_features_in_"], "neighbours of another width")
    if (index := inside.get("_tree")) is not None:
        _require(np.shape(index.__getstate__()[0]) == points.shape, "an index of other neighbours")
    labels, classes = inside.get("_y"), inside.get("classes_")
    if labels is None:
        return
    _require(len(labels) == points.shape[0], "neighbours with more or fewer labels")
    for column, known in zip(
        labels.T if labels.ndim == 2 else [labels], classes if isinstance(classes, list) else [classes], strict=False
    ):
        if known is not None:
            _require(not len(column) or (column.min() >= 0 and column.max() < len(known)), "neighbours of no class")


def _check_one_hot(obj: Any, inside: dict[str, Any]) -> None:
    widths = inside.get("_n_features_outs")
    if widths is not None:
        _require(list(widths) == list(obj._compute_n_features_outs()), "categories without a column")


def _check_linkage(obj: object, inside: dict[str, Any]) -> None:
    tree = inside.get("_single_linkage_tree_")
    if tree is None or not len(tree):
        return
    for side in ("left_node", "right_node"):
        places = tree[side]
        made = len(tree) + 1 + np.arange(len(tree))  # a node joins points, and nodes that were made before it
        _require((places >= 0).all() and (places < made).all(), "a linkage of nodes that aren't there")


def _check_average(obj: object, inside: dict[str, Any]) -> None:
    shapes = {np.shape(inside[name]) for name in ("coef_", "_standard_coef", "_average_coef") if _given(inside, name)}
    shapes = {shape[-1:] for shape in shapes}
    _require(len(shapes) <= 1, "coefficients and their average of unequal shapes")
    if _given(inside, "coef_") and "n_features_in_" in inside:
        _require(np.shape(inside["coef_"])[-1] == inside["n_features_in_"], "coefficients of another width")


def _given(inside: dict[str, Any], name: str) -> bool:
    return inside.get(name) is not None


_CHECKS: Final[tuple[tuple[str, str, Callable[[Any, dict[str, Any]], None]], ...]] = (
    ("sklearn.svm._base", "BaseLibSVM", _check_svm),
    ("sklearn.feature_extraction.text", "CountVectorizer", _check_vocabulary),
    ("sklearn.feature_extraction._dict_vectorizer", "DictVectorizer", _check_vocabulary),
    ("sklearn.cluster._kmeans", "_BaseKMeans", _check_centers),
    ("sklearn.neighbors._base", "NeighborsBase", _check_neighbours),
    ("sklearn.preprocessing._encoders", "OneHotEncoder", _check_one_hot),
    ("sklearn.cluster._hdbscan.hdbscan", "HDBSCAN", _check_linkage),
    ("sklearn.linear_model._stochastic_gradient", "BaseSGD", _check_average),
)
"""Module and base class of estimators, and the check of each."""

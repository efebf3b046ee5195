"""Differences between models: parameters, fitted attributes, the nodes of trees, weights (pure: no I/O)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from lakefolio.compare.arrays import told_array, told_difference
from lakefolio.compare.boosters import booster
from lakefolio.compare.item_diff import ContentChange, Differences
from lakefolio.compare.values import compare_values

__all__ = ["compare_estimators", "compare_tensors"]

_LEARNED: Final = re.compile(r"_(\.|\[|$)|\._")
"""A name that ends with an underscore, as scikit-learn calls what ``fit`` made, or begins with one; no parameter's."""
_NOTED: Final = ("hyperparameters", "versions", "class", "init_args")


def compare_estimators(
    old: object, new: object, notes: tuple[Mapping[str, object], Mapping[str, object]]
) -> Differences:
    """Compare estimators by their attributes, see ``items.sklearn_reading``, and what was noted about them."""
    found = compare_values(old, new, "model", booster)
    noted = _noted(notes, ("hyperparameters", "versions"))
    learned = sum(_LEARNED.search(one.where) is not None for one in found.changes)
    summary = {"parameters_changed": len(found.changes) - learned, "learned_parts_changed": learned}
    return Differences({**summary, "notes_changed": len(noted)}, [*found.changes, *noted])


def compare_tensors(
    old: Mapping[str, Any], new: Mapping[str, Any], notes: tuple[Mapping[str, Any], Mapping[str, Any]]
) -> Differences:
    """Compare the tensors of two models of torch by name, and what was noted about them."""
    found = _noted(notes, _NOTED)
    for name in dict.fromkeys([*old, *new]):
        one, other = (None if side.get(name) is None else _array(side[name]) for side in (old, new))
        if one is None or other is None:
            told = [None if side is None else told_array(side) for side in (one, other)]
            found.append(ContentChange("added" if one is None else "removed", name, None, told[0], told[1]))
        elif (difference := told_difference(one, other)) is not None:
            found.append(ContentChange("changed", name, None, *difference))
        elif old[name].dtype != new[name].dtype:
            found.append(ContentChange("changed", name, None, str(old[name].dtype), str(new[name].dtype)))
    counts = {f"parts_{what}": sum(one.change == what for one in found) for what in ("added", "removed", "changed")}
    return Differences({"tensors": f"{len(old):,} → {len(new):,}", **counts}, found)


def _noted(notes: tuple[Mapping[str, object], Mapping[str, object]], names: tuple[str, ...]) -> list[ContentChange]:
    old, new = ({name: one[name] for name in names if name in one} for one in notes)
    return list(compare_values(old, new, "").changes)


def _array(tensor: Any) -> Any:
    """Return a tensor as an array; of types that numpy lacks, such as bfloat16, as numbers of 32 bits."""
    plain = tensor.detach().cpu()
    try:
        return plain.numpy()
    except TypeError:
        return plain.float().numpy()

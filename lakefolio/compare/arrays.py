"""Differences between arrays, sparse matrices and pictures: how many cells, by how much, and where (pure: no I/O).

NaN equals NaN, and a masked cell another masked one, whatever lies under the mask. Whole numbers and floats are
compared exactly, and complex numbers part by part. A cell that became NaN, or stopped to be, differs by an infinite
amount: it is counted and comes first among the examples, and no mean or norm has it (``infinite_differences`` counts
them).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from lakefolio.compare.item_diff import ContentChange, Differences, HeatMap

__all__ = ["compare_arrays", "compare_pictures", "compare_sparse", "told_array", "told_difference"]

Array = np.ndarray[Any, np.dtype[Any]]

_BLOCK: Final = 1 << 20
_HIGH: Final = 24
_WIDE: Final = 64
_WORTH: Final = 32
"""Fewer cells are no map."""
_NUMBERS: Final = "biufc"


def compare_arrays(old: Any, new: Any, limit: int) -> Differences:
    """Compare arrays cell by cell, where both have one. Differences are new minus old, norms over the cells of both.

    Memory is bounded: a block of each is read at a time, so that the arrays may be mapped files.
    """
    summary = _headings(old, new)
    if old.ndim != new.ndim:
        return Differences(summary)
    shape = tuple(map(min, old.shape, new.shape))
    kept = tuple(slice(0, size) for size in shape)
    first, second = (side[kept] if shape else side.reshape(1) for side in (old, new))
    step = max(_BLOCK // max(int(np.prod(first.shape[1:])), 1), 1)
    is_number = all(one.dtype.kind in _NUMBERS for one in (first, second))
    found = _Tally(first.shape, is_number, limit)
    for start in range(0, len(first), step):
        one, other = (_block(values, start, start + step) for values in (first, second))
        found.add(_differing(one, other), one, other, start)
    summary |= found.summary()
    for name, side in (("cells_added", new), ("cells_removed", old)):
        if side.size > first.size:
            summary[name] = int(side.size - first.size)
    if not found.changed and old.shape == new.shape and old.dtype == new.dtype:
        summary["note"] = "every cell is equal; zeros of another sign, NaNs of other bits or hidden cells differ"
    depth = len(shape)
    changes = [
        ContentChange("changed", _cell(place[:depth]), None, str(first[place]), str(second[place]))
        for place in found.places()
    ]
    return Differences(summary, changes, heat_map=found.heat_map())


def compare_sparse(old: Any, new: Any, limit: int) -> Differences:
    """Compare sparse matrices by their entries; one that is stored as zero is like one that is not stored."""
    summary = _headings(old, new)
    summary["entries"] = _arrow(f"{old.nnz:,}", f"{new.nnz:,}")
    if getattr(old, "format", "") != getattr(new, "format", ""):
        summary["format"] = _arrow(old.format, new.format)
    if old.ndim != new.ndim:
        return Differences(summary)
    sides = [side.tocoo() for side in (old, new)]
    places = np.concatenate([np.stack(side.coords).astype(np.int64) for side in sides], axis=1)
    different, which = np.unique(places, axis=1, return_inverse=True)
    which = which.reshape(-1)
    dtypes = np.result_type(*(side.data.dtype for side in sides))
    values = [np.zeros(different.shape[1], side.data.dtype) for side in sides]
    for at, side, numbers in zip(values, sides, np.split(which, [sides[0].data.size]), strict=True):
        np.add.at(at, numbers, side.data)  # entries of one cell add up
    shape = tuple(map(max, old.shape, new.shape))
    found = _Tally(shape, dtypes.kind in _NUMBERS, limit)
    mask = _differing(*values)
    found.add_places(different.T[mask], values[0][mask], values[1][mask], values[0])
    counts = {"added": (values[0] == 0) & mask, "removed": (values[1] == 0) & mask}
    counts["changed"] = mask & ~counts["added"] & ~counts["removed"]
    summary |= {f"entries_{name}": int(one.sum()) for name, one in counts.items()}
    summary |= {name: value for name, value in found.summary().items() if not name.startswith(("cells", "mean_diff"))}
    numbers_of = {tuple(place): number for number, place in enumerate(different.T[mask].tolist())}
    changes = []
    for place in found.places():
        before, after = (values[side][mask][numbers_of[place]] for side in (0, 1))
        what = "added" if before == 0 else "removed" if after == 0 else "changed"
        texts = [str(value) if value != 0 else None for value in (before, after)]
        changes.append(ContentChange(what, _cell(place), None, texts[0], texts[1]))
    return Differences(summary, changes, heat_map=found.heat_map())


def compare_pictures(old: Array, new: Array, limit: int) -> Differences:
    """Compare pictures pixel by pixel, where both have one: height × width, or that × channels, of small whole numbers.

    A difference is that of the channel that differs most.
    """
    summary: dict[str, Any] = {"size": _arrow(*(f"{one.shape[1]} × {one.shape[0]}" for one in (old, new)))}
    sides = [one[: min(old.shape[0], new.shape[0]), : min(old.shape[1], new.shape[1])] for one in (old, new)]
    sides = [one[..., None] if one.ndim == 2 else one for one in sides]
    if sides[0].shape != sides[1].shape:
        summary["channels"] = _arrow(*(str(one.shape[2]) for one in sides))
        return Differences(summary)
    found = _Tally(sides[0].shape[:2], is_number=True, limit=limit)
    step = max(_BLOCK // max(sides[0].shape[1], 1), 1)
    for start in range(0, len(sides[0]), step):
        one, other = (side[start : start + step].astype(np.int64) for side in sides)
        difference = np.abs(other - one).max(axis=2, initial=0)
        zeros = np.zeros_like(difference)
        found.add(difference > 0, zeros, difference, start)
    told = found.summary()
    summary["pixels_changed"] = told["cells_changed"]
    summary |= {name: told[name] for name in ("largest_difference", "mean_difference")}
    changes = [
        ContentChange(
            "changed", f"x={place[1]}, y={place[0]}", None, _colour(sides[0][place]), _colour(sides[1][place])
        )
        for place in found.places()
    ]
    return Differences(summary, changes, heat_map=found.heat_map())


def _colour(pixel: Array) -> str:
    return "#" + "".join(f"{int(value):02x}" for value in pixel)


def told_array(values: Array) -> str:
    """Return the type and shape of an array in words."""
    return f"{'records' if values.dtype.names else values.dtype} of shape {values.shape}"


def told_difference(old: Array, new: Array) -> tuple[str, str] | None:
    """Return in words what an array was and is, None if the same: for the parts of a model."""
    if old.shape != new.shape:
        return told_array(old), told_array(new)
    found = compare_arrays(old, new, 1)
    changed = found.summary["cells_changed"]
    if not changed and old.dtype == new.dtype:
        return None
    if not {old.dtype.kind, new.dtype.kind} <= set(_NUMBERS) or not changed:
        return told_array(old), f"{told_array(new)}; {changed:,} of {new.size:,} values differ"
    if new.size == 1:
        return str(old.reshape(-1)[0]), str(new.reshape(-1)[0])
    told = [f"norm {float(np.linalg.norm(side.astype(np.complex128).reshape(-1))):.6g}" for side in (old, new)]
    most, norm = found.summary["largest_difference"], found.summary["l2_norm"]
    return told[0], f"{told[1]}; {changed:,} of {new.size:,} values differ, by {most:.3g} at most, norm {norm:.3g}"


class _Tally:
    """What is known of the cells that differ: sums, a grid of the largest differences, and the largest examples."""

    def __init__(self, shape: tuple[int, ...], is_number: bool, limit: int) -> None:
        self.changed = 0
        self._seen = int(np.prod(shape, dtype=float))
        self._plane = (1, *shape)[-2:]
        self._grid: Array = np.zeros((min(self._plane[0], _HIGH), min(self._plane[1], _WIDE)))
        self._is_number = is_number
        self._limit = limit
        self._sum = self._squares = self._relative_sum = self._old_squares = 0.0
        self._most = self._relative_most = 0.0
        self._relative_count = self._infinite = 0
        self._examples: list[tuple[float, tuple[int, ...]]] = []

    def add(self, mask: Array, one: Array, other: Array, start: int) -> None:
        """Take a block of rows from the row ``start``."""
        places = np.argwhere(mask)
        places[:, 0] += start
        self.add_places(places, one[mask], other[mask], one)

    def add_places(self, places: Array, one: Array, other: Array, all_old: Array) -> None:
        """Take cells that differ, with their values, beside all old ones."""
        if self._is_number:
            with np.errstate(all="ignore"):
                squares = np.square(np.abs(np.ma.filled(np.ma.asarray(all_old), 0).astype(np.complex128)))
            self._old_squares += float(squares[np.isfinite(squares)].sum())
        self.changed += len(places)
        if not len(places):
            return
        size: Array = np.ones(len(places))
        if self._is_number:
            size = self._sized(one, other)
        high, wide = self._plane
        row = places[:, -2] * self._grid.shape[0] // high if places.shape[1] > 1 else np.zeros(len(places), np.int64)
        column = places[:, -1] * self._grid.shape[1] // wide
        join = np.maximum if self._is_number else np.add
        join.at(self._grid.reshape(-1), row * self._grid.shape[1] + column, size)
        largest = np.argsort(-size, kind="stable")[: self._limit]
        self._examples += [(float(size[at]), tuple(map(int, places[at]))) for at in largest]
        self._examples = sorted(self._examples, key=lambda cell: (-cell[0], cell[1]))[: self._limit]

    def _sized(self, one: Array, other: Array) -> Array:
        is_wide = any(side.dtype.kind == "c" for side in (one, other))
        is_masked = np.ma.getmaskarray(one) | np.ma.getmaskarray(other)
        kind = np.complex128 if is_wide else np.longdouble  # which has every integer of 64 bits
        before: Any
        after: Any
        before, after = (np.ma.filled(np.ma.asarray(side), 0).astype(kind) for side in (one, other))
        with np.errstate(all="ignore"):
            size: Array = np.abs(after - before).astype(np.float64)
            size[is_masked | np.isnan(size)] = np.inf
            finite = np.isfinite(size)
            relative = (size / np.abs(before).astype(np.float64))[finite & (before != 0)]
        self._infinite += int((~finite).sum())
        self._sum += float(size[finite].sum())
        with np.errstate(over="ignore"):
            self._squares += float(np.sum(size[finite] ** 2))
        self._most = max(self._most, float(size[finite].max(initial=0.0)))
        self._relative_sum += float(relative.sum())
        self._relative_count += len(relative)
        self._relative_most = max(self._relative_most, float(relative.max(initial=0.0)))
        return size

    def summary(self) -> dict[str, Any]:
        """Return what is told of all cells."""
        told: dict[str, Any] = {"cells": self._seen, "cells_changed": self.changed}
        if not self._is_number or not self.changed:
            return told
        if self._infinite:
            told["infinite_differences"] = self._infinite
        told |= {
            "largest_difference": self._most,
            "mean_difference": self._sum / max(self._seen, 1),
            "l2_norm": self._squares**0.5,
        }
        if self._relative_count:
            told["largest_relative_difference"] = self._relative_most
            told["mean_relative_difference"] = self._relative_sum / self._relative_count
        if self._old_squares:
            told["l2_norm_relative_to_old"] = (self._squares / self._old_squares) ** 0.5
        return told

    def places(self) -> list[tuple[int, ...]]:
        """Return the cells that differ most."""
        return [place for _, place in self._examples]

    def heat_map(self) -> HeatMap | None:
        """Return where the cells differ; None if nowhere, or if there are but a few."""
        if not self.changed or self._grid.size < _WORTH:
            return None
        grid, of = self._grid, "largest absolute difference of each block of cells"
        if not self._is_number:
            blocks = self._seen / grid.size
            grid, of = grid / max(blocks, 1), "share of cells that differ in each block"
        return HeatMap(tuple(tuple(row) for row in grid.tolist()), of)


def _differing(one: Array, other: Array) -> Array:
    """Return the mask of cells that differ."""
    names = one.dtype.names
    if names is not None and names == other.dtype.names:
        mask: Array = np.zeros(one.shape, bool)
        for name in names:
            below = _differing(one[name], other[name])
            mask |= below.any(axis=tuple(range(one.ndim, below.ndim)))
        return mask
    hidden = [_hidden(side) for side in (one, other)]
    values = [np.asarray(np.ma.getdata(side)) for side in (one, other)]
    kinds = {side.dtype.kind for side in values}
    if "c" in kinds and kinds <= set(_NUMBERS):  # one part may be NaN and the other one not
        mask = _differing(values[0].real, values[1].real) | _differing(values[0].imag, values[1].imag)
        return np.asarray(mask & ~hidden[0] & ~hidden[1] | (hidden[0] != hidden[1]))
    try:
        mask = np.asarray(values[0] != values[1])
        if "f" in kinds and kinds & set("iu"):
            mask |= _rounded(*sorted(values, key=lambda side: side.dtype.kind == "f"))
        if mask.shape != one.shape or mask.dtype != bool or len({side.dtype.kind in "SU" for side in values}) == 2:
            raise TypeError
    except TypeError:  # no comparison of such types: by what they print
        mask = _texts(values[0]) != _texts(values[1])
    if all(side.dtype.kind in "fmM" for side in values):
        with np.errstate(invalid="ignore"):
            mask &= ~((values[0] != values[0]) & (values[1] != values[1]))  # NaN, NaT
    differing: Array = (mask & ~hidden[0] & ~hidden[1]) | (hidden[0] != hidden[1])
    return differing


def _rounded(whole: Array, floats: Array) -> Array:
    """Return the mask of whole numbers that the common type of them and of some floats does not hold."""
    common: Array = whole.astype(np.result_type(whole, floats))
    held = common < float(2 ** (8 * whole.dtype.itemsize - (whole.dtype.kind == "i")))
    found: Array = ~held
    found[held] = common[held].astype(whole.dtype) != whole[held]
    return found


def _hidden(values: Array) -> Array:
    is_plain = not isinstance(values, np.ma.MaskedArray) or values.dtype.names is not None
    return np.zeros(values.shape, bool) if is_plain else np.ma.getmaskarray(values)


def _block(values: Any, start: int, stop: int) -> Array:
    part = values[start:stop]
    return part if isinstance(part, np.ma.MaskedArray) else np.asarray(part)


def _texts(values: Array) -> Array:
    return np.array([str(one) for one in values.reshape(-1)], dtype=object).reshape(values.shape)


def _headings(old: object, new: object) -> dict[str, Any]:
    return {name: _arrow(str(getattr(old, name)), str(getattr(new, name))) for name in ("shape", "dtype")}


def _arrow(old: str, new: str) -> str:
    return old if old == new else f"{old} → {new}"


def _cell(place: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, place))}]"

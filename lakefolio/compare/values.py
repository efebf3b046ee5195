"""Differences between two values, arrays, texts or folders (pure: no I/O but the files that are given)."""

from __future__ import annotations

import difflib
import hashlib
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

import numpy as np

from lakefolio.compare.item_diff import ContentChange, Found

__all__ = ["compare_arrays", "compare_folders", "compare_tensors", "compare_texts", "compare_values"]

_ABSENT: Final = object()
_BLOCK: Final = 1 << 20
_MOST_LINES: Final = 20_000


def compare_values(old: object, new: object, root: str = "$") -> Found:
    """Compare values of JSON: mappings by key, lists by position, everything else whole. Nothing recurses.

    A number equals a number of another type only if it prints alike: ``1`` and ``1.0`` differ. NaN equals NaN.
    """
    changes: list[ContentChange] = []
    work: list[tuple[str, object, object]] = [(root, old, new)]
    while work:
        path, one, other = work.pop()
        if is_dataclass(one) and type(one) is type(other):
            one, other = ({part.name: getattr(side, part.name) for part in fields(one)} for side in (one, other))
        below: list[tuple[str, object, object]] = []
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            names = dict.fromkeys([*one, *other])
            below = [(f"{path}{_step(name)}", one.get(name, _ABSENT), other.get(name, _ABSENT)) for name in names]
        elif isinstance(one, list | tuple) and isinstance(other, list | tuple):
            pairs = zip_longest(one, other, fillvalue=_ABSENT)
            below = [(f"{path}[{place}]", *pair) for place, pair in enumerate(pairs)]
        elif repr(one) != repr(other):
            change = "added" if one is _ABSENT else "removed" if other is _ABSENT else "changed"
            changes.append(ContentChange(change, path, None, _text(one), _text(other)))
        work += reversed(below)
    counts = {f"values_{what}": sum(one.change == what for one in changes) for what in ("added", "removed", "changed")}
    return Found(counts, changes)


def compare_arrays(old: Any, new: Any, limit: int) -> Found:
    """Compare arrays cell by cell, where both have one; NaN equals NaN. Norms are of new minus old.

    Memory is bounded: a block of each is read at a time, so that the arrays may be mapped files.
    """
    summary: dict[str, Any] = {}
    for name in ("shape", "dtype"):
        before, after = (str(getattr(one, name)) for one in (old, new))
        summary[name] = before if before == after else f"{before} → {after}"
    if old.ndim != new.ndim:
        return Found(summary)
    shape = tuple(map(min, old.shape, new.shape))
    kept = tuple(slice(0, size) for size in shape)
    first, second = np.atleast_1d(old[kept] if shape else old), np.atleast_1d(new[kept] if shape else new)
    step = max(_BLOCK // max(int(np.prod(first.shape[1:])), 1), 1)
    is_number = all(one.dtype.kind in "biufc" for one in (first, second))
    is_wide = any(one.dtype.kind == "c" for one in (first, second))
    changed, total, most = 0, 0.0, 0.0
    cells: list[tuple[float, tuple[int, ...]]] = []
    for start in range(0, len(first), step):
        one, other = (np.asarray(values[start : start + step]) for values in (first, second))
        mask = one != other
        if is_number:
            mask &= ~((one != one) & (other != other))  # NaN
        places = np.argwhere(mask)
        changed += len(places)
        if not len(places):
            continue
        size = np.zeros(len(places))
        if is_number:
            wide = np.complex128 if is_wide else np.float64
            with np.errstate(invalid="ignore", over="ignore"):
                size = np.abs(other[mask].astype(wide) - one[mask].astype(wide))
            finite = size[np.isfinite(size)]
            total += float(np.sum(finite**2))
            most = max(most, float(finite.max(initial=0.0)))
            size = np.where(np.isnan(size), np.inf, size)
        largest = np.argsort(-size, kind="stable")[:limit]
        cells += [(float(size[at]), (int(places[at][0]) + start, *map(int, places[at][1:]))) for at in largest]
        cells = sorted(cells, key=lambda cell: (-cell[0], cell[1]))[:limit]
    summary["cells_changed"] = changed
    if is_number:
        summary |= {"largest_difference": most, "l2_norm": total**0.5}
    changes = [
        ContentChange("changed", f"[{', '.join(map(str, at[: len(shape)]))}]", None, str(first[at]), str(second[at]))
        for _, at in cells
    ]
    return Found(summary, changes)


def compare_tensors(old: Mapping[str, Any], new: Mapping[str, Any], changes: Sequence[ContentChange]) -> Found:
    """Compare the tensors of two models of torch by name, beside what else differs of them."""
    found = list(changes)
    for name in dict.fromkeys([*old, *new]):
        one, other = old.get(name), new.get(name)
        if one is None or other is None:
            shapes = [None if tensor is None else f"tensor of {tuple(tensor.shape)}" for tensor in (one, other)]
            found.append(ContentChange("added" if one is None else "removed", name, None, *shapes))
        elif tuple(one.shape) != tuple(other.shape):
            found.append(ContentChange("changed", name, None, str(tuple(one.shape)), str(tuple(other.shape))))
        elif bool((one != other).any()):
            norms = (f"norm {float(tensor.detach().double().norm()):.6g}" for tensor in (one, other))
            found.append(ContentChange("changed", name, None, *norms))
    return Found({"parts_changed": len(found), "tensors": f"{len(old):,} → {len(new):,}"}, found)


def compare_texts(old: str, new: str) -> Found:
    """Compare texts line by line, as ``diff -u`` does; of very long ones only the numbers of lines are told."""
    one, other = old.splitlines(), new.splitlines()
    if len(one) + len(other) > _MOST_LINES:
        return Found({"lines": f"{len(one):,} → {len(other):,}", "compared": "not line by line: they are too many"})
    changes = []
    for line in difflib.unified_diff(one, other, lineterm="", n=3):
        if line.startswith("@@"):
            changes.append(ContentChange("", "@@", None, line, line))
        elif not line.startswith(("---", "+++")) or changes:
            change = {"+": "added", "-": "removed"}.get(line[0], "")
            text = line[1:]
            changes.append(
                ContentChange(
                    change, "line", None, None if change == "added" else text, None if change == "removed" else text
                )
            )
    counts = {f"lines_{what}": sum(one.change == what for one in changes) for what in ("added", "removed")}
    return Found(counts, changes, is_text=True)


def compare_folders(old: Path, new: Path) -> Found:
    """Compare the files of two tar archives by name and content."""
    before, after = _members(old), _members(new)
    changes = []
    for name in sorted({*before, *after}):
        one, other = before.get(name), after.get(name)
        if one != other:
            change = "added" if one is None else "removed" if other is None else "changed"
            sizes = (None if file is None else f"{file[0]:,} bytes" for file in (one, other))
            changes.append(ContentChange(change, name, None, *sizes))
    counts = {f"files_{what}": sum(one.change == what for one in changes) for what in ("added", "removed", "changed")}
    return Found(counts, changes)


def _members(path: Path) -> dict[str, tuple[int, str]]:
    found = {}
    with tarfile.open(path) as archive:
        for member in archive:
            if member.issym():
                found[member.name] = (0, f"link to {member.linkname}")
            elif (content := archive.extractfile(member)) is not None:
                found[member.name] = (member.size, hashlib.file_digest(content, "sha256").hexdigest())  # type: ignore[arg-type]  # it reads bytes
    return found


def _step(name: object) -> str:
    return f".{name}" if isinstance(name, str) and name.isidentifier() else f"[{name!r}]"


def _text(value: object) -> str | None:
    return None if value is _ABSENT else repr(value)

"""Whether what reads one version of an item can read another: what became of its columns (pure: no I/O).

Of tables the names and types of columns are compared, of arrays dtype and dimensions, of everything else the kind.
*Backward* compatible is a new version that everything written for the old one can read: no column is gone, renamed,
narrowed or changed. *Forward* compatible is one that everything written for the new one could read in the old: no
column was added or widened. Values, and the order of columns and rows, are not looked at. The fields of a struct are
compared as columns are (``place.x``), the values of a list as one column (``tags[]``), those of a map as two.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from lakefolio.format.semver import Bump
from lakefolio.model.entries import Entry, Stored
from lakefolio.terminal import visible

__all__ = ["LEVELS", "Compatibility", "Level", "SchemaChange", "column_names", "compare_schemas", "levels_of"]

Level = Literal["backward", "forward", "full"]
LEVELS: Final[tuple[Level, ...]] = ("backward", "forward", "full")
_BREAKS_BACKWARD: Final = frozenset({"removed", "renamed", "narrowed", "changed"})
_BREAKS_FORWARD: Final = frozenset({"added", "renamed", "widened", "changed"})
_SIGNS: Final = {"added": "+", "removed": "-"}

_BITS: Final = re.compile(r"(u?int|float|double|halffloat|half_float)(\d*)")
_UNITS: Final = ("s", "ms", "us", "ns")
_TIME: Final = re.compile(r"(timestamp|duration|time32|time64)\[(s|ms|us|ns)(, tz=[^\]]+)?\]")
_DECIMAL: Final = re.compile(r"decimal(?:32|64|128|256)\((\d+), (-?\d+)\)")
_DICTIONARY: Final = re.compile(r"dictionary<values=(.+), indices=[^,]+, ordered=[01]>")
_NESTED: Final = re.compile(r"(struct|list|large_list|list_view|large_list_view|fixed_size_list|map)<(.*)>(\[\d+\])?")
_DEEPEST: Final = 100
"""A type of more nested ones is compared as a whole: others may have written any text."""
_SAME: Final = {"large_string": "string", "string_view": "string", "large_binary": "binary", "binary_view": "binary"}
_FLOATS: Final = {
    "halffloat": 16,
    "half_float": 16,
    "float": 32,
    "double": 64,
    "float16": 16,
    "float32": 32,
    "float64": 64,
}
_MANTISSA: Final = {16: 11, 32: 24, 64: 53}


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """One thing that differs in how an item is read.

    Attributes:
        change: ``added``, ``removed``, ``renamed``, ``widened``, ``narrowed`` or ``changed``.
        name: The column, or the path of a part of it; the old name of one that was renamed; ``kind``, ``dtype`` or
            ``dimensions`` of the whole.
        old: The old type, or None. Of a renamed column its old name.
        new: The new type, or None. Of a renamed column its new name.
    """

    change: str
    name: str
    old: str | None
    new: str | None

    def __str__(self) -> str:
        if self.change == "renamed":
            return visible(f"~ {self.old} is called {self.new}", keep="")
        types = " → ".join(one for one in (self.old, self.new) if one is not None)
        return visible(f"{_SIGNS.get(self.change, '~')} {self.name} {self.change}: {types}", keep="")


@dataclass(frozen=True, slots=True)
class Compatibility:
    """How two versions of an item go together. Prints as lines, one for each change.

    Attributes:
        old: The reference of the old version.
        new: The reference of the new version.
        changes: What differs in how they are read; nothing if only values do.
        same_content: Whether the content is the same.
    """

    old: str
    new: str
    changes: tuple[SchemaChange, ...]
    same_content: bool = False

    @property
    def backward(self) -> bool:
        """Whether everything written for the old version can read the new one."""
        return not any(one.change in _BREAKS_BACKWARD for one in self.changes)

    @property
    def forward(self) -> bool:
        """Whether everything written for the new version can read the old one."""
        return not any(one.change in _BREAKS_FORWARD for one in self.changes)

    @property
    def level(self) -> str:
        """``full``, ``backward``, ``forward`` or ``none``."""
        if self.backward:
            return "full" if self.forward else "backward"
        return "forward" if self.forward else "none"

    @property
    def bump(self) -> Bump:
        """The part of a semantic version that goes up: major if something breaks, minor if something is new."""
        return "major" if not self.backward else "minor" if self.changes else "patch"

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON-able values."""
        changes = [{name: getattr(one, name) for name in SchemaChange.__dataclass_fields__} for one in self.changes]
        facts = {"level": self.level, "backward": self.backward, "forward": self.forward, "bump": self.bump}
        return {"old": self.old, "new": self.new, "same_content": self.same_content, **facts, "changes": changes}

    def __str__(self) -> str:
        said = {"full": "fully compatible", "none": "incompatible"}.get(self.level, f"{self.level} compatible")
        head = f"{self.old} → {self.new}: {'the same content' if self.same_content else said}"
        return "\n".join([visible(head, keep=""), *(f"  {one}" for one in self.changes)])

    __repr__ = __str__


def levels_of(level: Level) -> tuple[str, ...]:
    """Return what a policy asks for: the properties of ``Compatibility`` that must hold."""
    return ("backward", "forward") if level == "full" else (level,)


def compare_schemas(
    old: Entry, new: Entry | Stored, *, renamed: Mapping[str, str] | None = None, ref: str | None = None
) -> Compatibility:
    """Return what differs in how two versions are read, from what is recorded of them; no content is read.

    Args:
        old: The older version.
        new: The newer one.
        renamed: Old name -> new name of columns that are known to be the same.
        ref: What the newer one is called if it is no entry yet.
    """
    changes = _changes(old, new, renamed or {})
    same = old.kind == new.kind and old.digest is not None and old.digest == new.digest
    return Compatibility(old.ref, new.ref if isinstance(new, Entry) else ref or "the new one", tuple(changes), same)


def _changes(old: Entry, new: Entry | Stored, renamed: Mapping[str, str]) -> list[SchemaChange]:
    if old.kind != new.kind:
        return [SchemaChange("changed", "kind", old.kind, new.kind)]
    if old.kind == "table":
        return _columns(_dtypes(old.details), _dtypes(new.details), renamed)
    if old.kind in ("array", "sparse"):
        return _array(old.details, new.details)
    return []


def column_names(details: Mapping[str, object]) -> list[str] | None:
    """Return the columns of a table by what is recorded of it, None if they are not recorded."""
    found = _dtypes(details)
    return None if found is None else list(found)


def _dtypes(details: Mapping[str, object]) -> dict[str, str] | None:
    """Return name -> type of the columns of a table, None if they are not recorded."""
    columns = details.get("columns")
    if not isinstance(columns, list):
        return None
    return {str(one["name"]): str(one.get("dtype")) for one in columns if isinstance(one, Mapping) and "name" in one}


def _columns(
    old: Mapping[str, str] | None, new: Mapping[str, str] | None, renamed: Mapping[str, str]
) -> list[SchemaChange]:
    if old is None or new is None:
        return []
    moved = {before: after for before, after in renamed.items() if before in old and after in new}
    found = [SchemaChange("renamed", before, before, after) for before, after in moved.items()]
    for name, kind in old.items():
        after = moved.get(name, name)
        if after not in new:
            found.append(SchemaChange("removed", name, kind, None))
        else:
            found += _type_changes(after, kind, new[after], renamed)
    taken = {*old, *moved.values()}
    return [*found, *(SchemaChange("added", name, None, kind) for name, kind in new.items() if name not in taken)]


def _type_changes(name: str, old: str, new: str, renamed: Mapping[str, str]) -> list[SchemaChange]:
    """Return how the type of a column differs from another, part by part where both are nested alike."""
    (shape, before), (other, after) = _parts(name, old), _parts(name, new)
    if before and after and shape == other:
        return _columns(before, after, renamed)
    change = _type_change(old, new)
    return [] if change is None else [SchemaChange(change, name, old, new)]


def _parts(name: str, kind: str) -> tuple[str, dict[str, str]]:
    """Return what a nested type is, and path -> type of what it is made of; nothing for others.

    Arrow's texts of types quote no names: one that holds the signs of types may give no parts, and is compared whole.
    """
    found = _NESTED.fullmatch(_plain(kind))
    if found is None or kind.count("<") > _DEEPEST:
        return "", {}
    inner = _split(found[2])
    if found[1] == "map":
        return "map", dict(zip((f"{name}[key]", f"{name}[value]"), inner, strict=True)) if len(inner) == 2 else {}
    fields = [one.partition(": ") for one in inner]
    if not all(kind for _, _, kind in fields):
        return "", {}
    if found[1] != "struct":
        return f"list{found[3] or ''}", {f"{name}[]": fields[0][2]} if len(fields) == 1 else {}
    return "struct", {f"{name}.{field}": kind for field, _, kind in fields}


def _split(inner: str) -> list[str]:
    """Return the parts of the inner of a type, without what says that they are never null."""
    parts, depth, start = [], 0, 0
    for place, sign in enumerate(inner):
        depth += (sign in "<[(") - (sign in ">])")
        if sign == "," and not depth:
            parts.append(inner[start:place])
            start = place + 2
    return [one.removesuffix(" not null") for one in (*parts, inner[start:])]


def _array(old: Mapping[str, object], new: Mapping[str, object]) -> list[SchemaChange]:
    found = []
    before, after = str(old.get("dtype")), str(new.get("dtype"))
    change = _type_change(before, after)
    if change is not None:
        found.append(SchemaChange(change, "dtype", before, after))
    shapes = (old.get("shape"), new.get("shape"))
    if all(isinstance(one, Sequence) for one in shapes) and len(shapes[0]) != len(shapes[1]):  # type: ignore[arg-type]
        found.append(SchemaChange("changed", "dimensions", *(str(len(one)) for one in shapes)))  # type: ignore[arg-type]
    return found


def _type_change(old: str, new: str) -> str | None:
    """Return how a type differs from another: ``widened`` if every value of the old one is one of the new."""
    old, new = _plain(old), _plain(new)
    if old == new:
        return None
    if _holds(new, old):
        return "widened"
    return "narrowed" if _holds(old, new) else "changed"


def _plain(kind: str) -> str:
    """Return a type without what makes no difference to who reads the values."""
    while found := _DICTIONARY.fullmatch(kind):
        kind = found[1]
    return _SAME.get(kind, kind)


def _holds(wide: str, narrow: str) -> bool:
    """Say whether every value of one type is a value of another, the same to the last bit."""
    if narrow == "null":
        return True
    bits, of = _number(wide), _number(narrow)
    if bits is not None and of is not None:
        (kind, size), (other, least) = bits, of
        if kind == other:
            return size > least
        if kind == "int":
            return other == "uint" and size > least
        return kind == "float" and other != "float" and _MANTISSA[size] >= (least if other == "uint" else least - 1)
    times = [_TIME.fullmatch(one) for one in (wide, narrow)]
    if times[0] and times[1]:
        same = times[0][1] == times[1][1] and times[0][3] == times[1][3]
        return same and _UNITS.index(times[0][2]) > _UNITS.index(times[1][2])
    digits = [_DECIMAL.fullmatch(one) for one in (wide, narrow)]
    if digits[0] and digits[1]:
        (precision, scale), (least, fraction) = ((int(one[1]), int(one[2])) for one in digits if one)
        return scale >= fraction and precision - scale >= least - fraction
    return (wide, narrow) == ("date64[ms]", "date32[day]")


def _number(kind: str) -> tuple[str, int] | None:
    if kind in _FLOATS:
        return "float", _FLOATS[kind]
    found = _BITS.fullmatch(kind)
    return (found[1], int(found[2])) if found and found[2] and found[1] in ("int", "uint") else None

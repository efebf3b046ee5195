"""The differences inside an item between two versions: as a value, as frames, as text and as HTML (pure: no I/O)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from lakefolio.render.report import AsFrames, AsText
from lakefolio.terminal import visible

if TYPE_CHECKING:
    import pyarrow as pa

    from lakefolio.views.table_changes import RowChange

__all__ = ["ContentChange", "Differences", "HeatMap", "ItemDiff"]

_WIDTH: Final = 130
_COLUMN_TEXTS: Final = ("name", "change", "renamed_from", "old_type", "new_type")
_COLUMN_COUNTS: Final = ("changed_count", "old_nulls", "new_nulls")
_COLUMN_BOUNDS: Final = ("old_min", "new_min", "old_max", "new_max")
_COLUMN_MEANS: Final = ("old_mean", "new_mean")


class ContentChange(NamedTuple):
    """One place that differs.

    Attributes:
        change: ``added``, ``removed`` or ``changed``; empty for lines around a change.
        where: A row by its key or number, a JSON path, a cell, a parameter, a file.
        column: The column of a table.
        old: The old value as text, None where there is none.
        new: The new value as text.
        line: Of a line of text its number, in the old text if it was removed, else in the new one; 0 of the heading
            of some lines, as ``diff -u`` writes it.
    """

    change: str
    where: str
    column: str | None
    old: str | None
    new: str | None
    line: int | None = None


class HeatMap(NamedTuple):
    """Where an array differs, and how much.

    Attributes:
        cells: Rows of cells, each the largest absolute difference of a block of the array (infinite where a value came
            or went), or the share of its cells that differ, of an array that holds no numbers.
        of: What the cells stand for, in words.
    """

    cells: tuple[tuple[float, ...], ...]
    of: str

    @property
    def levels(self) -> list[list[int]]:
        """Each cell as a level from 0 (no difference) to 4 (at least half of the largest finite one)."""
        finite = [one for row in self.cells for one in row if one < float("inf")]
        most = max(finite, default=0.0)
        return [[_level(one, most) for one in row] for row in self.cells]


def _level(value: float, most: float) -> int:
    if not value:
        return 0
    if not value < most:
        return 4
    share = value / most
    return 1 + (share > 1 / 64) + (share > 1 / 8) + (share > 1 / 2)


@dataclass(frozen=True)
class Differences:
    """The result of a comparison.

    Attributes:
        summary: Name -> number or text, told first.
        changes: The places that differ; of a table or an array examples.
        columns: The columns of a table, see ``ItemDiff.columns``.
        key: The columns by which the rows of a table were matched; none for their position.
        rows: The rows of a table among the changes, whole.
        heat_map: Where an array differs.
    """

    summary: Mapping[str, Any]
    changes: Sequence[ContentChange] = ()
    columns: Sequence[Mapping[str, Any]] = field(default=())
    key: tuple[str, ...] = ()
    rows: Sequence[RowChange] = ()
    heat_map: HeatMap | None = None


class ItemDiff(AsFrames, AsText):
    """The differences inside an item; see ``Lake.diff``. Iterable over the changes; prints as git and daff show them.

    Attributes:
        old: The item as it was: ``folio:item@version``.
        new: The item as it is now.
        kind: Its kind: ``table``, ``json``, …; two kinds with an arrow if it became another.
        identical: Whether the content is the same.
        summary: Name -> number or text: rows added, cells changed, norms, …
        changes: The places that differ: ``change``, ``where``, ``column``, ``old``, ``new``, ``line``. Of a table or an
            array the first ``limit`` of each change; ``summary`` counts all.
        key: The columns by which the rows of a table were matched; none for their position.
        rows: The rows of a table among the changes, each with ``change``, ``where``, ``old`` and ``new`` by column.
        heat_map: Where an array differs and how much, in at most 24 × 64 cells; None of everything else.
    """

    def __init__(self, old: str, new: str, kind: str, found: Differences, *, identical: bool) -> None:
        self.old = old
        self.new = new
        self.kind = kind
        self.identical = identical
        self.summary = dict(found.summary)
        self.changes = tuple(found.changes)
        self.key = found.key
        self.rows = tuple(found.rows)
        self.heat_map = found.heat_map
        self._columns = [dict(one) for one in found.columns]

    def __iter__(self) -> Iterator[ContentChange]:
        return iter(self.changes)

    def __len__(self) -> int:
        return len(self.changes)

    def __bool__(self) -> bool:
        """Say whether anything differs."""
        return not self.identical

    @property
    def columns(self) -> pa.Table:
        """The columns of a table and their statistics: a pyarrow table.

        Columns: name, change (``added``, ``removed``, ``renamed``, ``changed`` or empty), renamed_from, old_type,
        new_type (string), changed_count, old_nulls, new_nulls (int64), old_min, new_min, old_max, new_max (string),
        old_mean, new_mean (double); statistics are of columns that differ. Grain: one row per column of either table.
        """
        import pyarrow as pa

        kinds = [(name, pa.string()) for name in _COLUMN_TEXTS]
        kinds += [(name, pa.int64()) for name in _COLUMN_COUNTS]
        kinds += [(name, pa.string()) for name in _COLUMN_BOUNDS] + [(name, pa.float64()) for name in _COLUMN_MEANS]
        return pa.Table.from_pylist(self._columns, schema=pa.schema(kinds))

    def to_arrow(self) -> pa.Table:
        """Return the changes as a pyarrow table: one row per change.

        Columns: change, where, column, old, new (string), line (int64); see ``changes``.
        """
        import pyarrow as pa

        kinds = {name: pa.int64() if name == "line" else pa.string() for name in ContentChange._fields}
        return pa.Table.from_pylist([one._asdict() for one in self.changes], schema=pa.schema(kinds.items()))

    def to_dict(self) -> dict[str, Any]:
        """The whole as JSON-able values."""
        return {
            "old": self.old,
            "new": self.new,
            "kind": self.kind,
            "identical": self.identical,
            "summary": self.summary,
            "key": list(self.key),
            "columns": self._columns,
            "changes": [one._asdict() for one in self.changes],
            "rows": [asdict(one) for one in self.rows],
            "heat_map": None if self.heat_map is None else self.heat_map._asdict(),
        }

    @property
    def counts(self) -> dict[str, int]:
        """How many places were ``added``, ``removed`` and ``changed``: rows, cells, values, lines, parts or files."""
        found = dict.fromkeys(("added", "removed", "changed"), 0)
        for name, value in self.summary.items():
            what = name.rpartition("_")[2]
            if what in found and isinstance(value, int):
                found[what] += value
        return found

    def __str__(self) -> str:
        from lakefolio.compare.shown import shown_lines

        lines = ("".join(text for text, _ in line).rstrip() for line in shown_lines(self, _WIDTH))
        return visible("\n".join(lines))

    def _repr_html_(self) -> str:
        from lakefolio.compare.shown_html import shown_html

        return shown_html(self)

    def to_html(self) -> str:
        """Return a standalone page of the differences; it loads nothing and runs nothing."""
        from lakefolio.compare.shown_html import page_of

        return page_of(self)

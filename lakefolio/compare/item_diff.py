"""The differences inside an item between two versions: as text, as HTML, as a frame (pure: no I/O)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from lakefolio.render import html
from lakefolio.terminal import visible

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

__all__ = ["ContentChange", "Found", "ItemDiff"]

_SIGNS: Final = {"added": "+", "removed": "-", "changed": "~", "": " "}
_SHOWN: Final = 60
_WIDE: Final = 200


class ContentChange(NamedTuple):
    """One place that differs.

    Attributes:
        change: ``added``, ``removed`` or ``changed``; empty for lines around a change.
        where: A row by its key or number, a JSON path, a cell, a parameter, a file, a line.
        column: The column of a table.
        old: The old value as text, None where there is none.
        new: The new value as text.
    """

    change: str
    where: str
    column: str | None
    old: str | None
    new: str | None


@dataclass(frozen=True)
class Found:
    """The result of a comparison.

    Attributes:
        summary: Name -> number or text, told first.
        changes: The places that differ; of a table or an array examples.
        columns: The columns of a table, see ``ItemDiff.columns``.
        is_text: Whether the changes are the lines of a unified diff.
    """

    summary: Mapping[str, Any]
    changes: Sequence[ContentChange] = ()
    columns: Sequence[Mapping[str, Any]] = field(default=())
    is_text: bool = False


class ItemDiff:
    """The differences inside an item; see ``Lake.diff``. Iterable over the changes; prints as git and daff show them.

    Attributes:
        old: The item as it was: ``folio:item@version``.
        new: The item as it is now.
        kind: Its kind: ``table``, ``json``, …; two kinds with an arrow if it became another.
        identical: Whether the content is the same.
        summary: Name -> number or text: rows added, cells changed, norms, …
        changes: The places that differ: ``change``, ``where``, ``column``, ``old``, ``new``. Of a table or an array the
            first ``limit`` of each change; ``summary`` counts all.
    """

    def __init__(self, old: str, new: str, kind: str, found: Found, *, identical: bool) -> None:
        self.old = old
        self.new = new
        self.kind = kind
        self.identical = identical
        self.summary = dict(found.summary)
        self.changes = tuple(found.changes)
        self._columns = [dict(one) for one in found.columns]
        self._is_text = found.is_text

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

        Columns: name, change (``added``, ``removed``, ``changed`` or empty), old_type, new_type (string),
        changed_count (int64), old_nulls, new_nulls (int64), old_min, new_min, old_max, new_max (string), old_mean,
        new_mean (double); statistics are of columns that differ. Grain: one row per column of either table.
        """
        import pyarrow as pa

        texts = ("name", "change", "old_type", "new_type", "old_min", "new_min", "old_max", "new_max")
        counts, means = ("changed_count", "old_nulls", "new_nulls"), ("old_mean", "new_mean")
        kinds = (
            dict.fromkeys(texts, pa.string()),
            dict.fromkeys(counts, pa.int64()),
            dict.fromkeys(means, pa.float64()),
        )
        schema = pa.schema([pair for one in kinds for pair in one.items()])
        order = [*texts[:4], *counts, *texts[4:], *means]
        return pa.Table.from_pylist(self._columns, schema=schema).select(order)

    def to_arrow(self) -> pa.Table:
        """Return the changes as a pyarrow table: change, where, column, old, new (string); one row per change."""
        import pyarrow as pa

        schema = pa.schema([(name, pa.string()) for name in ContentChange._fields])
        return pa.Table.from_pylist([one._asdict() for one in self.changes], schema=schema)

    def to_pandas(self) -> pd.DataFrame:
        """Return the changes as a pandas frame; see :meth:`to_arrow`."""
        return self.to_arrow().to_pandas()

    def to_polars(self) -> pl.DataFrame:
        """Return the changes as a polars frame; see :meth:`to_arrow`."""
        import polars as pl

        return pl.DataFrame(pl.from_arrow(self.to_arrow()))

    def to_dict(self) -> dict[str, Any]:
        """The whole as JSON-able values."""
        return {
            "old": self.old,
            "new": self.new,
            "kind": self.kind,
            "identical": self.identical,
            "summary": self.summary,
            "columns": self._columns,
            "changes": [one._asdict() for one in self.changes],
        }

    def __str__(self) -> str:
        lines = [f"--- {self.old}", f"+++ {self.new}", self._title()]
        if self._is_text:
            lines += [_line(one) for one in self.changes]
        else:
            lines += [f"  {name.replace('_', ' ')}: {_shown(value)}" for name, value in self.summary.items()]
            lines += [_column_line(one) for one in self._columns if one["change"]]
            lines += [line for one in self.changes[:_SHOWN] for line in _lines(one)]
            if len(self.changes) > _SHOWN:
                lines.append(f"… and {len(self.changes) - _SHOWN:,} more; to_arrow() has them all")
        return visible("\n".join(lines))

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        parts = [html.heading(self.kind, f"{self.old} → {self.new}", "same content" if self.identical else "")]
        if self.summary:
            parts.append(html.facts(self.summary))
        if differing := [one for one in self._columns if one["change"]]:
            names = ("name", "change", "old_type", "new_type", "changed_count", "old_mean", "new_mean")
            parts.append(html.row_table(names, [[one.get(name) for name in names] for one in differing]))
        if self.changes:
            rows = [(_SIGNS[one.change], *one[1:]) for one in self.changes]
            parts.append(html.row_table(("", *ContentChange._fields[1:]), rows))
        return html.block(*parts)

    def _title(self) -> str:
        return f"{self.kind}: {'the content is the same' if self.identical else 'the content differs'}"


def _lines(change: ContentChange) -> list[str]:
    name = change.where if change.column is None else f"{change.where}  {change.column}"
    if change.change == "changed":
        return [f"~ {name}: {_cut(change.old)} → {_cut(change.new)}"]
    value = change.new if change.change == "added" else change.old
    return [f"{_SIGNS[change.change]} {name}" + ("" if value is None else f": {_cut(value)}")]


def _line(change: ContentChange) -> str:
    sign = _SIGNS[change.change]
    text = (change.old if change.change == "removed" else change.new) or ""
    return text if change.where == "@@" else f"{sign}{text}"


def _column_line(column: Mapping[str, Any]) -> str:
    name, old, new = column["name"], column["old_type"], column["new_type"]
    if column["change"] != "changed":
        return f"{_SIGNS[column['change']]} column {name} {new if old is None else old}"
    told = [f"{old} → {new}"] if old != new else []
    if column["changed_count"]:
        told.append(f"{column['changed_count']:,} changed")
    for what in ("nulls", "min", "max", "mean"):
        before, after = column.get(f"old_{what}"), column.get(f"new_{what}")
        if before != after:
            told.append(f"{what} {_shown(before)} → {_shown(after)}")
    return f"~ column {name}: {', '.join(told)}"


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else _cut(str(value))


def _cut(text: str | None) -> str:
    if text is None:
        return "null"
    line = " ".join(text.split("\n"))
    return line if len(line) <= _WIDE else line[: _WIDE - 1] + "…"

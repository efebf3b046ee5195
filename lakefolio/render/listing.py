"""Lists that are looked at: one value a line in a terminal, a table in a notebook (pure: no I/O)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

from lakefolio.render import html
from lakefolio.render.text import counted, format_bytes

__all__ = ["Listing"]

T = TypeVar("T")
_SHOWN: Final = 50


class Listing(list[T]):
    """A list of values of one kind."""

    def __init__(self, values: Iterable[T], what: str, columns: Sequence[str]) -> None:
        """Fill the list.

        Args:
            values: The values.
            what: The kind, as one of them is called.
            columns: The attributes that a table shows.
        """
        super().__init__(values)
        self._what = what
        self._columns = tuple(columns)

    def __repr__(self) -> str:
        more = len(self) - _SHOWN
        lines = [*map(repr, self[:_SHOWN]), *([f"… and {more:,} more"] if more > 0 else [])]
        return "\n".join([counted(len(self), self._what), *lines])

    def _repr_html_(self) -> str:
        rows = [[_value(one, name) for name in self._columns] for one in self[:_SHOWN]]
        kept = [number for number, _ in enumerate(self._columns) if any(row[number] is not None for row in rows)]
        table = html.row_table(
            [self._columns[number].removesuffix("_bytes").replace("_", " ") for number in kept],
            [[row[number] for number in kept] for row in rows],
            right=("size", "row count", "version", "target version"),
            total=len(self),
        )
        return html.block(html.muted(counted(len(self), self._what)), *([table] if rows else []))


def _value(one: object, name: str) -> object:
    value = getattr(one, name)
    if name.endswith("_bytes") and isinstance(value, int):
        return format_bytes(value)
    return None if value in ((), "") else value

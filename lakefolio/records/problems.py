"""The rows that don't fit a record table, told in one error (pure: no I/O)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa

from lakefolio.errors import InvalidInputError, one_line
from lakefolio.terminal import shown_value

__all__ = ["Problems"]

_SHOWN: Final = 5


class Problems:
    """The rows that don't fit, the first few with column and value; one error says all of them."""

    def __init__(self, name: str, first: int = 0) -> None:
        """Begin without any. ``name`` is that of the table, ``first`` the number of the first of these rows."""
        self._name = name
        self._first = first
        self._rows: set[int] = set()
        self.found: list[dict[str, Any]] = []

    def add(self, rows: Sequence[int], column: str, values: pa.ChunkedArray | Sequence[object], problem: str) -> None:
        """Note some rows (numbers from 0) whose values of a column break a rule."""
        for row in rows[: max(0, _SHOWN - len(self.found))]:
            value = values[row]
            shown = _python(value) if isinstance(value, pa.Scalar) else value
            self.found.append({"row": self._first + int(row), "column": column, "value": shown, "problem": problem})
        self._rows.update(map(int, rows))

    def check(self, total: int) -> None:
        """Raise InvalidInputError (kind ``invalid-rows``; its object ``rows`` has the first) if there are any."""
        if not self._rows:
            return
        said = "; ".join(
            f"row {one['row']}, column {one['column']!r}: {one_line(_shown(one['value']), 40)} {one['problem']}"
            for one in self.found
        )
        raise InvalidInputError(
            f"{len(self._rows)} of {total} rows don't fit {self._name!r}: {said}",
            kind="invalid-rows",
            hint="nothing was stored; rows count from 0",
            rows=self.found,
            column=self.found[0]["column"],
        )


def _python(value: pa.Scalar) -> object:
    try:
        return value.as_py()
    except (ValueError, OverflowError):  # a time in no year of Python
        return str(value.value)


def _shown(value: object) -> str:
    try:
        return shown_value(value)
    except RecursionError:
        return f"a {type(value).__name__}, nested too deep,"

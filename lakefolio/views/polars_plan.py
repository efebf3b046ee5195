"""The files that a Polars plan reads, and the columns of each that a column of its result depends on.

Polars itself says so: a plan that selects one column of the result is optimised, and its scans then name the columns
they still have to read. Its view of an optimised plan is made for other engines and not promised to stay as it is;
where it is not as expected, nothing is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import polars as pl

__all__ = ["PlanColumns", "columns_of_plan", "files_of_plan"]

_MOST_COLUMNS: Final = 500
"""A plan is optimised once for each column; for wider tables nothing is told."""
Columns = dict[str, set[str]]
"""Path of a file -> columns that are read."""


@dataclass(frozen=True, slots=True)
class PlanColumns:
    """The columns of one file that a plan uses.

    Attributes:
        columns: Column of the result -> columns that Polars reads for it, those that decide over rows among them.
        rows: The columns that decide which rows there are: of filters, joins and groups.
    """

    columns: dict[str, list[str]]
    rows: list[str]


def files_of_plan(frame: pl.LazyFrame) -> list[str]:
    """Return the paths of the files that a plan reads, or none if that can't be told."""
    read = _read(frame)
    return [] if read is None else list(read)


def columns_of_plan(frame: pl.LazyFrame) -> dict[str, PlanColumns]:
    """Return the columns that a plan uses of each file that it reads, or none if that can't be told."""
    import polars as pl

    names = frame.collect_schema().names()
    if len(names) > _MOST_COLUMNS:
        return {}
    read = [_read(frame.select(chosen)) for chosen in (pl.len(), *map(pl.col, names))]
    known = [one for one in read if one is not None]
    if len(known) < len(read):
        return {}
    found: dict[str, PlanColumns] = {}
    for path in known[0]:
        every = [one.get(path, set()) for one in known]
        # to count rows Polars reads one column more, any: those that decide over rows are read in each case
        rows = set.intersection(*every)
        by_column = {name: sorted(columns) for name, columns in zip(names, every[1:], strict=True) if columns}
        found[path] = PlanColumns(by_column, sorted(rows))
    return found


def _read(frame: pl.LazyFrame) -> Columns | None:
    """Return the columns that an optimised plan reads of each file."""
    try:
        visitor: Any = frame._ldf.visit()
        found: Columns = {}
        waiting = [visitor.get_node()]
        while waiting:
            visitor.set_node(waiting.pop())
            node = visitor.view_current_node()
            waiting += visitor.get_inputs()
            if type(node).__name__ == "Scan":
                options = node.file_options
                made = {*(options.row_index or ())[:1], options.include_file_paths}  # these are not in the file
                for path in node.paths:
                    found.setdefault(str(path), set()).update(visitor.get_schema().keys() - made)
    except Exception:  # whatever a later Polars raises: nothing is told
        return None
    return found

"""The files that a Polars plan reads, and the columns of each that a column of its result depends on.

Polars itself says so: a plan that selects one column of the result is optimised, and its scans then name the columns
they still have to read. For a constant or a count a scan reads any column, for its length alone: that one is left out
where all that is done above the scan is understood. Polars' view of an optimised plan is made for other engines and not
promised to stay as it is; where it is not as expected, nothing is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    import polars as pl

__all__ = ["PlanColumns", "columns_of_plan", "files_of_plan"]

_MOST_COLUMNS: Final = 500
"""A plan is optimised once for each column; for wider tables nothing is told."""
Columns = dict[str, set[str]]
"""Path of a file -> columns that are used."""
_OPERANDS: Final = {
    "Agg": "arguments",
    "Alias": "expr",
    "BinaryExpr": "left right",
    "Cast": "expr",
    "Column": "",
    "Explode": "expr",
    "Filter": "input by",
    "Function": "input",
    "Gather": "expr idx",
    "Len": "",
    "Literal": "",
    "Slice": "input offset length",
    "Sort": "expr",
    "SortBy": "expr by",
    "Ternary": "predicate truthy falsy",
    "Window": "function partition_by order_by",
}
"""Kind of an expression -> its fields that hold expressions; another kind may use any column."""
_OF_FIXED_LENGTH: Final = {"Agg", "Alias", "BinaryExpr", "Cast", "Column", "Len", "Literal", "Ternary"}
"""Expressions that are as long as their columns, or of one row."""


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
    """Return the columns that an optimised plan uses of each file that it reads."""
    try:
        found: Columns = {}
        _use(frame._ldf.visit(), None, found)
    except Exception:  # whatever a later Polars raises: nothing is told
        return None
    return found


def _use(visitor: Any, wanted: set[str] | None, found: Columns) -> None:
    """Add the columns that a node and those below it use, if of its own columns some are wanted; None: all are.

    A scan reads a column more where only the number of rows matters: nothing above it names that one.
    """
    node, schema, inputs = visitor.view_current_node(), visitor.get_schema().keys(), visitor.get_inputs()
    match type(node).__name__:
        case "Scan":
            options = node.file_options
            made = {*(options.row_index or ())[:1], options.include_file_paths}  # these are not in the file
            used = None if wanted is None else _added(visitor, wanted, [node.predicate] if node.predicate else [])
            read = schema - made if used is None else (schema - made) & used
            for path in node.paths:
                found.setdefault(str(path), set()).update(read)
            return
        case "SimpleProjection":
            below = set(schema) if wanted is None else wanted & schema
        case "Select":
            below = _added(visitor, set(), [one for one in node.expr if not _is_spare(visitor, one, wanted)])
        case "GroupBy" if not node.apply and not (node.options.dynamic or node.options.rolling):
            below = _added(visitor, set(), [*node.keys, *node.aggs])
        case "HStack" if wanted is not None:
            below = _added(visitor, wanted - {one.output_name for one in node.exprs}, node.exprs)
        case "Sort" if wanted is not None:
            below = _added(visitor, wanted, node.by_column)
        case "Filter" if wanted is not None:
            below = _added(visitor, wanted, [node.predicate])
        case "Slice":
            below = wanted
        case _:
            below = None
    for one in inputs:
        visitor.set_node(one)
        _use(visitor, below, found)


def _is_spare(visitor: Any, one: Any, wanted: set[str] | None) -> bool:
    """Say whether an expression matters for its length alone, and no value decides over that."""
    if wanted is None or one.output_name in wanted:
        return False
    parts = _parts(visitor, [one])
    return parts is not None and {type(part).__name__ for part in parts} <= _OF_FIXED_LENGTH


def _added(visitor: Any, wanted: set[str], expressions: Iterable[Any]) -> set[str] | None:
    """Return columns and those that stand in some expressions; None where that can't be told."""
    parts = _parts(visitor, expressions)
    return None if parts is None else wanted | {part.name for part in parts if type(part).__name__ == "Column"}


def _parts(visitor: Any, expressions: Iterable[Any]) -> list[Any] | None:
    """Return all that some expressions are made of; None where that can't be told."""
    found, waiting = [], [one.node for one in expressions]
    while waiting:
        try:
            part = visitor.view_expression(waiting.pop())
        except NotImplementedError:  # a function of Python
            return None
        fields = _OPERANDS.get(type(part).__name__)
        if fields is None:
            return None
        found.append(part)
        for below in (getattr(part, field) for field in fields.split()):
            waiting += below if isinstance(below, list) else [] if below is None else [below]
    return found

"""A SQL query answered for an item to be made of: its rows, the exact items it read, and the columns of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakefolio.format.names import parse_ref
from lakefolio.model.compatibility import column_names
from lakefolio.views.sql_columns import columns_of_query
from lakefolio.views.sql_guard import check_select, serialised

if TYPE_CHECKING:
    import pyarrow as pa

    from lakefolio.session.session import Session

__all__ = ["QueryRows", "answered"]


@dataclass(frozen=True, slots=True)
class QueryRows:
    """The rows of a query, to be read once, and where they come from.

    Attributes:
        rows: The rows.
        inputs: The exact entries that it read, as references.
        details: Of each input by its position the columns that were used; empty where that can't be told.
    """

    rows: pa.RecordBatchReader
    inputs: list[str]
    details: dict[str, dict[str, Any]]


def answered(session: Session, sql: str, params: object = None) -> QueryRows:
    """Ask a query of one state of the lake; InvalidInputError (kind ``sql``) if it is none."""
    steady = session if session.in_batch else session.steady()
    relation = steady.query(sql, params)
    names = sorted(check_select(sql).items)
    entries = {}
    for name in names:
        named = parse_ref(name)
        entries[name] = steady.entry(named.folio or "", named.item, named.at)
    committed = session.journal.state.version
    refs = {name: one.ref if one.version <= committed else f"{one.folio}:{one.item}" for name, one in entries.items()}
    inputs = list(dict.fromkeys(refs.values()))
    schemas = {name: columns for name, entry in entries.items() if (columns := column_names(entry.details)) is not None}
    used = columns_of_query(serialised(sql), schemas) if len(schemas) == len(entries) else None
    details: dict[str, dict[str, Any]] = {}
    if used is not None and len(used.outputs) == len(relation.columns):
        for number, ref in enumerate(inputs):
            own = {name for name, one in refs.items() if one == ref}
            made = zip(relation.columns, used.outputs, strict=True)
            by_column = {column: sorted({two for one, two in sources if one in own}) for column, sources in made}
            rows = sorted({two for one, two in used.rows if one in own})
            details[str(number)] = {"columns": {key: one for key, one in by_column.items() if one}, "rows": rows}
    return QueryRows(relation.to_arrow_reader(), inputs, details)

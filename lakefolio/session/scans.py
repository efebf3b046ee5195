"""The tables of a lake as Polars frames, whose rows DuckDB reads part by part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from lakefolio.errors import NotFoundError, nearest
from lakefolio.format.schema import LINEAGE_SCHEMA, METADATA_SCHEMA, SCHEMAS
from lakefolio.format.sql_text import sql_id
from lakefolio.views.polars_scan import scan

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from lakefolio.session.session import Session

__all__ = ["scan_of"]

_TABLES: Final = {**SCHEMAS, "lineage": LINEAGE_SCHEMA, "metadata": METADATA_SCHEMA}
_SOURCES: Final = {
    "metric_rows": "metric_rows where batch_id in (select entry_id from manifests where op = 'metrics')",
    "event_rows": "event_rows where batch_id in (select entry_id from manifests where op = 'events')",
    "lineage": "stg_lineage order by position, ordinal",
    "metadata": "stg_metadata order by position, ordinal",
}
"""Where the rows come from, in order where they are derived; others come as they lie."""


def scan_of(session: Session, table: str) -> pl.LazyFrame:
    """Return the rows of a table that count at a session's version, lazily.

    Raises:
        NotFoundError: kind ``table-not-found``.
    """
    if table not in _TABLES:
        raise NotFoundError(f"table {table!r} does not exist", kind="table-not-found", hint=nearest(table, _TABLES))
    schema, steady = _TABLES[table], session.steady()
    source = _SOURCES.get(table, table)

    def batches(columns: Sequence[str], limit: int | None, rows: int) -> Iterator[pa.RecordBatch]:
        chosen = ", ".join(map(sql_id, columns)) or "1"
        most = "" if limit is None else f" limit {limit}"
        yield from steady.query(f"select {chosen} from {source}{most}").to_arrow_reader(rows)

    return scan(batches, schema)

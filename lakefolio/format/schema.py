"""The columns of the tables, and the values allowed in some of them (FORMAT.md, "Tables").

Pure: no I/O. The tables are wide from the start, because a schema change on a Delta table makes every writer in flight
fail; values without a column go into the JSON columns ``details`` and ``extra``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pyarrow as pa

__all__ = [
    "BATCH_OPS",
    "EVENT_ROWS_SCHEMA",
    "FACT_TYPE",
    "FORMAT_VERSION",
    "INLINE_LIMIT_BYTES",
    "INPUT_TYPE",
    "LINEAGE_SCHEMA",
    "LOG_SCHEMAS",
    "MANIFESTS_SCHEMA",
    "METADATA_SCHEMA",
    "METRIC_ROWS_SCHEMA",
    "OPS",
    "PURGEABLE",
    "SCHEMAS",
    "SPECS",
    "STORAGES",
    "TableSpec",
]

FORMAT_VERSION: Final = 2
"""Readers refuse a lake whose marker names a higher ``min_reader_version`` (FORMAT.md, "Versions")."""

INLINE_LIMIT_BYTES: Final = 4096
"""Content up to this size lies in its ``manifests`` row: no blob, no request to read it."""

OPS: Final = (
    "put",
    "delete",
    "snapshot",
    "drop_snapshot",
    "annotate",
    "run",
    "pin",
    "metrics",
    "events",
    "event_blob",
    "heartbeat",
    "purge",
)
"""Operations of journal rows. A reader ignores rows of others (FORMAT.md, "Versions")."""
BATCH_OPS: Final = ("metrics", "events")
"""Ops whose ``entry_id`` names a batch of rows that counts from then on."""
STORAGES: Final = ("inline", "blob", "chunked", "packed", "reference")
PURGEABLE: Final = ("inline", "blob")
"""Storages whose content a ``purge`` row takes away."""

_UTC = pa.timestamp("us", tz="UTC")


def _column(name: str, kind: pa.DataType, *, required: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=not required)


INPUT_TYPE: Final = pa.struct(
    [
        ("input_kind", pa.string()),
        ("input_id", pa.string()),
        ("input_folio", pa.string()),
        ("input_item", pa.string()),
        ("input_uri", pa.string()),
        ("input_digest", pa.string()),
        ("run_id", pa.string()),
        ("role", pa.string()),
        ("details", pa.string()),
    ]
)
"""One input of an entry or a run: an edge of lineage, whose output is the entry or run that its row is about."""

FACT_TYPE: Final = pa.struct([("key", pa.string()), ("value", pa.string()), ("value_number", pa.float64())])
"""One value of metadata: JSON text, and the nearest double if it is a number. A null value removes the key."""

MANIFESTS_SCHEMA: Final = pa.schema(
    [
        _column("version", pa.int64(), required=True),
        _column("ordinal", pa.int32(), required=True),
        _column("committed_at", _UTC, required=True),
        _column("commit_id", pa.string(), required=True),
        _column("op", pa.string(), required=True),
        _column("reason", pa.string()),
        _column("author", pa.string()),
        _column("message", pa.string()),
        _column("folio", pa.string()),
        _column("item", pa.string()),
        _column("entry_id", pa.string()),
        _column("run_id", pa.string()),
        _column("kind", pa.string()),
        _column("format", pa.string()),
        _column("media_type", pa.string()),
        _column("storage", pa.string()),
        _column("codec", pa.string()),
        _column("digest", pa.string()),
        _column("blob_digest", pa.string()),
        _column("generation", pa.int32()),
        _column("size_bytes", pa.int64()),
        _column("stored_bytes", pa.int64()),
        _column("row_count", pa.int64()),
        _column("content", pa.binary()),
        _column("uri", pa.string()),
        _column("description", pa.string()),
        _column("tags", pa.list_(pa.string())),
        _column("details", pa.string()),
        _column("archived", pa.bool_()),
        _column("inputs", pa.list_(INPUT_TYPE)),
        _column("facts", pa.list_(FACT_TYPE)),
        _column("snapshot", pa.string()),
        _column("target_version", pa.int64()),
        _column("extra", pa.string()),
    ]
)
"""``manifests``, the journal: one row per change, totally ordered by (version, ordinal)."""

LINEAGE_SCHEMA: Final = pa.schema(
    [
        _column("version", pa.int64(), required=True),
        _column("commit_id", pa.string(), required=True),
        _column("ordinal", pa.int32(), required=True),
        _column("output_kind", pa.string(), required=True),
        _column("output_id", pa.string(), required=True),
        _column("output_folio", pa.string()),
        _column("output_item", pa.string()),
        *INPUT_TYPE,
    ]
)
"""``lineage``, derived from the journal: one row per edge, from an output (an entry or a run) to one input of it."""

METADATA_SCHEMA: Final = pa.schema(
    [
        _column("version", pa.int64(), required=True),
        _column("commit_id", pa.string(), required=True),
        _column("ordinal", pa.int32(), required=True),
        _column("subject_kind", pa.string(), required=True),
        _column("subject_id", pa.string(), required=True),
        _column("folio", pa.string()),
        _column("item", pa.string()),
        *FACT_TYPE,
    ]
)
"""``metadata``, derived from the journal: one row per (subject, key) value; a null value removes the key."""

METRIC_ROWS_SCHEMA: Final = pa.schema(
    [
        _column("batch_id", pa.string(), required=True),
        _column("ordinal", pa.int32(), required=True),
        _column("run_id", pa.string(), required=True),
        _column("name", pa.string(), required=True),
        _column("step", pa.int64()),
        _column("value", pa.float64(), required=True),
        _column("logged_at", _UTC, required=True),
    ]
)
"""``metric_rows``: one row per point; a batch counts once a row of the journal names it."""

EVENT_ROWS_SCHEMA: Final = pa.schema(
    [
        _column("batch_id", pa.string(), required=True),
        _column("ordinal", pa.int32(), required=True),
        _column("event_id", pa.string(), required=True),
        _column("run_id", pa.string()),
        _column("model_name", pa.string()),
        _column("stage", pa.string()),
        _column("event_type", pa.string()),
        _column("logged_at", _UTC, required=True),
        _column("metadata", pa.string(), required=True),
        _column("storage", pa.string(), required=True),
        _column("digest", pa.string(), required=True),
        _column("size_bytes", pa.int64(), required=True),
        _column("stored_bytes", pa.int64(), required=True),
        _column("codec", pa.string(), required=True),
        _column("blob_digest", pa.string()),
    ]
)
"""``event_rows``: one row per event; a batch counts once a row of the journal names it."""

LOG_SCHEMAS: Final = {"metric_rows": METRIC_ROWS_SCHEMA, "event_rows": EVENT_ROWS_SCHEMA}
"""The tables that are written in batches beside the journal, and that a lake may lack."""

SCHEMAS: Final = {"manifests": MANIFESTS_SCHEMA, **LOG_SCHEMAS}


@dataclass(frozen=True, slots=True)
class TableSpec:
    """The definition of a Delta table of a lake.

    Attributes:
        name: Its name, which is also its folder below ``tables/``.
        schema: Its columns.
        order: The columns by which its rows are sorted.
        apart: Columns that lie in data files alone: log entries leave them out of their copies of rows, so that a merge
            can take their values away for ever.
    """

    name: str
    schema: pa.Schema
    order: tuple[str, ...]
    apart: tuple[str, ...] = ()


SPECS: Final = {
    "manifests": TableSpec("manifests", MANIFESTS_SCHEMA, ("version", "ordinal"), ("content",)),
    "metric_rows": TableSpec("metric_rows", METRIC_ROWS_SCHEMA, ("run_id", "name", "step", "batch_id", "ordinal")),
    "event_rows": TableSpec("event_rows", EVENT_ROWS_SCHEMA, ("batch_id", "ordinal")),
}
"""The Delta tables of a lake."""

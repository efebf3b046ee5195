"""The columns of the tables and the words allowed in them (FORMAT.md, "Tables").

Pure: no I/O. Wide from the start, because a schema change on a Delta table makes every writer in flight fail;
what no column foresees goes into the JSON columns ``details`` and ``extra``.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

__all__ = [
    "EVENT_ROWS_SCHEMA",
    "FORMAT_VERSION",
    "INLINE_LIMIT_BYTES",
    "LINEAGE_SCHEMA",
    "LOG_SCHEMAS",
    "MANIFESTS_SCHEMA",
    "METADATA_SCHEMA",
    "METRIC_ROWS_SCHEMA",
    "OPS",
    "SCHEMAS",
    "STORAGES",
]

FORMAT_VERSION: Final = 1
"""Readers refuse a lake whose marker names a higher ``min_reader_version`` (FORMAT.md, "Versions")."""

INLINE_LIMIT_BYTES: Final = 4096
"""Content up to this size lies in its ``manifests`` row: no blob, no request to read it."""

OPS: Final = ("put", "delete", "snapshot", "drop_snapshot", "annotate", "purge", "pin", "log")
STORAGES: Final = ("inline", "blob", "chunked", "packed", "reference")

_UTC = pa.timestamp("us", tz="UTC")


def _column(name: str, kind: pa.DataType, *, required: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=not required)


MANIFESTS_SCHEMA: Final = pa.schema(
    [
        _column("version", pa.int64(), required=True),
        _column("ordinal", pa.int32(), required=True),
        _column("committed_at", _UTC, required=True),
        _column("commit_id", pa.string(), required=True),
        _column("txn_id", pa.string(), required=True),
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
        _column("lineage_count", pa.int32()),
        _column("metadata_count", pa.int32()),
        _column("snapshot", pa.string()),
        _column("target_version", pa.int64()),
        _column("extra", pa.string()),
    ]
)
"""``manifests``, the journal: one row per change, totally ordered by (version, ordinal)."""

LINEAGE_SCHEMA: Final = pa.schema(
    [
        _column("txn_id", pa.string(), required=True),
        _column("ordinal", pa.int32(), required=True),
        _column("output_kind", pa.string(), required=True),
        _column("output_id", pa.string(), required=True),
        _column("output_folio", pa.string()),
        _column("output_item", pa.string()),
        _column("input_kind", pa.string(), required=True),
        _column("input_id", pa.string()),
        _column("input_folio", pa.string()),
        _column("input_item", pa.string()),
        _column("input_uri", pa.string()),
        _column("input_digest", pa.string()),
        _column("run_id", pa.string()),
        _column("role", pa.string()),
        _column("details", pa.string()),
    ]
)
"""``lineage``: one row per edge, from an output (an entry or a run) to one input of it."""

METADATA_SCHEMA: Final = pa.schema(
    [
        _column("txn_id", pa.string(), required=True),
        _column("ordinal", pa.int32(), required=True),
        _column("subject_kind", pa.string(), required=True),
        _column("subject_id", pa.string(), required=True),
        _column("folio", pa.string()),
        _column("item", pa.string()),
        _column("key", pa.string(), required=True),
        _column("value", pa.string()),
        _column("value_number", pa.float64()),
    ]
)
"""``metadata``: one row per (subject, key) value; a null value removes the key."""

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
"""``metric_rows``: one row per point; a batch counts once a ``log`` row of the journal names it."""

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
"""``event_rows``: one row per event; a batch counts once a ``log`` row of the journal names it."""

LOG_SCHEMAS: Final = {"metric_rows": METRIC_ROWS_SCHEMA, "event_rows": EVENT_ROWS_SCHEMA}
"""The tables that are written in batches beside the journal, and that a lake may lack."""

SCHEMAS: Final = {
    "manifests": MANIFESTS_SCHEMA,
    "lineage": LINEAGE_SCHEMA,
    "metadata": METADATA_SCHEMA,
    **LOG_SCHEMAS,
}

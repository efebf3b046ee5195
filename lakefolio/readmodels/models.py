"""The read models of a lake: the columns, the order and the keys of each (pure: no I/O).

They stand apart from how they are made (``fold``), so that a reader imports no array functions with them.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from lakefolio.format.schema import INPUT_TYPE, MANIFESTS_SCHEMA
from lakefolio.readmodels.model import POSITION, Model, succession
from lakefolio.readmodels.run_states import RUN_STATES
from lakefolio.readmodels.totals import TOTALS

__all__ = [
    "COMMITS",
    "CONTENTS",
    "ENTRIES",
    "FOLDED",
    "FOLIOS",
    "LINEAGE",
    "METADATA",
    "MODELS",
    "PURGES",
    "RUNNING",
    "RUN_FACTS",
    "SNAPSHOTS",
    "USES",
]

_LEFT_OUT: Final = {"op", "content", "snapshot", "target_version"}
"""Inline content lies in the journal alone, so that a purge erases it in one place."""

FOLDED: Final = tuple(name for name in MANIFESTS_SCHEMA.names if name != "content")
"""The columns of the journal that models are made of."""

_PLACED: Final = (*POSITION, "place")


def _taken(*names: str) -> list[pa.Field]:
    return [MANIFESTS_SCHEMA.field(name).with_nullable(True) for name in names]


def _required(*names: str) -> list[pa.Field]:
    return [MANIFESTS_SCHEMA.field(name).with_nullable(False) for name in names]


_ENTRY_KEYS: Final = ("folio", "item", *POSITION)

ENTRIES: Final = Model(
    name="entries",
    schema=pa.schema(
        [
            *_required(*_ENTRY_KEYS),
            *_taken(*(name for name in MANIFESTS_SCHEMA.names if name not in {*_ENTRY_KEYS, *_LEFT_OUT})),
            *succession(POSITION),
        ]
    ),
    key=("folio", "item"),
    filtered=2,
    succeeding=True,
    searched=("entry_id", "digest"),
    scanned=(
        *("folio", "item", "version", "ordinal", "committed_at", "reason", "author", "run_id", "archived"),
        *("kind", "format", "media_type", "storage", "codec", "generation", "size_bytes", "stored_bytes", "row_count"),
        *(field.name for field in succession(POSITION)),
    ),
    group_rows=16_384,
)
"""One row per entry that ever was the head of a name."""

FOLIOS: Final = Model(
    name="folios",
    schema=pa.schema([*_required("folio", *POSITION), *succession(POSITION)]),
    key=("folio",),
    filtered=1,
    succeeding=True,
)
"""One row each time that a folio came to have a live item."""

CONTENTS: Final = Model(
    name="contents",
    schema=pa.schema([*_required("digest", "kind", *POSITION), *_required("folio", "item")]),
    key=("digest", "kind"),
    filtered=2,
)
"""One row per entry with a digest: where content is already stored."""

PURGES: Final = Model(
    name="purges",
    schema=pa.schema([*_required("blob_digest", *POSITION), *_taken("generation", "reason")]),
    key=("blob_digest",),
    filtered=1,
)
"""One row per ``purge``."""

COMMITS: Final = Model(
    name="commits",
    schema=pa.schema([*_required("version", "commit_id", "committed_at")]),
    key=(),
    position=("version", "commit_id"),
    searched=("commit_id",),
)
"""One row per commit of a version."""

SNAPSHOTS: Final = Model(
    name="snapshots",
    schema=pa.schema(
        [
            pa.field("scope", pa.string(), nullable=False),
            *_required("snapshot", *POSITION),
            *_taken("folio", "target_version", "committed_at", "author", "description", "tags", "extra"),
            *succession(POSITION),
        ]
    ),
    key=("scope", "snapshot"),
    filtered=2,
    succeeding=True,
)
"""One row per snapshot that ever was; ``scope`` is its folio, empty for the lake."""

LINEAGE: Final = Model(
    name="lineage",
    schema=pa.schema(
        [
            pa.field("output_kind", pa.string(), nullable=False),
            pa.field("output_id", pa.string(), nullable=False),
            *_required(*POSITION),
            pa.field("place", pa.int32(), nullable=False),
            *_taken("commit_id"),
            pa.field("output_folio", pa.string()),
            pa.field("output_item", pa.string()),
            *INPUT_TYPE,
        ]
    ),
    key=("output_kind", "output_id"),
    position=_PLACED,
    filtered=2,
    searched=("input_id",),
)
"""One row per edge, from an output to one of its inputs."""

USES: Final = Model(
    name="uses",
    schema=pa.schema(
        [
            pa.field("source_kind", pa.string(), nullable=False),
            pa.field("source", pa.string(), nullable=False),
            *LINEAGE.schema,
        ]
    ),
    key=("source_kind", "source"),
    position=_PLACED,
    filtered=2,
)
"""The same edges, sorted by the input: ``source`` is its id, or the URI of an external input."""

METADATA: Final = Model(
    name="metadata",
    schema=pa.schema(
        [
            pa.field("subject_kind", pa.string(), nullable=False),
            pa.field("subject_id", pa.string(), nullable=False),
            pa.field("key", pa.string(), nullable=False),
            *_required(*POSITION),
            pa.field("place", pa.int32(), nullable=False),
            *_taken("commit_id", "folio", "item"),
            pa.field("value", pa.string()),
            pa.field("value_number", pa.float64()),
            *succession(_PLACED),
        ]
    ),
    key=("subject_kind", "subject_id", "key"),
    position=_PLACED,
    filtered=2,
    succeeding=True,
    searched=("key",),
    scanned=("subject_kind", "key", "value_number", *(field.name for field in succession(_PLACED)), *_PLACED),
)
"""One row per value that a key of a subject ever had."""

RUN_FACTS: Final = Model(
    name="run_facts",
    schema=pa.schema(
        [
            pa.field("key", pa.string(), nullable=False),
            pa.field("value", pa.string(), nullable=False),
            *_required(*POSITION),
            pa.field("place", pa.int32(), nullable=False),
            *_required("run_id"),
        ]
    ),
    key=("key", "value"),
    position=_PLACED,
    filtered=2,
)
"""The facts by which runs are looked for, by their values."""

RUNNING: Final = Model(
    name="running",
    schema=pa.schema(
        [*_required("run_id", *POSITION), pa.field("place", pa.int32(), nullable=False), *succession(_PLACED)]
    ),
    key=("run_id",),
    position=_PLACED,
    filtered=1,
    succeeding=True,
    past=False,
)
"""One row per run whose status is ``running``; earlier states are not kept."""

MODELS: Final = (
    ENTRIES,
    FOLIOS,
    TOTALS,
    CONTENTS,
    PURGES,
    COMMITS,
    SNAPSHOTS,
    LINEAGE,
    USES,
    METADATA,
    RUN_FACTS,
    RUNNING,
    RUN_STATES,
)

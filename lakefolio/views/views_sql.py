"""``views.sql``: the relations of a lake for DuckDB alone, with its delta extension.

The text is a function of which tables a lake has. A change that adds a table writes it anew.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from lakefolio.errors import StorageError
from lakefolio.format.layout import VIEWS_FILE, log_key
from lakefolio.format.schema import LOG_SCHEMAS, SCHEMAS
from lakefolio.format.sql_text import sql_id
from lakefolio.views.view_files import AUDITS, create_view, load_views

if TYPE_CHECKING:
    from lakefolio.storage import Store

__all__ = ["views_text", "write_views"]

_HEAD: Final = """\
-- The relations of this lake for DuckDB: no other program is needed. In DuckDB's shell:
--
--   INSTALL delta; LOAD delta;
--   -- without internet: pip install duckdb-extensions duckdb-extension-delta, then in Python
--   -- duckdb_extensions.import_extension("delta") in the place of INSTALL; fetching times in Python needs pytz
--   SET VARIABLE lake = 's3://bucket/lake';   -- or the folder: where this file lies
--   SET TimeZone = 'UTC';
--   .read views.sql
--   SELECT * FROM items;
--   FROM history_of('my-folio', 'my-item');
--   SELECT name, params ->> 'lr', (metrics ->> 'auc')::double AS auc FROM runs ORDER BY auc DESC;
--   FROM metrics;                             -- also run_inputs, run_outputs
--
-- The rows of a table: FROM read_parquet(getvariable('lake') || '/' || key), the key from blob_refs; small ones:
--   COPY (SELECT coalesce(any_value(content), error('not there, or larger: see blob_refs')) AS content
--         FROM items WHERE folio = 'my-folio' AND item = 'my-item') TO 'my.parquet' (FORMAT blob);
--   FROM 'my.parquet';
-- The rows of a record table (kind 'records'):
--   SET VARIABLE records = (SELECT decode(any_value(content))::JSON ->> 'table'
--         FROM items WHERE folio = 'my-folio' AND item = 'my-records');
--   FROM delta_scan(getvariable('lake') || '/records/' || getvariable('records'));
--
-- Everything is read off the journal (tables/manifests) and says what it says now. The state at version 17:
--   FROM entries WHERE version <= 17 AND (superseded_version IS NULL OR superseded_version > 17)

SET VARIABLE lake = coalesce(getvariable('lake'), error(
    'the variable lake is not set; first: SET VARIABLE lake = ''s3://bucket/lake'', or the folder of this file'));

"""

_MODELS: Final = """\
-- The read model "entries": the journal up to some version, sorted by name, so that one name is found at once.
create or replace view model_entries as
select * from delta_scan(getvariable('lake') || '/tables/entries');

-- What the journal said since.
create or replace view tail as
select * from manifests
where version > (select coalesce(greatest(max(version), max(superseded_at)), -1) from model_entries);

"""

_HISTORY: Final = """\
-- Every entry an item ever had, the oldest first; the one without superseded_version is live.
create or replace macro history_of(its_folio, its_item) as table
select * exclude (op, place) replace (coalesce(tags, []) as tags)
from (
    select *, lead(version) over (order by version, place) as superseded_version
    from (
{sources}
    )
)
where op = 'put'
order by version, ordinal;
"""

_WHERE: Final = "where folio = its_folio and item = its_item"

_COLUMNS: Final = (
    "folio, item, version, ordinal, committed_at, entry_id, kind, format, storage, digest, blob_digest, generation, "
    "size_bytes, uri, description, tags, details, inputs, facts, run_id, commit_id"
)


def write_views(store: Store) -> None:
    """Write the file anew for the tables that a lake has now; it is for others, so a failure is left alone."""
    names = [*LOG_SCHEMAS, "entries"]
    with contextlib.suppress(StorageError):
        found = store.get_many([log_key(name, 0) for name in names])
        tables = [name for name, entry in zip(names, found, strict=True) if entry is not None]
        store.put(VIEWS_FILE, views_text(tables).encode())


def views_text(tables: Collection[str]) -> str:
    """Return the file for a lake that has some Delta tables; ``manifests`` is always among them."""
    parts = [_HEAD]
    for name, schema in SCHEMAS.items():
        if name == "manifests" or name in tables:
            body = f"select * from delta_scan(getvariable('lake') || '/tables/{name}')"
        else:  # nothing was logged yet
            nulls = ", ".join(f"cast(null as {_duckdb_type(field.type)}) as {sql_id(field.name)}" for field in schema)
            body = f"select {nulls} where false"
        parts.append(f"create or replace view {sql_id(name)} as\n{body};\n\n")
    parts += [f"{create_view(view)};\n" for view in load_views() if view.folder != AUDITS]
    if "entries" in tables:
        parts.append(_MODELS)
        nulls = ", ".join("null" for _ in _COLUMNS.split(", ")[4:])
        sources = f"""\
        select {_COLUMNS}, ordinal + 0.0 as place, if(removed, 'delete', 'put') as op
        from model_entries {_WHERE}
        union all
        -- a delete that a merge has left out is told by the row before it
        select folio, item, superseded_at, null, {nulls}, if(superseded_at = version, ordinal + 0.5, -1), 'delete'
        from model_entries {_WHERE} and superseded_by = 'delete'
        union all
        select {_COLUMNS}, ordinal + 0.0, op
        from tail {_WHERE} and op in ('put', 'delete')"""
    else:
        sources = f"""\
        select {_COLUMNS}, ordinal + 0.0 as place, op
        from manifests {_WHERE} and op in ('put', 'delete')"""
    parts.append(_HISTORY.format(sources=sources))
    return "".join(parts)


def _duckdb_type(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return "timestamp with time zone"
    names = {pa.string(): "varchar", pa.int64(): "bigint", pa.int32(): "integer", pa.float64(): "double"}
    return names[kind]

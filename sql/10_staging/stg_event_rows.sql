-- description: The events that count: those whose batch the journal names, with its version.
-- grain: one row per event
-- source: event_rows, manifests
with batches as (
    select entry_id as batch_id, cast(min(version) as bigint) as version
    from manifests
    where op = 'events' and entry_id is not null
    group by entry_id
)

select
    batches.version as version,
    cast(event_rows.ordinal as integer) as ordinal,
    cast(event_rows.batch_id as varchar) as batch_id,
    cast(event_rows.event_id as varchar) as event_id,
    cast(event_rows.run_id as varchar) as run_id,
    cast(event_rows.model_name as varchar) as model_name,
    cast(event_rows.stage as varchar) as stage,
    cast(event_rows.event_type as varchar) as event_type,
    cast(event_rows.logged_at as timestamp with time zone) as logged_at,
    cast(event_rows.metadata as varchar) as metadata,
    cast(event_rows.storage as varchar) as storage,
    cast(event_rows.codec as varchar) as codec,
    cast(event_rows.digest as varchar) as digest,
    cast(event_rows.blob_digest as varchar) as blob_digest,
    cast(event_rows.size_bytes as bigint) as size_bytes,
    cast(event_rows.stored_bytes as bigint) as stored_bytes
from event_rows
inner join batches on event_rows.batch_id = batches.batch_id

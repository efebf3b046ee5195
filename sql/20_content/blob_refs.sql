-- description: Which entry, and which event, keeps which stored object. is_live says that the head of the item, or the
--   event, needs it; purged that gc purged the object. Of an event folio and item are null and entry_id is its id.
--   Inline content and references have no object.
-- grain: one row per (folio, item, entry_id, blob_digest, generation)
-- source: stg_manifests
with puts as (
    select
        folio,
        item,
        entry_id,
        blob_digest,
        coalesce(generation, 0) as generation,
        bool_or(op = 'event_blob') as is_event,
        min(version) as version,
        min(position) as position,
        max(position) as last_position,
        max(coalesce(size_bytes, 0)) as size_bytes,
        max(coalesce(stored_bytes, 0)) as stored_bytes
    from stg_manifests
    where op in ('put', 'event_blob') and storage in ('blob', 'chunked', 'packed') and blob_digest is not null
    group by folio, item, entry_id, blob_digest, coalesce(generation, 0)
),

heads as (
    select folio, item, max(position) as position
    from stg_manifests
    where op in ('put', 'delete')
    group by folio, item
),

-- a purge covers its generation and all before
purges as (
    select blob_digest, max(coalesce(generation, 0)) as generation
    from stg_manifests
    where op = 'purge'
    group by blob_digest
)

select
    puts.blob_digest,
    puts.generation,
    'blobs/sha256/' || substr(puts.blob_digest, 8, 2) || '/' || substr(puts.blob_digest, 8)
    || case when puts.generation > 0 then '.' || puts.generation else '' end as key,
    puts.folio,
    puts.item,
    puts.entry_id,
    puts.version,
    puts.position,
    puts.size_bytes,
    puts.stored_bytes,
    puts.is_event or coalesce(heads.position = puts.last_position, false) as is_live,
    coalesce(puts.generation <= purges.generation, false) as purged
from puts
left join heads on puts.folio = heads.folio and puts.item = heads.item
left join purges on puts.blob_digest = purges.blob_digest

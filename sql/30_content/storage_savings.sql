-- description: What deduplication and compression save, over the whole history that is kept.
--   logical_bytes: what one plain copy per entry, and per further run that uses one, would take (an entry put again
--   counts once, and the first run that uses it is no copy; references hold nothing here; content that gc purged is
--   not counted).
--   stored_bytes: the bytes of the objects, each counted once in the whole lake, in the folio whose entry used it
--   first, so that the folios add up to the lake; plus the inline content of each entry.
--   shared_bytes: of the objects this folio uses, the bytes of those that other folios use too, whoever they are
--   counted for. exclusive_bytes: the bytes that only this folio's entries keep.
--   saved_bytes = logical_bytes - stored_bytes; saved_ratio = saved_bytes / logical_bytes, null for nothing at all.
-- grain: one row per folio that ever held an entry
-- source: entries, blob_refs, stg_manifests
with inlined as (
    select folio, item, entry_id, max(octet_length(content)) as bytes
    from entries
    where storage = 'inline'
    group by folio, item, entry_id
),

objects as (
    select
        blob_digest,
        generation,
        min_by(folio, position) as first_folio,
        count(distinct folio) as folio_count,
        max(stored_bytes) as bytes
    from blob_refs
    where not purged and folio is not null
    group by blob_digest, generation
),

purges as (
    select blob_digest, max(coalesce(generation, 0)) as generation
    from stg_manifests
    where op = 'purge'
    group by blob_digest
),

used_by_runs as (
    select
        pins.folio,
        coalesce(pins.size_bytes, 0) as bytes,
        -- the first use of an entry is the entry itself, each further one would be a copy
        row_number() over (partition by pins.entry_id order by pins.position) = 1 as is_entry
    from stg_manifests as pins
    left join purges on pins.blob_digest = purges.blob_digest
    where
        pins.op = 'pin'
        and pins.storage <> 'reference'
        and (purges.generation is null or coalesce(pins.generation, 0) > purges.generation)
),

parts as (
    select folio, 0 as logical_bytes, 0 as stored_bytes, 0 as shared_bytes, 0 as exclusive_bytes, 0 as entry_count
    from entries
    group by folio

    union all

    select folio, bytes, bytes, 0, bytes, 1
    from inlined

    union all

    select folio, size_bytes, 0, 0, 0, 1
    from blob_refs
    where not purged and folio is not null

    union all

    select folio, bytes, 0, 0, 0, 0
    from used_by_runs
    where not is_entry

    union all

    select first_folio, 0, bytes, 0, 0, 0
    from objects

    union all

    select
        used.folio,
        0,
        0,
        case when objects.folio_count > 1 then objects.bytes else 0 end,
        case when objects.folio_count = 1 then objects.bytes else 0 end,
        0
    from (select distinct folio, blob_digest, generation from blob_refs where not purged and folio is not null) as used
    inner join objects on used.blob_digest = objects.blob_digest and used.generation = objects.generation
)

select
    folio,
    try_cast(sum(entry_count) as bigint) as entry_count,
    try_cast(sum(logical_bytes) as bigint) as logical_bytes,
    try_cast(sum(stored_bytes) as bigint) as stored_bytes,
    try_cast(sum(logical_bytes) - sum(stored_bytes) as bigint) as saved_bytes,
    cast(sum(logical_bytes) - sum(stored_bytes) as double) / nullif(sum(logical_bytes), 0) as saved_ratio,
    try_cast(sum(shared_bytes) as bigint) as shared_bytes,
    try_cast(sum(exclusive_bytes) as bigint) as exclusive_bytes
from parts
group by folio

-- description: The metadata rows that count: those whose transaction the journal holds, with its version and time.
-- grain: one row per value set (a null value removes the key)
-- source: metadata, manifests
with txns as (
    select
        txn_id,
        cast(min(version) as bigint) as version,
        min(cast(version as bigint) * 4294967296 + cast(ordinal as bigint)) as position,
        cast(min(committed_at) as timestamp with time zone) as committed_at
    from manifests
    group by txn_id
)

select
    txns.version as version,
    txns.position as position,
    txns.committed_at as committed_at,
    cast(metadata.txn_id as varchar) as txn_id,
    cast(metadata.ordinal as integer) as ordinal,
    cast(metadata.subject_kind as varchar) as subject_kind,
    cast(metadata.subject_id as varchar) as subject_id,
    cast(metadata.folio as varchar) as folio,
    cast(metadata.item as varchar) as item,
    cast(metadata.key as varchar) as key,
    cast(metadata.value as varchar) as value,
    cast(metadata.value_number as double) as value_number
from metadata
inner join txns on metadata.txn_id = txns.txn_id

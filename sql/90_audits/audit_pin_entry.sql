-- description: Entries that a run is said to use and that were never put, or put with other content.
-- grain: one row per problem (object, message); none on a healthy lake
-- source: stg_manifests
with puts as (
    select entry_id, min(version) as version, min_by(digest, position) as digest
    from stg_manifests
    where op = 'put'
    group by entry_id
)

select
    'run ' || pins.run_id || ' at version ' || pins.version as object,
    'uses ' || coalesce(pins.folio || ':' || pins.item || ', ', '') || 'entry ' || pins.entry_id || ', which '
    || case
        when puts.entry_id is null then 'was never put'
        when puts.version > pins.version then 'was put later, at version ' || puts.version
        else 'has another digest'
    end as message
from stg_manifests as pins
left join puts on pins.entry_id = puts.entry_id
where
    pins.op = 'pin'
    and (puts.entry_id is null or puts.version > pins.version or puts.digest is distinct from pins.digest)

-- description: Rows of the journal that lack what their op needs, or whose storage is unknown. Ops that are not known
--   here are let be.
-- grain: one row per problem (object, message); none on a healthy lake
-- source: stg_manifests
with judged as (
    select
        version,
        ordinal,
        case
            when op in ('put', 'delete') and (folio is null or item is null) then op || ' names no folio or no item'
            when op = 'put' and entry_id is null then 'put has no entry_id'
            when op = 'put' and kind is null then 'put has no kind'
            when
                op = 'put'
                and coalesce(storage, '') not in ('inline', 'blob', 'chunked', 'packed', 'reference')
                then 'storage ' || coalesce(storage, 'null') || ' is unknown'
            when op = 'put' and storage = 'blob' and blob_digest is null then 'blob put names no blob'
            when op = 'put' and storage = 'reference' and uri is null then 'reference has no uri'
            when op in ('snapshot', 'drop_snapshot') and snapshot is null then op || ' has no name'
            when op = 'snapshot' and target_version is null then 'snapshot has no target_version'
            when op = 'purge' and blob_digest is null then 'purge names no blob'
            when op = 'pin' and (entry_id is null or run_id is null) then 'pin names no entry or no run'
            when op = 'run' and run_id is null then 'run names no run'
            when op = 'event_blob' and (blob_digest is null or entry_id is null) then 'event_blob names no blob or no event'
            when op in ('metrics', 'events') and entry_id is null then op || ' names no batch'
            when len(list_filter(facts, fact -> fact.key is null)) > 0 then 'a fact has no key'
            when len(list_filter(inputs, edge -> edge.input_kind is null)) > 0 then 'an input has no kind'
        end as message
    from stg_manifests
)

select
    'version ' || version || ', ordinal ' || ordinal as object,
    message
from judged
where message is not null

-- description: Entries that should have more or fewer metadata values than there are, and the same for the words of lake and
--   folios in one transaction: a side row was lost.
-- grain: one row per problem (object, message); none on a healthy lake
-- source: stg_manifests, stg_metadata
with entry_values as (
    select subject_id, count(*) as found
    from stg_metadata
    where subject_kind = 'entry'
    group by subject_id
),

other_values as (
    select txn_id, count(*) as found
    from stg_metadata
    where subject_kind <> 'entry'
    group by txn_id
),

annotations as (
    select txn_id, min(version) as version, sum(metadata_count) as expected
    from stg_manifests
    where op = 'annotate'
    group by txn_id
)

select
    puts.folio || ':' || puts.item || '@' || puts.version as object,
    'should have ' || puts.metadata_count || ' metadata values, has ' || coalesce(entry_values.found, 0) as message
from stg_manifests as puts
left join entry_values on puts.entry_id = entry_values.subject_id
where puts.op = 'put' and puts.metadata_count <> coalesce(entry_values.found, 0)

union all

select
    'annotations of version ' || annotations.version as object,
    'should have set ' || annotations.expected || ' metadata values, have set ' || coalesce(other_values.found, 0)
    as message
from annotations
left join other_values on annotations.txn_id = other_values.txn_id
where annotations.expected <> coalesce(other_values.found, 0)

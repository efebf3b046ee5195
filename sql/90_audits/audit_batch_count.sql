-- description: Batches of metric points or events that have more or fewer rows than the journal says: rows were lost.
-- grain: one row per problem (object, message); none on a healthy lake
-- source: stg_manifests, stg_metric_rows, stg_event_rows
with batches as (
    select entry_id as batch_id, min(version) as version, max(op) as op, max(row_count) as expected
    from stg_manifests
    where op in ('metrics', 'events') and entry_id is not null
    group by entry_id
),

found as (
    select batch_id, count(*) as found
    from stg_metric_rows
    group by batch_id

    union all

    select batch_id, count(*) as found
    from stg_event_rows
    group by batch_id
)

select
    'batch ' || batches.batch_id || ' of version ' || batches.version as object,
    'should have ' || batches.expected || ' rows of ' || batches.op || ', has ' || coalesce(found.found, 0) as message
from batches
left join found on batches.batch_id = found.batch_id
where batches.expected <> coalesce(found.found, 0)

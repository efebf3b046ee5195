-- description: The metric points that count: those whose batch the journal names, with its version. position sorts by when
--   batches came to count, ordinal within one. A batch is of one run: who asks for a run reads the batches of that alone.
-- grain: one row per point
-- source: metric_rows, manifests
with batches as (
    select
        entry_id as batch_id,
        run_id,
        cast(min(version) as bigint) as version,
        min(try(cast(version as bigint) * 4294967296 + cast(ordinal as bigint))) as position
    from manifests
    where op = 'metrics' and entry_id is not null
    group by entry_id, run_id
)

select
    batches.version as version,
    batches.position as position,
    cast(metric_rows.ordinal as integer) as ordinal,
    cast(metric_rows.batch_id as varchar) as batch_id,
    cast(metric_rows.run_id as varchar) as run_id,
    cast(metric_rows.name as varchar) as name,
    cast(metric_rows.step as bigint) as step,
    cast(metric_rows.value as double) as value,
    cast(metric_rows.logged_at as timestamp with time zone) as logged_at
from metric_rows
inner join batches on metric_rows.batch_id = batches.batch_id and metric_rows.run_id = batches.run_id

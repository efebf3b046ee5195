-- description: The runs: who made what from what. params and metrics are JSON objects (metrics ->> 'auc'); lakefolio
--   adds a column for each of their keys that no column here is called like (where auc > 0.9).
--   Written by runs: metadata rows of subject_kind 'run', subject_id the run's id, made visible by an 'annotate' row,
--   with the keys type, project, model, status (running, done, failed, lost), started_at and ended_at (ISO 8601 with
--   zone), author, tags (a JSON list), params.<name>, metrics.<name> (the last value of each). Inputs are lineage
--   edges of output_kind 'run'; outputs are entries whose run_id is the run's.
-- grain: one row per run_id
-- source: current_metadata, stg_lineage, stg_manifests
with inputs as (
    select
        output_id as run_id,
        count(distinct coalesce(input_id, input_uri)) as input_count
    from stg_lineage
    where output_kind = 'run'
    group by output_id
),

outputs as (
    select run_id, count(distinct entry_id) as output_count
    from stg_manifests
    where op = 'put' and run_id is not null
    group by run_id
),

facts as (
    select
        subject_id as run_id,
        version,
        key,
        -- text that is not JSON is shown as it is rather than making every query fail
        coalesce(try_cast(value as json), to_json(value)) as value
    from current_metadata
    where subject_kind = 'run'
),

pivoted as (
    select
        run_id,
        max(value ->> '$') filter (where key = 'type') as type,
        max(value ->> '$') filter (where key = 'project') as project,
        max(value ->> '$') filter (where key = 'model') as model,
        max(value ->> '$') filter (where key = 'status') as status,
        max(try_cast(value ->> '$' as timestamp with time zone)) filter (where key = 'started_at') as started_at,
        max(try_cast(value ->> '$' as timestamp with time zone)) filter (where key = 'ended_at') as ended_at,
        max(value ->> '$') filter (where key = 'author') as author,
        max(value) filter (where key = 'tags') as tags,
        to_json(map_from_entries(list((substr(key, 8), value) order by key) filter (where key like 'params.%'))) as params,
        to_json(map_from_entries(list((substr(key, 9), value) order by key) filter (where key like 'metrics.%'))) as metrics,
        min(version) as version
    from facts
    group by run_id
)

select
    pivoted.run_id,
    pivoted.type,
    pivoted.project,
    pivoted.model,
    pivoted.status,
    pivoted.started_at,
    pivoted.ended_at,
    date_diff('millisecond', pivoted.started_at, pivoted.ended_at) / 1000.0 as duration_s,
    pivoted.author,
    coalesce(try_cast(pivoted.tags as varchar[]), cast([] as varchar[])) as tags,
    coalesce(inputs.input_count, 0) as input_count,
    coalesce(outputs.output_count, 0) as output_count,
    pivoted.version,
    coalesce(pivoted.params, cast('{}' as json)) as params,
    coalesce(pivoted.metrics, cast('{}' as json)) as metrics
from pivoted
left join inputs on pivoted.run_id = inputs.run_id
left join outputs on pivoted.run_id = outputs.run_id

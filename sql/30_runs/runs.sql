-- description: The runs: who made what from what. params and metrics are JSON objects (metrics ->> 'auc'); lakefolio
--   adds a column for each of their keys that no column here is called like (where auc > 0.9).
--   Metrics are doubles; a parameter is a boolean, an integer (HUGEINT from 19 digits on), a double, or text where no
--   number type tells all of its values exactly.
--   Written by runs: facts of journal rows of op 'run' that carry the run's id, with the keys type, project, model,
--   status (running, done, failed, lost), started_at and ended_at (ISO 8601 with zone), author, tags (a JSON list),
--   params.<name>, metrics.<name> (the last value of each, written when the run ends; of a run that goes on they come
--   from the journal's rows of op 'metrics'). Inputs are lineage edges of output_kind 'run'; outputs are entries whose
--   run_id is the run's.
-- grain: one row per run_id
-- source: stg_metadata, stg_lineage, stg_manifests
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

-- the last value set for each key, unless it was removed
facts as (
    select
        subject_id as run_id,
        key,
        arg_max_null(value, cast(position as hugeint) * 4294967296 + ordinal) as value,
        min(version) as version
    from stg_metadata
    where subject_kind = 'run'
    group by subject_id, key
),

going_on as (
    select run_id
    from facts
    where key = 'status' and value in ('"running"', '"lost"')
),

logged as (
    select
        run_id,
        position,
        -- text that is not JSON is taken for nothing
        unnest(map_entries(try_cast(try_cast(details as json) -> '$.last' as map(varchar, json)))) as pair
    from stg_manifests
    where op = 'metrics' and run_id in (select run_id from going_on)
),

live as (
    select
        run_id,
        pair.key as name,
        arg_max(json_extract(pair.value, '$[0]'), position) as value
    from logged
    group by run_id, pair.key
),

pivoted as (
    select
        run_id,
        max(value) filter (where key = 'type') as type,
        max(value) filter (where key = 'project') as project,
        max(value) filter (where key = 'model') as model,
        max(value) filter (where key = 'status') as status,
        max(value) filter (where key = 'started_at') as started_at,
        max(value) filter (where key = 'ended_at') as ended_at,
        max(value) filter (where key = 'author') as author,
        max(value) filter (where key = 'tags') as tags,
        max(value) filter (where key = 'name') as name,
        max(value) filter (where key = 'parent') as parent,
        max(value) filter (where key = 'description') as description,
        max(value) filter (where key = 'host') as host,
        max(value) filter (where key = 'git_commit') as git_commit,
        max(value) filter (where key = 'git_dirty') as git_dirty,
        max(value) filter (where key = 'error_type') as error_type,
        max(value) filter (where key = 'error') as error,
        max(value) filter (where key = 'organisation') as organisation,
        min(version) as version
    from facts
    group by run_id
),

valued as (
    select
        run_id,
        starts_with(key, 'params.') as is_param,
        substr(key, strpos(key, '.') + 1) as name,
        coalesce(
            -- a number is a number, whatever type it came in, or text if a double can not tell all its digits
            case
                when regexp_matches(value, '^\{"\$type":"decimal","value":"-?[0-9.]{1,16}"\}$')
                    then try_cast(regexp_extract(value, '"value":"([^"]*)"', 1) as json)
                when
                    starts_with(value, '{"$type":"decimal"')
                    or starts_with(value, '{"$type":"float"')
                    or regexp_matches(value, '^\{"\$type":"numpy".*"dtype":"[<>|=][biuf]')
                    then try_cast(value as json) -> '$.value'
            end,
            -- text that is not JSON is shown as it is
            try_cast(value as json),
            to_json(value)
        ) as value,
        0 as priority
    from facts
    where (starts_with(key, 'params.') or starts_with(key, 'metrics.')) and value is not null

    union all

    select run_id, false, name, value, 1 from live
),

last_values as (
    select run_id, is_param, name, arg_max(value, priority) as value
    from valued
    group by run_id, is_param, name
),

pairs as (
    select
        run_id,
        to_json(map_from_entries(list((name, value) order by name) filter (where is_param))) as params,
        to_json(map_from_entries(list((name, value) order by name) filter (where not is_param))) as metrics
    from last_values
    group by run_id
),

-- values are JSON texts, and what is not JSON is shown as it is rather than making every query fail
plain as (
    select
        run_id,
        coalesce(
            try_cast(columns(* exclude (run_id, version)) as json), to_json(columns(* exclude (run_id, version)))
        ) ->> '$',
        version
    from pivoted
)

select
    plain.run_id,
    plain.type,
    plain.project,
    plain.model,
    plain.status,
    try_cast(plain.started_at as timestamp with time zone) as started_at,
    try_cast(plain.ended_at as timestamp with time zone) as ended_at,
    date_diff(
        'millisecond',
        try_cast(plain.started_at as timestamp with time zone),
        try_cast(plain.ended_at as timestamp with time zone)
    ) / 1000.0 as duration_s,
    plain.author,
    coalesce(try_cast(plain.tags as varchar[]), cast([] as varchar[])) as tags,
    coalesce(inputs.input_count, 0) as input_count,
    coalesce(outputs.output_count, 0) as output_count,
    plain.version,
    plain.name,
    plain.parent,
    plain.description,
    plain.host,
    plain.git_commit,
    try_cast(plain.git_dirty as boolean) as git_dirty,
    plain.error_type,
    plain.error,
    coalesce(try_cast(plain.organisation as varchar[]), cast([] as varchar[])) as organisation,
    coalesce(pairs.params, cast('{}' as json)) as params,
    coalesce(pairs.metrics, cast('{}' as json)) as metrics
from plain
left join pairs on plain.run_id = pairs.run_id
left join inputs on plain.run_id = inputs.run_id
left join outputs on plain.run_id = outputs.run_id

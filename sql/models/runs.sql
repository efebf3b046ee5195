-- description: The runs: who made what from what. params and metrics are JSON objects (metrics ->> 'auc'); lakefolio
--   adds a column for each of their keys that no column here is called like (where auc > 0.9).
--   Metrics are doubles; a parameter is a boolean, an integer (HUGEINT from 19 digits on), a double, or text where no
--   number type tells all of its values exactly. The columns from going_on on are for those alone;
--   fact_json is a macro of theirs.
-- grain: one row per run_id
-- source: run_heads, run_states_model
with plain as (
    select
        run_id,
        -- values are JSON texts, and what is not JSON is shown as it is rather than making every query fail
        coalesce(
            try_cast(
                columns([
                    'type', 'project', 'model', 'status', 'started_at', 'ended_at', 'author', 'tags', 'name', 'parent',
                    'description', 'host', 'git_commit', 'git_dirty', 'error_type', 'error', 'organisation'
                ]) as json
            ),
            to_json(
                columns([
                    'type', 'project', 'model', 'status', 'started_at', 'ended_at', 'author', 'tags', 'name', 'parent',
                    'description', 'host', 'git_commit', 'git_dirty', 'error_type', 'error', 'organisation'
                ])
            )
        ) ->> '$',
        input_count,
        output_count,
        since as version,
        coalesce(run_heads.status in ('"running"', '"lost"'), false) as going_on,
        param_names,
        param_values,
        param_numbers,
        metric_names,
        metric_values,
        metric_numbers,
        logged_names,
        logged_values
    from run_heads
)

select
    run_id,
    type,
    project,
    model,
    status,
    try_cast(started_at as timestamp with time zone) as started_at,
    try_cast(ended_at as timestamp with time zone) as ended_at,
    date_diff(
        'millisecond', try_cast(started_at as timestamp with time zone), try_cast(ended_at as timestamp with time zone)
    ) / 1000.0 as duration_s,
    author,
    coalesce(try_cast(tags as varchar[]), cast([] as varchar[])) as tags,
    input_count,
    output_count,
    version,
    name,
    parent,
    description,
    host,
    git_commit,
    try_cast(git_dirty as boolean) as git_dirty,
    error_type,
    error,
    coalesce(try_cast(organisation as varchar[]), cast([] as varchar[])) as organisation,
    to_json(map(param_names, list_transform(param_values, one -> fact_json(one)))) as params,
    case
        when going_on and len(logged_names) > 0
            then to_json(
                map_from_entries(
                    list_sort(
                        map_entries(
                            map_concat(
                                map(metric_names, list_transform(metric_values, one -> fact_json(one))),
                                map(logged_names, list_transform(logged_values, one -> cast(one as json)))
                            )
                        )
                    )
                )
            )
        else to_json(map(metric_names, list_transform(metric_values, one -> fact_json(one))))
    end as metrics,
    going_on,
    param_names,
    param_values,
    param_numbers,
    metric_names,
    metric_values,
    metric_numbers,
    logged_names,
    logged_values
from plain

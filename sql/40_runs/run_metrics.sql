-- description: The metrics of runs, each summed up: last (in the order in which the run logged it; of a run without
--   points the recorded value), min, max, and best with its step, over all points that are numbers (NaN is none).
--   best is min where the name speaks of a loss (loss, error, mse, perplexity, … or the words mae, nll, err, wer, cer,
--   fid, ppl, latency, seconds), else max.
-- grain: one row per run and metric
-- source: metrics, runs
with points as (
    select
        run_id,
        name,
        arg_max(value, cast(batch as hugeint) * 4294967296 + ordinal) as last,
        min(value) filter (where not isnan(value)) as min,
        max(value) filter (where not isnan(value)) as max,
        arg_min_null(step, value) filter (where not isnan(value)) as min_step,
        arg_max_null(step, value) filter (where not isnan(value)) as max_step,
        count(*) as point_count
    from metrics
    group by run_id, name
),

recorded as (
    select run_id, unnest(map_entries(try_cast(metrics as map(varchar, json)))) as pair
    from runs
),

-- what was recorded without points
alone as (
    select
        recorded.run_id,
        recorded.pair.key as name,
        try_cast(recorded.pair.value ->> '$' as double) as value
    from recorded
    anti join points on recorded.run_id = points.run_id and recorded.pair.key = points.name
),

summed as (
    select run_id, name, last, min, max, min_step, max_step, point_count
    from points

    union all

    select
        run_id,
        name,
        value,
        case when not isnan(value) then value end,
        case when not isnan(value) then value end,
        null,
        null,
        0
    from alone
),

judged as (
    select
        *,
        regexp_matches(
            lower(name),
            'loss|error|mse|mape|perplexity|deviance|divergence|regret|brier'
            || '|(^|[^a-z])(mae|nll|bce|err|wer|cer|fid|ppl|latency|seconds)([^a-z]|$)'
        ) as falls
    from summed
)

select
    run_id,
    name,
    last,
    min,
    max,
    case when falls then min else max end as best,
    case when falls then min_step else max_step end as best_step,
    point_count
from judged

-- description: The metric points of all runs, also of those that go on: what was committed of them by now. order by
--   batch, ordinal is the order in which a run logged them.
-- grain: one row per point
-- source: stg_metric_rows
select
    run_id,
    name,
    step,
    value,
    logged_at,
    version,
    position as batch,
    ordinal
from stg_metric_rows

-- description: The runs in no folders: path is empty.
-- grain: one row per run_id
-- source: runs
select
    '' as path,
    run_id,
    type,
    project,
    model,
    status,
    started_at,
    ended_at,
    duration_s,
    author,
    tags,
    input_count,
    output_count,
    version,
    params,
    metrics
from runs

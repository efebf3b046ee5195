-- description: The runs in folders by project: path is 'churn'.
-- grain: one row per run_id
-- source: runs
select
    coalesce(project, '-') as path,
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

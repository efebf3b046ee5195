-- description: The runs in folders by model: path is 'rf'.
-- grain: one row per run_id
-- source: runs
select
    coalesce(model, '-') as path,
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

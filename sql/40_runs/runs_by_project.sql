-- description: The runs in folders by project: path is 'churn'.
-- grain: one row per run_id
-- source: runs
select coalesce(project, '-') as path, runs.*
from runs

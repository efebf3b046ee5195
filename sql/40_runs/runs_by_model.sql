-- description: The runs in folders by model: path is 'rf'.
-- grain: one row per run_id
-- source: runs
select coalesce(model, '-') as path, runs.*
from runs

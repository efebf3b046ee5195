-- description: The runs in folders by type and UTC month: path is 'production/2026-11'.
-- grain: one row per run_id
-- source: runs
select coalesce(type, '-') || '/' || coalesce(strftime(started_at at time zone 'UTC', '%Y-%m'), '-') as path, runs.*
from runs

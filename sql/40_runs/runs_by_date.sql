-- description: The runs in folders by the UTC day they started on: path is '2026/11/21'.
-- grain: one row per run_id
-- source: runs
select coalesce(strftime(started_at at time zone 'UTC', '%Y/%m/%d'), '-') as path, runs.*
from runs

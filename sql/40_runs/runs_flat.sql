-- description: The runs in no folders: path is empty.
-- grain: one row per run_id
-- source: runs
select '' as path, runs.*
from runs

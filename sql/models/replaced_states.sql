-- description: The states of runs that were the newest in their run of the read model and are none any more: a row of a
--   later one, or of the journal since, names the one that it replaces.
-- grain: one row per (version, ordinal)
-- source: run_states_model
select replaces_version as version, replaces_ordinal as ordinal
from run_states_model
where replaces_version is not null

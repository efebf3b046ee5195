-- description: The newest state of each run, as the read model and the journal since have them. Values are JSON texts.
-- grain: one row per run_id
-- source: run_states_model, replaced_states
select * exclude (superseded_at, superseded_by, removed, replaces_version, replaces_ordinal)
from run_states_model as held
anti join replaced_states on held.version = replaced_states.version and held.ordinal = replaced_states.ordinal
where since is not null

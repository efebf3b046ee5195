-- description: The facts that were in force in their run of the read model and are none any more: a row of a later run,
--   or of the journal since, names the one that it replaces.
-- grain: one row per (version, ordinal, place)
-- source: metadata_model
select replaces_version as version, replaces_ordinal as ordinal, replaces_place as place
from metadata_model
where replaces_version is not null

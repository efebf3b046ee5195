-- description: Every value ever noted of the lake, folios, entries and runs; current_metadata has those in force. value is
--   JSON text, and null where the key was removed.
-- grain: one row per value set
-- source: stg_metadata
select
    version,
    commit_id,
    ordinal,
    subject_kind,
    subject_id,
    folio,
    item,
    key,
    value,
    value_number
from stg_metadata

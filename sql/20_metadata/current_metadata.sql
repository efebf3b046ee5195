-- description: The metadata in force: the last value set for each key of each subject, unless it was removed. Subjects
--   are the lake (subject_id ''), folios, entries (subject_id is the entry_id) and runs. value is JSON text.
-- grain: one row per (subject_kind, subject_id, key)
-- source: stg_metadata
with ranked as (
    select
        *,
        row_number() over (
            partition by subject_kind, subject_id, key
            order by position desc, ordinal desc
        ) as rank
    from stg_metadata
)

select
    subject_kind,
    subject_id,
    folio,
    item,
    key,
    value,
    value_number,
    version,
    committed_at
from ranked
where rank = 1 and value is not null

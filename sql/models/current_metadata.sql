-- description: The metadata in force: the last value set for each key of each subject, unless it was removed. Subjects
--   are the lake (subject_id ''), folios, entries (subject_id is the entry_id) and runs. value is JSON text.
-- grain: one row per (subject_kind, subject_id, key)
-- source: metadata_model, replaced_facts, commits_model
select
    held.subject_kind,
    held.subject_id,
    held.folio,
    held.item,
    held.key,
    held.value,
    held.value_number,
    held.version,
    commits.committed_at
from metadata_model as held
left join commits_model as commits on held.version = commits.version and held.commit_id = commits.commit_id
anti join replaced_facts  -- after the join: before it, DuckDB takes the facts for fewer than the commits
    on
        held.version = replaced_facts.version
        and held.ordinal = replaced_facts.ordinal
        and held.place = replaced_facts.place
where held.superseded_at is null and not held.removed

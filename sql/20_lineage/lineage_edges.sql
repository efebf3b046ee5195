-- description: What was made of what: from an output (an entry or a run) to one input of it (an entry, a run, or an
--   external URI). input_version is the version that first put the input entry.
-- grain: one row per edge
-- source: stg_lineage, stg_manifests
with entries_first as (
    select entry_id, min(version) as version
    from stg_manifests
    where op = 'put'
    group by entry_id
)

select
    stg_lineage.version,
    stg_lineage.committed_at,
    stg_lineage.output_kind,
    stg_lineage.output_id,
    stg_lineage.output_folio,
    stg_lineage.output_item,
    stg_lineage.input_kind,
    stg_lineage.input_id,
    stg_lineage.input_folio,
    stg_lineage.input_item,
    entries_first.version as input_version,
    stg_lineage.input_uri,
    stg_lineage.input_digest,
    stg_lineage.run_id,
    stg_lineage.role,
    stg_lineage.details,
    stg_lineage.commit_id,
    stg_lineage.ordinal
from stg_lineage
left join entries_first
    on case when stg_lineage.input_kind = 'entry' then stg_lineage.input_id end = entries_first.entry_id

-- description: What was made of what as the journal notes it, edge by edge; lineage_edges adds the versions of the inputs.
-- grain: one row per edge
-- source: stg_lineage
select
    version,
    commit_id,
    ordinal,
    output_kind,
    output_id,
    output_folio,
    output_item,
    input_kind,
    input_id,
    input_folio,
    input_item,
    input_uri,
    input_digest,
    run_id,
    role,
    details
from stg_lineage

-- description: What runs use: exact entries of the lake (version is the one that put the entry), or URIs outside of it.
--   name is what the run calls the input.
-- grain: one row per (run_id, name)
-- source: stg_lineage, stg_manifests
with puts as (
    select
        entry_id,
        min(version) as version,
        min_by(kind, position) as kind,
        min_by(size_bytes, position) as size_bytes
    from stg_manifests
    where op = 'put'
    group by entry_id
)

select
    edges.output_id as run_id,
    edges.role as name,
    edges.input_folio as folio,
    edges.input_item as item,
    puts.version,
    edges.input_id as entry_id,
    edges.input_uri as uri,
    edges.input_digest as digest,
    puts.kind,
    puts.size_bytes
from stg_lineage as edges
left join puts on edges.input_kind = 'entry' and edges.input_id = puts.entry_id
where edges.output_kind = 'run'

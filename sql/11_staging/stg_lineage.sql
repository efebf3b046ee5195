-- description: The inputs of the journal's rows: what entries were made from and what runs use, with version and time. An
--   entry that is put again says the same again, so that only its first row counts.
-- grain: one row per edge
-- source: stg_manifests
with telling as (
    select
        version,
        position,
        committed_at,
        commit_id,
        op,
        folio,
        item,
        entry_id,
        run_id,
        inputs
    from stg_manifests
    where op in ('put', 'run') and len(inputs) > 0
    qualify op <> 'put' or row_number() over (partition by op, entry_id order by position) = 1
),

edges as (
    select
        * exclude (inputs),
        unnest(inputs) as edge,
        generate_subscripts(inputs, 1) - 1 as ordinal
    from telling
)

select
    version,
    position,
    committed_at,
    commit_id,
    cast(ordinal as integer) as ordinal,
    case when op = 'put' then 'entry' else 'run' end as output_kind,
    case when op = 'put' then entry_id else run_id end as output_id,
    folio as output_folio,
    item as output_item,
    edge.input_kind as input_kind,
    edge.input_id as input_id,
    edge.input_folio as input_folio,
    edge.input_item as input_item,
    edge.input_uri as input_uri,
    edge.input_digest as input_digest,
    edge.run_id as run_id,
    edge.role as role,
    edge.details as details
from edges

-- description: Lineage edges from or to an entry that no row of the journal puts.
-- grain: one row per problem (object, message); none on a healthy lake
-- source: stg_lineage, stg_manifests
with puts as (
    select entry_id, min(version) as version
    from stg_manifests
    where op = 'put'
    group by entry_id
)

select
    coalesce(edges.output_folio || ':' || edges.output_item, edges.output_id) || '@' || edges.version as object,
    'has the input ' || coalesce(edges.input_folio || ':' || edges.input_item || ', ', '') || 'entry '
    || coalesce(edges.input_id, 'null') || ', which '
    || case when puts.entry_id is null then 'was never put' else 'was put later, at version ' || puts.version end
    as message
from stg_lineage as edges
left join puts on edges.input_id = puts.entry_id
where edges.input_kind = 'entry' and (puts.entry_id is null or puts.version > edges.version)

union all

select
    coalesce(edges.output_folio || ':' || edges.output_item, edges.output_id) || '@' || edges.version as object,
    'has lineage, but its entry ' || edges.output_id || ' was never put' as message
from stg_lineage as edges
left join puts on edges.output_id = puts.entry_id
where edges.output_kind = 'entry' and puts.entry_id is null
